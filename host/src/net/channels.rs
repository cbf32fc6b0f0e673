//! All connections of the site: how many there may be, and which have to go.

use super::channel::{Channel, Role};
use super::courier::ChannelId;
use super::limits::{ASKED_IDLE_MS, DEAD_MS, DIALS, WRITE_STALL_MS};
use crate::ledger::line::Line;
use crate::site::bans::Network;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallyho_plugin::record::Timestamp;

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In all.
    pub connections: usize,
    /// With one address (IPv6: one network of 64 bits).
    pub per_address: usize,
    /// In a handshake.
    pub half_open: usize,
    /// Milliseconds of silence after which a responder closes.
    pub idle_ms: i64,
    /// Milliseconds for each step of a handshake.
    pub handshake_ms: u64,
    /// Channels that strangers have opened.
    pub strangers: usize,
    /// The same from one address.
    pub strangers_per_address: usize,
    /// Requests a minute from one address on public channels.
    pub public_per_minute: u32,
    /// Opening packets remembered, so that a recorded one is refused.
    pub openings: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        use super::limits::{
            CONNECTIONS, CONNECTIONS_PER_ADDRESS, HALF_OPEN, HANDSHAKE_MS, IDLE_MS, OPENINGS, PUBLIC_PER_MINUTE,
            STRANGERS_PER_ADDRESS, STRANGERS_SHARE,
        };
        Bounds {
            connections: CONNECTIONS,
            per_address: CONNECTIONS_PER_ADDRESS,
            half_open: HALF_OPEN,
            idle_ms: IDLE_MS,
            handshake_ms: HANDSHAKE_MS,
            strangers: CONNECTIONS / STRANGERS_SHARE,
            strangers_per_address: STRANGERS_PER_ADDRESS,
            public_per_minute: PUBLIC_PER_MINUTE,
            openings: OPENINGS,
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    half_open: usize,
    by_network: HashMap<Network, usize>,
    strangers: usize,
    strangers_by_network: HashMap<Network, usize>,
}

/// All connections; see the module.
#[derive(Debug)]
pub struct Channels {
    bounds: Bounds,
    counts: Mutex<Counts>,
    open: Mutex<Register>,
    next: AtomicU64,
}

/// The open channels, each found by its name and by whose messages it carries.
#[derive(Debug, Default)]
struct Register {
    by_name: HashMap<ChannelId, Arc<Channel>>,
    /// In the order in which they were opened; no line without one.
    by_line: HashMap<Line, Vec<Arc<Channel>>>,
}

/// A place among the connections, given back when dropped.
#[derive(Debug)]
pub struct Place {
    channels: Arc<Channels>,
    network: Network,
    half_open: bool,
    stranger: bool,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// As many as there may be.
    #[error("as many connections as there may be")]
    Total,
    /// From this address.
    #[error("as many connections from this address as there may be")]
    Address,
    /// Opened by strangers.
    #[error("as many strangers as there may be")]
    Strangers,
    /// In a handshake.
    #[error("as many handshakes at a time as there may be")]
    HalfOpen,
}

impl Channels {
    /// None yet.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        // Channel 0 stands for a dial under way.
        Arc::new(Channels { bounds, counts: Mutex::default(), open: Mutex::default(), next: AtomicU64::new(1) })
    }

    fn open(&self) -> MutexGuard<'_, Register> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from this address, in its handshake.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn place(self: &Arc<Self>, address: IpAddr) -> Result<Place, Crowded> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.bounds.connections {
            return Err(Crowded::Total);
        }
        if counts.half_open >= self.bounds.half_open {
            return Err(Crowded::HalfOpen);
        }
        let network = Network::of(address);
        if counts.by_network.get(&network).copied().unwrap_or(0) >= self.bounds.per_address {
            return Err(Crowded::Address);
        }
        *counts.by_network.entry(network).or_default() += 1;
        counts.total += 1;
        counts.half_open += 1;
        Ok(Place { channels: Arc::clone(self), network, half_open: true, stranger: false })
    }

    /// A place for a connection that this site has dialled and whose handshake is done. Callers, however
    /// many, cannot keep it out: some places above the bound are for these alone.
    ///
    /// # Errors
    /// [`Crowded::Total`].
    pub fn place_dialled(self: &Arc<Self>, address: IpAddr) -> Result<Place, Crowded> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.bounds.connections.saturating_add(DIALS) {
            return Err(Crowded::Total);
        }
        let network = Network::of(address);
        *counts.by_network.entry(network).or_default() += 1;
        counts.total += 1;
        Ok(Place { channels: Arc::clone(self), network, half_open: false, stranger: false })
    }

    /// A name for a channel.
    pub fn name(&self) -> ChannelId {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A channel is open.
    pub fn add(&self, channel: &Arc<Channel>) {
        let mut open = self.open();
        open.by_name.insert(channel.id, Arc::clone(channel));
        if let Some(line) = &channel.line {
            open.by_line.entry(line.clone()).or_default().push(Arc::clone(channel));
        }
    }

    /// A channel has closed.
    pub fn remove(&self, id: ChannelId) {
        let mut open = self.open();
        let Some(line) = open.by_name.remove(&id).and_then(|channel| channel.line.clone()) else { return };
        if let Entry::Occupied(mut with) = open.by_line.entry(line) {
            with.get_mut().retain(|channel| channel.id != id);
            if with.get().is_empty() {
                with.remove();
            }
        }
    }

    /// The channel of this name.
    pub fn get(&self, id: ChannelId) -> Option<Arc<Channel>> {
        self.open().by_name.get(&id).cloned()
    }

    /// Whether there is a channel with this agent, or for this line.
    pub fn has(&self, line: impl Into<Line>) -> bool {
        self.open().by_line.contains_key(&line.into())
    }

    /// All channels with this agent, or for this line, the oldest first.
    pub fn with(&self, line: impl Into<Line>) -> Vec<Arc<Channel>> {
        self.open().by_line.get(&line.into()).cloned().unwrap_or_default()
    }

    /// All.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        self.open().by_name.values().cloned().collect()
    }

    /// Connections, handshakes included.
    pub fn count(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Closes channels that have been silent, or that take nothing, for too long.
    pub fn sweep(&self, now: Timestamp) {
        for channel in self.open().by_name.values() {
            let silent = now.0.saturating_sub(channel.last_heard().0);
            let limit = match channel.role {
                Role::Responder => self.bounds.idle_ms,
                Role::Initiator if channel.is_asking() => ASKED_IDLE_MS.min(self.bounds.idle_ms),
                Role::Initiator => DEAD_MS.max(self.bounds.idle_ms * 3),
            };
            let patience = WRITE_STALL_MS.min(self.bounds.idle_ms);
            let stalled = channel.stalled_since().is_some_and(|since| now.0.saturating_sub(since.0) >= patience);
            if silent >= limit {
                channel.close("idle");
            } else if stalled {
                channel.close("it takes nothing");
            }
        }
    }
}

impl Place {
    /// The handshake is done.
    pub fn established(&mut self) {
        if std::mem::take(&mut self.half_open) {
            self.channels.counts.lock().unwrap_or_else(PoisonError::into_inner).half_open -= 1;
        }
    }
}

impl Place {
    /// It is a stranger's. These have fewer places than there are, so that they cannot keep out those who share
    /// a tally with this site.
    ///
    /// # Errors
    /// [`Crowded::Strangers`].
    pub fn strangers(&mut self) -> Result<(), Crowded> {
        let bounds = self.channels.bounds;
        let mut counts = self.channels.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let from = counts.strangers_by_network.get(&self.network).copied().unwrap_or(0);
        if counts.strangers >= bounds.strangers || from >= bounds.strangers_per_address {
            return Err(Crowded::Strangers);
        }
        counts.strangers += 1;
        *counts.strangers_by_network.entry(self.network).or_default() += 1;
        self.stranger = true;
        Ok(())
    }
}

/// One less; a network without any is forgotten.
fn less(by_network: &mut HashMap<Network, usize>, network: Network) {
    if let Some(from) = by_network.get_mut(&network) {
        *from -= 1;
        if *from == 0 {
            by_network.remove(&network);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.established();
        let mut counts = self.channels.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stranger {
            counts.strangers -= 1;
            less(&mut counts.strangers_by_network, self.network);
        }
        counts.total -= 1;
        less(&mut counts.by_network, self.network);
    }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
