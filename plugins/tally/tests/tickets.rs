//! Tickets: issued, presented, repeated, refused (PROTOCOL 2, 4.5 T3 to T6).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::Fate;
use tallyho_plugin::testkit::{DROPPED, Net, Site, Weather};
use tallyho_tally::Tally;

fn issue(site: &mut Site, more: Value) -> Value {
    let mut arguments = json!({ "user": "alice" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    site.command("ticket.new", arguments).unwrap()
}

fn present(site: &mut Site, user: &str, ticket: &Value) -> Value {
    site.command("ticket.use", json!({ "ticket": ticket, "user": user })).unwrap()
}

fn status(site: &mut Site, token: &Value) -> Value {
    site.command("ticket.status", json!({ "token": token })).unwrap()
}

#[test]
fn a_ticket_is_read_in_every_form_and_accepted_once() {
    for form in ["link", "uri", "invite"] {
        let mut net = pair(1);
        let ticket = issue(net.a(), json!({}));
        assert_eq!(ticket["state"], "draft");
        assert_eq!(present(net.b(), "bob", &ticket[form])["state"], "pending");
        net.settle();
        let agent = json!(net.a().agent());
        let told = status(net.b(), &ticket["token"]);
        assert_eq!((&told["state"], &told["accepted"], &told["agent"]), (&json!("accepted"), &json!(true), &agent));
        assert_eq!(shown(net.a(), "alice", ticket["tally"].as_str().unwrap())["state"], "P.draft");
    }
}

#[test]
fn a_refusal_and_an_unreachable_issuer_are_told_apart() {
    let mut net = pair(2);
    let ticket = issue(net.a(), json!({ "expires": 1000 }));
    net.a().advance(1000);
    present(net.b(), "bob", &ticket["link"]);
    net.settle();
    assert_eq!(status(net.b(), &ticket["token"])["state"], "refused");
    let other = issue(net.a(), json!({}));
    net.weather = Weather { unreachable: 100, ..Weather::FAIR };
    present(net.b(), "bob", &other["link"]);
    net.settle();
    let told = status(net.b(), &other["token"]);
    assert_eq!((&told["state"], &told["accepted"]), (&json!("unreachable"), &json!(false)));
    let notices = net.b().take_notices();
    assert!(
        notices
            .iter()
            .any(|(user, notice)| user == "bob" && notice["about"] == "ticket" && notice["state"] == "unreachable")
    );
    // Three times were enough: a restart does not present it a fourth time.
    net.weather = Weather::FAIR;
    net.b().restart();
    assert!(net.b().sent().is_empty());
    // Presented again, it goes through.
    net.weather = Weather::FAIR;
    present(net.b(), "bob", &other["link"]);
    net.settle();
    assert_eq!(status(net.b(), &other["token"])["state"], "accepted");
}

#[test]
fn what_is_no_ticket_is_named() {
    let mut net = pair(3);
    let address = net.a().chad("alice").to_string();
    let fault = net.b().command("ticket.use", json!({ "ticket": address, "user": "bob" })).unwrap_err();
    assert!(fault.text.contains("an address without a token"), "{fault}");
    let expired = issue(net.a(), json!({ "expires": 1 }));
    net.b().advance(1);
    let fault = net.b().command("ticket.use", json!({ "ticket": expired["invite"], "user": "bob" })).unwrap_err();
    assert_eq!(fault.code, "expired");
    let ticket = issue(net.a(), json!({}));
    assert!(net.b().command("ticket.use", json!({ "ticket": ticket["link"], "user": "nobody" })).is_err());
    let own = net.a().command("ticket.use", json!({ "ticket": ticket["link"], "user": "alice" })).unwrap_err();
    assert!(own.text.contains("own"), "{own}");
}

#[test]
fn a_decal_serves_three_subjects_and_stays_a_template() {
    let mut a = site(40).user("alice");
    let decal = issue(&mut a, json!({ "reuse": true, "memo": "club", "side": "foil", "terms": { "call": 30 } }));
    assert!(decal["expires"].is_null());
    let others = ["bob", "carla", "dora"];
    let mut sites = vec![a];
    sites.extend((0..3).map(|place| site(41 + place as u64).user(others[place])));
    let mut net = Net::new(4, sites);
    for (place, user) in others.iter().enumerate() {
        present(&mut net.sites[place + 1], user, &decal["uri"]);
    }
    net.settle();
    let tallies = net.a().command("list", json!({})).unwrap();
    let template = tallies.as_array().unwrap().iter().find(|tally| tally["uuid"] == decal["tally"]).unwrap();
    assert_eq!((&template["state"], tallies.as_array().unwrap().len()), (&json!("draft"), 4));
    for clone in tallies.as_array().unwrap().iter().filter(|tally| tally["uuid"] != decal["tally"]) {
        assert_eq!(
            (&clone["state"], &clone["side"], &clone["memo"]),
            (&json!("P.draft"), &json!("foil"), &json!("club"))
        );
        let record = shown(net.a(), "alice", clone["uuid"].as_str().unwrap())["record"].clone();
        assert_eq!((&record["foil"]["terms"], &record["revision"]), (&json!({ "call": 30 }), &json!(1)));
        net.a().command("offer", json!({ "uuid": clone["uuid"] })).unwrap();
    }
    net.settle();
    for (place, user) in others.iter().enumerate() {
        let site = &mut net.sites[place + 1];
        let uuid = site.command("list", json!({ "user": user })).unwrap()[0]["uuid"].clone();
        site.command("accept", json!({ "uuid": uuid })).unwrap();
    }
    net.settle();
    let open = net.a().command("list", json!({})).unwrap();
    assert_eq!(
        open.as_array().unwrap().iter().filter(|tally| tally["state"] == "open" && tally["conf"] == 0).count(),
        3
    );
}

#[test]
fn a_decal_presented_twice_by_one_party_makes_one_clone() {
    let mut net = pair(5);
    let decal = issue(net.a(), json!({ "reuse": true }));
    for _ in 0..2 {
        present(net.b(), "bob", &decal["link"]);
        net.settle();
    }
    assert_eq!(net.a().command("list", json!({})).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn a_lost_answer_is_mended_by_presenting_again_and_brings_the_offer_again() {
    let mut net = pair(6);
    let ticket = issue(net.a(), json!({}));
    let uuid = ticket["tally"].as_str().unwrap().to_owned();
    present(net.b(), "bob", &ticket["link"]);
    let sent = net.b().take_sent().remove(0);
    let envelope = sent.envelope(&net.b().address());
    net.a().deliver(&envelope).unwrap();
    net.b().report(&sent, Fate::Delayed { attempts: 1, why: "closed".into() }).unwrap();
    assert_eq!(status(net.b(), &ticket["token"])["state"], "pending");
    alice(&mut net, "offer", &uuid);
    let lost = net.a().take_sent().remove(0);
    net.a().report(&lost, Fate::HandedOver).unwrap();
    assert_eq!(states(&mut net, &uuid), ("H.offer".into(), "none".into()));
    net.a().deliver(&envelope).unwrap();
    net.settle();
    assert_eq!(states(&mut net, &uuid), ("H.offer".into(), "P.offer".into()));
    assert_eq!(status(net.b(), &ticket["token"])["state"], "accepted");
}

#[test]
fn several_users_of_one_site_present_the_same_decal_each_for_itself() {
    let mut net = pair(13);
    net.b().add_user("carla");
    let decal = issue(net.a(), json!({ "reuse": true }));
    for user in ["bob", "carla"] {
        assert_eq!(present(net.b(), user, &decal["link"])["state"], "pending");
    }
    let names: Vec<String> = net.b().sent().iter().map(|sent| sent.message.key.clone()).collect();
    assert_ne!(names[0], names[1]);
    net.settle();
    assert_eq!(net.a().command("list", json!({})).unwrap().as_array().unwrap().len(), 3);
    let which = net.b().command("ticket.status", json!({ "token": decal["token"] })).unwrap_err();
    assert_eq!((which.code.as_str(), which.fix.unwrap().contains("--user")), ("whose", true), "{}", which.text);
    assert!(which.text.contains("bob") && which.text.contains("carla"));
    for user in ["bob", "carla"] {
        let by_user = json!({ "token": decal["token"], "user": user });
        let told = net.b().command("ticket.status", by_user).unwrap();
        assert_eq!((&told["user"], &told["state"]), (&json!(user), &json!("accepted")));
        let again = json!({ "presented": told["presented"] });
        assert_eq!(net.b().command("ticket.status", again).unwrap(), told);
        let relations = net.b().relations();
        assert!(relations.iter().any(|relation| relation.user == user), "{relations:?}");
        let tallies = net.b().command("ticket.list", json!({ "user": user })).unwrap();
        assert_eq!(tallies.as_array().unwrap().len(), 1);
    }
    let nobody = net.b().command("ticket.status", json!({ "token": decal["token"], "user": "dora" })).unwrap_err();
    assert!(nobody.text.contains("dora has not presented"), "{nobody}");
    // Each has its own end.
    net.b().advance(30 * 24 * 3_600_000);
    assert_eq!(net.b().fire_timers(), 2);
    assert!(net.b().relations().is_empty() && net.b().rows("tally.presented").is_empty());
    assert!(net.b().rows("tally.invited").is_empty());
}

/// Bob presents two tickets of alice's, `apart` milliseconds one after the other; the first is consumed and
/// its answer lost, the second never gets there. Alice's offer arrives, and bob is told of both tickets.
fn one_of_two_answered(apart: i64) -> (String, String) {
    let mut net = pair(14);
    let (first, second) = (issue(net.a(), json!({})), issue(net.a(), json!({})));
    present(net.b(), "bob", &first["link"]);
    let sent = net.b().take_sent().remove(0);
    let envelope = sent.envelope(&net.b().address());
    net.a().deliver(&envelope).unwrap();
    net.b().advance(apart);
    present(net.b(), "bob", &second["link"]);
    net.b().take_sent();
    alice(&mut net, "offer", first["tally"].as_str().unwrap());
    net.settle();
    assert_eq!(states(&mut net, first["tally"].as_str().unwrap()).1, "P.offer");
    let told = |net: &mut Net, ticket: &Value| status(net.b(), &ticket["token"])["state"].as_str().unwrap().to_owned();
    (told(&mut net, &first), told(&mut net, &second))
}

#[test]
fn an_offer_proves_that_ticket_accepted_with_which_its_certificate_was_disclosed_and_no_other() {
    assert_eq!(one_of_two_answered(1), ("accepted".to_owned(), "pending".to_owned()));
    // Two certificates of the same instant cannot be told apart: nothing is claimed.
    assert_eq!(one_of_two_answered(0), ("pending".to_owned(), "pending".to_owned()));
}

#[test]
fn a_ticket_presented_again_is_known_by_every_certificate_disclosed_with_it() {
    let mut net = pair(15);
    let ticket = issue(net.a(), json!({}));
    let lost = |net: &mut Net| {
        present(net.b(), "bob", &ticket["link"]);
        let sent = net.b().take_sent().remove(0);
        let envelope = sent.envelope(&net.b().address());
        net.b().advance(10_000);
        net.b().report(&sent, Fate::Refused).unwrap();
        envelope
    };
    // The first copy is consumed, its answer lost; what is presented later changes nothing there.
    let first = lost(&mut net);
    net.a().deliver(&first).unwrap();
    lost(&mut net);
    assert_eq!(status(net.b(), &ticket["token"])["state"], "refused");
    alice(&mut net, "offer", ticket["tally"].as_str().unwrap());
    net.settle();
    assert_eq!(status(net.b(), &ticket["token"])["state"], "accepted");
}

#[test]
fn a_second_ticket_of_a_draft_replaces_the_partner_until_it_is_offered() {
    let mut net = pair(7);
    let carla = Site::new(77).with::<Tally>().user("carla");
    net.sites.push(carla);
    let first = issue(net.a(), json!({}));
    let again = |site: &mut Site| site.command("ticket.new", json!({ "tally": first["tally"] })).unwrap();
    let (second, third) = (again(net.a()), again(net.a()));
    assert_eq!(second["tally"], first["tally"]);
    present(net.b(), "bob", &first["link"]);
    net.settle();
    present(&mut net.sites[2], "carla", &second["link"]);
    net.settle();
    let uuid = first["tally"].as_str().unwrap().to_owned();
    assert!(shown(net.a(), "alice", &uuid)["partner"].as_str().unwrap().starts_with("carla:"));
    let carlas = net.sites[2].agent();
    let joined = net.a().relations();
    assert!(joined.len() == 1 && joined[0].agent == carlas, "{joined:?}");
    alice(&mut net, "offer", &uuid);
    net.settle();
    // Any other status kills the tokens.
    present(net.b(), "bob", &third["link"]);
    net.settle();
    assert_eq!(status(net.b(), &third["token"])["state"], "refused");
    let listed = net.a().command("ticket.list", json!({})).unwrap();
    let states: Vec<&str> = listed.as_array().unwrap().iter().map(|ticket| ticket["state"].as_str().unwrap()).collect();
    assert_eq!(
        (states.iter().filter(|s| **s == "used").count(), states.iter().filter(|s| **s == "revoked").count()),
        (2, 1)
    );
}

#[test]
fn a_deleted_draft_takes_its_tokens_with_it() {
    let mut net = pair(8);
    let ticket = issue(net.a(), json!({}));
    let gone = alice(&mut net, "delete", ticket["tally"].as_str().unwrap());
    assert_eq!(gone["state"], "none");
    assert!(net.a().ticket(ticket["token"].as_str().unwrap()).unwrap().revoked);
    present(net.b(), "bob", &ticket["link"]);
    net.settle();
    assert_eq!(status(net.b(), &ticket["token"])["state"], "refused");
    assert!(net.a().command("show", json!({ "uuid": ticket["tally"] })).is_err());
    assert!(net.a().rows("tally.tallies").is_empty() && net.a().rows("tally.partners").is_empty());
}

#[test]
fn a_ticket_may_be_revoked_and_limited_to_one_party() {
    let mut net = pair(9);
    let revoked = issue(net.a(), json!({}));
    net.a().command("ticket.revoke", json!({ "token": revoked["token"] })).unwrap();
    let bob = net.b().chad("bob");
    let for_bob = issue(net.a(), json!({ "limit": bob.party().to_string() }));
    let eve = Site::new(99).with::<Tally>().user("eve");
    net.sites.push(eve);
    for ticket in [&revoked, &for_bob] {
        present(&mut net.sites[2], "eve", &ticket["link"]);
        net.settle();
        assert_eq!(status(&mut net.sites[2], &ticket["token"])["state"], "refused");
    }
    present(net.b(), "bob", &for_bob["link"]);
    net.settle();
    assert_eq!(status(net.b(), &for_bob["token"])["state"], "accepted");
}

#[test]
fn an_offer_from_a_party_that_was_never_asked_has_no_effect() {
    let mut net = pair(10);
    let ticket = issue(net.a(), json!({}));
    present(net.b(), "bob", &ticket["link"]);
    net.settle();
    let uuid = ticket["tally"].as_str().unwrap().to_owned();
    alice(&mut net, "offer", &uuid);
    let offer = net.a().take_sent().remove(0).envelope(&net.a().address());
    // At a site of the same keys whose user has presented nothing, the host lets nobody in ...
    let mut stranger = Site::new(21).with::<Tally>().user("bob");
    assert_eq!(stranger.agent(), net.b().agent());
    assert_eq!(stranger.deliver(&offer).unwrap_err().code, DROPPED);
    // ... and where another ticket lets the agent in, the handler knows whom it was for.
    let other = net.a().add_user("arthur");
    let mut for_arthur = issue(net.a(), json!({ "user": "arthur" }));
    assert_eq!(for_arthur["invite"]["invite"]["chad"]["cuid"], other.cuid.unwrap());
    present(&mut stranger, "bob", &for_arthur["link"].take());
    stranger.deliver(&offer).unwrap();
    assert!(shown(&mut stranger, "bob", &uuid).is_null());
    assert!(stranger.log().last().unwrap().text.contains("neither presented a ticket"));
    // Thirty days after its ticket, even the issuer is a stranger.
    net.b().advance(30 * 24 * 3_600_000);
    net.b().fire_timers();
    assert!(net.b().relations().is_empty());
    assert_eq!(net.b().deliver(&offer).unwrap_err().code, DROPPED);
}

#[test]
fn a_certificate_that_is_our_own_holders_is_refused() {
    let mut net = house(11);
    let ticket = issue(net.a(), json!({}));
    let mut envelope = tallyho_plugin::testkit::Envelope::new(
        &net.a().chad("alice"),
        &net.a().chad("alice"),
        "tally/ticket",
        &Value::Null,
    );
    let cert = net.a().certificate("alice");
    envelope.ticket = Some(json!({ "token": ticket["token"], "cert": cert }));
    assert!(net.a().deliver(&envelope).is_err());
    assert!(net.a().ticket(ticket["token"].as_str().unwrap()).unwrap().used.is_none());
}

#[test]
fn a_tally_too_large_for_a_message_is_not_offered() {
    let mut net = pair(12);
    let long = |bytes: usize| json!({ "text": "x".repeat(bytes) });
    let ticket = issue(net.a(), json!({ "agree": long(7900), "terms": long(7900), "partner-terms": long(7900) }));
    let mut envelope = tallyho_plugin::testkit::Envelope::new(
        &net.b().chad("bob"),
        &net.a().chad("alice"),
        "tally/ticket",
        &Value::Null,
    );
    let mut cert = net.b().certificate("bob");
    cert["file"] = json!([{ "comment": "x".repeat(23_000) }]);
    envelope.ticket = Some(json!({ "token": ticket["token"], "cert": cert }));
    net.a().deliver(&envelope).unwrap();
    let uuid = ticket["tally"].as_str().unwrap();
    assert_eq!(alice(&mut net, "offer", uuid)["state"], "draft.offer", "one long certificate still fits");
    let mut oversized = envelope.clone();
    cert["file"] = json!([{ "comment": "x".repeat(24_000) }]);
    oversized.ticket = Some(json!({ "token": ticket["token"], "cert": cert }));
    assert!(net.a().deliver(&oversized).unwrap_err().text.contains("24000"));
}

#[test]
fn a_certificate_whose_port_is_no_port_still_makes_its_holder_the_partner() {
    let mut net = pair(40);
    let ticket = issue(net.a(), json!({}));
    let (alice, bob) = (net.a().chad("alice"), net.b().chad("bob"));
    let mut cert = net.b().certificate("bob");
    (cert["chad"]["host"], cert["chad"]["port"]) = (json!(5), json!("many"));
    let mut presented = tallyho_plugin::testkit::Envelope::new(&bob, &alice, "tally/ticket", &Value::Null);
    presented.object.clear();
    presented.ticket = Some(json!({ "token": ticket["token"], "cert": cert }));
    net.a().deliver(&presented).unwrap();
    let uuid = ticket["tally"].as_str().unwrap();
    assert_eq!(shown(net.a(), "alice", uuid)["state"], "P.draft");
    assert!(net.a().relations().iter().any(|relation| relation.subject == uuid));
}
