//! The settings of the verbs that talk to a node: where it is, and the token to show it.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigError, Environment, Secret};

/// Where a node listens that was told nothing else.
const NODE_DEFAULT: &str = "http://127.0.0.1:7676";

/// The flags of every verb that talks to a node.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Node to talk to")]
pub(crate) struct ClientFlags {
    /// The node's address [env: WEIR_NODE] [default: http://127.0.0.1:7676]
    #[arg(long, value_name = "URL")]
    pub(crate) node: Option<String>,
    /// File that holds the token to show the node [env: WEIR_TOKEN, the token itself]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates of authorities to trust instead of the public ones, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// How to reach a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientConfig {
    /// The node's address, without a slash at its end.
    pub(crate) node: String,
    /// The token to show it.
    pub(crate) token: Option<Secret>,
    /// The authorities to trust instead of the public ones, PEM.
    pub(crate) ca_pem: Option<Vec<u8>>,
}

impl ClientFlags {
    /// These flags, and where one is missing, that of `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            node: self.node.or(other.node),
            token_file: self.token_file.or(other.token_file),
            ca_file: self.ca_file.or(other.ca_file),
        }
    }

    /// Whether nothing was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.node.is_none() && self.token_file.is_none() && self.ca_file.is_none()
    }
}

impl ClientConfig {
    /// Makes flags and environment into settings.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub(crate) fn new(flags: &ClientFlags, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let (place, node) = match (&flags.node, environment.get("WEIR_NODE")?) {
            (Some(node), _) => ("--node", node.clone()),
            (None, Some(node)) => ("WEIR_NODE", node),
            (None, None) => ("--node", NODE_DEFAULT.to_owned()),
        };
        let token = match &flags.token_file {
            Some(path) => Some(Secret::from_file("--token-file", path)?),
            None => environment.get("WEIR_TOKEN")?.map(Secret::new),
        };
        let read = |path: &PathBuf| {
            let place = "--ca-file".to_owned();
            std::fs::read(path).map_err(|source| ConfigError::File { place, path: path.clone(), source })
        };
        Ok(Self {
            node: checked(place, &node)?,
            token,
            ca_pem: flags.ca_file.as_ref().map(read).transpose()?,
        })
    }
}

fn checked(place: &str, node: &str) -> Result<String, ConfigError> {
    let refuse = || {
        let why =
            format!("'{node}' is not the address of a node: write http://host:7676 or https://host:7676");
        ConfigError::value(place, why)
    };
    let uri: ureq::http::Uri = node.parse().map_err(|_| refuse())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = uri.path_and_query().is_none_or(|rest| rest.query().is_none());
    if !known || uri.host().is_none_or(str::is_empty) || !bare {
        return Err(refuse());
    }
    Ok(node.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Map;
    use super::*;

    #[test]
    fn flags_come_before_the_environment() {
        for (flag, variable, node) in [
            (None, None, "http://127.0.0.1:7676"),
            (None, Some("http://b:1/"), "http://b:1"),
            (Some("https://a"), Some("http://b:1"), "https://a"),
        ] {
            let environment = Map::new(variable.map(|value| ("WEIR_NODE", value)));
            let flags = ClientFlags { node: flag.map(str::to_owned), ..ClientFlags::default() };
            assert_eq!(ClientConfig::new(&flags, &environment).expect("usable").node, node);
        }
        let environment = Map::new([("WEIR_TOKEN", "t")]);
        let config = ClientConfig::new(&ClientFlags::default(), &environment).expect("usable");
        assert_eq!(config.token, Some(Secret::new("t")));
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_place() {
        for node in ["localhost:7676", "ftp://a", "http://", "http://a?b", "a b", "nats://a:4222"] {
            let environment = Map::new([("WEIR_NODE", node)]);
            let error = ClientConfig::new(&ClientFlags::default(), &environment).expect_err(node).to_string();
            assert!(error.starts_with("WEIR_NODE: "), "{error}");
        }
    }
}
