//! The agent's key and the Noise key derived from it (PROTOCOL 1.4).

use super::error::WireError;
use super::limits::{AGENT_ID, KEY};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::clamp_integer;
use sha2::{Digest, Sha512};
use std::fmt;
use tallyho_plugin::record::AgentId;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// This site's side of every handshake: its agent id and the Noise static key pair that follows from
/// the agent key. The private key is wiped from memory on drop.
pub struct Identity {
    agent: AgentId,
    /// Private key, then public key: the form in which `noise` hands a pair to a handshake.
    pair: Zeroizing<[u8; 2 * KEY]>,
}

impl Identity {
    /// The identity that belongs to an Ed25519 seed.
    pub fn from_seed(seed: &[u8; KEY]) -> Self {
        let mut hash: [u8; 64] = Sha512::digest(seed).into();
        let mut scalar = Zeroizing::new([0; KEY]);
        scalar.copy_from_slice(&hash[..KEY]);
        hash.zeroize();
        *scalar = clamp_integer(*scalar);
        let point = EdwardsPoint::mul_base_clamped(*scalar);
        let mut pair = Zeroizing::new([0; 2 * KEY]);
        pair[..KEY].copy_from_slice(&*scalar);
        pair[KEY..].copy_from_slice(point.to_montgomery().as_bytes());
        Identity { agent: AgentId(URL_SAFE_NO_PAD.encode(point.compress().as_bytes())), pair }
    }

    /// The agent id: the Ed25519 public key in text.
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The Noise static public key, as [`noise_public`] finds it from the agent id.
    pub fn noise_public(&self) -> [u8; KEY] {
        let mut public = [0; KEY];
        public.copy_from_slice(&self.pair[KEY..]);
        public
    }

    pub(super) fn pair(&self) -> &[u8; 2 * KEY] {
        &self.pair
    }
}

impl ZeroizeOnDrop for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("agent", &self.agent).finish_non_exhaustive()
    }
}

/// The Noise static public key of an agent: the birational image of its Ed25519 key (PROTOCOL 1.4).
/// About 10 µs.
///
/// # Errors
/// `AgentId` where the id is not 43 characters of base64url, no point of the curve, not its canonical
/// encoding, or of small order (with which every exchange has the same, known, outcome).
pub fn noise_public(agent: &AgentId) -> Result<[u8; KEY], WireError> {
    let encoded = CompressedEdwardsY(agent_key(agent)?);
    let point = encoded.decompress().ok_or(WireError::AgentId)?;
    if point.is_small_order() || !is_canonical(encoded.as_bytes()) {
        return Err(WireError::AgentId);
    }
    Ok(point.to_montgomery().to_bytes())
}

/// The 32 bytes that an agent id stands for, unchecked as a key.
///
/// # Errors
/// `AgentId` where the id is not 43 characters of base64url in canonical form.
pub fn agent_key(agent: &AgentId) -> Result<[u8; KEY], WireError> {
    let mut key = [0; KEY];
    if agent.0.len() != AGENT_ID {
        return Err(WireError::AgentId);
    }
    match URL_SAFE_NO_PAD.decode_slice(&agent.0, &mut key) {
        Ok(KEY) => Ok(key),
        _ => Err(WireError::AgentId),
    }
}

/// Whether y is below 2^255 - 19. (The one other double encoding, of x = 0, is of small order.)
fn is_canonical(encoded: &[u8; KEY]) -> bool {
    let [low, middle @ .., high] = encoded;
    *low < 0xed || middle.iter().any(|byte| *byte != 0xff) || high & 0x7f != 0x7f
}
