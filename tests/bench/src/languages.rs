//! `make languages`: what a transform costs in each language, written into the README's table.
//!
//! Size, compilation, the first event and the cost of an event are those of the project that `weir new`
//! makes, which does the same in all languages (a text of 256 bytes in capitals, in blocks of 256 with a
//! fresh instance each, its share included). What it costs to send the same event on as it came, and the
//! cases of `tests/conformance`, are the reference module's. Rust has two rows, since the same source makes a
//! component and a core module.
//!
//! Costs are those of the quickest spell, since others on the machine only ever add to them; beside them
//! stands the ratio to a plain wasmtime call, of spells that take turns with its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use engine::{Engine, EngineOptions, Module, ModuleKind};
use model::{Digest, Event, Limits};
use weir_tests::guest;
use weir_tests::process::root;

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

/// Events in a block, as by default.
const BLOCK: u32 = 256;
/// Spells that a figure is made of, and how long blocks are run in one.
const SPELLS: usize = 15;
const SPELL: Duration = Duration::from_millis(100);
/// Plain calls that a spell is held against.
const PLAIN_CALLS: u32 = 20_000;
/// Times that something rare is done for a median.
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
    let titles = "| language | kind | hello, size | compiled at upload in | first event after | an event \
                  | of a plain call | sent on as it came | of a plain call | suite |";
    let rule = "|---|---|---|---|---|---|---|---|---|---|";
    let mut lines = vec![BEGIN.to_owned(), String::new(), titles.to_owned(), rule.to_owned()];
    let mut yardstick = Yardstick::new();
    let mut plain_ns = f64::MAX;
    let wanted = |module: &str| options.only.is_empty() || options.only.iter().any(|only| only == module);
    for (name, module) in LANGUAGES.iter().filter(|(_, module)| wanted(module)) {
        let row = row(name, module, options, &mut yardstick, &mut plain_ns);
        lines.push(row.with_context(|| format!("measure {name}"))?);
        println!("{}", lines[lines.len() - 1]);
    }
    let plain = format!(
        "A plain wasmtime call of a component in Rust, with such an event, took {:.2} µs in its quickest spell.",
        plain_ns / 1e3
    );
    println!("{plain}");
    if !options.only.is_empty() {
        return Ok(());
    }
    lines.extend([String::new(), plain]);
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

fn row(
    name: &str,
    module: &str,
    options: &Options,
    yardstick: &mut Yardstick,
    plain_ns: &mut f64,
) -> anyhow::Result<String> {
    let engine = Engine::new(EngineOptions { instances_max: 8, ..EngineOptions::DEFAULT })?;
    let hello = guest(&format!("{module}-hello"));
    let kind = match engine.inspect(&hello)?.kind {
        ModuleKind::Component => "component",
        ModuleKind::CoreModule => "core",
        ModuleKind::Command => "command",
    };
    let (compiled, code) = compile(&engine, &hello)?;
    let first = first_event(&engine, &hello, &code)?;
    let capitals = cost(&engine.load(Digest::of(&hello), &code)?, &event("hello"), yardstick)?;
    let echo = cost(&engine.compile_and_load(&guest(module))?, &event("hello.echo"), yardstick)?;
    *plain_ns = plain_ns.min(capitals.plain_ns).min(echo.plain_ns);
    let (passed, cases) = suite(options, module)?;
    let size = hello.len();
    Ok(format!(
        "| {name} | {kind} | {} | {} | {} | {:.2} µs | {:.2} | {:.2} µs | {:.2} | {passed} of {cases} |",
        bytes(size),
        time(compiled),
        time(first),
        capitals.event_ns / 1e3,
        capitals.of_plain,
        echo.event_ns / 1e3,
        echo.of_plain,
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

/// What an event costs.
struct Cost {
    /// In the quickest spell.
    event_ns: f64,
    /// What a plain call took in its own quickest.
    plain_ns: f64,
    /// The median of the ratios of neighbouring spells.
    of_plain: f64,
}

/// What one event of a block costs.
fn cost(module: &Module, event: &Event, yardstick: &mut Yardstick) -> anyhow::Result<Cost> {
    let (mut ratios, mut event_ns, mut plain_ns) = (Vec::new(), f64::MAX, f64::MAX);
    for _ in 0..SPELLS {
        let (started, mut events) = (Instant::now(), 0_u32);
        while started.elapsed() < SPELL {
            let mut instance = module.instantiate("", &Limits::DEFAULT, &mut |_| {})?;
            for _ in 0..BLOCK {
                instance.process(event, &mut |_| {})?;
            }
            events += BLOCK;
        }
        let ours = started.elapsed().as_nanos() as f64 / f64::from(events);
        let plain = yardstick.per_call(PLAIN_CALLS);
        ratios.push(ours / plain);
        (event_ns, plain_ns) = (event_ns.min(ours), plain_ns.min(plain));
    }
    Ok(Cost { event_ns, plain_ns, of_plain: pairs::median(&mut ratios) })
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
