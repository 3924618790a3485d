//! `weir inspect`: what a module is. Its bytes are looked at here, by the same engine that a node runs,
//! whether they lie in a file or are asked of the node, which adds who tags and who uses it.

use std::path::Path;

use anyhow::Context as _;
use api::dto::{Module, PassedTests};
use clap::Args;
use engine::{Description, Engine, EngineOptions, MemoryPages, Wit};
use model::Digest;
use serde::Serialize;

use super::exit::{Ended, Exit};
use super::module_arg::ModuleArg;
use super::output::{self, Output};
use super::{Remote, Session, modules};
use crate::client::json_text;

/// The arguments of `weir inspect`.
#[derive(Args)]
#[command(after_help = "\
A file is looked at without a node. It ends with code 1 where the module would be refused, and
lists every reason that shows without compiling it; `weir check` compiles and executes it. Of a
component the WIT comes last, up to 64 KiB of it; packages of WASI are named in it and no more.")]
pub(crate) struct InspectArgs {
    /// A file; or digest, the beginning of a digest, or tag
    #[arg(value_name = "FILE|MODULE")]
    what: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// All that is shown, as it stands in JSON.
#[derive(Serialize)]
struct Report {
    digest: Digest,
    /// None where the module comes near no contract.
    kind: Option<&'static str>,
    size_bytes: u64,
    imports: Vec<String>,
    exports: Vec<String>,
    languages: Vec<String>,
    tools: Vec<String>,
    memories: Vec<Memory>,
    metadata: std::collections::BTreeMap<String, String>,
    custom_sections: Vec<Section>,
    /// The WIT of a component; none of what is no component, and where there is a `wit_error`.
    wit: Option<String>,
    /// Why a component's WIT cannot be told.
    wit_error: Option<String>,
    problems: Vec<Problem>,
    /// What a node knows beside it; none of a file.
    tests: Option<PassedTests>,
    tags: Option<Vec<String>>,
    used_by: Option<Vec<String>>,
}

/// A memory, in pages of 64 KiB.
#[derive(Serialize)]
struct Memory {
    minimum_pages: u64,
    maximum_pages: Option<u64>,
}

#[derive(Serialize)]
struct Section {
    name: String,
    size_bytes: u64,
}

/// A reason to refuse the module.
#[derive(Serialize)]
struct Problem {
    code: &'static str,
    message: String,
}

/// Shows what a module is. The node is asked only if no file has the name.
pub(crate) fn inspect(
    args: &InspectArgs,
    output: Output,
    connect: impl FnOnce() -> anyhow::Result<Session>,
) -> anyhow::Result<()> {
    let engine = Engine::new(EngineOptions::DEFAULT)?;
    let path = Path::new(&args.what);
    if path.is_file() {
        let bytes = read(path).with_context(|| format!("inspect {}", path.display()))?;
        return show(output, &Report::new(Digest::of(&bytes), engine.describe(&bytes), None));
    }
    let unknown = |why: String| {
        let message = format!("there is no file '{}', and as the name of a module: {why}", args.what);
        Ended::new(Exit::Usage, message)
    };
    let module: ModuleArg = args.what.parse().map_err(unknown)?;
    let session = connect()?;
    let digest = session.digest(&module)?;
    let known: Module = session.client.get(&format!("/v1/modules/{digest}"))?.read()?;
    let bytes = session.module_bytes(digest)?;
    show(output, &Report::new(digest, engine.describe(&bytes), Some(known)))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size_bytes = std::fs::metadata(path)?.len();
    let most = EngineOptions::DEFAULT.module_bytes_max as u64;
    if size_bytes > most {
        let message = format!("{}: {size_bytes} bytes; a module has at most {most}", path.display());
        return Err(Ended::new(Exit::Failed, message).into());
    }
    Ok(std::fs::read(path)?)
}

fn show(output: Output, report: &Report) -> anyhow::Result<()> {
    match output {
        Output::Json => output::data(&json_text(report))?,
        Output::Name => output::data(&report.digest.to_string())?,
        Output::Table => {
            output::print(report.sheet())?;
            if let Some(wit) = &report.wit {
                output::data(&indented(wit))?;
            }
        }
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    let lines = report
        .problems
        .iter()
        .map(|problem| format!("\n  {}: {}", problem.code, output::clean(&problem.message)));
    let message = format!("this module is refused:{}", lines.collect::<String>());
    Err(Ended::new(Exit::Failed, message).into())
}

/// The section with the WIT, below the sheet.
fn indented(wit: &str) -> String {
    let wit = output::clean(wit);
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("  {line}") };
    let lines = ["wit".to_owned()].into_iter().chain(wit.lines().map(line));
    lines.collect::<Vec<_>>().join("\n")
}

impl Report {
    fn new(digest: Digest, description: Description, known: Option<Module>) -> Self {
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names
        };
        let memory =
            |MemoryPages { minimum, maximum }| Memory { minimum_pages: minimum, maximum_pages: maximum };
        let (wit, wit_error) = match description.wit {
            Some(Wit::Text(text)) => (Some(text), None),
            Some(Wit::Undecodable(why)) => (None, Some(why)),
            None => (None, None),
        };
        let section = |(name, size): (String, usize)| Section { name, size_bytes: size as u64 };
        Self {
            digest,
            kind: description.kind.map(engine::ModuleKind::as_str),
            size_bytes: description.size_bytes as u64,
            imports: sorted(description.imports),
            exports: sorted(description.exports),
            languages: description.languages,
            tools: description.tools,
            memories: description.memories.into_iter().map(memory).collect(),
            metadata: description.metadata.into_iter().collect(),
            custom_sections: description.custom_sections.into_iter().map(section).collect(),
            wit,
            wit_error,
            problems: description
                .problems
                .iter()
                .map(|refusal| Problem { code: refusal.code(), message: refusal.to_string() })
                .collect(),
            tests: known.as_ref().and_then(|known| known.tests.clone()),
            tags: known.as_ref().map(|known| known.tags.iter().map(ToString::to_string).collect()),
            used_by: known.map(|known| known.used_by.iter().map(ToString::to_string).collect()),
        }
    }

    fn sheet(&self) -> comfy_table::Table {
        let memory = |memory: &Memory| match memory.maximum_pages {
            Some(maximum) => format!("{} to {maximum} pages of 64 KiB", memory.minimum_pages),
            None => format!("{} pages of 64 KiB or more", memory.minimum_pages),
        };
        let section = |section: &Section| format!("{} ({})", section.name, output::bytes(section.size_bytes));
        let mut rows = vec![
            ("digest", self.digest.to_string()),
            ("kind", self.kind.unwrap_or("none that Weir runs").to_owned()),
            ("size", format!("{} ({} bytes)", output::bytes(self.size_bytes), self.size_bytes)),
            ("language", output::list(&self.languages)),
            ("made by", output::list(&self.tools)),
            ("imports", output::list(&self.imports)),
            ("exports", output::list(&self.exports)),
            ("memory", output::list(self.memories.iter().map(memory))),
        ];
        let metadata = self.metadata.iter().map(|(name, text)| (name.as_str(), text.clone()));
        rows.extend(metadata);
        rows.push(("sections", output::list(self.custom_sections.iter().map(section))));
        rows.extend(self.tests.as_ref().map(|tests| ("tests", modules::tests(tests))));
        if let (Some(tags), Some(used_by)) = (&self.tags, &self.used_by) {
            rows.extend([("tags", output::list(tags)), ("used by", output::list(used_by))]);
        }
        rows.extend(self.wit_error.as_ref().map(|why| ("wit", format!("cannot be decoded: {why}"))));
        output::sheet(rows)
    }
}
