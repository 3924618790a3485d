//! YAML, of which JSON is a part: from text to a value, and from a key to its place in the text.
//!
//! Reading is the library's affair, with its bounds on depth, aliases and size. Places are found in a tree of
//! the text's own, which keeps where each key and each value begins and ends, for errors and for rewriting.

use std::ops::Range;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser, Span, StrInput, StructureStyle};

use super::document::{Key, KeyPath};

/// Why a text is not YAML, and where.
pub(super) struct YamlError {
    /// The line, from 1.
    pub(super) line: usize,
    /// The column, from 1.
    pub(super) column: usize,
    /// What is wrong.
    pub(super) message: String,
}

/// A node of the text. Its range ends where its last word does, without what follows on the line.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it lies, in bytes.
    pub(crate) range: Range<usize>,
    /// Whether it is written in brackets, as JSON is.
    pub(crate) flow: bool,
    /// What it is.
    pub(crate) kind: NodeKind,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum NodeKind {
    /// A text, a number, a flag, nothing, or a reference to another node.
    Scalar(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values, in their order.
    Mapping(Vec<(Node, Node)>),
}

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<Value, YamlError> {
    // Words such as `no` and `y` are texts, as YAML 1.2 has it.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location();
        let at = |of: fn(&serde_saphyr::Location) -> u64| {
            place.as_ref().and_then(|place| usize::try_from(of(place)).ok()).unwrap_or(1).max(1)
        };
        let (line, column) = (at(serde_saphyr::Location::line), at(serde_saphyr::Location::column));
        let message = error.to_string();
        // The place stands before the message already.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        YamlError { line, column, message: message.to_owned() }
    })
}

/// Where the value at `path` begins; its deepest ancestor, where it is missing. A mapping is at its key.
pub(super) fn offset(text: &str, path: &KeyPath) -> Option<usize> {
    let root = tree(text)?;
    let mut at = &root;
    let mut offset = at.range.start;
    for key in &path.0 {
        let next = match (key, &at.kind) {
            (Key::Name(name), NodeKind::Mapping(_)) => {
                at.entry(name).map(|(key, value)| (key.range.start, value))
            }
            (Key::Index(index), NodeKind::Sequence(elements)) => {
                elements.get(*index).map(|value| (value.range.start, value))
            }
            _ => None,
        };
        let Some((key_offset, value)) = next else { break };
        offset = if matches!(value.kind, NodeKind::Scalar(_)) { value.range.start } else { key_offset };
        at = value;
    }
    Some(offset)
}

/// The nodes of a text that has been read; none if it is no YAML after all.
pub(crate) fn tree(text: &str) -> Option<Node> {
    let mut events = Events { text, parser: Parser::new_from_str(text) };
    loop {
        match events.next()? {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (event, span) => return events.node(&event, &span),
        }
    }
}

impl Node {
    /// The key and the value of this name.
    pub(crate) fn entry(&self, name: &str) -> Option<(&Node, &Node)> {
        let NodeKind::Mapping(entries) = &self.kind else { return None };
        let is_named = |key: &Node| matches!(&key.kind, NodeKind::Scalar(text) if text == name);
        entries.iter().find(|(key, _)| is_named(key)).map(|(key, value)| (key, value))
    }

    /// The elements of a list.
    pub(crate) fn elements(&self) -> &[Node] {
        if let NodeKind::Sequence(elements) = &self.kind { elements } else { &[] }
    }
}

struct Events<'text> {
    text: &'text str,
    parser: Parser<'text, StrInput<'text>>,
}

impl<'text> Events<'text> {
    fn next(&mut self) -> Option<(Event<'text>, Span)> {
        self.parser.next()?.ok()
    }

    /// The node that begins with this event.
    fn node(&mut self, event: &Event<'text>, span: &Span) -> Option<Node> {
        let start = span.start.byte_offset()?;
        let mut flow = false;
        let (kind, end) = match event {
            Event::SequenceStart(style, ..) => {
                flow = *style == StructureStyle::Flow;
                let (elements, end) = self.sequence()?;
                let last = elements.last().map(|node| node.range.end);
                (NodeKind::Sequence(elements), if flow { Some(end) } else { last })
            }
            Event::MappingStart(style, ..) => {
                flow = *style == StructureStyle::Flow;
                let (entries, end) = self.mapping()?;
                let last = entries.last().map(|(key, value)| value.range.end.max(key.range.end));
                (NodeKind::Mapping(entries), if flow { Some(end) } else { last })
            }
            Event::Scalar(text, ..) => (NodeKind::Scalar(text.to_string()), span.end.byte_offset()),
            _ => (NodeKind::Scalar(String::new()), span.end.byte_offset()),
        };
        let end = end.unwrap_or(start).max(start);
        let end = start + self.text[start..end].trim_end().len();
        Some(Node { range: start..end, flow, kind })
    }

    /// The elements of a list, and where its end was noticed.
    fn sequence(&mut self) -> Option<(Vec<Node>, usize)> {
        let mut elements = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Some((elements, span.end.byte_offset()?));
            }
            elements.push(self.node(&event, &span)?);
        }
    }

    /// The keys and values of a mapping, and where its end was noticed.
    fn mapping(&mut self) -> Option<(Vec<(Node, Node)>, usize)> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Some((entries, span.end.byte_offset()?));
            }
            let key = self.node(&event, &span)?;
            let (event, span) = self.next()?;
            entries.push((key, self.node(&event, &span)?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# first\nconfig: {a: [1, 2]}\ncases:\n  - name: one   # said\n    expect:\n    - payload: |\n        x\n        y\n      subject: null\n\n  # between\n  - {name: two, count: 3}\n";

    #[test]
    fn keys_and_values_are_found_where_they_are() {
        let root = tree(TEXT).expect("it is YAML");
        let cases = root.entry("cases").expect("it is there").1.elements();
        let (key, value) = cases[0].entry("expect").expect("it is there");
        assert_eq!(&TEXT[key.range.clone()], "expect");
        assert_eq!(&TEXT[value.range.clone()], "payload: |\n        x\n        y\n      subject: null");
        assert!(!cases[0].flow && cases[1].flow);
        assert_eq!(&TEXT[cases[1].range.clone()], "{name: two, count: 3}");
        assert_eq!(&TEXT[cases[0].entry("name").expect("it is there").1.range.clone()], "one");
        let path = KeyPath::root().name("cases").index(1).name("count");
        assert_eq!(offset(TEXT, &path), TEXT.find("3}"));
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        for (text, line) in [("a: [1, 2", 1), ("a: 1\nb: \"x\n", 2), ("a: 1\na: 2\n", 2), ("a: *b\n", 1)] {
            let error = parse(text).expect_err("it is refused");
            assert!(error.line >= line && !error.message.is_empty(), "{text}: {}", error.message);
            assert!(!error.message.contains("line"), "{}", error.message);
        }
    }
}
