//! Effects written into the journal, so that a replay finds each event's tables as they were.
//!
//! Nothing is recorded unless it is asked for, by a snapshot of the store; and no longer than the journal goes
//! back, after which the snapshot is of no use for a replay.

use super::difference::{Made, Writes};
use super::limits::RECORDED_BYTES;
use super::signed::Signed;
use crate::store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tallyho_plugin::Fault;
use tallyho_plugin::services::{Range, Row};

/// Host's tables that no handler can see, and that say nothing to a replay.
const UNSEEN: [&str; 5] = ["host.journal", "host.next", "host.notices", "host.inbound", "host.quarantine"];

/// A row as it is left: table, key, value (`None`: deleted).
pub type Write = (String, ByteBuf, Option<ByteBuf>);

/// What an entry of the journal has besides, while it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The host's own writes since the entry before.
    pub before: Vec<Write>,
    /// What the handler wrote.
    pub writes: Vec<Write>,
    /// Notices it gave.
    pub notices: Vec<Value>,
    /// Its answer as CBOR.
    pub answer: Option<ByteBuf>,
    /// Or why the event had no effect.
    pub fault: Option<Fault>,
    /// What was signed for it.
    pub signed: Signed,
}

impl Recorded {
    /// The event's effects, to be compared with a candidate's.
    pub fn made(&self) -> Made {
        let mut writes = Writes::new();
        for (table, key, value) in &self.writes {
            let row = writes.entry(table.clone()).or_default();
            row.insert(key.to_vec(), value.as_ref().map(|value| value.to_vec()));
        }
        let result = match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(self.answer.as_ref().map(|answer| answer.to_vec()).unwrap_or_default()),
        };
        Made { writes, notices: self.notices.clone(), result }
    }

    fn bytes(&self) -> usize {
        let row = |(table, key, value): &Write| table.len() + key.len() + value.as_ref().map_or(0, |value| value.len());
        self.before.iter().chain(&self.writes).map(row).sum()
    }
}

/// All writes of the transactions it listens to, in order.
#[derive(Debug, Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<Write>>>);

impl Tape {
    /// A tape that begins with these.
    pub fn after(writes: Vec<Write>) -> Self {
        Tape(Arc::new(Mutex::new(writes)))
    }

    /// Takes what is on it.
    pub fn take(&self) -> Vec<Write> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, table: &str, key: &[u8], value: Option<&[u8]>) {
        if !UNSEEN.contains(&table) {
            let write = (table.to_owned(), ByteBuf::from(key), value.map(ByteBuf::from));
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write);
        }
    }

    /// What is recorded of an event whose effects, and nothing else, have been written since `before` was taken.
    /// What came along with them, a ticket's consumption for one, is the host's and comes before the next event.
    /// `None`: it is too much.
    pub fn recorded(&self, before: Vec<Write>, made: &Made, signed: Signed) -> Option<Recorded> {
        let kept = self.take();
        let own = |table: &str, key: &ByteBuf, value: &Option<ByteBuf>| {
            made.writes
                .get(table)
                .and_then(|rows| rows.get(key.as_slice()))
                .is_some_and(|own| own.as_deref() == value.as_ref().map(|value| value.as_slice()))
        };
        let (writes, along): (Vec<_>, Vec<_>) = match made.result {
            Ok(_) => kept.into_iter().partition(|(table, key, value)| own(table, key, value)),
            Err(_) => (Vec::new(), kept),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(along);
        let (answer, fault) = match made.result.clone() {
            Ok(answer) => (Some(ByteBuf::from(answer)), None),
            Err(fault) => (None, Some(fault)),
        };
        let recorded = Recorded { before, writes, notices: made.notices.clone(), answer, fault, signed };
        (recorded.bytes() <= RECORDED_BYTES).then_some(recorded)
    }
}

/// A transaction whose writes are put on a tape.
pub struct Taped<'t> {
    /// The transaction.
    pub transaction: &'t mut (dyn Transaction + 't),
    /// The tape.
    pub tape: Tape,
}

impl Transaction for Taped<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.transaction.get(table, key)
    }
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        self.transaction.scan(table, range)
    }
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.tape.add(table, key, Some(value));
        self.transaction.put(table, key, value)
    }
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        self.tape.add(table, key, None);
        self.transaction.delete(table, key)
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Err(StoreError::Engine("a transaction on loan is committed by its owner".to_owned()))
    }
}

/// Plays writes back.
///
/// # Errors
/// The store's.
pub fn play(writes: &[Write], transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    writes.iter().try_for_each(|(table, key, value)| match value {
        Some(value) => transaction.put(table, key, value),
        None => transaction.delete(table, key),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{MemoryStore, Store};
    use std::collections::BTreeMap;

    fn made(rows: &[(&[u8], &[u8])]) -> Made {
        let rows: BTreeMap<_, _> = rows.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect();
        Made { writes: Writes::from([("r0.rows".to_owned(), rows)]), notices: Vec::new(), result: Ok(vec![1]) }
    }

    #[test]
    fn an_events_own_writes_are_told_from_those_of_the_host_before_and_along_with_them() {
        let mut store = MemoryStore::new();
        let (tape, mut transaction) = (Tape::default(), store.begin().unwrap());
        let mut taped = Taped { transaction: &mut *transaction, tape: tape.clone() };
        taped.put("host.outbox", b"row", b"1").unwrap();
        taped.put("host.journal", b"0", b"entry").unwrap();
        let before = tape.take();
        taped.put("r0.rows", b"a", b"1").unwrap();
        taped.put("host.tickets", b"t", b"used").unwrap();
        let recorded = tape.recorded(before, &made(&[(b"a", b"1")]), Signed::default()).unwrap();
        let names = |writes: &[Write]| writes.iter().map(|(table, ..)| table.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&recorded.before), names(&recorded.writes)),
            (vec!["host.outbox".to_owned()], vec!["r0.rows".to_owned()])
        );
        assert_eq!(names(&tape.take()), ["host.tickets"]);
        assert_eq!(recorded.made(), made(&[(b"a", b"1")]));
        drop(transaction);
        let mut other = MemoryStore::new();
        let mut transaction = other.begin().unwrap();
        play(&recorded.writes, &mut *transaction).unwrap();
        assert_eq!(transaction.get("r0.rows", b"a").unwrap().as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn what_is_too_much_is_not_recorded() {
        let tape = Tape::default();
        let large = vec![(String::new(), ByteBuf::from(vec![0; RECORDED_BYTES + 1]), None)];
        assert!(tape.recorded(large, &made(&[]), Signed::default()).is_none());
    }
}
