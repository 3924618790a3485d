//! Text that must not be shown: passwords, tokens, seeds.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use super::ConfigError;

/// The longest secret, in bytes: more than any token, seed or JWT has.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A secret. It shows itself only to who asks for it by [`reveal`](Self::reveal).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Text that is to be kept from logs.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The first line of a file, without white space around it.
    ///
    /// # Errors
    /// When the file cannot be read, is empty or is no secret's size.
    pub(crate) fn from_file(place: &str, path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::File { place: place.to_owned(), path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        match text.lines().map(str::trim).find(|line| !line.is_empty()) {
            Some(line) => Ok(Self(line.to_owned())),
            None => Err(ConfigError::value(place, format!("{} is empty", path.display()))),
        }
    }

    /// The text itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The text itself, for one who keeps it from logs as well.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_whole_and_not_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        std::fs::write(&path, "\n  s3cret \nnext\n").expect("written");
        let secret = Secret::from_file("--token-file", &path).expect("a secret");
        assert_eq!(secret.reveal(), "s3cret");
        assert!(!format!("{secret:?}").contains("s3cret"));
        std::fs::write(&path, " \n").expect("written");
        let error = Secret::from_file("--token-file", &path).expect_err("empty").to_string();
        assert!(error.starts_with("--token-file: ") && error.ends_with("is empty"), "{error}");
        let error = Secret::from_file("--x", &directory.path().join("none")).expect_err("missing");
        assert!(error.to_string().contains("cannot read"), "{error}");
    }
}
