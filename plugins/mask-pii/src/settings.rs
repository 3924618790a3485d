//! The step's configuration: read once, checked as a whole. README.md has it as a table.

use serde::Deserialize;

use crate::action::Action;
use crate::selector::Selector;

/// The shortest key with which a token cannot be guessed, in bytes.
const KEY_BYTES_MIN: usize = 16;

/// What to mask, ready to use.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "File")]
pub struct Settings {
    rules: Vec<Rule>,
}

/// One selector and what is done with its values.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) selector: Selector,
    pub(crate) action: Action,
    pub(crate) missing: Missing,
}

/// What it means that a selector finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Missing {
    /// Nothing to mask.
    #[default]
    Ignore,
    /// The event is refused.
    Reject,
}

impl Settings {
    /// The rules, in their order.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// What to mask, as it is written.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The secret for 'tokenise', at least 16 bytes.
    key: Option<String>,
    /// The rules. Where several select a value, the first one counts.
    rules: Vec<FileRule>,
}

/// Which values, and what becomes of them.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum FileRule {
    /// The SHA-256 of salt and value.
    Hash {
        /// Which values, as in $.name, $.list[*].name or $..name.
        field: String,
        /// What it means that there is no such field.
        #[serde(default)]
        missing: Missing,
        /// Text that is put before the value.
        #[serde(default)]
        salt: String,
    },
    /// 128 bits of the HMAC-SHA-256 of the value under 'key'.
    Tokenise {
        /// Which values, as in $.name, $.list[*].name or $..name.
        field: String,
        /// What it means that there is no such field.
        #[serde(default)]
        missing: Missing,
    },
    /// A fixed text.
    Redact {
        /// Which values, as in $.name, $.list[*].name or $..name.
        field: String,
        /// What it means that there is no such field.
        #[serde(default)]
        missing: Missing,
        /// What stands in place of the value.
        #[serde(default = "redacted")]
        text: String,
    },
    /// Nothing: the member or element goes.
    Drop {
        /// Which values, as in $.name, $.list[*].name or $..name.
        field: String,
        /// What it means that there is no such field.
        #[serde(default)]
        missing: Missing,
    },
}

fn redacted() -> String {
    "[redacted]".to_owned()
}

impl TryFrom<File> for Settings {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        if file.rules.is_empty() {
            return Err("'rules' is empty: name at least one field".to_owned());
        }
        let key = file.key.as_deref();
        if key.is_some_and(|key| key.len() < KEY_BYTES_MIN) {
            return Err(format!("'key' is shorter than {KEY_BYTES_MIN} bytes: take a random one"));
        }
        let rules = file.rules.into_iter().map(|rule| rule.check(key)).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

impl FileRule {
    fn check(self, key: Option<&str>) -> Result<Rule, String> {
        let (field, missing, action) = match self {
            Self::Hash { field, missing, salt } => (field, missing, Action::hash(&salt)),
            Self::Tokenise { field, missing } => {
                let key = key.ok_or("a rule tokenises, but there is no 'key'")?;
                (field, missing, Action::tokenise(key))
            }
            Self::Redact { field, missing, text } => (field, missing, Action::redact(&text)),
            Self::Drop { field, missing } => (field, missing, Action::Drop),
        };
        Ok(Rule { selector: Selector::parse(&field)?, action, missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused_with_the_reason() {
        for (text, reason) in [
            (r#"{}"#, "missing field `rules`"),
            (r#"{"rules":[]}"#, "'rules' is empty"),
            (r#"{"rules":[{"field":"$.a","action":"drop"}],"salt":1}"#, "unknown field `salt`"),
            (r#"{"rules":[{"field":"$.a","action":"drop","text":"x"}]}"#, "unknown field `text`"),
            (r#"{"rules":[{"field":"$.a","action":"encrypt"}]}"#, "unknown variant `encrypt`"),
            (r#"{"rules":[{"field":"$.a","action":"tokenise"}]}"#, "there is no 'key'"),
            (r#"{"key":"short","rules":[{"field":"$.a","action":"tokenise"}]}"#, "shorter than 16 bytes"),
            (r#"{"rules":[{"field":"a","action":"drop"}]}"#, "the field 'a' cannot be read"),
            (r#"{"rules":[{"field":"$.a","action":"drop","missing":"skip"}]}"#, "unknown variant `skip`"),
        ] {
            let error = serde_json::from_str::<Settings>(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
