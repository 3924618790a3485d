//! Reads Rust source as text, well enough to judge its shape: where code is and where comments and literals
//! are, where functions begin and end, what is compiled only for tests.
//!
//! Not a parser. It copes with nested comments, raw strings and character literals beside lifetimes; it does
//! not expand macros.

use std::ops::Range;

/// One Rust file.
pub(crate) struct Source {
    /// Its path in the tree, with `/` between the parts.
    pub(crate) path: String,
    /// Its lines, as they are.
    pub(crate) lines: Vec<String>,
    /// The text with everything in comments, strings and character literals turned to spaces, so that
    /// positions and line breaks stay what they were.
    pub(crate) code: Vec<char>,
    /// Whether the whole file is only for tests.
    pub(crate) is_test_file: bool,
    strings: Vec<Range<usize>>,
    test_ranges: Vec<Range<usize>>,
    line_starts: Vec<usize>,
}

/// One function with a body.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// From that line to the one of the closing brace, both counted.
    pub(crate) length: usize,
    /// Whether it is compiled only for tests.
    pub(crate) is_test: bool,
}

impl Source {
    /// Reads `text`; a file is for tests by its path, or because its parent says so (`is_test_file`).
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, strings) = blank(&text.chars().collect::<Vec<_>>());
        let breaks = code.iter().enumerate().filter(|(_, c)| **c == '\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        let lines = text.lines().map(str::to_owned).collect();
        let mut source = Self {
            path: path.to_owned(),
            lines,
            code,
            strings,
            is_test_file: is_test_path(path),
            test_ranges: Vec::new(),
            line_starts,
        };
        source.test_ranges = source.find_test_ranges();
        source
    }

    /// The line, from 1, of a position in `code`.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Whether a string stands at this column, from 0, of this line, from 1.
    pub(crate) fn is_string(&self, line: usize, column: usize) -> bool {
        let at = self.line_starts[line - 1] + column;
        self.strings.iter().any(|range| range.contains(&at))
    }

    /// Whether a position is compiled only for tests.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.is_test_file || self.test_ranges.iter().any(|range| range.contains(&at))
    }

    /// Where `text` stands in the code, as a word of its own where it begins or ends like one.
    pub(crate) fn find(&self, text: &str) -> Vec<usize> {
        let wanted: Vec<char> = text.chars().collect();
        let is_word = |at: usize| self.code.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let bound = |inner: char, outer: Option<usize>| {
            !(inner.is_alphanumeric() || inner == '_') || !outer.is_some_and(is_word)
        };
        let (first, last) = (wanted[0], wanted[wanted.len() - 1]);
        let hits = self.code.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
        hits.map(|(at, _)| at)
            .filter(|at| bound(first, at.checked_sub(1)) && bound(last, Some(at + wanted.len())))
            .collect()
    }

    /// The next position from `at` on that is not white space, with what stands there.
    pub(crate) fn next_solid(&self, at: usize) -> Option<(usize, char)> {
        (at..self.code.len()).map(|at| (at, self.code[at])).find(|(_, c)| !c.is_whitespace())
    }

    /// The nearest position before `at` that is not white space, with what stands there.
    pub(crate) fn previous_solid(&self, at: usize) -> Option<(usize, char)> {
        (0..at).rev().map(|at| (at, self.code[at])).find(|(_, c)| !c.is_whitespace())
    }

    /// The position of the bracket that closes the one at `open`.
    pub(crate) fn closing(&self, open: usize) -> Option<usize> {
        let close = match self.code[open] {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        let mut depth = 0_usize;
        for at in open..self.code.len() {
            if self.code[at] == self.code[open] {
                depth += 1;
            } else if self.code[at] == close {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        None
    }

    /// All functions that have a body, nested ones too.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for at in self.find("fn") {
            let name = self.word_at(at + 2);
            let Some(body) = self.body_after(at) else { continue };
            if name.is_empty() {
                continue;
            }
            let line = self.line_of(at);
            let length = self.line_of(body.end - 1) + 1 - line;
            functions.push(Function { name, line, length, is_test: self.is_test(at) });
        }
        functions
    }

    /// The names of the modules that lie in files of their own and are compiled only for tests.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let modules = self.find("mod").into_iter().filter(|at| self.is_test(*at) && !self.is_test_file);
        modules.filter(|at| self.body_after(*at).is_none()).map(|at| self.word_at(at + 3)).collect()
    }

    fn word_at(&self, at: usize) -> String {
        let rest = self.code[at..].iter().skip_while(|c| c.is_whitespace());
        rest.take_while(|c| c.is_alphanumeric() || **c == '_').collect()
    }

    /// The braces that follow an item's head at `at`; none where the item ends in `;`.
    fn body_after(&self, at: usize) -> Option<Range<usize>> {
        let mut depth = 0_usize;
        for at in at..self.code.len() {
            match self.code[at] {
                '(' | '[' => depth += 1,
                ')' | ']' => depth = depth.checked_sub(1)?,
                ';' if depth == 0 => return None,
                '{' if depth == 0 => return Some(at..self.closing(at)? + 1),
                _ => {}
            }
        }
        None
    }

    fn find_test_ranges(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for at in self.find("#[") {
            let Some(end) = self.closing(at + 1) else { continue };
            let attribute: String = self.code[at + 2..end].iter().filter(|c| !c.is_whitespace()).collect();
            if is_test_attribute(&attribute) {
                ranges.push(at..self.item_end(end + 1));
            }
        }
        ranges
    }

    /// Where the item ends whose attributes go on at `at`.
    fn item_end(&self, mut at: usize) -> usize {
        while let Some((next, '#')) = self.next_solid(at) {
            match self.closing(next + 1) {
                Some(end) => at = end + 1,
                None => return self.code.len(),
            }
        }
        let end = self.body_after(at).map(|body| body.end);
        let semicolon = (at..self.code.len()).find(|at| self.code[*at] == ';').map(|at| at + 1);
        end.or(semicolon).unwrap_or(self.code.len())
    }
}

fn is_test_attribute(attribute: &str) -> bool {
    let cfg = attribute.starts_with("cfg(") && !attribute.contains("not(test)");
    let words =
        |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "test");
    attribute == "test" || attribute.starts_with("tokio::test") || (cfg && words(attribute))
}

fn is_test_path(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// The same text with comments, strings and character literals turned to spaces; and where the strings are.
fn blank(text: &[char]) -> (Vec<char>, Vec<Range<usize>>) {
    let (mut code, mut strings) = (Vec::with_capacity(text.len()), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let end = literal_end(text, at);
        if end == at {
            code.push(text[at]);
            at += 1;
        } else {
            code.extend(text[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            if text[at] != '/' {
                strings.push(at..end);
            }
            at = end;
        }
    }
    (code, strings)
}

/// Where the comment or literal ends that begins at `at`; `at` itself where none does.
fn literal_end(text: &[char], at: usize) -> usize {
    let starts = |pattern: &str| pattern.chars().enumerate().all(|(i, c)| text.get(at + i) == Some(&c));
    let in_word = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
    if starts("//") {
        return (at..text.len()).find(|at| text[*at] == '\n').unwrap_or(text.len());
    }
    if starts("/*") {
        return comment_end(text, at);
    }
    if starts("\"") {
        return string_end(text, at + 1);
    }
    if !in_word && (starts("r\"") || starts("r#") || starts("br\"") || starts("br#") || starts("cr\"")) {
        return raw_string_end(text, at).unwrap_or(at);
    }
    if starts("'") {
        return character_end(text, at);
    }
    at
}

fn comment_end(text: &[char], at: usize) -> usize {
    let (mut at, mut depth) = (at, 0_usize);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

fn string_end(text: &[char], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where the raw string at `at` ends; none where it is something else, such as `r#type`.
fn raw_string_end(text: &[char], at: usize) -> Option<usize> {
    let start = at + text[at..].iter().position(|c| *c == 'r')? + 1;
    let hashes = text[start..].iter().take_while(|c| **c == '#').count();
    if text.get(start + hashes) != Some(&'"') {
        return None;
    }
    let body = start + hashes + 1;
    let closes = |at: &usize| {
        text[*at] == '"' && text[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    Some((body..text.len()).find(closes).map_or(text.len(), |at| at + 1 + hashes))
}

/// Where the character literal at `at` ends; `at + 1` for the quote of a lifetime, which is blanked alone.
fn character_end(text: &[char], at: usize) -> usize {
    match (text.get(at + 1), text.get(at + 2)) {
        (Some('\\'), _) => {
            let from = at + 3;
            (from..text.len()).find(|at| text[*at] == '\'').map_or(text.len(), |at| at + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"a "b\"c" d"#, "a        d"),
        (r###"a r#"b"c"# d"###, "a          d"),
        (r#"a br"b" d"#, "a       d"),
        ("r#type", "r#type"),
        (r"a '{' '\'' '\u{1}' b", "a                  b"),
        ("fn f<'a>(x: &'a str)", "fn f< a>(x: & a str)"),
        ("\"a\nb\"", "  \n  "),
    ] {
        let found: String = blank(&text.chars().collect::<Vec<_>>()).0.into_iter().collect();
        assert_eq!(found, code, "{text}");
    }
}

#[test]
fn functions_are_found_with_their_length() {
    let text = "fn one() { \"}\" }\n\npub async fn two<T>(x: [u8; 2]) -> T\nwhere T: Fn(u8) -> u8,\n{\n    x\n}\n\
                trait A { fn none(&self); }\ntype F = fn(u8);";
    let found: Vec<_> =
        Source::new("a.rs", text).functions().iter().map(|f| (f.name.clone(), f.length)).collect();
    assert_eq!(found, [("one".to_owned(), 1), ("two".to_owned(), 5)]);
}

#[test]
fn what_is_only_for_tests_is_known() {
    let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n\
                #[test]\nfn d() {}\n#[cfg(not(test))]\nfn e() {}\n#[cfg(any(test, unix))]\nmod sim;";
    let source = Source::new("a.rs", text);
    let tests: Vec<_> = source.functions().into_iter().filter(|f| f.is_test).map(|f| f.name).collect();
    assert_eq!(tests, ["b", "d"]);
    assert_eq!(source.test_modules(), ["sim"]);
}
