//! Headers in their canonical order: by name, then as given. One order, so that the same headers always
//! have the same bytes, whatever map they came through.
//!
//! Names are case-sensitive and may repeat (NATS ADR-4). Names that begin with `Nats-` or `Weir-`, in any
//! case, are reserved: a transform neither sees nor sets them.

use crate::digest::DigestBuilder;

/// Header names and values, sorted by name; the values of one name keep their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The given pairs in canonical order. White space around values is cut off, as NATS parsers do.
    pub fn canonical(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        for (_, value) in &mut pairs {
            let trimmed = value.trim();
            if trimmed.len() != value.len() {
                *value = trimmed.to_owned();
            }
        }
        if !pairs.is_sorted_by(|a, b| a.0 <= b.0) {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Self(pairs)
    }

    /// The same without the reserved names: what a transform gets to see.
    pub fn without_reserved(mut self) -> Self {
        self.0.retain(|(name, _)| !is_reserved(name));
        self
    }

    /// The first value of `name`, which is compared exactly.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All pairs, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes that these pairs take in a NATS header block, the block's own frame not counted.
    pub fn wire_bytes(&self) -> usize {
        self.iter().map(|(n, v)| n.len() + v.len() + 4).sum()
    }

    /// Feeds the pairs to a digest.
    pub fn digest_into(&self, digest: &mut DigestBuilder) {
        digest.number(self.0.len() as u64);
        for (name, value) in self.iter() {
            digest.field(name.as_bytes());
            digest.field(value.as_bytes());
        }
    }
}

/// Whether `name` belongs to NATS or to Weir.
pub fn is_reserved(name: &str) -> bool {
    let starts =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("nats-") || starts("weir-")
}

/// Why a header cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is empty, or has a character outside printable ASCII, a space or a colon.
    #[error("a header name is 1 or more printable ASCII characters without space and colon")]
    Name,
    /// The value has a line break or another control character.
    #[error("a header value has no line break and no other control character but tab")]
    Value,
    /// The name is reserved.
    #[error("names that begin with 'Nats-' or 'Weir-' are reserved")]
    Reserved,
}

/// Checks a header that a transform wants to send.
///
/// # Errors
/// See [`HeaderError`].
pub fn check(name: &str, value: &str) -> Result<(), HeaderError> {
    if name.is_empty() || !name.bytes().all(|c| c.is_ascii_graphic() && c != b':') {
        return Err(HeaderError::Name);
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(HeaderError::Value);
    }
    if is_reserved(name) {
        return Err(HeaderError::Reserved);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Headers {
        Headers::canonical(list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn order_is_by_name_then_as_given() {
        let headers = pairs(&[("b", "2"), ("a", "z"), ("b", "1"), ("a", " y ")]);
        let seen: Vec<_> = headers.iter().collect();
        assert_eq!(seen, [("a", "z"), ("a", "y"), ("b", "2"), ("b", "1")]);
    }

    #[test]
    fn reserved_names_are_hidden_and_refused_in_any_case() {
        let headers = pairs(&[("Nats-Msg-Id", "1"), ("weir-plan", "x"), ("Natsy", "kept")]);
        let seen = headers.without_reserved();
        assert_eq!(seen.iter().collect::<Vec<_>>(), [("Natsy", "kept")]);
        assert_eq!(check("NATS-TTL", "1"), Err(HeaderError::Reserved));
    }

    #[test]
    fn what_would_break_the_protocol_is_refused() {
        for (name, value) in [("", "v"), ("a b", "v"), ("a:b", "v"), ("a", "x\r\ny"), ("é", "v")] {
            assert!(check(name, value).is_err(), "{name:?} {value:?}");
        }
        assert_eq!(check("a", "grüße\tja"), Ok(()));
    }
}
