//! A text sealed for one agent's eyes, to be carried by others: one Noise `N` message to its static key
//! (PROTOCOL 9.1, O-39). Whoever sends it is not proven.

use super::error::WireError;
use super::keys::{Identity, noise_public};
use super::limits::{KEY, MAX_NOISE, TAG};
use super::noise::{self, Ephemeral, Pattern};
use tallyho_plugin::record::AgentId;

/// What sealing adds: the ephemeral key and the tag.
pub const OVERHEAD: usize = KEY + TAG;

/// Seals a text for this agent. The ephemeral private key is the caller's, for an event that is replayed has to
/// make the same bytes: 32 secret random bytes, never used before.
///
/// # Errors
/// `AgentId` where `to` is no usable key; `TooLong` above 65,487 bytes.
pub fn seal(to: &AgentId, prologue: &[u8], text: &[u8], ephemeral: [u8; KEY]) -> Result<Vec<u8>, WireError> {
    let limit = MAX_NOISE - OVERHEAD;
    if text.len() > limit {
        return Err(WireError::TooLong { length: text.len(), limit });
    }
    let remote = noise_public(to)?;
    let mut noise = noise::begin(Pattern::N, None, Some(&remote), prologue, Ephemeral::Given(ephemeral))?;
    let mut sealed = vec![0; text.len() + OVERHEAD];
    let length = noise.write_message(text, &mut sealed).map_err(noise::internal)?;
    sealed.truncate(length);
    Ok(sealed)
}

/// Opens what was sealed for this identity with the same prologue; `None` where it was not.
pub fn unseal(identity: &Identity, prologue: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    if sealed.len() > MAX_NOISE {
        return None;
    }
    let mut noise = noise::answer(Pattern::N, identity, None, prologue, Ephemeral::Fresh).ok()?;
    let mut text = vec![0; sealed.len()];
    let length = noise.read_message(sealed, &mut text).ok()?;
    text.truncate(length);
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bob() -> Identity {
        Identity::from_seed(&[2; KEY])
    }

    #[test]
    fn the_agent_it_is_for_alone_reads_it_and_with_the_same_prologue_alone() {
        let sealed = seal(bob().agent(), b"lift 1", b"{\"pay\":true}", [9; KEY]).unwrap();
        assert_eq!(sealed.len(), 12 + OVERHEAD);
        assert_eq!(unseal(&bob(), b"lift 1", &sealed).as_deref(), Some(b"{\"pay\":true}".as_slice()));
        assert_eq!(unseal(&bob(), b"lift 2", &sealed), None);
        assert_eq!(unseal(&Identity::from_seed(&[3; KEY]), b"lift 1", &sealed), None);
    }

    #[test]
    fn each_changed_bit_and_each_missing_byte_closes_it() {
        let sealed = seal(bob().agent(), b"p", b"text", [9; KEY]).unwrap();
        for place in 0..sealed.len() {
            let mut other = sealed.clone();
            other[place] ^= 1;
            assert_eq!(unseal(&bob(), b"p", &other), None, "byte {place}");
            assert_eq!(unseal(&bob(), b"p", &sealed[..place]), None, "{place} bytes");
        }
        assert_eq!(unseal(&bob(), b"p", &vec![0; MAX_NOISE + 1]), None);
    }

    #[test]
    fn the_same_ephemeral_key_makes_the_same_bytes_and_another_one_others() {
        let made = |key| seal(bob().agent(), b"p", b"text", [key; KEY]).unwrap();
        assert_eq!(made(9), made(9));
        assert_ne!(made(9), made(8));
    }

    #[test]
    fn what_does_not_fit_and_keys_that_are_none_are_refused() {
        let large = vec![0; MAX_NOISE];
        let error = seal(bob().agent(), b"p", &large, [9; KEY]).unwrap_err();
        assert_eq!(error, WireError::TooLong { length: MAX_NOISE, limit: MAX_NOISE - OVERHEAD });
        assert_eq!(seal(&AgentId("x".to_owned()), b"p", b"", [9; KEY]).unwrap_err(), WireError::AgentId);
    }
}
