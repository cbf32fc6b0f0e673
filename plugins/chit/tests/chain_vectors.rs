//! The chain's arithmetic on the protocol's test vectors (appendix C), through the handler's own rows.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::TALLY;
use kit::chain::chain_of;
use serde_json::{Value, json};
use tallyho_chit::Chit;
use tallyho_chit::chain::links;
use tallyho_plugin::record::Chad;
use tallyho_plugin::testkit::{Envelope, Site};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/records.json")).unwrap()
}

#[test]
fn links_1_and_2_have_the_text_and_hash_of_the_vectors() {
    let vectors = vectors();
    let text = |name: &str| vectors[name].as_str().unwrap().to_owned();
    let one = links::text(&text("chit_canon"), 1, &text("tally_hash"), Some(&text("chit_sign")));
    assert_eq!(one, text("link_canon"));
    let two = links::text(&text("lift_chit_canon"), 2, &text("link_hash"), Some(&text("good_sign")));
    assert_eq!(two, text("link2_canon"));
}

#[test]
fn a_half_of_the_vectors_tally_keeps_the_vectors_links() {
    let vectors = vectors();
    let tally = &vectors["tally"];
    assert_eq!(tally["uuid"], TALLY);
    let mut site = Site::new(1).with::<kit::Tally>().with::<Chit>().user("bob");
    let alice: Chad = serde_json::from_value(tally["stock"]["cert"]["chad"].clone()).unwrap();
    let half = json!({
        "state": "open", "conf": 0, "side": "foil", "core": tally, "hash": vectors["tally_hash"], "partner": alice,
        "holder": "bob",
    });
    site.call("tally", "put", json!({ "user": "bob", "uuid": TALLY, "half": half })).unwrap();
    let entry = |chit: &str, sign: &str, index: u64, hash: &str| {
        let mut entry = vectors[chit].clone();
        entry["sign"] = vectors[sign].clone();
        entry["chain"] = json!({ "index": index, "hash": vectors[hash], "conf": 0 });
        entry
    };
    let upd = json!({
        "cmd": "upd", "tally": TALLY, "index": 2, "hash": vectors["link2_hash"], "conf": 0,
        "chits": [entry("chit", "chit_sign", 1, "link_hash"), entry("lift_chit", "good_sign", 2, "link2_hash")],
    });
    site.deliver(&Envelope::new(&alice, &site.chad("bob"), "chit/chain", &upd)).unwrap();
    let hashes: Vec<Value> = chain_of(&site).into_iter().map(|(_, hash)| hash.into()).collect();
    assert_eq!(hashes, [vectors["link_hash"].clone(), vectors["link2_hash"].clone()]);
    let ack = site.take_sent()[0].object();
    assert_eq!(ack, json!({ "cmd": "ack", "tally": TALLY, "index": 2, "hash": vectors["link2_hash"] }));
}
