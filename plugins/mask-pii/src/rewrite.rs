//! Replaces selected values in the text of a JSON document. Only objects and arrays on the way to something
//! that a rule may select are taken apart (and written compactly); everything else is copied as it stands.

use event_parts::{Members, name};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::selector::Step;
use crate::settings::{Missing, Rule};

/// How deep a document may be nested where rules look into it.
const DEPTH_MAX: usize = 128;
/// Room for what stands in place of a value.
const REPLACEMENT_BYTES: usize = 66;

/// The document with every selected value replaced. There is at least one rule, for which it is taken apart,
/// and so read to its end.
///
/// # Errors
/// The reason why the event has to be refused.
pub(crate) fn rewrite(document: &str, rules: &[Rule]) -> Result<String, String> {
    if !matches!(first_byte(document), Some(b'{' | b'[')) {
        parse::<&RawValue>(document)?;
        return Err("the payload is neither a JSON object nor an array".to_owned());
    }
    let begin = rules.iter().enumerate().map(|(rule, r)| Pending { rule, steps: r.selector.steps() });
    let mut writer = Writer { rules, found: vec![false; rules.len()], out: String::new() };
    writer.out.reserve(document.len() + REPLACEMENT_BYTES * rules.len());
    writer.value(document, &begin.collect::<Vec<_>>(), 0)?;
    let absent = |(rule, found): &(&Rule, bool)| !found && rule.missing == Missing::Reject;
    match rules.iter().zip(writer.found).find(absent) {
        Some((rule, _)) => Err(format!("the field {} is missing", rule.selector)),
        None => Ok(writer.out),
    }
}

/// A rule that may select something inside a value, and the steps that are left to it.
#[derive(Clone, Copy)]
struct Pending<'a> {
    rule: usize,
    steps: &'a [Step],
}

/// What the rules have to do with a child.
enum Child<'a> {
    /// This rule selects it.
    Selected(usize),
    /// These rules may select something inside it.
    Inside(Vec<Pending<'a>>),
}

/// Where a child stands: in an object under a name (as it is written), or in an array.
type Place<'a> = Option<&'a RawValue>;

struct Writer<'a> {
    rules: &'a [Rule],
    found: Vec<bool>,
    out: String,
}

impl Writer<'_> {
    fn value(&mut self, text: &str, pending: &[Pending<'_>], depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("the payload is nested deeper than {DEPTH_MAX} levels"));
        }
        match first_byte(text) {
            Some(b'{') if !pending.is_empty() => {
                let Members(members) = parse(text)?;
                let members = members.into_iter().map(|(name, raw)| (Some(name), raw));
                self.children('{', members, '}', pending, depth)
            }
            Some(b'[') if !pending.is_empty() => {
                let elements: Vec<&RawValue> = parse(text)?;
                self.children('[', elements.into_iter().map(|raw| (None, raw)), ']', pending, depth)
            }
            _ => {
                self.out.push_str(text);
                Ok(())
            }
        }
    }

    fn children<'v>(
        &mut self,
        open: char,
        children: impl Iterator<Item = (Place<'v>, &'v RawValue)>,
        close: char,
        pending: &[Pending<'_>],
        depth: usize,
    ) -> Result<(), String> {
        self.out.push(open);
        let empty = self.out.len();
        for (place, raw) in children {
            let name = place.map(name).transpose().map_err(not_json)?;
            match descend(pending, name.as_deref()) {
                Child::Inside(inside) => {
                    self.begin_child(empty, place);
                    self.value(raw.get(), &inside, depth + 1)?;
                }
                Child::Selected(rule) => {
                    if let Some(text) = self.replace(rule, raw.get())? {
                        self.begin_child(empty, place);
                        self.out.push_str(&text);
                    }
                }
            }
        }
        self.out.push(close);
        Ok(())
    }

    /// Writes what stands before a child. `empty` is the length of what was written before the first one.
    fn begin_child(&mut self, empty: usize, place: Place<'_>) {
        if self.out.len() > empty {
            self.out.push(',');
        }
        if let Some(name) = place {
            self.out.push_str(name.get());
            self.out.push(':');
        }
    }

    fn replace(&mut self, rule: usize, text: &str) -> Result<Option<String>, String> {
        self.found[rule] = true;
        let rule = &self.rules[rule];
        rule.action.apply(text).map_err(|what| format!("the field {}: {what}", rule.selector))
    }
}

/// What the rules have to do with a child, which has a name if it stands in an object. Of several rules that
/// select it, the first one does.
fn descend<'a>(pending: &[Pending<'a>], name: Option<&str>) -> Child<'a> {
    let mut inside = Vec::new();
    let mut selected = None;
    for &Pending { rule, steps } in pending {
        let Some((step, rest)) = steps.split_first() else { continue };
        let hit = match step {
            Step::Every => true,
            Step::Member(wanted) | Step::Anywhere(wanted) => name == Some(wanted.as_str()),
        };
        if hit && rest.is_empty() {
            selected = Some(selected.map_or(rule, |first: usize| first.min(rule)));
        } else if hit {
            inside.push(Pending { rule, steps: rest });
        }
        if matches!(step, Step::Anywhere(_)) {
            inside.push(Pending { rule, steps });
        }
    }
    selected.map_or(Child::Inside(inside), Child::Selected)
}

/// The byte by which a value's kind is told, behind what JSON lets stand in front of it.
fn first_byte(value: &str) -> Option<u8> {
    value.bytes().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> String {
    format!("the payload is not JSON: {error}")
}
