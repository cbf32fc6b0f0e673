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

    /// What may be acknowledged. `also` lists the latest ids above the first one held; a peer that
    /// does not hear of the earlier ones sends them again and is told then.
    pub fn receipt(&self, recent: &[u64]) -> Receipt {
        match self.held.first() {
            None => Receipt { upto: self.high, also: Vec::new() },
            Some(first) => {
                let also = recent.iter().copied().filter(|mid| mid > first && !self.held.contains(mid)).collect();
                Receipt { upto: first.saturating_sub(1), also }
            }
        }
    }
}

/// All peers, read when first needed, written once a batch.
#[derive(Debug, Default)]
pub struct Windows {
    known: HashMap<AgentId, Applied>,
    touched: HashMap<AgentId, Vec<u64>>,
}

impl Windows {
    /// Peers remembered in memory; beyond this, those that are quiet are read again when they speak.
    const KNOWN: usize = 10_000;

    /// The state of one peer, marked as touched by the message `mid`.
    ///
    /// # Errors
    /// The store's.
    pub fn touch(
        &mut self,
        transaction: &mut dyn Transaction,
        agent: &AgentId,
        mid: u64,
    ) -> Result<&mut Applied, StoreError> {
        match self.touched.get_mut(agent) {
            Some(mids) => mids.push(mid),
            None => drop(self.touched.insert(agent.clone(), vec![mid])),
        }
        if !self.known.contains_key(agent) {
            let applied = match transaction.get(TABLE, agent.0.as_bytes())? {
                None => Applied::default(),
                Some(bytes) => ciborium::from_reader(bytes.as_slice())
                    .map_err(|error| StoreError::Engine(format!("received ids of {}: {error}", agent.0)))?,
            };
            self.known.insert(agent.clone(), applied);
        }
        Ok(self.known.get_mut(agent).expect("put there just above"))
    }

    /// Writes what was touched; the receipts owed.
    ///
    /// # Errors
    /// The store's.
    pub fn write(&self, transaction: &mut dyn Transaction) -> Result<Vec<(AgentId, Receipt)>, StoreError> {
        let mut receipts = Vec::with_capacity(self.touched.len());
        for (agent, recent) in &self.touched {
            let applied = &self.known[agent];
            let mut bytes = Vec::new();
            ciborium::into_writer(applied, &mut bytes).expect("numbers can be written to memory");
            transaction.put(TABLE, agent.0.as_bytes(), &bytes)?;
            receipts.push((agent.clone(), applied.receipt(recent)));
        }
        Ok(receipts)
    }

    /// The batch is durable.
    pub fn commit(&mut self) {
        self.touched.clear();
        if self.known.len() > Self::KNOWN {
            self.known.clear();
        }
    }

    /// The batch is not: what it touched is read again when needed.
    pub fn roll_back(&mut self) {
        for (agent, _) in self.touched.drain() {
            self.known.remove(&agent);
        }
    }
}
