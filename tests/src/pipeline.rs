//! Pipeline files, as short as a test can say them.

use std::fmt::Write as _;

/// A pipeline file in the making: from stream `IN` to stream `OUT`, unless said otherwise.
#[derive(Clone, Debug)]
pub struct Pipeline {
    name: String,
    head: String,
    source: String,
    steps: String,
    sink: String,
    allow: Vec<String>,
}

impl Pipeline {
    /// From stream `IN` to stream `OUT`, to `out.` and the event's subject.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            head: String::new(),
            source: "stream = \"IN\"\n".to_owned(),
            steps: String::new(),
            sink: "stream = \"OUT\"\nsubject = \"out.{subject}\"\n".to_owned(),
            allow: Vec::new(),
        }
    }

    /// A line before the tables, such as `block = 16`.
    pub fn line(mut self, line: &str) -> Self {
        writeln!(self.head, "{line}").expect("writing to a String cannot fail");
        self
    }

    /// Other lines of the source.
    pub fn source(mut self, lines: &str) -> Self {
        self.source = format!("{lines}\n");
        self
    }

    /// One step more, by digest or tag.
    pub fn step(self, module: impl std::fmt::Display) -> Self {
        self.step_with(module, "")
    }

    /// One step more, with more lines, such as `limits = { fuel_per_event = 1000 }`.
    pub fn step_with(mut self, module: impl std::fmt::Display, lines: &str) -> Self {
        write!(self.steps, "[[steps]]\nmodule = \"{module}\"\n{lines}\n").expect("writing cannot fail");
        self
    }

    /// Another output stream, and the subject of its messages.
    pub fn sink(mut self, stream: &str, subject: &str) -> Self {
        self.sink = format!("stream = {stream:?}\nsubject = {subject:?}\n");
        self
    }

    /// More lines of the sink, such as `format = "ndjson"`.
    pub fn sink_lines(mut self, lines: &str) -> Self {
        writeln!(self.sink, "{lines}").expect("writing to a String cannot fail");
        self
    }

    /// Subjects that modules may set.
    pub fn allow(mut self, pattern: &str) -> Self {
        self.allow.push(pattern.to_owned());
        self
    }

    /// Where in the API it lies.
    pub fn path(&self) -> String {
        format!("/v1/pipelines/{}", self.name)
    }

    /// The file.
    pub fn toml(&self) -> String {
        let Self { name, head, source, steps, sink, allow } = self;
        format!("name = \"{name}\"\n{head}\n[source]\n{source}\n{steps}\n[sink]\n{sink}allow = {allow:?}\n")
    }
}
