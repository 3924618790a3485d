//! Connecting: what to connect to and as whom, the checks that a server can serve Weir, and [`Broker`], the
//! handle that everything else in this crate starts from.
//!
//! After the first connect async-nats reconnects by itself, with bounded back-off; nothing here gives up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_nats::ConnectErrorKind;

use crate::api::{self, ApiError};
use crate::link::Link;
use crate::protocol::{Connection, Decode};
use crate::wire;

/// The oldest server that Weir works with.
pub const NEEDED_VERSION: &str = "2.9.0";
const NEEDED: (u64, u64, u64) = (2, 9, 0);

/// Who connects.
#[derive(Clone, Default)]
pub enum Auth {
    /// Nobody in particular.
    #[default]
    None,
    /// A user with a password.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// The holder of an nkey; the seed.
    Nkey(String),
    /// The holder of a credentials file, which has a JWT and a seed.
    CredentialsFile(PathBuf),
    /// The holder of a JWT.
    Jwt {
        /// The user JWT.
        jwt: String,
        /// The seed of the user's nkey, which signs the server's challenge.
        seed: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserPassword { user, .. } => write!(f, "UserPassword({user:?}, <redacted>)"),
            Self::Token(_) => f.write_str("Token(<redacted>)"),
            Self::Nkey(_) => f.write_str("Nkey(<redacted>)"),
            Self::CredentialsFile(path) => write!(f, "CredentialsFile({path:?})"),
            Self::Jwt { .. } => f.write_str("Jwt(<redacted>)"),
        }
    }
}

/// How the connection is encrypted.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Refuse to talk without TLS, also where the server does not ask for it.
    pub require: bool,
    /// Start with the TLS handshake, before the server says anything (`handshake_first` of the server).
    pub first: bool,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate; with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// The key of the client's certificate.
    pub key_file: Option<PathBuf>,
}

/// What to connect to, and how.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// Addresses of servers of one cluster: `nats://host:port`, `tls://host:port` or `host:port`.
    pub servers: Vec<String>,
    /// Who connects. User and password in an address go before this.
    pub auth: Auth,
    /// How the connection is encrypted.
    pub tls: TlsOptions,
    /// The name that the server shows for the connection.
    pub name: String,
    /// The prefix of inbox subjects, where the account allows only some; `_INBOX` if none.
    pub inbox_prefix: Option<String>,
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("servers", &self.servers.iter().map(|server| shown(server)).collect::<Vec<_>>())
            .field("auth", &self.auth)
            .field("tls", &self.tls)
            .field("name", &self.name)
            .field("inbox_prefix", &self.inbox_prefix)
            .finish()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server answers, or JetStream is not ready yet: worth another try.
    #[error("NATS cannot be reached at {servers}: {reason}; is nats-server running there?")]
    Unreachable {
        /// The addresses, without passwords.
        servers: String,
        /// What happened.
        reason: String,
    },
    /// The server does not accept these credentials.
    #[error(
        "NATS at {servers} refused the connection: {reason}; check the user, token or credentials and what they may do"
    )]
    Refused {
        /// The addresses, without passwords.
        servers: String,
        /// What the server said.
        reason: String,
    },
    /// The server is older than Weir needs.
    #[error(
        "nats-server at {servers} is version {found}, and Weir needs {needed} or newer: upgrade the server"
    )]
    TooOld {
        /// The addresses, without passwords.
        servers: String,
        /// The server's version.
        found: String,
        /// [`NEEDED_VERSION`].
        needed: &'static str,
    },
    /// The server, or the account on it, has no JetStream.
    #[error(
        "JetStream is not enabled at {servers}: start nats-server with `-js`, or enable it for the account"
    )]
    NoJetStream {
        /// The addresses, without passwords.
        servers: String,
    },
    /// The options cannot be used.
    #[error("the NATS connection options cannot be used: {0}")]
    BadOptions(String),
}

/// A connected NATS: the control connection, and the way to more connections. Clones share it.
#[derive(Clone)]
pub struct Broker {
    options: Arc<ConnectOptions>,
    pub(crate) control: Link,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Broker {
    /// Connects once and checks that the server is new enough and has JetStream.
    ///
    /// # Errors
    /// [`ConnectError::Unreachable`] is worth another try; the others need somebody to change something.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let control = open(&options).await?;
        let broker = Self { options: Arc::new(options), control };
        broker.check_version()?;
        broker.check_jetstream().await?;
        Ok(broker)
    }

    /// The largest message the server takes, headers included, in bytes.
    pub fn max_payload(&self) -> usize {
        self.control.client.server_info().max_payload
    }

    /// The version of the server that the control connection talks to.
    pub fn server_version(&self) -> String {
        self.control.client.server_info().version
    }

    /// Whether the control connection stands at this moment.
    pub fn is_connected(&self) -> bool {
        self.control.is_connected()
    }

    /// Closes the control connection after what was handed to it has been sent. Connections of readers and
    /// appenders close when these are dropped.
    pub async fn close(&self) {
        // The only failure is that the connection has ended already.
        let _ = self.control.client.drain().await;
    }

    /// Another connection to the same servers, or to those that they have told of, for the data path: with
    /// one subscription, on `inbox`.
    pub(crate) async fn open_connection<T: Send + 'static>(
        &self,
        inbox: &str,
        inbound_max: usize,
        decode: Decode<T>,
    ) -> Result<Connection<T>, ConnectError> {
        let discovered = self.control.client.server_info().connect_urls;
        Connection::open(&self.options, &discovered, inbox, inbound_max, decode).await
    }

    /// Another connection with the same options.
    pub(crate) async fn open_link(&self) -> Result<Link, ConnectError> {
        open(&self.options).await
    }

    /// Whether the server is at least of this version.
    pub(crate) fn is_at_least(&self, major: u64, minor: u64) -> bool {
        wire::version(&self.server_version()).is_some_and(|(a, b, _)| (a, b) >= (major, minor))
    }

    fn check_version(&self) -> Result<(), ConnectError> {
        let found = self.server_version();
        if wire::version(&found).is_some_and(|version| version >= NEEDED) {
            return Ok(());
        }
        Err(ConnectError::TooOld { servers: self.options.shown(), found, needed: NEEDED_VERSION })
    }

    async fn check_jetstream(&self) -> Result<(), ConnectError> {
        let servers = self.options.shown();
        let account = api::call::<serde_json::Value>(&self.control, "INFO", &serde_json::json!({})).await;
        match account {
            Ok(_) => Ok(()),
            Err(ApiError::Refused(reason)) => Err(ConnectError::Refused { servers, reason }),
            Err(error) if !self.control.client.server_info().jetstream || is_without_jetstream(&error) => {
                Err(ConnectError::NoJetStream { servers })
            }
            Err(error) => Err(ConnectError::Unreachable { servers, reason: error.to_string() }),
        }
    }
}

impl ConnectOptions {
    /// The addresses without passwords, for messages.
    pub(crate) fn shown(&self) -> String {
        self.servers.iter().map(|server| shown(server)).collect::<Vec<_>>().join(", ")
    }
}

fn is_without_jetstream(error: &ApiError) -> bool {
    matches!(error.code(), Some(api::code::NOT_ENABLED | api::code::NOT_ENABLED_FOR_ACCOUNT))
}

/// An address without the user and password that may stand in it.
fn shown(server: &str) -> String {
    match (server.find("://"), server.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}{}", &server[..scheme + 3], &server[at + 1..]),
        (None, Some(at)) => server[at + 1..].to_owned(),
        _ => server.to_owned(),
    }
}

async fn open(options: &ConnectOptions) -> Result<Link, ConnectError> {
    let servers = addresses(options)?;
    let client_options = Box::pin(client_options(options)).await?;
    // Boxed: the client library's future is large, and would make every caller's large.
    Box::pin(Link::open(client_options, servers)).await.map_err(|error| {
        use std::error::Error as _;
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        let (servers, reason) = (options.shown(), format!("{}{source}", error.kind()));
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                ConnectError::Refused { servers, reason }
            }
            ConnectErrorKind::ServerParse | ConnectErrorKind::Tls => ConnectError::BadOptions(reason),
            _ => ConnectError::Unreachable { servers, reason },
        }
    })
}

fn addresses(options: &ConnectOptions) -> Result<Vec<async_nats::ServerAddr>, ConnectError> {
    if options.servers.is_empty() {
        return Err(ConnectError::BadOptions("no server address is given".to_owned()));
    }
    let parse = |server: &String| {
        server.parse().map_err(|error| {
            ConnectError::BadOptions(format!(
                "'{}' is not a server address such as nats://host:4222: {error}",
                shown(server)
            ))
        })
    };
    options.servers.iter().map(parse).collect()
}

async fn client_options(options: &ConnectOptions) -> Result<async_nats::ConnectOptions, ConnectError> {
    let mut client = with_auth(&options.auth).await?.name(&options.name).require_tls(options.tls.require);
    if options.tls.first {
        client = client.tls_first();
    }
    if let Some(file) = &options.tls.ca_file {
        readable("the CA file", file)?;
        client = client.add_root_certificates(file.clone());
    }
    match (&options.tls.cert_file, &options.tls.key_file) {
        (Some(cert), Some(key)) => {
            readable("the client certificate", cert)?;
            readable("the client key", key)?;
            client = client.add_client_certificate(cert.clone(), key.clone());
        }
        (None, None) => {}
        _ => {
            let text = "a client certificate needs its key, and a key its certificate: give both files";
            return Err(ConnectError::BadOptions(text.to_owned()));
        }
    }
    if let Some(prefix) = &options.inbox_prefix {
        if prefix.is_empty() || prefix.contains(['*', '>']) || prefix.ends_with('.') {
            return Err(ConnectError::BadOptions(format!("'{prefix}' cannot be an inbox prefix")));
        }
        client = client.custom_inbox_prefix(prefix);
    }
    Ok(client)
}

async fn with_auth(auth: &Auth) -> Result<async_nats::ConnectOptions, ConnectError> {
    let none = async_nats::ConnectOptions::new();
    Ok(match auth {
        Auth::None => none,
        Auth::UserPassword { user, password } => none.user_and_password(user.clone(), password.clone()),
        Auth::Token(token) => none.token(token.clone()),
        Auth::Nkey(seed) => none.nkey(seed.clone()),
        Auth::CredentialsFile(path) => none.credentials_file(path).await.map_err(|error| {
            ConnectError::BadOptions(format!("the credentials file {}: {error}", path.display()))
        })?,
        Auth::Jwt { jwt, seed } => none
            .credentials(&credentials(jwt, seed))
            .map_err(|error| ConnectError::BadOptions(format!("the JWT and its seed: {error}")))?,
    })
}

/// A JWT and a seed as the text of a credentials file, which async-nats knows how to sign with.
fn credentials(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

fn readable(what: &str, path: &std::path::Path) -> Result<(), ConnectError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConnectError::BadOptions(format!("{what} {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let options = |auth| ConnectOptions {
            servers: vec!["nats://u:secret@h:1".into(), "secret@h".into(), "h:2".into()],
            auth,
            ..ConnectOptions::default()
        };
        for auth in [
            Auth::UserPassword { user: "u".into(), password: "secret".into() },
            Auth::Token("secret".into()),
            Auth::Nkey("secret".into()),
            Auth::Jwt { jwt: "secret".into(), seed: "secret".into() },
        ] {
            let shown = format!("{:?} {}", options(auth.clone()), options(auth).shown());
            assert!(!shown.contains("secret"), "{shown}");
            assert!(shown.contains("nats://h:1, h, h:2"), "{shown}");
        }
    }
}
