//! The reason why an event is refused, made from any error by `?`.

use std::fmt;

/// Why an event is refused; it becomes a dead letter that carries this text.
///
/// Anything that can be displayed turns into one, so `?` works on all errors, `anyhow`'s too (its whole chain
/// of causes is kept), and `Err("no such order".into())` is enough. For that to be possible this type itself
/// is not [`Display`](fmt::Display); see [`reason`](Self::reason).
#[derive(Clone, PartialEq, Eq)]
pub struct Reject(String);

impl Reject {
    /// Refuses for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(format!("{reason:#}"))
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        &self.0
    }
}

impl<E: fmt::Display> From<E> for Reject {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl From<Reject> for String {
    fn from(reject: Reject) -> Self {
        reject.0
    }
}

impl fmt::Debug for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_a_reason_by_the_question_mark() {
        fn number(text: &str) -> crate::Result<u8> {
            if text.is_empty() {
                return Err("no number".into());
            }
            Ok(text.parse::<u8>()?)
        }
        assert_eq!(number("7"), Ok(7));
        assert_eq!(number(""), Err(Reject::new("no number")));
        assert_eq!(number("x").map_err(String::from), Err("invalid digit found in string".to_owned()));
    }
}
