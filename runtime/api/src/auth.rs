//! Bearer tokens: who may do what. A tokens file has one token in each line,
//!
//! ```text
//! # role     name        SHA-256 of the token
//! read       prometheus  sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! operate    ci          sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
//! ```
//!
//! so a file that leaks gives no access. The hash is a plain one, which is safe for tokens of enough
//! randomness and only for those: `openssl rand -hex 32` makes one, `printf %s "$TOKEN" | sha256sum` hashes
//! it. Each role may do what the one before it may: `read`, `operate`, `admin`. The name stands in the log
//! beside what was done.
//!
//! Without tokens, which is possible on loopback only, everything is allowed, but for browsers that ask on
//! behalf of some web page.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use axum::http::{HeaderMap, Uri, header};
use model::Digest;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::error::{Code, NodeError};

/// The largest tokens file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a token allows. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// See how things are.
    Read,
    /// Make things run, and see what runs through them.
    Operate,
    /// Take things away.
    Admin,
}

impl Role {
    /// The role as it stands in a tokens file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Read, Self::Operate, Self::Admin].into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

/// All tokens that the node knows, as hashes; at least one.
#[derive(Clone, Debug)]
pub struct Tokens(Vec<Entry>);

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) role: Role,
    pub(crate) name: String,
    hash: Digest,
}

/// Why a tokens file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("cannot read the tokens file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no token in the file, so nobody could do anything.
    #[error("the tokens file {} has no token: write lines of 'role name sha256:<hash>'", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Tokens {
    /// Reads a tokens file.
    ///
    /// # Errors
    /// See [`TokensError`].
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        use std::io::Read as _;
        let read = || {
            let mut text = String::new();
            std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
            if text.len() as u64 > FILE_BYTES_MAX {
                return Err(std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
            }
            Ok(text)
        };
        let text = read().map_err(|source| TokensError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a tokens file; `path` is for errors only.
    ///
    /// # Errors
    /// [`TokensError::Line`] and [`TokensError::Empty`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, TokensError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |reason| TokensError::Line { path: path.to_owned(), line: index + 1, reason };
            let Some(entry) = parse_line(line).map_err(wrong)? else { continue };
            if entries.iter().any(|known| known.name == entry.name) {
                return Err(wrong(format!(
                    "the name '{}' is there already: a name has one token",
                    entry.name
                )));
            }
            if let Some(known) = entries.iter().find(|known| known.hash == entry.hash) {
                return Err(wrong(format!("'{}' has this token already: make another one", known.name)));
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(TokensError::Empty { path: path.to_owned() });
        }
        Ok(Self(entries))
    }

    /// The entry of a token. Takes the same time whatever the token and wherever in the list it is.
    fn find(&self, token: &str) -> Option<&Entry> {
        let hash = Digest::of(token.as_bytes());
        let mut found = u64::MAX;
        for (index, entry) in (0_u64..).zip(&self.0) {
            let equal: Choice = entry.hash.as_raw().ct_eq(hash.as_raw());
            found = u64::conditional_select(&found, &index, equal);
        }
        usize::try_from(found).ok().and_then(|index| self.0.get(index))
    }

    /// Who sends a request, if they have at least `role`.
    pub(crate) fn authorize(&self, headers: &HeaderMap, role: Role) -> Result<&Entry, NodeError> {
        let token = bearer(headers).ok_or_else(|| {
            NodeError::new(Code::Unauthenticated, "send a token: 'Authorization: Bearer <token>'")
        })?;
        let entry = self.find(token).ok_or_else(|| {
            NodeError::new(Code::Unauthenticated, "the node does not know this token: ask whoever runs it")
        })?;
        if entry.role < role {
            let detail = format!("this needs the role '{role}', and '{}' has '{}'", entry.name, entry.role);
            return Err(NodeError::new(Code::Forbidden, detail).with("required_role", role.as_str()));
        }
        Ok(entry)
    }
}

fn parse_line(line: &str) -> Result<Option<Entry>, String> {
    let line = line.split('#').next().unwrap_or_default();
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [role, name, hash] = fields[..] else {
        return match fields.is_empty() {
            true => Ok(None),
            false => Err(format!("expected 'role name sha256:<hash>', found {} words", fields.len())),
        };
    };
    let role = role.parse().map_err(|()| format!("'{role}' is not a role: read, operate or admin"))?;
    if name.len() > 64 || !name.bytes().all(|c| c.is_ascii_graphic()) {
        return Err("a name is 1 to 64 printable ASCII characters without spaces".to_owned());
    }
    let hash = hash.parse().map_err(|_| {
        "the third word has to be 'sha256:' and 64 lower-case hexadecimal digits, the hash of the token and \
         not the token itself"
            .to_owned()
    })?;
    Ok(Some(Entry { role, name: name.to_owned(), hash }))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Refuses what a browser asks on behalf of some web page, where no token stands between: a page that names
/// this node by a host name of its own, or that sends a request across origins.
pub(crate) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), NodeError> {
    let refuse = |detail| Err(NodeError::new(Code::CrossOrigin, detail));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if let Some(host) = host
        && !is_loopback(host)
    {
        return refuse("a node without tokens answers only to 'localhost' and loopback addresses");
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let authority = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, rest)| rest);
        if authority.is_none() || authority != host {
            return refuse("a node without tokens does not answer to web pages of other sites");
        }
    }
    Ok(())
}

/// Whether the text of a `Host` header names this machine.
fn is_loopback(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let name = uri.host().unwrap_or_default();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Tokens, String> {
        Tokens::parse(text, Path::new("tokens")).map_err(|error| error.to_string())
    }

    fn line(role: &str, name: &str, token: &str) -> String {
        format!("{role} {name} {}\n", Digest::of(token.as_bytes()))
    }

    #[test]
    fn a_token_is_found_by_itself_and_by_nothing_else() {
        let text = format!("# all\n\n{}\t{}", line("read", "a", "one"), line("admin", "b", "two"));
        let tokens = parse(&text).expect("the file is right");
        for (token, name) in [("one", Some("a")), ("two", Some("b")), ("three", None), ("", None)] {
            assert_eq!(tokens.find(token).map(|entry| &*entry.name), name, "{token}");
        }
        let hash = Digest::of(b"one").to_string();
        assert!(tokens.find(&hash).is_none(), "the hash is not the token");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = line("read", "a", "one");
        for (text, message) in [
            (String::new(), "no token"),
            ("# nothing\n".to_owned(), "no token"),
            (format!("{good}root b {}", Digest::of(b"x")), "tokens:2: 'root' is not a role"),
            (format!("{good}read b"), "tokens:2: expected 'role name sha256:<hash>', found 2 words"),
            (format!("{good}read b secret"), "tokens:2: the third word has to be"),
            (format!("{good}{}", line("read", "a", "two")), "tokens:2: the name 'a' is there already"),
            (format!("{good}{}", line("read", "b", "one")), "tokens:2: 'a' has this token already"),
        ] {
            let error = parse(&text).expect_err("the file is wrong");
            assert!(error.contains(message), "{error}");
            assert!(!error.contains("secret"), "what may be a token is not repeated: {error}");
        }
        let error = Tokens::read(Path::new("/nowhere/tokens")).expect_err("there is no such file");
        assert!(error.to_string().contains("/nowhere/tokens"), "{error}");
    }

    #[test]
    fn a_browser_on_behalf_of_a_web_page_is_refused() {
        for (host, origin, refused) in [
            (None, None, false),
            (Some("localhost:8080"), None, false),
            (Some("LOCALHOST"), None, false),
            (Some("127.0.0.1:8080"), None, false),
            (Some("127.8.8.8"), None, false),
            (Some("[::1]:8080"), None, false),
            (Some("localhost:8080"), Some("http://localhost:8080"), false),
            (Some("localhost:8080"), Some("http://localhost:3000"), true),
            (Some("localhost:8080"), Some("https://example.org"), true),
            (Some("localhost:8080"), Some("null"), true),
            (None, Some("https://example.org"), true),
            (Some("rebound.example.org"), None, true),
            (Some("localhost.example.org"), None, true),
            (Some("192.0.2.1:8080"), None, true),
            (Some("0.0.0.0"), None, true),
            (Some(""), None, true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().expect("a valid header"));
                }
            }
            assert_eq!(refuse_other_sites(&headers).is_err(), refused, "{host:?} {origin:?}");
        }
    }
}
