//! The node: wires broker, library, workers, pipelines and API together, and takes them apart in order.
//!
//! The API answers from the start, so that a node that waits for NATS can say so. Shutting down goes the
//! other way: pipelines append what is computed, then the API stops, then the embedded server.

mod admission;
mod apply;
pub(crate) mod attestation;
pub(crate) mod batch;
mod catalog;
mod connection;
pub(crate) mod differ;
mod errors;
pub(crate) mod library;
mod node;
pub(crate) mod replay;
mod revisions;
mod shadows;
mod supervisor;
mod swap;
mod trace;
mod trial;
mod upload;
pub(crate) mod verification;
mod verifier;
mod view;
pub(crate) mod workbench;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use api::{ListenOptions, PlainHttp, Server, TlsFiles, Tokens};
use broker::{ConnectOptions, EmbeddedServer};
use engine::{Engine, EngineOptions};
use pipeline::{Meters, Workers};
use prometheus_client::registry::Registry;
use store::{Store, StoreOptions};
use tokio_util::sync::CancellationToken;

use crate::config::{NatsSource, NodeConfig};
use admission::Admissions;
use connection::Connecting;
use library::Library;
use node::{Identity, WeirNode};
use shadows::Shadows;
use supervisor::Supervisor;
use trial::Trials;
use verifier::Verifier;

/// Runs a node until `shutdown` is ready, and drains it.
pub(crate) async fn up(config: NodeConfig, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let store = Store::open(&config.data_dir, store_options(&config))?;
    let server = Server::bind(listen_options(&config)?).await?;
    let (embedded, options) = nats(&config).await?;
    let node = Arc::new(build(&config, store, &options.servers.join(","))?);
    tracing::info!(url = server.url(), engine = node.library.engine().fingerprint(), "The API listens");
    let (stop_api, stop_pipelines) = (CancellationToken::new(), CancellationToken::new());
    let api = server.run(node.clone(), stop_api.clone().cancelled_owned());
    let work = async {
        let ended = work(&node, options, stop_pipelines.clone()).await;
        stop_api.cancel();
        ended
    };
    let stop = async {
        shutdown.await;
        stop_pipelines.cancel();
    };
    tokio::pin!(stop);
    let ended = tokio::select! {
        ((), ended) = async { tokio::join!(api, work) } => ended,
        never = async { stop.await; std::future::pending().await } => never,
    };
    if let Ok(connection) = node.connecting.get() {
        connection.broker.close().await;
    }
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    ended
}

/// Connects, and runs pipelines until `stop`.
async fn work(node: &WeirNode, options: ConnectOptions, stop: CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        connected = node.connecting.connect(options) => connected?,
        () = stop.cancelled() => return Ok(()),
    }
    let connection = node.connecting.get()?;
    // Where one of them can no longer follow the shared state, the other ends in order.
    let pipelines = async {
        let ended = node.supervisor.run(connection, stop.clone()).await;
        stop.cancel();
        ended
    };
    let shadows = async {
        let ended = node.shadows.run(connection, stop.clone()).await;
        stop.cancel();
        ended
    };
    let (ran, shadowed) = tokio::join!(pipelines, shadows);
    ran.and(shadowed)
}

fn build(config: &NodeConfig, store: Store, nats_url: &str) -> anyhow::Result<WeirNode> {
    let module_bytes_max = usize::try_from(config.upload_bytes_max).context("--upload-bytes-max")?;
    let engine = Engine::new(EngineOptions { module_bytes_max, ..EngineOptions::DEFAULT })?;
    let connecting = Arc::<Connecting>::default();
    let library = Arc::new(Library::new(engine, Arc::new(store), connecting.clone(), module_bytes_max));
    let mut registry = Registry::default();
    let meters = Meters::register(&mut registry, now_ns);
    let workers = Arc::new(Workers::start(config.workers.get()));
    let identity = Identity {
        name: format!("weir-{}", std::process::id()),
        workers: workers.count(),
        nats_url: without_secrets(nats_url),
        started: jiff::Timestamp::now().to_string(),
    };
    let supervisor = Arc::new(Supervisor::new(library.clone(), workers.clone(), meters.clone()));
    Ok(WeirNode {
        identity,
        connecting,
        verifier: Verifier::new(library.clone(), workers),
        shadows: Shadows::new(library.clone(), supervisor.clone(), meters),
        supervisor,
        trials: Trials::new(library.clone()),
        admissions: Arc::new(Admissions::new(library.clone())),
        library,
        registry: Mutex::new(registry),
    })
}

fn store_options(config: &NodeConfig) -> StoreOptions {
    StoreOptions { module_bytes_max: config.upload_bytes_max, ..StoreOptions::default() }
}

fn listen_options(config: &NodeConfig) -> anyhow::Result<ListenOptions> {
    let tokens = config.tokens_file.as_deref().map(Tokens::read).transpose()?;
    let tls = config
        .api_tls
        .as_ref()
        .map(|tls| TlsFiles { certificate: tls.certificate.clone(), key: tls.private_key.clone() });
    // That an exposed address has TLS or was said to be safe without is settled in the configuration.
    let plain_http =
        if config.listen.ip().is_loopback() { PlainHttp::LoopbackOnly } else { PlainHttp::Anywhere };
    let upload_bytes_max = config.upload_bytes_max;
    Ok(ListenOptions { tokens, tls, plain_http, upload_bytes_max, ..ListenOptions::at(config.listen) })
}

/// The server to use, started first if it is the node's own.
async fn nats(config: &NodeConfig) -> anyhow::Result<(Option<EmbeddedServer>, ConnectOptions)> {
    let (embedded, mut options) = match &config.nats {
        NatsSource::External(external) => (None, external.options.clone()),
        NatsSource::Embedded(embedded) => {
            let server = EmbeddedServer::start(embedded.clone()).await?;
            let servers = vec![server.url().to_owned()];
            (Some(server), ConnectOptions { servers, ..ConnectOptions::default() })
        }
    };
    options.name = "weir".to_owned();
    Ok((embedded, options))
}

fn without_secrets(urls: &str) -> String {
    let url = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    };
    urls.split(',').map(url).collect::<Vec<_>>().join(",")
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
