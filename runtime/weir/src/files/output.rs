//! A file that is written aside and takes its name when it is whole: `<name>.partial` until then. What is
//! there and is no file, such as a pipe or `/dev/null`, stays what it is, and is written to as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Where one kind of record goes.
pub(super) enum Output {
    /// Nowhere: it is only counted.
    Nowhere,
    /// To standard output or a device, of which nothing can be taken back.
    Through(BufWriter<Box<dyn Write + Send>>),
    /// To a file.
    File(PartialFile),
}

/// A file on its way.
pub(super) struct PartialFile {
    path: PathBuf,
    writer: BufWriter<File>,
    bytes: u64,
}

impl Output {
    pub(super) fn standard() -> Self {
        Self::through(io::stdout())
    }

    fn through(writer: impl Write + Send + 'static) -> Self {
        Self::Through(BufWriter::with_capacity(WRITE_BYTES, Box::new(writer)))
    }

    /// Opens the file aside, and cuts off what lies beyond the first `bytes`.
    pub(super) fn file(path: &Path, bytes: u64) -> io::Result<Self> {
        if is_no_file(path) {
            return OpenOptions::new().write(true).open(path).map(Self::through);
        }
        let aside = partial_path(path);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(aside)?;
        if file.metadata()?.len() < bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the partial file is shorter than it was",
            ));
        }
        file.set_len(bytes)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(bytes))?;
        let writer = BufWriter::with_capacity(WRITE_BYTES, file);
        Ok(Self::File(PartialFile { path: path.to_owned(), writer, bytes }))
    }

    /// Whether so many bytes lie aside already, where there is a file at all.
    pub(super) fn holds(path: Option<&PathBuf>, bytes: u64) -> bool {
        let length = path.map(|path| fs::metadata(partial_path(path)).map_or(0, |metadata| metadata.len()));
        length.is_none_or(|length| length >= bytes)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Through(writer) => writer.write_all(bytes),
            Self::File(file) => {
                file.bytes += bytes.len() as u64;
                file.writer.write_all(bytes)
            }
        }
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Through(writer) => writer.flush(),
            Self::File(file) => file.writer.flush(),
        }
    }

    /// Puts everything on the disk, if it is a file; gives how many bytes that are.
    pub(super) fn sync(&mut self) -> io::Result<u64> {
        self.flush()?;
        match self {
            Self::Nowhere | Self::Through(_) => Ok(0),
            Self::File(file) => file.writer.get_ref().sync_data().map(|()| file.bytes),
        }
    }

    /// Where the file comes to lie, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Nowhere | Self::Through(_) => None,
            Self::File(file) => Some(&file.path),
        }
    }
}

/// Gives a file that is whole and on the disk its name. One that has it already is left alone.
pub(super) fn take_name(path: &Path) -> io::Result<()> {
    match fs::rename(partial_path(path), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
        renamed => renamed.and_then(|()| sync_folder(path)),
    }
}

/// Writes a small file so that it is there whole, or as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_no_file(path) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let aside = with_suffix(path, ".new");
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&aside, path)?;
    sync_folder(path)
}

/// Whether something is there that a file must not take the place of.
pub(super) fn is_no_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn partial_path(path: &Path) -> PathBuf {
    with_suffix(path, ".partial")
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt as _;

    use super::*;

    /// Once, a run by root whose output was `/dev/null` put a file in its place.
    #[test]
    fn what_is_no_file_stays_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        let reader = || {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read_to_string(&pipe).expect("text"))
        };
        let read = reader();
        let mut output = Output::file(&pipe, 0).expect("the pipe opens");
        output.write(b"a line\n").expect("the pipe takes it");
        assert_eq!(output.sync().expect("it is handed over"), 0);
        drop(output);
        take_name(&pipe).expect("there is nothing to do");
        assert_eq!(read.join().expect("the reader ends"), "a line\n");
        let read = reader();
        replace(&pipe, b"whole").expect("the pipe takes it");
        assert_eq!(read.join().expect("the reader ends"), "whole");
        assert!(fs::metadata(&pipe).expect("it is there").file_type().is_fifo());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing lies beside it");
    }
}
