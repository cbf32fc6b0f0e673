//! The side that is called.

use super::OVERHEAD;
use crate::wire::error::WireError;
use crate::wire::frame::Kind;
use crate::wire::keys::{Identity, noise_public};
use crate::wire::limits::{KEY, MAX_ANSWER, MAX_OPENING_MESSAGE};
use crate::wire::noise::{self, Ephemeral, Pattern};
use crate::wire::transport::Open;
use snow::HandshakeState;
use std::fmt;
use tallyho_plugin::record::AgentId;

/// Accepted a connection, nothing received.
#[derive(Debug, Default)]
pub struct Listening {
    ephemeral: Ephemeral,
}

/// What a first packet turned out to be.
#[derive(Debug)]
pub enum Opening {
    /// `I`: somebody presents a ticket.
    Ticket(TicketOffered),
    /// `N`: somebody says which agent it is; `K` must follow.
    Claim(AwaitingK),
    /// `R`: somebody unknown asks the public lift service.
    Public(PublicOffered),
}

impl Listening {
    /// A fresh connection.
    pub fn new() -> Self {
        Self::default()
    }

    #[cfg(test)]
    pub(in crate::wire) fn with(ephemeral: Ephemeral) -> Self {
        Listening { ephemeral }
    }

    /// Takes the first packet. Costs two to three Diffie-Hellman computations: look the packet up in
    /// a [`ReplayMemory`](super::ReplayMemory) before.
    ///
    /// # Errors
    /// `WrongKind`; `Handshake`; `OpeningTooLong`; `Claim` where `N` names no agent.
    pub fn receive(self, identity: &Identity, kind: Kind, body: &[u8]) -> Result<Opening, WireError> {
        let respond = |pattern| noise::respond(pattern, identity, None, self.ephemeral);
        match kind {
            Kind::I => {
                let mut noise = respond(Pattern::IK)?;
                let payload = read_opening(&mut noise, kind, body)?;
                let key = noise.get_remote_static().and_then(|key| key.try_into().ok());
                let key = key.ok_or(WireError::Internal("IK without static key"))?;
                Ok(Opening::Ticket(TicketOffered { noise, payload, key }))
            }
            Kind::N => {
                let claim = noise::read(&mut *respond(Pattern::N)?, kind, body)?;
                let claimed: String = serde_json::from_slice(&claim).map_err(|_| WireError::Claim)?;
                let claimed = AgentId(claimed);
                let key = noise_public(&claimed).map_err(|_| WireError::Claim)?;
                Ok(Opening::Claim(AwaitingK { claimed, key, ephemeral: self.ephemeral }))
            }
            Kind::R => {
                let mut noise = respond(Pattern::NK)?;
                let payload = read_opening(&mut noise, kind, body)?;
                Ok(Opening::Public(PublicOffered { noise, payload }))
            }
            got => Err(WireError::WrongKind { got, wanted: "I, N or R" }),
        }
    }
}

/// A ticket message that opens; its sender holds the static key [`proven_key`](Self::proven_key).
pub struct TicketOffered {
    noise: Box<HandshakeState>,
    payload: Vec<u8>,
    key: [u8; KEY],
}

impl TicketOffered {
    /// The ticket message, unparsed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The X25519 key that the handshake proved.
    pub fn proven_key(&self) -> &[u8; KEY] {
        &self.key
    }

    /// Whether the handshake proved this agent (PROTOCOL 2.4 step 3).
    pub fn proves(&self, agent: &AgentId) -> bool {
        noise_public(agent).is_ok_and(|key| key == self.key)
    }

    /// Answers; only when the ticket's effects are durable (PROTOCOL 2.4 step 6). `answer` is empty or
    /// what [`Extensions::answer`](crate::wire::Extensions::answer) gives. Returns the frame to write.
    ///
    /// # Errors
    /// `TooLong`; `Internal` without random bytes.
    pub fn accept(self, answer: &[u8]) -> Result<(Vec<u8>, Open), WireError> {
        accept(self.noise, answer)
    }
}

/// `N` has named an agent: a claim until `K` decrypts (PROTOCOL A.3).
#[derive(Debug)]
pub struct AwaitingK {
    claimed: AgentId,
    key: [u8; KEY],
    ephemeral: Ephemeral,
}

impl AwaitingK {
    /// Who the initiator says it is.
    pub fn claimed(&self) -> &AgentId {
        &self.claimed
    }

    /// Takes `K`, which proves the claim.
    ///
    /// # Errors
    /// `WrongKind`; `Handshake` where the claim is false; `OpeningTooLong`.
    pub fn receive(self, identity: &Identity, kind: Kind, body: &[u8]) -> Result<KnownOffered, WireError> {
        if kind != Kind::K {
            return Err(WireError::WrongKind { got: kind, wanted: "K" });
        }
        let mut noise = noise::respond(Pattern::KK, identity, Some(&self.key), self.ephemeral)?;
        let payload = read_opening(&mut noise, kind, body)?;
        Ok(KnownOffered { noise, payload, agent: self.claimed })
    }
}

/// A first message from a proven agent; whether it may talk to us is PROTOCOL 1.5.
pub struct KnownOffered {
    noise: Box<HandshakeState>,
    payload: Vec<u8>,
    agent: AgentId,
}

impl KnownOffered {
    /// The agent that the handshake proved.
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The first message, unparsed; may be empty.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Answers; see [`TicketOffered::accept`].
    ///
    /// # Errors
    /// `TooLong`; `Internal` without random bytes.
    pub fn accept(self, answer: &[u8]) -> Result<(Vec<u8>, Open), WireError> {
        accept(self.noise, answer)
    }
}

/// A first message from nobody in particular; only signatures in it count (PROTOCOL 3.1 check 3).
pub struct PublicOffered {
    noise: Box<HandshakeState>,
    payload: Vec<u8>,
}

impl PublicOffered {
    /// The first message, unparsed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Answers; see [`TicketOffered::accept`].
    ///
    /// # Errors
    /// `TooLong`; `Internal` without random bytes.
    pub fn accept(self, answer: &[u8]) -> Result<(Vec<u8>, Open), WireError> {
        accept(self.noise, answer)
    }
}

fn read_opening(noise: &mut HandshakeState, kind: Kind, body: &[u8]) -> Result<Vec<u8>, WireError> {
    let payload = noise::read(noise, kind, body)?;
    if payload.len() > MAX_OPENING_MESSAGE {
        return Err(WireError::OpeningTooLong(payload.len()));
    }
    Ok(payload)
}

fn accept(mut noise: Box<HandshakeState>, answer: &[u8]) -> Result<(Vec<u8>, Open), WireError> {
    if answer.len() > MAX_ANSWER {
        return Err(WireError::TooLong { length: answer.len(), limit: MAX_ANSWER });
    }
    let mut out = Vec::new();
    noise::write(&mut noise, Kind::A, answer, OVERHEAD, &mut out)?;
    Ok((out, Open::responder(&mut noise)))
}

impl fmt::Debug for TicketOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketOffered").field("payload", &self.payload.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for KnownOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, payload, .. } = self;
        f.debug_struct("KnownOffered").field("agent", agent).field("payload", &payload.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PublicOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicOffered").field("payload", &self.payload.len()).finish_non_exhaustive()
    }
}
