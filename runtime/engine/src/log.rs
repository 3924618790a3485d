//! What a guest says beside its answer: log lines, and what it writes to standard output and error. Bounded
//! for each event; what is over is dropped, and the last line says so.

use std::collections::VecDeque;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Of use while a transform is written.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something went wrong.
    Error,
}

/// How a guest came to write a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// Weir's own `log` import.
    Log,
    /// Standard output, through WASI.
    Stdout,
    /// Standard error, through WASI. Panic messages come here.
    Stderr,
    /// The sandbox itself, to say that lines were dropped.
    Sandbox,
}

/// One line from a guest. The text is the guest's: it may hold any character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// How it was written.
    pub source: LogSource,
    /// The line, without its line break.
    pub text: String,
}

/// What each line counts beside its text, so that empty lines are bounded too.
const LINE_COST: usize = 16;

/// How much of what a guest said last goes into the reason of a fault, in bytes, from the beginning and from
/// the end: some languages begin with what went wrong, and some end with it.
const HEAD_BYTES: usize = 300;
const TAIL_BYTES: usize = 400;

/// The lines of one event, within a budget of bytes.
pub(crate) struct LogBuffer {
    budget_bytes: usize,
    left_bytes: usize,
    dropped_bytes: u64,
    lines: Vec<LogLine>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// What was written to standard error, and what was last logged as an error, whatever the budget.
    complaint: Excerpt,
    error: Excerpt,
}

/// The beginning and the end of a text.
#[derive(Default)]
struct Excerpt {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    is_cut: bool,
}

impl LogBuffer {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            budget_bytes,
            left_bytes: budget_bytes,
            dropped_bytes: 0,
            lines: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            complaint: Excerpt::default(),
            error: Excerpt::default(),
        }
    }

    /// Adds a line of which at most the first bytes are kept.
    pub(crate) fn line(&mut self, level: LogLevel, text: &[u8]) {
        if level == LogLevel::Error {
            self.error = Excerpt::default();
            self.error.add(text);
        }
        if let Some(kept) = self.take(text, LINE_COST) {
            let text = String::from_utf8_lossy(kept).into_owned();
            self.lines.push(LogLine { level, source: LogSource::Log, text });
        }
    }

    /// Adds bytes of a standard stream, which become lines at each line break and at the event's end.
    pub(crate) fn stream(&mut self, source: LogSource, bytes: &[u8]) {
        if source == LogSource::Stderr {
            self.complaint.add(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let cost = if piece.ends_with(b"\n") { LINE_COST } else { 0 };
            let Some(kept) = self.take(piece, cost) else { continue };
            let partial = if source == LogSource::Stdout { &mut self.stdout } else { &mut self.stderr };
            partial.extend_from_slice(kept.strip_suffix(b"\n").unwrap_or(kept));
            if kept.ends_with(b"\n") {
                self.end_line(source);
            }
        }
    }

    /// Hands out the event's lines and starts with a whole budget again.
    pub(crate) fn drain(&mut self, log: &mut dyn FnMut(LogLine)) {
        if self.left_bytes == self.budget_bytes && self.dropped_bytes == 0 {
            return;
        }
        for source in [LogSource::Stdout, LogSource::Stderr] {
            self.end_line_if_open(source);
        }
        self.lines.drain(..).for_each(&mut *log);
        if self.dropped_bytes > 0 {
            let text = format!("{} more bytes of log were dropped", self.dropped_bytes);
            log(LogLine { level: LogLevel::Warn, source: LogSource::Sandbox, text });
        }
        (self.left_bytes, self.dropped_bytes) = (self.budget_bytes, 0);
        (self.complaint, self.error) = Default::default();
    }

    /// What the event wrote to standard error, in one line, shortened: mostly a panic's message.
    pub(crate) fn stderr(&self) -> String {
        self.complaint.in_one_line()
    }

    /// What the event last logged as an error, in the same way: in modules that have no standard error.
    pub(crate) fn last_error(&self) -> String {
        self.error.in_one_line()
    }

    fn take<'a>(&mut self, bytes: &'a [u8], cost: usize) -> Option<&'a [u8]> {
        let kept = bytes.len().min(self.left_bytes.saturating_sub(cost));
        self.dropped_bytes += (bytes.len() - kept) as u64;
        if kept == 0 && (!bytes.is_empty() || self.left_bytes < cost) {
            self.left_bytes = 0;
            return None;
        }
        self.left_bytes -= kept + cost;
        Some(&bytes[..kept])
    }

    fn end_line_if_open(&mut self, source: LogSource) {
        let open =
            if source == LogSource::Stdout { !self.stdout.is_empty() } else { !self.stderr.is_empty() };
        if open {
            self.end_line(source);
        }
    }

    fn end_line(&mut self, source: LogSource) {
        let (level, partial) = match source {
            LogSource::Stdout => (LogLevel::Info, &mut self.stdout),
            _ => (LogLevel::Warn, &mut self.stderr),
        };
        let text = String::from_utf8_lossy(partial).into_owned();
        partial.clear();
        self.lines.push(LogLine { level, source, text });
    }
}

impl Excerpt {
    fn add(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head.len()));
        self.head.extend_from_slice(head);
        let end = &rest[rest.len().saturating_sub(TAIL_BYTES)..];
        self.tail.extend(end);
        let over_bytes = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..over_bytes);
        self.is_cut |= over_bytes > 0 || end.len() < rest.len();
    }

    fn in_one_line(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        match self.is_cut {
            false => one_line(&[&*self.head, &tail].concat()),
            true => format!("{} … {}", one_line(&self.head), one_line(&tail)),
        }
    }
}

/// Lines beside each other, empty ones left out, and characters that were cut through.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(char::REPLACEMENT_CHARACTER);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(buffer: &mut LogBuffer) -> Vec<String> {
        let mut lines = Vec::new();
        buffer.drain(&mut |line| lines.push(format!("{:?} {}", line.source, line.text)));
        lines
    }

    #[test]
    fn streams_become_lines() {
        let mut buffer = LogBuffer::new(1000);
        buffer.stream(LogSource::Stdout, b"a");
        buffer.stream(LogSource::Stderr, b"x\n\ny");
        buffer.stream(LogSource::Stdout, b"b\nc");
        buffer.line(LogLevel::Info, b"log");
        let expected = ["Stderr x", "Stderr ", "Stdout ab", "Log log", "Stdout c", "Stderr y"];
        assert_eq!(drained(&mut buffer), expected);
        assert!(drained(&mut buffer).is_empty());
    }

    #[test]
    fn what_is_over_the_budget_is_dropped_and_said() {
        let mut buffer = LogBuffer::new(2 * LINE_COST + 6);
        buffer.line(LogLevel::Info, b"abc");
        buffer.line(LogLevel::Info, b"defghi");
        buffer.line(LogLevel::Info, b"jk");
        let expected = ["Log abc", "Log def", "Sandbox 5 more bytes of log were dropped"];
        assert_eq!(drained(&mut buffer), expected);
        buffer.line(LogLevel::Info, b"again");
        assert_eq!(drained(&mut buffer), ["Log again"]);
    }

    #[test]
    fn stderr_is_kept_for_the_reason() {
        let mut buffer = LogBuffer::new(2_000);
        assert_eq!(buffer.stderr(), "");
        buffer.stream(LogSource::Stdout, b"progress\n");
        buffer.stream(LogSource::Stderr, b"\nthread panicked at x\nwhy\nnote");
        assert_eq!(buffer.stderr(), "thread panicked at x | why | note");
        buffer.drain(&mut |_| {});
        assert_eq!(buffer.stderr(), "");
    }

    /// What went wrong may stand at the beginning or at the end, and beyond what the log keeps.
    #[test]
    fn of_much_the_beginning_and_the_end_are_kept() {
        let mut buffer = LogBuffer::new(10);
        buffer.stream(LogSource::Stderr, b"first\n");
        for _ in 0..1000 {
            buffer.stream(LogSource::Stderr, "é\n".as_bytes());
        }
        buffer.stream(LogSource::Stderr, b"last");
        let text = buffer.stderr();
        assert!(text.starts_with("first | é | é") && text.ends_with("é | é | last"), "{text}");
        assert!(text.contains(" | é … é | ") && !text.contains('\u{fffd}'), "{text}");
        assert!(text.len() < 2 * (HEAD_BYTES + TAIL_BYTES), "{}", text.len());
    }

    #[test]
    fn the_last_error_is_kept_for_the_reason() {
        let mut buffer = LogBuffer::new(0);
        for (level, text) in [(LogLevel::Error, "first"), (LogLevel::Error, "a\n b"), (LogLevel::Warn, "w")] {
            buffer.line(level, text.as_bytes());
        }
        assert_eq!(buffer.last_error(), "a |  b");
        buffer.drain(&mut |_| {});
        assert_eq!(buffer.last_error(), "");
    }

    #[test]
    fn empty_lines_are_bounded_too() {
        let mut buffer = LogBuffer::new(100);
        for _ in 0..1_000_000 {
            buffer.line(LogLevel::Info, b"");
            buffer.stream(LogSource::Stdout, b"\n");
        }
        assert!(drained(&mut buffer).len() <= 100 / LINE_COST + 1);
    }
}
