//! Referees as libraries: loaded, run by a real ledger, and beside each other on one store; then in whole
//! sites (PROTOCOL 10).
#![allow(clippy::unwrap_used)]

mod site;

use serde_json::{Value, json};
use std::sync::Arc;
use tallyho::ledger::core::{Core, Parts};
use tallyho::ledger::input::{Input, Outcome};
use tallyho::ledger::table::PluginTable;
use tallyho::ledger::verify::Checked;
use tallyho::node::host::SiteHost;
use tallyho::plugin::Plugin;
use tallyho::site::endpoint::Endpoint;
use tallyho::site::keys::KeyRing;
use tallyho::store::{MemoryDisk, MemoryStore};
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{AgentId, Timestamp, base64v};
use tallyho_tests::lifts::{commit, is_ruling, lift};
use tallyho_tests::peer::{Channel, Peer, own};
use tallyho_tests::plugins::build_library;
use tallyho_tests::site as whole;

/// Friday, 5 November 2021, at noon; no office is open six hours later.
const NOON: Timestamp = Timestamp(1_636_113_600_000);
const HOUR: i64 = 3_600_000;

/// A ledger with one library, on a disk that outlives it.
struct Bench {
    core: Core,
    agent: AgentId,
}

impl Bench {
    fn new(loading: &site::Site, disk: &MemoryDisk, package: &str) -> Self {
        let plugin = loading.loader.load(&build_library(package)).unwrap();
        assert_eq!(plugin.manifest().name, "referee");
        let keys = Arc::new(KeyRing::new(AgentKey::from_seed(&[9; 32]).unwrap()));
        let agent = keys.agent_id().clone();
        let endpoint = Endpoint { host: "referee.example".to_owned(), port: 65430 };
        let host = Arc::new(SiteHost { keys, endpoint, relations: Arc::default() });
        let table = PluginTable::default().with(plugin).unwrap();
        let mut core = Core::open(Parts {
            store: Box::new(MemoryStore::open(disk)),
            table: Arc::new(arc_swap::ArcSwap::from_pointee(table)),
            host,
            relations: Arc::default(),
            seeds: Box::new(|| [1; 32]),
        })
        .unwrap();
        core.start(NOON).unwrap();
        Bench { core, agent }
    }

    /// A command; its answer.
    fn call(&mut self, name: &str, argument: Value, now: Timestamp) -> Value {
        let (plugin, argument) = ("referee".to_owned(), to_cbor(&argument).unwrap());
        let input = Input::Command { plugin, name: name.to_owned(), argument };
        match self.core.apply(&[(input, Checked::new())], now).unwrap().outcomes.remove(0) {
            Outcome::Done(answer) => ciborium::from_reader(answer.as_slice()).unwrap(),
            Outcome::Fault(fault) => panic!("{fault}"),
        }
    }

    /// What a lift handler beside it would answer.
    fn rule(&mut self, action: &str, object: &Value, now: Timestamp) -> Value {
        self.call("rule", json!({ "action": action, "object": object }), now)["answer"].take()
    }
}

#[test]
fn the_strict_referee_is_loaded_and_rules_for_known_agents_in_office_hours() {
    let (loading, disk) = (site::Site::new(), MemoryDisk::default());
    let mut bench = Bench::new(&loading, &disk, "tallyho-strict-referee");
    // The first agent that it knows: agent A of PROTOCOL appendix C.
    let seed = base64v::decode_array("-sByrNF_OmRvh1C9_GEMB4ebgoOB8QciO9gJFTlQJgc").unwrap();
    let (known, unknown) = (AgentKey::from_seed(&seed).unwrap(), AgentKey::from_seed(&[7; 32]).unwrap());
    assert_eq!(bench.call("credentials", json!({}), NOON)["credentials"]["name"], "The Strict Referee");

    let (first, other) = (lift(&known, &bench.agent, 1, NOON), lift(&unknown, &bench.agent, 2, NOON));
    let ruling = bench.rule("commit", &commit(&first, &known), NOON);
    assert!(is_ruling(&first, true, &ruling), "{ruling}");
    assert_eq!(bench.rule("commit", &commit(&other, &unknown), NOON), Value::Null);

    let evening = NOON.plus(6 * HOUR);
    let late = lift(&known, &bench.agent, 3, evening);
    assert_eq!(bench.rule("commit", &commit(&late, &known), evening)["err"], "policy");
    let void = bench.rule("check", other.value(), evening);
    assert!(is_ruling(&other, false, &void), "{void}");

    // Another build of the same plugin's name takes its place, and finds what it has ruled.
    drop(bench);
    let mut bench = Bench::new(&loading, &disk, "tallyho-referee");
    bench.call("serve", json!({ "whom": "all" }), evening);
    assert_eq!(bench.rule("check", first.value(), evening), ruling);
    assert_eq!(bench.rule("check", other.value(), evening), void);
    let good = bench.rule("commit", &commit(&late, &known), evening);
    assert!(is_ruling(&late, true, &good), "{good}");
    assert_eq!(bench.call("list", json!({}), evening)["rulings"].as_array().unwrap().len(), 3);
}

/// A whole site whose standard referee serves everybody.
fn running(users: &[&str]) -> whole::Site {
    let site = whole::Site::with_users(users);
    assert_eq!(site.command(&["referee", "serve", "all"]), json!({ "serves": "all" }));
    site
}

fn asks(channel: &mut Channel, peer: &Peer, site: &whole::Site, action: &str, object: &Value) -> Value {
    channel.says(&peer.message(&own(site), "lift", action, object.clone()));
    channel.hears("lift", "status")["object"].take()
}

#[test]
fn a_peer_has_a_lift_ruled_on_and_hears_the_same_after_the_referee_was_killed() {
    let mut site = running(&["alice"]);
    let bob = Peer::at(1, "bob");
    let ticket = site.command(&["ticket", "new", "--user", "alice", "--agree", "bread"]);
    let mut channel = bob.uses(&site, &ticket);
    let referee = AgentId(own(&site)["agent"].as_str().unwrap().to_owned());
    let originator = AgentKey::from_seed(&[7; 32]).unwrap();
    let now = Timestamp::from(std::time::SystemTime::now());
    let (lift, old) = (lift(&originator, &referee, 1, now), lift(&originator, &referee, 2, now.plus(-HOUR)));

    assert_eq!(asks(&mut channel, &bob, &site, "check", lift.value())["pend"], true);
    // Nothing comes of a forged one: the answer that comes is that of the next message.
    let forged = commit(&lift, &AgentKey::from_seed(&[8; 32]).unwrap());
    channel.says(&bob.message(&own(&site), "lift", "commit", forged));
    let good = asks(&mut channel, &bob, &site, "commit", &commit(&lift, &originator));
    assert!(is_ruling(&lift, true, &good), "{good}");
    let void = asks(&mut channel, &bob, &site, "commit", &commit(&old, &originator));
    assert!(is_ruling(&old, false, &void), "{void}");

    site.kill();
    site.start();
    let mut channel = bob.opens(&site, &Value::Null);
    let names = json!({ "lift": lift.uuid(), "hash": lift.hash() });
    // What the site had sent before it was killed may come again: it had no time to note that it was gone.
    for (core, names, ruling) in [(&lift, &names, &good), (&old, old.value(), &void)] {
        let mut status = asks(&mut channel, &bob, &site, "check", names);
        while status["lift"] != core.uuid() {
            status = channel.hears("lift", "status")["object"].take();
        }
        assert_eq!(&status, ruling);
    }
    let listed = site.command(&["referee", "list"]);
    assert_eq!(listed["rulings"].as_array().unwrap().len(), 2);
}

#[test]
fn a_site_asks_a_strangers_referee_for_its_credentials_and_accepts_it() {
    let (alice, bob) = (running(&[]), running(&[]));
    let credentials = alice.command(&["referee", "credentials"]);
    let address = format!("{}@127.0.0.1:{}", credentials["agent"].as_str().unwrap(), alice.port());

    let asked = bob.command(&["referee", "credentials", &address]);
    assert_eq!((&asked["state"], &asked["accepted"]), (&json!("received"), &json!(false)));
    assert_eq!(asked["credentials"]["term"], credentials["credentials"]["term"]);
    assert_eq!(bob.command(&["referee", "accept", &address])["accepted"], true);
    let list = bob.command(&["referee", "list"]);
    assert_eq!((&list["accepted"][0]["agent"], &list["rulings"]), (&credentials["agent"], &json!([])));
    assert_eq!(bob.command(&["referee", "refuse", &address])["accepted"], false);
    let nowhere = bob.attempt(&["referee", "accept", "nowhere"]);
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.errors);
    assert!(nowhere.errors.contains("AGENT@HOST:PORT"), "{}", nowhere.errors);
}
