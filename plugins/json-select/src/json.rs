//! Payloads to values and back. jaq reads and writes more than JSON (comments, NaN, byte strings); events
//! stay JSON at both ends. Numbers that the program does not calculate with keep their text.
//!
//! Reading is most of what an event costs, so it is one pass, by the lexer that jaq is built on: a text
//! without escapes stays a part of the payload, and a map is made when its members are known.

use std::borrow::Cow;

use bytes::Bytes;
use hifijson::num::LexWrite as _;
use hifijson::str::LexWrite as _;
use hifijson::token::{Expect, Lex};
use hifijson::{SliceLexer, escape::Lex as _};
use jaq_json::{Map, Num, Val};
use serde::de::IgnoredAny;
use weir_sdk::{Reject, Result};

/// How deep a payload may be nested. Reading one takes stack for each level.
const DEPTH_MAX: usize = 128;

/// Reads a payload, which has to be UTF-8.
///
/// # Errors
/// When it is not JSON, or nested too deeply.
pub(crate) fn read(payload: &Bytes) -> Result<Val> {
    let mut lexer = SliceLexer::new(payload);
    let mut reader = Reader { payload, members: Vec::new() };
    lexer
        .exactly_one(Lex::ws_peek, |next, lexer| reader.value(next, lexer, 0))
        .map_err(|fault| explain(payload, payload.len() - lexer.as_slice().len(), &fault))
}

/// Writes a value as compact JSON.
///
/// # Errors
/// When the value has no JSON form.
pub(crate) fn write(value: &Val) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    append(&mut payload, value)?;
    if str::from_utf8(&payload).is_err() {
        return Err(Reject::new("an output has no JSON form: a string in it is not UTF-8"));
    }
    Ok(payload)
}

/// Why a payload is not read.
enum Fault {
    Syntax(hifijson::Error),
    Depth,
}

impl From<hifijson::Error> for Fault {
    fn from(error: hifijson::Error) -> Self {
        Self::Syntax(error)
    }
}

impl From<Expect> for Fault {
    fn from(expected: Expect) -> Self {
        Self::Syntax(expected.into())
    }
}

/// What reading a payload needs beside its lexer.
struct Reader<'a> {
    payload: &'a Bytes,
    /// The members of the objects that are being read, those of the innermost last.
    members: Vec<(Val, Val)>,
}

impl<'a> Reader<'a> {
    /// Reads the value that begins with `next`, inside of `depth` arrays and objects.
    fn value(&mut self, next: u8, lexer: &mut SliceLexer<'a>, depth: usize) -> Result<Val, Fault> {
        Ok(match next {
            b'"' => self.string(lexer)?,
            b'-' | b'0'..=b'9' => Val::Num(number(lexer)?),
            b'[' | b'{' if depth == DEPTH_MAX => return Err(Fault::Depth),
            b'[' => {
                let mut elements = Vec::new();
                lexer.discarded().seq(b']', Lex::ws_peek, |next, lexer| {
                    elements.push(self.value(next, lexer, depth + 1)?);
                    Ok::<_, Fault>(())
                })?;
                Val::Arr(elements.into())
            }
            b'{' => {
                let outer = self.members.len();
                lexer.discarded().seq(b'}', Lex::ws_peek, |next, lexer| {
                    let member = self.member(next, lexer, depth + 1)?;
                    self.members.push(member);
                    Ok::<_, Fault>(())
                })?;
                Val::obj(self.members.drain(outer..).collect::<Map>())
            }
            _ => match lexer.null_or_bool().ok_or(Expect::Value)? {
                Some(value) => Val::Bool(value),
                None => Val::Null,
            },
        })
    }

    fn member(&mut self, next: u8, lexer: &mut SliceLexer<'a>, depth: usize) -> Result<(Val, Val), Fault> {
        if next != b'"' {
            return Err(Expect::String.into());
        }
        let name = self.string(lexer)?;
        lexer.expect(Lex::ws_peek, b':').ok_or(Expect::Colon)?;
        let next = lexer.ws_peek().ok_or(Expect::Value)?;
        Ok((name, self.value(next, lexer, depth)?))
    }

    fn string(&self, lexer: &mut SliceLexer<'a>) -> Result<Val, hifijson::Error> {
        use hifijson::escape::Error::Eof;
        let plain = |part: &mut &'a [u8], text: &mut Cow<'a, [u8]>| {
            match text.is_empty() {
                true => *text = Cow::Borrowed(part),
                false => text.to_mut().extend_from_slice(part),
            }
            Ok(())
        };
        let escaped = |lexer: &mut SliceLexer<'a>, text: &mut Cow<'a, [u8]>| {
            let kind = hifijson::Read::take_next(lexer).ok_or(Eof)?;
            let character = lexer.escape(kind)?;
            text.to_mut().extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(())
        };
        let text = lexer.discarded().str_fold(Cow::Borrowed(&[][..]), plain, escaped);
        Ok(Val::utf8_str(match text.map_err(hifijson::Error::Str)? {
            Cow::Borrowed(text) => self.payload.slice_ref(text),
            Cow::Owned(text) => text.into(),
        }))
    }
}

/// Reads a number: an integer of any size, or a decimal, which is kept as text.
fn number(lexer: &mut SliceLexer<'_>) -> Result<Num, hifijson::Error> {
    let (text, parts) = lexer.num_string().validated()?;
    let integer = parts.is_int().then(|| Num::from_str_radix(text, 10)).flatten();
    Ok(integer.unwrap_or_else(|| Num::Dec(text.to_owned().into())))
}

/// Says why a payload is not read, by line and column where that can be said.
#[cold]
fn explain(payload: &[u8], offset: usize, fault: &Fault) -> Reject {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(payload) {
        return Reject::new(format_args!("the payload is not JSON: {error}"));
    }
    match fault {
        Fault::Syntax(error) => {
            Reject::new(format_args!("the payload is not JSON: byte offset {offset}: {error}"))
        }
        Fault::Depth => Reject::new(format_args!("the payload is nested deeper than {DEPTH_MAX} levels")),
    }
}

/// Appends a value to a payload: what is plain here, the rest by jaq's writer.
fn append(payload: &mut Vec<u8>, value: &Val) -> Result<()> {
    match value {
        Val::Null => payload.extend_from_slice(b"null"),
        Val::TStr(text) if is_plain(text) => {
            payload.push(b'"');
            payload.extend_from_slice(text);
            payload.push(b'"');
        }
        Val::Bool(_) | Val::TStr(_) | Val::Num(Num::Int(_) | Num::BigInt(_) | Num::Dec(_)) => {
            by_jaq(payload, value)?;
        }
        Val::Num(Num::Float(number)) if number.is_finite() => by_jaq(payload, value)?,
        Val::Num(Num::Float(_)) | Val::BStr(_) => return Err(without_form()),
        Val::Arr(elements) => {
            payload.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    payload.push(b',');
                }
                append(payload, element)?;
            }
            payload.push(b']');
        }
        Val::Obj(members) => {
            payload.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    payload.push(b',');
                }
                if !matches!(name, Val::TStr(_)) {
                    return Err(without_form());
                }
                append(payload, name)?;
                payload.push(b':');
                append(payload, value)?;
            }
            payload.push(b'}');
        }
    }
    Ok(())
}

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| !matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f))
}

fn by_jaq(payload: &mut Vec<u8>, value: &Val) -> Result<()> {
    Ok(jaq_json::write::write(payload, &jaq_json::write::Pp::default(), 0, value)?)
}

fn without_form() -> Reject {
    let what = "it holds a NaN, an infinity, a byte string or a name that is no string";
    Reject::new(format_args!("an output has no JSON form: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_as_it_was() {
        for text in [
            r#"{"z":1,"a":[null,true,-0.10,1E400,123456789012345678901234567890]}"#,
            r#""é\"\\\n""#,
            r#"{"brackets":"[[[[{{{{\"[[[["}"#,
            &format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)),
        ] {
            let value = read(&Bytes::from(text.to_owned())).expect("it is JSON");
            assert_eq!(write(&value).map(String::from_utf8), Ok(Ok(text.to_owned())));
        }
    }

    #[test]
    fn what_only_jaq_would_read_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in ["", "NaN", "{a:1}", "[1,]", "1 2", "# one\n1", "b\"x\"", "{1:2}", "\u{feff}1", &deep] {
            assert!(read(&Bytes::from(text.to_owned())).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
    /// The former way, of three passes: by serde_json what is JSON, by jaq what it says.
    fn read_slowly(text: &str) -> Option<Val> {
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        jaq_json::read::parse_single(text.as_bytes()).ok()
    }

    #[test]
    fn one_pass_takes_what_is_json_and_nothing_else() {
        let texts = [
            r#"{"a":[1,-0.5e+3,{}],"":null,"a":"\u00e9\ud83d\ude00x\n"}"#,
            "[ true , false\t,\r\n[] , -0, 10e1, 0.0 ]",
            "12345678901234567890",
            r#""é\\""#,
        ];
        let mut taken = 0;
        let mut check = |text: &str| {
            let (found, expected) = (read(&Bytes::from(text.to_owned())).ok(), read_slowly(text));
            let written = |value: &Val| write(value).map(String::from_utf8);
            assert_eq!(found.as_ref().map(written), expected.as_ref().map(written), "{text}");
            taken += usize::from(found.is_some());
        };
        for text in texts {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            for place in places {
                let (before, after) = text.split_at(place);
                let rest = &after[after.chars().next().map_or(0, char::len_utf8)..];
                check(before);
                check(&format!("{before}{rest}"));
                for other in "{}[]:,\"\\+-.eE01x/#NIntfu b\u{0}\u{c}\u{7f}\u{a0}\u{feff}".chars() {
                    check(&format!("{before}{other}{after}"));
                    check(&format!("{before}{other}{rest}"));
                }
            }
        }
        assert!(taken > 500, "{taken} of the texts are JSON");
    }

    #[test]
    fn texts_are_written_as_jaq_writes_them() {
        for character in (0..=0x100_u32).chain([0x2028, 0xfeff, 0x1f600]).filter_map(char::from_u32) {
            let value = Val::utf8_str(format!("a{character}b"));
            let mut expected = Vec::new();
            by_jaq(&mut expected, &value).expect("a vector takes all");
            assert_eq!(write(&value), Ok(expected), "{character:?}");
        }
    }

    #[test]
    fn a_reason_says_where() {
        let deep = "[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1);
        for (text, reason) in [
            ("{\n\"a\" 1}", "the payload is not JSON: expected `:` at line 2 column 5"),
            (r#"["\ud800"]"#, "the payload is not JSON: byte offset 8: "),
            (&deep, "the payload is nested deeper than 128 levels"),
            (&deep[..200], "the payload is not JSON: EOF while parsing"),
        ] {
            let reject = read(&Bytes::from(text.to_owned())).expect_err(text);
            assert!(reject.reason().starts_with(reason), "{}", reject.reason());
        }
    }
}
