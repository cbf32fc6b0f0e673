//! Strikes and bans by address (PROTOCOL 2.5, O-11).
//!
//! An address is struck for each opening packet that proves nothing. Five strikes within a minute
//! ban it for ten. Time is handed in, so that tests need no clock.
//!
//! Each strike is one log line, in a form that the filter under `examples/fail2ban` reads; it is part
//! of what other programs rely on. Its words are fixed ones of this program: nothing a peer sent
//! stands in it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tallyho_plugin::record::Timestamp;

use super::limits::{BAN, STRIKE_WINDOW, STRIKES, STRUCK_ADDRESSES};

/// Log target of the lines about strikes and bans.
pub const LOG_TARGET: &str = "tallyho::strikes";

/// Strikes and bans of a site. In memory only: a restart forgives.
#[derive(Debug, Default)]
pub struct Bans {
    networks: HashMap<Network, Struck>,
    capacity: Option<usize>,
}

/// A ban in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The address, or for IPv6 the network of 64 bits that one subscriber has: `2001:db8::/64`.
    pub address: String,
    /// Its end.
    pub until: Timestamp,
}

/// What one strike brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// Noted.
    Counted,
    /// The address is banned from now until this instant.
    Banned(Timestamp),
}

/// What is counted together: an IPv4 address, or the IPv6 network of 64 bits that one subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Network {
    V4(Ipv4Addr),
    /// The upper 64 bits.
    V6(u64),
}

#[derive(Debug, Clone, Copy)]
struct Struck {
    /// The last strikes, oldest first; the first `count` hold.
    times: [Timestamp; STRIKES],
    count: usize,
    banned_until: Option<Timestamp>,
}

impl Bans {
    /// No strikes, no bans.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a strike, and writes the log line. `reason` is one of this program's own words, small
    /// letters and dashes, such as `ticket-unknown`.
    pub fn strike(&mut self, address: IpAddr, reason: &str, now: Timestamp) -> Strike {
        log::warn!(target: LOG_TARGET, "{}", strike_line(address, reason));
        let strike = self.count(Network::of(address), now);
        if let Strike::Banned(until) = strike {
            log::warn!(target: LOG_TARGET, "ban {} until {}", Network::of(address), until);
        }
        strike
    }

    /// Until when new connections from this address are refused, if they are.
    pub fn banned(&self, address: IpAddr, now: Timestamp) -> Option<Timestamp> {
        self.networks.get(&Network::of(address)).and_then(|struck| struck.ban(now))
    }

    /// The bans in force, the longest first.
    pub fn list(&self, now: Timestamp) -> Vec<Ban> {
        let bans = self.networks.iter().filter_map(|(network, struck)| Some((struck.ban(now)?, network)));
        let mut bans: Vec<_> = bans.collect();
        bans.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
        bans.into_iter().map(|(until, network)| Ban { address: network.to_string(), until }).collect()
    }

    /// Forgets an address's strikes and ban; whether there was a ban. Takes an address, or a network
    /// as [`Ban::address`] writes it.
    ///
    /// # Errors
    /// What the text should have been.
    pub fn clear(&mut self, text: &str, now: Timestamp) -> Result<bool, NoAddress> {
        let address = text.strip_suffix("/64").unwrap_or(text);
        let address: IpAddr = address.parse().map_err(|_| NoAddress(text.to_owned()))?;
        Ok(self.networks.remove(&Network::of(address)).is_some_and(|struck| struck.ban(now).is_some()))
    }

    fn count(&mut self, network: Network, now: Timestamp) -> Strike {
        if !self.networks.contains_key(&network) {
            self.make_room(now);
        }
        let struck =
            self.networks.entry(network).or_insert(Struck { times: [now; STRIKES], count: 0, banned_until: None });
        if struck.count == STRIKES {
            struck.times.rotate_left(1);
            struck.count -= 1;
        }
        struck.times[struck.count] = now;
        struck.count += 1;
        let already = struck.ban(now).is_some();
        // A clock set back makes the difference negative; those strikes then count as recent.
        if !already && struck.count == STRIKES && now.0.saturating_sub(struck.times[0].0) <= STRIKE_WINDOW {
            let until = now.plus(BAN);
            struck.banned_until = Some(until);
            struck.count = 0; // after the ban the count begins anew
            return Strike::Banned(until);
        }
        Strike::Counted
    }

    /// Keeps the table within its bound: what no longer counts goes first, then the quarter that was
    /// struck longest ago, bans last. Amortised over the quarter, a strike costs no scan.
    fn make_room(&mut self, now: Timestamp) {
        let capacity = self.capacity.unwrap_or(STRUCK_ADDRESSES);
        if self.networks.len() < capacity {
            return;
        }
        self.networks.retain(|_, struck| struck.counts(now));
        let keep = capacity - capacity.div_ceil(4);
        if self.networks.len() <= keep {
            return;
        }
        let rank = |struck: &Struck| (struck.ban(now), struck.last());
        let mut by_rank: Vec<_> = self.networks.iter().map(|(network, struck)| (rank(struck), *network)).collect();
        by_rank.sort_unstable();
        for (_, network) in by_rank.drain(..by_rank.len() - keep) {
            self.networks.remove(&network);
        }
    }
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: expected one that `ban list` shows, such as 192.0.2.1 or 2001:db8::/64")]
pub struct NoAddress(pub String);

/// The log line of one strike, without the logger's own parts.
pub fn strike_line(address: IpAddr, reason: &str) -> String {
    debug_assert!(reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{reason:?}");
    format!("strike from {}: {reason}", address.to_canonical())
}

impl Struck {
    /// The end of the ban in force. A clock set back does not make a ban longer than it was given.
    fn ban(&self, now: Timestamp) -> Option<Timestamp> {
        self.banned_until.filter(|until| now < *until && until.0.saturating_sub(now.0) <= BAN)
    }

    fn counts(&self, now: Timestamp) -> bool {
        self.ban(now).is_some() || (self.count > 0 && now.0.saturating_sub(self.last().0) <= STRIKE_WINDOW)
    }

    fn last(&self) -> Timestamp {
        self.times[self.count.saturating_sub(1)]
    }
}

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Network::V4(address),
            IpAddr::V6(address) => Network::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Network::V4(address) => address.fmt(out),
            Network::V6(upper) => write!(out, "{}/64", Ipv6Addr::from_bits(u128::from(*upper) << 64)),
        }
    }
}

#[cfg(test)]
#[path = "bans_tests.rs"]
mod tests;
