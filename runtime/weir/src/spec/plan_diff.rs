//! What differs between two plans, value by value, for people to read.

use std::fmt;

use model::Plan;
use serde_json::{Map, Value};

/// The longest part of a value that is shown.
const SHOWN_CHARS: usize = 100;

/// One value that differs: where it stands, what it was and what it is. At least one of the two is there.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct PlanChange {
    /// Where it stands, such as `steps.mask.module`. Steps go by their names.
    pub(crate) path: String,
    /// What it was; none if it is new.
    pub(crate) from: Option<Value>,
    /// What it is; none if it is gone.
    pub(crate) to: Option<Value>,
}

/// All that differs between two plans, in the order of the plans' own keys; nothing if they are the same.
pub(crate) fn plan_changes(from: &Plan, to: &Plan) -> Vec<PlanChange> {
    let mut changes = Vec::new();
    compare(String::new(), Some(&tree(from)), Some(&tree(to)), &mut changes);
    changes
}

/// All that differs between two JSON values.
pub(crate) fn value_changes(from: &Value, to: &Value) -> Vec<PlanChange> {
    let mut changes = Vec::new();
    compare(String::new(), Some(from), Some(to), &mut changes);
    changes
}

/// The plan as a tree in which steps have names instead of numbers.
fn tree(plan: &Plan) -> Value {
    let mut tree = serde_json::to_value(plan).expect("a plan has only strings as keys");
    let steps = plan.steps.iter().map(|step| {
        let mut value = serde_json::to_value(step).expect("a step has only strings as keys");
        value.as_object_mut().expect("a step is an object").remove("name");
        (step.name.clone(), value)
    });
    tree["steps"] = Value::Object(steps.collect::<Map<_, _>>());
    tree["step_order"] = plan.steps.iter().map(|step| step.name.clone()).collect();
    tree
}

fn compare(path: String, from: Option<&Value>, to: Option<&Value>, changes: &mut Vec<PlanChange>) {
    match (from, to) {
        (Some(from), Some(to)) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            let added = to.keys().filter(|key| !from.contains_key(*key));
            for key in from.keys().chain(added) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(path, from.get(key), to.get(key), changes);
            }
        }
        _ => changes.push(PlanChange { path, from: from.cloned(), to: to.cloned() }),
    }
}

impl fmt::Display for PlanChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Some(Value::String(from)), Some(Value::String(to))) => {
                let (line, from, to) = first_difference(from, to);
                let place = line.map_or(String::new(), |line| format!(", line {line}"));
                write!(f, "~ {}{place}: {} -> {}", self.path, shown(from), shown(to))
            }
            (Some(from), Some(to)) => {
                write!(f, "~ {}: {} -> {}", self.path, shown(&from.to_string()), shown(&to.to_string()))
            }
            (Some(from), None) => write!(f, "- {}: {}", self.path, shown(&from.to_string())),
            (None, to) => {
                let to = to.as_ref().map(Value::to_string).unwrap_or_default();
                write!(f, "+ {}: {}", self.path, shown(&to))
            }
        }
    }
}

/// The first line that differs, with its number; of texts of one line, all.
fn first_difference<'a>(from: &'a str, to: &'a str) -> (Option<usize>, &'a str, &'a str) {
    if !from.contains('\n') && !to.contains('\n') {
        return (None, from, to);
    }
    let (mut old, mut new) = (from.lines(), to.lines());
    for line in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => return (Some(line), old.unwrap_or("(nothing)"), new.unwrap_or("(nothing)")),
        }
    }
    (None, from, to)
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use model::{Digest, Limits, OnGuestFault, SinkPlan, SourcePlan, StepPlan};

    use super::*;

    fn plan(steps: &[(&str, &[u8], &str)]) -> Plan {
        let step = |(name, module, filter): &(&str, &[u8], &str)| StepPlan {
            name: (*name).into(),
            module: Digest::of(module),
            config: serde_json::json!({ "filter": filter }),
            limits: Limits::DEFAULT,
            output: model::CommandOutput::Whole,
        };
        Plan {
            version: 1,
            pipeline: "p".parse().expect("a name"),
            source: SourcePlan { stream: "IN".parse().expect("a name"), subjects: vec![], format: None },
            steps: steps.iter().map(step).collect(),
            sink: SinkPlan {
                stream: "OUT".parse().expect("a name"),
                subject: "out".parse().expect("a template"),
                allow: vec![],
                record_bytes: 1 << 20,
                pack: None,
            },
            block: 256,
            on_guest_fault: OnGuestFault::DeadLetter,
        }
    }

    #[test]
    fn each_change_is_one_line_and_names_its_place() {
        let old = plan(&[("a", b"1", "one\ntwo"), ("b", b"2", ".")]);
        let new = Plan { block: 16, ..plan(&[("a", b"3", "one\nthree"), ("c", b"2", ".")]) };
        let text: Vec<String> = plan_changes(&old, &new).iter().map(PlanChange::to_string).collect();
        let (one, three) = (Digest::of(b"1"), Digest::of(b"3"));
        assert_eq!(text[0], "~ block: 256 -> 16");
        assert_eq!(text[1], "~ step_order: [\"a\",\"b\"] -> [\"a\",\"c\"]");
        assert_eq!(text[2], "~ steps.a.config.filter, line 2: two -> three");
        assert_eq!(text[3], format!("~ steps.a.module: {one} -> {three}"));
        assert!(text[4].starts_with("- steps.b: {") && text[5].starts_with("+ steps.c: {"), "{text:?}");
        assert_eq!(text.len(), 6);
        assert_eq!(plan_changes(&old, &old), []);
    }
}
