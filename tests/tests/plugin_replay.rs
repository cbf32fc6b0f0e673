//! What happened to a site, given to another build afterwards.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tallyho_tests::chits::{partners, until_half};
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::deal::alice_and_bob;
use tallyho_tests::plugins::build_library;
use tallyho_tests::site::{Answer, Site};

/// Replays without any site's home being looked at.
fn replay(store: &Path, journal: &Path, candidate: &Path) -> Answer {
    let nowhere = Site::empty();
    let words = ["plugin", "replay", "--store", text(store), "--journal", text(journal), text(candidate)];
    nowhere.attempt(&words)
}

#[test]
fn a_seeded_difference_is_found_in_what_happened_and_none_where_the_build_does_the_same() {
    let builds = Builds::new();
    let first = builds.make("counter.so", "version=1");
    let mut site = Site::new().plugins(&[text(&first)]);
    site.start();
    site.count(1_000);
    let (before, after) = (builds.folder().join("before.db"), builds.folder().join("after.db"));
    let taken = site.command(&["plugin", "snapshot", text(&before)]);
    assert!(taken["bytes"].as_u64() > Some(0), "{taken}");
    for number in 0..60 {
        site.count(number % 30);
    }
    site.call("counter", "wake", &json!({ "number": 7 })).unwrap();
    site.until(&["call", "counter", "report"], |told| told["numbers"][7][1] == 3);
    site.command(&["plugin", "snapshot", text(&after)]);

    let same = replay(&before, &after, &builds.make("same.so", "version=1 another=word"));
    assert_eq!((same.code, &same.json["ok"]), (Some(0), &json!(true)), "{} {}", same.json, same.errors);
    assert_eq!((&same.json["events"], &same.json["differences"]), (&json!(62), &json!([])));
    // The tables follow what happened: of two events with this number, each differs in its own row only.
    let other = replay(&before, &after, &builds.make("other.so", "version=1 twice-at=17"));
    assert_eq!((other.code, &other.json["differing"]), (Some(1), &json!(2)), "{}", other.errors);
    let told: Vec<_> = other.json["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert_eq!((&one["table"], &one["key"]), (&json!("counter.numbers"), &json!("0000000000000011")));
            (one["event"].as_u64().unwrap(), one["expected"].as_u64().unwrap(), one["found"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(told, [(18, 1, 2), (48, 2, 3)]);
    let why = other.json["why"].as_str().unwrap();
    assert!(why.starts_with("it differs in 2 of 62 events, first in event 18 (command add), row "), "{why}");

    // The journal may be the site's own store, running or at rest.
    let store = site.home().join("site.db");
    let candidate = builds.make("panic.so", "version=1 panic-at=3");
    for running in [true, false] {
        let own = replay(&before, &store, &candidate);
        assert_eq!(own.json["differing"], 2, "{running}: {}", own.errors);
        assert_eq!(own.json["differences"][0]["found"]["code"], "panic");
        site.kill();
    }
}

#[test]
fn chits_between_two_sites_are_replayed_without_keys_and_without_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    let [alice, bob] = &alice_and_bob();
    let (before, after) = (folder.path().join("before.db"), folder.path().join("after.db"));
    bob.command(&["plugin", "snapshot", text(&before)]);
    let tally = partners(alice, "alice", bob, "bob");
    for number in 1..=10 {
        let (site, user) = if number % 2 == 0 { (alice, "alice") } else { (bob, "bob") };
        site.call("chit", "pay", &json!({ "tally": tally, "units": 100 + number, "user": user })).unwrap();
        until_half(bob, "bob", &tally, |half| half["conf"].as_u64() == Some(number));
    }
    bob.command(&["plugin", "snapshot", text(&after)]);
    for (name, least) in [("chit", 15), ("tally", 3)] {
        let told = replay(&before, &after, &build_library(&format!("tallyho-{name}")));
        assert_eq!((told.code, &told.json["differences"]), (Some(0), &json!([])), "{:#} {}", told.json, told.errors);
        assert!(told.json["events"].as_u64() >= Some(least), "{}", told.json);
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused_with_what_to_do() {
    let builds = Builds::new();
    let first = builds.make("counter.so", "version=1");
    let mut sites = [(); 2].map(|()| Site::new().plugins(&[text(&first)]));
    sites.iter_mut().for_each(Site::start);
    let [one, other] = &mut sites;
    let folder = builds.folder();
    let [early, late, stranger, plain] =
        ["early.db", "late.db", "stranger.db", "plain.db"].map(|name| folder.join(name));
    let none = one.attempt(&["plugin", "snapshot", text(&first)]);
    assert!(none.code == Some(1) && none.errors.contains("is there already"), "{}", none.errors);
    fs::copy(other.home().join("site.db"), &plain).unwrap();
    one.command(&["plugin", "snapshot", text(&early)]);
    one.count(1);
    one.command(&["plugin", "snapshot", text(&late)]);
    other.command(&["plugin", "snapshot", text(&stranger)]);
    let refused = |store: &Path, journal: &Path, candidate: &Path, word: &str| {
        let answer = replay(store, journal, candidate);
        let fault: Value = serde_json::from_str(answer.errors.lines().last().unwrap_or_default()).unwrap_or_default();
        assert_eq!(answer.code, Some(1), "{word}: {}", answer.json);
        assert!(answer.errors.contains(word), "{word}: {} {fault}", answer.errors);
    };
    refused(&folder.join("nowhere.db"), &late, &first, "is not there");
    refused(&first, &late, &first, "is damaged or no store");
    refused(&plain, &late, &first, "plugin snapshot FILE");
    refused(&early, &stranger, &first, "holds nothing of the site");
    refused(&late, &early, &first, "the journal ends with event");
    refused(&early, &late, &plain, "expected a 64-bit ELF");
    refused(
        &early,
        &late,
        &builds.make("two.so", "version=2 state=2"),
        "have state version 1 there, the candidate has 2",
    );
    // A site that was started again has not recorded what came then.
    one.kill();
    one.start();
    one.count(2);
    let answer = replay(&early, &one.home().join("site.db"), &first);
    assert_eq!((answer.code, &answer.json["events"]), (Some(1), &json!(1)));
    assert!(answer.json["why"].as_str().unwrap().contains("its site was restarted"), "{}", answer.json);
}
