//! The WIT of a component, from its types alone: what it imports and exports, as its author would write it.
//! Packages of WASI are named and not written out, since they are the same everywhere and long.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wit_component::{Output, WitPrinter};
use wit_parser::PackageId;

/// The most of a WIT text that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most that is said of why there is none, in bytes.
const REASON_BYTES_MAX: usize = 1_000;
/// The namespace of packages that are not written out.
const NOT_WRITTEN_OUT: &str = "wasi";

/// What a component says of its interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wit {
    /// WIT text with a line end, of at most 64 KiB; its last line is a comment that says so where more was
    /// cut off.
    Text(String),
    /// It cannot be told, for this reason, which is one line.
    Undecodable(String),
}

/// The WIT of the component that `bytes` are.
pub(crate) fn wit(bytes: &[u8]) -> Wit {
    // A decoder for what tools make: it panics on some components that are valid and that no tool makes.
    // Nothing of it is left then, since it works on data of its own.
    match catch_unwind(AssertUnwindSafe(|| text(bytes))) {
        Ok(Ok(text)) => Wit::Text(text),
        Ok(Err(why)) => Wit::Undecodable(one_line(&why)),
        Err(_) => {
            Wit::Undecodable("the decoder fails on it: it is not of the form that tools make".to_owned())
        }
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    let decoded = wit_component::decode(bytes).map_err(|error| format!("{error:#}"))?;
    let (resolve, main) = (decoded.resolve(), decoded.package());
    let is_written_out = |id: &PackageId| resolve.packages[*id].name.namespace != NOT_WRITTEN_OUT;
    let others = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != main && is_written_out(id));
    let mut printer = WitPrinter::new(Beginning::default());
    let unprintable = |error| format!("{error:#}");
    printer.print_package(resolve, main, true).map_err(unprintable)?;
    for package in others {
        printer.output.newline();
        printer.print_package(resolve, package, false).map_err(unprintable)?;
    }
    Ok(printer.output.finish())
}

/// The beginning of a text, and how long the whole of it is: a small component can have a very long one, by
/// naming something with a long name many times.
#[derive(Default)]
struct Beginning {
    text: String,
    whole_bytes: usize,
    depth: usize,
    is_line_begun: bool,
}

impl Beginning {
    /// The text; where it is too long, its whole lines that fit, with one in place of the others.
    fn finish(self) -> String {
        let Self { mut text, whole_bytes, .. } = self;
        if whole_bytes > text.len() {
            let note = format!("// … and so on: cut here, the whole has {whole_bytes} bytes\n");
            let most = text.floor_char_boundary(text.len().min(TEXT_BYTES_MAX - note.len()));
            text.truncate(text[..most].rfind('\n').map_or(0, |end| end + 1));
            text.push_str(&note);
        }
        text
    }
}

impl Output for Beginning {
    fn push_str(&mut self, part: &str) {
        // What comes after something that was left out is left out as well.
        if self.whole_bytes == self.text.len() {
            let room = (TEXT_BYTES_MAX - self.text.len()).min(part.len());
            self.text.push_str(&part[..part.floor_char_boundary(room)]);
        }
        self.whole_bytes += part.len();
    }

    fn indent_if_needed(&mut self) -> bool {
        let is_needed = !self.is_line_begun;
        if is_needed {
            (0..self.depth).for_each(|_| self.push_str("  "));
        }
        self.is_line_begun = true;
        is_needed
    }

    fn indent_start(&mut self) {
        self.push_str(" {");
        self.depth += 1;
        self.newline();
    }

    fn indent_end(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.indent_if_needed();
        self.push_str("}");
        self.newline();
    }

    fn newline(&mut self) {
        self.push_str("\n");
        self.is_line_begun = false;
    }
}

fn one_line(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    line[..line.floor_char_boundary(line.len().min(REASON_BYTES_MAX))].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut beginning = Beginning::default();
        parts.into_iter().for_each(|part| beginning.push_str(part));
        assert!(beginning.text.len() <= TEXT_BYTES_MAX, "{} bytes are kept", beginning.text.len());
        beginning.finish()
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_lines_and_says_so() {
        let fits = "x".repeat(TEXT_BYTES_MAX - 1) + "\n";
        assert_eq!(of_parts([fits.as_str()]), fits);
        let note = |length: usize| format!("// … and so on: cut here, the whole has {length} bytes\n");
        let line = "import ä: func();\n";
        let cut = of_parts(std::iter::repeat_n(line, 4_000));
        let kept = cut.strip_suffix(&note(4_000 * line.len())).expect("it says so");
        assert_eq!(kept, line.repeat(kept.len() / line.len()));
        assert!((TEXT_BYTES_MAX - 100..=TEXT_BYTES_MAX).contains(&cut.len()), "{}", cut.len());
        // No short part slips in behind a long one that was cut.
        let name = format!("a{}", "é".repeat(TEXT_BYTES_MAX));
        assert_eq!(of_parts([name.as_str(), "\n", "}", "\n"]), note(name.len() + 3));
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(one_line("failed to decode\n  at byte 7"), "failed to decode at byte 7");
        assert!(one_line(&"é".repeat(REASON_BYTES_MAX)).len() <= REASON_BYTES_MAX);
    }
}
