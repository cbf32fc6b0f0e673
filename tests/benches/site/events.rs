//! Durable events of a handler that does nothing: how many a second when many wait, and how long one
//! alone takes until it is committed.
//!
//! Against the bare store: the very rows that the ledger writes for such events, recorded before, put
//! and committed in batches of the ledger's own size.

use crate::figures::{Duel, Effort, Wanted, timed};
use crate::noop::{ACTION, Counter, TARGET};
use crate::responder::{PARTNER, TALLY, USER, identity, known, parts, peer};
use async_std::task;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use tallyho::ledger::input::{Inbound, Outcome, Released};
use tallyho::ledger::limits::BATCH;
use tallyho::ledger::queue::Tell;
use tallyho::ledger::router::clear;
use tallyho::ledger::thread::Clock;
use tallyho::ledger::{Input, Ledger, Outside};
use tallyho::node::SystemClock;
use tallyho::site::relations::RelationRegistry;
use tallyho::store::{MemoryStore, SqliteStore, Store, StoreError, Transaction};
use tallyho_plugin::Message;
use tallyho_plugin::record::Chad;
use tallyho_plugin::services::{Range, Row};

pub fn measure(effort: Effort) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (many, rounds) = effort.choose((512, 1), (8_192, 25));
    let recorded = record(many);
    let ours = Events::new(Box::new(sqlite(&folder.path().join("ours.sqlite"))));
    let mut bare = sqlite(&folder.path().join("bare.sqlite"));
    let rate = |events: u64, time: std::time::Duration| events as f64 / time.as_secs_f64();
    Duel::fight(
        rounds,
        || {
            let waiting = messages(many);
            rate(many, timed(|| ours.run(waiting)))
        },
        || rate(many, timed(|| replay(&mut bare, &recorded, BATCH))),
    )
    .report(effort, "events, many waiting", "/s", Wanted::AtLeast(0.5));

    let alone = effort.choose(8, 200);
    let few = &recorded[..alone];
    let alone = alone as u64;
    Duel::fight(
        rounds,
        || rate(alone, timed(|| (0..alone).for_each(|_| ours.run_one()))),
        || rate(alone, timed(|| replay(&mut bare, few, 1))),
    )
    .report(effort, "events, one at a time", "/s", Wanted::AtLeast(0.5));
}

fn sqlite(path: &Path) -> SqliteStore {
    SqliteStore::open(path).expect("a new store opens")
}

/// A ledger that is given events.
struct Events {
    ledger: Arc<Ledger>,
    relations: Arc<RelationRegistry>,
    done: Arc<Counter>,
    next: Mutex<u64>,
}

impl Events {
    fn new(store: Box<dyn Store>) -> Self {
        let relations = known([peer(1).agent().clone()]);
        let parts = parts(store, Arc::clone(&relations));
        let ledger = Ledger::start(parts, Arc::new(SystemClock), Arc::new(Nowhere)).expect("a new store opens");
        Events { ledger, relations, done: Arc::new(Counter::new()), next: Mutex::new(1) }
    }

    fn event(&self, message: Message) -> Input {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        // As the connection that received it finds out.
        let cleared = clear(&self.ledger.table(), &self.relations, &message, SystemClock.now());
        let cleared = Some(cleared.expect("its sender may send it"));
        Input::Peer(Inbound { message: message.into(), ticket: None, mid: Some(*next), cleared, origin: None })
    }

    /// Hands them in as fast as they are taken, and waits until all are durable.
    fn run(&self, messages: Vec<Message>) {
        self.done.wait_for(messages.len() as u64, || {
            // One task, as a connection is one, which hands in together what it has read together.
            task::block_on(async {
                let mut messages = messages.into_iter();
                loop {
                    let some = messages.by_ref().take(AT_ONCE).map(|message| {
                        let done = Arc::clone(&self.done);
                        let tell: Tell = Box::new(move |_| done.add());
                        (self.event(message), Some(tell))
                    });
                    let mut some: VecDeque<_> = some.collect();
                    if some.is_empty() {
                        return;
                    }
                    poll_fn(|context| self.ledger.poll_submit(context, &mut some)).await.expect("the ledger runs");
                }
            });
        });
    }

    /// Hands in one and waits until it is durable.
    fn run_one(&self) {
        let (tell, told) = sync_channel(1);
        let tell: Tell = Box::new(move |outcome| drop(tell.send(outcome)));
        task::block_on(self.ledger.submit(self.event(message()), Some(tell))).expect("the ledger runs");
        let outcome = told.recv().expect("an outcome is told");
        assert!(matches!(outcome, Outcome::Done(_)), "the handler was not given it: {outcome:?}");
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.ledger.stop();
    }
}

/// Messages of 600 bytes that a connection reads together.
const AT_ONCE: usize = 64;

/// So many messages that wait.
fn messages(many: u64) -> Vec<Message> {
    (0..many).map(|_| message()).collect()
}

/// A peer's message of about 600 bytes.
fn message() -> Message {
    let chad = |cuid: &str, agent: &tallyho::wire::Identity| Chad {
        cuid: Some(cuid.to_owned()),
        agent: agent.agent().clone(),
        host: None,
        port: None,
    };
    static PARTIES: std::sync::OnceLock<(Chad, Chad, Vec<u8>)> = std::sync::OnceLock::new();
    let (to, from, body) = PARTIES.get_or_init(|| {
        let mut body = Vec::new();
        let object = BTreeMap::from([("tally", TALLY.to_owned()), ("memo", "m".repeat(300))]);
        ciborium::into_writer(&object, &mut body).expect("a map is CBOR");
        (chad(USER, &identity()), chad(PARTNER, &peer(1)), body)
    });
    Message {
        target: TARGET.to_owned(),
        action: ACTION.to_owned(),
        to: to.clone(),
        from: from.clone(),
        tally: None,
        ticket: None,
        restricted: false,
        asked: false,
        attempt: Some(1),
        body: body.clone(),
    }
}

/// What leaves is forgotten.
struct Nowhere;

impl Outside for Nowhere {
    fn released(&self, _: Released) {}
}

type Put = (String, Vec<u8>, Vec<u8>);

/// The rows of one transaction.
type Rows = Vec<Put>;

/// The rows that a ledger writes for each of so many events run one by one: its journal entry first,
/// then what is written once a batch.
fn record(events: u64) -> Vec<Rows> {
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let store = Recorder { store: MemoryStore::new(), recorded: Arc::clone(&recorded) };
    let ledger = Events::new(Box::new(store));
    // What the start wrote is no event's.
    recorded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    (0..events).for_each(|_| ledger.run_one());
    drop(ledger);
    let rows = std::mem::take(&mut *recorded.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!(rows.len() as u64, events, "each event was a transaction");
    rows
}

/// Writes recorded rows: each event's own, and once a batch what its last event has beside it.
fn replay(store: &mut SqliteStore, recorded: &[Rows], batch: usize) {
    for events in recorded.chunks(batch) {
        let mut transaction = store.begin().expect("begins");
        let last = events.len() - 1;
        for (number, rows) in events.iter().enumerate() {
            let own = rows.iter().filter(|(table, ..)| number == last || is_own(table));
            for (table, key, value) in own {
                transaction.put(table, key, value).expect("puts");
            }
        }
        transaction.commit().expect("commits");
    }
}

/// Whether a row is written for each event rather than once a batch.
fn is_own(table: &str) -> bool {
    !matches!(table, "host.inbound" | "host.next")
}

/// Remembers what is put.
struct Recorder {
    store: MemoryStore,
    recorded: Arc<Mutex<Vec<Rows>>>,
}

struct Recording<'s> {
    transaction: Box<dyn Transaction + 's>,
    rows: Rows,
    recorded: Arc<Mutex<Vec<Rows>>>,
}

impl Store for Recorder {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        let recorded = Arc::clone(&self.recorded);
        Ok(Box::new(Recording { transaction: self.store.begin()?, rows: Vec::new(), recorded }))
    }
}

impl Transaction for Recording<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.transaction.get(table, key)
    }
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        self.transaction.scan(table, range)
    }
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.rows.push((table.to_owned(), key.to_vec(), value.to_vec()));
        self.transaction.put(table, key, value)
    }
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        self.transaction.delete(table, key)
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.transaction.commit()?;
        if !self.rows.is_empty() {
            self.recorded.lock().unwrap_or_else(PoisonError::into_inner).push(self.rows);
        }
        Ok(())
    }
}
