//! Whose keys, whose halves, whose settings: users of one site, keys kept elsewhere, closing, lists.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::acts::*;
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::Net;

#[test]
fn a_key_kept_elsewhere_signs_drafts_invoices_and_the_closing() {
    let mut net = pair(14);
    let key = net.b().add_user_elsewhere("bob");
    let fault = act(&mut net, 1, "pay", json!({ "units": 5 })).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.fix.unwrap().contains("chit draft")), ("custody", true));
    let draft = act(&mut net, 1, "draft", json!({ "units": 5, "memo": "x" })).unwrap();
    assert_eq!((&draft["state"], half(&mut net, 1)["pend"].clone()), (&json!("L.draft"), json!(0)));
    let text = draft["text"].as_str().unwrap();
    let accept = |signature: String| json!({ "uuid": draft["uuid"], "signature": signature });
    assert_eq!(refused(&mut net, 1, "accept", accept(key.sign("something else"))), "signature");
    both(&mut net, &draft["uuid"], "none", "L.draft");
    let fault = act(&mut net, 1, "accept", json!({ "uuid": draft["uuid"] })).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.fix.unwrap().contains("chit text")), ("custody", true));
    assert_eq!(act(&mut net, 1, "accept", accept(key.sign(text))).unwrap()["state"], "L.good");
    let dropped = act(&mut net, 1, "draft", json!({ "set": { "target": 3 } })).unwrap();
    assert_eq!(act(&mut net, 1, "refuse", json!({ "uuid": dropped["uuid"] })).unwrap()["state"], "none");
    both(&mut net, &dropped["uuid"], "none", "none");
    let asked = act(&mut net, 0, "ask", json!({ "units": 2 })).unwrap();
    net.settle();
    let text = act(&mut net, 1, "text", json!({ "uuid": asked["uuid"] })).unwrap();
    let signature = key.sign(text["text"].as_str().unwrap());
    act(&mut net, 1, "accept", json!({ "uuid": asked["uuid"], "signature": signature })).unwrap();
    net.settle();
    both(&mut net, &asked["uuid"], "A.good", "L.good");
    assert_eq!(half(&mut net, 0)["net"], 7);
    let close = act(&mut net, 1, "draft", json!({ "set": { "close": true } })).unwrap();
    let fault = act(&mut net, 1, "close", json!({ "signature": key.sign("no") })).unwrap_err();
    assert_eq!(fault.code, "signature");
    let signature = key.sign(close["text"].as_str().unwrap());
    let closed = act(&mut net, 1, "close", json!({ "signature": signature })).unwrap();
    assert_eq!(
        (&closed["uuid"], &closed["closing"], &closed["settled"]),
        (&close["uuid"], &json!(true), &json!(false))
    );
}

#[test]
fn a_users_new_key_does_not_pass_for_the_one_in_the_tally() {
    let mut net = pair(15);
    net.a().add_user_p521("alice");
    assert_eq!(refused(&mut net, 0, "pay", json!({ "units": 5 })), "signature");
    assert!(net.a().rows("chit.chits").is_empty() && net.a().sent().is_empty());
}

#[test]
fn settings_reach_both_sites_in_chain_order() {
    let mut net = pair(16);
    act(&mut net, 0, "set", json!({ "settings": { "target": "3", "bound": 7, "clutch": 0.001 } })).unwrap();
    net.settle();
    act(&mut net, 1, "set", json!({ "settings": { "reward": 0.02 } })).unwrap();
    net.settle();
    let expected =
        json!({ "stock": { "limit": 5, "target": 3, "bound": 7, "clutch": 0.001 }, "foil": { "reward": 0.02 } });
    for place in [0, 1] {
        assert_eq!(net.sites[place].rows("chit.settings").into_values().next().unwrap(), expected);
    }
    assert_eq!(refused(&mut net, 0, "set", json!({ "settings": { "reward": -0.5 } })), "settings");
    act(&mut net, 0, "set", json!({ "settings": { "clutch": 0.5, "reward": -0.5 } })).unwrap();
}

#[test]
fn closing_settles_and_a_pledge_that_comes_late_opens_it_once_more() {
    let mut net = pair(17);
    let state = |net: &mut Net, place: usize| {
        let half = net.sites[place].call("tally", "get", json!({ "user": USERS[place], "uuid": TALLY })).unwrap();
        half["state"].as_str().unwrap().to_owned()
    };
    act(&mut net, 1, "pay", json!({ "units": 5 })).unwrap();
    net.settle();
    let closing = act(&mut net, 1, "set", json!({ "settings": { "close": true } })).unwrap();
    assert_eq!((closing["state"].clone(), state(&mut net, 1)), (json!("L.good"), "C.open".to_owned()));
    net.settle();
    assert_eq!((state(&mut net, 0), state(&mut net, 1)), ("C.open".to_owned(), "C.open".to_owned()));
    act(&mut net, 0, "pay", json!({ "units": 5 })).unwrap();
    net.settle();
    assert_eq!((state(&mut net, 0), state(&mut net, 1)), ("close".to_owned(), "close".to_owned()));
    for name in ["pay", "ask"] {
        assert_eq!(refused(&mut net, 0, name, json!({ "units": 1 })), "closed");
    }
    // Signed elsewhere before the end came, and brought now.
    let late = kit::chits::signed(kit::chits::tran(1, "foil", 3), &kit::chits::key_of("bob", 35));
    let envelope = tallyho_plugin::testkit::Envelope::new(
        &net.sites[1].chad("bob"),
        &net.sites[0].chad("alice"),
        "chit/good",
        &late,
    );
    net.a().deliver(&envelope).unwrap();
    assert_eq!((state(&mut net, 0), half(&mut net, 0)["phase"].clone()), ("C.open".to_owned(), json!("closing")));
    net.calm(60_000);
    assert_eq!((state(&mut net, 0), state(&mut net, 1)), ("C.open".to_owned(), "C.open".to_owned()));
    act(&mut net, 0, "pay", json!({ "units": 3 })).unwrap();
    net.calm(60_000);
    assert_eq!((state(&mut net, 0), state(&mut net, 1)), ("close".to_owned(), "close".to_owned()));
}

#[test]
fn two_users_of_one_site_pay_each_other() {
    let mut net = house(18);
    assert_eq!(net.a().call("chit", "pay", json!({ "tally": TALLY, "units": 5 })).unwrap_err().code, "whose");
    let paid = net.a().call("chit", "pay", json!({ "tally": format!("bob/{}", &TALLY[..8]), "units": 5 })).unwrap();
    net.settle();
    for user in ["alice", "bob"] {
        let shown =
            net.a().call("chit", "show", json!({ "tally": &TALLY[..8], "user": user, "uuid": paid["uuid"] })).unwrap();
        assert_eq!(shown["confirmed"], true);
    }
}

#[test]
fn lists_come_in_pages_by_index_and_end_with_what_has_no_place() {
    let mut net = pair(19);
    for units in 1..=7 {
        act(&mut net, 1, "pay", json!({ "units": units })).unwrap();
        net.settle();
    }
    act(&mut net, 0, "ask", json!({ "units": 9 })).unwrap();
    let mut units = |arguments: Value| -> Vec<i64> {
        let listed = act(&mut net, 0, "list", arguments).unwrap();
        listed.as_array().unwrap().iter().map(|item| item["units"].as_i64().unwrap()).collect()
    };
    assert_eq!(units(json!({})), [1, 2, 3, 4, 5, 6, 7, 9]);
    assert_eq!(units(json!({ "limit": 3 })), [5, 6, 7, 9]);
    assert_eq!(units(json!({ "from": 1, "limit": 3 })), [1, 2, 3]);
    assert_eq!(units(json!({ "from": 4, "limit": 3 })), [4, 5, 6]);
    assert_eq!(units(json!({ "from": 7, "limit": 3 })), [7, 9]);
    assert_eq!(units(json!({ "from": 8 })), [9]);
    assert_eq!(units(json!({ "from": 0, "limit": 0 })), [1]);
    let listed = act(&mut net, 0, "list", json!({})).unwrap();
    for name in ["uuid", "by", "type", "units", "state", "index", "hash", "confirmed", "memo", "date"] {
        assert!(listed[0].get(name).is_some(), "{name}");
    }
    assert_eq!(
        (&listed[0]["confirmed"], &listed[7]["confirmed"], &listed[7]["index"]),
        (&json!(true), &json!(false), &json!(null))
    );
}

#[test]
fn long_texts_make_shorter_pages_that_keep_the_newest() {
    let mut net = pair(20);
    net.sites.iter_mut().for_each(|site| site.check_determinism(false));
    for _ in 0..80 {
        act(&mut net, 1, "pay", json!({ "units": 1, "memo": "x".repeat(59_000) })).unwrap();
    }
    let listed = act(&mut net, 1, "list", json!({})).unwrap();
    let listed = listed.as_array().unwrap();
    assert!(listed.len() < 80 && listed.len() > 60, "{}", listed.len());
    assert_eq!(listed.last().unwrap()["index"], 80);
    assert_eq!(act(&mut net, 1, "list", json!({ "from": 1 })).unwrap()[0]["index"], 1);
}

#[test]
fn a_tally_without_a_chit_is_closed_by_the_tally_handler_which_waits_and_cannot_be_called() {
    for place in [0, 1] {
        let mut net = pair(21);
        let order = json!({ "user": USERS[place], "uuid": TALLY });
        assert_eq!(net.sites[place].call("tally", "close", order).unwrap()["state"], "C.open");
        net.calm(60_000);
        for (site, user) in USERS.iter().enumerate() {
            let half = net.sites[site].call("tally", "get", json!({ "user": user, "uuid": TALLY })).unwrap();
            assert_eq!(half["state"], "close");
        }
    }
}
