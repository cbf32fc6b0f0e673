//! Envelopes whose sender and recipient have been checked (PROTOCOL 3.1 checks 3 and 4).
//!
//! Checks 2, 5 and 6 need tables of the host and of handlers, and are made there.

use super::Envelope;
use crate::wire::error::WireError;
use std::ops::Deref;
use tallyho_plugin::record::AgentId;

/// A message whose `from.agent` is the agent that the channel proved, and whose `to.agent` is ours. Only
/// [`authenticate`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Authenticated<T>(T);

/// A message that came on a channel which proves nothing about its sender (`R`), with `to.agent` ours.
/// `from` is hearsay: only signatures in the message count. Only [`unproven`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Unproven<T>(T);

/// Makes checks 3 and 4. `proven` is the agent that the channel's handshake proved, `ours` this site's
/// (both the same for a message that stays within the site).
///
/// # Errors
/// `ForgedFrom`, `NotForUs`: drop the message, keep the channel.
pub fn authenticate(
    envelope: Envelope,
    proven: &AgentId,
    ours: &AgentId,
) -> Result<Authenticated<Envelope>, WireError> {
    if envelope.from.agent != *proven {
        return Err(WireError::ForgedFrom);
    }
    for_us(envelope, ours).map(Authenticated)
}

/// Makes check 4 alone, for a message of an NK channel.
///
/// # Errors
/// `NotForUs`: drop the message, keep the channel.
pub fn unproven(envelope: Envelope, ours: &AgentId) -> Result<Unproven<Envelope>, WireError> {
    for_us(envelope, ours).map(Unproven)
}

fn for_us(envelope: Envelope, ours: &AgentId) -> Result<Envelope, WireError> {
    if envelope.to.agent == *ours { Ok(envelope) } else { Err(WireError::NotForUs) }
}

impl<T> Authenticated<T> {
    /// The message, without its proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Unproven<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Authenticated<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for Unproven<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
