//! `weir inspect`: what a module is. A file is looked at here, by the same engine that a node runs; all else
//! is asked of the node.

use std::path::Path;

use anyhow::Context as _;
use api::dto::{Module, ModuleKind};
use clap::Args;
use engine::{Engine, EngineOptions};
use model::Digest;

use super::exit::{Ended, Exit};
use super::module_arg::ModuleArg;
use super::output::{self, Output};
use super::{Remote, Session, modules};

/// The arguments of `weir inspect`.
#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A file; or digest, the beginning of a digest, or tag
    #[arg(value_name = "FILE|MODULE")]
    what: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Shows what a module is. The node is asked only if no file has the name.
pub(crate) fn inspect(
    args: &InspectArgs,
    output: Output,
    connect: impl FnOnce() -> anyhow::Result<Session>,
) -> anyhow::Result<()> {
    let path = Path::new(&args.what);
    if path.is_file() {
        return show(output, &describe(path)?, None);
    }
    let unknown = |why: String| {
        let message = format!("there is no file '{}', and as the name of a module: {why}", args.what);
        Ended::new(Exit::Usage, message)
    };
    let module: ModuleArg = args.what.parse().map_err(unknown)?;
    let session = connect()?;
    let digest = session.digest(&module)?;
    let answer = session.client.get(&format!("/v1/modules/{digest}"))?;
    show(output, &answer.read()?, Some(&answer.text))
}

fn show(output: Output, module: &Module, json: Option<&str>) -> anyhow::Result<()> {
    match (output, json) {
        (Output::Json, Some(json)) => output::data(json.trim_end()),
        (Output::Json, None) => output::data(&crate::client::json_text(module)),
        (Output::Name, _) => output::data(&module.digest.to_string()),
        (Output::Table, _) => output::print(modules::sheet(module)),
    }
}

/// What a file is, in the API's words. Who tags and who uses it is for a node to know.
fn describe(path: &Path) -> anyhow::Result<Module> {
    let named = || format!("inspect {}", path.display());
    let engine = Engine::new(EngineOptions::DEFAULT).with_context(named)?;
    let size_bytes = std::fs::metadata(path).with_context(named)?.len();
    let most = EngineOptions::DEFAULT.module_bytes_max as u64;
    if size_bytes > most {
        let message = format!("{}: {size_bytes} bytes; a module has at most {most}", path.display());
        return Err(Ended::new(Exit::Failed, message).into());
    }
    let bytes = std::fs::read(path).with_context(named)?;
    let info = engine.inspect(&bytes).with_context(named)?;
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    Ok(Module {
        digest: Digest::of(&bytes),
        kind: match info.kind {
            engine::ModuleKind::Component => ModuleKind::Component,
            engine::ModuleKind::CoreModule => ModuleKind::CoreModule,
        },
        size_bytes,
        imports: sorted(info.imports),
        exports: sorted(info.exports),
        tags: vec![],
        used_by: vec![],
        tests: None,
    })
}
