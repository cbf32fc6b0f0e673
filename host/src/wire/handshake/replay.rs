//! Memory of recent opening packets, against their replay (PROTOCOL A.3).

use crate::wire::frame::Kind;
use crate::wire::limits::{KEY, REPLAY_MEMORY};
use std::collections::{HashSet, VecDeque};

/// The initiator's ephemeral public key of an opening packet: the first 32 bytes of `I`, `K` and `R`.
/// `None` for other kinds and shorter bodies. (`N` needs no memory of its own: without its `K` it
/// opens nothing.)
pub fn opening_ephemeral(kind: Kind, body: &[u8]) -> Option<[u8; KEY]> {
    match kind {
        Kind::I | Kind::K | Kind::R => body.first_chunk().copied(),
        _ => None,
    }
}

/// The ephemeral keys of the last opening packets that opened, oldest out.
///
/// Ask [`knows`](Self::knows) before the handshake (a lookup instead of a computation), and
/// [`remember`](Self::remember) after it: were keys remembered before, garbage could push out the real ones.
#[derive(Debug)]
pub struct ReplayMemory {
    limit: usize,
    order: VecDeque<[u8; KEY]>,
    keys: HashSet<[u8; KEY]>,
}

impl ReplayMemory {
    /// A memory of [`REPLAY_MEMORY`] keys; it grows only as they come.
    pub fn new() -> Self {
        Self::with_limit(REPLAY_MEMORY)
    }

    /// A memory of at most `limit` keys, at least one.
    pub fn with_limit(limit: usize) -> Self {
        ReplayMemory { limit: limit.max(1), order: VecDeque::new(), keys: HashSet::new() }
    }

    /// Whether this key has come before.
    pub fn knows(&self, ephemeral: &[u8; KEY]) -> bool {
        self.keys.contains(ephemeral)
    }

    /// Keeps a key; `false` where it has come before: refuse the packet. Of two copies racing
    /// through their handshakes only one gets `true`.
    #[must_use]
    pub fn remember(&mut self, ephemeral: [u8; KEY]) -> bool {
        if !self.keys.insert(ephemeral) {
            return false;
        }
        if self.order.len() == self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.order.push_back(ephemeral);
        true
    }

    /// Keys remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl Default for ReplayMemory {
    fn default() -> Self {
        Self::new()
    }
}
