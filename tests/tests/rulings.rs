//! A referee's duties at a site that is killed, whose clock is set, whose disk is full, and that is asked by many
//! at once (PROTOCOL 10.4): by strangers, over real sockets.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_tests::full_disk::limit;
use tallyho_tests::lifts::{commit, is_ruling, lasting, lift};
use tallyho_tests::peer::{Peer, own};
use tallyho_tests::site::{Site, until};
use tallyho_tests::stranger::{asks, opens};

/// Milliseconds of ten minutes.
const TEN_MINUTES: i64 = 600_000;

/// A site whose referee serves everybody, as often as they like.
fn referee() -> (Site, AgentId, AgentKey) {
    let site = Site::configured("limits = { strangers_per_minute = 100000 }", &[]);
    site.command(&["referee", "serve", "all"]);
    let agent = AgentId(own(&site)["agent"].as_str().unwrap().to_owned());
    (site, agent, AgentKey::from_seed(&[7; 32]).unwrap())
}

fn now() -> Timestamp {
    Timestamp::from(std::time::SystemTime::now())
}

/// A hundred requests for one lift, from ten addresses, about the instant of its expiry; every ruling that came
/// of them. Odd ones are commits where `commits`, all others checks.
fn storm(site: &Site, agent: &AgentId, originator: &AgentKey, n: u64, commits: bool) -> BTreeSet<String> {
    let (lift, address) = (lasting(2, originator, agent, n, now()), own(site));
    let (consent, ready) = (commit(&lift, originator), Barrier::new(10));
    let asker = |host: u8| {
        let peer = Peer::at(host, "asker");
        let says = |action: &str, object: &Value| peer.message(&address, "lift", action, object.clone());
        let mut channel = opens(&peer, site, &address, &Value::Null).unwrap();
        ready.wait();
        // The referee's own word says when it is nearly time.
        loop {
            channel.says(&says("check", lift.value()));
            let status = channel.hears("lift", "status");
            let at = status["object"]["now"].as_str().and_then(|text| Timestamp::parse(text).ok());
            if at.is_none_or(|at| at.plus(20) > lift.expires()) {
                break;
            }
        }
        for request in 0..10 {
            match commits && request % 2 == 1 {
                true => channel.says(&says("commit", &consent)),
                false => channel.says(&says("check", lift.value())),
            }
        }
        let heard: Vec<Value> = (0..10).map(|_| channel.hears("lift", "status")["object"].take()).collect();
        heard.into_iter().filter(|status| status["pend"].is_null()).map(|status| status.to_string()).collect()
    };
    let asker = &asker;
    let mut rulings: BTreeSet<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|n| scope.spawn(move || -> Vec<String> { asker(10 + n) })).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    // And the last word, after expiry beyond doubt.
    until(|| now() > lift.expires());
    let last = asks(&Peer::at(2, "late"), site, "check", lift.value());
    assert!(is_ruling(&lift, last["valid"] == true, &last), "{last}");
    rulings.insert(last.to_string());
    rulings
}

#[test]
fn a_hundred_requests_at_once_round_its_expiry_get_a_lift_one_ruling() {
    let (site, agent, originator) = referee();
    for n in 0..3 {
        assert_eq!(storm(&site, &agent, &originator, n, true).len(), 1);
    }
    let void = storm(&site, &agent, &originator, 9, false);
    assert!(void.len() == 1 && void.first().unwrap().contains("false"), "{void:?}");
}

#[test]
fn a_referee_killed_right_after_an_answer_gives_the_same_bytes_again() {
    let (mut site, agent, originator) = referee();
    let stranger = Peer::at(2, "nobody");
    for n in 0..3 {
        let (young, old) =
            (lift(&originator, &agent, n, now()), lift(&originator, &agent, 100 + n, now().plus(-TEN_MINUTES)));
        for (lift, valid) in [(&young, true), (&old, false)] {
            let answer = asks(&stranger, &site, "commit", &commit(lift, &originator));
            site.kill();
            assert!(is_ruling(lift, valid, &answer), "{answer}");
            site.start();
            let again = asks(&stranger, &site, "commit", &commit(lift, &originator));
            assert_eq!(again.to_string(), answer.to_string());
            let names = json!({ "lift": lift.uuid(), "hash": lift.hash() });
            assert_eq!(asks(&stranger, &site, "check", &names), answer);
        }
    }
    assert_eq!(site.command(&["referee", "list"])["rulings"].as_array().unwrap().len(), 6);
}

#[test]
fn a_clock_set_back_ten_minutes_changes_no_ruling_and_none_is_guessed_meanwhile() {
    let (mut site, agent, originator) = referee();
    let stranger = Peer::at(2, "nobody");
    let clock = site.home().join("clock");
    let set = |by: i64| std::fs::write(&clock, by.to_string()).unwrap();
    let ask = |site: &Site, action: &str, object: &Value| asks(&stranger, site, action, object);
    let (good, void) = (lift(&originator, &agent, 1, now()), lift(&originator, &agent, 2, now().plus(-TEN_MINUTES)));
    let (late, open) = (lift(&originator, &agent, 3, now().plus(-TEN_MINUTES)), lift(&originator, &agent, 4, now()));
    let first = ask(&site, "commit", &commit(&good, &originator));
    let second = ask(&site, "commit", &commit(&void, &originator));
    assert!(is_ruling(&good, true, &first) && is_ruling(&void, false, &second));
    for restarts in [true, false] {
        set(-TEN_MINUTES);
        if restarts {
            site.environment("TALLYHO_CLOCK", clock.to_str().unwrap());
            site.start();
        }
        assert_eq!(ask(&site, "check", good.value()), first);
        assert_eq!(ask(&site, "commit", &commit(&void, &originator)), second);
        // What was over by a ruling's instant stays over, though by that clock it has just begun.
        let over = ask(&site, "commit", &commit(&late, &originator));
        assert!(is_ruling(&late, false, &over), "{over}");
        if restarts {
            let pending = ask(&site, "commit", &commit(&open, &originator));
            assert_eq!((&pending["pend"], &pending["err"]), (&json!(true), &json!("clock")));
        }
        set(0);
        let answer = ask(&site, "commit", &commit(&open, &originator));
        assert!(is_ruling(&open, true, &answer), "{answer}");
    }
}

#[test]
fn with_a_full_disk_there_is_no_answer_rather_than_an_unrecorded_one() {
    let (mut site, agent, originator) = referee();
    let (stranger, address) = (Peer::at(2, "nobody"), own(&site));
    let (young, old) = (lift(&originator, &agent, 1, now()), lift(&originator, &agent, 2, now().plus(-TEN_MINUTES)));
    let mut channel = opens(&stranger, &site, &address, &Value::Null).unwrap();
    limit(&site, Some(0));
    for lift in [&young, &old] {
        channel.says(&stranger.message(&address, "lift", "commit", commit(lift, &originator)));
    }
    for _ in 0..10 {
        let refused = site.call("referee", "serve", &json!({ "whom": "own" })).unwrap_err();
        assert_eq!(refused.code, "store", "{refused}");
    }
    // Whatever it was about to say it has not said.
    site.kill();
    assert!(channel.is_closed());
    site.start();
    let names = json!({ "lift": young.uuid(), "hash": young.hash() });
    assert_eq!(asks(&stranger, &site, "check", &names)["err"], "need");
    assert_eq!(site.command(&["referee", "list"])["rulings"], json!([]));
    // Asked again, it rules.
    assert!(is_ruling(&young, true, &asks(&stranger, &site, "commit", &commit(&young, &originator))));
    assert!(is_ruling(&old, false, &asks(&stranger, &site, "check", old.value())));
}

#[test]
fn a_site_whose_disk_has_room_again_goes_on_with_strangers_by_itself() {
    let (site, agent, originator) = referee();
    let stranger = Peer::at(2, "nobody");
    let lift = lift(&originator, &agent, 1, now());
    limit(&site, Some(0));
    let refused = site.call("referee", "serve", &json!({ "whom": "own" })).unwrap_err();
    assert_eq!(refused.code, "store", "{refused}");
    limit(&site, None);
    site.call("referee", "serve", &json!({ "whom": "all" })).unwrap();
    assert!(is_ruling(&lift, true, &asks(&stranger, &site, "commit", &commit(&lift, &originator))));
}
