//! Servers that want to know who connects, over TLS with certificates on both sides: what the control
//! connection is let in with, readers and appenders are too.

use std::path::{Path, PathBuf};

use broker::{Ask, Auth, Broker, ConnectError, ConnectOptions, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::harness::{TestServer, eventually, pattern, place, publish, record, server, stream, within};

/// A certificate authority, and what it certified, in a folder.
struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).expect("it can be written");
        };
        write("ca.pem", authority.pem());
        for name in ["server", "client"] {
            let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]);
            let key = KeyPair::generate().expect("a key");
            let certificate = params.expect("names").signed_by(&key, &authority).expect("it is certified");
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lines of a server that wants a client's certificate as well.
    fn server_lines(&self) -> String {
        let file = |name| self.path(name).display().to_string();
        format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
            file("server.pem"),
            file("server.key"),
            file("ca.pem")
        )
    }

    fn options(&self) -> TlsOptions {
        TlsOptions {
            require: true,
            first: false,
            ca_file: Some(self.path("ca.pem")),
            cert_file: Some(self.path("client.pem")),
            key_file: Some(self.path("client.key")),
        }
    }
}

/// The kinds of credentials, with the lines that make a server want them.
fn kinds(folder: &Path) -> Vec<(Auth, String)> {
    let user = nkeys::KeyPair::new_user();
    let seed = user.seed().expect("a new key has its seed");
    let users = |line: String| format!("authorization {{ {line} }}");
    let operated = Operated::new();
    let credentials = folder.join("user.creds");
    std::fs::write(&credentials, operated.credentials()).expect("it can be written");
    let (jwt, user_seed) = (operated.user_jwt.clone(), operated.user_seed.clone());
    vec![
        (Auth::None, String::new()),
        (
            Auth::UserPassword { user: "anna".into(), password: "secret".into() },
            users("users: [{ user: anna, password: secret }]".into()),
        ),
        (Auth::Token("s3cret".into()), users("token: s3cret".into())),
        (Auth::Nkey(seed), users(format!("users: [{{ nkey: {} }}]", user.public_key()))),
        (Auth::Jwt { jwt, seed: user_seed }, operated.server_lines()),
        (Auth::CredentialsFile(credentials), operated.server_lines()),
    ]
}

/// An operator, an account with JetStream, and a user of it, each certified by the one before; and the
/// account without which a server with an operator has no JetStream.
struct Operated {
    operator_jwt: String,
    /// The accounts' keys and JWTs; the first is the system's.
    accounts: [(String, String); 2],
    user_jwt: String,
    user_seed: String,
}

impl Operated {
    fn new() -> Self {
        let (operator, user) = (nkeys::KeyPair::new_operator(), nkeys::KeyPair::new_user());
        let (system, account) = (nkeys::KeyPair::new_account(), nkeys::KeyPair::new_account());
        let claims = |subject: &nkeys::KeyPair, issuer: &nkeys::KeyPair, nats: serde_json::Value| {
            let claims = serde_json::json!({
                "jti": "test", "iat": 1_600_000_000, "iss": issuer.public_key(), "name": "test",
                "sub": subject.public_key(), "nats": nats,
            });
            signed(issuer, &claims)
        };
        let limits = serde_json::json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let account_claims = |limits: serde_json::Value| serde_json::json!({ "type": "account", "version": 2, "limits": limits });
        let user_claims =
            serde_json::json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        Self {
            operator_jwt: claims(
                &operator,
                &operator,
                serde_json::json!({ "type": "operator", "version": 2 }),
            ),
            accounts: [
                (system.public_key(), claims(&system, &operator, account_claims(serde_json::json!({})))),
                (account.public_key(), claims(&account, &operator, account_claims(limits))),
            ],
            user_jwt: claims(&user, &account, user_claims),
            user_seed: user.seed().expect("a new key has its seed"),
        }
    }

    fn server_lines(&self) -> String {
        let Self { operator_jwt, accounts: [(system, system_jwt), (account, account_jwt)], .. } = self;
        format!(
            "operator: {operator_jwt}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {system}: {system_jwt}, {account}: {account_jwt} }}"
        )
    }

    fn credentials(&self) -> String {
        let Self { user_jwt, user_seed, .. } = self;
        format!(
            "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{user_seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// A JWT as NATS signs them (ADR-14).
fn signed(issuer: &nkeys::KeyPair, claims: &serde_json::Value) -> String {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let body = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let signature = issuer.sign(body.as_bytes()).expect("the issuer has its seed");
    format!("{body}.{}", encode(&signature))
}

#[tokio::test]
async fn every_kind_of_credentials_reads_and_appends_over_tls() {
    let certificates = Certificates::new();
    for (auth, lines) in kinds(certificates.folder.path()) {
        let config = format!("jetstream: enabled\n{}\n{lines}\n", certificates.server_lines());
        let server = TestServer::start_with(&server(), Box::leak(config.into_boxed_str()));
        let options = ConnectOptions { auth: auth.clone(), tls: certificates.options(), ..server.options() };
        let connect = async || Broker::connect(options.clone()).await.inspect_err(|e| println!("{e}")).ok();
        let broker = eventually(connect).await;
        let pipeline = "p".parse().expect("a valid name");
        let landing = broker.ensure_landing_stream(&pipeline, &stream("IN"), &[pattern("in.>")], None).await;
        landing.expect("made");
        broker.ensure_output_stream(&pipeline, &stream("OUT"), &[pattern("out.>")]).await.expect("made");
        publish(&broker, "in.a", 1..=3).await;
        let mut reader = broker.open_reader(&stream("IN"), &[], 1).await.expect("a reader");
        let mut seen = 0;
        while seen < 3 {
            seen += within(reader.next()).await.expect("events").len();
        }
        let mut appender = broker.appender(&stream("OUT")).await.expect("a connection");
        appender.append(&place(1), &record("out.a", 1), Ask::Answer).await.expect("handed over");
        assert_eq!(within(appender.answer()).await.expect("stored"), 1, "{auth:?}");
    }
}

#[tokio::test]
async fn without_the_right_certificates_nobody_is_let_in() {
    let certificates = Certificates::new();
    let config = format!("jetstream: enabled\n{}\n", certificates.server_lines());
    let server = TestServer::start_with(&server(), Box::leak(config.into_boxed_str()));
    let with = |tls| ConnectOptions { tls, ..server.options() };
    let right = eventually(async || Broker::connect(with(certificates.options())).await.ok()).await;
    assert!(right.is_connected());
    let strangers = Certificates::new();
    for tls in [
        TlsOptions { cert_file: None, key_file: None, ..certificates.options() },
        TlsOptions { ca_file: strangers.options().ca_file, ..certificates.options() },
    ] {
        let error = within(Broker::connect(with(tls))).await.expect_err("not let in");
        let is_refusal = !matches!(error, ConnectError::TooOld { .. } | ConnectError::NoJetStream { .. });
        assert!(is_refusal, "{error}");
    }
}
