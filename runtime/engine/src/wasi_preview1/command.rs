//! What of preview 1 is served to commands alone: standard input, texts, and answers about the three standard
//! streams, which are pipes without a position.

use wasmtime::Linker;

use super::{
    BADF, Call, Errno, FAULT, IOVEC_BYTES, MODULE, SPIPE, STDERR, SUCCESS, memory, put, slice, slice_mut,
    u32_at,
};
use crate::state::{State, charge};

/// The functions that are served beside those for all modules.
pub(super) const SERVED: [&str; 8] = [
    "fd_advise",
    "fd_datasync",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_pread",
    "fd_pwrite",
    "fd_sync",
    "fd_tell",
];

const FILESTAT_BYTES: usize = 64;

/// Serves what [`SERVED`] names.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let if_open = |fd: u32, errno: Errno| if fd <= STDERR { errno } else { BADF };
    for name in ["fd_datasync", "fd_sync"] {
        linker.func_wrap(MODULE, name, move |fd: u32| if_open(fd, SUCCESS))?;
    }
    for name in ["fd_pread", "fd_pwrite"] {
        linker.func_wrap(MODULE, name, move |fd: u32, _: u32, _: u32, _: u64, _: u32| if_open(fd, SPIPE))?;
    }
    linker.func_wrap(MODULE, "fd_advise", move |fd: u32, _: u64, _: u64, _: u32| if_open(fd, SPIPE))?;
    linker.func_wrap(MODULE, "fd_tell", move |fd: u32, _: u32| if_open(fd, SPIPE))?;
    linker.func_wrap(MODULE, "fd_fdstat_set_rights", move |fd: u32, _: u64, _: u64| if_open(fd, SUCCESS))?;
    linker.func_wrap(MODULE, "fd_filestat_get", |mut call: Call<'_>, fd: u32, at: u32| {
        if fd > STDERR { Ok(BADF) } else { put(&mut call, at, &[0; FILESTAT_BYTES]) }
    })?;
    Ok(())
}

/// Fills the vectors with the next bytes of standard input, and says how many there were.
pub(super) fn read(mut call: Call<'_>, vectors_at: u32, count: u32, read_at: u32) -> wasmtime::Result<Errno> {
    charge(&mut call, count.into())?;
    let (memory, state) = memory(&mut call)?.data_and_store_mut(&mut call);
    let Some(vectors) = slice(memory, vectors_at, count.saturating_mul(IOVEC_BYTES)) else {
        return Ok(FAULT);
    };
    let vectors = vectors.chunks_exact(IOVEC_BYTES as usize);
    let vectors: Vec<_> = vectors.map(|vector| (u32_at(vector, 0), u32_at(vector, 4))).collect();
    let process = state.process.as_mut().expect("only commands come here, and they have one");
    let mut read = 0_u32;
    for (at, length) in vectors {
        let Some(target) = slice_mut(memory, at, length) else { return Ok(FAULT) };
        let bytes = process.read(target.len());
        target[..bytes.len()].copy_from_slice(&bytes);
        read += bytes.len() as u32;
    }
    charge(&mut call, read.into())?;
    put(&mut call, read_at, &read.to_le_bytes())
}

/// Writes texts, each with a zero at its end, and where each begins.
pub(super) fn put_texts(
    call: &mut Call<'_>,
    pointers_at: u32,
    bytes_at: u32,
    texts: &[String],
) -> wasmtime::Result<Errno> {
    let (mut pointers, mut bytes) = (Vec::new(), Vec::new());
    for text in texts {
        pointers.extend(bytes_at.wrapping_add(bytes.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    charge(&mut *call, bytes.len() as u64)?;
    match put(call, pointers_at, &pointers)? {
        SUCCESS => put(call, bytes_at, &bytes),
        errno => Ok(errno),
    }
}
