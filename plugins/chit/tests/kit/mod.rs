//! What the tests of the chit handler share: two sites with a confirmed tally between alice (stock) and
//! bob (foil).

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod acts;
pub mod bench;
pub mod chain;
pub mod chits;
pub mod paper;

use serde_json::{Value, json};
use tallyho_chit::Chit;
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::{Chad, canonical, hash_text};
use tallyho_plugin::services::Relation;
use tallyho_plugin::testkit::{Net, Site};

/// The users: of the stock side and of the foil side.
pub const USERS: [&str; 2] = ["alice", "bob"];

/// The tally's uuid.
pub const TALLY: &str = "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55";

/// Stands in for the tally handler: keeps halves as they are given, notes what the chit handler tells.
pub struct Tally;

impl Handler for Tally {
    fn manifest() -> Manifest {
        let command = |name: &str| CommandSpec::new(name, name).invocable();
        Manifest::new("tally", "0.0.0")
            .tables(&["tallies"])
            .command(command("put"))
            .command(command("get"))
            .command(command("confirm"))
            .command(command("chain"))
            .command(command("close"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Tally)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let given: Value = command.arguments()?;
        // As the tally handler keeps them: uuid, 0, holder.
        let key = format!("{}\0{}", given["uuid"].as_str().unwrap(), given["user"].as_str().unwrap());
        let mut half: Value = context.get("tallies", &key)?.unwrap_or_default();
        match command.name.as_str() {
            "put" => {
                half = given["half"].clone();
                let partner: Chad = serde_json::from_value(half["partner"].clone()).unwrap();
                context.relate(&Relation {
                    user: given["user"].as_str().unwrap().to_owned(),
                    subject: given["uuid"].as_str().unwrap().to_owned(),
                    partner: partner.cuid.unwrap(),
                    agent: partner.agent,
                    host: None,
                    port: None,
                    until: None,
                })?;
            }
            "get" => return Ok(half),
            "close" => {
                let order = json!({ "tally": given["uuid"], "user": given["user"] });
                let made: Value = context.invoke("chit", "close", &order)?;
                assert_eq!(made["settled"], false, "the partner has not heard yet");
                half["state"] = if made["closing"] == true { "C.open" } else { "open" }.into();
            }
            "confirm" => {
                if half["hash"] == given["hash"] {
                    half["conf"] = 0.into();
                }
            }
            _ => {
                half["state"] = match given["event"].as_str().unwrap() {
                    "settled" => "close",
                    _ => "C.open",
                }
                .into()
            }
        }
        // The members of the tally handler's own row that the chit handler reads.
        let state = half["state"].as_str().unwrap().to_owned();
        half["closing"] = (state == "C.open").into();
        half["status"] = state.replace("C.", "").into();
        context.put("tallies", &key, &half)?;
        Ok(json!({ "state": half["state"], "done": true }))
    }
}

/// Two sites, alice's (stock) and bob's (foil), with a confirmed tally.
pub fn pair(seed: u64) -> Net {
    pair_of::<Chit>(seed)
}

/// The same with a handler that stands in for the chit handler.
pub fn pair_of<H: Handler>(seed: u64) -> Net {
    let site = |seed, user| Site::new(seed).with::<Tally>().with::<H>().user(user);
    let mut net = Net::new(seed, vec![site(2 * seed, "alice"), site(2 * seed + 1, "bob")]);
    open(&mut net, Some(0), Some(0));
    net
}

/// One site with both users.
pub fn house(seed: u64) -> Net {
    house_of::<Chit>(seed)
}

/// The same with a handler that stands in for the chit handler.
pub fn house_of<H: Handler>(seed: u64) -> Net {
    let site = Site::new(seed).with::<Tally>().with::<H>().user("alice").user("bob");
    let mut net = Net::new(seed, vec![site]);
    open(&mut net, Some(0), Some(0));
    net
}

/// Both halves of the tally, with these confirmations.
pub fn open(net: &mut Net, alice: Option<u64>, bob: Option<u64>) {
    let bobs = net.sites.len() - 1;
    let cert = |net: &Net, place: usize, user| net.sites[place].certificate(user);
    let core = json!({
        "version": 1, "revision": 1, "uuid": TALLY, "date": "2021-11-03T20:05:00.125Z", "memo": "", "agree": "A",
        "stock": { "cert": cert(net, 0, "alice"), "terms": { "limit": 5 } }, "foil": { "cert": cert(net, bobs, "bob"), "terms": {} },
    });
    let hash = hash_text(&canonical(&core).unwrap());
    for (place, user, side, conf, partner) in [
        (0, "alice", "stock", alice, net.sites[bobs].chad("bob")),
        (bobs, "bob", "foil", bob, net.sites[0].chad("alice")),
    ] {
        let half = json!({
            "state": "open", "conf": conf, "side": side, "core": core, "hash": hash, "partner": partner, "holder": user,
        });
        net.sites[place].call("tally", "put", json!({ "user": user, "uuid": TALLY, "half": half })).unwrap();
    }
}
