//! Candidates tried on the events of a running site before they serve.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::thread;
use tallyho_plugin::Fault;
use tallyho_tests::chits::{chits, partners, until_half};
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::deal::alice_and_bob;
use tallyho_tests::plugins::{another_build, build_library};
use tallyho_tests::site::{Site, until};

fn site(builds: &Builds) -> Site {
    let mut site = Site::new().plugins(&[text(&builds.make("counter.so", "version=1"))]);
    site.start();
    site
}

/// Begins to try a build over so many events.
fn begin(site: &Site, file: &std::path::Path, events: u64) -> Result<Value, Fault> {
    site.call("host", "plugin.swap", &json!({ "name": "counter", "file": file, "shadow": events }))
}

#[test]
fn a_seeded_difference_in_one_of_a_hundred_events_is_found_and_named_and_the_old_build_serves_on() {
    let builds = Builds::new();
    let site = site(&builds);
    let candidate = builds.make("candidate.so", "version=1 twice-at=57");
    let answer = thread::scope(|scope| {
        let swapping =
            scope.spawn(|| site.attempt(&["plugin", "swap", "counter", text(&candidate), "--shadow", "100"]));
        until(|| site.counter()["shadow"].is_string());
        for number in 1..=100 {
            assert_eq!(site.count(number), "1");
        }
        swapping.join().unwrap()
    });
    assert_eq!(answer.code, Some(1), "{}", answer.errors);
    let (told, found) = (&answer.json, &answer.json["differences"][0]);
    assert_eq!((&told["state"], &told["events"], &told["differing"]), (&json!("refused"), &json!(100), &json!(1)));
    assert_eq!((&found["event"], &found["what"]), (&json!(57), &json!("command add")), "{told}");
    assert_eq!((&found["given"], &found["effect"]), (&json!({ "number": 57 }), &json!("row")), "{told}");
    assert_eq!((&found["table"], &found["key"]), (&json!("counter.numbers"), &json!("0000000000000039")));
    assert_eq!((&found["expected"], &found["found"]), (&json!(1), &json!(2)));
    let why = "it differs in 1 of 100 events, first in event 57 (command add), row 0000000000000039 of counter.numbers: \
               expected 1, found 2";
    assert!(answer.errors.contains(why), "{}", answer.errors);
    let listed = site.counter();
    assert_eq!(listed["shadow"], format!("1 was not promoted: {why}"));
    assert_eq!((&listed["version"], &listed["state"], &listed["calls"]), (&json!("1"), &json!("serving"), &json!(101)));
    let status = site.command(&["status"]);
    assert_eq!(status["plugins"][0]["shadow"], listed["shadow"]);
    assert!(site.counted().iter().all(|(_, times)| *times == 1));
    assert!(site.log().contains("is not promoted: it differs"));
}

#[test]
fn two_builds_of_the_same_source_do_the_same_and_the_candidate_serves_after_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let [alice, bob] = &alice_and_bob();
    let tally = partners(alice, "alice", bob, "bob");
    for name in ["chit", "tally"] {
        let build = folder.path().join(format!("{name}.so"));
        let library = fs::read(build_library(&format!("tallyho-{name}"))).unwrap();
        fs::write(&build, another_build(&library, 1)).unwrap();
        let shadow = json!({ "name": name, "file": build, "shadow": 30 });
        assert_eq!(bob.call("host", "plugin.swap", &shadow).unwrap()["state"], "shadow");
    }
    let state = |name: &str| bob.call("host", "plugin.shadow", &json!({ "name": name })).unwrap();
    let mut paid = 0;
    while paid < 60 && (state("chit")["state"] == "shadow" || state("tally")["state"] == "shadow") {
        for (site, user) in [(bob, "bob"), (alice, "alice")] {
            paid += 1;
            let chit = json!({ "tally": tally, "units": 1_000 + paid, "user": user, "memo": "bread" });
            site.call("chit", "pay", &chit).unwrap();
            until_half(bob, "bob", &tally, |half| half["conf"].as_u64() == Some(paid));
        }
    }
    for name in ["chit", "tally"] {
        let told = state(name);
        assert_eq!((&told["state"], &told["differences"]), (&json!("serving"), &json!([])), "{told:#}");
        assert_eq!(told["events"], 30, "{told:#}");
    }
    let listed = bob.command(&["plugin", "list"]);
    assert_eq!(listed[0]["shadow"], "0.1.0 was promoted after 30 of 30 events without a difference");
    until_half(alice, "alice", &tally, |half| half["conf"].as_u64() == Some(paid));
    assert_eq!(chits(bob, "bob", &tally).len() as u64, paid);
}

#[test]
fn a_candidate_that_cannot_be_compared_is_refused_at_once() {
    let builds = Builds::new();
    let site = site(&builds);
    let other = builds.make("other.so", "version=2 state=2");
    let fault = begin(&site, &other, 5).unwrap_err();
    assert_eq!(fault.code, "state", "{fault}");
    assert!(fault.text.contains("generation 1 serves on") && fault.fix.unwrap().contains("without --shadow"));
    let same = builds.make("same.so", "version=2");
    let both = site.attempt(&["plugin", "swap", "counter", text(&same), "--shadow", "5", "--migrate"]);
    assert_eq!(both.code, Some(2), "{}", both.errors);
    for number in ["0", "-1", "1000001"] {
        let shadow: Value = number.parse().unwrap();
        let fault = site.call("host", "plugin.swap", &json!({ "name": "counter", "file": same, "shadow": shadow }));
        assert!(fault.unwrap_err().text.contains("is no number of events from 1 to 1000000"));
    }
    site.command(&["plugin", "stop", "counter"]);
    assert_eq!(begin(&site, &same, 5).unwrap_err().code, "stopped");
    site.command(&["plugin", "start", "counter"]);
    assert_eq!(site.counter()["version"], "1");
}

#[test]
fn a_run_that_has_not_seen_its_events_goes_on_when_nobody_waits_for_it_and_an_ordinary_swap_ends_it() {
    let builds = Builds::new();
    let site = site(&builds);
    let second = builds.make("second.so", "version=2");
    let words = ["plugin", "swap", "counter", text(&second), "--shadow", "5", "--timeout", "0s"];
    let answer = site.attempt(&words);
    assert_eq!((answer.code, &answer.json["state"]), (Some(1), &json!("shadow")), "{}", answer.errors);
    assert_eq!(site.counter()["shadow"], "2 is tried: 0 of 5 events, no difference");
    assert_eq!(begin(&site, &second, 5).unwrap_err().code, "busy");
    assert_eq!(site.command(&["plugin", "swap", "counter", text(&second)])["state"], "serving");
    assert_eq!((site.count(1).as_str(), site.counter()["shadow"].is_null()), ("2", true));
}

#[test]
fn a_promoted_candidate_serves_after_a_restart_and_can_be_rolled_back() {
    let builds = Builds::new();
    let mut site = site(&builds);
    let same = builds.make("same.so", "version=1 unknown=word");
    begin(&site, &same, 3).unwrap();
    for number in 1..=3 {
        site.count(number);
    }
    until(|| site.counter()["path"] == json!(same));
    fs::remove_file(&same).unwrap();
    let states: Vec<Value> =
        site.counter()["generations"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["retired", "serving"]);
    site.kill();
    site.start();
    assert_eq!(site.counter()["path"], json!(same));
    site.command(&["plugin", "rollback", "counter"]);
    assert_ne!(site.counter()["path"], json!(same));
}
