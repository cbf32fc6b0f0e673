//! Signing and verifying (PROTOCOL 1.4), with aws-lc-rs. Feature `crypto`.

use super::keys::{ED25519_SIGNATURE, KeyError, KeyKind, P521_BYTES, PublicKey};
use super::{AgentId, base64v};
use crate::services::{Check, CheckKey};
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P521_SHA384_FIXED, ECDSA_P521_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Whether the signature stands. A key that cannot be used or a malformed signature does not.
pub fn verify(check: &Check) -> bool {
    let Some(signature) = base64v::decode(&check.signature) else { return false };
    match &check.key {
        CheckKey::Agent(agent) => agent.to_bytes().is_ok_and(|key| verify_ed25519(&key, &check.text, &signature)),
        CheckKey::User(jwk) => serde_json::from_str(jwk)
            .ok()
            .and_then(|jwk| PublicKey::from_jwk(&jwk).ok())
            .is_some_and(|key| verify_bytes(&key, &check.text, &signature)),
    }
}

/// Whether these signature bytes by a user's key stand over `text`.
pub fn verify_bytes(key: &PublicKey, text: &[u8], signature: &[u8]) -> bool {
    match key {
        PublicKey::P521 { .. } => {
            // The fixed form: 132 bytes, r and s within 1..n; never DER.
            UnparsedPublicKey::new(&ECDSA_P521_SHA384_FIXED, key.to_point()).verify(text, signature).is_ok()
        }
        PublicKey::Ed25519(key) => verify_ed25519(key, text, signature),
    }
}

fn verify_ed25519(key: &[u8; 32], text: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(text, signature).is_ok()
}

/// A user's private key.
///
/// ```
/// use tallyho_plugin::record::{keys::KeyKind, signing::{UserKey, verify_bytes}};
/// let key = UserKey::generate(KeyKind::P521).unwrap();
/// let signature = key.sign(b"{\"units\":5}").unwrap();
/// assert_eq!(signature.len(), 132);
/// assert!(verify_bytes(key.public(), b"{\"units\":5}", &signature));
/// ```
pub struct UserKey {
    public: PublicKey,
    private: Private,
}

enum Private {
    P521 { pair: EcdsaKeyPair, scalar: Zeroizing<[u8; P521_BYTES]> },
    Ed25519 { pair: Ed25519KeyPair, seed: Zeroizing<[u8; 32]> },
}

/// A private JWK as read; the texts are borrowed, so that no copy of `d` is left behind.
#[derive(Deserialize)]
struct PrivateJwk<'a> {
    d: &'a str,
}

impl UserKey {
    /// A new key, from the cryptographic library's own random generator.
    ///
    /// # Errors
    /// [`KeyError::Library`] where the system has no randomness.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        match kind {
            KeyKind::P521 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA384_FIXED_SIGNING).map_err(|_| KeyError::Library)?;
                let encoded = pair.private_key().as_be_bytes().map_err(|_| KeyError::Library)?;
                let mut scalar = Zeroizing::new([0; P521_BYTES]);
                scalar.copy_from_slice(encoded.as_ref().get(..P521_BYTES).ok_or(KeyError::Library)?);
                let point = pair.public_key().as_ref();
                let (x, y) =
                    point.get(1..).and_then(|both| both.split_first_chunk::<P521_BYTES>()).ok_or(KeyError::Library)?;
                let public = PublicKey::P521 { x: *x, y: y.try_into().map_err(|_| KeyError::Library)? };
                Ok(UserKey { public, private: Private::P521 { pair, scalar } })
            }
            KeyKind::Ed25519 => Self::from_ed25519_seed(random()?),
        }
    }

    /// Reads a private JWK: the public one and `d`.
    ///
    /// # Errors
    /// [`KeyError`] naming the member at fault, or [`KeyError::Inconsistent`] where `d` is another
    /// key's.
    pub fn from_private_jwk(text: &str) -> Result<Self, KeyError> {
        const D: KeyError = KeyError::Member {
            member: "d",
            expected: "the private part in base64url: 66 bytes (P-521) or 32 (Ed25519)",
        };
        // Without `d`, so that no unwiped copy of it is made.
        let public = public_members(text)?;
        let jwk: PrivateJwk<'_> = serde_json::from_str(text).map_err(|_| D)?;
        match public {
            PublicKey::P521 { .. } => {
                let scalar = secret(jwk.d).ok_or(D)?;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P521_SHA384_FIXED_SIGNING,
                    scalar.as_slice(),
                    &public.to_point(),
                )
                .map_err(|_| KeyError::Inconsistent)?;
                Ok(UserKey { public, private: Private::P521 { pair, scalar } })
            }
            PublicKey::Ed25519(_) => {
                let seed = secret(jwk.d).ok_or(D)?;
                let key = Self::from_ed25519_seed(seed)?;
                if key.public == public { Ok(key) } else { Err(KeyError::Inconsistent) }
            }
        }
    }

    fn from_ed25519_seed(seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::Library)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Library)?;
        Ok(UserKey { public: PublicKey::Ed25519(public), private: Private::Ed25519 { pair, seed } })
    }

    /// The private JWK, wiped from memory when dropped.
    pub fn to_private_jwk(&self) -> Zeroizing<String> {
        let secret: &[u8] = match &self.private {
            Private::P521 { scalar, .. } => scalar.as_slice(),
            Private::Ed25519 { seed, .. } => seed.as_slice(),
        };
        let d = Zeroizing::new(base64v::encode(secret));
        let public = self.public.to_jwk().to_string();
        // Room for all of it, so that no half is left in a buffer given up: the parts, and `,"d":""}`.
        let mut text = Zeroizing::new(String::with_capacity(public.len() + d.len() + 16));
        text.push_str(public.trim_end_matches('}'));
        text.push_str(",\"d\":\"");
        text.push_str(&d);
        text.push_str("\"}");
        text
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public key as a certificate carries it.
    pub fn public_jwk(&self) -> serde_json::Value {
        self.public.to_jwk()
    }

    /// Which algorithm.
    pub fn kind(&self) -> KeyKind {
        self.public.kind()
    }

    /// Signs; 132 bytes (P-521, another each time) or 64 (Ed25519).
    ///
    /// # Errors
    /// [`KeyError::Library`] where the library cannot.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = match &self.private {
            Private::P521 { pair, .. } => pair.sign(&SystemRandom::new(), text),
            Private::Ed25519 { pair, .. } => pair.try_sign(text),
        };
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyError::Library)
    }
}

impl std::fmt::Debug for UserKey {
    /// Shows the public part alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The public key of a private JWK's text.
fn public_members(text: &str) -> Result<PublicKey, KeyError> {
    #[derive(Deserialize)]
    struct Public<'a> {
        kty: &'a str,
        #[serde(default)]
        crv: Option<&'a str>,
        #[serde(default)]
        x: Option<&'a str>,
        #[serde(default)]
        y: Option<&'a str>,
    }
    let Public { kty, crv, x, y } = serde_json::from_str(text).map_err(|_| KeyError::NoObject)?;
    PublicKey::from_jwk(&serde_json::json!({"kty": kty, "crv": crv, "x": x, "y": y}))
}

/// An agent's private key (Ed25519), from whose seed the Noise static key derives too.
pub struct AgentKey {
    id: AgentId,
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl AgentKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Library`] where the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let seed = random()?;
        Self::from_seed(&seed)
    }

    /// The key of this seed.
    ///
    /// # Errors
    /// [`KeyError::Library`] where the library cannot.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Library)?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Library)?;
        Ok(AgentKey { id: AgentId::from_bytes(&public), pair, seed: Zeroizing::new(*seed) })
    }

    /// The agent's id.
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// The seed: the secret itself.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Signs.
    pub fn sign(&self, text: &[u8]) -> [u8; ED25519_SIGNATURE] {
        let mut signature = [0; ED25519_SIGNATURE];
        // An Ed25519 signature has 64 bytes; `sign` panics where the library has no memory left.
        signature.copy_from_slice(self.pair.sign(text).as_ref());
        signature
    }
}

impl std::fmt::Debug for AgentKey {
    /// Shows the id alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Exactly `N` secret bytes, without a copy left behind.
fn secret<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    (base64v::decode_into(text, bytes.as_mut_slice()) == Some(N)).then_some(bytes)
}

fn random() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| KeyError::Library)?;
    Ok(bytes)
}
