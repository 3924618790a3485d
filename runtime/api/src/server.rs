//! The server: binds, refuses to be careless, takes connections, and stops gracefully.
//!
//! Every connection is a task of its own, TLS handshake and all, so a slow client holds up nobody. How many
//! there are is bounded, and so is how long each may take to say what it wants. HTTP/1.1 only: this is a
//! control interface, and nothing of it gets better by more.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::auth::Tokens;
use crate::node::Node;
use crate::router::{App, Timeouts, router};
use crate::tls::{self, TlsError, TlsFiles};
use crate::{openapi, upload};

/// The wait after an error of the listener, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Where to listen, and what has to be so for it.
#[derive(Debug)]
pub struct ListenOptions {
    /// The address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// The certificate and key; none is plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Who may do what; none allows everything, on loopback only.
    pub tokens: Option<Tokens>,
    /// Where plain HTTP may be spoken.
    pub plain_http: PlainHttp,
    /// The largest module that is taken in, in bytes.
    pub upload_bytes_max: u64,
    /// How many connections there may be at the same time; more wait.
    pub connections_max: usize,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl ListenOptions {
    /// Plain HTTP at `address` without tokens, with the usual bounds.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            tokens: None,
            plain_http: PlainHttp::LoopbackOnly,
            upload_bytes_max: 64 << 20,
            connections_max: 256,
            timeouts: Timeouts::default(),
        }
    }
}

/// Where plain HTTP may be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// On loopback addresses.
    LoopbackOnly,
    /// Anywhere, since somebody else's TLS is in front.
    Anywhere,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Without tokens anybody who reaches the address could run code.
    #[error(
        "the API does not listen on {address} without bearer tokens: give --tokens-file, or listen on \
         127.0.0.1"
    )]
    NoTokens {
        /// The address.
        address: SocketAddr,
    },
    /// Without TLS anybody on the way could read the tokens.
    #[error(
        "the API does not listen on {address} without TLS: give --tls-certificate and --tls-private-key, or --insecure-http \
         behind somebody else's TLS"
    )]
    NoTls {
        /// The address.
        address: SocketAddr,
    },
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A server that has its address and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    options: ListenOptions,
}

impl Server {
    /// Takes the address, if what is asked for is not careless.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(options: ListenOptions) -> Result<Self, ListenError> {
        refuse_careless(&options)?;
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let error = |source| ListenError::Bind { address: options.address, source };
        let listener = TcpListener::bind(options.address).await.map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        Ok(Self { listener, address, tls, options })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Answers requests until `shutdown` is complete; then takes no more connections, lets open requests
    /// end within the time for it, and returns.
    pub async fn run(self, node: Arc<dyn Node>, shutdown: impl Future<Output = ()>) {
        let Self { listener, tls, options, .. } = self;
        let timeouts = options.timeouts;
        let connections = Connections {
            stopping: CancellationToken::new(),
            places: Arc::new(Semaphore::new(options.connections_max)),
            service: router(Arc::new(app(node, options))),
            tls,
            timeouts,
        };
        let mut tasks = JoinSet::new();
        tokio::select! {
            never = connections.take(&listener, &mut tasks) => match never {},
            () = shutdown => {}
        }
        drop(listener);
        connections.stopping.cancel();
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(timeouts.drain, all).await.is_err() {
            tracing::warn!(connections = tasks.len(), "Requests were still open; closing their connections");
            tasks.shutdown().await;
        }
    }
}

pub(crate) fn app(node: Arc<dyn Node>, options: ListenOptions) -> App {
    App {
        node,
        tokens: options.tokens,
        timeouts: options.timeouts,
        upload_bytes_max: options.upload_bytes_max,
        uploads: Semaphore::new(upload::UPLOADS_MAX),
        openapi: openapi::document(),
    }
}

fn refuse_careless(options: &ListenOptions) -> Result<(), ListenError> {
    let address = options.address;
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if options.tokens.is_none() {
        return Err(ListenError::NoTokens { address });
    }
    if options.tls.is_none() && options.plain_http == PlainHttp::LoopbackOnly {
        return Err(ListenError::NoTls { address });
    }
    Ok(())
}

/// What all connections share.
struct Connections {
    stopping: CancellationToken,
    places: Arc<Semaphore>,
    service: axum::Router,
    tls: Option<TlsAcceptor>,
    timeouts: Timeouts,
}

impl Connections {
    /// Takes connections for ever, each into a task of its own.
    async fn take(&self, listener: &TcpListener, tasks: &mut JoinSet<()>) -> std::convert::Infallible {
        loop {
            let place = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tasks.spawn(self.connection(stream, peer, place));
                }
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be taken; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// The life of one connection.
    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (service, stopping, timeouts) = (self.service.clone(), self.stopping.clone(), self.timeouts);
        let tls = self.tls.clone();
        async move {
            let _place = place;
            let Some(tls) = tls else { return serve(stream, peer, service, timeouts, stopping).await };
            let handshake = tokio::time::timeout(timeouts.handshake, tls.accept(stream));
            match stopping.run_until_cancelled(handshake).await {
                Some(Ok(Ok(stream))) => serve(stream, peer, service, timeouts, stopping).await,
                Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "A TLS handshake failed"),
                Some(Err(_)) => tracing::debug!(%peer, "A TLS handshake took too long"),
                None => {}
            }
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    service: axum::Router,
    timeouts: Timeouts,
    stopping: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.request_head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "A connection ended with an error");
    }
}
