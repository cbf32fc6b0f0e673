//! The side that dials.

use super::{OVERHEAD, OVERHEAD_I};
use crate::wire::error::WireError;
use crate::wire::frame::Kind;
use crate::wire::keys::{Identity, noise_public};
use crate::wire::limits::MAX_OPENING_MESSAGE;
use crate::wire::noise::{self, Ephemeral, Pattern};
use crate::wire::transport::{KeyOrder, Open};
use snow::HandshakeState;
use std::fmt;
use tallyho_plugin::record::AgentId;

/// Dialled; the answer will show that the responder is who was dialled. Messages handed over
/// meanwhile wait with the caller (PROTOCOL A.3).
pub struct AwaitingA {
    noise: Box<HandshakeState>,
}

/// Opens with a ticket: the bytes to write (`I`), and what to do with the answer. `payload` is the
/// ticket message (PROTOCOL 2.3), at most 65,439 bytes.
///
/// # Errors
/// `AgentId` where `remote` is no usable key; `TooLong`.
pub fn dial_ticket(identity: &Identity, remote: &AgentId, payload: &[u8]) -> Result<(Vec<u8>, AwaitingA), WireError> {
    dial_with(Pattern::IK, identity, remote, payload, Ephemeral::Fresh)
}

/// Opens towards an agent with which a tally is shared: the bytes of `N` and `K`, to be written
/// together. `payload` is the first message, at most 65,439 bytes; it may be empty.
///
/// # Errors
/// `AgentId` where `remote` is no usable key; `TooLong`.
pub fn dial_known(identity: &Identity, remote: &AgentId, payload: &[u8]) -> Result<(Vec<u8>, AwaitingA), WireError> {
    dial_known_with(identity, remote, payload, [Ephemeral::Fresh; 2])
}

/// Opens as nobody in particular, for the public lift service: the bytes of `R` (PROTOCOL 1.5).
/// `payload` is the first message, at most 65,439 bytes.
///
/// # Errors
/// `AgentId` where `remote` is no usable key; `TooLong`.
pub fn dial_public(remote: &AgentId, payload: &[u8]) -> Result<(Vec<u8>, AwaitingA), WireError> {
    check_length(payload)?;
    let mut out = Vec::new();
    let noise = open(Pattern::NK, None, &noise_public(remote)?, payload, Ephemeral::Fresh, &mut out)?;
    Ok((out, AwaitingA { noise }))
}

impl AwaitingA {
    /// Takes the answer: the open channel, and the payload of `A` (empty, or PROTOCOL A.4). The channel
    /// begins in the Noise order of keys; see [`Open::settle`] for a peer that needs the other.
    ///
    /// # Errors
    /// `WrongKind`, or `Handshake` where the answer is not from the agent that was dialled.
    pub fn receive(mut self, kind: Kind, body: &[u8]) -> Result<(Open, Vec<u8>), WireError> {
        if kind != Kind::A {
            return Err(WireError::WrongKind { got: kind, wanted: "A" });
        }
        let payload = noise::read(&mut self.noise, kind, body)?;
        let mut open = Open::initiator(&mut self.noise);
        open.settle(KeyOrder::Noise);
        Ok((open, payload))
    }
}

impl fmt::Debug for AwaitingA {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitingA").finish_non_exhaustive()
    }
}

pub(in crate::wire) fn dial_with(
    pattern: Pattern,
    identity: &Identity,
    remote: &AgentId,
    payload: &[u8],
    ephemeral: Ephemeral,
) -> Result<(Vec<u8>, AwaitingA), WireError> {
    check_length(payload)?;
    let mut out = Vec::new();
    let noise = open(pattern, Some(identity), &noise_public(remote)?, payload, ephemeral, &mut out)?;
    Ok((out, AwaitingA { noise }))
}

pub(in crate::wire) fn dial_known_with(
    identity: &Identity,
    remote: &AgentId,
    payload: &[u8],
    [announcement, request]: [Ephemeral; 2],
) -> Result<(Vec<u8>, AwaitingA), WireError> {
    check_length(payload)?;
    let remote = noise_public(remote)?;
    let claim = format!("\"{}\"", identity.agent().0);
    let mut out = Vec::new();
    open(Pattern::N, None, &remote, claim.as_bytes(), announcement, &mut out)?;
    let noise = open(Pattern::KK, Some(identity), &remote, payload, request, &mut out)?;
    Ok((out, AwaitingA { noise }))
}

fn open(
    pattern: Pattern,
    identity: Option<&Identity>,
    remote: &[u8; 32],
    payload: &[u8],
    ephemeral: Ephemeral,
    out: &mut Vec<u8>,
) -> Result<Box<HandshakeState>, WireError> {
    let (kind, overhead) = match pattern {
        Pattern::IK => (Kind::I, OVERHEAD_I),
        Pattern::KK => (Kind::K, OVERHEAD),
        Pattern::N => (Kind::N, OVERHEAD),
        Pattern::NK => (Kind::R, OVERHEAD),
    };
    let mut noise = noise::initiate(pattern, identity, remote, ephemeral)?;
    noise::write(&mut noise, kind, payload, overhead, out)?;
    Ok(noise)
}

fn check_length(payload: &[u8]) -> Result<(), WireError> {
    if payload.len() > MAX_OPENING_MESSAGE {
        return Err(WireError::TooLong { length: payload.len(), limit: MAX_OPENING_MESSAGE });
    }
    Ok(())
}
