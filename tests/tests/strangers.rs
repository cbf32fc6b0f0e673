//! Restricted channels (PROTOCOL 1.5 `R`, 9.8, 10.2), both ways: what strangers may ask of a site and what it costs
//! them, and how a site asks a stranger.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tallyho::wire::frame::{Kind, write_frame};
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{AgentId, LiftCore, Timestamp};
use tallyho_tests::lifts::{commit, is_ruling, lift};
use tallyho_tests::peer::{Peer, own};
use tallyho_tests::site::{Site, until};
use tallyho_tests::stranger::{Asked, asks, opens};

/// A site with these lines in its configuration, whose referee serves everybody; and its address.
fn referee(lines: &str) -> (Site, Value) {
    let site = Site::configured(lines, &["alice"]);
    site.command(&["referee", "serve", "all"]);
    let address = own(&site);
    (site, address)
}

/// A lift for this referee, and its originator.
fn lift_for(address: &Value, n: u64) -> (LiftCore, AgentKey) {
    let originator = AgentKey::from_seed(&[7; 32]).unwrap();
    let referee = AgentId(address["agent"].as_str().unwrap().to_owned());
    (lift(&originator, &referee, n, Timestamp::from(std::time::SystemTime::now())), originator)
}

fn strikes(site: &Site) -> usize {
    site.log().matches("strike from").count()
}

#[test]
fn a_stranger_is_answered_on_the_channel_it_opened() {
    let (site, address) = referee("");
    let (lift, originator) = lift_for(&address, 1);
    let stranger = Peer::at(2, "nobody");
    let says = |action, object| stranger.message(&address, "lift", action, object);
    // The first request comes with the opening packet, others follow.
    let mut channel = opens(&stranger, &site, &address, &says("check", lift.value().clone())).unwrap();
    assert_eq!(channel.hears("lift", "status")["object"]["pend"], true);
    channel.says(&says("commit", commit(&lift, &originator)));
    let answer = channel.hears("lift", "status");
    assert!(is_ruling(&lift, true, &answer["object"]), "{answer}");
    assert_eq!(answer["to"], stranger.chad());
    assert!(answer["mid"].is_null() && answer["ext"].is_null(), "{answer}");
    // Nothing waits for a stranger once it has gone, and nobody is called for it.
    drop(channel);
    assert_eq!(site.command(&["status"])["outbox"], 0);
    // Without a first message the channel is there too.
    let mut channel = opens(&stranger, &site, &address, &Value::Null).unwrap();
    channel.says(&stranger.message(&address, "referee", "query", json!({})));
    assert_eq!(channel.hears("referee", "creds")["object"]["agent"], address["agent"]);
    assert_eq!(strikes(&site), 0);
}

/// Rulings, and the lack of one, of a lift on record are taken from anybody (PROTOCOL 9.8).
const PROVE_THEMSELVES: [&str; 3] = ["status", "good", "void"];

#[test]
fn whatever_else_a_stranger_says_is_closed_upon_without_a_byte() {
    let (site, address) = referee("limits = { strangers_per_minute = 1000 }");
    let stranger = Peer::at(2, "nobody");
    let (lift, originator) = lift_for(&address, 1);
    let mut user = address.clone();
    user["cuid"] = "alice".into();
    let consent = commit(&lift, &originator);
    let mut others = vec![
        json!("words"),
        stranger.message(&user, "tally", "offer", json!({})),
        stranger.message(&user, "tally", "ticket", json!({})),
        stranger.message(&user, "chit", "good", json!({})),
        stranger.message(&user, "route", "query", json!({})),
        stranger.message(&address, "referee", "creds", json!({})),
        stranger.message(&address, "host", "open", json!({})),
        stranger.message(&address, "host", "receipt", json!({ "upto": 1 })),
        stranger.message(&address, "nobody.here", "probe", json!({})),
        stranger.message(&stranger.chad(), "lift", "commit", consent.clone()),
    ];
    let actions = ["promise", "fail", "status", "good", "void", "settle"];
    others.extend(actions.map(|action| stranger.message(&user, "lift", action, consent.clone())));
    for message in &others {
        // What the lift handler serves to strangers opens the channel, whatever lift it is about.
        let is_public = message["target"] == "lift" && PROVE_THEMSELVES.contains(&message["action"].as_str().unwrap());
        let opened = opens(&stranger, &site, &address, message);
        assert_eq!(opened.is_some(), is_public, "{message}");
        assert!(opened.is_none_or(|mut channel| channel.is_closed()), "{message}");
        let mut channel = opens(&stranger, &site, &address, &Value::Null).unwrap();
        channel.says(message);
        assert!(channel.is_closed(), "{message}");
    }
    for kind in [Kind::I, Kind::N, Kind::K, Kind::R, Kind::A, Kind::Other(b'?')] {
        let mut channel = opens(&stranger, &site, &address, &Value::Null).unwrap();
        let mut frame = Vec::new();
        write_frame(&mut frame, kind, &[1; 100]).unwrap();
        channel.line.send(&frame);
        assert!(channel.is_closed(), "{kind:?}");
    }
    assert!(is_ruling(&lift, true, &asks(&stranger, &site, "commit", &consent)));
    assert_eq!(site.command(&["tally", "list"]), json!([]));
}

#[test]
fn a_forged_consent_costs_a_strike_and_five_of_them_a_ban() {
    let (site, address) = referee("");
    let (lift, originator) = lift_for(&address, 1);
    let forged = commit(&lift, &AgentKey::from_seed(&[8; 32]).unwrap());
    let (forger, honest) = (Peer::at(2, "forger"), Peer::at(3, "honest"));
    for n in 1..=5 {
        let mut channel = opens(&forger, &site, &address, &Value::Null).unwrap();
        channel.says(&forger.message(&address, "lift", "commit", forged.clone()));
        assert!(channel.is_closed());
        assert_eq!(strikes(&site), n);
    }
    assert_eq!(forger.connect(&site).bytes_until_closed(), 0);
    assert!(is_ruling(&lift, true, &asks(&honest, &site, "commit", &commit(&lift, &originator))));
}

#[test]
fn a_strike_counts_over_a_channel_of_a_partner_too_which_stays() {
    let (site, address) = referee("");
    let (lift, originator) = lift_for(&address, 1);
    let bob = Peer::at(2, "bob");
    let ticket = site.command(&["ticket", "new", "--user", "alice", "--agree", "bread"]);
    let mut channel = bob.uses(&site, &ticket);
    channel.says(&bob.message(&address, "lift", "commit", commit(&lift, &AgentKey::from_seed(&[8; 32]).unwrap())));
    channel.says(&bob.message(&address, "lift", "commit", commit(&lift, &originator)));
    assert!(is_ruling(&lift, true, &channel.hears("lift", "status")["object"]));
    assert_eq!(strikes(&site), 1);
}

#[test]
fn requests_of_one_address_are_counted_and_its_channel_closed_beyond_the_bound() {
    let (site, address) = referee("limits = { strangers_per_minute = 3 }");
    let (lift, _) = lift_for(&address, 1);
    let stranger = Peer::at(2, "nobody");
    let check = stranger.message(&address, "lift", "check", lift.value().clone());
    let mut channel = opens(&stranger, &site, &address, &check).unwrap();
    for _ in 0..2 {
        assert_eq!(channel.hears("lift", "status")["object"]["pend"], true);
        channel.says(&check);
    }
    assert_eq!(channel.hears("lift", "status")["object"]["pend"], true);
    channel.says(&check);
    assert!(channel.is_closed());
    assert!(opens(&stranger, &site, &address, &check).is_none());
    assert_eq!(asks(&Peer::at(3, "other"), &site, "check", lift.value())["pend"], true);
    assert_eq!(strikes(&site), 0, "to ask much is no misconduct");
}

#[test]
fn strangers_of_one_address_get_few_channels_and_idle_ones_are_closed() {
    let (site, address) = referee("limits = { idle_seconds = 5 }");
    let stranger = Peer::at(2, "nobody");
    let held = tallyho::net::limits::STRANGERS_PER_ADDRESS;
    let mut channels: Vec<_> = (0..held).map(|_| opens(&stranger, &site, &address, &Value::Null).unwrap()).collect();
    assert!(opens(&stranger, &site, &address, &Value::Null).is_none());
    assert!(opens(&Peer::at(3, "other"), &site, &address, &Value::Null).is_some());
    // Whoever shares an address with them and has a ticket gets in.
    let bob = Peer::at(2, "bob");
    let ticket = site.command(&["ticket", "new", "--user", "alice", "--agree", "bread"]);
    bob.uses(&site, &ticket);
    assert!(channels.iter_mut().all(tallyho_tests::peer::Channel::is_closed));
    assert!(opens(&stranger, &site, &address, &Value::Null).is_some());
}

#[test]
fn a_site_asks_a_stranger_by_a_restricted_channel_and_takes_the_answer_as_that_agents() {
    let (site, asked) = (Site::with_users(&[]), Asked::listening());
    let ask = || site.call("referee", "credentials", &json!({ "chad": asked.place() })).unwrap();
    let state = |agent: &Value| site.call("referee", "credentials.state", &json!({ "agent": agent })).unwrap();
    let answer = ask();
    assert_eq!(answer["state"], "asked");
    let (mut channel, first) = asked.takes();
    assert_eq!((&first["target"], &first["action"]), (&json!("referee"), &json!("query")));
    assert!(first["mid"].is_null() && first["ext"].is_null(), "{first}");
    let (address, creds) = (own(&site), asked.credentials("2021-11-05T12:00:00.000Z"));
    assert_eq!(first["from"]["agent"], address["agent"]);
    // What is no answer is passed over, as is what another would have said.
    let mut forged = asked.message(&address, "referee", "creds", creds.clone());
    forged["from"]["agent"] = address["agent"].clone();
    channel.says(&forged);
    channel.says(&asked.message(&address, "tally", "offer", json!({})));
    channel.says(&asked.message(&address, "referee", "creds", creds.clone()));
    until(|| state(&answer["agent"])["credentials"] == creds);
    // What is asked later goes over the same channel.
    assert_eq!(ask()["state"], "asked");
    let again = channel.hears("referee", "query");
    assert_eq!(again["from"]["agent"], address["agent"]);
    until(|| site.command(&["status"])["outbox"] == 0);
}

#[test]
fn a_question_is_repeated_until_it_is_handed_over() {
    let (site, asked) = (Site::with_users(&[]), Asked::listening());
    site.call("referee", "credentials", &json!({ "chad": asked.place() })).unwrap();
    for _ in 0..2 {
        asked.turns_away();
    }
    let (_channel, first) = asked.takes();
    assert_eq!((&first["action"], &first["try"]), (&json!("query"), &json!(3)));
}

#[test]
fn a_question_outlives_a_crash_of_its_site() {
    let (mut site, asked) = (Site::with_users(&[]), Asked::listening());
    site.call("referee", "credentials", &json!({ "chad": asked.place() })).unwrap();
    asked.turns_away();
    site.kill();
    site.start();
    let (_channel, first) = asked.takes();
    assert_eq!(first["action"], "query");
}

#[test]
fn whoever_answers_more_than_it_was_asked_is_closed_upon() {
    let (site, asked) = (Site::with_users(&[]), Asked::listening());
    site.call("referee", "credentials", &json!({ "chad": asked.place() })).unwrap();
    let (mut channel, _) = asked.takes();
    let creds = asked.message(&own(&site), "referee", "creds", asked.credentials("2021-11-05T12:00:00.000Z"));
    for _ in 0..=tallyho::net::limits::ANSWERS_PER_QUESTION {
        channel.says(&creds);
    }
    assert!(channel.is_closed());
}
