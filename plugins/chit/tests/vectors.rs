//! The protocol's test vectors that concern chits (appendix C), through the handler.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_chit::Chit;
use tallyho_plugin::record::{AgentId, Chad, ChitRecord};
use tallyho_plugin::testkit::{Envelope, Site};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/records.json")).unwrap()
}

/// Bob's site with the tally of the vectors, and what alice's agent sends there.
fn bobs_site() -> (Site, Chad) {
    let vectors = vectors();
    let mut site = Site::new(1).with::<Tally>().with::<Chit>().user("bob");
    let agent = AgentId(vectors["agents"]["A"]["id"].as_str().unwrap().to_owned());
    let alice = Chad::user("alice", agent).at("localhost", 65434);
    let half = json!({
        "state": "open", "conf": 0, "side": "foil", "core": vectors["tally"], "hash": vectors["tally_hash"],
        "partner": alice,
    });
    site.call("tally", "put", json!({ "user": "bob", "uuid": TALLY, "half": half })).unwrap();
    (site, alice)
}

#[test]
fn link_1_and_link_2_come_out_of_messages() {
    let vectors = vectors();
    let (mut site, alice) = bobs_site();
    let bob = site.chad("bob");
    // Signed by bob elsewhere, brought by alice (C3b).
    let mut chit = vectors["chit"].clone();
    (chit["hash"], chit["sign"]) = (vectors["chit_hash"].clone(), vectors["chit_sign"].clone());
    chit["chain"] = json!({ "cmd": "new", "index": 1, "hash": vectors["link_hash"], "conf": 0 });
    site.deliver(&Envelope::new(&alice, &bob, "chit/good", &chit)).unwrap();
    let half = |site: &Site| site.rows("chit.halves").into_values().next().unwrap();
    assert_eq!((&half(&site)["end"], &half(&site)["tip"]), (&json!(1), &vectors["link_hash"]));
    assert_eq!(half(&site)["net"], -1_234_500);
    let ack = site.take_sent().remove(0);
    assert_eq!(
        (ack.object()["cmd"].clone(), ack.object()["hash"].clone()),
        (json!("ack"), vectors["link_hash"].clone())
    );
    let lift = ChitRecord::parse(vectors["lift_chit"].clone()).unwrap().signed(vectors["good_sign"].as_str().unwrap());
    assert_eq!(lift.hash(), vectors["lift_chit_hash"].as_str().unwrap());
    let mut lift = lift.to_record();
    let link = "fxWdqwKglSnrX6oo6eaUA64RChubKOKcfRZxk3bSw5A";
    lift["chain"] = json!({ "cmd": "new", "index": 2, "hash": link, "conf": 1 });
    site.deliver(&Envelope::new(&alice, &bob, "chit/good", &lift)).unwrap();
    assert_eq!(
        (&half(&site)["end"], &half(&site)["tip"], &half(&site)["net"]),
        (&json!(2), &json!(link), &json!(-1_230_500))
    );
}

#[test]
fn the_void_ruling_and_a_foreign_signature_bind_nobody() {
    let vectors = vectors();
    let (mut site, alice) = bobs_site();
    let bob = site.chad("bob");
    for (record, sign) in [(&vectors["lift_chit"], &vectors["void_sign"]), (&vectors["chit"], &vectors["good_sign"])] {
        let mut record = record.clone();
        record["sign"] = sign.clone();
        site.deliver(&Envelope::new(&alice, &bob, "chit/good", &record)).unwrap();
    }
    assert!(site.rows("chit.chits").is_empty());
}
