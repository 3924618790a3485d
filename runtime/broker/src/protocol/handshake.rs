//! From an address to a connection that may be used: TCP, TLS where it is wanted, who we are, and the
//! server's word that it takes us.

use std::path::Path;
use std::sync::Arc;

use async_nats::ServerAddr;
use bytes::BytesMut;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{PATIENCE, ReadHalf, WriteHalf};
use crate::connect::{Auth, ConnectError, ConnectOptions};

/// The longest line of a server before it has taken us.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A connection that the server has taken.
pub(super) struct Opened {
    pub(super) read: ReadHalf,
    pub(super) write: WriteHalf,
    /// What was read beyond the handshake.
    pub(super) buffer: BytesMut,
    pub(super) max_payload: usize,
}

/// What the server says of itself first.
#[derive(Deserialize)]
#[serde(default)]
struct Info {
    max_payload: usize,
    nonce: String,
    tls_required: bool,
}

impl Default for Info {
    fn default() -> Self {
        Self { max_payload: 1 << 20, nonce: String::new(), tls_required: false }
    }
}

/// What we say of ourselves.
#[derive(Serialize, Default)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'a str,
    version: &'a str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(flatten)]
    identity: Identity,
}

/// Who we are, as the server is told.
#[derive(Serialize, Default)]
struct Identity {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// Connects to the first server that takes us.
pub(super) async fn open(options: &ConnectOptions, discovered: &[String]) -> Result<Opened, ConnectError> {
    let mut failure = None;
    for (at, address) in options.servers.iter().chain(discovered).enumerate() {
        let address = match address.parse::<ServerAddr>() {
            Ok(address) => address,
            // What a server says of its neighbours is its business; what a person wrote is theirs.
            Err(_) if at >= options.servers.len() => continue,
            Err(error) => {
                return Err(ConnectError::BadOptions(format!("an address cannot be read: {error}")));
            }
        };
        let opened = tokio::time::timeout(PATIENCE, open_one(options, &address)).await;
        match opened.unwrap_or_else(|_| Err(unreachable(options, "it does not answer"))) {
            Ok(opened) => return Ok(opened),
            Err(error @ ConnectError::Unreachable { .. }) => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| ConnectError::BadOptions("no server address is given".to_owned())))
}

/// The servers cannot be reached, for this reason.
pub(super) fn unreachable(options: &ConnectOptions, reason: &str) -> ConnectError {
    ConnectError::Unreachable { servers: options.shown(), reason: reason.to_owned() }
}

async fn open_one(options: &ConnectOptions, address: &ServerAddr) -> Result<Opened, ConnectError> {
    let failed = |error: std::io::Error| unreachable(options, &error.to_string());
    let mut socket = TcpStream::connect((address.host(), address.port())).await.map_err(failed)?;
    // Writes are gathered here already; the kernel is not to wait for more.
    socket.set_nodelay(true).map_err(failed)?;
    let mut buffer = BytesMut::new();
    let mut info = Info::default();
    if !options.tls.first {
        info = read_info(options, &mut socket, &mut buffer).await?;
    }
    let wants_tls = options.tls.first || options.tls.require || info.tls_required || address.tls_required();
    if !wants_tls {
        let (read, write) = socket.into_split();
        return introduce(options, address, read, write, buffer, &info, false).await;
    }
    let config = tls_config(options).await?;
    let name = ServerName::try_from(address.host().to_owned());
    let name = name.map_err(|error| ConnectError::BadOptions(format!("a server's name: {error}")))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, socket).await.map_err(failed)?;
    if options.tls.first {
        info = read_info(options, &mut stream, &mut buffer).await?;
    }
    let (read, write) = tokio::io::split(stream);
    introduce(options, address, read, write, buffer, &info, true).await
}

async fn read_info(
    options: &ConnectOptions,
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Info, ConnectError> {
    let line = line(options, stream, buffer).await?;
    let info = line.strip_prefix("INFO ").and_then(|json| serde_json::from_str(json).ok());
    info.ok_or_else(|| unreachable(options, "what answers there is no NATS server"))
}

/// Says who we are, and waits for the server's word.
async fn introduce(
    options: &ConnectOptions,
    address: &ServerAddr,
    mut read: impl AsyncRead + Send + Unpin + 'static,
    mut write: impl AsyncWrite + Send + Unpin + 'static,
    mut buffer: BytesMut,
    info: &Info,
    tls_required: bool,
) -> Result<Opened, ConnectError> {
    let connect = Connect {
        tls_required,
        name: &options.name,
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        headers: true,
        no_responders: true,
        identity: identity(options, address, &info.nonce).await?,
        ..Connect::default()
    };
    let connect = serde_json::to_string(&connect).expect("plain data with strings as keys");
    let hello = format!("CONNECT {connect}\r\nPING\r\n");
    let failed = |error: std::io::Error| unreachable(options, &error.to_string());
    write.write_all(hello.as_bytes()).await.map_err(failed)?;
    write.flush().await.map_err(failed)?;
    loop {
        let line = line(options, &mut read, &mut buffer).await?;
        if line.eq_ignore_ascii_case("PONG") {
            let (read, write) = (Box::new(read), Box::new(write));
            return Ok(Opened { read, write, buffer, max_payload: info.max_payload });
        }
        if let Some(reason) = line.strip_prefix("-ERR") {
            let reason = reason.trim().trim_matches('\'').to_owned();
            let servers = options.shown();
            return Err(if reason.to_ascii_lowercase().contains("auth") {
                ConnectError::Refused { servers, reason }
            } else {
                ConnectError::Unreachable { servers, reason }
            });
        }
    }
}

/// One line of the server's, without its end.
async fn line(
    options: &ConnectOptions,
    read: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<String, ConnectError> {
    loop {
        if let Some(end) = memchr::memchr(b'\n', buffer) {
            let line = buffer.split_to(end + 1);
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        let taken = read.read_buf(buffer).await;
        match taken {
            Ok(0) => return Err(unreachable(options, "the server closed the connection")),
            Ok(_) if buffer.len() > LINE_BYTES_MAX => {
                return Err(unreachable(options, "what answers there is no NATS server"));
            }
            Ok(_) => {}
            Err(error) => return Err(unreachable(options, &error.to_string())),
        }
    }
}

/// User and password in the address go before the options.
async fn identity(
    options: &ConnectOptions,
    address: &ServerAddr,
    nonce: &str,
) -> Result<Identity, ConnectError> {
    let none = Identity::default();
    if let Some(user) = address.username() {
        let text = |text: &str| Some(text.to_owned());
        return Ok(match address.password() {
            Some(password) => Identity { user: text(user), pass: text(password), ..none },
            None => Identity { auth_token: text(user), ..none },
        });
    }
    Ok(match &options.auth {
        Auth::None => none,
        Auth::UserPassword { user, password } => {
            Identity { user: Some(user.clone()), pass: Some(password.clone()), ..none }
        }
        Auth::Token(token) => Identity { auth_token: Some(token.clone()), ..none },
        Auth::Nkey(seed) => {
            let (nkey, sig) = sign(seed, nonce)?;
            Identity { nkey: Some(nkey), sig: Some(sig), ..none }
        }
        Auth::Jwt { jwt, seed } => {
            Identity { jwt: Some(jwt.clone()), sig: Some(sign(seed, nonce)?.1), ..none }
        }
        Auth::CredentialsFile(path) => {
            let text = tokio::fs::read_to_string(path).await.map_err(|error| unreadable(path, &error))?;
            let (jwt, seed) = credentials(&text)
                .ok_or_else(|| unreadable(path, &"it does not hold a JWT and the seed of an nkey"))?;
            Identity { jwt: Some(jwt), sig: Some(sign(&seed, nonce)?.1), ..none }
        }
    })
}

/// The public key of a seed, and its signature of the server's challenge.
fn sign(seed: &str, nonce: &str) -> Result<(String, String), ConnectError> {
    use base64::Engine as _;
    let bad = |error: nkeys::error::Error| ConnectError::BadOptions(format!("the nkey's seed: {error}"));
    let pair = nkeys::KeyPair::from_seed(seed.trim()).map_err(bad)?;
    let signature = pair.sign(nonce.as_bytes()).map_err(bad)?;
    Ok((pair.public_key(), base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature)))
}

/// The JWT and the seed in the text of a credentials file: what stands behind the lines `BEGIN`.
fn credentials(text: &str) -> Option<(String, String)> {
    let mut lines = text.lines().map(str::trim);
    let mut block = |name: &str| {
        lines.by_ref().find(|line| line.contains("BEGIN") && line.contains(name))?;
        lines.by_ref().find(|line| !line.is_empty()).map(str::to_owned)
    };
    Some((block("JWT")?, block("SEED")?))
}

async fn tls_config(options: &ConnectOptions) -> Result<ClientConfig, ConnectError> {
    let tls = options.tls.clone();
    // Certificates are files.
    tokio::task::spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        match &tls.ca_file {
            Some(file) => {
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|error| unreadable(file, &error))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConnectError::BadOptions(format!("TLS: {error}")))?
            .with_root_certificates(roots);
        let (Some(cert), Some(key_file)) = (&tls.cert_file, &tls.key_file) else {
            return Ok(config.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| unreadable(key_file, &error))?;
        config.with_client_auth_cert(certificates(cert)?, key).map_err(|error| unreadable(cert, &error))
    })
    .await
    .unwrap_or_else(|_| Err(ConnectError::BadOptions("reading the certificates failed".to_owned())))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(file, &error))?;
    read.collect::<Result<_, _>>().map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, why: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::BadOptions(format!("{}: {why}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_file_holds_a_jwt_and_a_seed() {
        let text = "-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n\
                    ****** IMPORTANT ******\n\n-----BEGIN USER NKEY SEED-----\nSUAB\n------END USER NKEY SEED------\n";
        assert_eq!(credentials(text), Some(("eyJ0".to_owned(), "SUAB".to_owned())));
        assert_eq!(credentials("-----BEGIN NATS USER JWT-----\neyJ0\n"), None);
    }
}
