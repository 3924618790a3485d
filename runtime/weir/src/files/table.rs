//! Rows of CSV (RFC 4180) as events. The payload of an event is a JSON object: the names of the first row,
//! in their order, and the row's fields as texts. What a field means is for the module to say.

use std::io::Read;

use bytes::Bytes;
use csv::ByteRecord;
use model::{Event, Headers};

use super::input::{InputError, Selection, Splitter};
use super::subject::EventSubject;
use super::{EVENT_BYTES_MAX, READ_BYTES};

/// Reads rows.
pub(super) struct Table {
    rows: csv::Reader<Box<dyn Read + Send>>,
    row: ByteRecord,
    /// What stands before each field: its name as JSON, with what separates it from the one before.
    heads: Vec<Vec<u8>>,
    /// The columns of the fields of `subject`.
    subject_columns: Vec<usize>,
    sequence: u64,
    selection: Selection,
    subject: EventSubject,
    timestamp_ns: u64,
}

impl Table {
    /// Reads the first row, with the names of the fields.
    pub(super) fn new(
        input: Box<dyn Read + Send>,
        selection: Selection,
        subject: EventSubject,
        timestamp_ns: u64,
    ) -> Result<Self, InputError> {
        let mut rows = csv::ReaderBuilder::new().buffer_capacity(READ_BYTES).from_reader(input);
        let names = rows.byte_headers().map_err(|error| row_error(0, error))?.clone();
        let mut heads = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let mut head = if at == 0 { b"{".to_vec() } else { b",".to_vec() };
            write_text(&mut head, name).map_err(|why| malformed(0, why))?;
            head.push(b':');
            heads.push(head);
        }
        let column = |field: &String| {
            let missing = || malformed(0, format!("no column is called '{field}', which --subject names"));
            names.iter().position(|name| name == field.as_bytes()).ok_or_else(missing)
        };
        let subject_columns = subject.fields().iter().map(column).collect::<Result<_, _>>()?;
        let (row, sequence) = (ByteRecord::new(), 0);
        Ok(Self { rows, row, heads, subject_columns, sequence, selection, subject, timestamp_ns })
    }

    /// Writes the row as JSON.
    fn write_row(&self, bytes: &mut Vec<u8>) -> Result<(), String> {
        for (head, field) in self.heads.iter().zip(&self.row) {
            bytes.extend_from_slice(head);
            write_text(bytes, field)?;
        }
        bytes.push(b'}');
        Ok(())
    }

    fn row_subject(&self) -> Result<String, String> {
        self.subject.of_values(|field| std::str::from_utf8(&self.row[self.subject_columns[field]]).ok())
    }
}

impl Splitter for Table {
    fn burst(&mut self) -> Result<Vec<Event>, InputError> {
        let mut bytes = Vec::with_capacity(READ_BYTES + (READ_BYTES >> 2));
        let mut rows = Vec::new();
        while bytes.len() < READ_BYTES {
            let row = self.sequence + 1;
            if !self.rows.read_byte_record(&mut self.row).map_err(|error| row_error(row, error))? {
                break;
            }
            self.sequence = row;
            if self.row.as_slice().len() > EVENT_BYTES_MAX {
                return Err(malformed(row, "it is longer than 64 MiB".into()));
            }
            if row < self.selection.from {
                continue;
            }
            let subject = self.row_subject().map_err(|why| malformed(row, why))?;
            if self.selection.has_subject(&subject) {
                let start = bytes.len();
                self.write_row(&mut bytes).map_err(|why| malformed(row, why))?;
                rows.push((row, subject, start..bytes.len()));
            }
        }
        let bytes = Bytes::from(bytes);
        let event = |(sequence, subject, range): (u64, String, std::ops::Range<usize>)| Event {
            subject,
            payload: bytes.slice(range),
            headers: Headers::new(),
            sequence,
            timestamp_ns: self.timestamp_ns,
        };
        Ok(rows.into_iter().map(event).collect())
    }
}

/// Writes a field as a JSON text.
fn write_text(bytes: &mut Vec<u8>, field: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(field).map_err(|_| "a field is not UTF-8 text".to_owned())?;
    serde_json::to_writer(bytes, text).map_err(|error| error.to_string())
}

fn row_error(row: u64, error: csv::Error) -> InputError {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => InputError::Io(error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            malformed(row, format!("it has {len} fields, and the first row has {expected_len}"))
        }
        _ => malformed(row, text),
    }
}

fn malformed(row: u64, why: String) -> InputError {
    InputError::Malformed { what: "row", number: row, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, subject: &str, from: u64) -> Result<Vec<Event>, InputError> {
        let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        let selection = Selection { from, subjects: vec!["in.>".parse().expect("a pattern")] };
        Table::new(input, selection, subject.parse().expect("a subject"), 5)?.burst()
    }

    #[test]
    fn rows_are_objects_of_texts() {
        let text = "id,\"a \"\"b\"\"\",c\n1,x,\n2,\"two\nlines\",\u{e9}\n3,,z\n";
        let events = read(text, "in.{id}", 2).expect("rows");
        let seen: Vec<_> = events
            .iter()
            .map(|event| {
                (event.sequence, event.subject.as_str(), std::str::from_utf8(&event.payload).expect("JSON"))
            })
            .collect();
        assert_eq!(
            seen,
            [
                (2, "in.2", "{\"id\":\"2\",\"a \\\"b\\\"\":\"two\\nlines\",\"c\":\"\u{e9}\"}"),
                (3, "in.3", "{\"id\":\"3\",\"a \\\"b\\\"\":\"\",\"c\":\"z\"}"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_row() {
        for (text, subject, says) in [
            ("a,b\n1,2\n3\n", "in.x", "row 2 of the input: it has 1 fields"),
            ("a,b\n1,2\n", "in.{c}", "no column is called 'c'"),
            ("a\n x y\n", "in.{a}", "row 1 of the input"),
        ] {
            let error = read(text, subject, 1).expect_err(text).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
