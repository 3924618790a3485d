//! The program behind `make demo`: a node, two modules, a pipeline and real flight records, and at the end
//! what came of them, compared with what has to.
//!
//! It starts `weir up` as anybody would and talks to it only from outside, over HTTP and NATS. Standard error
//! tells how it goes, standard output what came of it. It ends with 0 only if every count is what the data
//! says.

mod again;
mod client;
mod data;
mod node;
mod ports;
mod report;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use node::Node;

/// Runs Weir on real flight records, and shows what comes of it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The program of the node
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/weir")]
    weir: PathBuf,
    /// Where the modules lie that were built from plugins/
    #[arg(long, value_name = "DIRECTORY", default_value = "target/guests/wasm32-wasip2/release")]
    modules: PathBuf,
    /// The events, one JSON object on each line
    #[arg(long, value_name = "FILE", default_value = "examples/flights/flights-sample.ndjson")]
    data: PathBuf,
    /// The pipeline
    #[arg(long, value_name = "FILE", default_value = "examples/flights/flights.toml")]
    pipeline: PathBuf,
    /// The data is the full set: make sure that no flight of the year is missing
    #[arg(long)]
    full: bool,
    /// End when it is done, instead of keeping the node up
    #[arg(long)]
    once: bool,
    /// Where the node may keep its data; made, and removed at the end
    #[arg(long, value_name = "DIRECTORY", default_value = "target/demo")]
    directory: PathBuf,
    /// The nats-server that the node is to start
    #[arg(long, value_name = "PROGRAM")]
    nats_server: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the node, lets the story run on it, and stops it whatever comes of the story.
async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut node = Node::start(arguments).await?;
    let place = node.place();
    let outcome = tokio::select! {
        outcome = story::run(arguments, &place) => outcome,
        error = node.ended() => Err(error),
        name = signals.next() => Err(anyhow::anyhow!("{name} ended the demo before it was done")),
    };
    if outcome.is_ok() && !arguments.once {
        println!("The node stays up. Ctrl-C stops it and removes its data.");
        tokio::select! {
            error = node.ended() => return Err(error),
            _ = signals.next() => {}
        }
    }
    let stopped = node.stop().await;
    outcome?;
    stopped?;
    if arguments.once {
        println!("All counts are what they must be; the node drained and ended with code 0.");
    }
    Ok(())
}

/// The signals that end the demo.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
