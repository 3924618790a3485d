//! Which NATS server a node uses, and how it proves who it is.
//!
//! Server, credentials, TLS files and the rest are each taken from the first of flags, environment and
//! context that has them. A server and the credentials for it can so come from different places, as with the
//! `nats` command, with one exception: the context that is merely *selected* counts only while nobody names a
//! server, so that its credentials do not travel to a server they are not for.

use std::fmt;
use std::path::PathBuf;

use broker::{Auth, ConnectOptions, EmbeddedOptions, TlsOptions};
use clap::Args;

use super::context::{Choice, Context, load};
use super::{ConfigError, Environment, Secret};

const SERVERS_MAX: usize = 64;

/// The NATS server that a node uses.
#[derive(Clone, Debug)]
pub(crate) enum NatsSource {
    /// One that somebody runs.
    External(ExternalNats),
    /// One that the node starts and supervises.
    Embedded(EmbeddedOptions),
}

impl fmt::Display for NatsSource {
    /// Where the server is and who says so, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::External(external) => {
                let servers: Vec<&str> =
                    external.options.servers.iter().map(|url| without_user(url)).collect();
                write!(f, "{}, named by {}", servers.join(","), external.named_by)
            }
            Self::Embedded(embedded) => {
                write!(f, "embedded nats-server on {}", embedded.listen)
            }
        }
    }
}

/// An address without the user and the password that may stand before its `@`.
fn without_user(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

/// A server that somebody runs.
#[derive(Clone, Debug)]
pub(crate) struct ExternalNats {
    /// How to connect to it. The name of the connection is for the node to set.
    pub(crate) options: ConnectOptions,
    /// Who named the server: a flag, a variable or a context; for the first line of the log.
    pub(crate) named_by: String,
}

/// The flags about NATS.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "NATS server")]
pub(crate) struct NatsFlags {
    /// Use the NATS server at this address (repeat, or separate by commas, for a cluster) [env: NATS_URL]
    #[arg(long = "nats", value_name = "URL", value_delimiter = ',')]
    pub(crate) servers: Vec<String>,
    /// Take server and credentials from this context of the `nats` command [env: NATS_CONTEXT]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Credentials file [env: NATS_CREDS]
    #[arg(long, value_name = "FILE")]
    pub(crate) creds: Option<PathBuf>,
    /// User name; the password comes from --password-file or NATS_PASSWORD [env: NATS_USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// File that holds the password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
    /// File that holds a token [env: NATS_TOKEN, the token itself]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// File that holds the seed of an nkey [env: NATS_NKEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) nkey_file: Option<PathBuf>,
    /// Certificates of authorities to trust, PEM [env: NATS_CA]
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The node's own certificate, PEM [env: NATS_CERT]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of --tls-cert, PEM [env: NATS_KEY]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Begin TLS at once, for servers that are set up so
    #[arg(long)]
    pub(crate) tls_first: bool,
}

impl NatsFlags {
    /// Finds the server that flags, environment or context name; `None` if none of them names one.
    ///
    /// # Errors
    /// When what they say cannot be used.
    pub(super) fn resolve(&self, environment: &dyn Environment) -> Result<Option<ExternalNats>, ConfigError> {
        let flags = self.layer(environment)?;
        let variables = environment_layer(environment)?;
        let context = self.context_layer(environment, &[&flags, &variables])?;
        let layers = [Some(flags), Some(variables), context];
        let layers: Vec<Layer> = layers.into_iter().flatten().collect();
        let Some((servers, named_by)) =
            layers.iter().find_map(|layer| Some((layer.servers.clone()?, layer.name.clone())))
        else {
            return self.refuse_without_server(&layers);
        };
        let servers = checked(servers, &named_by)?;
        let tls = tls(&layers, &servers);
        let auth = layers.iter().find_map(|layer| layer.auth.clone()).unwrap_or_default();
        let inbox_prefix = layers.iter().find_map(|layer| layer.inbox_prefix.clone());
        let options = ConnectOptions { servers, auth, tls, name: String::new(), inbox_prefix };
        Ok(Some(ExternalNats { options, named_by }))
    }

    /// Finds the server for a verb that cannot do without one.
    ///
    /// # Errors
    /// When nothing names one, or what names it cannot be used.
    pub(crate) fn required(&self, environment: &dyn Environment) -> Result<ExternalNats, ConfigError> {
        let missing = "name the NATS server, such as nats://127.0.0.1:4222, or set NATS_URL or a context";
        self.resolve(environment)?.ok_or_else(|| ConfigError::value("--nats", missing))
    }

    /// Credentials that were typed and have no server to go to are a mistake; those of the environment may
    /// well be there for other programs.
    fn refuse_without_server(&self, layers: &[Layer]) -> Result<Option<ExternalNats>, ConfigError> {
        let typed = layers.first().is_some_and(Layer::says_how_to_connect);
        if let Some(context) = layers.iter().find(|layer| layer.is_named_context) {
            return Err(ConfigError::value(&context.name, "it has no 'url'; add one, or give --nats"));
        }
        if typed {
            let given = "a flag that says how to connect to NATS".to_owned();
            return Err(ConfigError::Missing { given, missing: "--nats or --context".into() });
        }
        Ok(None)
    }

    fn layer(&self, environment: &dyn Environment) -> Result<Layer, ConfigError> {
        let secret = |flag: &str, file: &Option<PathBuf>| {
            file.as_ref().map(|path| Secret::from_file(flag, path)).transpose()
        };
        let user = match &self.user {
            None => None,
            Some(user) => {
                let password = match secret("--password-file", &self.password_file)? {
                    Some(password) => Some(password),
                    None => environment.get("NATS_PASSWORD")?.map(Secret::new),
                };
                let missing = || ConfigError::Missing {
                    given: "--user".into(),
                    missing: "--password-file or NATS_PASSWORD".into(),
                };
                Some(Auth::UserPassword {
                    user: user.clone(),
                    password: password.ok_or_else(missing)?.into_text(),
                })
            }
        };
        let auth = only_one([
            ("--creds", self.creds.clone().map(Auth::CredentialsFile)),
            ("--user", user),
            (
                "--token-file",
                secret("--token-file", &self.token_file)?.map(|token| Auth::Token(token.into_text())),
            ),
            ("--nkey-file", secret("--nkey-file", &self.nkey_file)?.map(|seed| Auth::Nkey(seed.into_text()))),
        ])?;
        Ok(Layer {
            name: "--nats".into(),
            servers: Some(self.servers.clone()).filter(|servers| !servers.is_empty()),
            auth,
            ca_file: self.tls_ca.clone(),
            identity: self.tls_cert.clone().zip(self.tls_key.clone()),
            tls_first: self.tls_first,
            ..Layer::default()
        })
    }

    fn context_layer(
        &self,
        environment: &dyn Environment,
        above: &[&Layer],
    ) -> Result<Option<Layer>, ConfigError> {
        let named = environment.get("NATS_CONTEXT")?;
        let choice = match (&self.context, &named) {
            (Some(name), _) => Choice::Named("--context", name),
            (None, Some(name)) => Choice::Named("NATS_CONTEXT", name),
            (None, None) if above.iter().any(|layer| layer.servers.is_some()) => return Ok(None),
            (None, None) => Choice::Selected,
        };
        load(choice, environment)?.map(|context| context_layer(&context, choice)).transpose()
    }
}

/// What one place says; what it does not say is left to the next.
#[derive(Debug, Default)]
struct Layer {
    name: String,
    is_named_context: bool,
    servers: Option<Vec<String>>,
    auth: Option<Auth>,
    ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    tls_first: bool,
    inbox_prefix: Option<String>,
}

impl Layer {
    fn says_how_to_connect(&self) -> bool {
        self.auth.is_some() || self.ca_file.is_some() || self.identity.is_some() || self.tls_first
    }
}

fn tls(layers: &[Layer], servers: &[String]) -> TlsOptions {
    let ca_file = layers.iter().find_map(|layer| layer.ca_file.clone());
    let (cert_file, key_file) = layers.iter().find_map(|layer| layer.identity.clone()).unzip();
    let first = layers.iter().any(|layer| layer.tls_first);
    let by_scheme = servers.iter().any(|url| url.starts_with("tls://") || url.starts_with("wss://"));
    // Whoever names certificates means TLS, also where the server, or somebody between, says otherwise.
    let require = first || by_scheme || ca_file.is_some() || cert_file.is_some();
    TlsOptions { require, first, ca_file, cert_file, key_file }
}

fn environment_layer(environment: &dyn Environment) -> Result<Layer, ConfigError> {
    let file = |name| Ok::<_, ConfigError>(environment.get(name)?.map(PathBuf::from));
    let user = match (environment.get("NATS_USER")?, environment.get("NATS_PASSWORD")?) {
        (Some(user), Some(password)) => Some(Auth::UserPassword { user, password }),
        // As the `nats` command has it: a user without a password is a token.
        (Some(token), None) => Some(Auth::Token(token)),
        (None, _) => None,
    };
    let seed = file("NATS_NKEY")?.map(|path| Secret::from_file("NATS_NKEY", &path)).transpose()?;
    let auth = only_one([
        ("NATS_CREDS", file("NATS_CREDS")?.map(Auth::CredentialsFile)),
        ("NATS_USER", user),
        ("NATS_TOKEN", environment.get("NATS_TOKEN")?.map(Auth::Token)),
        ("NATS_NKEY", seed.map(|seed| Auth::Nkey(seed.into_text()))),
    ])?;
    Ok(Layer {
        name: "NATS_URL".into(),
        servers: environment.get("NATS_URL")?.map(|urls| split(&urls)),
        auth,
        ca_file: file("NATS_CA")?,
        identity: both(("NATS_CERT", file("NATS_CERT")?), ("NATS_KEY", file("NATS_KEY")?))?,
        ..Layer::default()
    })
}

fn context_layer(context: &Context, choice: Choice<'_>) -> Result<Layer, ConfigError> {
    let file = &context.file;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let path = |text: &str| some(text).map(PathBuf::from);
    let place = format!("context '{}'", context.name);
    let within = |key: &str| format!("'{key}' of {}", context.path.display());
    let seed = path(&file.nkey).map(|path| Secret::from_file(&within("nkey"), &path)).transpose()?;
    let password = file.password.clone();
    let jwt =
        both((&within("user_jwt"), some(&file.user_jwt)), (&within("user_seed"), some(&file.user_seed)))?;
    let auth = only_one([
        (within("creds"), path(&file.creds).map(Auth::CredentialsFile)),
        (within("user"), some(&file.user).map(|user| Auth::UserPassword { user, password })),
        (within("token"), some(&file.token).map(Auth::Token)),
        (within("nkey"), seed.map(|seed| Auth::Nkey(seed.into_text()))),
        (within("user_jwt"), jwt.map(|(jwt, seed)| Auth::Jwt { jwt, seed })),
    ])?;
    Ok(Layer {
        name: place,
        is_named_context: choice != Choice::Selected,
        servers: some(&file.url).map(|urls| split(&urls)),
        auth,
        ca_file: path(&file.ca),
        identity: both((&within("cert"), path(&file.cert)), (&within("key"), path(&file.key)))?,
        tls_first: file.tls_first,
        inbox_prefix: some(&file.inbox_prefix),
    })
}

fn split(urls: &str) -> Vec<String> {
    urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

fn checked(servers: Vec<String>, named_by: &str) -> Result<Vec<String>, ConfigError> {
    if servers.is_empty() || servers.len() > SERVERS_MAX {
        let why = format!("{} servers are named; it has to be 1 to {SERVERS_MAX}", servers.len());
        return Err(ConfigError::value(named_by, why));
    }
    for server in &servers {
        let scheme = server.split_once("://").map_or("nats", |(scheme, _)| scheme);
        if !["nats", "tls", "ws", "wss"].contains(&scheme) {
            let why =
                format!("'{scheme}://' is not an address of NATS: write nats://host:4222 or tls://host:4222");
            return Err(ConfigError::value(named_by, why));
        }
    }
    Ok(servers)
}

/// The one way of authentication that is given, if only one is.
fn only_one<const N: usize>(
    ways: [(impl Into<String>, Option<Auth>); N],
) -> Result<Option<Auth>, ConfigError> {
    let mut given = ways.into_iter().filter_map(|(name, auth)| Some((name.into(), auth?)));
    match (given.next(), given.next()) {
        (Some((first, _)), Some((second, _))) => Err(ConfigError::Both { first, second }),
        (first, _) => Ok(first.map(|(_, auth)| auth)),
    }
}

/// Both of a pair, or neither.
fn both<T>(first: (&str, Option<T>), second: (&str, Option<T>)) -> Result<Option<(T, T)>, ConfigError> {
    let missing = |given: &str, missing: &str| {
        Err(ConfigError::Missing { given: given.to_owned(), missing: missing.to_owned() })
    };
    match (first.1, second.1) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, None) => Ok(None),
        (Some(_), None) => missing(first.0, second.0),
        (None, Some(_)) => missing(second.0, first.0),
    }
}
