//! Rulings of a running site's referee, asked by strangers over restricted channels, beside what a ruling must
//! cost whoever writes the program: one verification, one signature, and its rows committed in batches.

use crate::figures::{Duel, Effort, Wanted, timed};
use serde_json::{Value, json};
use std::thread;
use tallyho::ledger::limits::BATCH;
use tallyho::store::{SqliteStore, Store};
use tallyho_plugin::record::keys::PublicKey;
use tallyho_plugin::record::signing::{AgentKey, verify_bytes};
use tallyho_plugin::record::{AgentId, LiftCore, Timestamp};
use tallyho_plugin::services::{Range, Row};
use tallyho_tests::lifts::{commit, is_ruling, lasting};
use tallyho_tests::peer::{Peer, own};
use tallyho_tests::site::Site;
use tallyho_tests::stranger::{asks, opens};

/// Strangers who ask at the same time, each from an address of its own.
const STRANGERS: u64 = 16;

/// Requests of each that wait for their answers: less than a site lets wait on one channel.
const UNDER_WAY: usize = 60;

pub fn measure(effort: Effort) {
    let (each, rounds) = effort.choose((5, 1), (500, 5));
    let mut floor = Floor::of(&Office::new());
    let ours = || {
        let count = (STRANGERS * each) as f64;
        // A referee rules good on 10,000 lifts an hour and no more: each round asks another one.
        count / Office::new().rule(each)
    };
    Duel::fight(rounds, ours, || 1.0 / floor.run(effort.choose(1, 6))).report(
        effort,
        "rulings, asked by strangers",
        "/s",
        Wanted::AtLeast(0.4),
    );
}

/// A site whose referee serves everybody.
struct Office {
    site: Site,
    address: Value,
    referee: AgentId,
    originator: AgentKey,
}

impl Office {
    fn new() -> Self {
        let mut site = Site::new();
        let lines = "limits = { strangers_per_minute = 100000 }";
        std::fs::write(site.home().join("tallyho.toml"), lines).expect("the configuration can be written");
        // No log of every message, unlike in the tests.
        site.environment("RUST_LOG", "warn");
        site.start();
        site.command(&["referee", "serve", "all"]);
        let address = own(&site);
        let referee = AgentId(address["agent"].as_str().expect("a site has an agent").to_owned());
        Office { site, address, referee, originator: AgentKey::generate().expect("there are random bytes") }
    }

    fn lift(&self, n: u64) -> LiftCore {
        lasting(3_600, &self.originator, &self.referee, n, Timestamp::from(std::time::SystemTime::now()))
    }

    /// Has `each` lifts of every stranger ruled good; seconds.
    fn rule(&self, each: u64) -> f64 {
        let strangers: Vec<_> = (0..STRANGERS)
            .map(|stranger| {
                let peer = Peer::at(10 + u8::try_from(stranger).unwrap_or(0), "stranger");
                let says = |n: u64| {
                    let lift = self.lift(1 + stranger * each + n);
                    peer.message(&self.address, "lift", "commit", commit(&lift, &self.originator)).to_string()
                };
                let requests: Vec<String> = (0..each).map(says).collect();
                let channel = opens(&peer, &self.site, &self.address, &Value::Null).expect("the site lets it in");
                (channel, requests)
            })
            .collect();
        let work = || {
            thread::scope(|scope| {
                for (mut channel, requests) in strangers {
                    scope.spawn(move || {
                        for (n, request) in requests.iter().enumerate() {
                            if n >= UNDER_WAY {
                                ruled(&channel.hears("lift", "status"));
                            }
                            channel.says_bytes(request.as_bytes());
                        }
                        for _ in 0..requests.len().min(UNDER_WAY) {
                            ruled(&channel.hears("lift", "status"));
                        }
                    });
                }
            });
        };
        timed(work).as_secs_f64()
    }
}

fn ruled(answer: &Value) {
    assert_eq!(answer["object"]["valid"], true, "{answer}");
}

/// The bare work; see the module.
struct Floor {
    key: AgentKey,
    public: PublicKey,
    text: Vec<u8>,
    store: SqliteStore,
    rows: Vec<(String, Row)>,
    next: u64,
    _folder: tempfile::TempDir,
}

impl Floor {
    /// With the rows that one ruling leaves there.
    fn of(office: &Office) -> Self {
        let lift = office.lift(0);
        let answer = asks(&Peer::at(9, "first"), &office.site, "commit", &commit(&lift, &office.originator));
        assert!(is_ruling(&lift, true, &answer), "{answer}");
        let mut site = SqliteStore::open_existing(&office.site.home().join("site.db")).expect("the store can be read");
        let mut transaction = site.begin().expect("nobody writes now");
        let mut rows = Vec::new();
        for table in ["referee.rulings", "referee.ruled"] {
            let all = transaction.scan(table, &Range { limit: 10, ..Range::default() }).expect("it can be read");
            rows.extend(all.into_iter().map(|row| (table.to_owned(), row)));
        }
        drop(transaction);
        assert_eq!(rows.len(), 2, "a ruling and its place among the others: {rows:?}");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = SqliteStore::open(&folder.path().join("bare.sqlite")).expect("a new store opens");
        let text = lift.valid_text(true).expect("a core that was read").into_bytes();
        let public = PublicKey::Ed25519(office.originator.id().to_bytes().expect("an agent's id is its key"));
        let key = AgentKey::from_seed(office.originator.seed()).expect("it is a key already");
        Floor { key, public, text, store, rows, next: 0, _folder: folder }
    }

    /// Does the work for so many batches; seconds for each ruling.
    fn run(&mut self, batches: usize) -> f64 {
        let signature = self.key.sign(&self.text);
        let crypto = timed(|| {
            for _ in 0..BATCH {
                assert!(verify_bytes(&self.public, &self.text, &signature));
                assert_eq!(self.key.sign(&self.text).len(), 64);
            }
        });
        let commits = timed(|| (0..batches).for_each(|_| self.commit()));
        crypto.as_secs_f64() / BATCH as f64 + commits.as_secs_f64() / (batches * BATCH) as f64
    }

    fn commit(&mut self) {
        let mut transaction = self.store.begin().expect("begins");
        for _ in 0..BATCH {
            self.next += 1;
            for (table, (key, value)) in &self.rows {
                let mut key = key.clone();
                key[..8].copy_from_slice(&self.next.to_be_bytes());
                transaction.put(table, &key, value).expect("puts");
            }
        }
        // What the referee remembers of itself, once a batch.
        let book = json!({ "latest": 0, "promised": 0, "voids": 0, "hour": 0, "goods": 0 }).to_string();
        transaction.put("referee.book", b"site", book.as_bytes()).expect("puts");
        transaction.commit().expect("commits");
    }
}
