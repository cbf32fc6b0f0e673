//! Builds swapped under a running site: what serves, what is refused, what becomes of the events meanwhile.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use tallyho_plugin::Fault;
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::deal::related;
use tallyho_tests::plugins::build_library;
use tallyho_tests::site::{Site, until};

/// A running site with the counter's version 1.
fn site(builds: &Builds) -> Site {
    let mut site = Site::new().plugins(&[text(&builds.make("counter.so", "version=1"))]);
    site.start();
    site
}

fn refused(result: Result<Value, Fault>) -> Fault {
    match result {
        Ok(answer) => panic!("it was done: {answer}"),
        Err(fault) => fault,
    }
}

#[test]
fn only_of_a_site_that_runs_a_plugin_is_said_to_serve() {
    let builds = Builds::new();
    let mut site = site(&builds);
    let states = |site: &Site| {
        let listed = site.command(&["plugin", "list"]);
        let listed: Vec<Value> = listed.as_array().unwrap().iter().map(|plugin| plugin["state"].clone()).collect();
        listed
    };
    assert_eq!(states(&site), ["serving"]);
    assert_eq!(site.stop(), Some(0));
    assert_eq!(states(&site), ["ready"; 5], "the standard ones, which would serve");
}

#[test]
fn another_build_serves_from_the_next_event_on_and_the_one_before_again_when_asked() {
    let builds = Builds::new();
    let site = site(&builds);
    assert_eq!(site.count(1), "1");
    let second = builds.make("second.so", "version=2");
    let swapped = site.command(&["plugin", "swap", "counter", text(&second)]);
    assert_eq!((&swapped["name"], &swapped["version"]), (&json!("counter"), &json!("2")), "{swapped}");
    let phases: Vec<&str> = swapped["phases"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        phases,
        ["check", "copy", "create", "hash", "keep", "migrate", "probe", "read", "start", "switch", "wait"]
    );
    assert!(swapped["phases"]["probe"].as_f64() > Some(0.0), "{swapped}");
    assert!(swapped["ms"].as_f64() >= swapped["phases"]["probe"].as_f64(), "{swapped}");
    assert_eq!(site.count(2), "2");
    let listed = site.counter();
    assert_eq!((&listed["generation"], &listed["previous"]), (&swapped["to"], &swapped["from"]), "{listed}");
    assert_eq!((&listed["state"], &listed["path"]), (&json!("serving"), &json!(second)));
    assert_eq!(listed["changed_on_disk"], false);
    let states: Vec<&Value> = listed["generations"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["retired", "serving"]);

    let back = site.command(&["plugin", "rollback", "counter"]);
    assert_eq!((&back["from"], &back["to"]), (&swapped["to"], &swapped["from"]), "{back}");
    assert_eq!(site.count(3), "1");
    assert_eq!(site.counted(), [(1, 1), (2, 1), (3, 1)], "both builds work on the same tables");
    let fault = refused(site.call("host", "plugin.rollback", &json!({ "name": "counter" })));
    assert_eq!(fault.code, "no-previous");
    assert!(fault.fix.unwrap().contains("tallyho plugin swap counter FILE"));
    let log = site.log();
    assert!(
        log.contains("plugin counter swapped: version 2 serves as generation 2, before it generation 1; "),
        "{log}"
    );
    assert!(log.contains("plugin counter rolled back: version 1 serves as generation 1, before it generation 2; "));
}

#[test]
fn without_a_file_the_one_that_was_loaded_is_read_again() {
    let builds = Builds::new();
    let site = site(&builds);
    builds.make("counter.so", "version=1.1");
    assert_eq!(site.counter()["changed_on_disk"], true);
    assert_eq!(site.command(&["plugin", "swap", "counter"])["version"], "1.1");
    assert_eq!((site.count(1), &site.counter()["changed_on_disk"]), ("1.1".to_owned(), &json!(false)));
    // The same bytes again: nothing is mapped or probed anew.
    let again = site.command(&["plugin", "swap", "counter"]);
    assert_eq!((&again["phases"]["probe"], &site.counter()["memory"]["builds"]), (&json!(0.0), &json!(2)));
}

#[test]
fn a_candidate_that_is_refused_leaves_everything_as_it_was_and_says_what_to_do() {
    let builds = Builds::new();
    let echo = build_library("tallyho-echo");
    let mut site = Site::new().plugins(&[text(&builds.make("counter.so", "version=1")), text(&echo)]);
    site.start();
    let text_file = builds.folder().join("notes.so");
    fs::write(&text_file, "hello").unwrap();
    let cases: [(PathBuf, &str, &[&str], &str); 8] = [
        (builds.folder().join("nowhere.so"), "load", &["cannot be read"], "give the path"),
        (text_file, "load", &["is a text file", "expected a 64-bit ELF shared library"], "that cargo built"),
        (echo, "name", &["holds plugin echo", "expected plugin counter"], "tallyho plugin swap echo"),
        (builds.make("a.so", "version=2 state=2"), "state", &["state version 1", "version 2 has 2"], "--migrate"),
        (builds.make("b.so", "version=2 also=echo"), "claimed", &["target echo", "plugin echo claims"], "without"),
        (builds.make("c.so", "version=2 start=refuse"), "start", &["the moon is not full"], "wait for the moon"),
        (builds.make("d.so", "version=2 start=panic"), "start", &["panic: no nerves for this"], "Handler::life"),
        (builds.make("e.so", "version=2 name=Bad"), "load", &["invalid manifest", "1 to 32 bytes"], "name it like"),
    ];
    let before = site.counter();
    for (file, code, parts, fix) in cases {
        let fault = refused(site.call("host", "plugin.swap", &json!({ "name": "counter", "file": file })));
        assert_eq!(fault.code, code, "{}: {fault}", file.display());
        assert!(fault.text.starts_with("plugin counter is not swapped, generation "), "{fault}");
        assert!(fault.text.contains(" serves on: ") && !fault.text.contains('\n'), "{fault}");
        parts.iter().for_each(|part| assert!(fault.text.contains(part), "{part} is missing: {fault}"));
        assert!(fault.fix.as_ref().is_some_and(|said| said.contains(fix)), "{fix}: {fault}");
        let now = site.counter();
        for member in ["generation", "version", "path", "previous", "generations", "state"] {
            assert_eq!(now[member], before[member], "{}", file.display());
        }
        assert_eq!(site.count(7), "1");
    }
    let fault = refused(site.call("host", "plugin.swap", &json!({ "name": "nobody" })));
    assert!(fault.text.contains("there are: counter, echo"), "{fault}");
    let answer = site.attempt(&["plugin", "swap", "counter", "nowhere.so"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.errors.contains(&std::env::current_dir().unwrap().display().to_string()), "{}", answer.errors);
}

#[test]
fn commands_and_targets_come_and_go_with_a_build() {
    let builds = Builds::new();
    let site = site(&builds);
    site.swap(&builds.make("less.so", "version=2 without=wake"));
    let fault = refused(site.call("counter", "wake", &json!({})));
    assert!(fault.text.contains("has no command wake") && fault.fix.unwrap().contains("add, send, report"));
    site.swap(&builds.make("more.so", "version=3 also=counting"));
    site.call("counter", "wake", &json!({ "number": 5 })).unwrap();
    until(|| site.counted() == [(5, 1)]);
}

#[test]
fn nothing_is_lost_or_done_twice_by_a_hundred_swaps_and_no_command_fails() {
    let builds = Builds::new();
    let first = builds.make("counter.so", "version=0");
    let mut sites = [(); 2].map(|()| Site::new().plugins(&["tally", "chit", text(&first)]));
    sites.iter_mut().for_each(Site::start);
    let [alice, bob] = &sites;
    let to = related(alice, bob);

    let swapping = AtomicBool::new(true);
    let (calls, sent) = (AtomicU64::new(0), AtomicU64::new(0));
    let files: Vec<PathBuf> = (0..3).map(|n| builds.make(&format!("{n}.so"), &format!("version=v{n}"))).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            while swapping.load(Ordering::Relaxed) {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                let message = json!({ "number": number, "to": to, "from": "alice" });
                alice.call("counter", "send", &message).unwrap();
            }
        });
        scope.spawn(|| {
            while swapping.load(Ordering::Relaxed) {
                let number = calls.fetch_add(1, Ordering::Relaxed);
                bob.count(1_000_000 + number);
            }
        });
        for turn in 0..100 {
            let file = &files[turn % files.len()];
            let site = if turn % 4 == 3 { alice } else { bob };
            assert_eq!(site.swap(file)["version"], format!("v{}", turn % files.len()));
        }
        swapping.store(false, Ordering::Relaxed);
    });
    let (calls, sent) = (calls.into_inner(), sent.into_inner());
    assert!(calls > 100 && sent > 100, "{calls} commands, {sent} messages: too little went on meanwhile");
    until(|| bob.counted().len() as u64 == calls + sent);
    let expected: Vec<(u64, u64)> = (0..sent).chain(1_000_000..1_000_000 + calls).map(|number| (number, 1)).collect();
    assert_eq!(bob.counted(), expected);
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
    let listed = bob.counter();
    assert_eq!((&listed["faults"], &listed["memory"]["builds"]), (&json!(0), &json!(4)), "{listed}");
    let draining = listed["generations"].as_array().unwrap().iter().filter(|one| one["state"] == "draining").count();
    assert_eq!(draining, 0, "{listed}");
}

#[test]
fn what_was_swapped_in_serves_after_a_kill_whatever_became_of_its_file() {
    let builds = Builds::new();
    let mut site = site(&builds);
    let second = builds.make("second.so", "version=2");
    site.swap(&second);
    fs::remove_file(&second).unwrap();
    site.kill();
    site.start();
    assert_eq!((site.count(1), &site.counter()["path"]), ("2".to_owned(), &json!(second)));
    assert!(site.log().contains("plugin counter: version 2 serves, swapped in for "), "{}", site.log());
    assert_eq!(site.counter()["changed_on_disk"], true);
    // The generation before it is kept as well.
    site.call("host", "plugin.rollback", &json!({ "name": "counter" })).unwrap();
    site.kill();
    site.start();
    assert_eq!(site.count(2), "1");
}

#[test]
fn the_operators_later_word_goes_before_what_was_swapped_in() {
    let builds = Builds::new();
    let mut site = site(&builds);
    site.swap(&builds.make("second.so", "version=2"));
    builds.make("counter.so", "version=3");
    site.kill();
    site.start();
    assert_eq!(site.count(1), "3");
    assert!(site.log().contains("has changed since another build was swapped in for it"), "{}", site.log());
}

#[test]
fn where_nothing_is_left_of_a_build_swapped_in_the_site_says_so_and_runs_what_it_has() {
    let builds = Builds::new();
    let mut site = site(&builds);
    let second = builds.make("second.so", "version=2");
    site.swap(&second);
    site.kill();
    fs::remove_file(&second).unwrap();
    fs::remove_dir_all(site.home().join("plugins/swapped")).unwrap();
    site.start();
    assert_eq!(site.count(1), "1");
    let note = site.counter()["note"].as_str().unwrap().to_owned();
    assert!(note.contains(text(&second)) && note.contains("version 2") && note.contains("put it back"), "{note}");
    assert!(site.log().contains(&note));
}

#[test]
fn a_site_killed_during_a_swap_has_the_old_build_or_the_new_one() {
    let builds = Builds::new();
    let second = builds.make("second.so", "version=2");
    for (place, after) in [("swap-staged", "1"), ("swap-started", "1"), ("swap-durable", "2")] {
        let mut site = site(&builds);
        site.count(1);
        site.kill();
        site.crash_at(place, 1);
        site.start();
        let fault = refused(site.call("host", "plugin.swap", &json!({ "name": "counter", "file": second })));
        assert_eq!(fault.code, "closed", "{place}: {fault}");
        site.start();
        assert_eq!((site.count(2), site.counted()), (after.to_owned(), vec![(1, 1), (2, 1)]), "{place}");
    }
}

#[test]
fn what_comes_for_a_stopped_plugin_waits_until_it_is_started_and_the_others_serve_on() {
    let builds = Builds::new();
    let first = builds.make("counter.so", "version=1");
    let mut sites = [(); 2].map(|()| Site::new().plugins(&["tally", "chit", text(&first)]));
    sites.iter_mut().for_each(Site::start);
    let to = related(&sites[0], &sites[1]);
    let [alice, bob] = &mut sites;
    let send = |number: u64| alice.call("counter", "send", &json!({ "number": number, "to": to, "from": "alice" }));
    // The receipt of what opened the tally comes a little later than the tally is open.
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
    assert_eq!(bob.command(&["plugin", "stop", "counter"])["state"], "stopped");
    for number in 0..5 {
        send(number).unwrap();
    }
    let fault = refused(bob.call("counter", "report", &json!({})));
    assert_eq!(
        (fault.code.as_str(), fault.text.as_str()),
        ("stopped", "plugin counter is stopped: the operator has stopped it")
    );
    assert_eq!(fault.fix.as_deref(), Some("`tallyho plugin start counter` has it serve again"));
    assert_eq!(bob.call("tally", "list", &json!({})).unwrap()[0]["state"], "open");
    assert_eq!(alice.call("host", "status", &json!({})).unwrap()["outbox"], 5);
    assert_eq!((&bob.counter()["state"], &bob.counter()["calls"]), (&json!("stopped"), &json!(1)));
    // It stays stopped when the site is started again.
    bob.kill();
    bob.start();
    send(5).unwrap();
    assert_eq!(refused(bob.call("counter", "report", &json!({}))).code, "stopped");
    assert_eq!(alice.call("host", "status", &json!({})).unwrap()["outbox"], 6, "nothing is receipted");
    assert_eq!(bob.command(&["plugin", "start", "counter"])["state"], "serving");
    until(|| bob.counted().len() == 6);
    assert_eq!(bob.counted(), (0..6).map(|number| (number, 1)).collect::<Vec<_>>());
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
    assert_eq!(bob.command(&["plugin", "start", "counter"])["state"], "serving");
}

/// Numbers are counted twice over: what the fixture's second state version makes of them.
fn doubled(numbers: &[u64]) -> Vec<(u64, u64)> {
    numbers.iter().map(|number| (*number, 2)).collect()
}

#[test]
fn a_swap_brings_the_tables_to_another_state_version_when_told_to_and_back_only_where_the_older_build_reads_them() {
    let builds = Builds::new();
    let mut site = site(&builds);
    site.count(1);
    site.count(2);
    let swap = |site: &Site, file: &PathBuf| {
        site.call("host", "plugin.swap", &json!({ "name": "counter", "file": file, "migrate": true }))
    };
    for (settings, code, said) in [
        ("version=2 state=2 migrate=refuse", "migrate", "from state version 1 to 2: not with me"),
        ("version=2 state=2 migrate=panic", "migrate", "panic: half way"),
        ("version=2 state=2 start=panic", "start", "no nerves"),
    ] {
        let fault = refused(swap(&site, &builds.make("bad.so", settings)));
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.text.contains(said), "{fault}");
        assert_eq!(site.counted(), [(1, 1), (2, 1)]);
    }
    let second = builds.make("second.so", "version=2 state=2");
    let answer = site.command(&["plugin", "swap", "counter", text(&second), "--migrate"]);
    assert_eq!(answer["state_version"], json!({ "from": 1, "to": 2 }));
    assert_eq!(site.counted()[..2], doubled(&[1, 2]));
    // The build before does not read them.
    let fault = refused(site.call("host", "plugin.rollback", &json!({ "name": "counter" })));
    assert_eq!(fault.code, "state", "{fault}");
    assert!(fault.text.contains("have state version 2, version 1 has 1"), "{fault}");
    assert!(fault.fix.unwrap().contains("reads_state"));
    assert_eq!(site.count(4), "2");
    // One that says so does; then they are brought to it again.
    let both = builds.make("both.so", "version=1.1 state=1 reads=2");
    assert_eq!(swap(&site, &both).unwrap()["state_version"], json!({ "from": 2, "to": 1 }));
    assert_eq!(swap(&site, &second).unwrap()["state_version"], json!({ "from": 1, "to": 2 }));
    site.call("host", "plugin.rollback", &json!({ "name": "counter" })).unwrap();
    assert_eq!(site.count(5), "1.1");
    site.kill();
    site.start();
    assert_eq!(site.count(6), "1.1");
}

#[test]
fn a_newer_build_brings_the_tables_to_its_state_version_at_start_and_an_older_one_does_not_start() {
    let builds = Builds::new();
    let mut site = site(&builds);
    site.count(1);
    site.stop();
    builds.make("counter.so", "version=2 state=2 migrate=refuse");
    assert!(!site.try_start());
    assert!(site.log().contains("from state version 1 to 2: not with me; ask another"), "{}", site.log());
    builds.make("counter.so", "version=2 state=2");
    site.start();
    assert_eq!(site.counted(), doubled(&[1]));
    site.stop();
    builds.make("counter.so", "version=1");
    assert!(!site.try_start());
    assert!(site.log().contains("have state version 2, version 1 has 1"), "{}", site.log());
    builds.make("counter.so", "version=1 reads=2");
    site.start();
    assert_eq!(site.count(2), "1");
}

#[test]
fn a_site_does_not_start_with_two_libraries_of_one_plugin_and_names_both_and_what_to_do() {
    let builds = Builds::new();
    let (first, second) = (builds.make("first.so", "version=1"), builds.make("second.so", "version=2"));
    let mut site = Site::new().plugins(&[text(&first), text(&second)]);
    assert!(!site.try_start());
    let expected = format!("{} and {} are both plugin counter; load one of them", first.display(), second.display());
    assert!(site.log().contains(&expected), "{}", site.log());
    assert!(site.log().contains("as `path` of [plugins.counter]"), "{}", site.log());
}
