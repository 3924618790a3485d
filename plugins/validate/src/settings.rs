//! The step's configuration: read once, checked as a whole. README.md has it as a table.

use jsonschema::{Retrieve, Uri, Validator};
use serde::Deserialize;
use serde_json::Value;

/// How many violations a reason may name.
const VIOLATIONS_MAX: usize = 100;

/// The schema, ready to use.
#[derive(Debug, Deserialize)]
#[serde(try_from = "File")]
pub struct Settings {
    pub(crate) validator: Validator,
    /// How many violations a reason names, at least one.
    pub(crate) violations: usize,
}

/// The schema and how it is used, as it is written.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The JSON Schema; of draft 2020-12 unless its '$schema' says another one.
    #[cfg_attr(test, schemars(with = "serde_json::Map<String, Value>"))]
    schema: Value,
    /// Whether 'format' is a rule, and not only a note.
    #[serde(default = "yes")]
    formats: bool,
    /// How many violations a reason names.
    #[serde(default = "some")]
    #[cfg_attr(test, schemars(range(min = 1, max = 100)))]
    violations: usize,
}

fn yes() -> bool {
    true
}

fn some() -> usize {
    5
}

impl TryFrom<File> for Settings {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        if !(1..=VIOLATIONS_MAX).contains(&file.violations) {
            return Err(format!("'violations' is {}, not from 1 to {VIOLATIONS_MAX}", file.violations));
        }
        let options = jsonschema::options().should_validate_formats(file.formats).with_retriever(Nothing);
        let validator = options
            .build(&file.schema)
            .map_err(|error| format!("'schema' is no JSON Schema: {}", crate::describe(&error)))?;
        Ok(Self { validator, violations: file.violations })
    }
}

/// Fetches nothing.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("nothing outside the schema is fetched: put {uri} under its '$defs'").into())
    }
}
