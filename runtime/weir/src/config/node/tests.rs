//! Where each setting of a node comes from when several places name it, and which are refused.

use std::fs;

use broker::Auth;
use clap::Parser;

use super::super::testing::Map;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: NodeFlags,
}

/// A home directory with two contexts, of which `prod` is selected, and a file for each secret.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let nats = home.path().join(".config/nats");
    fs::create_dir_all(nats.join("context")).expect("made");
    let write = |name: &str, text: &str| fs::write(nats.join(name), text).expect("written");
    write("context.txt", "prod\n");
    write(
        "context/prod.json",
        r#"{"description": "d", "url": "nats://prod:4222, nats://prod2:4222", "creds": "~/prod.creds"}"#,
    );
    write(
        "context/dev.json",
        r#"{"url": "tls://dev", "user": "u", "password": "p", "ca": "/ca", "cert": "/c", "key": "/k",
            "tls_first": true, "inbox_prefix": "_INBOX_dev", "unknown": [1]}"#,
    );
    write("context/bare.json", r#"{"token": "t"}"#);
    write("context/two.json", r#"{"url": "x", "token": "t", "creds": "/c"}"#);
    write("context/half.json", r#"{"url": "x", "cert": "/c"}"#);
    write("context/domain.json", r#"{"url": "x", "jetstream_domain": "hub"}"#);
    write("context/broken.json", "{");
    for name in ["secret", "seed"] {
        fs::write(home.path().join(name), format!("{name}-text\n")).expect("written");
    }
    home
}

/// What a line and an environment come to. `~` stands for the home directory.
fn config(home: &tempfile::TempDir, line: &str, environment: &str) -> Result<NodeConfig, String> {
    let home = home.path().display().to_string();
    let (line, environment) = (line.replace('~', &home), environment.replace('~', &home));
    let words = std::iter::once("up").chain(line.split_whitespace());
    let flags = Line::try_parse_from(words).map_err(|error| error.to_string())?.flags;
    let pairs = environment.split_whitespace().filter_map(|pair| pair.split_once('='));
    let environment = Map::new(pairs.chain([("HOME", home.as_str())]));
    NodeConfig::new(&flags, &environment).map_err(|error| error.to_string())
}

fn nats(home: &tempfile::TempDir, line: &str, environment: &str) -> String {
    match config(home, line, environment) {
        Err(error) => format!("error: {error}"),
        Ok(NodeConfig { nats: NatsSource::Embedded(embedded), .. }) => {
            let program = embedded.binary.unwrap_or_else(|| "nats-server".into());
            format!("embedded {} {}", program.display(), embedded.listen)
        }
        Ok(NodeConfig { nats: NatsSource::External(external), .. }) => {
            let auth = match external.options.auth {
                Auth::None => "none".to_owned(),
                Auth::UserPassword { user, password } => format!("user {user} {password}"),
                Auth::Token(token) => format!("token {token}"),
                Auth::Nkey(seed) => format!("nkey {seed}"),
                Auth::CredentialsFile(path) => {
                    format!("creds {}", path.file_name().expect("a file").to_string_lossy())
                }
                Auth::Jwt { jwt, seed } => format!("jwt {jwt} {seed}"),
            };
            format!("{} by {}, {auth}", external.options.servers.join(","), external.named_by)
        }
    }
}

#[test]
fn flags_come_before_the_environment_and_that_before_a_context() {
    let home = home();
    for (line, environment, expected) in [
        ("", "", "nats://prod:4222,nats://prod2:4222 by context 'prod', creds prod.creds"),
        ("", "XDG_CONFIG_HOME=/nowhere", "embedded nats-server 127.0.0.1:4222"),
        ("", "NATS_CONTEXT=dev", "tls://dev by context 'dev', user u p"),
        ("--context dev", "NATS_CONTEXT=prod", "tls://dev by context 'dev', user u p"),
        // The selected context gives nothing to a server that somebody else named.
        ("", "NATS_URL=nats://e:1", "nats://e:1 by NATS_URL, none"),
        ("--nats f", "NATS_URL=nats://e:1", "f by --nats, none"),
        // A named one does.
        ("--context dev", "NATS_URL=nats://e:1", "nats://e:1 by NATS_URL, user u p"),
        ("--nats f --context prod", "NATS_TOKEN=t", "f by --nats, token t"),
        ("--nats f,g --nats h", "NATS_USER=a NATS_PASSWORD=b", "f,g,h by --nats, user a b"),
        ("--nats f", "NATS_USER=a", "f by --nats, token a"),
        ("--nats f --user x", "NATS_USER=a NATS_PASSWORD=b", "f by --nats, user x b"),
        ("--nats f --user x --password-file ~/secret", "NATS_CREDS=/c", "f by --nats, user x secret-text"),
        ("--nats f --token-file ~/secret", "NATS_TOKEN=t", "f by --nats, token secret-text"),
        ("--nats f --nkey-file ~/seed", "", "f by --nats, nkey seed-text"),
        ("--nats f", "NATS_NKEY=~/seed", "f by --nats, nkey seed-text"),
        ("--nats f --creds /x/a.creds", "NATS_CREDS=/x/b.creds", "f by --nats, creds a.creds"),
        ("--nats f", "NATS_CREDS=/x/b.creds", "f by --nats, creds b.creds"),
        // Whoever asks for the embedded server gets it.
        ("--nats-server /bin/n", "NATS_URL=nats://e:1", "embedded /bin/n 127.0.0.1:4222"),
        ("--nats-listen 127.0.0.1:1", "", "embedded nats-server 127.0.0.1:1"),
        // Credentials that lie about in the environment do not make a server.
        ("", "XDG_CONFIG_HOME=/nowhere NATS_CREDS=/c", "embedded nats-server 127.0.0.1:4222"),
    ] {
        assert_eq!(nats(&home, line, environment), expected, "{environment} weir up {line}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_where_it_stands() {
    let home = home();
    for (line, environment, says) in [
        ("--context none", "", "--context: there is no context 'none'"),
        ("", "NATS_CONTEXT=../x", "NATS_CONTEXT: '../x' is not the name of a context"),
        ("--context bare", "", "context 'bare': it has no 'url'"),
        ("--context two", "", "exclude each other"),
        ("--context half", "", "'cert' of "),
        ("--context domain", "", "does not support 'jetstream_domain'"),
        ("--context broken", "", "context/broken.json: EOF"),
        ("--nats f --creds /c --user u", "NATS_PASSWORD=p", "--creds and --user exclude each other"),
        ("--nats f", "NATS_CREDS=/c NATS_TOKEN=t", "NATS_CREDS and NATS_TOKEN exclude each other"),
        ("--nats f", "NATS_CERT=/c", "NATS_CERT needs NATS_KEY"),
        ("--nats f --user u", "", "--user needs --password-file or NATS_PASSWORD"),
        ("--nats http://f", "", "--nats: 'http://' is not an address of NATS"),
        ("", "NATS_URL=,", "NATS_URL: 0 servers"),
        ("--token-file ~/none", "", "--token-file: cannot read"),
        ("--tls-first", "XDG_CONFIG_HOME=/nowhere", "needs --nats or --context"),
        ("--tls-cert /c", "", "--tls-key"),
        ("--nats f --nats-server /n", "", "cannot be used with"),
        ("--workers 0", "", "--workers"),
        ("--workers 5000", "", "--workers: it has to be from 1 to 1024"),
        ("--upload-bytes-max 2GiB", "", "--upload-bytes-max: it has to be from 1 byte to 1 GiB"),
        ("--upload-bytes-max x", "", "'x' is not a size"),
    ] {
        let answer = nats(&home, line, environment);
        assert!(answer.starts_with("error") && answer.contains(says), "weir up {line}: {answer}");
    }
}

#[test]
fn a_context_brings_its_tls() {
    let config = config(&home(), "--context dev --tls-ca /other", "").expect("usable");
    assert_eq!(config.nats.to_string(), "tls://dev, named by context 'dev'");
    let NatsSource::External(external) = config.nats else { panic!("a server is named") };
    let tls = external.options.tls;
    assert_eq!((tls.ca_file, tls.cert_file), (Some("/other".into()), Some("/c".into())));
    assert_eq!((tls.key_file, tls.first, tls.require), (Some("/k".into()), true, true));
    assert_eq!(external.options.inbox_prefix.as_deref(), Some("_INBOX_dev"));
}

#[test]
fn tls_is_required_where_it_is_meant() {
    for (line, require) in [("--nats a", false), ("--nats tls://a", true), ("--nats a --tls-ca /c", true)] {
        let config = config(&home(), line, "").expect("usable");
        let NatsSource::External(external) = config.nats else { panic!("a server is named") };
        assert_eq!(external.options.tls.require, require, "{line}");
    }
}

#[test]
fn the_log_shows_no_password_of_an_address() {
    let config = config(&home(), "--nats nats://u:p@a:4222,b", "").expect("usable");
    assert_eq!(config.nats.to_string(), "a:4222,b, named by --nats");
    assert!(!format!("{config:?}").contains("u:p"));
}

#[test]
fn an_api_that_others_reach_needs_tokens_and_tls() {
    let home = home();
    let tls = "--tls-certificate /c --tls-private-key /k";
    for (line, says) in [
        ("".to_owned(), None),
        ("--listen [::1]:1".to_owned(), None),
        ("--listen 127.9.9.9:1".to_owned(), None),
        ("--listen 0.0.0.0:1".to_owned(), Some("--tokens-file")),
        ("--listen [::]:1 --insecure-http".to_owned(), Some("--tokens-file")),
        ("--listen 10.0.0.1:1 --tokens-file /t".to_owned(), Some("clear text")),
        ("--listen 10.0.0.1:1 --tokens-file /t --insecure-http".to_owned(), None),
        (format!("--listen 10.0.0.1:1 --tokens-file /t {tls}"), None),
        (format!("--insecure-http {tls}"), Some("cannot be used with")),
        ("--tls-certificate /c".to_owned(), Some("--tls-private-key")),
    ] {
        match (config(&home, &line, ""), says) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) => assert!(error.contains(says), "{line}: {error}"),
            (other, _) => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn data_lies_where_the_user_keeps_data() {
    let home = home();
    let at = |line: &str, environment: &str| config(&home, line, environment).map(|config| config.data_dir);
    assert_eq!(at("", ""), Ok(home.path().join(".local/share/weir")));
    assert_eq!(at("", "XDG_DATA_HOME=/data"), Ok("/data/weir".into()));
    assert_eq!(at("", "XDG_DATA_HOME=relative"), Ok(home.path().join(".local/share/weir")));
    assert_eq!(at("--data-dir /d", "XDG_DATA_HOME=/data"), Ok("/d".into()));
    let flags = Line::parse_from(["up"]).flags;
    let error = NodeConfig::new(&flags, &Map::new([])).expect_err("no place for data").to_string();
    assert!(error.starts_with("--data-dir: "), "{error}");
}
