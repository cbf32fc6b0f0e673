//! What users do with chits, and how it arrives (PROTOCOL 5.6).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::Net;
use tallyho_plugin::{Fate, Fault};

/// An act of alice's (place 0) or bob's (place 1).
fn act(net: &mut Net, place: usize, name: &str, mut arguments: Value) -> Result<Value, Fault> {
    arguments["user"] = USERS[place.min(1)].into();
    if arguments["tally"].is_null() {
        arguments["tally"] = TALLY.into();
    }
    let site = place.min(net.sites.len() - 1);
    net.sites[site].call("chit", name, arguments)
}

fn refused(net: &mut Net, place: usize, name: &str, arguments: Value) -> String {
    let fault = act(net, place, name, arguments).unwrap_err();
    assert!(fault.fix.is_some(), "no remedy: {fault}");
    fault.code
}

/// The state of a chit at alice's and at bob's.
fn states(net: &mut Net, uuid: &Value) -> (String, String) {
    let mut state = |place| {
        let shown = act(net, place, "show", json!({ "uuid": uuid })).unwrap_or_default();
        shown["state"].as_str().unwrap_or("none").to_owned()
    };
    (state(0), state(1))
}

fn both(net: &mut Net, uuid: &Value, alice: &str, bob: &str) {
    assert_eq!(states(net, uuid), (alice.to_owned(), bob.to_owned()));
}

/// Reasons told about chits since last asked.
fn reasons(net: &mut Net, place: usize) -> Vec<String> {
    let notices = net.sites[place].take_notices().into_iter().filter(|(_, notice)| notice["about"] == "chit");
    notices.map(|(_, notice)| notice["reason"].as_str().unwrap().to_owned()).collect()
}

fn half(net: &mut Net, place: usize) -> Value {
    net.sites[place].rows("chit.halves").into_values().next().unwrap_or_default()
}

#[test]
fn a_payment_is_good_at_once_and_confirmed_when_the_partner_has_it() {
    for place in [0, 1] {
        let mut net = pair(1);
        let paid =
            act(&mut net, place, "pay", json!({ "units": 5, "memo": "Rye loaf", "ref": { "inv": "A-17" } })).unwrap();
        assert_eq!((&paid["state"], &paid["index"]), (&json!("L.good"), &json!(1)));
        assert_eq!(paid["wait"], json!(["L.good", "good", "linked"]));
        net.settle();
        let state = |net: &mut Net, site: usize| {
            let chit = format!("{}/{TALLY}/{}", USERS[site], paid["uuid"].as_str().unwrap());
            net.sites[site].call("chit", "state", json!({ "chit": chit })).unwrap()
        };
        assert_eq!(state(&mut net, place)["wait"], json!(["L.good", "good", "linked", "confirmed"]));
        let theirs = state(&mut net, 1 - place);
        assert_eq!(
            (&theirs["state"], &theirs["hash"], &theirs["link"]),
            (&json!("A.good"), &paid["hash"], &paid["link"])
        );
        assert_eq!(
            (half(&mut net, place)["net"].clone(), half(&mut net, 1 - place)["net"].clone()),
            (json!(-5), json!(5))
        );
        let told = net.sites[1 - place].take_notices();
        assert_eq!((&told[0].1["memo"], &told[0].1["reason"]), (&json!("Rye loaf"), &json!("good")));
        assert_eq!(net.take_refusals(), []);
    }
}

#[test]
fn an_invoice_is_paid_as_it_stands() {
    let mut net = pair(2);
    let asked = act(&mut net, 0, "ask", json!({ "units": 7, "memo": "Rye" })).unwrap();
    assert_eq!((&asked["state"], &asked["wait"]), (&json!("A.draft.pend"), &json!(["A.draft.pend"])));
    assert_eq!(half(&mut net, 0)["pend"], 0);
    net.settle();
    both(&mut net, &asked["uuid"], "A.pend", "L.pend");
    assert_eq!((half(&mut net, 0)["pend"].clone(), half(&mut net, 1)["pend"].clone()), (json!(7), json!(-7)));
    assert_eq!((half(&mut net, 1)["invoices"].clone(), reasons(&mut net, 1)), (json!(1), vec!["pend".to_owned()]));
    let text = act(&mut net, 1, "text", json!({ "uuid": asked["uuid"] })).unwrap();
    assert!(text["text"].as_str().unwrap().contains("\"units\":7"));
    let paid = act(&mut net, 1, "accept", json!({ "uuid": &asked["uuid"].as_str().unwrap()[..8] })).unwrap();
    assert_eq!((&paid["state"], &paid["hash"]), (&json!("L.good"), &asked["hash"]));
    net.settle();
    both(&mut net, &asked["uuid"], "A.good", "L.good");
    let half = half(&mut net, 0);
    assert_eq!((&half["net"], &half["pend"], &half["conf"]), (&json!(7), &json!(0), &json!(1)));
    assert!(
        net.sites.iter().all(|site| site.rows("chit.unsigned").is_empty() && site.rows("chit.requests").is_empty())
    );
}

#[test]
fn an_invoice_is_refused_and_asked_for_anew() {
    let mut net = pair(3);
    let asked = act(&mut net, 0, "ask", json!({ "units": 7 })).unwrap();
    net.settle();
    let no = act(&mut net, 1, "refuse", json!({ "uuid": asked["uuid"] })).unwrap();
    assert_eq!(no["state"], "L.pend.void");
    net.settle();
    both(&mut net, &asked["uuid"], "A.void", "L.void");
    assert_eq!((half(&mut net, 0)["pend"].clone(), half(&mut net, 1)["pend"].clone()), (json!(0), json!(0)));
    assert_eq!(reasons(&mut net, 0), ["void"]);
    net.a().advance(1);
    let again = act(&mut net, 0, "ask", json!({ "units": 6, "again": asked["uuid"] })).unwrap();
    assert_eq!(again["uuid"], asked["uuid"]);
    net.settle();
    both(&mut net, &asked["uuid"], "A.pend", "L.pend");
    assert_eq!(half(&mut net, 1)["pend"], -6);
    act(&mut net, 1, "accept", json!({ "uuid": asked["uuid"] })).unwrap();
    net.settle();
    both(&mut net, &asked["uuid"], "A.good", "L.good");
}

#[test]
fn an_invoice_refused_whose_refusal_got_lost_is_refused_again_when_it_is_repeated() {
    let mut net = pair(4);
    let asked = act(&mut net, 0, "ask", json!({ "units": 7 })).unwrap();
    net.settle();
    act(&mut net, 1, "refuse", json!({ "uuid": asked["uuid"] })).unwrap();
    let lost = net.b().take_sent().remove(0);
    net.b().report(&lost, Fate::HandedOver).unwrap();
    both(&mut net, &asked["uuid"], "A.pend", "L.void");
    reasons(&mut net, 1);
    act(&mut net, 0, "resend", json!({ "uuid": asked["uuid"] })).unwrap();
    net.settle();
    both(&mut net, &asked["uuid"], "A.void", "L.void");
    assert_eq!(reasons(&mut net, 1), [] as [&str; 0], "the same question is not put to the user twice");
}

#[test]
fn the_payor_may_refuse_again_by_hand() {
    let mut net = pair(5);
    let asked = act(&mut net, 0, "ask", json!({ "units": 7 })).unwrap();
    net.settle();
    act(&mut net, 1, "refuse", json!({ "uuid": asked["uuid"] })).unwrap();
    let lost = net.b().take_sent().remove(0);
    net.b().report(&lost, Fate::HandedOver).unwrap();
    act(&mut net, 1, "resend", json!({ "uuid": asked["uuid"] })).unwrap();
    net.settle();
    both(&mut net, &asked["uuid"], "A.void", "L.void");
}

#[test]
fn requests_that_stall_are_shown_told_and_raised_again_by_hand_or_by_a_restart() {
    let mut net = pair(6);
    let asked = act(&mut net, 0, "ask", json!({ "units": 7 })).unwrap();
    net.stall();
    let shown = act(&mut net, 0, "show", json!({ "uuid": asked["uuid"] })).unwrap();
    assert_eq!((&shown["stalled"], &shown["state"]), (&json!("cannot connect"), &json!("A.draft.pend")));
    assert_eq!(reasons(&mut net, 0), ["stalled"]);
    act(&mut net, 0, "resend", json!({ "uuid": asked["uuid"] })).unwrap();
    assert!(act(&mut net, 0, "show", json!({ "uuid": asked["uuid"] })).unwrap()["stalled"].is_null());
    net.stall();
    net.a().take_sent();
    net.a().restart();
    assert_eq!(net.a().sent().len(), 1);
    assert!(act(&mut net, 0, "show", json!({ "uuid": asked["uuid"] })).unwrap()["stalled"].is_null());
    net.settle();
    both(&mut net, &asked["uuid"], "A.pend", "L.pend");
    act(&mut net, 1, "refuse", json!({ "uuid": asked["uuid"] })).unwrap();
    net.stall();
    assert_eq!(act(&mut net, 1, "refuse", json!({ "uuid": asked["uuid"] })).unwrap()["state"], "L.pend.void");
    net.settle();
    both(&mut net, &asked["uuid"], "A.void", "L.void");
}

#[test]
fn a_restart_raises_hundreds_of_requests_some_at_a_time() {
    let mut net = pair(7);
    for _ in 0..250 {
        act(&mut net, 0, "ask", json!({ "units": 1 })).unwrap();
    }
    net.a().take_sent();
    net.a().restart();
    assert_eq!(net.a().sent().len(), 100);
    net.a().fire_timers();
    assert_eq!(net.a().sent().len(), 250);
    net.settle();
    assert_eq!(half(&mut net, 1)["invoices"], 250);
}

#[test]
fn a_partners_flood_of_invoices_ends_at_the_bound() {
    let mut net = pair(8);
    net.sites.iter_mut().for_each(|site| site.check_determinism(false));
    for _ in 0..1_003 {
        act(&mut net, 0, "ask", json!({ "units": 1 })).unwrap();
        net.settle();
    }
    assert_eq!((half(&mut net, 1)["invoices"].clone(), net.b().metric("chit", "ignored")), (json!(1_000), 3));
}

#[test]
fn what_cannot_be_done_is_refused_by_name_and_leaves_nothing() {
    let mut net = pair(9);
    for units in [json!(0), json!(-5), json!(1.5), json!(1u64 << 53), json!("5"), json!(null), json!([5])] {
        for name in ["pay", "ask", "draft"] {
            assert_eq!(refused(&mut net, 0, name, json!({ "units": units })), "units", "{name} {units}");
        }
    }
    let long = "x".repeat(60_000);
    for (name, arguments, code) in [
        ("pay", json!({ "units": 5, "ref": { "a": null } }), "record"),
        ("pay", json!({ "units": 5, "memo": long }), "record"),
        ("pay", json!({ "units": 5, "tally": "ffff" }), "no-such-tally"),
        ("accept", json!({ "uuid": "ffff" }), "no-such-chit"),
        ("refuse", json!({ "uuid": "ffff" }), "no-such-chit"),
        ("resend", json!({ "uuid": "ffff" }), "no-such-chit"),
        ("set", json!({ "settings": 5 }), "settings"),
        ("set", json!({ "settings": {} }), "settings"),
        ("set", json!({ "settings": { "close": false } }), "settings"),
        ("set", json!({ "settings": { "target": -1 } }), "settings"),
        ("set", json!({ "settings": { "reward": 0.5, "clutch": -0.6 } }), "settings"),
        ("set", json!({ "settings": { "note": null } }), "record"),
        ("set", json!({ "settings": { "note": "x".repeat(20_000) } }), "settings"),
        ("mend", json!({}), "state"),
    ] {
        assert_eq!(refused(&mut net, 0, name, arguments.clone()), code, "{name} {arguments}");
    }
    assert!(net.a().rows("chit.chits").is_empty() && net.a().sent().is_empty());
}

#[test]
fn acts_that_do_not_fit_the_state_say_what_does() {
    let mut net = pair(10);
    let asked = act(&mut net, 0, "ask", json!({ "units": 7 })).unwrap();
    net.settle();
    let paid = act(&mut net, 1, "pay", json!({ "units": 2 })).unwrap();
    net.settle();
    for (place, name, chit, code) in [
        (0, "accept", &asked, "ILI"),
        (0, "refuse", &asked, "ILI"),
        (0, "accept", &paid, "ILI"),
        (0, "resend", &paid, "ILI"),
        (1, "accept", &paid, "state"),
        (1, "refuse", &paid, "state"),
    ] {
        assert_eq!(refused(&mut net, place, name, json!({ "uuid": chit["uuid"] })), code, "{place} {name}");
    }
    assert_eq!(refused(&mut net, 0, "ask", json!({ "units": 1, "again": asked["uuid"] })), "state");
    let fault = act(&mut net, 1, "refuse", json!({ "uuid": paid["uuid"] })).unwrap_err();
    assert!(fault.text.contains("L.good") && fault.text.contains("L.pend"), "{fault}");
}

#[test]
fn c14_a_pledge_is_sent_again_as_it_is_linked_now() {
    let mut net = pair(11);
    let paid = act(&mut net, 1, "pay", json!({ "units": 2 })).unwrap();
    let lost = net.b().take_sent().remove(0);
    net.b().report(&lost, Fate::HandedOver).unwrap();
    assert_eq!(act(&mut net, 1, "resend", json!({ "uuid": paid["uuid"] })).unwrap()["state"], "L.good");
    assert_eq!(net.b().sent()[0].object(), lost.object());
    net.settle();
    both(&mut net, &paid["uuid"], "A.good", "L.good");
}

#[test]
fn an_unconfirmed_tally_neither_pays_nor_asks() {
    let mut net = pair(12);
    open(&mut net, Some(0), None);
    for (name, arguments) in [
        ("pay", json!({ "units": 1 })),
        ("ask", json!({ "units": 1 })),
        ("set", json!({ "settings": { "target": 1 } })),
    ] {
        assert_eq!(refused(&mut net, 1, name, arguments), "unconfirmed");
    }
    assert!(net.b().sent().is_empty() && net.b().rows("chit.chits").is_empty());
    act(&mut net, 0, "pay", json!({ "units": 1 })).unwrap();
    net.settle();
    act(&mut net, 1, "pay", json!({ "units": 1 })).unwrap();
}

#[test]
fn a_balance_stays_within_what_every_reader_keeps_exact() {
    let mut net = pair(13);
    let most = 9_007_199_254_740_991_i64;
    act(&mut net, 0, "pay", json!({ "units": most })).unwrap();
    assert_eq!(refused(&mut net, 0, "pay", json!({ "units": 1 })), "range");
    net.settle();
    assert_eq!(refused(&mut net, 1, "ask", json!({ "units": 1 })), "range");
    act(&mut net, 1, "pay", json!({ "units": 1 })).unwrap();
    act(&mut net, 0, "ask", json!({ "units": most })).unwrap();
    net.settle();
    act(&mut net, 0, "pay", json!({ "units": 1 })).unwrap();
    net.settle();
    assert_eq!(half(&mut net, 0)["net"], -most);
}

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
