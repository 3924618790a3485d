//! Headers in their canonical order: by name, then as given. One order, so that the same headers always
//! have the same bytes, whatever map they came through.
//!
//! Names are case-sensitive and may repeat (NATS ADR-4). Names that begin with `Nats-` or `Weir-`, in any
//! case, are reserved: a transform neither sees nor sets them.

use std::fmt;

use crate::digest::DigestBuilder;

/// Header names and values, sorted by name; the values of one name keep their order.
///
/// All of them lie in one text, since a record has half a dozen and a stream has millions of records.
#[derive(Clone, Default)]
pub struct Headers {
    text: String,
    pairs: Vec<Pair>,
}

/// Where a name and its value begin and end in the text.
#[derive(Clone, Copy)]
struct Pair {
    start: usize,
    middle: usize,
    end: usize,
}

/// Room for what most header blocks hold.
const USUAL_BYTES: usize = 256;
const USUAL_PAIRS: usize = 8;

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self { text: String::new(), pairs: Vec::new() }
    }

    /// The given pairs in canonical order. White space around values is cut off, as NATS parsers do.
    pub fn canonical<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut headers = Self::new();
        for (name, value) in pairs {
            headers.push(name.as_ref(), value.as_ref().trim());
        }
        if !headers.iter().is_sorted_by(|(a, _), (b, _)| a <= b) {
            let Self { text, pairs } = &mut headers;
            let name = |pair: &Pair| &text[pair.start..pair.middle];
            pairs.sort_by(|a, b| name(a).cmp(name(b)));
        }
        headers
    }

    fn push(&mut self, name: &str, value: &str) {
        if self.pairs.is_empty() {
            self.text.reserve(USUAL_BYTES.max(name.len() + value.len()));
            self.pairs.reserve(USUAL_PAIRS);
        }
        let start = self.text.len();
        self.text.push_str(name);
        let middle = self.text.len();
        self.text.push_str(value);
        self.pairs.push(Pair { start, middle, end: self.text.len() });
    }

    /// The same without the reserved names: what a transform gets to see.
    pub fn without_reserved(self) -> Self {
        self.without(is_reserved)
    }

    /// The same without some names.
    pub(crate) fn without(mut self, is_left_out: impl Fn(&str) -> bool) -> Self {
        let text = &self.text;
        self.pairs.retain(|pair| !is_left_out(&text[pair.start..pair.middle]));
        self
    }

    /// The first value of `name`, which is compared exactly.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All pairs, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|pair| (&self.text[pair.start..pair.middle], &self.text[pair.middle..pair.end]))
    }

    /// JSON: an array of arrays of name and value.
    pub fn to_json(&self) -> String {
        let pairs: Vec<_> = self.iter().collect();
        serde_json::to_string(&pairs).expect("pairs of texts can be written as JSON")
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The bytes that these pairs take in a NATS header block, the block's own frame not counted.
    pub fn wire_bytes(&self) -> usize {
        self.iter().map(|(n, v)| n.len() + v.len() + 4).sum()
    }

    /// Feeds the pairs to a digest.
    pub fn digest_into(&self, digest: &mut DigestBuilder) {
        digest.number(self.pairs.len() as u64);
        for (name, value) in self.iter() {
            digest.field(name.as_bytes());
            digest.field(value.as_bytes());
        }
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
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
        Headers::canonical(list.iter().copied())
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
        assert_eq!((&seen, seen.len()), (&pairs(&[("Natsy", "kept")]), 1));
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
