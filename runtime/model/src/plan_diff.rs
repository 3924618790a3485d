//! What differs between two plans, key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::Plan;

/// A key of a plan whose value differs.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanChange {
    /// Where in the plan, with steps by name: `steps.mask.module`, `sink.subject`, `block`.
    pub key: String,
    /// The old value; none where the key is new.
    pub before: Option<Value>,
    /// The new value; none where the key is gone.
    pub after: Option<Value>,
}

/// What differs between two plans, sorted by key. Lists are compared as a whole, and so is the order of the
/// steps, under `steps`.
pub fn plan_changes(before: &Plan, after: &Plan) -> Vec<PlanChange> {
    let (mut before, mut after) = (flat(before), flat(after));
    let mut changes = Vec::new();
    for (key, old) in std::mem::take(&mut before) {
        let new = after.remove(&key);
        if new.as_ref() != Some(&old) {
            changes.push(PlanChange { key, before: Some(old), after: new });
        }
    }
    changes.extend(after.into_iter().map(|(key, new)| PlanChange { key, before: None, after: Some(new) }));
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

fn flat(plan: &Plan) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut rest = serde_json::to_value(plan).expect("a plan has only strings as keys");
    let steps = rest.as_object_mut().and_then(|fields| fields.remove("steps"));
    flatten("", rest, &mut all);
    for step in steps.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let name = step["name"].as_str().unwrap_or_default();
        for part in ["module", "config", "limits"] {
            flatten(&format!("steps.{name}.{part}"), step[part].clone(), &mut all);
        }
        if let Some(output) = step.get("output") {
            flatten(&format!("steps.{name}.output"), output.clone(), &mut all);
        }
    }
    let order = plan.steps.iter().map(|step| Value::from(step.name.as_str())).collect();
    all.insert("steps".to_owned(), order);
    all
}

fn flatten(key: &str, value: Value, all: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(&key, value, all);
            }
        }
        value => drop(all.insert(key.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest::Digest;

    #[test]
    fn what_differs_is_named_by_its_key() {
        let before = crate::plan::tests::plan();
        assert_eq!(plan_changes(&before, &before), []);
        let mut after = before.clone();
        after.block = 16;
        after.steps[0].module = Digest::of(b"other");
        after.steps[0].config = json!({"z": 2, "b": null});
        let found: Vec<_> =
            plan_changes(&before, &after).into_iter().map(|c| (c.key, c.before, c.after)).collect();
        let expected = [
            ("block", Some(json!(256)), Some(json!(16))),
            ("steps.mask.config.a", Some(json!([true, 1.5])), None),
            ("steps.mask.config.b", None, Some(json!(null))),
            ("steps.mask.config.z", Some(json!(1)), Some(json!(2))),
            ("steps.mask.module", Some(json!(Digest::of(b"module"))), Some(json!(Digest::of(b"other")))),
        ];
        assert_eq!(found, expected.map(|(key, before, after)| (key.to_owned(), before, after)));
        let mut renamed = before.clone();
        renamed.steps[0].name = "hide".into();
        assert!(plan_changes(&before, &renamed).iter().any(|change| change.key == "steps"));
    }
}
