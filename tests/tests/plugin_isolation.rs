//! Plugins in processes of their own, on whole sites: what they do, and what it costs when they crash.
#![allow(clippy::unwrap_used)]

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use std::path::Path;
use tallyho_tests::counter::{Builds, text};
use tallyho_tests::deal::related;
use tallyho_tests::plugins::build_library;
use tallyho_tests::site::{Site, until};

const APART: &str = "[plugins.counter]\nisolation = \"process\"\n";

/// A site that runs these plugins, with these lines in its configuration.
fn site(plugins: &[&str], lines: &str) -> Site {
    let mut site = Site::new().plugins(plugins);
    std::fs::write(site.home().join("tallyho.toml"), lines).unwrap();
    site.start();
    site
}

/// A site whose counter, with these settings, is in a process of its own.
fn apart(builds: &Builds, settings: &str) -> Site {
    site(&["tally", "chit", text(&builds.make("counter.so", settings))], APART)
}

fn listed(site: &Site, name: &str) -> Value {
    let list = site.call("host", "plugin.list", &json!({})).unwrap();
    list.as_array().unwrap().iter().find(|plugin| plugin["name"] == name).unwrap().clone()
}

/// The counter's process, once there is one.
fn process(site: &Site) -> Pid {
    until(|| site.counter()["pid"].is_u64());
    let id = site.counter()["pid"].as_i64().and_then(|id| i32::try_from(id).ok());
    id.and_then(Pid::from_raw).unwrap_or_else(|| panic!("no process: {}", site.counter()))
}

fn lives(id: Pid) -> bool {
    // One that has ended and was not waited for is as good as gone.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(id).is_ok() && !stat.contains(") Z ")
}

/// Has bob's site be sent these numbers.
fn send(alice: &Site, to: &Value, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        alice.call("counter", "send", &json!({ "number": number, "to": to, "from": "alice" })).unwrap();
    }
}

fn set_aside(site: &Site) -> Vec<Value> {
    site.call("host", "plugin.quarantine.list", &json!({})).unwrap().as_array().unwrap().clone()
}

#[test]
fn an_isolated_plugin_is_shown_with_its_process_and_has_nothing_of_the_host() {
    let builds = Builds::new();
    let site = apart(&builds, "version=1");
    assert_eq!(site.count(5), "1");
    let (counter, tally) = (site.counter(), listed(&site, "tally"));
    assert_eq!((&counter["isolation"], &counter["restarts"]), (&json!("process"), &json!(0)), "{counter}");
    assert_eq!((&tally["isolation"], &tally["pid"]), (&json!("none"), &json!(null)), "{tally}");
    let id = process(&site);
    let doctor = site.attempt(&["doctor"]).json;
    let shown = |check: &Value| check["detail"] == format!("counter is in process {}", id.as_raw_nonzero());
    assert!(doctor["checks"].as_array().unwrap().iter().any(shown), "{doctor}");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", site.process().as_raw_nonzero())).unwrap();
    assert!(maps.contains("libtallyho_tally") && !maps.contains("counter.so"), "the host has mapped it");
    // Its channels, what it was handed them by, and where it writes: no store, no socket, no key.
    let held: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", id.as_raw_nonzero()))
        .unwrap()
        .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
        .collect();
    let home = site.home().to_str().unwrap();
    assert!(held.iter().all(|file| !file.contains(home)), "{held:?}");
    let kinds = |kind: &str| held.iter().filter(|file| file.starts_with(kind)).count();
    assert!(kinds("socket:") <= 4, "{held:?}");
}

#[test]
fn chits_go_both_ways_where_one_sites_chit_handler_is_isolated_and_is_swapped_meanwhile() {
    let standard = ["tally", "chit", "route", "lift", "referee"];
    // Alice has all of them apart, which call one another.
    let all = standard.map(|name| format!("[plugins.{name}]\nisolation = \"process\"\n")).concat();
    let alice = site(&standard, &all);
    let bob = site(&standard, "[plugins.chit]\nisolation = \"process\"\n");
    assert_eq!(listed(&bob, "chit")["isolation"], "process");
    related(&alice, &bob);
    let tallies = |site: &Site| site.call("tally", "list", &json!({})).unwrap();
    let uuid = tallies(&alice)[0]["uuid"].as_str().unwrap().to_owned();
    let pay = |site: &Site, units: u64| {
        let words = ["chit", "pay", &uuid, &units.to_string(), "--wait", "confirmed"];
        assert_eq!(site.command(&words)["state"].as_str().map(|state| &state[2..]), Some("good"));
    };
    let net = |site: &Site| tallies(site)[0]["net"].as_i64().unwrap();
    pay(&bob, 500);
    pay(&alice, 200);
    assert_eq!((net(&alice).abs(), net(&bob).abs()), (300, 300));
    // The same bytes again are a swap all the same: another process, another generation.
    let before = listed(&bob, "chit");
    let library = build_library("tallyho-chit");
    bob.command(&["plugin", "swap", "chit", text(&library)]);
    let after = listed(&bob, "chit");
    assert!(after["generation"].as_u64() > before["generation"].as_u64() && after["pid"] != before["pid"], "{after}");
    pay(&bob, 50);
    bob.command(&["plugin", "rollback", "chit"]);
    pay(&alice, 25);
    assert_eq!(listed(&bob, "chit")["pid"], before["pid"], "the process before had stayed");
    bob.command(&["plugin", "stop", "chit"]);
    assert!(bob.attempt(&["chit", "list", &uuid]).errors.contains("stopped"));
    bob.command(&["plugin", "start", "chit"]);
    pay(&alice, 325);
    assert_eq!((net(&alice), net(&bob)), (0, 0));
    // Closing has the tally handler call the chit handler and the other way round, on both sites.
    alice.command(&["tally", "close", &uuid, "--wait", "close"]);
    bob.until(&["tally", "show", &uuid], |tally| tally["state"] == "close");
    let chit = listed(&bob, "chit");
    assert_eq!((&chit["faults"], &chit["restarts"]), (&json!(0), &json!(0)), "{chit}");
}

#[test]
fn a_crash_costs_one_restart_and_its_event_is_set_aside_while_others_are_served() {
    let builds = Builds::new();
    let settings = "version=1 segfault-at=1 abort-at=3 exit-at=5 hoard-at=7 loop-at=9";
    let alice = site(&["tally", "chit", text(&builds.make("alice.so", "version=1"))], "");
    let bob = apart(&builds, settings);
    let to = related(&alice, &bob);
    for (number, said) in [
        (1, "its process ended while at work on this: signal 11 (SIGSEGV)"),
        (3, "its process ended while at work on this: signal 6 (SIGABRT)"),
        (5, "its process ended while at work on this: exit code 0"),
        (7, "its process ended while at work on this: signal 6 (SIGABRT) (it said: memory allocation of"),
        (9, "its process was not done with this within 4s and was ended"),
    ] {
        let restarts = bob.counter()["restarts"].as_u64().unwrap();
        send(&alice, &to, [number]);
        bob.call("tally", "list", &json!({})).unwrap();
        until(|| bob.counter()["restarts"] == restarts + 1 && bob.counter()["state"] == "serving");
        send(&alice, &to, [number + 1]);
        until(|| bob.counted().contains(&(number + 1, 1)));
        let aside = set_aside(&bob);
        let last = aside.last().unwrap_or_else(|| panic!("{number}: nothing is set aside\n{}", bob.log()));
        assert_eq!(last["what"], "message count/add");
        let fault = last["fault"].as_str().unwrap();
        assert!(fault.starts_with(said) && fault.contains("mend the plugin"), "{fault}");
        assert_eq!(bob.counter()["restarts"], restarts + 1, "one restart each");
    }
    let log = bob.log();
    assert!(log.contains("counter writes: memory allocation of"), "what it writes is logged with its name: {log}");
    assert_eq!(bob.counted(), [2, 4, 6, 8, 10].map(|number| (number, 1)));
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
    // None is lost: a mended build handles them all.
    bob.swap(&builds.make("mended.so", "version=2"));
    let done = bob.command(&["plugin", "quarantine", "retry"]);
    assert!(done.as_array().unwrap().iter().all(|event| event["state"] == "done"), "{done}");
    assert_eq!(bob.counted(), (1..=10).map(|number| (number, 1)).collect::<Vec<_>>());
}

#[test]
fn a_command_that_crashes_says_so_and_events_wait_while_the_plugin_rests() {
    let builds = Builds::new();
    let alice = site(&["tally", "chit", text(&builds.make("alice.so", "version=1"))], "");
    let bob = apart(&builds, "version=1 segfault-at=1");
    let to = related(&alice, &bob);
    let crash = |site: &Site| site.attempt(&["call", "counter", "add", r#"{"number": 1}"#]);
    let answer = crash(&bob);
    assert_eq!(answer.code, Some(1));
    let said = "its process ended while at work on this: signal 11 (SIGSEGV)";
    assert!(answer.errors.contains(said), "{}", answer.errors);
    // It cannot be started again without its private copy.
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process(&bob).as_raw_nonzero())).unwrap();
    let mapped =
        maps.lines().find(|line| line.contains("counter")).and_then(|line| line.find('/').map(|at| &line[at..]));
    let (copy, away) = (Path::new(mapped.unwrap()), bob.home().join("away.so"));
    std::fs::rename(copy, &away).unwrap();
    crash(&bob);
    until(|| bob.counter()["why"].as_str().is_some_and(|why| why.contains("cannot open shared object file")));
    let counter = bob.counter();
    assert_eq!((&counter["state"], &counter["pid"]), (&json!("restarting"), &json!(null)), "{counter}");
    let fault = bob.call("counter", "report", &json!({})).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.kind), ("restarting", tallyho_plugin::FaultKind::Host));
    assert!(fault.fix.unwrap().contains("tallyho plugin swap counter FILE"));
    let doctor = bob.attempt(&["doctor"]).json["checks"].to_string();
    assert!(doctor.contains("counter is restarting: its process ends again and again"), "{doctor}");
    send(&alice, &to, [4]);
    bob.call("tally", "list", &json!({})).unwrap();
    std::fs::rename(&away, copy).unwrap();
    until(|| bob.counter()["state"] == "serving");
    until(|| bob.counted() == [(4, 1)]);
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
    assert_eq!(set_aside(&bob), Vec::<Value>::new());
}

#[test]
fn a_process_killed_between_two_events_is_not_noticed_by_the_next_one() {
    let builds = Builds::new();
    let site = apart(&builds, "version=1");
    assert_eq!(site.count(1), "1");
    let id = process(&site);
    // As systemd asks all processes of a site to end: this one is needed until the last event is done.
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!((site.count(1), process(&site)), ("1".to_owned(), id));
    kill_process(id, Signal::KILL).unwrap();
    assert_eq!(site.count(2), "1", "{}", site.log());
    assert_eq!(site.counted(), [(1, 2), (2, 1)]);
    let counter = site.counter();
    assert_eq!((&counter["restarts"], &counter["ended"]), (&json!(1), &json!("signal 9 (SIGKILL)")), "{counter}");
    assert_ne!(process(&site), id);
}

#[test]
fn a_process_that_never_names_its_checks_is_ended_and_its_event_is_handled_all_the_same() {
    let builds = Builds::new();
    let alice = site(&["tally", "chit", text(&builds.make("alice.so", "version=1"))], "");
    let bob = apart(&builds, "version=1 prepare=loop");
    let to = related(&alice, &bob);
    // Many at once: the checks of one that comes alone are not asked for beforehand.
    alice.call("counter", "send", &json!({ "number": 0, "many": 10, "to": to, "from": "alice" })).unwrap();
    until(|| bob.counted() == (0..10).map(|number| (number, 1)).collect::<Vec<_>>());
    assert_eq!((&bob.counter()["state"], set_aside(&bob).len()), (&json!("serving"), 0), "{}", bob.log());
    assert!(bob.counter()["restarts"].as_u64() >= Some(1));
    until(|| alice.call("host", "status", &json!({})).unwrap()["outbox"] == 0);
}

#[test]
fn a_process_does_not_outlive_its_host_not_even_in_an_endless_loop() {
    let builds = Builds::new();
    for settings in ["version=1", "version=1 loop-at=1"] {
        let mut site = apart(&builds, settings);
        let id = process(&site);
        let door = site.door();
        let asking = std::thread::spawn(move || door.call("counter", "add", &json!({ "number": 1 })));
        until(|| site.counter()["in_flight"] == u8::from(settings.contains("loop")) && lives(id));
        site.kill();
        until(|| !lives(id));
        let _ = asking.join().unwrap();
    }
}

#[test]
fn an_isolated_build_on_probation_that_crashes_is_rolled_back_and_no_event_is_lost() {
    let builds = Builds::new();
    let site = apart(&builds, "version=1");
    assert_eq!(site.count(1), "1");
    site.swap(&builds.make("bad.so", "version=2 segfault-at=3"));
    let versions: Vec<String> = (2..=4).map(|number| site.count(number)).collect();
    assert_eq!(versions, ["2", "1", "1"], "no command fails");
    assert_eq!(site.counted(), (1..=4).map(|number| (number, 1)).collect::<Vec<_>>());
    let failed = site.counter()["rolled_back"]["why"].clone();
    assert!(failed.as_str().unwrap().contains("signal 11 (SIGSEGV)"), "{failed}");
}

#[test]
fn an_isolated_build_brings_its_tables_to_another_state_version() {
    let builds = Builds::new();
    let mut site = apart(&builds, "version=1");
    assert_eq!((site.count(1), site.count(2)), ("1".to_owned(), "1".to_owned()));
    let second = builds.make("second.so", "version=2 state=2");
    site.command(&["plugin", "swap", "counter", text(&second), "--migrate"]);
    assert_eq!(site.counted(), [(1, 2), (2, 2)]);
    site.kill();
    site.start();
    assert_eq!((site.counted(), &site.counter()["isolation"]), (vec![(1, 2), (2, 2)], &json!("process")));
}

#[test]
fn an_isolated_candidate_is_tried_without_effect_and_serves_where_it_does_the_same() {
    let builds = Builds::new();
    let site = apart(&builds, "version=1");
    let shadow = |file: &Path, events: u64| {
        let swap = json!({ "name": "counter", "file": text(file), "shadow": events });
        site.call("host", "plugin.swap", &swap).unwrap();
    };
    shadow(&builds.make("crashing.so", "version=1 abort-at=2"), 3);
    let first = site.counter()["pid"].clone();
    for number in 1..=3 {
        site.count(number);
    }
    until(|| site.counter()["shadow_run"]["state"] == "refused");
    let counter = site.counter();
    assert_eq!((&counter["pid"], &counter["restarts"]), (&first, &json!(0)), "only the candidate's ended");
    let why = counter["shadow_run"]["differences"].to_string();
    assert!(why.contains("signal 6 (SIGABRT)"), "{counter}");
    shadow(&builds.make("same.so", "version=1 abort-at=99"), 2);
    site.count(4);
    site.count(5);
    until(|| site.counter()["pid"] != first);
    assert_eq!(site.counted(), (1..=5).map(|number| (number, 1)).collect::<Vec<_>>());
}

#[test]
fn a_build_that_is_damaged_or_loops_when_it_begins_is_refused_and_the_one_before_serves_on() {
    let builds = Builds::new();
    let site = apart(&builds, "version=1");
    let mut bytes = std::fs::read(builds.make("counter.so", "version=1")).unwrap();
    bytes.truncate(bytes.len() / 2);
    let half = builds.folder().join("half.so");
    std::fs::write(&half, bytes).unwrap();
    let fault = site.call("host", "plugin.swap", &json!({ "name": "counter", "file": text(&half) })).unwrap_err();
    assert_eq!(fault.code, "load", "{fault}");
    let looping = builds.make("looping.so", "version=2 start=loop");
    let swap = json!({ "name": "counter", "file": text(Path::new(&looping)) });
    let fault = site.call("host", "plugin.swap", &swap).unwrap_err();
    assert!(fault.text.contains("was not done with this within 4s"), "{fault}");
    assert_eq!(site.count(1), "1");
}
