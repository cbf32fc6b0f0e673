//! What users do with chits, and how it arrives (PROTOCOL 5.6).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::acts::*;
use kit::*;
use serde_json::json;
use tallyho_plugin::Fate;
use tallyho_plugin::testkit::Net;

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
        ("pay", json!({ "units": 5, "tally": "00000000-0000-4000-8000-000000000000" }), "no-such-tally"),
        ("pay", json!({ "units": 5, "tally": format!("bob/{TALLY}") }), "no-such-tally"),
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
fn a_tally_that_is_not_open_takes_no_chits() {
    let mut net = pair(30);
    let (key, mut row) = net.a().rows("tally.tallies").pop_first().unwrap();
    for status in ["draft", "offer", "void"] {
        row["status"] = json!(status);
        net.a().write("tally.tallies", &key, &row);
        assert_eq!(refused(&mut net, 0, "pay", json!({ "units": 1 })), "state");
        act(&mut net, 1, "pay", json!({ "units": 1 })).unwrap();
        net.settle();
        assert!(net.a().rows("chit.chits").is_empty(), "{status}");
    }
}
