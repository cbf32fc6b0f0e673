//! What a chit must cost whoever writes the program: one signature, two verifications, and what it leaves in
//! the stores of both sides, committed in batches. One thing after another on one thread.

use super::pair::{FOIL, Pair, STOCK};
use crate::figures::timed;
use serde_json::json;
use tallyho::control::Operator;
use tallyho::ledger::limits::BATCH;
use tallyho::store::{SqliteStore, Store};
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::record::signing::{UserKey, verify_bytes};
use tallyho_plugin::services::{Range, Row};

/// A chit's core, as long as those that are paid.
pub const CORE: &[u8] = br#"{"by":"foil","date":"2021-11-04T09:30:00.500Z","memo":"Rye loaf","tally":"9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55","type":"tran","units":1000,"uuid":"3f0f7c52-0c2e-4b6b-9d5e-7c8a1b2c3d4e"}"#;

/// The bare work; see the module.
pub struct Floor {
    key: UserKey,
    sides: [Side; 2],
}

/// One side's store, and what a chit leaves there.
struct Side {
    store: SqliteStore,
    rows: Vec<(String, Row)>,
    next: u64,
    _folder: tempfile::TempDir,
}

impl Floor {
    /// The work for chits like those of this pair, of which the last one serves as a pattern.
    pub fn of(pair: &Pair, key: &str) -> Self {
        let kind = if key == "p521" { KeyKind::P521 } else { KeyKind::Ed25519 };
        let key = UserKey::generate(kind).expect("there are random bytes");
        Floor { key, sides: [STOCK, FOIL].map(|user| Side::of(pair, user)) }
    }

    /// Does the work for so many whole batches of chits; seconds for each chit.
    pub fn run(&mut self, batches: usize) -> f64 {
        let chits = (batches * BATCH) as f64;
        let seconds = |work: &mut dyn FnMut()| timed(work).as_secs_f64();
        let signatures = seconds(&mut || {
            for _ in 0..BATCH {
                let signature = self.key.sign(CORE).expect("the key signs");
                assert!(signature.len() >= 64);
            }
        });
        let signature = self.key.sign(CORE).expect("the key signs");
        let verifications = seconds(&mut || {
            for _ in 0..2 * BATCH {
                assert!(verify_bytes(self.key.public(), CORE, &signature));
            }
        });
        let commits = seconds(&mut || self.sides.iter_mut().for_each(|side| side.commit(batches)));
        (signatures + verifications) / BATCH as f64 + commits / chits
    }
}

impl Side {
    fn of(pair: &Pair, user: &str) -> Self {
        let client = pair.client(user);
        let tally = &pair.tallies()[0];
        let argument = json!({ "tally": tally, "user": user, "limit": 1 });
        let list = client.call("chit", "list", &argument).expect("chits are listed");
        let uuid = list[0]["uuid"].as_str().expect("there are chits").to_owned();
        let manifests = client.ask_manifests().expect("there are manifests");
        let chit = manifests.into_iter().find(|manifest| manifest.name == "chit").expect("the chit handler serves");
        let site = if user == STOCK { &pair.stock } else { &pair.foil };
        let mut store = SqliteStore::open_existing(&site.home().join("site.db")).expect("the store can be read");
        let mut transaction = store.begin().expect("nobody writes now");
        let mut rows = Vec::new();
        let holds = |bytes: &[u8]| bytes.windows(uuid.len()).any(|window| window == uuid.as_bytes());
        for table in chit.tables.iter().map(|table| format!("chit.{table}")) {
            let all = transaction.scan(&table, &Range { limit: 10_000, ..Range::default() }).expect("it can be read");
            rows.extend(
                all.into_iter().filter(|(key, value)| holds(key) || holds(value)).map(|row| (table.clone(), row)),
            );
        }
        drop(transaction);
        assert!(rows.len() >= 2, "a chit leaves at least its record and its link: {rows:?}");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = SqliteStore::open(&folder.path().join("bare.sqlite")).expect("a new store opens");
        Side { store, rows, next: 0, _folder: folder }
    }

    /// Commits the rows of so many batches of chits, each under keys of its own that follow each other.
    fn commit(&mut self, batches: usize) {
        for _ in 0..batches {
            let mut transaction = self.store.begin().expect("begins");
            for _ in 0..BATCH {
                self.next += 1;
                for (table, (key, value)) in &self.rows {
                    let mut key = key.clone();
                    let tail = key.len() - 8;
                    key[tail..].copy_from_slice(&self.next.to_be_bytes());
                    transaction.put(table, &key, value).expect("puts");
                }
            }
            // The account, once a batch.
            transaction.put("chit.halves", b"half", &[7; 200]).expect("puts");
            transaction.commit().expect("commits");
        }
    }
}
