//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, section 13): who changes something says what it takes
//! it to be, and gets 412 where somebody else was quicker.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::error::{Code, NodeError};

/// What has to be so for a change to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum EntityTags {
    Any,
    List(Vec<String>),
}

impl Preconditions {
    /// No conditions: whatever is there may be changed.
    pub const NONE: Self = Self { if_match: None, if_none_match: None };

    /// Checks the conditions against the revision or generation that is there now; none if nothing is.
    ///
    /// # Errors
    /// [`Code::PreconditionFailed`], with `current` if there is one.
    pub fn check(&self, current: Option<u64>) -> Result<(), NodeError> {
        let tag = current.map(|number| number.to_string());
        let matches = |tags: &EntityTags| tags.matches(tag.as_deref());
        let wrong = self.if_match.as_ref().is_some_and(|tags| !matches(tags))
            || self.if_none_match.as_ref().is_some_and(matches);
        match (wrong, current) {
            (false, _) => Ok(()),
            (true, Some(current)) => Err(NodeError::new(
                Code::PreconditionFailed,
                format!("the ETag is \"{current}\" now: read it again, then decide"),
            )
            .with("current", current)),
            (true, None) => {
                Err(NodeError::new(Code::PreconditionFailed, "it does not exist, so no ETag can match"))
            }
        }
    }

    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, NodeError> {
        Ok(Self {
            if_match: entity_tags(headers, &header::IF_MATCH)?,
            if_none_match: entity_tags(headers, &header::IF_NONE_MATCH)?,
        })
    }
}

impl EntityTags {
    fn matches(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::List(tags), Some(current)) => tags.iter().any(|tag| tag == current),
        }
    }
}

/// The `ETag` of something with this revision, generation or digest.
pub(crate) fn etag(text: impl std::fmt::Display) -> HeaderValue {
    format!("\"{text}\"").try_into().expect("numbers and digests are visible ASCII")
}

/// Whether the client has this already, by `If-None-Match`.
pub(crate) fn is_known(headers: &HeaderMap, current: &str) -> Result<bool, NodeError> {
    let tags = entity_tags(headers, &header::IF_NONE_MATCH)?;
    Ok(tags.is_some_and(|tags| tags.matches(Some(current))))
}

/// Reads a list of entity tags. Weak ones are left out, since ours are all strong.
fn entity_tags(headers: &HeaderMap, name: &header::HeaderName) -> Result<Option<EntityTags>, NodeError> {
    let mut tags = Vec::new();
    let mut found = false;
    for value in headers.get_all(name) {
        found = true;
        let text = value.to_str().map_err(|_| malformed(name))?;
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            if tag == "*" {
                return Ok(Some(EntityTags::Any));
            }
            if tag.starts_with("W/") {
                continue;
            }
            let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            tags.push(inner.ok_or_else(|| malformed(name))?.to_owned());
        }
    }
    Ok(found.then_some(EntityTags::List(tags)))
}

fn malformed(name: &header::HeaderName) -> NodeError {
    let detail = format!("the header '{name}' has to be '*' or a list of ETags in double quotes");
    NodeError::new(Code::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Preconditions, NodeError> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        Preconditions::from_headers(&headers)
    }

    #[test]
    fn conditions_hold_as_the_standard_says() {
        for (name, value, current, holds) in [
            ("if-match", "\"7\"", Some(7), true),
            ("if-match", "\"6\", \"7\"", Some(7), true),
            ("if-match", "\"6\"", Some(7), false),
            ("if-match", "W/\"7\"", Some(7), false),
            ("if-match", "*", Some(7), true),
            ("if-match", "*", None, false),
            ("if-match", "\"7\"", None, false),
            ("if-none-match", "*", None, true),
            ("if-none-match", "*", Some(7), false),
            ("if-none-match", "\"7\"", Some(8), true),
            ("if-none-match", "\"7\"", Some(7), false),
            ("x-other", "\"7\"", Some(8), true),
        ] {
            let conditions = read(name, value).expect("the header is well formed");
            assert_eq!(conditions.check(current).is_ok(), holds, "{name}: {value}, {current:?}");
        }
    }

    #[test]
    fn what_is_no_entity_tag_is_refused() {
        for value in ["7", "\"7", "7\"", "\""] {
            let error = read("if-match", value).expect_err(value);
            assert_eq!(error.code(), Code::InvalidRequest);
        }
    }
}
