//! A plugin whose process ends: what becomes of its events, with a process that ends when told to.

use crate::ledger::core::Core;
use crate::ledger::input::{Input, Outcome};
use crate::ledger::robot::*;
use crate::ledger::table::PluginTable;
use crate::plugin::process::LOST;
use crate::plugin::{Given, Plugin, ProcessState, StaticPlugin};
use crate::store::MemoryDisk;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Fault, FaultKind, Manifest};

/// Robot r0, whose process is lost the next so many times it has handled an event.
struct Frail {
    robot: StaticPlugin<Robot<0>>,
    losses: AtomicU32,
    rests: AtomicBool,
}

impl Plugin for Frail {
    fn manifest(&self) -> &Manifest {
        self.robot.manifest()
    }
    fn generation(&self) -> u64 {
        self.robot.generation()
    }
    fn process(&self) -> Option<ProcessState> {
        Some(ProcessState { id: None, restarts: 3, last: Some("signal 11".to_owned()) })
    }
    fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }
    fn rise(&self) {
        self.rests.store(false, Ordering::Relaxed);
    }
    fn prepare(&self, event: &Given) -> Result<Vec<Check>, Fault> {
        self.robot.prepare(event)
    }
    fn handle(&self, event: &Given, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        let answer = self.robot.handle(event, services)?;
        match self.losses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |losses| losses.checked_sub(1)) {
            Ok(_) => Err(Fault::failed("its process was lost").code(LOST)),
            Err(_) => Ok(answer),
        }
    }
    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault> {
        self.robot.migrate(from, services)
    }
}

fn bench(losses: u32, rests: bool) -> (Bench, Arc<Frail>) {
    let disk = MemoryDisk::default();
    let (mut parts, faults) = parts(&disk);
    let (losses, rests) = (AtomicU32::new(losses), AtomicBool::new(rests));
    let frail = Arc::new(Frail { robot: StaticPlugin::create().unwrap(), losses, rests });
    let other = Arc::new(StaticPlugin::<Robot<1>>::create().unwrap());
    let table = PluginTable::default().with(Arc::clone(&frail) as _).and_then(|table| table.with(other));
    parts.table = Arc::new(ArcSwap::from_pointee(table.unwrap()));
    (Bench { core: Core::open(parts).unwrap(), disk, faults, now: NOW }, frail)
}

fn put(key: &str) -> Vec<Do> {
    vec![Do::Put(key.into(), "v".into())]
}

#[test]
fn an_event_whose_process_is_lost_is_run_again_once_and_counts_once() {
    let (mut bench, _) = bench(1, false);
    let done = bench.apply(vec![from_bob("m", Some(5), &put("k"))]);
    assert!(matches!(done.outcomes[0], Outcome::Done(_)), "{done:?}");
    assert_eq!((bench.row("r0", "k").as_deref(), bench.heard("r0").len()), (Some("v"), 1));
    // Also where another plugin calls it.
    let script = [Do::Put("own".into(), "v".into()), Do::Invoke("r0".into(), put("called"), true)];
    let (mut bench, _) = self::bench(1, false);
    assert!(matches!(bench.one(command("r1", &script)), Outcome::Done(_)));
    assert_eq!(bench.row("r0", "called").as_deref(), Some("v"));
}

#[test]
fn one_that_loses_it_twice_is_set_aside_like_any_other_it_fails() {
    let (mut bench, _) = bench(2, false);
    let done = bench.apply(vec![from_bob("m", Some(5), &put("k"))]);
    assert!(is_fault(&done.outcomes[0], FaultKind::Failed), "{done:?}");
    assert_eq!(done.released.notices[0]["reason"], "set an event aside");
    assert_eq!(bench.row("r0", "k"), None);
}

#[test]
fn while_a_plugin_rests_its_events_wait_and_they_go_on_when_it_rises() {
    let (mut bench, frail) = bench(0, true);
    let Outcome::Fault(fault) = bench.tell(&put("told")) else { panic!("it has no process") };
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Host, "restarting"));
    assert!(fault.text.contains("signal 11"), "{fault}");
    assert!(is_fault(&bench.one(command("r1", &[Do::Invoke("r0".into(), put("x"), true)])), FaultKind::Host));
    assert!(matches!(bench.one(command("r1", &put("own"))), Outcome::Done(_)), "others serve");
    // A peer that gives receipts keeps its message, another's waits here.
    let done = bench.apply(vec![from_bob("kept", Some(5), &put("k")), from_bob("waits", None, &put("w"))]);
    assert!(done.released.receipts.iter().all(|(_, receipt)| receipt.upto < 5), "{done:?}");
    assert_eq!(bench.heard("r0"), Vec::<String>::new());

    let generation = frail.generation();
    assert!(!bench.core.rise("r0", generation + 1, NOW).unwrap().0, "another generation has no seat");
    assert!(frail.rests());
    let (seated, released) = bench.core.rise("r0", generation, NOW).unwrap();
    assert!(seated && !frail.rests());
    assert_eq!(released.notices[0]["reason"], "restarted");
    let waiting = released.waiting.into_iter().map(|(plugin, number)| Input::Waiting { plugin, number });
    bench.apply(waiting.collect());
    assert_eq!(bench.heard("r0"), ["message waits"]);
    bench.apply(vec![from_bob("kept", Some(5), &put("k"))]);
    assert_eq!(bench.heard("r0"), ["message waits", "message kept"]);
}

#[test]
fn a_plugin_that_rises_while_it_is_stopped_stays_stopped() {
    let (mut bench, frail) = bench(0, true);
    bench.core.stop("r0", NOW).unwrap();
    bench.apply(vec![from_bob("waits", None, &put("w"))]);
    let (seated, released) = bench.core.rise("r0", frail.generation(), NOW).unwrap();
    assert!(seated && released.waiting.is_empty() && !frail.rests());
    assert_eq!(bench.core.table.load().held("r0").map(|hold| hold.word()), Some("stopped"));
}
