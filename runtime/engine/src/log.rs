//! What a guest says beside its answer: log lines, and what it writes to standard output and error. Bounded
//! for each event; what is over is dropped, and the last line says so.

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

/// How much of standard error goes into the reason of a fault, in bytes.
const STDERR_TAIL_BYTES: usize = 400;

/// The lines of one event, within a budget of bytes.
pub(crate) struct LogBuffer {
    budget_bytes: usize,
    left_bytes: usize,
    dropped_bytes: u64,
    lines: Vec<LogLine>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
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
        }
    }

    /// Adds a line of which at most the first bytes are kept.
    pub(crate) fn line(&mut self, level: LogLevel, text: &[u8]) {
        if let Some(kept) = self.take(text, LINE_COST) {
            let text = String::from_utf8_lossy(kept).into_owned();
            self.lines.push(LogLine { level, source: LogSource::Log, text });
        }
    }

    /// Adds bytes of a standard stream, which become lines at each line break and at the event's end.
    pub(crate) fn stream(&mut self, source: LogSource, bytes: &[u8]) {
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
    }

    /// The end of what the event wrote to standard error, in one line: mostly a panic's message.
    pub(crate) fn stderr_tail(&self) -> String {
        let open = String::from_utf8_lossy(&self.stderr);
        let lines = self.lines.iter().filter(|line| line.source == LogSource::Stderr).map(|line| &*line.text);
        let lines: Vec<_> = lines.chain([&*open]).filter(|line| !line.trim().is_empty()).collect();
        let all = lines.join(" | ");
        all[all.ceil_char_boundary(all.len().saturating_sub(STDERR_TAIL_BYTES))..].to_owned()
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
    fn the_end_of_stderr_is_kept_for_the_reason() {
        let mut buffer = LogBuffer::new(2_000);
        assert_eq!(buffer.stderr_tail(), "");
        buffer.stream(LogSource::Stdout, b"progress\n");
        buffer.stream(LogSource::Stderr, b"\nthread panicked at x\nwhy\nnote");
        assert_eq!(buffer.stderr_tail(), "thread panicked at x | why | note");
        buffer.stream(LogSource::Stderr, "é".repeat(400).as_bytes());
        assert_eq!(buffer.stderr_tail(), "é".repeat(200));
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
