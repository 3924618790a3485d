//! A file that is written aside and takes its name when it is whole: `<name>.partial` until then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Where one kind of record goes.
pub(super) enum Output {
    /// Nowhere: it is only counted.
    Nowhere,
    /// To standard output, of which nothing can be taken back.
    Standard(BufWriter<io::Stdout>),
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
        Self::Standard(BufWriter::with_capacity(WRITE_BYTES, io::stdout()))
    }

    /// Opens the file aside, and cuts off what lies beyond the first `bytes`.
    pub(super) fn file(path: &Path, bytes: u64) -> io::Result<Self> {
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
            Self::Standard(writer) => writer.write_all(bytes),
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
            Self::Standard(writer) => writer.flush(),
            Self::File(file) => file.writer.flush(),
        }
    }

    /// Puts everything on the disk, if it is a file; gives how many bytes that are.
    pub(super) fn sync(&mut self) -> io::Result<u64> {
        self.flush()?;
        match self {
            Self::Nowhere | Self::Standard(_) => Ok(0),
            Self::File(file) => file.writer.get_ref().sync_data().map(|()| file.bytes),
        }
    }

    /// Where the file comes to lie, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Nowhere | Self::Standard(_) => None,
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
    let aside = with_suffix(path, ".new");
    let mut file = File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&aside, path)?;
    sync_folder(path)
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
