//! The settings of a node: what `weir up` was told, made whole and checked.
//!
//! The rule that keeps a node from lying open stands here: an API that listens on anything but loopback
//! needs tokens, and TLS or somebody else's TLS in front of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use broker::EmbeddedOptions;
use clap::{Args, ValueEnum};

use super::nats::{NatsFlags, NatsSource};
use super::{ConfigError, Environment, WORKERS_MAX, xdg_directory};
use crate::spec::humane::ByteCount;

/// The most that an upload may be allowed to have.
const UPLOAD_BYTES_MAX: u64 = 1 << 30;

/// Everything that a node needs to know to start.
#[derive(Clone, Debug)]
pub(crate) struct NodeConfig {
    /// The NATS server it uses.
    pub(crate) nats: NatsSource,
    /// Where it keeps caches, and the embedded server its data.
    pub(crate) data_dir: PathBuf,
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// The file of the API's tokens; always there when `listen` is not loopback.
    pub(crate) tokens_file: Option<PathBuf>,
    /// The API's own TLS.
    pub(crate) api_tls: Option<ApiTls>,
    /// How many worker threads run modules.
    pub(crate) workers: NonZeroUsize,
    /// The largest module that is taken, in bytes.
    pub(crate) upload_bytes_max: u64,
    /// How the log is written.
    pub(crate) log: LogConfig,
}

/// The files of the API's TLS, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiTls {
    /// The certificate, and those that lead to its authority.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) private_key: PathBuf,
}

/// How the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// For people or for programs; `None` decides by whether a terminal reads it.
    pub(crate) format: Option<LogFormat>,
    /// What is written: a level, or levels by module, as `info,weir=debug`.
    pub(crate) filter: String,
}

/// What the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object on each line.
    Json,
}

/// The flags of `weir up`.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodeFlags {
    #[command(flatten)]
    pub(crate) nats: NatsFlags,
    /// Start this nats-server, whatever environment and contexts say [default: beside weir, then in PATH]
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["servers", "context"])]
    #[arg(help_heading = "Embedded NATS server, when no other is named")]
    nats_server: Option<PathBuf>,
    /// Where that server listens [default: 127.0.0.1:4222]
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["servers", "context"])]
    #[arg(help_heading = "Embedded NATS server, when no other is named")]
    nats_listen: Option<SocketAddr>,
    /// Where caches and the embedded server's data lie [default: weir in XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIRECTORY", help_heading = "Node")]
    data_dir: Option<PathBuf>,
    /// Worker threads that run modules [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Node")]
    workers: Option<NonZeroUsize>,
    /// What the log looks like [default: text on a terminal, json elsewhere]
    #[arg(long, value_name = "FORMAT", help_heading = "Node")]
    log_format: Option<LogFormat>,
    /// What is logged: a level, or levels by module
    #[arg(
        long = "log",
        value_name = "FILTER",
        default_value = "info,async_nats=warn",
        help_heading = "Node"
    )]
    log_filter: String,
    /// Where the API listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7676", help_heading = "HTTP API")]
    listen: SocketAddr,
    /// File of the API's bearer tokens, hashed; without it everyone who reaches the API may do everything
    #[arg(long, value_name = "FILE", help_heading = "HTTP API")]
    tokens_file: Option<PathBuf>,
    /// The API's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_private_key", help_heading = "HTTP API")]
    tls_certificate: Option<PathBuf>,
    /// The key of --tls-certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate", help_heading = "HTTP API")]
    tls_private_key: Option<PathBuf>,
    /// Serve plain HTTP to the network: only behind a proxy that does TLS
    #[arg(long, conflicts_with = "tls_certificate", help_heading = "HTTP API")]
    insecure_http: bool,
    /// The largest module that is taken
    #[arg(long, value_name = "SIZE", default_value = "64 MiB", help_heading = "HTTP API")]
    upload_bytes_max: ByteCount,
}

impl NodeConfig {
    /// Makes flags, environment and contexts into settings.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub(crate) fn new(flags: &NodeFlags, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let data_dir = data_dir(flags.data_dir.as_deref(), environment)?;
        refuse_exposed(flags)?;
        let limit = flags.upload_bytes_max.0;
        if !(1..=UPLOAD_BYTES_MAX).contains(&limit) {
            return Err(ConfigError::value("--upload-bytes-max", "it has to be from 1 byte to 1 GiB"));
        }
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = flags.workers.unwrap_or_else(cores);
        if workers.get() > WORKERS_MAX {
            return Err(ConfigError::value("--workers", format!("it has to be from 1 to {WORKERS_MAX}")));
        }
        let api_tls = flags.tls_certificate.clone().zip(flags.tls_private_key.clone());
        Ok(Self {
            nats: nats_source(flags, environment, &data_dir)?,
            data_dir,
            listen: flags.listen,
            tokens_file: flags.tokens_file.clone(),
            api_tls: api_tls.map(|(certificate, private_key)| ApiTls { certificate, private_key }),
            workers,
            upload_bytes_max: limit,
            log: LogConfig { format: flags.log_format, filter: flags.log_filter.clone() },
        })
    }
}

fn nats_source(
    flags: &NodeFlags,
    environment: &dyn Environment,
    data_dir: &Path,
) -> Result<NatsSource, ConfigError> {
    if let Some(listen) = flags.nats_listen.filter(|listen| !listen.ip().to_canonical().is_loopback()) {
        return Err(ConfigError::Exposed(format!(
            "--nats-listen {listen} is open to the network, and the embedded server asks nobody who they are: listen \
             on 127.0.0.1, or run a nats-server of your own and name it with --nats"
        )));
    }
    let wants_embedded = flags.nats_server.is_some() || flags.nats_listen.is_some();
    if !wants_embedded && let Some(external) = flags.nats.resolve(environment)? {
        return Ok(NatsSource::External(external));
    }
    // A server that lies beside this program was put there for it.
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("nats-server")));
    Ok(NatsSource::Embedded(EmbeddedOptions {
        binary: flags.nats_server.clone(),
        candidates: beside.into_iter().collect(),
        path: environment.get("PATH")?.map(Into::into),
        data_directory: data_dir.join("nats"),
        listen: flags.nats_listen.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4222)),
        max_payload_bytes: None,
    }))
}

fn data_dir(flag: Option<&Path>, environment: &dyn Environment) -> Result<PathBuf, ConfigError> {
    if let Some(path) = flag {
        let absolute = std::path::absolute(path);
        let place = "--data-dir".to_owned();
        return absolute.map_err(|source| ConfigError::File { place, path: path.to_owned(), source });
    }
    match xdg_directory(environment, "XDG_DATA_HOME", ".local/share")? {
        Some(path) => Ok(path.join("weir")),
        None => {
            let why = "neither XDG_DATA_HOME nor HOME is set; say where data may lie";
            Err(ConfigError::value("--data-dir", why))
        }
    }
}

fn refuse_exposed(flags: &NodeFlags) -> Result<(), ConfigError> {
    if flags.listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let listen = flags.listen;
    if flags.tokens_file.is_none() {
        return Err(ConfigError::Exposed(format!(
            "--listen {listen} is open to the network: give --tokens-file, or listen on 127.0.0.1"
        )));
    }
    if flags.tls_certificate.is_none() && !flags.insecure_http {
        return Err(ConfigError::Exposed(format!(
            "--listen {listen} would send tokens in clear text: give --tls-certificate and --tls-private-key, \
             or --insecure-http if a proxy in front of it does TLS"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
