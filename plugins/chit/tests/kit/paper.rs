//! A partner's chain on paper, for tests that play the partner: what it would send, hashes and all.

use super::chain::{Chain, make_one};
use super::{TALLY, USERS, pair_of};
use serde_json::{Value, json};
use tallyho_chit::chain::links;
use tallyho_plugin::record::ChitRecord;
use tallyho_plugin::testkit::Net;

/// A site under test, and its partner on paper.
pub struct Play {
    /// Both sites; the partner's only signs.
    pub net: Net,
    /// Which site is under test.
    pub place: usize,
}

/// A chain on paper.
#[derive(Clone)]
pub struct Paper {
    /// The hash of link 0, and of each further link.
    pub hashes: Vec<String>,
    /// The chits, from link 1.
    pub chits: Vec<Value>,
}

impl Play {
    /// The site at this place, with a confirmed tally and no chits.
    pub fn new(place: usize) -> (Self, Paper) {
        let mut play = Play { net: pair_of::<Chain>(1), place };
        // What follows a start.
        play.wait(2);
        play.sent();
        play.told();
        let paper = play.blank();
        (play, paper)
    }

    /// A chain without chits, on the tally as it is.
    pub fn blank(&mut self) -> Paper {
        let about = json!({ "user": USERS[self.place], "uuid": TALLY });
        let half = self.net.sites[self.place].call("tally", "get", about).unwrap();
        Paper { hashes: vec![half["hash"].as_str().unwrap().to_owned()], chits: Vec::new() }
    }

    /// A chit signed by the partner, known to nobody.
    pub fn theirs(&mut self) -> Value {
        make_one(&mut self.net, 1 - self.place, json!({ "offline": true }))
    }

    /// A chit of the user's own site, linked and sent; the messages are gone.
    pub fn ours(&mut self) -> Value {
        let chit = make_one(&mut self.net, self.place, json!({}));
        self.sent();
        chit
    }

    /// The partner says this; what the site answers, as `cmd` and `index`.
    pub fn hears(&mut self, object: &Value) -> Vec<(String, u64)> {
        self.gets("chain", object)
    }

    /// The same for any action.
    pub fn gets(&mut self, action: &str, object: &Value) -> Vec<(String, u64)> {
        super::chain::tell(&mut self.net, self.place, action, object);
        self.sent().iter().map(super::chain::said).collect()
    }

    /// Messages that wait, taken out of the outbox.
    pub fn sent(&mut self) -> Vec<Value> {
        self.net.sites[self.place].take_sent().iter().map(|sent| sent.object()).collect()
    }

    /// What was told about the chain as a whole: the reasons.
    pub fn told(&mut self) -> Vec<String> {
        let notices = self.net.sites[self.place].take_notices().into_iter();
        let about = notices.filter(|(_, notice)| notice["about"] == "chain");
        about.map(|(_, notice)| notice["reason"].as_str().unwrap().to_owned()).collect()
    }

    /// The half under test.
    pub fn half(&self) -> tallyho_chit::half::Half {
        super::chain::half(&self.net.sites[self.place])
    }

    /// The chits of its chain, in order.
    pub fn chain(&self) -> Vec<String> {
        super::chain::chain_of(&self.net.sites[self.place]).into_iter().map(|(chit, _)| chit).collect()
    }

    /// Seconds pass, and timers fire.
    pub fn wait(&mut self, seconds: i64) {
        self.net.sites[self.place].advance(seconds * 1000);
        self.net.sites[self.place].fire_timers();
    }
}

impl Paper {
    /// One more link.
    pub fn add(&mut self, chit: &Value) -> &mut Self {
        let record = ChitRecord::parse(chit.clone()).unwrap();
        let index = self.hashes.len() as u64;
        self.hashes.push(links::hash(record.core_canonical(), index, self.tip(), record.sign()));
        self.chits.push(chit.clone());
        self
    }

    /// The hash at the end.
    pub fn tip(&self) -> &str {
        self.hashes.last().unwrap()
    }

    /// How many links.
    pub fn end(&self) -> u64 {
        self.chits.len() as u64
    }

    /// Names of the chits.
    pub fn names(&self) -> Vec<String> {
        self.chits.iter().map(name).collect()
    }

    /// `good` with `new` for the last link.
    pub fn new_last(&self, conf: u64) -> Value {
        let mut chit = self.chits.last().unwrap().clone();
        chit["chain"] = json!({ "cmd": "new", "index": self.end(), "hash": self.tip(), "conf": conf });
        chit
    }

    /// `upd` of links `from` to `to`.
    pub fn upd(&self, from: u64, to: u64, conf: u64) -> Value {
        let chits: Vec<Value> = (from..=to)
            .map(|index| {
                let mut chit = self.chits[index as usize - 1].clone();
                chit["chain"] = json!({ "index": index, "hash": self.hashes[index as usize], "conf": conf });
                chit
            })
            .collect();
        json!({ "cmd": "upd", "tally": TALLY, "index": to, "hash": self.hashes[to as usize], "conf": conf, "chits": chits })
    }

    /// `upd` without links.
    pub fn compare(&self, conf: u64) -> Value {
        json!({ "cmd": "upd", "tally": TALLY, "index": self.end(), "hash": self.tip(), "conf": conf })
    }

    /// `ack` at this index.
    pub fn ack(&self, index: u64) -> Value {
        json!({ "cmd": "ack", "tally": TALLY, "index": index, "hash": self.hashes[index as usize] })
    }
}

/// A chit's name.
pub fn name(chit: &Value) -> String {
    chit["uuid"].as_str().unwrap().to_owned()
}

/// `req` from this index.
pub fn req(index: u64) -> Value {
    json!({ "cmd": "req", "tally": TALLY, "index": index })
}

/// `nak` at this index.
pub fn nak(index: u64, hash: Option<&str>) -> Value {
    match hash {
        Some(hash) => json!({ "cmd": "nak", "tally": TALLY, "index": index, "hash": hash }),
        None => json!({ "cmd": "nak", "tally": TALLY, "index": index }),
    }
}

/// Words and indexes as [`Play::hears`] gives them.
pub fn said(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(cmd, index)| ((*cmd).to_owned(), *index)).collect()
}
