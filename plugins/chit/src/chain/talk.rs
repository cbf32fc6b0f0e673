//! What a half remembers of the talk about its chain, beside the chain itself.

use super::limits;
use serde::{Deserialize, Serialize};
use tallyho_plugin::record::Timestamp;

/// What was said and heard lately. All of it may be lost without harm: the talk is then longer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Talk {
    /// The partner's `conf`, as it last said.
    pub theirs: Option<u64>,
    /// First link of what was last sent.
    pub sent_from: u64,
    /// First links of the lists sent last, rising.
    pub lists: Vec<u64>,
    /// Since when the chains are not known to be equal.
    pub behind_since: Timestamp,
    /// A `req` of ours went out then and has no answer (PROTOCOL 6.3, S4).
    pub asked: Option<Timestamp>,
    /// Since when displaced links that had just been sent wait for the foil's order: it has them too.
    pub held: Option<Timestamp>,
    /// Chits answered with `nak` that are still not valid here (PROTOCOL 6.4 G1, 6.8).
    pub refused: Vec<String>,
    /// The lowest index at which the partner's chain has one of them.
    pub refused_at: Option<u64>,
    /// The `nak` answered last, and our end then (PROTOCOL 6.5, 6.6).
    pub nak: Option<Nak>,
}

/// A `nak` that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nak {
    /// The index it named.
    pub index: u64,
    /// The hash it named.
    pub hash: Option<String>,
    /// Our end when we answered.
    pub end: u64,
}

impl Talk {
    /// Nothing worth keeping.
    pub fn is_empty(&self) -> bool {
        *self == Talk::default()
    }

    /// Remembers a chit answered with `nak`; whether it is a new one.
    pub fn refuse(&mut self, chit: &str, index: u64) -> bool {
        self.refused_at = Some(self.refused_at.map_or(index, |at| at.min(index)));
        if self.refused.iter().any(|refused| refused == chit) {
            return false;
        }
        if self.refused.len() >= limits::REFUSED {
            self.refused.remove(0);
        }
        self.refused.push(chit.to_owned());
        true
    }

    /// Notes that lists with these first links, in rising order and from `from` on, are sent. Those sent before of
    /// which they take the place: if they still wait, they would only be in the way.
    pub fn list(&mut self, from: u64, firsts: impl Iterator<Item = u64>) -> Vec<u64> {
        let firsts: Vec<u64> = firsts.collect();
        let mut older = self.lists.split_off(self.lists.partition_point(|first| *first < from));
        older.retain(|first| !firsts.contains(first));
        self.lists.extend(firsts);
        let forgotten = self.lists.len().saturating_sub(limits::LISTS);
        self.lists.drain(..forgotten);
        older
    }

    /// The chains are equal up to here: what was refused below is not in the way any more, and lists have arrived.
    pub fn agreed(&mut self, index: u64) {
        self.lists.retain(|first| *first > index);
        if self.refused_at.is_some_and(|at| at <= index) {
            self.refused_at = None;
        }
    }
}
