//! `make languages`: what a transform costs in each language, written into the README's table.
//!
//! Size, compilation, the first event and the cost of an event are those of the project that `weir new`
//! makes, which does the same in all languages (a text of 256 bytes in capitals, in blocks of 256 with a
//! fresh instance each, its share included). What it costs to send the same event on as it came, and the
//! cases of `tests/conformance`, are the reference module's. Rust has two rows, since the same source makes a
//! component and a core module.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use engine::{Engine, EngineOptions, ModuleKind};
use model::{Digest, Event, Limits};
use weir_tests::guest;
use weir_tests::process::root;

use crate::cost::{Cost, write_table};
use crate::pairs;
use crate::rows::sandbox::{self, Yardstick};

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

/// Times that something rare is done for a median.
const FIGURES: usize = 9;
/// A compilation that takes longer than this is measured once.
const LONG: Duration = Duration::from_secs(2);

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
    let titles = "| language | kind | hello, size | compiled at upload in | first event after | an event \
                  | of a plain call | sent on as it came | of a plain call | suite |";
    let rule = "|---|---|---|---|---|---|---|---|---|---|";
    let mut lines = vec![titles.to_owned(), rule.to_owned()];
    let mut yardstick = Yardstick::new();
    let wanted = |module: &str| options.only.is_empty() || options.only.iter().any(|only| only == module);
    for (name, module) in LANGUAGES.iter().filter(|(_, module)| wanted(module)) {
        let row = row(name, module, options, &mut yardstick);
        lines.push(row.with_context(|| format!("measure {name}"))?);
        println!("{}", lines[lines.len() - 1]);
    }
    let plain = format!(
        "A plain wasmtime call of a component in Rust, with such an event, took {:.2} µs in its quickest spell.",
        yardstick.quickest_ns() / 1e3
    );
    println!("{plain}");
    if !options.only.is_empty() {
        return Ok(());
    }
    lines.extend([String::new(), plain]);
    write_table(&options.readme, "languages", &lines)
}

fn row(name: &str, module: &str, options: &Options, yardstick: &mut Yardstick) -> anyhow::Result<String> {
    let engine = Engine::new(EngineOptions { instances_max: 8, ..EngineOptions::DEFAULT })?;
    let hello = guest(&format!("{module}-hello"));
    let kind = match engine.inspect(&hello)?.kind {
        ModuleKind::Component => "component",
        ModuleKind::CoreModule => "core",
        ModuleKind::Command => "command",
    };
    let (compiled, code) = compile(&engine, &hello)?;
    let first = first_event(&engine, &hello, &code)?;
    let capitals = Cost::measure(&engine.load(Digest::of(&hello), &code)?, "", &event("hello"), yardstick)?;
    let echo = Cost::measure(&engine.compile_and_load(&guest(module))?, "", &event("hello.echo"), yardstick)?;
    let (passed, cases) = suite(options, module)?;
    let size = hello.len();
    Ok(format!(
        "| {name} | {kind} | {} | {} | {} | {} | {} | {passed} of {cases} |",
        bytes(size),
        time(compiled),
        time(first),
        capitals.cells(),
        echo.cells(),
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
    let (digest, event) = (Digest::of(module), event("hello"));
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

fn event(subject: &str) -> Event {
    Event { subject: subject.to_owned(), ..sandbox::event() }
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
