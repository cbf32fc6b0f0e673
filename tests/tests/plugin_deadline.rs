//! Handlers that never end: the site goes on without them, and nothing is lost.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use std::fs;
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::deal::related;
use tallyho_tests::site::{Site, until};

/// A running site that gives handlers one second, with this build of the counter and the tally handler.
fn site(builds: &Builds, settings: &str) -> Site {
    let mut site = Site::new().plugins(&["tally", "chit", text(&builds.make("counter.so", settings))]);
    fs::write(site.home().join("tallyho.toml"), "[limits]\nhandler_seconds = 1\n").unwrap();
    site.start();
    site
}

#[test]
fn a_handler_that_loops_is_suspended_its_event_kept_and_all_others_served() {
    let builds = Builds::new();
    let (alice, bob) = (site(&builds, "version=1"), site(&builds, "version=1 loop-at=3"));
    let to = related(&alice, &bob);
    for number in 0..6 {
        alice.call("counter", "send", &json!({ "number": number, "to": to, "from": "alice" })).unwrap();
    }
    until(|| bob.counter()["state"] == "suspended");
    assert_eq!(bob.counter()["why"], "its handler was not done with an event within 1s");
    let fault = bob.call("counter", "report", &json!({})).unwrap_err();
    assert_eq!(fault.code, "suspended");
    assert_eq!(fault.text, "plugin counter is suspended: its handler was not done with an event within 1s");
    assert!(fault.fix.unwrap().contains("tallyho plugin swap counter FILE"));
    assert_eq!(bob.call("tally", "list", &json!({})).unwrap()[0]["state"], "open", "others are served");
    let status = bob.command(&["status"]);
    let counter = status["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "counter");
    assert_eq!(counter.unwrap()["state"], "suspended", "{status}");
    let doctor = bob.attempt(&["doctor"]);
    assert_eq!(doctor.code, Some(1));
    let told = doctor.json["checks"].as_array().unwrap().iter().any(|check| {
        check["ok"] == false && check["detail"].as_str().unwrap().contains("counter is suspended: its handler")
    });
    assert!(told, "{}", doctor.json);
    // A mended build serves; the message that the other looped on is handled, and every other one, once.
    bob.swap(&builds.make("mended.so", "version=2"));
    until(|| bob.counted().len() == 6);
    assert_eq!(bob.counted(), (0..6).map(|number| (number, 1)).collect::<Vec<_>>());
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
}

#[test]
fn a_command_that_loops_fails_and_says_why_and_what_came_with_it_is_done() {
    let builds = Builds::new();
    let site = site(&builds, "version=1 loop-at=7");
    assert_eq!(site.count(1), "1");
    let answer = site.attempt(&["call", "counter", "add", r#"{"number": 7}"#]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.errors.contains("plugin counter is suspended"), "{}", answer.errors);
    site.add_user("alice");
    site.call("tally", "list", &json!({})).unwrap();
    assert_eq!(site.command(&["plugin", "start", "counter"])["state"], "serving");
    assert_eq!(site.counted(), [(1, 1)]);
    // One too many of them, and only a restart helps.
    for _ in 0..3 {
        site.call("counter", "add", &json!({ "number": 7 })).unwrap_err();
        let _ = site.call("host", "plugin.start", &json!({ "name": "counter" }));
    }
    let fault = site.call("host", "plugin.start", &json!({ "name": "counter" })).unwrap_err();
    assert!(fault.text.contains("4 handlers loop in this process"), "{fault}");
    assert!(fault.fix.unwrap().contains("restart the site"));
    assert_eq!(site.counter()["state"], "suspended");
}

#[test]
fn a_handler_that_loops_naming_its_checks_is_suspended_too() {
    let builds = Builds::new();
    let (alice, bob) = (site(&builds, "version=1"), site(&builds, "version=1 prepare=loop"));
    let to = related(&alice, &bob);
    // Many at once: the checks of one that comes alone are not asked for beforehand.
    alice.call("counter", "send", &json!({ "number": 0, "many": 10, "to": to, "from": "alice" })).unwrap();
    until(|| bob.counter()["state"] == "suspended");
    assert_eq!(bob.call("tally", "list", &json!({})).unwrap()[0]["state"], "open");
    bob.swap(&builds.make("mended.so", "version=2"));
    until(|| bob.counted() == (0..10).map(|number| (number, 1)).collect::<Vec<_>>());
}

#[test]
fn a_candidate_that_loops_when_it_begins_is_refused_and_the_one_before_serves_on() {
    let builds = Builds::new();
    let site = site(&builds, "version=1");
    let looping = builds.make("looping.so", "version=2 start=loop");
    let fault = site.call("host", "plugin.swap", &json!({ "name": "counter", "file": looping })).unwrap_err();
    assert_eq!(fault.code, "deadline", "{fault}");
    assert!(fault.text.contains("version 2 was not done taking up its work within 1s"), "{fault}");
    assert_eq!(site.count(1), "1");
}

#[test]
fn a_build_that_fails_on_its_tenth_event_is_rolled_back_and_the_event_is_run_again_on_the_one_before() {
    for (settings, why) in [
        ("version=2 panic-at=10", "command add failed: panic: 10 is too much"),
        ("version=2 loop-at=10", "it was not done with an event within 1s"),
    ] {
        let builds = Builds::new();
        let mut site = site(&builds, "version=1");
        let first = site.counter()["generation"].clone();
        site.swap(&builds.make("bad.so", settings));
        assert!(site.counter()["probation"]["events_left"].as_u64().is_some(), "{}", site.counter());
        let versions: Vec<String> = (1..=12).map(|number| site.count(number)).collect();
        assert_eq!(versions, [vec!["2"; 9], vec!["1"; 3]].concat(), "no command fails");
        assert_eq!(site.counted(), (1..=12).map(|number| (number, 1)).collect::<Vec<_>>());
        let listed = site.counter();
        assert_eq!((&listed["generation"], &listed["state"]), (&first, &json!("serving")), "{listed}");
        assert_eq!(listed["rolled_back"]["version"], "2");
        assert_eq!(listed["rolled_back"]["why"], why);
        assert!(site.log().contains("has failed"), "{}", site.log());
        // It holds after a restart.
        site.kill();
        site.start();
        assert_eq!(site.count(13), "1");
    }
}

#[test]
fn peers_messages_that_a_bad_build_fails_on_are_handled_by_the_one_before() {
    let builds = Builds::new();
    let (alice, bob) = (site(&builds, "version=1"), site(&builds, "version=1"));
    let to = related(&alice, &bob);
    for settings in ["version=2 panic-at=5", "version=2 loop-at=15", "version=2 prepare=loop"] {
        bob.swap(&builds.make("bad.so", settings));
        let begin = bob.counted().len() as u64;
        let messages = json!({ "number": begin, "many": 10, "to": to, "from": "alice" });
        alice.call("counter", "send", &messages).unwrap();
        until(|| bob.counted().len() as u64 == begin + 10);
        assert_eq!(bob.counter()["version"], "1", "{settings}");
    }
    assert_eq!(bob.counted(), (0..30).map(|number| (number, 1)).collect::<Vec<_>>());
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
}

#[test]
fn a_fault_that_the_build_before_has_too_is_the_events() {
    let builds = Builds::new();
    let site = site(&builds, "version=1 panic-at=3");
    site.swap(&builds.make("second.so", "version=2 panic-at=3"));
    let fault = site.call("counter", "add", &json!({ "number": 3 })).unwrap_err();
    assert_eq!(fault.text, "panic: 3 is too much");
    assert_eq!(site.count(4), "2");
}

#[test]
fn a_build_that_has_brought_the_tables_further_is_not_rolled_back_by_itself() {
    let builds = Builds::new();
    let site = site(&builds, "version=1");
    let second = builds.make("second.so", "version=2 state=2 panic-at=3");
    site.command(&["plugin", "swap", "counter", text(&second), "--migrate"]);
    assert!(site.call("counter", "add", &json!({ "number": 3 })).is_err());
    assert_eq!(site.count(4), "2");
}
