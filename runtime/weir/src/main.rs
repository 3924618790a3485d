//! The life of the process: parse what was typed, run the verb, end with the code that says how it went.
//!
//! What was typed (`cli`) becomes settings that are known to be usable (`config`), and only those reach the
//! code that does something: the node (`app`) for `weir up`, the client (`client`) for all other verbs.

mod adapters;
mod app;
mod cli;
mod client;
mod config;
mod files;
#[cfg(test)]
mod golden;
mod logging;
mod project;
mod spec;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::exit::Exit;
use crate::cli::{Cli, Verb};
use crate::config::{NodeConfig, NodeFlags, ProcessEnvironment};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit_of_usage(&error),
    };
    // A panic has printed its message already; what is left is to end with the code for a bug of ours.
    let outcome = std::panic::catch_unwind(|| run(cli));
    let exit = match outcome {
        Ok(Ok(())) => Exit::Ok,
        Ok(Err(error)) => cli::exit::report(&error),
        Err(_) => cli::exit::report_bug(),
    };
    exit.into()
}

/// Runs one verb to its end.
fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.verb {
        Verb::Up(flags) => serve(&flags, &cli.remote),
        verb => cli::run(verb, &cli.remote, &ProcessEnvironment),
    }
}

/// Help and the version are what was asked for; everything else is a mistake in the line.
fn exit_of_usage(error: &clap::Error) -> ExitCode {
    // Where nobody reads, there is no one to tell.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
}

/// The life of a node: settings, log, threads, and then the node itself until a signal ends it.
fn serve(flags: &NodeFlags, remote: &cli::Remote) -> anyhow::Result<()> {
    remote.refuse_for("up")?;
    let config = NodeConfig::new(flags, &ProcessEnvironment)?;
    logging::start(&config.log)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), nats = %config.nats, "Weir starts");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(until_signal(config));
    // All that matters has been awaited; what is left are idle threads.
    runtime.shutdown_background();
    outcome
}

/// Runs the node. The first signal drains it, a second one ends it at once.
async fn until_signal(config: NodeConfig) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async {
        // A sender that is gone means the same as one that has spoken.
        let _ = stopped.await;
    };
    let mut node = Box::pin(app::up(config, shutdown));
    tokio::select! {
        outcome = &mut node => return outcome,
        signal = signals.next() => tracing::info!(signal, "The node drains; a second signal ends it at once"),
    }
    // The node may end in this very moment, and then has no need to be told.
    let _ = stop.send(());
    tokio::select! {
        outcome = node => outcome,
        signal = signals.next() => anyhow::bail!("{signal} ended the node before it had drained"),
    }
}

/// The signals that end a node.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
