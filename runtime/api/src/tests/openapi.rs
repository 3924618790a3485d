//! The OpenAPI document is a golden file: whoever changes the contract sees it in the change.

use std::path::PathBuf;

use serde_json::Value;

use crate::error::Code;

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/openapi.json")
}

#[test]
fn the_document_is_the_golden_one() {
    let document = crate::openapi::document();
    // Read when the test is built, so that nothing but the binary's configuration reads the environment.
    if option_env!("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(), &document).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(golden()).expect("the golden file is there");
    assert!(
        document == golden,
        "the API's contract has changed: look at it, and if it is meant, run this test with UPDATE_GOLDEN=1"
    );
}

#[test]
fn each_reference_leads_somewhere_and_each_code_is_listed() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let text = crate::openapi::document();
    let document: Value = serde_json::from_str(&text).expect("the document is JSON");
    let mut found = vec![];
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("all references are within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for code in Code::ALL {
        assert!(text.contains(&format!("- `{code}` ({})", code.status())), "{code} is not listed");
    }
}
