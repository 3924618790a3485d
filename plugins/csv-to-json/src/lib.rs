//! A transform that turns rows of CSV into JSON objects: one message for each row, or one for all of them.
//!
//! An event is any number of rows, in the form of RFC 4180 (the `csv-core` crate reads it), with or without a
//! row of names first. Texts stay texts unless the configuration ([`Settings`]; README.md has the table) says
//! that a column is a number or a boolean; numbers keep their digits. What does not fit is refused with its
//! line and column, the whole event at a time: nothing is guessed, padded or cut off.

mod rows;
mod settings;
mod value;

use weir_sdk::{Event, Reject, Result, transform};

use rows::{Row, Rows};
pub use settings::Settings;
use settings::{Column, Output};

transform!(convert, Settings);

/// Converts one event.
///
/// # Errors
/// When the payload is not UTF-8, has a quote that is not closed, a row of another length than there are
/// columns, or a value that is not of its column's type.
pub fn convert(event: Event, settings: &Settings) -> Result {
    let text = event.text()?;
    if settings.quote.is_some_and(|quote| text.bytes().filter(|byte| *byte == quote).count() % 2 == 1) {
        return Err(Reject::new("a quote is not closed"));
    }
    let mut rows = Rows::new(&settings.reader, text);
    let columns = match settings.has_header {
        true => settings.columns(Some(&header(&mut rows)?))?,
        false => settings.columns(None)?,
    };
    let mut objects = Vec::new();
    while let Some(row) = rows.next() {
        objects.push(object(&row, &columns, settings)?);
    }
    Ok(match settings.output {
        Output::Messages => objects.into_iter().map(|object| event.message(object)).collect(),
        Output::Array => vec![event.message(array(&objects))],
    })
}

/// The row of names.
fn header<'r>(rows: &'r mut Rows<'_>) -> Result<Row<'r>> {
    Ok(rows.next().ok_or("there is no row of column names: the payload is empty")?)
}

/// One row as a JSON object.
fn object(row: &Row<'_>, columns: &[Column], settings: &Settings) -> Result<Vec<u8>> {
    let line = row.line;
    if row.len() != columns.len() {
        let (fields, columns) = (row.len(), columns.len());
        return Err(Reject::new(format_args!(
            "line {line}: {fields} fields, but there are {columns} columns"
        )));
    }
    let mut object = Vec::with_capacity(256);
    object.push(b'{');
    for (field, column) in row.fields().zip(columns) {
        let start = object.len();
        if start > 1 {
            object.push(b',');
        }
        object.extend_from_slice(column.member.as_bytes());
        let is_written = value::write(settings.says(field), column.kind, settings.empty, &mut object)
            .map_err(|what| Reject::new(format_args!("line {line}, column '{}': {what}", column.name)))?;
        if !is_written {
            object.truncate(start);
        }
    }
    object.push(b'}');
    Ok(object)
}

fn array(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut array = vec![b'['];
    array.extend_from_slice(&objects.join(&b','));
    array.push(b']');
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payloads that come of `payload`, or the reason why it is refused.
    fn converted(config: &str, payload: &str) -> std::result::Result<Vec<String>, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let messages = convert(Event::new("table", payload), &settings)?;
        Ok(messages.into_iter().map(|m| String::from_utf8(m.payload).expect("JSON is UTF-8")).collect())
    }

    #[test]
    fn each_row_is_an_object() {
        for (config, payload, expected) in [
            (
                "{}",
                "a,b\n1,x\r\n\n2,\"y, \"\"z\"\"\nw\"",
                vec![r#"{"a":"1","b":"x"}"#, r#"{"a":"2","b":"y, \"z\"\nw"}"#],
            ),
            ("{}", "\u{feff}a\nü\\", vec![r#"{"a":"ü\\"}"#]),
            ("{}", "a\n", vec![]),
            (r#"{"columns":["a","b"]}"#, "1,2", vec![r#"{"a":"1","b":"2"}"#]),
            (r#"{"columns":["a","b"],"header":true}"#, "x,y\n1,2", vec![r#"{"a":"1","b":"2"}"#]),
            (r#"{"columns":["a"]}"#, "", vec![]),
            (r#"{"columns":["a","b"],"delimiter":";","quote":"'"}"#, "';';\"", vec![r#"{"a":";","b":"\""}"#]),
            (r#"{"columns":["a"],"quote":""}"#, "5\" pipe", vec![r#"{"a":"5\" pipe"}"#]),
            (
                r#"{"columns":["a","b"],"delimiter":"\t","trim":true}"#,
                " x \t y z",
                vec![r#"{"a":"x","b":"y z"}"#],
            ),
            (r#"{"output":"array"}"#, "a\n1\n2", vec![r#"[{"a":"1"},{"a":"2"}]"#]),
            (r#"{"output":"array"}"#, "a", vec!["[]"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(converted(config, payload), Ok(expected), "{payload}");
        }
    }

    #[test]
    fn columns_have_types_and_empty_fields_a_meaning() {
        let types = r#""columns":["t","n","i","b"],"types":{"n":"number","i":"integer","b":"boolean"}"#;
        for (empty, row, expected) in [
            ("null", "007,1.50,-3,true", r#"{"t":"007","n":1.50,"i":-3,"b":true}"#),
            (
                "null",
                "x,1e3,12345678901234567890,false",
                r#"{"t":"x","n":1e3,"i":12345678901234567890,"b":false}"#,
            ),
            ("null", ",,,", r#"{"t":null,"n":null,"i":null,"b":null}"#),
            ("omit", ",1,,true", r#"{"n":1,"b":true}"#),
            ("omit", ",,,", "{}"),
        ] {
            let got = converted(&format!(r#"{{{types},"empty":"{empty}"}}"#), row);
            assert_eq!(got, Ok(vec![expected.to_owned()]), "{row}");
        }
        let missing = format!(r#"{{{types},"missing":["NA","-"]}}"#);
        let got = converted(&missing, "NA,-,-3,true");
        assert_eq!(got, Ok(vec![r#"{"t":null,"n":null,"i":-3,"b":true}"#.to_owned()]));
        let texts = converted(r#"{"columns":["a","b"],"empty":"text"}"#, ",");
        assert_eq!(texts, Ok(vec![r#"{"a":"","b":""}"#.to_owned()]));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        let typed = r#"{"types":{"n":"number"}}"#;
        for (config, payload, reason) in [
            ("{}", "", "there is no row of column names: the payload is empty"),
            ("{}", "a,b\n1,2\n3", "line 3: 1 fields, but there are 2 columns"),
            ("{}", "a,b\n\"1\n\",2\n3", "line 4: 1 fields, but there are 2 columns"),
            ("{}", "a,a\n1,2", "two columns are called 'a'"),
            ("{}", "a\n\"1", "a quote is not closed"),
            (typed, "a\n1", "'types' names the column 'n', which is not there"),
            (typed, "n\n.5", "line 2, column 'n': '.5' is not a number"),
            (typed, "n\n007", "line 2, column 'n': '007' is not a number"),
            (typed, "n\n 7", "line 2, column 'n': ' 7' is not a number"),
            (typed, "n\nNaN", "line 2, column 'n': 'NaN' is not a number"),
            (r#"{"types":{"n":"integer"}}"#, "n\n1.0", "line 2, column 'n': '1.0' is not an integer"),
            (
                r#"{"types":{"n":"boolean"}}"#,
                "n\nTrue",
                "line 2, column 'n': 'True' is neither true nor false",
            ),
            (r#"{"columns":["a"],"header":true}"#, "x,y", "line 1: 2 fields, but there are 1 columns"),
        ] {
            assert_eq!(converted(config, payload), Err(reason.to_owned()), "{payload}");
        }
        let settings = serde_json::from_str("{}").expect("there are defaults for all");
        assert!(convert(Event::new("s", [b'a', b'\n', 0xff]), &settings).is_err());
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        let update = std::env::var_os("UPDATE_GOLDEN");
        checks::schema::<settings::File>(env!("CARGO_MANIFEST_DIR"), update);
    }
}
