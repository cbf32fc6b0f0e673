//! Candidates tried on the events of the build that serves.

use crate::ledger::core::{Core, Swap};
use crate::ledger::input::Outcome;
use crate::ledger::robot::*;
use crate::ledger::shadow::{End, Shadow};
use crate::ledger::table::Serving;
use crate::plugin::{Given, Plugin, StaticPlugin};
use crate::store::{Operation, StoreError};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Event, Fault, Manifest};

type Twist = fn(u64, &mut dyn Services) -> Result<(), Fault>;

/// A robot that does something of its own before each event, told its number.
struct Twisted {
    robot: StaticPlugin<Robot<0>>,
    events: AtomicU64,
    twist: Twist,
}

impl Plugin for Twisted {
    fn manifest(&self) -> &Manifest {
        self.robot.manifest()
    }
    fn generation(&self) -> u64 {
        self.robot.generation()
    }
    fn prepare(&self, _: &Given) -> Result<Vec<Check>, Fault> {
        Ok(Vec::new())
    }
    fn handle(&self, event: &Given, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        if !matches!(**event, Event::Life(_)) {
            (self.twist)(self.events.fetch_add(1, Ordering::Relaxed) + 1, services)?;
        }
        self.robot.handle(event, services)
    }
    fn migrate(&self, _: u32, _: &mut dyn Services) -> Result<(), Fault> {
        Ok(())
    }
}

/// Begins to try such a candidate on so many events.
fn tried(bench: &mut Bench, events: u64, twist: Twist) -> Arc<Shadow> {
    let robot = StaticPlugin::create().unwrap();
    let serving = Serving::new(Arc::new(Twisted { robot, events: AtomicU64::new(0), twist }));
    let previous = Some(Arc::clone(bench.core.table.load().named("r0").unwrap()));
    let name = "r0".to_owned();
    let swap = Swap { name, serving, previous, swapped: None, migrate: false, on_probation: true, reason: "swapped" };
    let shadow = Shadow::new(swap, events);
    bench.core.shadow(&shadow).unwrap();
    shadow
}

/// The swap that its run is to end with.
fn tried_swap(bench: &Bench) -> Swap {
    bench.core.table.load().seat("r0").unwrap().shadow.as_ref().unwrap().swap.clone()
}

fn generation(bench: &Bench) -> u64 {
    bench.core.table.load().named("r0").unwrap().generation()
}

fn put(number: u64) -> Vec<Do> {
    vec![Do::Put(format!("k{number}"), "v".into()), Do::Notice]
}

#[test]
fn a_candidate_that_does_the_same_serves_after_its_events_and_none_of_its_effects_happened() {
    let mut bench = Bench::new();
    let mut plain = Bench::new();
    let before = generation(&bench);
    let shadow = tried(&mut bench, 5, |_, _| Ok(()));
    let send = |number: u64| Do::Send(agent('b'), format!("m{number}"), vec![]);
    for number in 0..4 {
        let script = [put(number), vec![send(number), Do::Timer(format!("t{number}"), NOW)]].concat();
        assert_eq!(bench.tell(&script), plain.tell(&script));
        assert!(bench.core.end_shadows(NOW).is_empty(), "it is not over");
    }
    assert_eq!((shadow.seen(), generation(&bench)), (4, before));
    assert_eq!(bench.everything(), plain.everything());
    bench.tell(&put(4));
    assert_eq!(bench.core.end_shadows(NOW).len(), 1);
    assert_eq!(shadow.progress().end, Some(End::Promoted { from: before }));
    assert_eq!((generation(&bench), shadow.progress().differing), (shadow.serving().generation(), 0));
    assert_eq!(shadow.serving().calls.load(Ordering::Relaxed), 1, "it begins to count when it serves");
}

#[test]
fn one_event_of_a_hundred_that_it_would_handle_otherwise_is_named_with_what_differs() {
    let mut bench = Bench::new();
    let before = generation(&bench);
    let shadow = tried(&mut bench, 100, |number, services| match number {
        57 => services.put("rows", b"k56", b"\x61w"),
        _ => Ok(()),
    });
    // The robot writes the row after, so that only what it does not write itself remains.
    for number in 0..100 {
        let script = if number == 56 { vec![Do::Get("k3".into())] } else { put(number) };
        bench.apply(vec![command("r0", &script)]);
    }
    let released = bench.core.end_shadows(NOW);
    assert_eq!(released[0].notices[0]["reason"], "not promoted");
    let progress = shadow.progress();
    assert_eq!((progress.seen, progress.differing, progress.differences.len()), (100, 1, 1));
    let found = &progress.differences[0];
    assert_eq!((found.event, found.what.as_str(), found.effect.as_str()), (57, "command do", "row"));
    assert_eq!((found.table.as_deref(), found.key.as_deref()), (Some("r0.rows"), Some("k56")));
    assert_eq!((&found.expected, &found.found), (&json!("(not written)"), &json!("w")));
    let Some(End::Refused { why }) = progress.end else { panic!("{progress:?}") };
    assert_eq!(
        why,
        "it differs in 1 of 100 events, first in event 57 (command do), row k56 of r0.rows: expected \"(not written)\", found \"w\""
    );
    assert_eq!((generation(&bench), bench.row("r0", "k56")), (before, None));
    assert!(bench.core.table.load().seat("r0").unwrap().shadow.is_none());
}

#[test]
fn random_bytes_and_time_are_the_same_for_both() {
    let mut bench = Bench::new();
    let mut seed = 0;
    let (mut parts, _) = parts(&bench.disk);
    parts.seeds = Box::new(move || {
        seed += 1;
        [seed; 32]
    });
    bench.core = Core::open(parts).unwrap();
    let drawn: Twist = |_, services| {
        let mut random = [0; 40];
        services.random(&mut random);
        services.put("rows", &random, &to_cbor(&services.now().0)?)
    };
    tried(&mut bench, 1, drawn);
    bench.core.swap(&tried_swap(&bench), NOW).unwrap();
    let shadow = tried(&mut bench, 3, drawn);
    for number in 1..=3 {
        bench.now = Timestamp(NOW.0 + i64::try_from(number).unwrap());
        bench.tell(&put(number));
    }
    assert_eq!((shadow.seen(), shadow.progress().differences), (3, Vec::new()));
    assert_eq!(bench.scan("r0.rows").iter().filter(|(key, _)| key.len() == 40).count(), 3, "each event has others");
}

#[test]
fn a_fault_of_its_own_is_a_difference_and_costs_the_event_nothing() {
    let mut bench = Bench::new();
    let shadow = tried(&mut bench, 2, |number, _| match number {
        1 => Err(Fault::failed("panic: oh").code("panic")),
        _ => Ok(()),
    });
    assert!(matches!(bench.tell(&put(1)), Outcome::Done(_)));
    // One that both have is none.
    assert!(is_fault(&bench.tell(&[Do::Fail]), tallyho_plugin::FaultKind::Failed));
    let progress = shadow.progress();
    assert_eq!((progress.seen, progress.differing), (2, 1));
    assert_eq!(
        (&progress.differences[0].expected, &progress.differences[0].found["code"]),
        (&json!("done"), &json!("panic"))
    );
    assert_eq!(bench.row("r0", "k1").as_deref(), Some("v"));
}

#[test]
fn what_another_plugin_has_it_do_is_tried_too_and_events_that_do_not_concern_it_are_not_counted() {
    let mut bench = Bench::new();
    let shadow = tried(&mut bench, 9, |_, services| services.put("rows", b"more", b"\x01"));
    bench.one(command("r1", &put(1)));
    assert_eq!(shadow.seen(), 0);
    bench.one(command("r1", &[Do::Invoke("r0".into(), put(2), true)]));
    let found = shadow.progress().differences.remove(0);
    assert_eq!((found.event, found.key.as_deref()), (1, Some("more")));
}

#[test]
fn nothing_is_tried_while_the_plugin_is_held() {
    let mut bench = Bench::new();
    let shadow = tried(&mut bench, 9, |_, _| Ok(()));
    bench.core.stop("r0", NOW).unwrap();
    let call = command("r1", &[Do::Invoke("r0".into(), put(2), true)]);
    assert!(matches!(bench.one(call.clone()), Outcome::Fault(_)));
    assert_eq!(shadow.seen(), 0);
    let table = bench.core.table.load().holding("r0", None);
    bench.core.table.store(Arc::new(table));
    bench.one(call);
    assert_eq!((shadow.seen(), shadow.progress().differing), (1, 0));
}

#[test]
fn what_is_not_durable_has_not_been_seen() {
    let mut bench = Bench::new();
    let shadow = tried(&mut bench, 2, |_, _| Ok(()));
    bench.faults.fail(Operation::Commit, 1, StoreError::Engine("as told".to_owned()));
    assert!(bench.try_apply(vec![command("r0", &put(1))]).is_err());
    assert_eq!(shadow.seen(), 0);
    bench.apply(vec![command("r0", &put(1)), command("r0", &put(2)), command("r0", &put(3))]);
    assert_eq!(shadow.seen(), 2, "and it sees no more than it was to");
}

#[test]
fn a_candidate_that_never_comes_to_an_end_is_let_go_and_the_event_handled() {
    let mut bench = Bench::new();
    let before = generation(&bench);
    bench.core.watch(Duration::from_millis(50));
    let shadow = tried(&mut bench, 2, |_, _| {
        loop {
            std::thread::park();
        }
    });
    assert!(matches!(bench.tell(&put(1)), Outcome::Done(_)));
    bench.core.end_shadows(NOW);
    let Some(End::Refused { why }) = shadow.progress().end else { panic!("it goes on") };
    assert!(why.contains("was not done with an event within 50ms"), "{why}");
    assert_eq!((bench.row("r0", "k1").as_deref(), generation(&bench)), (Some("v"), before));
    assert!(bench.core.table.load().held("r0").is_none());
}

#[test]
fn one_candidate_is_tried_at_a_time_and_a_swap_ends_it() {
    let mut bench = Bench::new();
    let shadow = tried(&mut bench, 2, |_, _| Ok(()));
    let again = Shadow::new(shadow.swap.clone(), 3);
    assert_eq!(bench.core.shadow(&again).unwrap_err().code, "busy");
    let serving = Serving::new(Arc::new(StaticPlugin::<Robot<0>>::create().unwrap()));
    bench.core.swap(&Swap { serving, ..shadow.swap.clone() }, NOW).unwrap();
    assert!(matches!(shadow.progress().end, Some(End::Refused { .. })));
    bench.core.shadow(&again).unwrap();
}
