//! Settings in chain order, and back again (PROTOCOL 5.7).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::bench::Bench;
use kit::chits::*;
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::Net;

const SEED: u64 = 1;

/// Admits a chit of settings at alice's half.
fn admit(net: &mut Net, number: u64, by: &str, settings: Value) {
    let key = if by == "stock" { key_of("alice", 2 * SEED) } else { key_of("bob", 2 * SEED + 1) };
    let chit = signed(set(number, by, settings), &key);
    let answer = net.a().call("chit", "admit", json!({ "user": "alice", "chit": chit })).unwrap();
    assert_eq!(answer[0], "new");
}

fn link(net: &mut Net, number: u64, index: u64) -> Value {
    net.a().call("chit", "put.link", json!({ "user": "alice", "uuid": uuid(number), "index": index })).unwrap()
}

fn unlink(net: &mut Net, index: u64) -> Value {
    net.a().call("chit", "unlink", json!({ "user": "alice", "index": index })).unwrap()
}

#[test]
fn each_sides_settings_are_its_terms_and_then_its_own_sets() {
    let mut net = pair_of::<Bench>(SEED);
    admit(&mut net, 1, "stock", json!({ "target": "3", "bound": 7, "limit": 8 }));
    admit(&mut net, 2, "foil", json!({ "reward": 0.02, "target": 1 }));
    admit(&mut net, 3, "stock", json!({ "target": 4 }));
    assert!(net.a().rows("chit.settings").is_empty(), "what is not linked sets nothing");
    link(&mut net, 1, 1);
    link(&mut net, 2, 2);
    let both = link(&mut net, 3, 3);
    assert_eq!(
        both,
        json!({ "stock": { "target": 4, "bound": 7, "limit": 8 }, "foil": { "reward": 0.02, "target": 1 } })
    );
    assert_eq!(net.a().rows("chit.settings").into_values().next().unwrap(), both);
}

#[test]
fn an_unlinked_set_counts_no_more_until_it_is_linked_again_elsewhere() {
    let mut net = pair_of::<Bench>(SEED);
    for (number, target) in [(1, 1), (2, 2), (3, 3)] {
        admit(&mut net, number, "stock", json!({ "target": target }));
        link(&mut net, number, number);
    }
    assert_eq!(unlink(&mut net, 2)["stock"], json!({ "limit": 5, "target": 1 }));
    assert_eq!(link(&mut net, 3, 2)["stock"]["target"], 3);
    assert_eq!(link(&mut net, 2, 3)["stock"]["target"], 2);
    assert_eq!(unlink(&mut net, 3)["stock"]["target"], 3);
    assert_eq!(unlink(&mut net, 1), json!({ "stock": { "limit": 5 }, "foil": {} }));
    assert_eq!(unlink(&mut net, 1), json!({ "stock": { "limit": 5 }, "foil": {} }));
}

#[test]
fn rows_left_of_a_former_order_do_not_count() {
    let mut net = pair_of::<Bench>(SEED);
    for number in 1..=3 {
        admit(&mut net, number, "stock", json!({ "target": number }));
        link(&mut net, number, number);
    }
    // The link at 2 is another chit's by now, as after a displacement that was cleared in part.
    let stale = net.a().rows("chit.sets").into_iter().nth(1).unwrap();
    let link = json!({ "chit": uuid(9), "hash": "h" });
    net.a().write("chit.links", &stale.0, &link);
    assert_eq!(unlink(&mut net, 3)["stock"]["target"], 1);
}

#[test]
fn bad_trading_variables_are_linked_and_passed_over_as_a_group() {
    let mut net = pair_of::<Bench>(SEED);
    admit(&mut net, 1, "foil", json!({ "target": 3, "clutch": -2, "call": 30 }));
    assert_eq!(link(&mut net, 1, 1)["foil"], json!({ "call": 30 }));
    let log: Vec<&str> = net.sites[0].log().iter().map(|line| line.text.as_str()).collect();
    assert!(log.iter().any(|line| line.contains("clutch")), "{log:?}");
}

#[test]
fn t34_a_linked_close_of_either_side_begins_the_closing_and_stays() {
    for by in ["stock", "foil"] {
        let mut net = pair_of::<Bench>(SEED);
        admit(&mut net, 1, by, json!({ "close": true }));
        let state = |net: &mut Net| {
            let half = net.a().call("tally", "get", json!({ "user": "alice", "uuid": TALLY })).unwrap();
            half["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(state(&mut net), "open");
        assert_eq!(link(&mut net, 1, 1)[by]["close"], true);
        assert_eq!(state(&mut net), "C.open");
        unlink(&mut net, 1);
        assert_eq!(net.a().rows("chit.halves").into_values().next().unwrap()["phase"], "closing");
    }
}
