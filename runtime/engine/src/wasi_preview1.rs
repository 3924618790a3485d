//! WASI preview 1 for core modules, made from the event alone: clocks show its timestamp, randomness is
//! seeded from it, standard output and error go to the log, and there are no files, arguments or variables.
//! Commands have standard input and variables as well, and what they print is their answer.
//!
//! A call that is not served here ends the event as a guest fault that names it.

mod command;

use wasmtime::{Caller, ExternType, Linker, Module};

use crate::command::{Exit, Process};
use crate::core_module::{memory, slice, slice_mut};
use crate::log::LogSource;
use crate::state::{State, charge, denied, denied_import};

/// The module that preview 1 is imported from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// All functions of preview 1. What is not among them is not WASI, and refused at upload.
pub(crate) const NAMES: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// What a function returns: an error number of the specification.
type Errno = u32;
const SUCCESS: Errno = 0;
const BADF: Errno = 8;
const FAULT: Errno = 21;
const INVAL: Errno = 28;
const NOTSUP: Errno = 58;
const SPIPE: Errno = 70;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// Sizes and places in the specification's records, in bytes.
const IOVEC_BYTES: u32 = 8;
const FDSTAT_BYTES: u32 = 24;
const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

type Call<'a> = Caller<'a, State>;

/// Serves what is served and makes a fault of every other function that `module` imports.
pub(crate) fn link(linker: &mut Linker<State>, module: &Module) -> wasmtime::Result<()> {
    link_served(linker)?;
    deny_others(linker, module, &[])
}

/// The same for a command, to which more is served.
pub(crate) fn link_command(linker: &mut Linker<State>, module: &Module) -> wasmtime::Result<()> {
    link_served(linker)?;
    command::link(linker)?;
    deny_others(linker, module, &command::SERVED)
}

fn link_served(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_environment(linker)?;
    link_clocks(linker)?;
    link_streams(linker)?;
    linker.func_wrap(MODULE, "random_get", random_get)?;
    linker.func_wrap(MODULE, "sched_yield", || SUCCESS)?;
    linker.func_wrap(MODULE, "proc_exit", |call: Call<'_>, code: u32| -> wasmtime::Result<()> {
        Err(match call.data().process {
            Some(_) => wasmtime::Error::new(Exit(code)),
            None => denied(format!("the module ended itself with proc_exit({code})")),
        })
    })?;
    Ok(())
}

fn deny_others(linker: &mut Linker<State>, module: &Module, more_served: &[&str]) -> wasmtime::Result<()> {
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else { continue };
        if import.module() != MODULE || is_served(import.name()) || more_served.contains(&import.name()) {
            continue;
        }
        let name = format!("{MODULE}.{}", import.name());
        linker.func_new(MODULE, import.name(), ty, move |_, _, _| Err(denied_import(&name)))?;
    }
    Ok(())
}

fn is_served(name: &str) -> bool {
    matches!(
        name,
        "args_get"
            | "args_sizes_get"
            | "environ_get"
            | "environ_sizes_get"
            | "clock_res_get"
            | "clock_time_get"
            | "poll_oneoff"
            | "fd_close"
            | "fd_fdstat_get"
            | "fd_fdstat_set_flags"
            | "fd_prestat_get"
            | "fd_prestat_dir_name"
            | "fd_read"
            | "fd_seek"
            | "fd_write"
            | "random_get"
            | "sched_yield"
            | "proc_exit"
    )
}

fn link_environment(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let variables: fn(&Process) -> Vec<String> =
        |process| process.environment().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    for (sizes, get, texts) in [
        ("args_sizes_get", "args_get", Process::arguments as fn(&Process) -> Vec<String>),
        ("environ_sizes_get", "environ_get", variables),
    ] {
        linker.func_wrap(MODULE, sizes, move |mut call: Call<'_>, count_at: u32, bytes_at: u32| {
            let texts = call.data().process.as_ref().map(texts).unwrap_or_default();
            let bytes: usize = texts.iter().map(|text| text.len() + 1).sum();
            put(&mut call, count_at, &(texts.len() as u32).to_le_bytes())?;
            put(&mut call, bytes_at, &(bytes as u32).to_le_bytes())
        })?;
        linker.func_wrap(
            MODULE,
            get,
            move |mut call: Call<'_>, pointers_at: u32, bytes_at: u32| match call
                .data()
                .process
                .as_ref()
                .map(texts)
            {
                Some(texts) => command::put_texts(&mut call, pointers_at, bytes_at, &texts),
                None => Ok(SUCCESS),
            },
        )?;
    }
    Ok(())
}

fn link_clocks(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "clock_res_get", |mut call: Call<'_>, clock: u32, at: u32| {
        if clock > 1 {
            return Ok(NOTSUP);
        }
        put(&mut call, at, &1_u64.to_le_bytes())
    })?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut call: Call<'_>, clock: u32, _precision: u64, at: u32| {
            if clock > 1 {
                return Ok(NOTSUP);
            }
            let state = call.data();
            let now = if clock == 0 { state.clock_ns } else { state.monotonic_ns() };
            put(&mut call, at, &now.to_le_bytes())
        },
    )?;
    linker.func_wrap(MODULE, "poll_oneoff", poll_oneoff)?;
    Ok(())
}

fn link_streams(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let open_or_bad = |fd: u32| if fd <= STDERR { SUCCESS } else { BADF };
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(
        MODULE,
        "fd_read",
        |mut call: Call<'_>, fd: u32, vectors_at: u32, count: u32, read_at: u32| match fd {
            STDIN if call.data().process.is_some() => command::read(call, vectors_at, count, read_at),
            STDIN => put(&mut call, read_at, &0_u32.to_le_bytes()),
            _ => Ok(BADF),
        },
    )?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |mut call: Call<'_>, fd: u32, at: u32| {
        if fd > STDERR { Ok(BADF) } else { put(&mut call, at, &[0; FDSTAT_BYTES as usize]) }
    })?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", move |fd: u32, _: u32| open_or_bad(fd))?;
    linker.func_wrap(MODULE, "fd_close", open_or_bad)?;
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |fd: u32, _: u64, _: u32, _: u32| {
            if fd > STDERR { BADF } else { SPIPE }
        },
    )?;
    linker.func_wrap(MODULE, "fd_prestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(MODULE, "fd_prestat_dir_name", |_: u32, _: u32, _: u32| BADF)?;
    Ok(())
}

fn random_get(mut call: Call<'_>, at: u32, length: u32) -> wasmtime::Result<Errno> {
    charge(&mut call, length.into())?;
    let (memory, state) = memory(&mut call)?.data_and_store_mut(&mut call);
    let Some(target) = slice_mut(memory, at, length) else { return Ok(FAULT) };
    state.random.fill(target);
    Ok(SUCCESS)
}

fn fd_write(
    mut call: Call<'_>,
    fd: u32,
    vectors_at: u32,
    count: u32,
    written_at: u32,
) -> wasmtime::Result<Errno> {
    let source = match fd {
        STDOUT => LogSource::Stdout,
        STDERR => LogSource::Stderr,
        _ => return Ok(BADF),
    };
    charge(&mut call, count.into())?;
    let (memory, state) = memory(&mut call)?.data_and_store_mut(&mut call);
    let Some(vectors) = slice(memory, vectors_at, count.saturating_mul(IOVEC_BYTES)) else {
        return Ok(FAULT);
    };
    let mut written = 0_u32;
    for vector in vectors.chunks_exact(IOVEC_BYTES as usize) {
        let (at, length) = (u32_at(vector, 0), u32_at(vector, 4));
        let Some(bytes) = slice(memory, at, length) else { return Ok(FAULT) };
        match (&mut state.process, source) {
            (Some(process), LogSource::Stdout) => process.print(bytes)?,
            _ => state.log.stream(source, bytes),
        }
        written = written.wrapping_add(length);
    }
    if call.data().process.is_some() {
        charge(&mut call, written.into())?;
    }
    put(&mut call, written_at, &written.to_le_bytes())
}

/// Waits for the earliest of some clocks: moves the guest's clock there and reports those that are due.
/// Waiting for anything else is served to commands alone, whose streams are always ready.
fn poll_oneoff(
    mut call: Call<'_>,
    subscriptions_at: u32,
    events_at: u32,
    count: u32,
    events_count_at: u32,
) -> wasmtime::Result<Errno> {
    if count == 0 {
        return Ok(INVAL);
    }
    let length = count.saturating_mul(SUBSCRIPTION_BYTES);
    charge(&mut call, length.into())?;
    let (memory, state) = memory(&mut call)?.data_and_store_mut(&mut call);
    let Some(subscriptions) = slice(memory, subscriptions_at, length) else { return Ok(FAULT) };
    let mut due = Vec::new();
    for subscription in subscriptions.chunks_exact(SUBSCRIPTION_BYTES as usize) {
        let (userdata, kind) = (u64_at(subscription, 0), subscription[8]);
        let instant = match (kind, &state.process) {
            (0, _) => {
                let (timeout, absolute) = (u64_at(subscription, 24), subscription[40] & 1 == 1);
                if absolute { timeout } else { state.clock_ns.saturating_add(timeout) }
            }
            // The standard streams of a command are always ready.
            (_, Some(_)) if u32_at(subscription, 16) <= STDERR => 0,
            _ => return Err(denied_import("wasi_snapshot_preview1.poll_oneoff on a file")),
        };
        due.push((instant, userdata, kind));
    }
    state.sleep_until(due.iter().map(|(instant, ..)| *instant).min().unwrap_or(0));
    due.retain(|(instant, ..)| *instant <= state.clock_ns);
    let unread_bytes = state.process.as_ref().map_or(0, Process::unread_bytes) as u64;
    let mut events = Vec::with_capacity(due.len() * EVENT_BYTES as usize);
    for (_, userdata, kind) in &due {
        events.extend(userdata.to_le_bytes());
        events.extend([0, 0, *kind, 0, 0, 0, 0, 0]);
        events.extend(if *kind == 1 { unread_bytes } else { 0 }.to_le_bytes());
        events.extend([0; 8]);
    }
    match put(&mut call, events_at, &events)? {
        SUCCESS => put(&mut call, events_count_at, &(due.len() as u32).to_le_bytes()),
        errno => Ok(errno),
    }
}

/// Writes a result into the guest's memory.
fn put(call: &mut Call<'_>, at: u32, bytes: &[u8]) -> wasmtime::Result<Errno> {
    charge(&mut *call, 0)?;
    let memory = memory(call)?.data_mut(call);
    let Some(target) = slice_mut(memory, at, bytes.len() as u32) else { return Ok(FAULT) };
    target.copy_from_slice(bytes);
    Ok(SUCCESS)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes were taken"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes were taken"))
}
