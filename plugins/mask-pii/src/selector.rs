//! Selectors: which values of a document a rule means. A small part of JSONPath (RFC 9535): `.name`,
//! `['name']`, `[*]` or `.*`, and `..name` for a member at any depth. What is not in that part is refused
//! when the configuration is read, never misread.

use std::fmt;

/// One step from a value to values inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The member of an object with this name.
    Member(String),
    /// Every member of an object, every element of an array.
    Every,
    /// The members with this name at any depth.
    Anywhere(String),
}

/// A way from the document to the values that are meant: at least one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    text: String,
    steps: Vec<Step>,
}

impl Selector {
    /// Reads a selector.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fault = |what: &str| format!("the field '{text}' cannot be read: {what}");
        let mut rest =
            text.strip_prefix('$').ok_or_else(|| fault("it has to begin with '$', as in '$.name'"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = next_step(rest).map_err(fault)?;
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            return Err(fault("'$' alone is the whole document; name a member of it"));
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The steps, outermost first.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads one step off the front.
fn next_step(text: &str) -> Result<(Step, &str), &'static str> {
    if let Some(rest) = text.strip_prefix("..") {
        let (name, rest) = plain_name(rest)?;
        return Ok((Step::Anywhere(name), rest));
    }
    if let Some(rest) = text.strip_prefix(".*").or_else(|| text.strip_prefix("[*]")) {
        return Ok((Step::Every, rest));
    }
    if let Some(rest) = text.strip_prefix('.') {
        let (name, rest) = plain_name(rest)?;
        return Ok((Step::Member(name), rest));
    }
    if let Some(rest) = text.strip_prefix("['") {
        let (name, rest) = rest.split_once("']").ok_or("a name in brackets ends with \"']\"")?;
        if name.contains(['\'', '\\']) {
            return Err("a name in brackets has no quotes and backslashes");
        }
        return Ok((Step::Member(name.to_owned()), rest));
    }
    Err("a step is .name, ['name'], [*], .* or ..name")
}

/// Reads a name that needs no quotes off the front.
fn plain_name(text: &str) -> Result<(String, &str), &'static str> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_numeric()) {
        return Err("a name is letters, digits and '_', not beginning with a digit; others stand in ['…']");
    }
    Ok((name.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read() {
        let member = |name: &str| Step::Member(name.to_owned());
        for (text, steps) in [
            ("$.a", vec![member("a")]),
            ("$.straße.b_2", vec![member("straße"), member("b_2")]),
            ("$['a-b'].c", vec![member("a-b"), member("c")]),
            ("$.a[*].b", vec![member("a"), Step::Every, member("b")]),
            ("$.*", vec![Step::Every]),
            ("$..email", vec![Step::Anywhere("email".to_owned())]),
        ] {
            assert_eq!(Selector::parse(text).expect(text).steps(), steps, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let texts =
            ["", "a", "$", "$a", "$.", "$..", "$.a-b", "$.1", "$.a[0]", "$[?@.a]", "$['a", "$['a'b']"];
        for text in texts {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
