//! Which of a peer's messages have been applied (PROTOCOL A.4, `receipt`).
//!
//! A peer sends its messages in the order of their ids and, on a new channel, begins again with the
//! lowest that has no receipt. So an id at or below the highest one applied has been applied before,
//! unless it is among those held back (their plugin did not serve).

use super::limits::HELD_MIDS;
use crate::store::{StoreError, Transaction};
use crate::wire::ext::Receipt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use tallyho_plugin::record::AgentId;
use tallyho_plugin::services::Range;

const TABLE: &str = "host.inbound";

/// What is known of one peer's ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The highest id seen.
    high: u64,
    /// Ids up to it that have not been applied.
    held: BTreeSet<u64>,
}

/// What to do with a message of this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Apply it.
    New,
    /// It has been applied before.
    Again,
}

impl Applied {
    /// Whether this id has been applied.
    pub fn verdict(&self, mid: u64) -> Verdict {
        if mid <= self.high && !self.held.contains(&mid) { Verdict::Again } else { Verdict::New }
    }

    /// The message of this id has been applied.
    pub fn apply(&mut self, mid: u64) {
        self.high = self.high.max(mid);
        self.held.remove(&mid);
    }

    /// The message of this id could not be applied now; whether it could be remembered as such.
    pub fn hold(&mut self, mid: u64) -> bool {
        if self.held.len() >= HELD_MIDS && !self.held.contains(&mid) {
            return false;
        }
        self.high = self.high.max(mid);
        self.held.insert(mid);
        true
    }

    /// What may be acknowledged. `recent` ids have been applied; `also` lists those of them above the
    /// first one held. A peer that does not hear of the earlier ones sends them again and is told then.
    pub fn receipt(&self, recent: &[u64]) -> Receipt {
        match self.held.first() {
            None => Receipt { upto: self.high, also: Vec::new() },
            Some(first) => {
                let mut also: Vec<u64> =
                    recent.iter().copied().filter(|mid| mid > first && !self.held.contains(mid)).collect();
                also.sort_unstable();
                also.dedup();
                Receipt { upto: first.saturating_sub(1), also }
            }
        }
    }
}

/// All peers, read when first needed, written once a batch.
#[derive(Debug, Default)]
pub struct Windows {
    places: HashMap<AgentId, usize>,
    known: Vec<Known>,
    /// Places of peers heard in this batch, in that order.
    touched: Vec<usize>,
    /// Of these the place of the last: the next message is mostly of the same peer.
    last: usize,
}

/// A peer.
#[derive(Debug)]
struct Known {
    agent: AgentId,
    applied: Applied,
    /// It was heard in this batch.
    touched: bool,
    /// Ids of this batch that are known to have been applied.
    recent: Vec<u64>,
}

impl Windows {
    /// Peers remembered in memory; beyond this, those that are quiet are read again when they speak.
    const KNOWN: usize = 10_000;

    /// What to do with a message of this id. The peer will be told where it stands.
    ///
    /// # Errors
    /// The store's.
    pub fn verdict(
        &mut self,
        transaction: &mut dyn Transaction,
        agent: &AgentId,
        mid: u64,
    ) -> Result<Verdict, StoreError> {
        let place = match self.place(agent) {
            Some(place) => place,
            None => {
                let applied = match transaction.get(TABLE, agent.0.as_bytes())? {
                    None => Applied::default(),
                    Some(bytes) => ciborium::from_reader(bytes.as_slice())
                        .map_err(|error| StoreError::Engine(format!("received ids of {}: {error}", agent.0)))?,
                };
                self.known.push(Known { agent: agent.clone(), applied, touched: false, recent: Vec::new() });
                self.places.insert(agent.clone(), self.known.len() - 1);
                self.known.len() - 1
            }
        };
        self.last = place;
        let known = &mut self.known[place];
        if !std::mem::replace(&mut known.touched, true) {
            self.touched.push(place);
        }
        let verdict = known.applied.verdict(mid);
        if verdict == Verdict::Again {
            known.recent.push(mid);
        }
        Ok(verdict)
    }

    fn place(&self, agent: &AgentId) -> Option<usize> {
        match self.known.get(self.last) {
            Some(known) if known.agent == *agent => Some(self.last),
            _ => self.places.get(agent).copied(),
        }
    }

    /// The message of this id has been applied. Its verdict has been asked for before.
    pub fn apply(&mut self, agent: &AgentId, mid: u64) {
        if let Some(place) = self.place(agent) {
            self.known[place].applied.apply(mid);
            self.known[place].recent.push(mid);
        }
    }

    /// The message of this id could not be applied now; whether it could be remembered as such. Its
    /// verdict has been asked for before.
    pub fn hold(&mut self, agent: &AgentId, mid: u64) -> bool {
        self.place(agent).is_some_and(|place| self.known[place].applied.hold(mid))
    }

    /// Writes what was touched; the receipts owed.
    ///
    /// # Errors
    /// The store's.
    pub fn write(&self, transaction: &mut dyn Transaction) -> Result<Vec<(AgentId, Receipt)>, StoreError> {
        let mut receipts = Vec::with_capacity(self.touched.len());
        for place in &self.touched {
            let Known { agent, applied, recent, .. } = &self.known[*place];
            let mut bytes = Vec::new();
            ciborium::into_writer(applied, &mut bytes).expect("numbers can be written to memory");
            transaction.put(TABLE, agent.0.as_bytes(), &bytes)?;
            receipts.push((agent.clone(), applied.receipt(recent)));
        }
        Ok(receipts)
    }

    /// The batch is durable.
    pub fn commit(&mut self) {
        if self.known.len() > Self::KNOWN {
            *self = Self::default();
        }
        for place in self.touched.drain(..) {
            self.known[place].touched = false;
            self.known[place].recent.clear();
        }
    }
}

/// Peers whose messages, some of them, could not be applied when they came.
///
/// # Errors
/// The store's.
pub fn held(transaction: &mut dyn Transaction) -> Result<Vec<AgentId>, StoreError> {
    let (mut agents, mut from) = (Vec::new(), Vec::new());
    loop {
        let rows = transaction.scan(TABLE, &Range { from, to: None, reverse: false, limit: 1_000 })?;
        for (agent, bytes) in &rows {
            let applied: Applied = ciborium::from_reader(bytes.as_slice())
                .map_err(|error| StoreError::Engine(format!("received ids: {error}")))?;
            if !applied.held.is_empty() {
                agents.push(AgentId(String::from_utf8_lossy(agent).into_owned()));
            }
        }
        match rows.last() {
            Some((last, _)) => from = [last.as_slice(), &[0]].concat(),
            None => return Ok(agents),
        }
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
