//! Attestations: what ran on what and came to what, as an in-toto Statement v1 in a signed DSSE envelope.
//!
//! Both are the formats of in-toto, so other tools can read and check them; the predicate is Weir's own. Keys
//! are Ed25519, in the PEM files that `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Digest, PipelineName, Plan, StreamName, Totals};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "urn:weir:attestation:outputs:v1";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const PUBLIC_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why an attestation or a key is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestationError {
    /// The file is no private key.
    #[error("this is not an Ed25519 private key in PEM: `openssl genpkey -algorithm ed25519` makes one")]
    PrivateKey,
    /// The file is no public key.
    #[error("this is not an Ed25519 public key in PEM: `openssl pkey -pubout` makes one of a private key")]
    PublicKey,
    /// The envelope or what is in it has another shape.
    #[error("this is not an attestation of Weir: {0}")]
    Shape(String),
    /// No signature in it is of the key.
    #[error("no signature is of this key: the attestation was altered, or somebody else signed it")]
    Signature,
}

/// What an attestation says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attested {
    /// The pipeline.
    pub(crate) pipeline: PipelineName,
    /// The output stream.
    pub(crate) stream: StreamName,
    /// The first source sequence, at which a unit begins.
    pub(crate) from: u64,
    /// The last source sequence.
    pub(crate) through: u64,
    /// The plans, each with the first source sequence that it governs.
    pub(crate) revisions: Vec<AttestedRevision>,
    /// The digests of all modules.
    pub(crate) modules: Vec<Digest>,
    /// The engine that found the outputs to be these.
    pub(crate) engine: String,
    /// Other engines that stand in the receipts.
    pub(crate) other_engines: Vec<String>,
    /// Counts, and the digests of inputs and outputs, each chained over the receipts.
    pub(crate) totals: Totals,
    /// How many of the receipts are in the chain.
    pub(crate) receipts: u64,
    /// The record and the digest of the last of them, which names the one before it, and so on.
    pub(crate) last_receipt: Option<model::ReceiptLink>,
}

/// A plan in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttestedRevision {
    /// Its number in the chain.
    pub(crate) number: u64,
    /// The first source sequence that it governs.
    pub(crate) from_sequence: u64,
    /// The digest of the plan.
    pub(crate) plan_digest: Digest,
    /// The plan.
    pub(crate) plan: Plan,
}

#[derive(Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Attested,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

/// A key to sign with.
pub(crate) struct SigningKey(Ed25519KeyPair);

/// A key to check with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey([u8; 32]);

impl SigningKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// When the text is none.
    pub(crate) fn parse(pem: &str) -> Result<Self, AttestationError> {
        let der = pem_bytes(pem, "PRIVATE KEY").ok_or(AttestationError::PrivateKey)?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
        key.map(Self).map_err(|_| AttestationError::PrivateKey)
    }

    /// The key to check with.
    pub(crate) fn public(&self) -> PublicKey {
        use ring::signature::KeyPair as _;
        let bytes = self.0.public_key().as_ref();
        PublicKey(bytes.try_into().expect("an Ed25519 public key has 32 bytes"))
    }
}

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// When the text is none.
    pub(crate) fn parse(pem: &str) -> Result<Self, AttestationError> {
        let der = pem_bytes(pem, "PUBLIC KEY").ok_or(AttestationError::PublicKey)?;
        let key = der.strip_prefix(&PUBLIC_HEAD).and_then(|key| key.try_into().ok());
        key.map(Self).ok_or(AttestationError::PublicKey)
    }

    /// How envelopes name the key: the digest of its 32 bytes.
    pub(crate) fn id(&self) -> String {
        Digest::of(&self.0).to_string()
    }
}

impl Attested {
    /// The attestation in its signed envelope, as JSON.
    pub(crate) fn sign(&self, key: &SigningKey) -> String {
        let name = format!("{}/{} events {}-{}", self.pipeline, self.stream, self.from, self.through);
        let digest = BTreeMap::from([("sha256".to_owned(), self.totals.outputs.hex())]);
        let statement = Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject { name, digest }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.clone(),
        };
        let payload = serde_json::to_vec(&statement).expect("a statement has only strings as keys");
        let signature = key.0.sign(&pre_authentication(&payload));
        let signature = Signature { keyid: key.public().id(), sig: STANDARD.encode(signature.as_ref()) };
        let envelope = Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![signature],
        };
        serde_json::to_string_pretty(&envelope).expect("an envelope has only strings as keys")
    }

    /// Reads an envelope that is signed with `key`.
    ///
    /// # Errors
    /// When it is none, or not signed with the key, or does not agree with itself.
    pub(crate) fn open(envelope: &str, key: &PublicKey) -> Result<Self, AttestationError> {
        let shape = |why: &dyn std::fmt::Display| AttestationError::Shape(why.to_string());
        let envelope: Envelope = serde_json::from_str(envelope).map_err(|error| shape(&error))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(shape(&format!("its payload is '{}'", envelope.payload_type)));
        }
        let payload = STANDARD.decode(&envelope.payload).map_err(|error| shape(&error))?;
        let signed = pre_authentication(&payload);
        let public = UnparsedPublicKey::new(&ED25519, key.0);
        let mut signatures = envelope.signatures.iter().filter_map(|found| STANDARD.decode(&found.sig).ok());
        if !signatures.any(|signature| public.verify(&signed, &signature).is_ok()) {
            return Err(AttestationError::Signature);
        }
        let statement: Statement = serde_json::from_slice(&payload).map_err(|error| shape(&error))?;
        if statement.kind != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
            let (kind, predicate) = (&statement.kind, &statement.predicate_type);
            return Err(shape(&format!("it is a '{kind}' of '{predicate}'")));
        }
        let attested = statement.predicate;
        let named = statement.subject.iter().find_map(|subject| subject.digest.get("sha256"));
        if named != Some(&attested.totals.outputs.hex()) {
            return Err(shape(&"its subject is not the digest of its outputs"));
        }
        let is_right = |revision: &AttestedRevision| revision.plan.digest() == revision.plan_digest;
        if attested.revisions.is_empty() || !attested.revisions.iter().all(is_right) {
            return Err(shape(&"a plan in it is not the one whose digest it names"));
        }
        Ok(attested)
    }
}

/// What is signed: DSSE's pre-authentication encoding, version 1.
fn pre_authentication(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The bytes between the lines of a PEM block.
fn pem_bytes(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The first key pair of RFC 8032, section 7.1, in the bytes that openssl writes.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const POINT: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn pem(label: &str, head: &[u8], hex: &str) -> String {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
        let bytes: Vec<u8> = head.iter().copied().chain((0..hex.len()).step_by(2).map(digit)).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes))
    }

    fn private() -> String {
        let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        pem("PRIVATE KEY", &head, SEED)
    }

    fn public() -> String {
        pem("PUBLIC KEY", &PUBLIC_HEAD, POINT)
    }

    fn attested() -> Attested {
        let lock = crate::spec::lock::tests::lock();
        let (plan_digest, plan) = (lock.plan.digest(), lock.plan);
        let modules = plan.modules().collect();
        Attested {
            pipeline: plan.pipeline.clone(),
            stream: plan.sink.stream.clone(),
            from: 1,
            through: 600,
            revisions: vec![AttestedRevision { number: 1, from_sequence: 1, plan_digest, plan }],
            modules,
            engine: "engine-1".into(),
            other_engines: vec![],
            totals: Totals { outputs: Digest::of(b"outputs"), ..Totals::NONE },
            receipts: 3,
            last_receipt: None,
        }
    }

    #[test]
    fn what_is_signed_opens_with_its_key_and_no_other() {
        let key = SigningKey::parse(&private()).expect("a private key");
        let public = PublicKey::parse(&public()).expect("a public key");
        assert_eq!(key.public(), public);
        let envelope = attested().sign(&key);
        assert_eq!(Attested::open(&envelope, &public).expect("it is signed"), attested());
        let other = PublicKey([7; 32]);
        assert!(matches!(Attested::open(&envelope, &other), Err(AttestationError::Signature)));
    }

    #[test]
    fn an_altered_envelope_does_not_open() {
        let key = SigningKey::parse(&private()).expect("a private key");
        let envelope: serde_json::Value = serde_json::from_str(&attested().sign(&key)).expect("JSON");
        let payload = STANDARD.decode(envelope["payload"].as_str().expect("text")).expect("base64");
        let text = String::from_utf8(payload).expect("JSON");
        for (from, to) in [("\"through\":600", "\"through\":601"), ("engine-1", "engine-2")] {
            assert!(text.contains(from), "{text}");
            let mut altered = envelope.clone();
            altered["payload"] = STANDARD.encode(text.replace(from, to)).into();
            let error = Attested::open(&altered.to_string(), &key.public()).expect_err(to);
            assert!(matches!(error, AttestationError::Signature), "{error}");
        }
        for no_key in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", &public()] {
            assert!(SigningKey::parse(no_key).is_err());
        }
        assert!(PublicKey::parse(&private()).is_err());
        assert!(Attested::open("{}", &key.public()).is_err());
    }
}
