//! Rows of CSV, read one after the other out of a text.

use std::cell::{RefCell, RefMut};

use csv_core::{ReadRecordResult, Reader};

/// The rows that are left to read.
pub(crate) struct Rows<'t> {
    reader: RefMut<'t, Reader>,
    rest: &'t [u8],
    /// The fields of the row that was read last, one behind the other, and where each of them ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
}

/// One row.
pub(crate) struct Row<'r> {
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    fields: &'r [u8],
    ends: &'r [usize],
}

impl<'t> Rows<'t> {
    /// The rows of `text`. The reader begins anew: making one costs more than to read most events, and a
    /// clone of one that is made is not the same (csv-core 0.1.13).
    pub(crate) fn new(reader: &'t RefCell<Reader>, text: &'t str) -> Self {
        let mut reader = reader.borrow_mut();
        reader.reset();
        // Fields are never longer than the text that they stand in.
        Self { reader, rest: text.as_bytes(), fields: vec![0; text.len()], ends: vec![0; 32] }
    }

    /// The next row; none behind the last one.
    pub(crate) fn next(&mut self) -> Option<Row<'_>> {
        let line = self.reader.line();
        let (mut written, mut count) = (0, 0);
        loop {
            let (fields, ends) = (&mut self.fields[written..], &mut self.ends[count..]);
            let (result, read, more, found) = self.reader.read_record(self.rest, fields, ends);
            self.rest = &self.rest[read..];
            written += more;
            count += found;
            match result {
                // Asked again with nothing left, the reader ends the last row.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len() + 1, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => {
                    return Some(Row { line, fields: &self.fields, ends: &self.ends[..count] });
                }
                ReadRecordResult::End => return None,
            }
        }
    }
}

impl Row<'_> {
    /// How many fields it has.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The fields, in their order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let fields = starts.zip(self.ends).map(|(start, end)| &self.fields[start..*end]);
        fields.map(|field| str::from_utf8(field).expect("text that is cut at ASCII characters is text"))
    }
}
