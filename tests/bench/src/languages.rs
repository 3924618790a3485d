//! `make languages`: what a transform costs in each language, written into the README's table.
//!
//! Size, compilation, the first event and the cost of an event are those of the project that `weir new`
//! makes, which does the same in all languages (a text of 256 bytes in capitals, in blocks of 256 with a
//! fresh instance each, its share included); the cases of `tests/conformance` are the reference module's.
//! Rust has two rows, since the same source makes a component and a core module.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use engine::{Engine, EngineOptions, Module, ModuleKind};
use model::{Digest, Event, Headers, Limits};
use weir_tests::guest;
use weir_tests::process::root;

use crate::pairs;
use crate::rows::sandbox::plain_call_ns;

/// The languages as they are called, and their modules: `<name>` and `<name>-hello`.
const LANGUAGES: &[(&str, &str)] = &[
    ("Rust", "rust"),
    ("Rust (core)", "rust-core"),
    ("C", "c"),
    ("Zig", "zig"),
    ("AssemblyScript", "assemblyscript"),
    ("Go", "go"),
    ("JavaScript", "js"),
    ("Python", "python"),
];

/// Events in a block, as by default.
const BLOCK: u32 = 256;
/// How long blocks are run for one figure, at least, and so many figures a median is made of.
const FIGURE_TIME: Duration = Duration::from_millis(200);
const FIGURES: usize = 9;
/// A compilation that takes longer than this is measured once.
const LONG: Duration = Duration::from_secs(2);

const BEGIN: &str = "<!-- languages: written by make languages -->";
const END: &str = "<!-- end of languages -->";

/// The settings of `weir-bench languages`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program that runs the suite.
    #[arg(long, default_value = "target/release/weir")]
    weir: PathBuf,
    /// The file with the table.
    #[arg(long, default_value = "README.md")]
    readme: PathBuf,
    /// Only these modules, such as js,python: their rows are printed, and the table stays as it is.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Measures all languages, and writes the table.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let titles =
        "| language | kind | hello, size | compiled at upload in | first event after | an event | suite |";
    let mut lines =
        vec![BEGIN.to_owned(), String::new(), titles.to_owned(), "|---|---|---|---|---|---|---|".into()];
    let wanted = |module: &str| options.only.is_empty() || options.only.iter().any(|only| only == module);
    for (name, module) in LANGUAGES.iter().filter(|(_, module)| wanted(module)) {
        lines.push(row(name, module, options).with_context(|| format!("measure {name}"))?);
        println!("{}", lines[lines.len() - 1]);
    }
    if !options.only.is_empty() {
        return Ok(());
    }
    let plain = plain_call_ns() / 1e3;
    let yardstick = "In the same run a plain wasmtime call of a component, with such an event, took";
    lines.extend([String::new(), format!("{yardstick} {plain:.2} µs.")]);
    println!("{yardstick} {plain:.2} µs.");
    lines.extend([String::new(), END.to_owned()]);
    let text = std::fs::read_to_string(&options.readme)?;
    std::fs::write(&options.readme, replaced(&text, &lines.join("\n"))?)?;
    Ok(())
}

/// The text with another table between the two marks.
fn replaced(text: &str, table: &str) -> anyhow::Result<String> {
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        bail!("the file has not both marks, '{BEGIN}' and '{END}'");
    };
    Ok(format!("{}{table}{}", &text[..begin], &text[end + END.len()..]))
}

fn row(name: &str, module: &str, options: &Options) -> anyhow::Result<String> {
    let engine = Engine::new(EngineOptions { instances_max: 8, ..EngineOptions::DEFAULT })?;
    let hello = guest(&format!("{module}-hello"));
    let kind = match engine.inspect(&hello)?.kind {
        ModuleKind::Component => "component",
        ModuleKind::CoreModule => "core",
        ModuleKind::Command => "command",
    };
    let (compiled, code) = compile(&engine, &hello)?;
    let first = first_event(&engine, &hello, &code)?;
    let event = cost(&engine.load(Digest::of(&hello), &code)?)?;
    let (passed, cases) = suite(options, module)?;
    let size = hello.len();
    Ok(format!(
        "| {name} | {kind} | {} | {} | {} | {:.2} µs | {passed} of {cases} |",
        bytes(size),
        time(compiled),
        time(first),
        event.as_secs_f64() * 1e6
    ))
}

fn bytes(count: usize) -> String {
    if count < 1_000_000 {
        format!("{:.1} KB", count as f64 / 1e3)
    } else {
        format!("{:.1} MB", count as f64 / 1e6)
    }
}

fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.1} s"),
        s if s >= 0.01 => format!("{:.0} ms", s * 1e3),
        s => format!("{:.1} ms", s * 1e3),
    }
}

/// How long compiling takes, and the code.
fn compile(engine: &Engine, module: &[u8]) -> anyhow::Result<(Duration, Vec<u8>)> {
    let mut times = Vec::new();
    loop {
        let started = Instant::now();
        let code = engine.compile(module)?;
        let took = started.elapsed();
        times.push(took.as_secs_f64());
        if took > LONG || times.len() == FIGURES {
            return Ok((Duration::from_secs_f64(pairs::median(&mut times)), code));
        }
    }
}

/// From compiled code to the answer to the first event.
fn first_event(engine: &Engine, module: &[u8], code: &[u8]) -> anyhow::Result<Duration> {
    let (digest, event) = (Digest::of(module), event());
    let mut times = Vec::new();
    for _ in 0..FIGURES {
        let started = Instant::now();
        let module = engine.load(digest, code)?;
        let mut instance = module.instantiate("", &Limits::DEFAULT, &mut |_| {})?;
        instance.process(&event, &mut |_| {})?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(pairs::median(&mut times)))
}

/// What one event of a block costs.
fn cost(module: &Module) -> anyhow::Result<Duration> {
    let event = event();
    let mut figures = Vec::new();
    for _ in 0..FIGURES {
        let (started, mut events) = (Instant::now(), 0_u32);
        while started.elapsed() < FIGURE_TIME {
            let mut instance = module.instantiate("", &Limits::DEFAULT, &mut |_| {})?;
            for _ in 0..BLOCK {
                instance.process(&event, &mut |_| {})?;
            }
            events += BLOCK;
        }
        figures.push(started.elapsed().as_secs_f64() / f64::from(events));
    }
    Ok(Duration::from_secs_f64(pairs::median(&mut figures)))
}

fn event() -> Event {
    Event {
        subject: "hello".to_owned(),
        payload: Bytes::from(vec![b'x'; 256]),
        headers: Headers::canonical([("trace".to_owned(), "0123456789abcdef".to_owned())]),
        sequence: 1_234_567,
        timestamp_ns: 1_795_400_377_363_678_063,
    }
}

/// How many of the suite's cases the reference module passes, and how many there are.
fn suite(options: &Options, module: &str) -> anyhow::Result<(u64, usize)> {
    let path = weir_tests::guests::guest_path(module);
    let cases: &Path = &root().join("tests/conformance");
    let mut command = Command::new(&options.weir);
    command.arg("test").arg(cases).arg("--module").arg(path).args(["-o", "json"]);
    let output = command.output().with_context(|| format!("run {}", options.weir.display()))?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let files = report["files"].as_array().context("a report has files")?;
    let count = files.iter().filter_map(|file| file["cases"].as_array().map(Vec::len)).sum();
    Ok((report["passed"].as_u64().context("a report has a count")?, count))
}
