//! Bad chits in messages: nothing of them is kept as good, and the halves go on talking (PROTOCOL 5.3, 6.4).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chits::*;
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::{Envelope, Net, UserKey};

const SEED: u64 = 3;

/// A message of bob's to alice, however bad.
fn from_bob(net: &mut Net, verb: &str, object: &Value) {
    let envelope = Envelope::new(&net.sites[1].chad("bob"), &net.sites[0].chad("alice"), verb, object);
    net.a().deliver(&envelope).unwrap();
}

fn with_chain(mut chit: Value) -> Value {
    chit["chain"] = json!({ "cmd": "new", "index": 1, "hash": "x", "conf": 0 });
    chit
}

/// Both pay one more, and agree.
fn lives(net: &mut Net) {
    for (place, user) in USERS.iter().enumerate() {
        net.sites[place].call("chit", "pay", json!({ "tally": TALLY, "user": user, "units": 1 })).unwrap();
    }
    net.calm(60_000);
    for place in [0, 1] {
        let half = net.sites[place].rows("chit.halves").into_values().next().unwrap();
        assert_eq!(
            (&half["stat"], &half["end"], &half["conf"], &half["net"]),
            (&json!("con"), &json!(2), &json!(2), &json!(0))
        );
    }
}

fn bad() -> Vec<(&'static str, Value, bool)> {
    let bob = key_of("bob", 2 * SEED + 1);
    let alice = key_of("alice", 2 * SEED);
    let good = || signed(tran(1, "foil", 5), &bob);
    let with = |member: &str, value: Value| {
        let mut chit = good();
        chit[member] = value;
        chit
    };
    let without_hash = |member: &str, value: Value| {
        let mut chit = with(member, value);
        chit.as_object_mut().unwrap().remove("hash");
        chit
    };
    // What it is, the chit, and whether it has the shape of one: then the user is told (G1).
    vec![
        ("unsigned", tran(1, "foil", 5), true),
        ("forged", signed(tran(1, "foil", 5), &UserKey::of("a stranger")), true),
        ("signed by the wrong side", signed(tran(1, "foil", 5), &alice), true),
        ("pledged for us", signed(tran(1, "stock", 5), &bob), true),
        ("altered after signing", without_hash("units", json!(6)), true),
        ("altered memo", without_hash("memo", json!("other")), true),
        ("altered with its hash left", with("units", json!(6)), false),
        ("zero units", without_hash("units", json!(0)), false),
        ("negative units", without_hash("units", json!(-5)), false),
        ("fractional units", without_hash("units", json!(1.5)), false),
        ("huge units", without_hash("units", json!(1u64 << 53)), false),
        ("units in a text", without_hash("units", json!("5")), false),
        ("a null member", without_hash("memo", Value::Null), false),
        ("units on a set", without_hash("type", json!("set")), false),
        ("an unknown type", without_hash("type", json!("gift")), false),
        ("no uuid", without_hash("uuid", json!("x")), false),
        ("a uuid in capitals", without_hash("uuid", json!("ABCDEF00-0000-4000-8000-000000000001")), false),
    ]
}

#[test]
fn a_bad_chit_in_a_good_is_not_kept_and_the_chain_lives() {
    for (what, chit, shaped) in bad() {
        let mut net = pair(SEED);
        net.a().take_notices();
        from_bob(&mut net, "chit/good", &with_chain(chit));
        assert!(net.a().rows("chit.chits").is_empty(), "{what}");
        let told = net.a().take_notices();
        assert_eq!(!told.is_empty(), shaped, "{what}: {told:?}");
        lives(&mut net);
    }
}

#[test]
fn a_bad_chit_in_a_list_does_not_keep_out_the_good_ones_beside_it() {
    let bob = key_of("bob", 2 * SEED + 1);
    for (what, chit, shaped) in bad().into_iter().filter(|(_, _, shaped)| *shaped) {
        let mut net = pair(SEED);
        let place = |mut chit: Value, index: u64| {
            chit["chain"] = json!({ "index": index, "hash": "x", "conf": 0 });
            chit
        };
        let other = signed(tran(2, "foil", 7), &bob);
        let list = json!({ "cmd": "upd", "tally": TALLY, "index": 2, "hash": "x", "conf": 0,
            "chits": [place(chit, 1), place(other, 2)] });
        from_bob(&mut net, "chit/chain", &list);
        let rows: Vec<Value> = net.a().rows("chit.chits").into_values().collect();
        assert_eq!((rows.len(), &rows[0]["units"], shaped), (1, &json!(7), true), "{what}");
    }
}

#[test]
fn a_bad_invoice_is_not_put_to_the_user() {
    let bob = key_of("bob", 2 * SEED + 1);
    let mut other_tally = tran(1, "stock", 5);
    other_tally["tally"] = json!(uuid(77));
    for (what, invoice) in [
        ("signed", signed(tran(1, "stock", 5), &bob)),
        ("by the asking side", tran(1, "foil", 5)),
        ("settings", set(1, "stock", json!({ "target": 1 }))),
        ("no amount", tran(1, "stock", 0)),
    ] {
        let mut net = pair(SEED);
        net.a().take_notices();
        from_bob(&mut net, "chit/pend", &invoice);
        assert!(net.a().rows("chit.chits").is_empty() && net.a().take_notices().is_empty(), "{what}");
    }
    let mut net = pair(SEED);
    let envelope = Envelope::new(&net.sites[1].chad("bob"), &net.sites[0].chad("alice"), "chit/pend", &other_tally);
    assert!(net.a().deliver(&envelope).is_err(), "the host knows no such relation");
}

#[test]
fn messages_out_of_place_are_ignored() {
    let mut net = pair(SEED);
    let asked = net.a().call("chit", "ask", json!({ "tally": TALLY, "user": "alice", "units": 5 })).unwrap();
    let no = |uuid: &Value| json!({ "tally": TALLY, "uuid": uuid });
    from_bob(&mut net, "chit/void", &no(&asked["uuid"]));
    let state = |net: &mut Net| {
        net.a().call("chit", "show", json!({ "tally": TALLY, "uuid": asked["uuid"] })).unwrap()["state"].clone()
    };
    assert_eq!(state(&mut net), "A.draft.pend", "not handed over yet");
    for strange in [json!({ "tally": TALLY }), no(&json!(5)), no(&json!("x")), no(&json!(uuid(5)))] {
        from_bob(&mut net, "chit/void", &strange);
    }
    net.settle();
    from_bob(&mut net, "chit/void", &no(&asked["uuid"]));
    from_bob(&mut net, "chit/void", &no(&asked["uuid"]));
    assert_eq!(state(&mut net), "A.void");
    // Somebody else at the partner's site may not speak about this tally.
    net.b().add_user("mallory");
    let mallory = net.sites[1].chad("mallory");
    let chit = signed(tran(1, "foil", 5), &key_of("bob", 2 * SEED + 1));
    let envelope = Envelope::new(&mallory, &net.sites[0].chad("alice"), "chit/good", &chit);
    assert!(net.a().deliver(&envelope).is_err());
}
