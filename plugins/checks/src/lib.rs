//! What the tests of every module hold: that its `config.schema.json` is that of its settings, and that its
//! `README.md` shows what `weir test` proves. Only for tests; nothing of it is in a module.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

const SCHEMA: &str = "config.schema.json";

/// Asserts that `config.schema.json` in `folder` is the JSON Schema of `T`; with `update` writes it.
///
/// # Panics
/// When it is another one, or cannot be read or written.
pub fn schema<T: JsonSchema>(folder: &str, update: Option<OsString>) {
    let folder = Path::new(folder);
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let name = folder.file_name().expect("a module lies in a folder of its name").to_string_lossy();
    schema.insert("title".to_owned(), format!("Configuration of {name}").into());
    let mut schema = serde_json::to_string_pretty(&schema).expect("a schema can be written as JSON");
    schema.push('\n');
    let path = folder.join(SCHEMA);
    if update.is_some() {
        fs::write(&path, &schema).expect("the schema can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == schema, "{}: run UPDATE_GOLDEN=1 cargo test; it should be\n{schema}", path.display());
}

/// Asserts that `README.md` in `folder` shows every case of `tests/readme.yaml` (its configuration as a step
/// in TOML; its event; its messages or its reason), and no step's configuration beside them; and that these
/// configurations fit `config.schema.json`.
///
/// # Panics
/// When something is in one of the two and not in the other.
pub fn readme(folder: &str) {
    let read = |name: &str| fs::read_to_string(Path::new(folder).join(name)).expect(name);
    let readme = read("README.md");
    let shown = configurations(&readme);
    let schema = serde_json::from_str(&read(SCHEMA)).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("the schema is one");
    let file: Value = serde_saphyr::from_str(&read("tests/readme.yaml")).expect("the cases are YAML");
    let mut proved = BTreeSet::new();
    for case in file["cases"].as_array().expect("there is a list of cases") {
        let name = &case["name"];
        let config = case.get("config").or_else(|| file.get("config")).expect("a case has a configuration");
        assert!(shown.contains(&config.to_string()), "README.md shows no step with the config of {name}");
        schema.validate(config).unwrap_or_else(|error| panic!("the config of {name}: {error}"));
        proved.insert(config.to_string());
        for text in texts(case) {
            assert!(readme.contains(text.trim_end()), "README.md does not show, of {name}:\n{text}");
        }
    }
    let unproved: Vec<_> = shown.difference(&proved).collect();
    assert!(unproved.is_empty(), "tests/readme.yaml has no case for {unproved:?}");
}

/// The configurations of the steps that a README shows, as JSON with sorted keys.
fn configurations(readme: &str) -> BTreeSet<String> {
    let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let tables = blocks.map(|block| toml::from_str::<Map<String, Value>>(block).expect(block));
    let steps = tables.flat_map(|table| match table.get("steps") {
        Some(Value::Array(steps)) => steps.clone(),
        _ => Vec::new(),
    });
    steps.filter_map(|step| step.get("config").map(ToString::to_string)).collect()
}

/// What a case gives to a module and expects of it, as text.
fn texts(case: &Value) -> Vec<&str> {
    let messages = case.get("expect").and_then(Value::as_array).into_iter().flatten();
    let mut texts: Vec<_> = messages.clone().filter_map(|message| message["payload"].as_str()).collect();
    texts.extend(messages.filter_map(|message| message["subject"].as_str()));
    texts.extend(case["event"]["payload"].as_str());
    texts.extend(case["reject"].as_str());
    texts
}
