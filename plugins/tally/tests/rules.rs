//! What each rule of PROTOCOL 4.5 keeps, where the flows do not show it.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::{Envelope, Net, UserKey};
use tallyho_plugin::{Fate, Handler};

fn refused(net: &mut Net, act: &str, uuid: &str) -> tallyho_plugin::Fault {
    net.a().command(act, json!({ "uuid": uuid, "user": "alice" })).unwrap_err()
}

#[test]
fn a_draft_needs_partner_and_agreement_before_it_is_offered() {
    let mut net = pair(1);
    let uuid = net.a().command("ticket.new", json!({ "user": "alice" })).unwrap()["tally"].as_str().unwrap().to_owned();
    assert_eq!(refused(&mut net, "offer", &uuid).code, "no-partner");
    let uuid = introduced(&mut net);
    net.a().command("edit", json!({ "uuid": uuid, "agree": "" })).unwrap();
    let fault = refused(&mut net, "offer", &uuid);
    assert_eq!((fault.code.as_str(), fault.fix.unwrap().contains("tally edit")), ("no-agree", true));
    net.a().command("edit", json!({ "uuid": uuid, "agree": { "host": "mychips.org", "source": "x" } })).unwrap();
    assert_eq!(alice(&mut net, "offer", &uuid)["state"], "draft.offer");
}

#[test]
fn an_edit_checks_what_it_is_given_and_the_uuid_is_fixed_by_the_first_offer() {
    let mut net = pair(2);
    let uuid = introduced(&mut net);
    let mut edit = |change: Value| {
        let mut arguments = json!({ "uuid": uuid });
        arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        net.a().command("edit", arguments)
    };
    for wrong in [
        json!({}),
        json!({ "terms": 5 }),
        json!({ "agree": 5 }),
        json!({ "terms": { "a": null } }),
        json!({ "new-uuid": "X" }),
        json!({ "memo": "x".repeat(5000) }),
    ] {
        assert!(edit(wrong.clone()).is_err(), "{wrong}");
    }
    let new = "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55";
    assert_eq!(edit(json!({ "new-uuid": new, "partner-terms": { "limit": 1 } })).unwrap()["uuid"], new);
    assert_eq!(states(&mut net, new).0, "P.draft");
    assert!(shown(net.a(), "alice", &uuid).is_null());
    assert_eq!(net.a().relations()[0].subject, new);
    alice(&mut net, "offer", new);
    net.settle();
    bob(&mut net, "revise", &new[..8]);
    net.settle();
    let again = net.b().command("edit", json!({ "uuid": new, "new-uuid": uuid })).unwrap_err();
    assert!(again.text.contains("stays"), "{again}");
}

#[test]
fn an_offer_is_answered_and_never_countered_directly() {
    let mut net = pair(3);
    let uuid = offered(&mut net);
    let fault = net.b().command("offer", json!({ "uuid": uuid })).unwrap_err();
    assert_eq!(fault.code, "state");
    assert!(fault.text.contains("P.offer") && fault.text.contains("draft, P.draft"), "{fault}");
    assert!(fault.fix.unwrap().contains("tally revise"));
}

#[test]
fn a_signature_that_went_bad_is_found_before_anything_leaves() {
    for (act, stored, state) in [("offer", "P.draft", "draft.offer"), ("accept", "P.offer", "offer.open")] {
        let mut net = pair(4);
        let uuid = if act == "offer" { introduced(&mut net) } else { offered(&mut net) };
        let (site, user) = if act == "offer" { (0, "alice") } else { (1, "bob") };
        net.sites[site].command(act, json!({ "uuid": uuid, "user": user })).unwrap();
        assert_eq!(shown(&mut net.sites[site], user, &uuid)["state"], state);
        // The stored signature is damaged while the message waits; the restart looks at it again.
        let (key, mut row) = net.sites[site].rows("tally.tallies").pop_first().unwrap();
        row["own_sign"] = json!("AAAA");
        net.sites[site].write("tally.tallies", &key, &row);
        net.sites[site].take_sent();
        net.sites[site].take_notices();
        net.sites[site].restart();
        assert_eq!(shown(&mut net.sites[site], user, &uuid)["state"], stored);
        assert!(net.sites[site].sent().is_empty());
        let reason = if act == "offer" { "offer" } else { "open" };
        assert_eq!(reasons(&mut net.sites[site], user), [reason]);
    }
}

#[test]
fn a_stalled_request_is_shown_told_and_raised_again_by_the_user_or_a_restart() {
    let mut net = pair(5);
    let uuid = introduced(&mut net);
    net.a().take_notices();
    alice(&mut net, "offer", &uuid);
    net.stall();
    let seen = shown(net.a(), "alice", &uuid);
    assert_eq!((&seen["state"], &seen["stalled"]), (&json!("draft.offer"), &json!("cannot connect")));
    assert_eq!(reasons(net.a(), "alice"), ["stalled"]);
    assert!(net.a().sent()[0].stalled);
    alice(&mut net, "offer", &uuid);
    assert!(!net.a().sent()[0].stalled && net.a().sent().len() == 1);
    assert!(shown(net.a(), "alice", &uuid)["stalled"].is_null());
    net.stall();
    net.a().restart();
    assert!(shown(net.a(), "alice", &uuid)["stalled"].is_null());
    net.settle();
    assert_eq!(states(&mut net, &uuid), ("H.offer".into(), "P.offer".into()));
}

#[test]
fn a_restart_raises_everything_that_was_under_way_however_much_it_is() {
    let mut net = pair(34);
    let uuids: Vec<String> = (0..230).map(|_| introduced(&mut net)).collect();
    for uuid in &uuids {
        alice(&mut net, "offer", uuid);
    }
    net.a().take_sent();
    net.a().restart();
    assert!(net.a().sent().len() <= 100, "one event does not do all of it");
    net.a().fire_timers();
    let raised: std::collections::BTreeSet<String> =
        net.a().sent().iter().map(|sent| sent.object()["uuid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(raised, uuids.into_iter().collect());
    assert_eq!(net.a().fire_timers(), 0);
}

#[test]
fn a_record_that_breaks_the_guard_has_no_effect() {
    let mut net = pair(7);
    let uuid = offered(&mut net);
    let good = shown(net.a(), "alice", &uuid)["record"].clone();
    let (alice, eve) = (alices_key(7), UserKey::of("eve"));
    let stock: &[(&str, &UserKey)] = &[("stock", &alice)];
    let offers = [
        resigned(&good, |record| record["version"] = json!(2), stock),
        resigned(&good, |record| record["extra"] = json!(1), stock),
        resigned(&good, |record| record["agree"] = Value::Null, stock),
        resigned(&good, |record| record["revision"] = json!(0), stock),
        resigned(&good, |record| record["foil"]["cert"]["public"] = eve.public(), stock),
        resigned(&good, |record| record["foil"]["cert"]["chad"]["cuid"] = json!("bert"), stock),
        resigned(&good, |record| record["stock"]["cert"]["public"] = eve.public(), &[("stock", &eve)]),
        resigned(&good, |record| record["memo"] = json!("x"), &[("stock", &eve)]),
        resigned(&good, |record| record["memo"] = json!("x"), &[]),
        resigned(&good, |record| record["memo"] = json!("x"), &[("stock", &alice), ("foil", &bobs_key(7))]),
    ];
    for (place, offer) in offers.iter().enumerate() {
        from_alice(&mut net, "offer", offer);
        assert_eq!(shown(net.b(), "bob", &uuid)["record"], good, "offer {place}");
        assert!(net.b().log().len() > place, "offer {place} is not logged");
    }
    // The same, unbroken, does replace.
    from_alice(&mut net, "offer", &resigned(&good, |record| record["memo"] = json!("x"), stock));
    assert_eq!(shown(net.b(), "bob", &uuid)["record"]["memo"], "x");
}

#[test]
fn only_the_offer_as_it_was_made_can_be_accepted() {
    let mut net = pair(8);
    let uuid = offered(&mut net);
    let record = shown(net.a(), "alice", &uuid)["record"].clone();
    let (alice, bob) = (alices_key(8), bobs_key(8));
    let both: &[(&str, &UserKey)] = &[("stock", &alice), ("foil", &bob)];
    from_bob(&mut net, "tally/open", &resigned(&record, |record| record["memo"] = json!("x"), both));
    from_bob(&mut net, "tally/open", &resigned(&record, |_| (), &[("foil", &bob)]));
    from_bob(&mut net, "tally/open", &resigned(&record, |_| (), &[("stock", &bob), ("foil", &bob)]));
    let mut lying = resigned(&record, |_| (), both);
    lying["sign"]["hash"] = json!("5s_dUoqy2tclzeXxMuYD16IzFgQ4xHlKMMO4RQM1uXo");
    from_bob(&mut net, "tally/open", &lying);
    assert_eq!(states(&mut net, &uuid).0, "H.offer");
    assert!(net.a().sent().is_empty());
    from_bob(&mut net, "tally/open", &resigned(&record, |_| (), both));
    let seen = shown(net.a(), "alice", &uuid);
    assert_eq!(
        (&seen["state"], &seen["conf"], &seen["settings"]),
        (&json!("open"), &json!(0), &json!({ "stock": {}, "foil": {} }))
    );
    assert_eq!(net.a().sent()[0].object(), json!({ "cmd": "ack", "tally": uuid, "index": 0, "hash": seen["hash"] }));
}

#[test]
fn the_acceptor_is_confirmed_by_the_right_hash_alone() {
    let mut net = pair(9);
    let uuid = offered(&mut net);
    bob(&mut net, "accept", &uuid);
    let open = net.b().take_sent().remove(0);
    net.b().report(&open, Fate::HandedOver).unwrap();
    let hash = shown(net.b(), "bob", &uuid)["hash"].clone();
    let ack =
        |hash: &Value, index: u64, word: &str| json!({ word: "ack", "tally": uuid, "index": index, "hash": hash });
    let deliver = |net: &mut Net, object: Value| {
        let envelope = Envelope::new(&net.sites[0].chad("alice"), &net.sites[1].chad("bob"), "chit/chain", &object);
        net.b().deliver(&envelope).unwrap();
        shown(net.b(), "bob", &uuid)["conf"].clone()
    };
    assert!(deliver(&mut net, ack(&json!("other"), 0, "cmd")).is_null());
    assert!(deliver(&mut net, ack(&hash, 1, "cmd")).is_null());
    assert_eq!(deliver(&mut net, ack(&hash, 0, "sub")), 0);
    assert!(net.b().timers().iter().all(|(key, _)| !key.starts_with("open")));
    // A withdrawal that comes after that is too late.
    from_alice(&mut net, "void", &json!({ "uuid": uuid }));
    assert_eq!(states(&mut net, &uuid).1, "open");
}

#[test]
fn a_tally_lost_by_one_side_is_given_back_by_the_other() {
    let mut net = pair(12);
    let uuid = introduced(&mut net);
    let backup = net.b().backup();
    alice(&mut net, "offer", &uuid);
    net.settle();
    bob(&mut net, "accept", &uuid);
    net.settle();
    net.b().restore(&backup);
    net.b().restart();
    net.b().command("settings", json!({ "recovery": "off" })).unwrap();
    assert_eq!(alice(&mut net, "resend", &uuid)["state"], "open.open");
    net.settle();
    assert_eq!(states(&mut net, &uuid), ("open".into(), "none".into()));
    net.b().command("settings", json!({ "recovery": "on" })).unwrap();
    net.b().take_notices();
    alice(&mut net, "resend", &uuid);
    net.settle();
    assert!(agreed(&mut net, &uuid));
    assert_eq!(reasons(net.b(), "bob"), ["recovered"]);
    // What our own user has not signed is nobody's to give back.
    let record = shown(net.a(), "alice", &uuid)["record"].clone();
    let forged = resigned(
        &record,
        |record| record["uuid"] = json!("9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55"),
        &[("stock", &alices_key(12)), ("foil", &alices_key(12))],
    );
    from_alice(&mut net, "open", &forged);
    assert_eq!(states(&mut net, "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55").1, "none");
}

#[test]
fn nobody_but_the_partner_can_speak_about_a_tally() {
    let mut net = pair(13);
    let uuid = offered(&mut net);
    let eve = tallyho_plugin::testkit::Site::new(5).user("eve").chad("eve");
    // Let in by the host for another reason, to be sure that the handler looks too.
    let ticket = json!({ "token": "0123456789abcdef0123456789abcdef", "chad": eve });
    net.a().command("ticket.use", json!({ "ticket": ticket, "user": "alice" })).unwrap();
    let open = shown(net.b(), "bob", &uuid)["record"].clone();
    for (verb, object) in [("tally/offer", &open), ("tally/open", &open)] {
        let envelope = Envelope::new(&eve, &net.a().chad("alice"), verb, object);
        net.a().deliver(&envelope).unwrap();
    }
    let void = Envelope::new(&eve, &net.a().chad("alice"), "tally/void", &json!({ "uuid": uuid }));
    assert!(net.a().deliver(&void).is_err());
    assert_eq!(states(&mut net, &uuid).0, "H.offer");
}

#[test]
fn a_tally_is_named_by_the_beginning_of_its_uuid() {
    let mut net = pair(15);
    let uuid = offered(&mut net);
    assert_eq!(net.b().command("show", json!({ "uuid": &uuid[..6] })).unwrap()["uuid"], uuid);
    assert_eq!(net.b().command("show", json!({ "uuid": "zz" })).unwrap_err().code, "no-such-tally");
    for _ in 0..40 {
        net.a().command("ticket.new", json!({ "user": "alice" })).unwrap();
    }
    let digits = "0123456789abcdef".chars().map(|digit| net.a().command("show", json!({ "uuid": digit.to_string() })));
    assert!(digits.filter_map(Result::err).any(|fault| fault.code == "ambiguous"));
    let summary = net.a().command("show", json!({ "uuid": uuid })).unwrap();
    assert_eq!(
        (&summary["net"], &summary["net_p"], &summary["chain"]),
        (&json!(0), &json!(0), &json!({ "conf": null, "end": 0, "stat": "non" }))
    );
}

#[test]
fn what_waits_for_open_or_confirmed_is_told_by_the_half_it_acted_on() {
    let mut net = house(17);
    let uuid = opened(&mut net);
    for holder in ["alice", "bob"] {
        let state = net.a().command("state", json!({ "half": format!("{holder}/{uuid}") })).unwrap();
        let words = state["wait"].as_array().unwrap();
        assert!(words.contains(&json!("open")) && words.contains(&json!("confirmed")), "{state}");
    }
    let fault = net.a().command("state", json!({ "half": uuid })).unwrap_err();
    assert_eq!(fault.code, "whose");
    let manifest = tallyho_tally::Tally::manifest();
    for name in ["offer", "accept", "resend", "edit", "close"] {
        let wait = manifest.commands.iter().find(|spec| spec.name == name).unwrap().wait.clone().unwrap();
        assert!(manifest.commands.iter().any(|spec| spec.name == wait.command));
    }
}

#[test]
fn the_checks_of_a_message_are_named_beforehand() {
    let mut net = pair(18);
    let uuid = offered(&mut net);
    let object = shown(net.a(), "alice", &uuid)["record"].clone();
    let offer = tallyho_plugin::Event::Message(tallyho_plugin::Message {
        target: "tally".into(),
        action: "offer".into(),
        to: net.b().chad("bob"),
        from: net.a().chad("alice"),
        tally: None,
        ticket: None,
        restricted: false,
        asked: false,
        attempt: None,
        body: tallyho_plugin::context::to_cbor(&object).unwrap(),
    });
    // The host asks only for what the manifest names.
    assert_eq!(tallyho_tally::Tally::manifest().targets[0].prepared, ["offer", "open"]);
    let checks = tallyho_tally::Tally.prepare(&offer);
    assert_eq!(checks.len(), 1);
    assert!(tallyho_plugin::record::signing::verify(&checks[0]));
}
