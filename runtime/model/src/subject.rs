//! Subjects, patterns over them, and the template that gives a message its subject.
//!
//! The grammar is that of NATS (ADR-6, and the server's rules for wildcards): tokens between dots; in a
//! pattern `*` stands for one token and `>`, as the last, for one or more.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 1024;

/// A text that is not a subject, a pattern or a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a {what}: {rule}")]
pub struct ParseSubjectError {
    what: &'static str,
    rule: &'static str,
    text: String,
}

fn error(what: &'static str, rule: &'static str, text: &str) -> ParseSubjectError {
    let text = text.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c });
    ParseSubjectError { what, rule, text: text.collect() }
}

fn is_token(token: &str) -> bool {
    !token.is_empty() && !token.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// A subject that a message can be sent to: no wildcards, no empty token, no white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself, given away.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Subject {
    type Error = ParseSubjectError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let literal = |token: &str| is_token(token) && token != "*" && token != ">";
        if text.len() <= SUBJECT_BYTES_MAX && text.split('.').all(literal) {
            return Ok(Self(text));
        }
        let rule = "1 to 1024 bytes of tokens between dots, none empty, no white space, no wildcard";
        Err(error("subject", rule, &text))
    }
}

/// A set of subjects, as a stream or a consumer's filter names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SubjectPattern(String);

impl SubjectPattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `subject` is in the set.
    pub fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    /// Whether every subject of `other` is also in this set.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.0.split('.');
        for ours in self.0.split('.') {
            match (ours, theirs.next()) {
                (">", Some(_)) => return true,
                ("*", Some(token)) if token != ">" => {}
                (ours, Some(token)) if ours == token => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some subject is in both sets.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.split('.'), other.0.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SubjectPattern {
    type Err = ParseSubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tokens: Vec<_> = text.split('.').collect();
        let tail_last = tokens.iter().rposition(|t| *t == ">").is_none_or(|at| at + 1 == tokens.len())
            && tokens.iter().filter(|t| **t == ">").count() <= 1;
        if text.len() <= SUBJECT_BYTES_MAX && tail_last && tokens.iter().all(|t| is_token(t)) {
            return Ok(Self(text.to_owned()));
        }
        let rule = "tokens between dots, none empty, no white space; '*' is any one token, '>' only the last";
        Err(error("subject pattern", rule, text))
    }
}

impl TryFrom<String> for SubjectPattern {
    type Error = ParseSubjectError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SubjectPattern> for String {
    fn from(pattern: SubjectPattern) -> Self {
        pattern.0
    }
}

/// How a message that names no subject gets one: text with `{subject}` for the source event's subject and
/// `{1}`, `{2}` … for its tokens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SubjectTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(String),
    Subject,
    Token(usize),
}

impl SubjectTemplate {
    /// The template as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The subject for an event of this source subject.
    ///
    /// # Errors
    /// The number of the token that the template names and the subject does not have.
    pub fn expand(&self, source_subject: &str) -> Result<String, usize> {
        let mut subject = String::with_capacity(self.text.len() + source_subject.len());
        for part in &self.parts {
            match part {
                Part::Literal(text) => subject.push_str(text),
                Part::Subject => subject.push_str(source_subject),
                Part::Token(number) => {
                    subject.push_str(source_subject.split('.').nth(number - 1).ok_or(*number)?);
                }
            }
        }
        Ok(subject)
    }

    /// A pattern that covers every subject the template can make.
    pub fn pattern(&self) -> SubjectPattern {
        let mut marked = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => marked.push_str(text),
                Part::Subject => marked.push('\u{1}'),
                Part::Token(_) => marked.push('\u{2}'),
            }
        }
        let mut tokens = Vec::new();
        for token in marked.split('.') {
            if token.contains('\u{1}') {
                tokens.push(">");
                break;
            }
            tokens.push(if token.contains('\u{2}') { "*" } else { token });
        }
        SubjectPattern(tokens.join("."))
    }
}

impl FromStr for SubjectTemplate {
    type Err = ParseSubjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule =
            "a subject in which '{subject}' stands for the event's subject and '{1}', '{2}' … for its tokens";
        let bad = || error("subject template", rule, text);
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(open) = rest.find('{') {
            let close = open + rest[open..].find('}').ok_or_else(bad)?;
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            parts.push(match &rest[open + 1..close] {
                "subject" => Part::Subject,
                number => match number.parse() {
                    Ok(number @ 1..=64) => Part::Token(number),
                    _ => return Err(bad()),
                },
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let template = Self { text: text.to_owned(), parts };
        let example = vec!["x"; 64].join(".");
        let sample = template.expand(&example).map_err(|_| bad())?;
        Subject::try_from(sample).map_err(|_| bad())?;
        if text.contains('}') && !text.contains('{') {
            return Err(bad());
        }
        Ok(template)
    }
}

impl TryFrom<String> for SubjectTemplate {
    type Error = ParseSubjectError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SubjectTemplate> for String {
    fn from(template: SubjectTemplate) -> Self {
        template.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> SubjectPattern {
        text.parse().expect(text)
    }

    #[test]
    fn patterns_match_as_nats_does() {
        for (text, subject, matches) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b", "a.b", true),
            ("a.b", "a", false),
        ] {
            assert_eq!(pattern(text).matches(subject), matches, "{text} {subject}");
        }
    }

    #[test]
    fn cover_and_overlap() {
        for (a, b, covers, overlaps) in [
            ("a.>", "a.b.*", true, true),
            ("a.*", "a.>", false, true),
            ("a.*", "a.b", true, true),
            ("a.b", "a.*", false, true),
            ("a.*.c", "a.b.*", false, true),
            ("a.b", "a.c", false, false),
            (">", "x.>", true, true),
            ("a", "a.b", false, false),
        ] {
            assert_eq!(pattern(a).covers(&pattern(b)), covers, "{a} covers {b}");
            assert_eq!(pattern(a).overlaps(&pattern(b)), overlaps, "{a} overlaps {b}");
            assert_eq!(pattern(b).overlaps(&pattern(a)), overlaps, "{b} overlaps {a}");
        }
    }

    #[test]
    fn templates_expand_and_know_their_pattern() {
        for (text, subject, expanded, covering) in [
            ("clean.{subject}", "in.a.b", Ok("clean.in.a.b"), "clean.>"),
            ("out.{2}.{1}", "a.b", Ok("out.b.a"), "out.*.*"),
            ("out.x-{1}", "a.b", Ok("out.x-a"), "out.*"),
            ("{subject}.done", "a", Ok("a.done"), ">"),
            ("fixed", "a.b", Ok("fixed"), "fixed"),
            ("out.{3}", "a.b", Err(3), "out.*"),
        ] {
            let template: SubjectTemplate = text.parse().expect(text);
            assert_eq!(template.expand(subject), expanded.map(str::to_owned), "{text}");
            assert_eq!(template.pattern(), pattern(covering), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_subject_is_refused() {
        for bad in ["", ".", "a.", "a..b", "a b", "a.>", "*", "a\n"] {
            assert!(Subject::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for bad in ["", ">.a", "a.>.>", "a..b", "a b"] {
            assert!(bad.parse::<SubjectPattern>().is_err(), "{bad:?}");
        }
        for bad in ["", "{", "a.{x}", "a.{0}", "a..{1}", "a.}", "a.*", "a.{1"] {
            assert!(bad.parse::<SubjectTemplate>().is_err(), "{bad:?}");
        }
    }
}
