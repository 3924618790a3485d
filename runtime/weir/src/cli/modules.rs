//! `weir modules` and `weir rm module`.

use api::dto::{ModuleKind, ModuleList, PassedTests};
use clap::Args;

use super::module_arg::ModuleArg;
use super::output::{self, Output};
use super::{Remote, Session};

/// A verb on one module.
#[derive(Args)]
pub(crate) struct OneModule {
    /// Digest, the beginning of a digest, or tag
    pub(crate) module: ModuleArg,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Lists the modules.
pub(crate) fn list(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/modules")?;
    let list: ModuleList = answer.read()?;
    let names = || list.modules.iter().map(|module| module.digest.to_string()).collect();
    let table = || {
        let mut table = output::table(["DIGEST", "KIND", "SIZE", "TESTS", "TAGS", "USED BY"]);
        for module in &list.modules {
            let (tags, users) = (output::list(&module.tags), output::list(&module.used_by));
            let size = output::bytes(module.size_bytes);
            let passed = module.tests.as_ref().map_or("-".to_owned(), |tests| tests.cases.to_string());
            let (digest, kind) = (module.digest.short(), kind(module.kind));
            table.add_row(output::row([&digest, &kind, &size, &passed, &tags, &users]));
        }
        table
    };
    output::show(session.output, &answer, names, table)
}

/// Removes a module.
pub(crate) fn remove(session: &Session, module: &ModuleArg) -> anyhow::Result<()> {
    let digest = session.digest(module)?;
    session.client.delete(&format!("/v1/modules/{digest}"))?;
    if session.output == Output::Name {
        return output::data(&digest.to_string());
    }
    output::talk(&format!("removed module {digest}"));
    Ok(())
}

/// The tests that a module passed, for people.
pub(crate) fn tests(tests: &PassedTests) -> String {
    format!("{} cases passed when it was pushed, {}", tests.cases, tests.digest)
}

pub(crate) fn kind(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::Component => "component",
        ModuleKind::CoreModule => "core-module",
        ModuleKind::Command => "command",
    }
}
