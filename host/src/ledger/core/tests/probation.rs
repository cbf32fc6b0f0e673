//! A build swapped in that fails events which the one before it handles.

use crate::ledger::core::Swap;
use crate::ledger::input::Outcome;
use crate::ledger::limits::PROBATION_EVENTS;
use crate::ledger::robot::*;
use crate::ledger::table::Serving;
use crate::plugin::{Given, Plugin, StaticPlugin};
use crate::store::{Operation, StoreError};
use std::sync::Arc;
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Event, Fault, FaultKind, Manifest};

/// A robot that handles its first event, and then writes what it should not and fails.
struct Bad(StaticPlugin<Robot<0>>);

impl Plugin for Bad {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }
    fn generation(&self) -> u64 {
        self.0.generation()
    }
    fn prepare(&self, _: &Given) -> Result<Vec<Check>, Fault> {
        Ok(Vec::new())
    }
    fn handle(&self, event: &Given, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        if matches!(**event, Event::Life(_)) {
            return Ok(Vec::new());
        }
        services.put("rows", b"wrong", b"row")?;
        Err(Fault::failed("out of order"))
    }
    fn migrate(&self, _: u32, _: &mut dyn Services) -> Result<(), Fault> {
        Ok(())
    }
}

fn swap(bench: &mut Bench, plugin: Arc<dyn Plugin>) -> (u64, u64) {
    let before = Arc::clone(bench.core.table.load().named("r0").unwrap());
    let swap = Swap {
        name: "r0".to_owned(),
        serving: Serving::new(plugin),
        previous: Some(before),
        swapped: None,
        migrate: false,
        on_probation: true,
        reason: "swapped",
    };
    let (done, _) = bench.core.swap(&swap, bench.now).unwrap();
    (done.from, done.to)
}

fn bad() -> Arc<dyn Plugin> {
    Arc::new(Bad(StaticPlugin::create().unwrap()))
}

fn generation(bench: &Bench) -> u64 {
    bench.core.table.load().named("r0").unwrap().generation()
}

#[test]
fn an_event_it_fails_is_handled_by_the_one_before_and_leaves_nothing_of_the_failure() {
    let mut bench = Bench::new();
    let (first, _) = swap(&mut bench, bad());
    let done = bench.apply(vec![from_bob("one", Some(1), &[]), from_bob("two", Some(2), &[])]);
    assert!(done.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))), "{:?}", done.outcomes);
    assert_eq!(bench.heard("r0"), ["message one", "message two"]);
    assert_eq!(bench.row("r0", "wrong"), None);
    assert_eq!(generation(&bench), first);
    assert_eq!(done.released.notices[0]["reason"], "rolled back");
    assert_eq!(done.released.notices[0]["why"], "message r0/do failed: out of order");
    assert!(bench.scan("host.aside").is_empty());
}

#[test]
fn one_that_another_plugin_calls_is_found_out_too() {
    let mut bench = Bench::new();
    let (first, _) = swap(&mut bench, bad());
    let outcome = bench.one(command("r1", &[Do::Invoke("r0".into(), vec![Do::Put("k".into(), "v".into())], true)]));
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!((bench.row("r0", "k").as_deref(), generation(&bench)), (Some("v"), first));
}

#[test]
fn a_roll_back_that_is_not_durable_has_not_happened() {
    let mut bench = Bench::new();
    let (first, second) = swap(&mut bench, bad());
    bench.faults.fail(Operation::Commit, 1, StoreError::Engine("as told".to_owned()));
    assert!(bench.try_apply(vec![from_bob("one", Some(1), &[])]).is_err());
    assert_eq!(generation(&bench), second);
    bench.apply(vec![from_bob("one", Some(1), &[])]);
    assert_eq!((generation(&bench), bench.heard("r0")), (first, vec!["message one".to_owned()]));
}

#[test]
fn a_fault_that_both_have_is_the_events_and_one_after_probation_the_builds_own() {
    let mut bench = Bench::new();
    let (_, second) = swap(&mut bench, Arc::new(StaticPlugin::<Robot<0>>::create().unwrap()));
    assert!(is_fault(&bench.tell(&[Do::Fail]), FaultKind::Failed));
    assert_eq!(generation(&bench), second);
    for _ in 0..PROBATION_EVENTS {
        bench.tell(&[]);
    }
    assert!(bench.core.table.load().rolled_back("r0", "").is_none());
}
