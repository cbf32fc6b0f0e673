//! PROTOCOL 4.7, message by message, and what crosses on the way.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::json;
use tallyho_plugin::record::{AgentId, Chad};

fn both(net: &mut tallyho_plugin::testkit::Net, uuid: &str, alice: &str, bob: &str) {
    assert_eq!(states(net, uuid), (alice.to_owned(), bob.to_owned()));
}

#[test]
fn an_offer_accepted_opens_both_halves_with_one_hash() {
    let mut net = pair(1);
    let uuid = introduced(&mut net);
    both(&mut net, &uuid, "P.draft", "none");
    assert_eq!(alice(&mut net, "offer", &uuid)["state"], "draft.offer");
    net.settle();
    both(&mut net, &uuid, "H.offer", "P.offer");
    assert_eq!(bob(&mut net, "accept", &uuid)["state"], "offer.open");
    net.settle();
    assert!(agreed(&mut net, &uuid));
    assert_eq!(
        (reasons(net.a(), "alice"), reasons(net.b(), "bob")),
        (vec!["ticket".to_owned(), "open".to_owned()], vec!["offer".to_owned(), "confirmed".to_owned()],)
    );
    assert_eq!(net.take_refusals(), []);
    net.calm(3_600_000);
    assert!(
        net.sites
            .iter()
            .all(|site| site.sent().is_empty() && site.timers().iter().all(|(key, _)| !key.starts_with("open")))
    );
}

#[test]
fn a_counter_offer_goes_back_with_the_next_revision_and_may_swap_sides() {
    let mut net = pair(2);
    let uuid = offered(&mut net);
    assert_eq!(bob(&mut net, "revise", &uuid)["state"], "offer.draft");
    net.settle();
    both(&mut net, &uuid, "H.offer", "P.draft");
    assert!(reasons(net.a(), "alice").contains(&"draft".to_owned()));
    assert_eq!(shown(net.b(), "bob", &uuid)["record"]["revision"], 2);
    assert_eq!(shown(net.b(), "bob", &uuid)["record"]["sign"], json!({}));
    let change = json!({ "uuid": uuid, "side": "stock", "memo": "other bread", "terms": { "limit": 5 } });
    net.b().command("edit", change).unwrap();
    bob(&mut net, "offer", &uuid);
    net.settle();
    both(&mut net, &uuid, "P.offer", "H.offer");
    let seen = shown(net.a(), "alice", &uuid);
    assert_eq!((&seen["side"], &seen["record"]["memo"]), (&json!("foil"), &json!("other bread")));
    alice(&mut net, "revise", &uuid);
    net.settle();
    alice(&mut net, "offer", &uuid);
    net.settle();
    both(&mut net, &uuid, "H.offer", "P.offer");
    assert_eq!(shown(net.b(), "bob", &uuid)["record"]["revision"], 3);
    bob(&mut net, "accept", &uuid);
    net.settle();
    assert!(agreed(&mut net, &uuid));
}

#[test]
fn an_offer_refused_is_void_on_both_sides() {
    let mut net = pair(3);
    let uuid = offered(&mut net);
    assert_eq!(bob(&mut net, "refuse", &uuid)["state"], "offer.void");
    net.settle();
    both(&mut net, &uuid, "void", "void");
    assert_eq!(reasons(net.a(), "alice").last().unwrap(), "void");
}

#[test]
fn an_offer_withdrawn_is_void_on_both_sides() {
    let mut net = pair(4);
    let uuid = offered(&mut net);
    alice(&mut net, "withdraw", &uuid);
    net.settle();
    both(&mut net, &uuid, "void", "void");
}

#[test]
fn a_withdrawal_that_leaves_before_the_acceptance_arrives_voids_both() {
    let mut net = pair(5);
    let uuid = offered(&mut net);
    alice(&mut net, "withdraw", &uuid);
    bob(&mut net, "accept", &uuid);
    // The acceptance arrives while the withdrawal is under way, and is ignored there.
    let open = net.b().take_sent().remove(0);
    let envelope = open.envelope(&net.b().address());
    net.a().deliver(&envelope).unwrap();
    both(&mut net, &uuid, "offer.void", "offer.open");
    net.b().report(&open, tallyho_plugin::Fate::HandedOver).unwrap();
    both(&mut net, &uuid, "offer.void", "open");
    net.settle();
    both(&mut net, &uuid, "void", "void");
    assert!(reasons(net.b(), "bob").contains(&"withdrawn".to_owned()));
}

#[test]
fn a_withdrawn_offer_is_not_revived_by_a_late_accept() {
    let mut net = pair(6);
    let uuid = offered(&mut net);
    alice(&mut net, "withdraw", &uuid);
    bob(&mut net, "accept", &uuid);
    // The withdrawal arrives while the acceptance is under way, and is ignored there.
    let void = net.a().take_sent().remove(0);
    let envelope = void.envelope(&net.a().address());
    net.b().deliver(&envelope).unwrap();
    net.a().report(&void, tallyho_plugin::Fate::HandedOver).unwrap();
    both(&mut net, &uuid, "void", "offer.open");
    net.settle();
    both(&mut net, &uuid, "void", "void");
}

#[test]
fn a_lost_acknowledgement_is_asked_for_until_it_arrives() {
    let mut net = pair(7);
    let uuid = offered(&mut net);
    bob(&mut net, "accept", &uuid);
    let open = net.b().take_sent().remove(0);
    net.b().report(&open, tallyho_plugin::Fate::HandedOver).unwrap();
    let envelope = open.envelope(&net.b().address());
    net.a().deliver(&envelope).unwrap();
    let ack = net.a().take_sent();
    assert_eq!(ack[0].verb(), "chit/chain");
    assert_eq!(ack[0].object()["index"], 0);
    let bobs = shown(net.b(), "bob", &uuid);
    assert_eq!(
        (&bobs["state"], &bobs["conf"], bobs["wait"].as_array().unwrap().contains(&json!("unconfirmed"))),
        (&json!("open"), &json!(null), true)
    );
    net.calm(10_000);
    assert!(agreed(&mut net, &uuid));
    assert!(!reasons(net.a(), "alice").contains(&"conflict".to_owned()));
}

#[test]
fn both_users_on_one_site_come_to_an_open_tally_too() {
    let mut net = house(8);
    let uuid = introduced(&mut net);
    let listed = net.a().command("ticket.list", json!({ "user": "bob" })).unwrap();
    assert_eq!(listed[0]["state"], "accepted");
    alice(&mut net, "offer", &uuid);
    net.settle();
    both(&mut net, &uuid, "H.offer", "P.offer");
    let fault = net.a().command("accept", json!({ "uuid": uuid })).unwrap_err();
    assert_eq!(fault.code, "whose");
    net.a().command("accept", json!({ "uuid": format!("bob/{uuid}") })).unwrap();
    net.settle();
    assert!(agreed(&mut net, &uuid));
    assert_eq!(net.a().command("list", json!({})).unwrap().as_array().unwrap().len(), 2);
    assert_eq!(net.a().command("list", json!({ "user": "bob" })).unwrap()[0]["holder"], "bob");
}

#[test]
fn users_with_p521_keys_and_keys_kept_elsewhere_sign_the_same_text() {
    use tallyho_plugin::testkit::Net;
    let (mut a, mut b) = (site(10), site(11));
    a.add_user_p521("alice");
    let key = b.add_user_elsewhere("bob");
    let mut net = Net::new(9, vec![a, b]);
    let uuid = offered(&mut net);
    let fault = net.b().command("accept", json!({ "uuid": uuid })).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.fix.unwrap().contains("tally text")), ("custody", true));
    let text = bob(&mut net, "text", &uuid)["text"].as_str().unwrap().to_owned();
    let wrong = json!({ "uuid": uuid, "signature": key.sign("something else") });
    assert_eq!(net.b().command("accept", wrong).unwrap_err().code, "signature");
    both(&mut net, &uuid, "H.offer", "P.offer");
    net.b().command("accept", json!({ "uuid": uuid, "signature": key.sign(&text) })).unwrap();
    net.settle();
    assert!(agreed(&mut net, &uuid));
}

#[test]
fn tallies_are_found_by_user_and_partner() {
    let mut net = house(9);
    let uuid = opened(&mut net);
    let (alice, bob) = (net.a().chad("alice"), net.a().chad("bob"));
    let mut shared =
        |user: &str, partner: &Chad| net.a().command("shared", json!({ "user": user, "partner": partner }));
    for (user, partner) in [("alice", &bob), ("bob", &alice)] {
        let found = shared(user, partner).unwrap();
        assert_eq!(
            (&found[0]["uuid"], &found[0]["holder"], found.as_array().unwrap().len()),
            (&json!(uuid), &json!(user), 1)
        );
    }
    assert_eq!(shared("alice", &alice).unwrap(), json!([]));
    let elsewhere = Chad { agent: AgentId::from_bytes(&[7; 32]), ..bob };
    assert_eq!(shared("alice", &elsewhere).unwrap(), json!([]), "another agent's bob");
    assert!(shared("nobody", &alice).is_err());
}
