//! Closing, and what else hangs on the chit handler (PROTOCOL 4.5 T26, T27, T34 to T36).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chit::Chit;
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::{Envelope, Net, Site};
use tallyho_plugin::{Fate, Fault, Handler};
use tallyho_tally::Tally;

fn close(net: &mut Net, uuid: &str) -> Result<Value, Fault> {
    net.a().command("close", json!({ "uuid": uuid, "user": "alice" }))
}

fn code(net: &mut Net, uuid: &str) -> String {
    states(net, uuid).0
}

/// `open` at both, and at bob's not confirmed: the acknowledgement is lost.
fn unconfirmed(net: &mut Net) -> String {
    let uuid = offered(net);
    bob(net, "accept", &uuid);
    let open = net.b().take_sent().remove(0);
    net.b().report(&open, Fate::HandedOver).unwrap();
    let envelope = open.envelope(&net.b().address());
    net.a().deliver(&envelope).unwrap();
    net.a().take_sent();
    uuid
}

#[test]
fn a_tally_on_which_nothing_is_owed_closes_at_once() {
    let mut net = pair(1);
    let uuid = opened(&mut net);
    net.a().take_notices();
    let answer = close(&mut net, &uuid).unwrap();
    assert_eq!((&answer["state"], &answer["half"]), (&json!("close"), &json!(format!("alice/{uuid}"))));
    assert!(answer["wait"].as_array().unwrap().contains(&json!("close")), "{answer}");
    assert_eq!(reasons(net.a(), "alice"), ["closing", "close"]);
}

#[test]
fn a_tally_with_a_balance_closes_when_that_is_settled() {
    let mut net = pair(2);
    let uuid = opened(&mut net);
    keeps(net.a(), "alice", &uuid, &balance(-500, 0, 1));
    assert_eq!(close(&mut net, &uuid).unwrap()["state"], "C.open");
    let again = close(&mut net, &uuid).unwrap_err();
    assert_eq!((again.code.as_str(), again.text.contains("closing already")), ("state", true), "{again}");
    assert!(again.fix.unwrap().contains("tally show"));
    keeps(net.a(), "alice", &uuid, &balance(0, 0, 3));
    net.a().take_notices();
    assert!(told(net.a(), "alice", &uuid, "settled"));
    assert_eq!((code(&mut net, &uuid), reasons(net.a(), "alice")), ("close".to_owned(), vec!["close".to_owned()]));
}

#[test]
fn a_tally_that_is_not_open_and_confirmed_is_not_closed() {
    let mut net = pair(3);
    let uuid = introduced(&mut net);
    let fault = close(&mut net, &uuid).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.text.contains("in state P.draft")), ("state", true), "{fault}");
    assert!(fault.text.contains("closing it is possible in open") && fault.fix.unwrap().contains("tally offer"));
    let uuid = unconfirmed(&mut net);
    let fault = net.b().command("close", json!({ "uuid": uuid })).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.text.contains("not confirmed")), ("state", true), "{fault}");
    assert!(fault.fix.unwrap().contains("tally resend"));
    net.calm(10_000);
    alice(&mut net, "resend", &uuid);
    assert_eq!(close(&mut net, &uuid).unwrap_err().code, "state", "open.open");
    assert!(net.a().rows("chit.halves").is_empty());
}

#[test]
fn closing_says_what_is_missing_for_it() {
    let mut net = pair(4);
    let uuid = opened(&mut net);
    // The same site without a handler for chits.
    let mut alone = Site::new(8).with::<Tally>().user("alice");
    alone.restore(&net.a().backup());
    let fault = alone.command("close", json!({ "uuid": uuid })).unwrap_err();
    assert!(fault.code == "no-settings" && fault.text.contains("no handler for settings is loaded"), "{fault}");
    assert!(fault.fix.unwrap().contains("load a plugin"));
    assert_eq!(shown(&mut alone, "alice", &uuid)["state"], "open");
}

#[test]
fn a_setting_that_the_chit_handler_refuses_closes_nothing() {
    let mut net = pair(5);
    let uuid = opened(&mut net);
    let signed = |word: &str| json!({ "uuid": uuid, "signature": word });
    let fault = net.a().command("close", signed("bad")).unwrap_err();
    assert_eq!((fault.code.as_str(), code(&mut net, &uuid).as_str()), ("signature", "open"));
    assert_eq!(net.a().command("close", signed("good")).unwrap()["state"], "close");
}

#[test]
fn what_does_not_fit_the_state_is_ignored() {
    let mut net = pair(6);
    let uuid = opened(&mut net);
    let mut tell = |event: &str| {
        let done = told(net.a(), "alice", &uuid, event);
        (done, states(&mut net, &uuid).0)
    };
    for (event, done, state) in [
        ("settled", false, "open"),
        ("reopened", false, "open"),
        ("closing", true, "C.open"),
        ("closing", false, "C.open"),
        ("reopened", false, "C.open"),
        ("settled", true, "close"),
        ("settled", false, "close"),
        ("closing", false, "close"),
        ("reopened", true, "C.open"),
        ("settled", true, "close"),
    ] {
        assert_eq!(tell(event), (done, state.to_owned()), "{event}");
    }
    let wrong = json!({ "uuid": uuid, "user": "alice", "event": "opened" });
    assert!(net.a().command("chit.tell", wrong).unwrap_err().text.contains("expected closing"));
    let unknown = json!({ "uuid": uuid, "user": "carol", "event": "closing" });
    assert_eq!(net.a().command("chit.tell", unknown).unwrap_err().code, "no-such-tally");
}

#[test]
fn a_pledge_that_comes_after_the_end_opens_the_tally_again_and_the_user_is_told() {
    let mut net = pair(7);
    let uuid = opened(&mut net);
    close(&mut net, &uuid).unwrap();
    net.a().take_notices();
    keeps(net.a(), "alice", &uuid, &balance(500, 0, 2));
    assert!(told(net.a(), "alice", &uuid, "reopened"));
    assert_eq!((code(&mut net, &uuid), reasons(net.a(), "alice")), ("C.open".into(), vec!["reopened".to_owned()]));
}

#[test]
fn the_partner_may_talk_about_a_closed_tally_as_about_an_open_one() {
    let mut net = pair(8);
    let uuid = opened(&mut net);
    let before = net.a().relations();
    close(&mut net, &uuid).unwrap();
    assert_eq!(net.a().relations(), before);
    net.a().advance(365 * 24 * 3_600_000);
    let object = json!({ "cmd": "upd", "tally": uuid, "index": 0, "hash": "h" });
    let chain = Envelope::new(&net.sites[1].chad("bob"), &net.sites[0].chad("alice"), "chit/chain", &object);
    net.a().deliver(&chain).unwrap();
    // As a tally, it hears nothing any more.
    for action in ["void", "open", "offer", "draft"] {
        let record = shown(net.a(), "alice", &uuid)["record"].clone();
        let verb = format!("tally/{action}");
        let message = Envelope::new(&net.sites[1].chad("bob"), &net.sites[0].chad("alice"), &verb, &record);
        net.a().deliver(&message).unwrap();
        assert_eq!((code(&mut net, &uuid), net.a().sent().len()), ("close".to_owned(), 0), "{action}");
    }
}

#[test]
fn a_resend_under_way_does_not_keep_the_closing_back() {
    let mut net = pair(9);
    let uuid = opened(&mut net);
    alice(&mut net, "resend", &uuid);
    assert!(told(net.a(), "alice", &uuid, "closing"));
    assert!(!told(net.a(), "alice", &uuid, "closing"));
    assert_eq!(code(&mut net, &uuid), "open.open");
    assert!(close(&mut net, &uuid).unwrap_err().text.contains("closing already"));
    net.settle();
    assert_eq!(code(&mut net, &uuid), "C.open");
    alice(&mut net, "resend", &uuid);
    assert!(told(net.a(), "alice", &uuid, "settled"));
    net.settle();
    assert_eq!(code(&mut net, &uuid), "close");
}

#[test]
fn an_acceptance_is_repeated_until_confirmed_though_the_tally_is_closing() {
    let mut net = pair(10);
    let uuid = unconfirmed(&mut net);
    assert!(told(net.b(), "bob", &uuid, "closing"));
    assert_eq!(shown(net.b(), "bob", &uuid)["conf"], Value::Null);
    net.calm(10_000);
    let seen = shown(net.b(), "bob", &uuid);
    assert_eq!((&seen["state"], &seen["conf"]), (&json!("C.open"), &json!(0)));
    assert!(net.b().timers().is_empty() || net.b().timers().iter().all(|(key, _)| !key.starts_with("open")));
}

#[test]
fn a_withdrawal_voids_an_acceptance_only_while_no_chit_is_there() {
    for (half, state) in [
        (None, "void"),
        (Some(balance(0, 0, 0)), "void"),
        (Some(balance(0, 0, 1)), "open"),
        (Some(balance(0, 7, 0)), "open"),
    ] {
        let mut net = pair(11);
        let uuid = unconfirmed(&mut net);
        if let Some(half) = &half {
            keeps(net.b(), "bob", &uuid, half);
        }
        let (alice, bob) = (net.a().chad("alice"), net.b().chad("bob"));
        net.b().deliver(&Envelope::new(&alice, &bob, "tally/void", &json!({ "uuid": uuid }))).unwrap();
        assert_eq!(states(&mut net, &uuid).1, state, "{half:?}");
    }
}

#[test]
fn balances_chain_and_settings_are_shown_as_the_chit_handler_has_them() {
    let mut net = pair(12);
    let uuid = opened(&mut net);
    let before = shown(net.a(), "alice", &uuid);
    assert_eq!((&before["net"], &before["net_p"], &before["end"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(before["chain"], json!({ "conf": 0, "end": 0, "stat": "con" }));
    assert_eq!(before["settings"], json!({ "stock": {}, "foil": {} }));
    let half = json!({ "net": -1234, "pend": 34, "end": 5, "conf": 3, "stat": "pen" });
    keeps(net.a(), "alice", &uuid, &half);
    let settings = json!({ "stock": { "target": 10 }, "foil": {} });
    net.a().write("chit.settings", format!("{uuid}\0alice").as_bytes(), &settings);
    let listed = net.a().command("list", json!({ "user": "alice" })).unwrap()[0].clone();
    for seen in [shown(net.a(), "alice", &uuid), listed] {
        assert_eq!((&seen["net"], &seen["net_p"], &seen["end"]), (&json!(-1234), &json!(-1200), &json!(5)));
        assert_eq!((&seen["conf"], &seen["chain"]), (&json!(3), &json!({ "conf": 3, "end": 5, "stat": "pen" })));
    }
    assert_eq!(shown(net.a(), "alice", &uuid)["settings"], settings);
    // A row of before index 0 was confirmed does not hide that it is.
    keeps(net.a(), "alice", &uuid, &json!({ "net": 0, "pend": 0, "end": 0, "conf": null, "stat": "non" }));
    assert_eq!(shown(net.a(), "alice", &uuid)["conf"], 0);
}

#[test]
fn the_two_handlers_declare_what_they_ask_of_each_other() {
    let (tally, chit) = (Tally::manifest(), Chit::manifest());
    assert!(tally.targets.iter().all(|target| target.name == "tally"));
    assert_eq!(tally.reads, ["chit.halves", "chit.settings"]);
    for name in ["get", "confirm", "chain"] {
        assert!(tally.commands.iter().any(|spec| spec.name == name && spec.invocable), "{name}");
    }
    assert!(chit.tables.iter().all(|table| tally.reads.contains(&format!("chit.{table}"))));
}
