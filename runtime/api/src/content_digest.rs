//! The header `Content-Digest` (RFC 9530): a dictionary of digests of the body's bytes, in structured-field
//! syntax. Only `sha-256` is understood; a recipient may pass over the others, and this one does.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Digest;

use crate::error::{Code, NodeError};

/// The header's name.
pub(crate) const CONTENT_DIGEST: &str = "content-digest";

/// The value for bytes of this digest.
pub(crate) fn content_digest(digest: Digest) -> HeaderValue {
    let value = format!("sha-256=:{}:", STANDARD.encode(digest.as_raw()));
    value.try_into().expect("base64 is visible ASCII")
}

/// The digest that a request announces of its body; none if it announces none that is understood.
pub(crate) fn announced(headers: &HeaderMap) -> Result<Option<Digest>, NodeError> {
    let mut announced = None;
    for value in headers.get_all(CONTENT_DIGEST) {
        let text = value.to_str().map_err(|_| malformed())?;
        // Base64 has neither comma nor semicolon, so splitting cannot cut a value.
        for member in text.split(',') {
            let (name, value) = member.split_once('=').ok_or_else(malformed)?;
            if name.trim() == "sha-256" {
                // As in any structured dictionary, the last of several counts.
                announced = Some(byte_sequence(value)?);
            }
        }
    }
    Ok(announced)
}

fn byte_sequence(value: &str) -> Result<Digest, NodeError> {
    let value = value.split(';').next().unwrap_or_default().trim();
    let base64 = value.strip_prefix(':').and_then(|value| value.strip_suffix(':')).ok_or_else(malformed)?;
    let bytes = STANDARD.decode(base64).map_err(|_| malformed())?;
    let raw = <[u8; 32]>::try_from(bytes).map_err(|_| malformed())?;
    Ok(Digest::from_raw(raw))
}

fn malformed() -> NodeError {
    let detail = "the header 'content-digest' has to be 'sha-256=:<32 bytes in base64>:'";
    NodeError::new(Code::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&'static str]) -> Result<Option<Digest>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_DIGEST, HeaderValue::from_static(value));
        }
        announced(&headers).map_err(|error| error.code())
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_DIGEST, content_digest(Digest::of(b"module")));
        assert_eq!(announced(&headers).expect("well formed"), Some(Digest::of(b"module")));
    }

    #[test]
    fn only_sha_256_counts_and_it_has_to_be_well_formed() {
        // The digest of "hello" and a line feed, by an independent implementation.
        let hello = "sha-256=:WJG2uSKRCLa8S5ExX5SCoWhYYeLAGwH8QLHuCXk/bgM=:";
        let digest = Digest::from_raw(
            STANDARD
                .decode("WJG2uSKRCLa8S5ExX5SCoWhYYeLAGwH8QLHuCXk/bgM=")
                .map(|b| b.try_into())
                .expect("is base64")
                .expect("has 32 bytes"),
        );
        assert_eq!(check(&[]), Ok(None));
        assert_eq!(check(&["sha-512=:AAAA:"]), Ok(None));
        assert_eq!(check(&[hello]), Ok(Some(digest)));
        assert_eq!(check(&["sha-512=:AAAA:", hello]), Ok(Some(digest)));
        assert_eq!(
            check(&["sha-512=:AAAA:, sha-256=:WJG2uSKRCLa8S5ExX5SCoWhYYeLAGwH8QLHuCXk/bgM=:;p=1"]),
            Ok(Some(digest))
        );
        for bad in ["", "sha-256", "sha-256=WJG2", "sha-256=:WJG2:", "sha-256=:*:", "sha-256=:"] {
            assert_eq!(check(&[bad]), Err(Code::InvalidRequest), "{bad}");
        }
    }
}
