//! Waiting for a node to compile a module that it took in: a Python module takes it ten seconds.

use std::io::IsTerminal as _;
use std::time::Duration;

use api::dto::{Module, ModuleState};
use indicatif::ProgressBar;
use model::Digest;

use super::exit::{Ended, Exit};
use super::{Session, output};
use crate::client::Answer;

/// How often the node is asked.
const INTERVAL: Duration = Duration::from_millis(300);

/// Waits until a module can run, and gives its description.
///
/// # Errors
/// Where the node refuses the module, or knows nothing of it any more.
pub(super) fn wait(session: &Session, name: &str, digest: Digest) -> anyhow::Result<Answer> {
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_message(output::clean(&format!("{name} is received; the node compiles it")));
    bar.enable_steady_tick(INTERVAL);
    if bar.is_hidden() {
        output::talk(&format!("{name} is received; the node compiles it"));
    }
    let described = loop {
        let answer = session.client.get(&format!("/v1/modules/{digest}"))?;
        let module: Module = answer.read()?;
        match module.state {
            ModuleState::Compiling => std::thread::sleep(INTERVAL),
            ModuleState::Ready => break answer,
            ModuleState::Refused => {
                let why = module.reason.unwrap_or_default();
                let message = format!("the node refuses the module: {}", output::clean(&why));
                return Err(Ended::new(Exit::Failed, message).into());
            }
        }
    };
    bar.finish_and_clear();
    Ok(described)
}
