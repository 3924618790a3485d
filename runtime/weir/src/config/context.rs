//! The contexts of the `nats` command: which one is chosen, and what its file says.
//!
//! Format and places are those of NATS ADR-21: `context/<name>.json` and `context.txt` in the directory
//! `nats` of the user's configuration. Keys that only colour or describe are ignored; keys that change where
//! or how to connect and that Weir cannot follow are refused, for leaving them out would connect to the
//! wrong place.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, Environment, home, xdg_directory};

/// What the file of a context says. Empty texts are as good as none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContextFile {
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) token: String,
    pub(super) creds: String,
    pub(super) nkey: String,
    pub(super) user_jwt: String,
    pub(super) user_seed: String,
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) ca: String,
    pub(super) tls_first: bool,
    pub(super) inbox_prefix: String,
    nsc: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    socks_proxy: String,
}

/// A context that was chosen.
#[derive(Debug)]
pub(super) struct Context {
    /// Its name.
    pub(super) name: String,
    /// Its file.
    pub(super) path: PathBuf,
    /// What the file says, paths with `~` made whole.
    pub(super) file: ContextFile,
}

/// Who chose a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    /// Somebody named it, in the flag or the variable that is given with its name.
    Named(&'a str, &'a str),
    /// It is the one that `nats context select` wrote down, if any.
    Selected,
}

/// Loads the chosen context; `None` if none is named and none is selected.
///
/// # Errors
/// When a context is chosen and its file is missing, is not what a context is, or asks for what Weir cannot
/// do.
pub(super) fn load(
    choice: Choice<'_>,
    environment: &dyn Environment,
) -> Result<Option<Context>, ConfigError> {
    let directory = xdg_directory(environment, "XDG_CONFIG_HOME", ".config")?.map(|path| path.join("nats"));
    let (place, name, directory) = match (choice, directory) {
        (Choice::Named(place, _), None) => {
            let why = "neither XDG_CONFIG_HOME nor HOME says where contexts are";
            return Err(ConfigError::value(place, why));
        }
        (Choice::Selected, None) => return Ok(None),
        (Choice::Named(place, name), Some(directory)) => (place.to_owned(), name.to_owned(), directory),
        (Choice::Selected, Some(directory)) => {
            let selection = directory.join("context.txt");
            match selected(&selection)? {
                Some(name) => (selection.display().to_string(), name, directory),
                None => return Ok(None),
            }
        }
    };
    if name.contains("..") || name.contains(['/', '\\']) {
        return Err(ConfigError::value(place, format!("'{name}' is not the name of a context")));
    }
    let path = directory.join("context").join(format!("{name}.json"));
    let file = read(&place, &name, &path, environment)?;
    Ok(Some(Context { name, path, file }))
}

fn selected(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            Err(ConfigError::File { place: "the selected context".into(), path: path.to_owned(), source })
        }
    }
}

fn read(
    place: &str,
    name: &str,
    path: &Path,
    environment: &dyn Environment,
) -> Result<ContextFile, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            let why =
                format!("there is no context '{name}': {} is missing; see 'nats context ls'", path.display());
            ConfigError::value(place, why)
        }
        _ => ConfigError::File { place: place.to_owned(), path: path.to_owned(), source },
    })?;
    let parsed = serde_json::from_str::<ContextFile>(&text);
    let mut file =
        parsed.map_err(|error| ConfigError::value(path.display().to_string(), error.to_string()))?;
    refuse_unsupported(path, &file)?;
    let home = home(environment)?;
    for value in [&mut file.creds, &mut file.nkey, &mut file.cert, &mut file.key, &mut file.ca] {
        if let (Some(rest), Some(home)) = (value.strip_prefix("~/"), &home) {
            *value = home.join(rest).display().to_string();
        }
    }
    Ok(file)
}

fn refuse_unsupported(path: &Path, file: &ContextFile) -> Result<(), ConfigError> {
    let unsupported = [
        ("nsc", &file.nsc, "write the credentials to a file and name it in 'creds'"),
        ("jetstream_domain", &file.jetstream_domain, "connect to a server of that domain instead"),
        ("jetstream_api_prefix", &file.jetstream_api_prefix, "connect with an account that owns its streams"),
        ("socks_proxy", &file.socks_proxy, "connect without a proxy"),
    ];
    match unsupported.into_iter().find(|(_, value, _)| !value.is_empty()) {
        Some((key, _, instead)) => {
            let why = format!("Weir does not support '{key}'; {instead}");
            Err(ConfigError::value(path.display().to_string(), why))
        }
        None => Ok(()),
    }
}
