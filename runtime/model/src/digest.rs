//! SHA-256 digests in the OCI grammar: `sha256:` and 64 lower-case hexadecimal digits.
//!
//! A module, a plan and a receipt are all named by the digest of their bytes; nothing else in Weir is an
//! identity. Source of the grammar: OCI image specification, `descriptor.md`, "Digests".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "sha256:";

/// The SHA-256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut builder = DigestBuilder::new();
        builder.update(bytes);
        builder.finish()
    }

    /// The digest whose 32 raw bytes are given.
    pub const fn from_raw(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 32 raw bytes.
    pub const fn as_raw(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits, without `sha256:`; good as a file name.
    pub fn hex(&self) -> String {
        self.to_string().split_off(PREFIX.len())
    }

    /// `sha256:` and the first 12 digits, for tables read by people. Never an identity.
    pub fn short(&self) -> String {
        format!("{PREFIX}{}", &self.hex()[..12])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; PREFIX.len() + 64];
        let (prefix, hex) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("the digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseDigestError { text: text.chars().take(100).collect() };
        let hex = text.strip_prefix(PREFIX).ok_or_else(error)?;
        if hex.len() != 64 {
            return Err(error());
        }
        let mut raw = [0; 32];
        for (byte, pair) in raw.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Err(error()) };
            *byte = high << 4 | low;
        }
        Ok(Self(raw))
    }
}

/// The value of a lower-case hexadecimal digit.
const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// The text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a digest: expected 'sha256:' and 64 lower-case hexadecimal digits")]
pub struct ParseDigestError {
    text: String,
}

/// Small pieces are gathered up to this many bytes, and hashed together.
const GATHERED_BYTES: usize = 512;

/// A digest in the making, fed piece by piece.
#[derive(Clone, Debug, Default)]
pub struct DigestBuilder {
    hasher: Sha256,
    /// Pieces that are fed and not yet hashed: most are a few bytes, and each call of the hasher costs more
    /// than they do.
    gathered: Vec<u8>,
}

impl DigestBuilder {
    /// Nothing fed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds raw bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED_BYTES {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
            if bytes.len() >= GATHERED_BYTES / 2 {
                self.hasher.update(bytes);
                return;
            }
        }
        self.gathered.extend_from_slice(bytes);
    }

    /// Feeds a number, as eight little-endian bytes.
    pub fn number(&mut self, number: u64) {
        self.update(&number.to_le_bytes());
    }

    /// Feeds a byte string with its length before it, so that neighbours cannot run into each other.
    pub fn field(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.update(bytes);
    }

    /// The digest of all that was fed.
    pub fn finish(mut self) -> Digest {
        self.hasher.update(&self.gathered);
        Digest(self.hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_nothing_is_the_published_one() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse::<Digest>(), Ok(Digest::of(b"")));
    }

    #[test]
    fn what_is_not_a_digest_is_refused() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            hex.to_owned(),
            format!("sha512:{hex}"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            format!("sha256:+{}", &hex[1..]),
            String::new(),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn how_bytes_are_pieced_does_not_show() {
        let bytes: Vec<u8> = (0..3_000_u32).map(|n| (n % 251) as u8).collect();
        for piece in [1, 7, 8, 255, 256, 257, 511, 512, 513, 2_999] {
            let mut builder = DigestBuilder::new();
            bytes.chunks(piece).for_each(|piece| builder.update(piece));
            assert_eq!(builder.finish(), Digest::of(&bytes), "pieces of {piece}");
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let digest = |fields: [&[u8]; 2]| {
            let mut builder = DigestBuilder::new();
            fields.iter().for_each(|field| builder.field(field));
            builder.finish()
        };
        assert_ne!(digest([b"ab", b"c"]), digest([b"a", b"bc"]));
    }
}
