//! A site that is promised lifts by an agent of the test's own.

use super::places::{World, tally, user};
use super::{elsewhere, over, pledge, promised, stranger};
use serde_json::{Value, json};
use tallyho_plugin::record::{LiftCore, Side};
use tallyho_plugin::testkit::Envelope;

/// The middle one of three sites, with partners of whose agents the test has no key: what they sign comes from
/// their own handlers. So here the test's own agent stands where site 0 would be.
pub struct Bench {
    /// The sites.
    pub world: World,
    /// L, to be changed.
    pub core: Value,
}

/// An agent of the test's with a tally (number 5, it holds the stock) with the user of site 1.
pub fn bench(seed: u64) -> Bench {
    let mut world = World::row(seed, 3);
    let key = stranger();
    let chad = json!({ "cuid": "zoe", "agent": key.id(), "host": "localhost", "port": 65400 });
    let mut cert = world.net.sites[0].certificate(&user(0));
    cert["chad"] = chad.clone();
    let core = json!({
        "version": 1, "revision": 1, "uuid": tally(5), "date": "2021-11-03T20:05:00.125Z", "memo": "", "agree": "A",
        "stock": { "cert": cert, "terms": {} },
        "foil": { "cert": world.net.sites[1].certificate(&user(1)), "terms": {} },
    });
    let hash = tallyho_plugin::record::hash_text(&tallyho_plugin::record::canonical(&core).unwrap());
    let half = json!({
        "state": "open", "status": "open", "closing": false, "conf": 0, "side": "foil", "core": core, "hash": hash,
        "partner": chad, "holder": user(1), "uuid": tally(5),
    });
    world.net.sites[1].call("tally", "put", json!({ "user": user(1), "uuid": tally(5), "half": half })).unwrap();
    let order = json!({ "tally": tally(5), "user": user(1), "settings": { "target": 1000 } });
    world.net.sites[1].call("chit", "set", order).unwrap();
    world.net.sites[1].take_sent();
    let last = world.chad(2);
    let edge = |number: usize| json!({ "tally": tally(number), "by": "stock", "sign": -1, "halves": [user(1)] });
    world.way(
        1,
        json!({
            "from": { "user": user(1), "tally": tally(5) }, "to": { "cuid": last.cuid, "agent": last.agent },
            "edges": [edge(5), edge(1)], "via": { "user": user(1), "tally": tally(1) },
        }),
    );
    let now = world.net.sites[1].now();
    let referee = world.referee();
    let lift = json!({
        "lift": "5e2d9a54-8f1b-4c0e-a1d2-000000000001", "date": now.text(), "life": 120, "units": 100,
        "find": { "cuid": last.cuid, "agent": last.agent }, "org": elsewhere(key.id()),
        "ref": { "agent": referee.agent, "host": "localhost", "port": 65440 },
    });
    Bench { world, core: lift }
}

impl Bench {
    /// L as a record.
    pub fn core(&self) -> LiftCore {
        LiftCore::parse(self.core.clone()).unwrap()
    }

    /// The test's agent promises this over its tally; what the site answers.
    pub fn promise(&mut self, object: &Value) -> Vec<(String, Value)> {
        let from = tallyho_plugin::record::Chad::user("zoe", stranger().id().clone()).at("localhost", 65400);
        let to = self.world.chad(1);
        let _ = self.world.net.sites[1].deliver(&over(Envelope::new(&from, &to, "lift/promise", object), &tally(5)));
        let sent = self.world.net.sites[1].take_sent();
        sent.iter()
            .filter(|sent| sent.message.target == "lift")
            .map(|sent| (sent.message.action.clone(), sent.object()))
            .collect()
    }

    /// A promise of L as it stands.
    pub fn valid(&self) -> Value {
        promised(&self.core(), &pledge(&self.core(), &stranger(), Side::Stock, &tally(5)))
    }
}
