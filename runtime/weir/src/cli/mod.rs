//! The verbs: what can be typed, and which code each runs.
//!
//! Data goes to standard output, talk to standard error. Tables are for people and may change; `-o json` is
//! the API's own JSON and does not.

mod apply;
mod attest;
mod compiling;
mod completions;
mod conformance;
mod dead;
mod dev;
mod dev_pipeline;
mod diff;
pub(crate) mod exit;
mod inspect;
mod lock;
mod module_arg;
mod modules;
mod new;
mod output;
mod pipelines;
mod push;
mod replay;
mod rerun;
mod resolve;
mod revisions;
mod run;
mod shadow;
mod swap;
mod tags;
mod test;
mod trace;
mod trial;
mod verify;

use clap::{Args, Parser, Subcommand};
use model::PipelineName;

use crate::client::Client;
use crate::config::{ClientConfig, ClientFlags, Environment, LocalConfig, NodeFlags};
use exit::{Ended, Exit};
use output::Output;

const EXAMPLES: &str = "\
Examples:
  weir new mask --lang rust                   begin a module of your own; then: weir build, weir test
  weir up                                     start a node with its own NATS server
  weir push mask.wasm --tag mask-pii:1.2      upload a module and name it
  weir apply flights.toml                     put a pipeline in force
  weir status flights                         see how it is doing
  weir run flights.toml <in.ndjson            run it over a file, without a node
  weir verify flights --nats nats://host      execute its past again, and compare all of it

Exit codes:
   0  done                                    69  node or NATS server cannot be reached
   1  failed                                  70  a bug in Weir
   2  two things differ                       78  a setting or a file cannot be used
  64  the command line makes no sense";

const UP_HELP: &str = "\
Where to find NATS is taken from the flags, then from the environment, then from the context of the
`nats` command: the one that is named, or else the one that is selected. If none of them names a
server, the node starts one of its own. A context that is merely selected counts only while nothing
else names a server.

SIGTERM and SIGINT drain the node: it stops reading, appends what is computed, and ends with code 0.
A second one ends it at once.";

/// Runs WebAssembly transforms on NATS streams, exactly once.
#[derive(Parser)]
#[command(name = "weir", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Flags that may stand before the verb as well as after it.
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The flags of every verb that talks to a node.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Remote {
    #[command(flatten)]
    client: ClientFlags,
    /// What the answer looks like [default: table]
    #[arg(short, long, value_name = "FORMAT", help_heading = "Node to talk to")]
    output: Option<Output>,
}

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Run a node
    #[command(after_help = UP_HELP)]
    Up(Box<NodeFlags>),
    #[command(flatten)]
    Project(ProjectVerb),
    /// Upload modules, or a project's once it is built and passes its cases; prints the digest
    Push(Box<push::PushArgs>),
    /// List the modules
    Modules(Remote),
    /// List tags, show one, set one or delete one
    Tag(tags::TagArgs),
    /// Show what a module is: a file, or one that the node has
    Inspect(inspect::InspectArgs),
    /// Run one event through a module, in the real sandbox
    Try(trial::TryArgs),
    /// Put a pipeline in force, as its file or a lock says
    Apply(apply::ApplyArgs),
    /// Show what an apply would change against what is in force
    Plan(lock::PlanArgs),
    /// Write down what a pipeline file comes to, every module by its digest
    Lock(lock::LockArgs),
    /// Run a pipeline over files, without node and broker
    Run(Box<run::RunArgs>),
    /// Execute a pipeline's past again, and compare all of it
    Verify(Box<verify::VerifyArgs>),
    /// Make a pipeline's outputs again, by the same or another plan, in a stream beside the live one
    Replay(Box<replay::ReplayArgs>),
    /// Compare two output streams, event by event
    Diff(Box<diff::DiffArgs>),
    /// Verify a part of a pipeline's past, and sign what it came to
    Attest(Box<attest::AttestArgs>),
    /// Write the events of a stream into a file
    Export(Box<attest::ExportArgs>),
    /// List the pipelines
    Pipelines(Remote),
    /// Show how a pipeline is doing, or all of them
    Status(pipelines::StatusArgs),
    /// Put other modules into steps of a pipeline, at an exact event if wanted
    Swap(swap::SwapArgs),
    /// Put the plan of an older revision in force again
    Rollback(swap::RollbackArgs),
    /// List which plans were in force from which event on, who applied them and what they changed
    Revisions(revisions::RevisionsArgs),
    /// Try other modules beside the ones in force: start, show or stop a shadow
    Shadow(shadow::ShadowArgs),
    /// Put a shadow's modules in force
    Promote(OnePipeline),
    /// Show where an output comes from, or what became of an event
    Trace(trace::TraceArgs),
    /// Pause a pipeline
    Pause(OnePipeline),
    /// Let a paused pipeline go on
    Resume(OnePipeline),
    /// List the events that no step could process, and why
    Dead(dead::DeadArgs),
    /// Remove a pipeline, a module or a tag
    Rm(RmArgs),
    /// Check pipeline files, and modules by executing samples; no node is needed
    Check(apply::CheckArgs),
    /// Print the JSON Schema of the pipeline file
    Schema,
    /// Print the completions for a shell
    Completions(completions::CompletionsArgs),
}

/// What a plugin author does in a project.
#[derive(Subcommand)]
pub(crate) enum ProjectVerb {
    /// Begin a project of a module, in one of several languages
    New(new::NewArgs),
    /// Build a project's module
    Build(new::BuildArgs),
    /// Run a project's cases through its module, in the real sandbox
    Test(Box<test::TestArgs>),
    /// Build and test a project at each save, and swap it into a pipeline of a running node
    Dev(Box<dev::DevArgs>),
}

/// A verb on one pipeline.
#[derive(Args)]
pub(crate) struct OnePipeline {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    #[command(flatten)]
    remote: Remote,
}

/// What to remove.
#[derive(Args)]
pub(crate) struct RmArgs {
    #[command(subcommand)]
    what: Rm,
}

/// What can be removed.
#[derive(Subcommand)]
enum Rm {
    /// Remove a pipeline; its output stream stays unless --with-output
    Pipeline(pipelines::RemoveArgs),
    /// Remove a module that no plan, revision or tag needs
    Module(modules::OneModule),
    /// Remove a tag; its module stays
    Tag(tags::OneTag),
}

/// Runs a verb other than `up`. `before` holds the flags that stood before it.
pub(crate) fn run(verb: Verb, before: &Remote, environment: &dyn Environment) -> anyhow::Result<()> {
    let connect = |remote: Remote| remote.or(before.clone()).connect(environment);
    match verb {
        Verb::Up(_) => anyhow::bail!("a node is run by the process itself"),
        Verb::Project(verb) => run_project(verb, before, environment),
        Verb::Push(args) => push::run(&connect(args.remote.clone())?, &args, environment),
        Verb::Modules(remote) => modules::list(&connect(remote)?),
        Verb::Tag(args) => tags::run(&connect(args.remote.clone())?, &args),
        Verb::Inspect(args) => {
            let remote = args.remote.clone().or(before.clone());
            inspect::inspect(&args, remote.output(), || remote.connect(environment))
        }
        Verb::Try(args) => run_try(&args, &connect(args.remote.clone())?, environment),
        Verb::Apply(args) => apply::run(&connect(args.remote.clone())?, &args),
        Verb::Plan(args) => lock::plan(&connect(args.remote.clone())?, &args),
        Verb::Lock(args) => lock::lock(&args, || connect(args.remote.clone())),
        Verb::Run(args) => {
            let config = LocalConfig::new(&args.local, environment)?;
            run::run(&args, &config, || connect(Remote { client: args.client.clone(), output: None }))
        }
        Verb::Verify(args) => run_verify(&args, before, environment),
        Verb::Replay(args) => {
            before.refuse_for("replay")?;
            let config = LocalConfig::new(&args.local, environment)?;
            replay::run(&args, &config, args.nats.required(environment)?)
        }
        Verb::Diff(args) => {
            let output = args.output.unwrap_or(before.output());
            diff::run(&args, output, args.nats.required(environment)?)
        }
        Verb::Attest(args) => {
            before.refuse_for("attest")?;
            let config = LocalConfig::new(&args.local, environment)?;
            attest::attest(&args, &config, args.nats.required(environment)?)
        }
        Verb::Export(args) => {
            before.refuse_for("export")?;
            attest::export(&args, &args.nats.required(environment)?)
        }
        Verb::Pipelines(remote) => pipelines::list(&connect(remote)?),
        Verb::Status(args) => pipelines::status(&connect(args.remote)?, args.name.as_ref()),
        Verb::Swap(args) => swap::swap(&connect(args.remote.clone())?, &args),
        Verb::Rollback(args) => swap::roll_back(&connect(args.remote.clone())?, &args),
        Verb::Revisions(args) => revisions::list(&connect(args.remote.clone())?, &args),
        Verb::Shadow(args) => shadow::run(&connect(args.remote.clone())?, &args),
        Verb::Promote(args) => swap::promote(&connect(args.remote)?, &args.name),
        Verb::Trace(args) => trace::run(&connect(args.remote.clone())?, &args),
        Verb::Pause(args) => pipelines::pause(&connect(args.remote)?, &args.name),
        Verb::Resume(args) => pipelines::resume(&connect(args.remote)?, &args.name),
        Verb::Dead(args) => dead::list(&connect(args.remote.clone())?, &args),
        Verb::Rm(RmArgs { what: Rm::Pipeline(args) }) => {
            pipelines::remove(&connect(args.remote.clone())?, &args)
        }
        Verb::Rm(RmArgs { what: Rm::Module(args) }) => modules::remove(&connect(args.remote)?, &args.module),
        Verb::Rm(RmArgs { what: Rm::Tag(args) }) => tags::remove(&connect(args.remote)?, &args.name),
        Verb::Check(args) => {
            before.refuse_for("check")?;
            apply::check(&args)
        }
        Verb::Schema => {
            before.refuse_for("schema")?;
            output::data(crate::spec::schema_text().trim_end())
        }
        Verb::Completions(args) => {
            before.refuse_for("completions")?;
            completions::print(&args)
        }
    }
}

/// Runs a verb of a plugin author. All but `dev` work without a node.
fn run_project(verb: ProjectVerb, before: &Remote, environment: &dyn Environment) -> anyhow::Result<()> {
    match verb {
        ProjectVerb::New(args) => {
            before.refuse_for("new")?;
            new::new(&args)
        }
        ProjectVerb::Build(args) => {
            before.refuse_for("build")?;
            new::build(&args)
        }
        ProjectVerb::Test(args) => {
            before.refuse_for("test")?;
            test::run(&args, &LocalConfig::new(&args.local, environment)?)
        }
        ProjectVerb::Dev(args) => {
            let config = LocalConfig::new(&args.local, environment)?;
            dev::run(&args.remote.clone().or(before.clone()).connect(environment)?, &args, &config)
        }
    }
}

/// Tries a module on the node, or a dead letter's event here.
fn run_try(args: &trial::TryArgs, session: &Session, environment: &dyn Environment) -> anyhow::Result<()> {
    match &args.from_dead_letter {
        Some(letter) => rerun::run(session, letter, &LocalConfig::quiet(environment)?),
        None => trial::run(session, args),
    }
}

/// Verifies on a node if one is named, offline if there is an attestation, and else here, over NATS.
fn run_verify(
    args: &verify::VerifyArgs,
    before: &Remote,
    environment: &dyn Environment,
) -> anyhow::Result<()> {
    if let Some(node) = args.node.clone().or(before.client.node.clone()) {
        let client = ClientFlags { node: Some(node), ..ClientFlags::default() };
        let remote = Remote { client, output: args.output }.or(before.clone());
        return verify::on_node(&remote.connect(environment)?, args);
    }
    Remote { output: None, ..before.clone() }.refuse_for("verify")?;
    let config = LocalConfig::new(&args.local, environment)?;
    match args.offline() {
        Some(offline) => attest::check(&offline, &config),
        None => {
            let output = args.output.or(before.output).unwrap_or(Output::Table);
            verify::run(args, output, &config, args.nats.required(environment)?)
        }
    }
}

/// A node to talk to, and how to show what it says.
pub(crate) struct Session {
    client: Client,
    output: Output,
}

impl Remote {
    /// Refuses these flags before a verb that talks to no node.
    ///
    /// # Errors
    /// When there are any.
    pub(crate) fn refuse_for(&self, verb: &str) -> Result<(), Ended> {
        if self.client.is_empty() && self.output.is_none() {
            return Ok(());
        }
        let message =
            format!("`weir {verb}` talks to no node: leave out --node, --token-file, --ca-file and -o");
        Err(Ended::new(Exit::Usage, message))
    }

    fn or(self, other: Self) -> Self {
        Self { client: self.client.or(other.client), output: self.output.or(other.output) }
    }

    fn connect(&self, environment: &dyn Environment) -> anyhow::Result<Session> {
        let client = Client::new(ClientConfig::new(&self.client, environment)?)?;
        Ok(Session { client, output: self.output() })
    }

    fn output(&self) -> Output {
        self.output.unwrap_or(Output::Table)
    }
}

#[cfg(test)]
mod tests;
