//! The report as JUnit XML, which CI systems read.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::report::{CaseReport, CaseResult, FileReport, Report};

/// The report as a document.
pub(crate) fn document(report: &Report) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&mut writer, report).expect("memory takes whatever is written");
    String::from_utf8(writer.into_inner()).expect("only texts were written")
}

fn write(writer: &mut Writer<Vec<u8>>, report: &Report) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all: Vec<&CaseReport> = report.files.iter().flat_map(|file| &file.cases).collect();
    let suites = writer.create_element("testsuites");
    let named = suites.with_attribute(("name", report.module.to_string().as_str()));
    let counts = counts(&all);
    let counted = named.with_attributes(borrowed(&counts));
    counted.write_inner_content(|writer| report.files.iter().try_for_each(|file| suite(writer, file)))?;
    Ok(())
}

fn suite(writer: &mut Writer<Vec<u8>>, file: &FileReport) -> io::Result<()> {
    let cases: Vec<&CaseReport> = file.cases.iter().collect();
    let suite = writer.create_element("testsuite").with_attribute(("name", clean(&file.file).as_str()));
    let counts = counts(&cases);
    let counted = suite.with_attributes(borrowed(&counts));
    counted
        .write_inner_content(|writer| cases.iter().try_for_each(|found| case(writer, &file.file, found)))?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, file: &str, case: &CaseReport) -> io::Result<()> {
    let (name, file, time) = (clean(&case.name), clean(file), seconds(case.time_us));
    let attributes = [("name", name.as_str()), ("classname", file.as_str()), ("time", time.as_str())];
    let element = writer.create_element("testcase").with_attributes(attributes);
    let tag = match case.result {
        CaseResult::Passed => return element.write_empty().map(|_| ()),
        CaseResult::Differs => "failure",
        CaseResult::Failed => "error",
    };
    let what: Vec<&str> = case.differences.iter().map(|difference| difference.what.as_str()).collect();
    let (message, details) = (clean(&what.join("; ")), clean(&case.details().join("\n")));
    element.write_inner_content(|writer| {
        let failure = writer.create_element(tag).with_attribute(("message", message.as_str()));
        failure.write_text_content(BytesText::new(&details)).map(|_| ())
    })?;
    Ok(())
}

fn counts(cases: &[&CaseReport]) -> [(&'static str, String); 4] {
    let count = |result| cases.iter().filter(|case| case.result == result).count().to_string();
    let time_us = cases.iter().map(|case| case.time_us).sum();
    [
        ("tests", cases.len().to_string()),
        ("failures", count(CaseResult::Differs)),
        ("errors", count(CaseResult::Failed)),
        ("time", seconds(time_us)),
    ]
}

fn borrowed<'a>(pairs: &'a [(&'static str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    pairs.iter().map(|(name, value)| (*name, value.as_str()))
}

fn seconds(time_us: u64) -> String {
    format!("{}.{:06}", time_us / 1_000_000, time_us % 1_000_000)
}

/// Text without the characters that XML cannot have, even escaped.
fn clean(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}
