//! Credentials, acceptance and lists (PROTOCOL 10.5).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{commit, lift, referee, stranger, told};
use serde_json::{Value, json};
use tallyho_plugin::record::signing::verify;
use tallyho_plugin::record::{Chad, canonical};
use tallyho_plugin::services::{Check, CheckKey, Schedule};
use tallyho_plugin::testkit::{Envelope, Sent, Site};
use tallyho_plugin::{Event, Fate, Message};
use tallyho_referee::{Policy, Referee, Standard, limits};

/// A site that wants a referee, beside [`referee`].
fn asker() -> Site {
    Site::new(7).with::<Referee<Standard>>()
}

fn stands(credentials: &Value, site: &Site) -> bool {
    let mut unsigned = credentials.clone();
    let signature = unsigned.as_object_mut().unwrap().remove("sign").unwrap();
    let text = canonical(&unsigned).unwrap().into_bytes();
    verify(&Check { key: CheckKey::Agent(site.agent()), text, signature: signature.as_str().unwrap().to_owned() })
}

/// Takes what `from` has sent to the other site, as by a channel that `to` let it open or has opened: the
/// initiator is a stranger, the responder proven by its key.
fn carry(from: &mut Site, to: &mut Site) -> Vec<Sent> {
    let sent = from.take_sent();
    for sent in &sent {
        let Envelope { to: receiver, from: sender, target, action, object: body, .. } = sent.envelope(&from.address());
        assert_eq!(receiver.agent, to.agent());
        let restricted = action == "query";
        let message = Message {
            target,
            action,
            to: receiver,
            from: sender,
            tally: None,
            ticket: None,
            restricted,
            asked: false,
            attempt: None,
            body,
        };
        to.run("referee", &Event::Message(message)).unwrap();
    }
    sent
}

/// `referee credentials` and `accept` of the other; the answer of the last.
fn accepted(site: &mut Site, other: &mut Site) -> Value {
    let address = other.address().to_string();
    site.command("credentials", json!({ "chad": address })).unwrap();
    carry(site, other);
    carry(other, site);
    site.command("accept", json!({ "chad": address })).unwrap()
}

#[test]
fn own_credentials_are_signed_and_say_until_when_lifts_are_ruled_on() {
    let mut site = referee();
    let answer = site.command("credentials", json!({})).unwrap();
    let credentials = &answer["credentials"];
    assert!(stands(credentials, &site), "{credentials}");
    assert_eq!(credentials["agent"], site.agent().0);
    assert_eq!(credentials["name"], "localhost:65430");
    assert_eq!(credentials["term"], json!({ "from": "2021-11-05T00:00:00.000Z", "to": "2022-11-06T00:00:00.000Z" }));
    assert_eq!(answer["state"], "received");
    // What `--wait` asks with what the answer says.
    let state = site.command("credentials.state", json!({ "agent": answer["agent"] })).unwrap();
    assert_eq!(state["state"], "received");
}

#[test]
fn anybody_may_ask_for_credentials_and_is_answered_where_it_asked() {
    let mut site = referee();
    site.deliver(&Envelope::new(&stranger(), &site.address(), "referee/query", &json!({}))).unwrap();
    let sent = site.take_sent();
    assert_eq!((sent.len(), sent[0].verb().as_str(), sent[0].message.schedule), (1, "referee/creds", Schedule::Answer));
    assert!(stands(&sent[0].object(), &site));
}

#[test]
fn a_term_once_published_is_not_brought_forward() {
    #[derive(Default)]
    struct Short;
    impl Policy for Short {
        fn term(&self, now: tallyho_plugin::record::Timestamp) -> tallyho_referee::Term {
            tallyho_referee::Term { from: now, to: now.plus(1) }
        }
    }
    let mut site = referee();
    let before = site.command("credentials", json!({})).unwrap()["credentials"]["term"]["to"].clone();
    let mut short = kit::with_clock_at::<Short>(&site, site.now());
    let after = short.command("credentials", json!({})).unwrap()["credentials"]["term"]["to"].clone();
    assert_eq!(before, after);
    let lift = lift(&short, 1, short.now());
    assert_eq!(told(&mut short, "commit", &commit(&lift))["valid"], true);
}

#[test]
fn another_sites_credentials_are_asked_for_and_come() {
    let (mut site, mut other) = (asker(), referee());
    let answer = site.command("credentials", json!({ "chad": other.address().to_string() })).unwrap();
    assert_eq!((&answer["state"], &answer["credentials"]), (&json!("asked"), &Value::Null));
    let sent = carry(&mut site, &mut other);
    assert_eq!((sent.len(), sent[0].verb().as_str()), (1, "referee/query"));
    carry(&mut other, &mut site);
    let answer = site.command("credentials.state", json!({ "agent": other.agent().0 })).unwrap();
    assert_eq!((&answer["state"], &answer["accepted"]), (&json!("received"), &json!(false)));
    assert!(stands(&answer["credentials"], &other));
    // Asking is not accepting.
    assert_eq!(site.command("accepted", json!({})).unwrap(), json!([]));
}

#[test]
fn a_referee_that_cannot_be_reached_is_told_so_with_the_reason() {
    let (mut site, other) = (asker(), referee());
    site.command("credentials", json!({ "chad": other.address().to_string() })).unwrap();
    let sent = site.sent()[0].clone();
    let fate = Fate::Stalled { attempts: 4, unsent: true, why: "localhost:65430 cannot be reached".to_owned() };
    site.report(&sent, fate).unwrap();
    let answer = site.command("credentials.state", json!({ "agent": other.agent().0 })).unwrap();
    assert_eq!(
        (answer["state"].as_str(), answer["why"].as_str()),
        (Some("unreachable"), Some("localhost:65430 cannot be reached"))
    );
    assert!(site.sent().is_empty());
}

#[test]
fn credentials_that_nobody_asked_for_or_that_do_not_stand_change_nothing() {
    let (mut site, mut other) = (asker(), referee());
    let own = other.command("credentials", json!({})).unwrap()["credentials"].clone();
    let bring = |site: &mut Site, from: &Chad, object: &Value| {
        let envelope = Envelope::new(from, &site.address(), "referee/creds", object);
        let Envelope { to, from, target, action, object: body, .. } = envelope;
        let message = Message {
            target,
            action,
            to,
            from,
            tally: None,
            ticket: None,
            restricted: false,
            asked: false,
            attempt: None,
            body,
        };
        site.run("referee", &Event::Message(message))
    };
    bring(&mut site, &other.address(), &own).unwrap();
    assert!(site.rows("referee.known").is_empty(), "nobody asked");

    site.command("credentials", json!({ "chad": other.address().to_string() })).unwrap();
    let changed = |member: &str, value: Value| {
        let mut object = own.clone();
        object[member] = value;
        object
    };
    let wrong = [
        changed("name", json!("another")),
        changed("name", json!(7)),
        changed("agent", json!(stranger().agent.0)),
        changed("host", Value::Null),
        changed("sign", json!("AA")),
        changed("term", json!({ "from": "2023-01-01T00:00:00.000Z", "to": "2022-01-01T00:00:00.000Z" })),
        changed("term", json!({})),
        changed("date", json!("today")),
        changed("connect", json!("x".repeat(limits::CREDENTIALS_BYTES))),
        json!([]),
    ];
    for object in &wrong {
        let fault = bring(&mut site, &other.address(), object).unwrap_err();
        assert!(fault.text.starts_with("credentials: ") && fault.text.contains("PROTOCOL 10.5"), "{fault}");
    }
    assert!(bring(&mut site, &stranger(), &own).is_ok(), "of whom nothing was asked");
    let state = |site: &mut Site| site.command("credentials.state", json!({ "agent": other.agent().0 })).unwrap();
    assert_eq!(state(&mut site)["state"], "asked");

    bring(&mut site, &other.address(), &own).unwrap();
    // Older ones, late or recorded, do not take the place of newer ones.
    other.advance(limits::DAY);
    let newer = other.command("credentials", json!({})).unwrap()["credentials"].clone();
    bring(&mut site, &other.address(), &newer).unwrap();
    bring(&mut site, &other.address(), &own).unwrap();
    let agent = other.agent().0;
    let kept = site.command("credentials.state", json!({ "agent": agent })).unwrap();
    assert_eq!(kept["credentials"], newer);
}

#[test]
fn an_accepted_referee_is_offered_for_lifts_that_end_within_its_term() {
    let (mut site, mut other) = (asker(), referee());
    let answer = accepted(&mut site, &mut other);
    assert_eq!((&answer["accepted"], &answer["state"]), (&json!(true), &json!("received")));
    let until = site.now().plus(limits::TERM);
    let offered = |site: &mut Site, argument: Value| site.command("accepted", argument).unwrap();
    let address = json!([{ "agent": other.agent().0, "host": "localhost", "port": 65430 }]);
    assert_eq!(offered(&mut site, json!({})), address);
    assert_eq!(offered(&mut site, json!({ "expires": until.0 })), address);
    assert_eq!(offered(&mut site, json!({ "agent": other.agent().0, "expires": until.0 })), address);
    assert_eq!(offered(&mut site, json!({ "expires": until.plus(limits::DAY).0 })), json!([]));
    assert_eq!(offered(&mut site, json!({ "agent": stranger().agent.0 })), json!([]));

    site.command("refuse", json!({ "chad": other.address().to_string() })).unwrap();
    assert_eq!(offered(&mut site, json!({})), json!([]));
    let fault = site.command("refuse", json!({ "chad": other.address().to_string() })).unwrap_err();
    assert_eq!(fault.code, "no-such-referee");
}

#[test]
fn accepting_asks_for_credentials_where_there_are_none() {
    let (mut site, other) = (asker(), referee());
    let answer = site.command("accept", json!({ "chad": format!("dora:{}", other.address()) })).unwrap();
    assert_eq!((&answer["state"], &answer["accepted"]), (&json!("asked"), &json!(true)));
    assert_eq!(site.sent()[0].verb(), "referee/query");
    // Until they come nothing says that its service ends.
    assert_eq!(site.command("accepted", json!({ "expires": i64::MAX })).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_accepted_is_refused_with_the_remedy() {
    let (mut site, mut other) = (asker(), referee());
    let fault = site.command("accept", json!({ "chad": "localhost" })).unwrap_err();
    assert!(fault.to_string().contains("AGENT@HOST:PORT"), "{fault}");
    let fault = site.command("accept", json!({ "chad": other.agent().0 })).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.fix.is_some()), ("no-address", true));
    assert!(site.rows("referee.known").is_empty());

    accepted(&mut site, &mut other);
    site.advance(limits::TERM + 2 * limits::DAY);
    let fault = site.command("accept", json!({ "chad": other.agent().0 })).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.fix.unwrap().contains("referee credentials")), ("term", true));
}

#[test]
fn a_site_may_accept_itself() {
    let mut site = referee();
    let address = site.address().to_string();
    let answer = site.command("accept", json!({ "chad": address })).unwrap();
    assert_eq!((&answer["accepted"], &answer["state"]), (&json!(true), &json!("received")));
    assert!(site.sent().is_empty(), "and asks nobody");
    let far = site.now().plus(40 * limits::YEAR).0;
    assert_eq!(site.command("accepted", json!({ "expires": far })).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn referees_that_are_only_known_make_room_for_others() {
    let mut site = asker();
    site.check_determinism(false);
    let chad = |n: usize| {
        let key = tallyho_plugin::record::signing::AgentKey::from_seed(&[(n / 250) as u8 + 1; 32]).unwrap();
        let mut bytes = key.id().to_bytes().unwrap();
        bytes[0] = (n % 250) as u8;
        Chad::agent(tallyho_plugin::record::AgentId::from_bytes(&bytes)).at("localhost", 1).to_string()
    };
    site.command("accept", json!({ "chad": chad(0) })).unwrap();
    let (_, row) = site.rows("referee.known").pop_first().unwrap();
    for n in 1..limits::REFEREES - 1 {
        let mut row = row.clone();
        let agent = chad(n).split_once('@').unwrap().0.to_owned();
        row["chad"]["agent"] = agent.as_str().into();
        site.write("referee.known", agent.as_bytes(), &row);
    }
    site.command("credentials", json!({ "chad": chad(limits::REFEREES) })).unwrap();
    site.command("accept", json!({ "chad": chad(limits::REFEREES + 1) })).unwrap();
    let fault = site.command("accept", json!({ "chad": chad(limits::REFEREES + 2) })).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.fix.is_some()), ("too-many", true));
}

#[test]
fn the_list_shows_accepted_referees_and_own_rulings_in_pages() {
    let mut site = referee();
    let mut other = Site::new(8).with::<Referee<Standard>>();
    accepted(&mut site, &mut other);
    let empty = site.command("list", json!({})).unwrap();
    assert_eq!((empty["accepted"][0]["agent"].clone(), empty["rulings"].clone()), (json!(other.agent().0), json!([])));
    assert_eq!(empty["accepted"][0]["until"], "2022-11-06T00:00:00.000Z");

    let lifts: Vec<Value> = (0..7).map(|n| lift(&site, n, site.now())).collect();
    for lift in &lifts[..4] {
        told(&mut site, "commit", &commit(lift));
    }
    site.advance(120_001);
    for lift in &lifts[4..] {
        site.advance(1);
        told(&mut site, "check", lift);
    }
    let mut seen = Vec::new();
    let mut argument = json!({ "limit": 3 });
    loop {
        let page = site.command("list", argument).unwrap();
        seen.extend(page["rulings"].as_array().unwrap().iter().cloned());
        let Some(next) = page.get("next") else { break };
        argument = json!({ "limit": 3, "from": next });
    }
    let uuids: Vec<&Value> = seen.iter().map(|ruling| &ruling["lift"]).collect();
    assert_eq!(uuids[..3], [&lifts[6]["lift"], &lifts[5]["lift"], &lifts[4]["lift"]], "the latest first");
    assert_eq!(seen.len(), 7);
    let states: Vec<&str> = seen.iter().map(|ruling| ruling["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["void", "void", "void", "good", "good", "good", "good"]);
    let fault = site.command("list", json!({ "from": "yesterday" })).unwrap_err();
    assert!(fault.fix.unwrap().contains("next"));
}
