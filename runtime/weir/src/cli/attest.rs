//! `weir attest`, `weir export` and the offline half of `weir verify`: to prove to somebody else what was
//! made of what.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use model::{PipelineName, StreamName, SubjectPattern};

use super::exit::{Ended, Exit};
use super::output;
use super::resolve::ModuleFlags;
use crate::app::attestation::{self, Checked, ExportRange};
use crate::app::verification::{self, reach};
use crate::app::workbench::Workbench;
use crate::config::{ExternalNats, LocalConfig, LocalFlags, NatsFlags};
use crate::files::{EventSubject, InputFormat, InputOptions, Place};
use crate::logging;
use crate::spec::{Attested, PublicKey, SigningKey};

/// The arguments of `weir attest`.
#[derive(Args)]
pub(crate) struct AttestArgs {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// Begin with the unit of this source sequence [default: the chain's first]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// End with the unit of this source sequence [default: the chain's last]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// The Ed25519 private key to sign with, PEM, as `openssl genpkey -algorithm ed25519` writes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the attestation goes; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// The output stream, where the pipeline was removed
    #[arg(long, value_name = "STREAM")]
    stream: Option<StreamName>,
    #[command(flatten)]
    pub(crate) local: LocalFlags,
    #[command(flatten)]
    pub(crate) nats: NatsFlags,
}

/// The arguments of `weir export`.
#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The stream
    #[arg(value_name = "STREAM")]
    stream: StreamName,
    /// The first sequence [default: the first that the stream has]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// The last sequence [default: the last that the stream has now]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// Only what lies under this subject; repeat for more
    #[arg(long = "subject", value_name = "PATTERN")]
    subjects: Vec<SubjectPattern>,
    /// Where the events go, as MessagePack that `weir run --format msgpack` reads; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    pub(crate) nats: NatsFlags,
}

/// Verifies a range of a chain, and signs what it comes to.
pub(crate) fn attest(args: &AttestArgs, config: &LocalConfig, nats: ExternalNats) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let named = || format!("--key {}", args.key.display());
    let key = SigningKey::parse(&read_text(&args.key, "--key")?).with_context(named)?;
    let bench = Workbench::new(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let attested = runtime.block_on(Box::pin(async {
        let connection = verification::connect(&bench, nats.options).await?;
        let stream = match &args.stream {
            Some(stream) => stream.clone(),
            None => verification::output_stream(connection, &args.name).await?,
        };
        let range = (args.from, args.to);
        Box::pin(attestation::attest(&bench, connection, &args.name, &stream, range)).await
    }))?;
    let attested = attested.map_err(|found| {
        Ended::new(
            Exit::Difference,
            format!("nothing is signed, for the chain is not what it has to be: {found}"),
        )
    })?;
    let envelope = attested.sign(&key);
    let totals = attested.totals;
    output::talk(&format!("events  {} to {}", attested.from, attested.through));
    output::talk(&format!("outputs {}", totals.outputs));
    output::talk(&format!("key     {}", key.public().id()));
    if args.out == Path::new("-") {
        return output::data(&envelope);
    }
    let named = || format!("write {}", args.out.display());
    crate::files::replace(&args.out, format!("{envelope}\n").as_bytes()).with_context(named)?;
    output::data(&format!("{} receipts, {} events, attested", attested.receipts, totals.events))
}

/// Writes the events of a stream into a file.
pub(crate) fn export(args: &ExportArgs, nats: &ExternalNats) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let range = ExportRange { from: args.from, to: args.to };
    let write = async |out: &mut dyn std::io::Write| {
        let broker = reach(nats.options.clone()).await?;
        attestation::export(&broker, &args.stream, &args.subjects, range, out).await
    };
    let events = if args.output == Path::new("-") {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        let events = runtime.block_on(Box::pin(write(&mut out)))?;
        out.flush()?;
        events
    } else {
        // Beside its place until it is whole.
        let folder = args.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let named = || format!("write {}", args.output.display());
        let usual = std::fs::Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(usual).tempfile_in(folder.unwrap_or(Path::new(".")));
        let file = file.with_context(named)?;
        let mut out = std::io::BufWriter::new(file);
        let events = runtime.block_on(Box::pin(write(&mut out)))?;
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(named)?;
        file.persist(&args.output).with_context(named)?;
        events
    };
    output::talk(&format!("{events} events of stream {}", args.stream));
    Ok(())
}

/// What `weir verify --attestation` is given.
pub(crate) struct Offline<'a> {
    /// The attestation.
    pub(crate) attestation: &'a Path,
    /// The key that it has to be signed with.
    pub(crate) public_key: &'a Path,
    /// The exported inputs.
    pub(crate) input: Option<&'a Path>,
    /// The modules, as files.
    pub(crate) modules: &'a ModuleFlags,
}

/// Checks an attestation without node and broker: its signature, and with inputs and modules at hand, that
/// they come to what it says.
pub(crate) fn check(offline: &Offline<'_>, config: &LocalConfig) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let named = |path: &Path| path.display().to_string();
    let key = PublicKey::parse(&read_text(offline.public_key, "--public-key")?)
        .with_context(|| format!("--public-key {}", named(offline.public_key)))?;
    let envelope = read_text(offline.attestation, "--attestation")?;
    let attested = Attested::open(&envelope, &key)
        .map_err(|error| Ended::new(Exit::Difference, format!("{}: {error}", named(offline.attestation))))?;
    describe(&attested, &key);
    let Some(input) = offline.input else {
        output::talk("nothing was executed: give --input FILE, the events as `weir export` writes them");
        return output::data("the signature is good");
    };
    let bench = Workbench::new(config)?;
    let local = offline.modules.read()?;
    for digest in &attested.modules {
        match local.get(*digest) {
            Some(bytes) => bench.keep(bytes)?,
            None if bench.has(*digest) => {}
            None => {
                let message = format!("module {digest} is not here: give --module FILE");
                return Err(Ended::new(Exit::Config, message).into());
            }
        }
    }
    let input = InputOptions {
        place: Place::of(input),
        format: InputFormat::Msgpack,
        // Whole events bring their own subjects.
        subject: attested.pipeline.as_str().parse::<EventSubject>().map_err(anyhow::Error::msg)?,
        timestamp_ns: 0,
    };
    match attestation::check(&bench, &attested, input)? {
        Checked::Identical => output::data(&format!("{} events, identical", attested.totals.events)),
        Checked::Differs(what) => Err(Ended::new(Exit::Difference, what).into()),
    }
}

fn describe(attested: &Attested, key: &PublicKey) {
    let Attested { pipeline, stream, from, through, totals, engine, .. } = attested;
    output::talk(&format!("signed by {}", key.id()));
    output::talk(&format!("pipeline {pipeline}, stream {stream}, events {from} to {through}"));
    for revision in &attested.revisions {
        output::talk(&format!("plan    {} from {}", revision.plan_digest, revision.from_sequence));
    }
    for module in &attested.modules {
        output::talk(&format!("module  {module}"));
    }
    output::talk(&format!("engine  {engine}"));
    output::talk(&format!(
        "{} events, {} messages, {} dead letters",
        totals.events, totals.messages, totals.dead_letters
    ));
    output::talk(&format!("inputs  {}", totals.inputs));
    output::talk(&format!("outputs {}", totals.outputs));
}

fn read_text(path: &Path, flag: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Ended::new(Exit::Config, format!("{flag}: cannot read {}: {error}", path.display())).into()
    })
}
