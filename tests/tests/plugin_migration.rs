//! Tables too large for one transaction, brought to another state version while the site runs.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::plugins::build_library;
use tallyho_tests::site::{Site, until};

/// Rows that the tables have: ten parts and more.
const ROWS: u64 = 20_000;

/// How long others may be kept waiting.
const MOMENT: Duration = Duration::from_millis(100);

/// A site with a counter of many rows, and an echo beside it.
fn site(builds: &Builds) -> Site {
    let (first, echo) = (builds.make("counter.so", "version=1"), build_library("tallyho-echo"));
    let mut site = Site::new().plugins(&[text(&first), text(&echo)]);
    site.start();
    for number in (0..ROWS).step_by(5_000) {
        site.call("counter", "fill", &json!({ "number": number })).unwrap();
    }
    site
}

fn migrate(site: &Site, file: &Path) -> Result<Value, Fault> {
    site.call("host", "plugin.swap", &json!({ "name": "counter", "file": file, "migrate": true }))
}

/// How often each number was counted, where it is the same for all.
fn times(site: &Site) -> Vec<u64> {
    let counted = site.counted();
    assert_eq!(counted.len() as u64, ROWS);
    let mut times: Vec<u64> = counted.iter().map(|(_, times)| *times).collect();
    times.dedup();
    times
}

#[test]
fn large_tables_are_brought_over_while_the_others_serve_and_the_plugins_own_events_wait() {
    let builds = Builds::new();
    let site = site(&builds);
    let second = builds.make("second.so", "version=2 state=2 parts=1500");
    let over = AtomicBool::new(false);
    let (swapped, waits, held) = thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let (mut waits, mut held) = (Vec::new(), 0);
            until(|| site.counter()["state"] == "migrating");
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                site.call("echo", "say", &json!({ "words": "hello" })).unwrap();
                waits.push(begun.elapsed());
                match site.call("counter", "report", &json!({})) {
                    Err(fault) => {
                        assert_eq!(fault.code, "migrating", "{fault}");
                        held += 1;
                    }
                    Ok(told) => assert_eq!(told["version"], "2", "it serves although its tables are of both"),
                }
            }
            (waits, held)
        });
        let swapped = migrate(&site, &second);
        over.store(true, Ordering::Relaxed);
        let (waits, held) = echo.join().unwrap();
        (swapped.unwrap(), waits, held)
    });
    assert_eq!(swapped["state_version"], json!({ "from": 1, "to": 2 }));
    assert_eq!((times(&site), site.counter()["version"].as_str()), (vec![2], Some("2")));
    assert!(held > 3, "{held}");
    let mut sorted = waits.clone();
    sorted.sort_unstable();
    // A machine that does other work may stop any of them, but not half of them.
    assert!(sorted[sorted.len() / 2] < MOMENT, "{waits:?}");
    assert!(swapped["phases"]["migrate"].as_f64() > Some(0.0), "{swapped}");
}

#[test]
fn a_migration_that_fails_midway_is_taken_back_and_the_old_build_serves_on() {
    let builds = Builds::new();
    let site = site(&builds);
    for (settings, said) in [
        ("version=2 state=2 parts=1500 fails-after=9000", "from state version 1 to 2: stuck midway"),
        ("version=2 state=2 parts=1500 panics-after=9000", "panic: stuck midway"),
        ("version=2 state=2 parts=1500 start=panic", "no nerves for this"),
        ("version=2 state=2 parts=4500", "more than 4000 effects in one part"),
    ] {
        let fault = migrate(&site, &builds.make("bad.so", settings)).unwrap_err();
        assert!(fault.text.starts_with("plugin counter is not swapped, generation 1 serves on: "), "{fault}");
        assert!(fault.text.contains(said), "{fault}");
        let listed = site.counter();
        assert_eq!((&listed["state"], &listed["version"]), (&json!("serving"), &json!("1")));
        assert_eq!(times(&site), [1]);
    }
    // Nothing of it is left in the way of a build that does it right.
    migrate(&site, &builds.make("good.so", "version=2 state=2 parts=3000")).unwrap();
    assert_eq!(times(&site), [2]);
}

#[test]
fn a_site_killed_midway_has_its_tables_as_they_were_or_goes_on_with_the_newer_build() {
    let builds = Builds::new();
    let mut site = site(&builds);
    let second = builds.make("second.so", "version=2 state=2 parts=3000");
    site.kill();
    site.crash_at("migrated-part", 4);
    site.start();
    assert_eq!(migrate(&site, &second).unwrap_err().code, "closed");
    // Killed again while they are taken back.
    site.crash_at("gave-back-part", 2);
    assert!(!site.try_start());
    site.start();
    assert_eq!((times(&site), site.counter()["version"].as_str()), (vec![1], Some("1")));

    site.kill();
    site.crash_at("migrated-part", 4);
    site.start();
    assert_eq!(migrate(&site, &second).unwrap_err().code, "closed");
    builds.make("counter.so", "version=2 state=2 parts=3000");
    site.start();
    assert_eq!((times(&site), site.counter()["version"].as_str()), (vec![2], Some("2")));
    migrate(&site, &builds.make("third.so", "version=3 state=3 parts=3000")).unwrap();
    assert_eq!((times(&site), site.counter()["version"].as_str()), (vec![4], Some("3")));
}
