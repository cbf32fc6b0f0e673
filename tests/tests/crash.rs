//! Whatever kills a site at whatever moment: after a restart both sides come to the same end.
//!
//! Real processes, killed at named places of the program (`TALLYHO_CRASH`, see `host/src/crash.rs`) and at
//! random moments: 12 times, drawn from seed 1. The long form draws as many as wanted from any seed; it runs
//! without nextest, which ends what takes minutes:
//!
//! `TALLYHO_TEST_KILLS=250 TALLYHO_TEST_SEED=7 cargo test --workspace --test crash -- --nocapture random`

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_tests::deal::{Deal, is_down};
use tallyho_tests::site::{Door, PATIENCE, Site};

/// More visits to one place than any deal makes: a loop that gets here has gone wrong.
const VISITS: u32 = 60;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Side {
    Stock,
    Foil,
}

/// Makes one deal for each visit to `place` that a site makes in a deal, the site killed at that visit;
/// how often it was killed.
fn killed_at_each_visit(place: &str, side: Side) -> u32 {
    let sites = [Mutex::new(Site::with_users(&["alice"])), Mutex::new(Site::with_users(&["bob"]))];
    killed_at_each_visit_of(place, &sites, side as usize)
}

fn killed_at_each_visit_of(place: &str, sites: &[Mutex<Site>], armed: usize) -> u32 {
    let deaths = AtomicU32::new(0);
    let revive = || {
        for site in sites {
            let mut site = site.lock().unwrap();
            if !site.runs() {
                deaths.fetch_add(1, Ordering::Relaxed);
                site.start();
            }
        }
    };
    for n in 1..VISITS {
        {
            let mut site = sites[armed].lock().unwrap();
            site.kill();
            site.crash_at(place, n);
            let _dies_already = site.try_start();
        }
        let before = deaths.load(Ordering::Relaxed);
        let doors: Vec<Door> = sites.iter().map(|site| site.lock().unwrap().door()).collect();
        let (stock, foil) = (&doors[0], &doors[doors.len() - 1]);
        Deal { stock: stock.clone(), alice: "alice", foil: foil.clone(), bob: "bob", revive: &revive }.make();
        settled(stock, "alice", n, &revive);
        settled(foil, "bob", n, &revive);
        if deaths.load(Ordering::Relaxed) == before {
            return n - 1;
        }
    }
    panic!("{place} is come to {VISITS} times in one deal");
}

/// The user has so many tallies, all open; nothing waits to be sent.
fn settled(site: &Door, user: &str, tallies: u32, revive: &dyn Fn()) {
    let begun = Instant::now();
    loop {
        match site.call("host", "status", &json!({})) {
            Ok(status) if status["outbox"] == 0 => break,
            Ok(status) => assert!(begun.elapsed() < PATIENCE, "messages stay in the outbox: {status}"),
            Err(fault) => assert!(is_down(&fault), "{fault}"),
        }
        revive(); // it may die of its last step
        thread::sleep(Duration::from_millis(10)); // between two looks
    }
    let list = site.call("tally", "list", &json!({ "user": user })).unwrap();
    let partnered = list.as_array().unwrap().iter().filter(|tally| tally["state"] != "draft");
    let states: Vec<&Value> = partnered.map(|tally| &tally["state"]).collect();
    assert_eq!(states, vec!["open"; tallies as usize], "{list}");
}

macro_rules! at_every_visit {
    ($($name:ident: $place:literal, $side:ident, $least:literal;)*) => {
        $(
            #[test]
            fn $name() {
                let killed = killed_at_each_visit($place, Side::$side);
                assert!(killed >= $least, "{} is come to {killed} times only", $place);
            }
        )*
    };
}

at_every_visit! {
    the_issuer_killed_before_any_commit: "before-commit", Stock, 5;
    the_issuer_killed_after_any_commit: "after-commit", Stock, 5;
    the_issuer_killed_after_any_release: "after-release", Stock, 5;
    the_issuer_killed_before_its_answer: "before-answer", Stock, 1;
    the_issuer_killed_as_a_channel_opens: "channel-opening", Stock, 1;
    the_issuer_killed_after_writing_any_frame: "frame-written", Stock, 2;
    the_issuer_killed_after_reading_any_frame: "frame-received", Stock, 2;
    the_subject_killed_before_any_commit: "before-commit", Foil, 5;
    the_subject_killed_after_any_commit: "after-commit", Foil, 5;
    the_subject_killed_after_any_release: "after-release", Foil, 5;
    the_subject_killed_before_calling: "before-opening", Foil, 1;
    the_subject_killed_after_calling: "opening-written", Foil, 1;
    the_subject_killed_when_answered: "answered", Foil, 1;
    the_subject_killed_after_writing_any_frame: "frame-written", Foil, 1;
    the_subject_killed_after_reading_any_frame: "frame-received", Foil, 2;
}

#[test]
fn a_site_of_both_users_killed_at_any_commit_or_release() {
    for place in ["before-commit", "after-release"] {
        let sites = [Mutex::new(Site::with_users(&["alice", "bob"]))];
        assert!(killed_at_each_visit_of(place, &sites, 0) >= 5);
    }
}

#[test]
fn a_site_killed_at_any_step_of_its_first_start_starts_again() {
    let fresh = |place: &str| {
        for n in 1..VISITS {
            let mut site = Site::empty();
            site.crash_at(place, n);
            let mut crashed = !site.try_start();
            if crashed {
                site.start();
            }
            let user = json!({ "cuid": "alice", "key": "ed25519" });
            if site.call("host", "user.add", &user).is_err() {
                crashed = true;
                site.start();
                site.call("host", "user.add", &user).unwrap();
            }
            let ticket = site.call("tally", "ticket.new", &json!({ "user": "alice", "agree": "bread" })).unwrap();
            assert!(ticket["link"].is_string());
            if !crashed {
                return n - 1;
            }
        }
        panic!("{place} is come to too often");
    };
    assert!(fresh("starting") >= 6);
    assert_eq!(fresh("file-unnamed"), 3, "the configuration, the agent's key and the user's");
}

#[test]
fn a_user_added_as_the_site_dies_is_there_whole_or_not_at_all() {
    let mut killed = std::collections::BTreeSet::new();
    let mut site = Site::with_users(&[]);
    let places = ["file-unnamed", "user-key", "before-commit", "after-commit", "user-added"];
    // A start may come to some of the places itself, so each is tried a few times over.
    for (number, (place, n)) in places.iter().flat_map(|place| (1..=3).map(move |n| (place, n))).enumerate() {
        let user = format!("alice{number}");
        site.kill();
        site.crash_at(place, n);
        if !site.try_start() {
            site.start();
            continue;
        }
        let argument = json!({ "cuid": user, "key": "ed25519" });
        if let Err(fault) = site.call("host", "user.add", &argument) {
            assert!(is_down(&fault), "{fault}");
            killed.insert(*place);
            site.start();
            let users = site.call("host", "user.list", &json!({})).unwrap();
            let there = users.as_array().unwrap().iter().filter(|known| known["cuid"] == user.as_str()).count();
            let again = site.call("host", "user.add", &argument);
            assert_eq!(again.is_ok(), there == 0, "{place}: {users} {again:?}");
        }
        // The account and its key belong together: an offer is signed with it.
        if let Ok(cert) = site.call("tally", "ticket.new", &json!({ "user": user, "agree": "bread" })) {
            assert!(cert["link"].is_string());
        } else {
            site.kill();
            site.start();
            let cert = site.call("tally", "ticket.new", &json!({ "user": user, "agree": "bread" })).unwrap();
            assert!(cert["link"].is_string());
        }
    }
    assert_eq!(killed, places.into());
}

#[test]
fn deals_at_the_same_time_end_alike_though_either_site_is_killed_at_random() {
    const PAIRS: usize = 6;
    let number = |name: &str, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse::<u64>().expect("a number is given"))
    };
    let (kills, mut dice) = (number("TALLYHO_TEST_KILLS", 12), number("TALLYHO_TEST_SEED", 1) | 1 << 40);
    let alices: Vec<String> = (0..PAIRS).map(|pair| format!("alice{pair}")).collect();
    let bobs: Vec<String> = (0..PAIRS).map(|pair| format!("bob{pair}")).collect();
    let names = |users: &[String]| Site::with_users(&users.iter().map(String::as_str).collect::<Vec<_>>());
    let mut sites = [names(&alices), names(&bobs)];
    let (stock, foil) = (sites[0].door(), sites[1].door());
    let (killing, made) = (AtomicBool::new(true), AtomicU32::new(0));
    let counts: Vec<u32> = thread::scope(|scope| {
        let pairs = alices.iter().zip(&bobs).map(|(alice, bob)| {
            let (stock, foil, killing, made) = (stock.clone(), foil.clone(), &killing, &made);
            scope.spawn(move || {
                let mut count = 0;
                while count == 0 || killing.load(Ordering::Relaxed) {
                    let deal = Deal { stock: stock.clone(), alice, foil: foil.clone(), bob, revive: &|| {} };
                    deal.make();
                    made.fetch_add(1, Ordering::Relaxed);
                    count += 1;
                }
                count
            })
        });
        let pairs: Vec<_> = pairs.collect();
        for _ in 0..kills {
            let mut roll = |sides: u64| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                dice % sides
            };
            thread::sleep(Duration::from_millis(20 + roll(400))); // the moment of the kill
            let site = &mut sites[roll(2) as usize];
            site.kill();
            site.start();
        }
        killing.store(false, Ordering::Relaxed);
        pairs.into_iter().map(|pair| pair.join().unwrap()).collect()
    });
    eprintln!("{} deals, {kills} kills", made.load(Ordering::Relaxed));
    for (pair, count) in counts.iter().enumerate() {
        settled(&sites[0].door(), &alices[pair], *count, &|| {});
        settled(&sites[1].door(), &bobs[pair], *count, &|| {});
    }
}
