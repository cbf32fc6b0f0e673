//! Public keys of users (PROTOCOL 1.4). Signing and verifying need the `crypto` feature: `signing`.

use super::base64v;
use serde_json::{Value, json};

/// Bytes of a P-521 coordinate or private scalar.
pub const P521_BYTES: usize = 66;
/// Bytes of a P-521 signature, r and s at fixed width; 176 characters in base64v.
pub const P521_SIGNATURE: usize = 2 * P521_BYTES;
/// Bytes of an Ed25519 signature; 86 characters in base64v.
pub const ED25519_SIGNATURE: usize = 64;

/// Which algorithm a user signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA over P-521 with SHA-384: what every implementation reads.
    P521,
    /// Ed25519: an extension, ten times cheaper to verify.
    Ed25519,
}

/// A user's public key, of the right shape. Whether a P-521 point lies on its curve shows when a
/// signature is verified.
///
/// ```
/// use serde_json::json;
/// use tallyho_plugin::record::keys::PublicKey;
/// let key = PublicKey::from_jwk(&json!({
///     "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
/// })).unwrap();
/// assert!(matches!(key, PublicKey::Ed25519(_)));
/// let error = PublicKey::from_jwk(&json!({"kty": "RSA", "n": "...", "e": "AQAB"})).unwrap_err();
/// assert!(error.to_string().contains("RSA"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// An affine point, both coordinates big-endian.
    P521 {
        /// The first coordinate.
        x: [u8; P521_BYTES],
        /// The second coordinate.
        y: [u8; P521_BYTES],
    },
    /// A compressed Edwards point.
    Ed25519([u8; 32]),
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither an object nor a text holding one.
    #[error("the key is no JWK object; expected one like {EXAMPLE}")]
    NoObject,
    /// An algorithm this protocol does not use.
    #[error("keys of kind {kind} are not used here; expected P-521 or Ed25519, like {EXAMPLE} (PROTOCOL 1.4)")]
    Algorithm {
        /// `kty` and, where there is one, `crv`, as given.
        kind: String,
    },
    /// A member is absent or of another size.
    #[error("the key's member {member}: expected {expected} (PROTOCOL 1.4)")]
    Member {
        /// `kty`, `x`, `y` or `d`.
        member: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The private part does not belong to the public one, or the point is none of the curve.
    #[error("the key's parts do not belong together; was the file altered or cut?")]
    Inconsistent,
    /// The cryptographic library failed to make or use a key.
    #[error("the cryptographic library failed: no randomness or no memory; is the machine healthy?")]
    Library,
}

const EXAMPLE: &str = r#"{"kty":"EC","crv":"P-521","x":"...","y":"..."}"#;
const COORDINATE: &str = "66 bytes in base64url, 88 characters, a number below 2^521";
const ED25519_KEY: &str = "32 bytes in base64url, 43 characters";

/// DER of a P-521 SubjectPublicKeyInfo up to the point.
const P521_SPKI: &[u8] = &[
    0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x23, 0x03, 0x81, 0x86, 0x00,
];
/// DER of an Ed25519 SubjectPublicKeyInfo up to the key (RFC 8410).
const ED25519_SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl PublicKey {
    /// Reads the `public` member of a certificate: a JWK object, or a text holding one. Members
    /// beside the key's own (`ext`, `key_ops`, ...) are ignored.
    ///
    /// # Errors
    /// [`KeyError`] naming the member or the algorithm at fault.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let parsed;
        let members = match jwk {
            Value::Object(members) => members,
            Value::String(text) => {
                parsed = serde_json::from_str::<Value>(text).map_err(|_| KeyError::NoObject)?;
                parsed.as_object().ok_or(KeyError::NoObject)?
            }
            _ => return Err(KeyError::NoObject),
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let kty = text("kty").ok_or(KeyError::Member { member: "kty", expected: "\"EC\" or \"OKP\"" })?;
        match (kty, text("crv")) {
            ("EC", Some("P-521")) => {
                Ok(PublicKey::P521 { x: coordinate("x", text("x"))?, y: coordinate("y", text("y"))? })
            }
            ("OKP", Some("Ed25519")) => text("x")
                .and_then(base64v::decode_array)
                .map(PublicKey::Ed25519)
                .ok_or(KeyError::Member { member: "x", expected: ED25519_KEY }),
            (kty, crv) => {
                let kind: String = [Some(kty), crv].into_iter().flatten().collect::<Vec<_>>().join(" ");
                Err(KeyError::Algorithm { kind: kind.chars().take(40).collect() })
            }
        }
    }

    /// Which algorithm the key is for.
    pub fn kind(&self) -> KeyKind {
        match self {
            PublicKey::P521 { .. } => KeyKind::P521,
            PublicKey::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// The JWK: the members of PROTOCOL 1.4 and no other.
    pub fn to_jwk(&self) -> Value {
        match self {
            PublicKey::P521 { x, y } => {
                json!({"kty": "EC", "crv": "P-521", "x": base64v::encode(x), "y": base64v::encode(y)})
            }
            PublicKey::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64v::encode(key)}),
        }
    }

    /// What cryptographic libraries take: the uncompressed point, 133 bytes (P-521), or the key
    /// itself, 32 bytes (Ed25519).
    pub fn to_point(&self) -> Vec<u8> {
        const UNCOMPRESSED: u8 = 4;
        match self {
            PublicKey::P521 { x, y } => [&[UNCOMPRESSED], x.as_slice(), y].concat(),
            PublicKey::Ed25519(key) => key.to_vec(),
        }
    }

    /// The DER of a SubjectPublicKeyInfo, as `openssl pkey -pubin` reads it: 158 or 44 bytes.
    pub fn to_spki(&self) -> Vec<u8> {
        let head = match self {
            PublicKey::P521 { .. } => P521_SPKI,
            PublicKey::Ed25519(_) => ED25519_SPKI,
        };
        [head, &self.to_point()].concat()
    }
}

impl KeyKind {
    /// Bytes of a signature.
    pub fn signature_bytes(self) -> usize {
        match self {
            KeyKind::P521 => P521_SIGNATURE,
            KeyKind::Ed25519 => ED25519_SIGNATURE,
        }
    }
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeyKind::P521 => "p521",
            KeyKind::Ed25519 => "ed25519",
        })
    }
}

impl std::str::FromStr for KeyKind {
    type Err = KeyError;

    /// Reads `p521` or `ed25519`, as commands name them.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text {
            "p521" => Ok(KeyKind::P521),
            "ed25519" => Ok(KeyKind::Ed25519),
            other => Err(KeyError::Algorithm { kind: other.chars().take(40).collect() }),
        }
    }
}

/// A coordinate of exactly 66 bytes, below 2^521.
fn coordinate(member: &'static str, text: Option<&str>) -> Result<[u8; P521_BYTES], KeyError> {
    text.and_then(base64v::decode_array::<P521_BYTES>)
        .filter(|bytes| bytes[0] <= 1)
        .ok_or(KeyError::Member { member, expected: COORDINATE })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::vectors::vectors;

    #[test]
    fn the_keys_of_the_vectors_are_read_and_written() {
        for user in ["alice", "bob"] {
            let jwk = &vectors()["users"][user]["jwk"];
            let key = PublicKey::from_jwk(jwk).unwrap();
            assert_eq!(key.kind(), KeyKind::P521);
            assert_eq!(PublicKey::from_jwk(&key.to_jwk()).unwrap(), key);
            assert_eq!(PublicKey::from_jwk(&Value::from(jwk.to_string())).unwrap(), key, "a text holding it");
            assert_eq!(key.to_jwk()["x"], jwk["x"]);
            assert_eq!((key.to_point().len(), key.to_spki().len()), (133, 158));
        }
    }

    #[test]
    fn spki_says_its_own_length() {
        let p521 = PublicKey::from_jwk(&vectors()["users"]["bob"]["jwk"]).unwrap().to_spki();
        assert_eq!(usize::from(p521[2]) + 3, p521.len());
        let ed25519 = PublicKey::Ed25519([9; 32]).to_spki();
        assert_eq!(usize::from(ed25519[1]) + 2, ed25519.len());
    }

    #[test]
    fn other_keys_are_refused_by_name() {
        for (jwk, named) in [
            (json!({"kty":"RSA","n":"x","e":"AQAB"}), "kind RSA "),
            (json!({"kty":"EC","crv":"P-256","x":"","y":""}), "kind EC P-256 "),
            (json!({"kty":"OKP","crv":"X25519","x":""}), "kind OKP X25519 "),
            (json!({"kty":"EC"}), "kind EC "),
            (json!({"kty":"EC","crv":"Ed25519"}), "kind EC Ed25519 "),
            (json!({}), "member kty"),
            (json!("{\"kty\":"), "no JWK object"),
            (json!("[]"), "no JWK object"),
            (json!(null), "no JWK object"),
            (json!({"kty":"OKP","crv":"Ed25519"}), "member x"),
            (json!({"kty":"OKP","crv":"Ed25519","x":base64v::encode([1; 31])}), "member x"),
            (json!({"kty":"EC","crv":"P-521","x":base64v::encode([1; 66])}), "member y"),
            (json!({"kty":"EC","crv":"P-521","x":base64v::encode([1; 65]),"y":base64v::encode([1; 66])}), "member x"),
            (json!({"kty":"EC","crv":"P-521","x":base64v::encode([1; 66]),"y":base64v::encode([2; 66])}), "member y"),
        ] {
            let message = PublicKey::from_jwk(&jwk).unwrap_err().to_string();
            assert!(message.contains(named), "{jwk}: {message}");
        }
        assert!("rsa".parse::<KeyKind>().unwrap_err().to_string().contains("rsa"));
        assert_eq!("ed25519".parse::<KeyKind>().unwrap().to_string(), "ed25519");
    }
}
