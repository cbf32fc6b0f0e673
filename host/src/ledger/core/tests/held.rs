//! A plugin that is stopped is given nothing, and loses nothing.

use crate::ledger::core::Swap;
use crate::ledger::input::{Input, Outcome};
use crate::ledger::limits::EVENTS_HELD;
use crate::ledger::robot::*;
use tallyho_plugin::{Fate, FaultKind};

fn stop(bench: &mut Bench) {
    bench.core.stop("r0", bench.now).unwrap();
}

/// Has r0 go on; what waited is run as the ledger's thread does.
fn go_on(bench: &mut Bench) {
    let seat = bench.core.table.load().seat("r0").unwrap().clone();
    let swap = Swap {
        name: "r0".to_owned(),
        serving: seat.serving,
        previous: seat.previous,
        swapped: None,
        migrate: false,
        on_probation: false,
        reason: "started",
    };
    let (_, released) = bench.core.swap(&swap, bench.now).unwrap();
    let waiting = released.waiting.into_iter().map(|(plugin, number)| Input::Waiting { plugin, number });
    bench.apply(waiting.collect());
    let due = bench.core.due(bench.now).unwrap();
    bench.apply(due);
}

#[test]
fn messages_of_peers_without_receipts_wait_in_order_and_are_applied_once() {
    let mut bench = Bench::new();
    stop(&mut bench);
    for name in ["one", "two", "three"] {
        assert_eq!(bench.one(from_bob(name, None, &[])), Outcome::Done(Vec::new()));
    }
    assert!(is_fault(&bench.tell(&[]), FaultKind::Host));
    assert!(bench.heard("r0").is_empty());
    // As after a restart, which finds what waits and who is stopped.
    let mut bench = Bench::on(&bench.disk);
    let released = bench.core.start(NOW).unwrap();
    assert!(released.waiting.is_empty());
    go_on(&mut bench);
    assert_eq!(bench.heard("r0"), ["started", "message one", "message two", "message three"]);
    let mut bench = Bench::on(&bench.disk);
    assert!(bench.core.start(NOW).unwrap().waiting.is_empty());
}

#[test]
fn what_waits_when_a_site_starts_with_the_plugin_serving_is_handed_on() {
    let mut bench = Bench::new();
    stop(&mut bench);
    bench.one(from_bob("one", None, &[]));
    let seat = bench.core.table.load().seat("r0").unwrap().clone();
    let swap = Swap {
        name: "r0".into(),
        serving: seat.serving,
        previous: None,
        swapped: None,
        migrate: false,
        on_probation: false,
        reason: "started",
    };
    // Durable, but the process ends before what waited is run.
    bench.core.swap(&swap, bench.now).unwrap();
    let mut bench = Bench::on(&bench.disk);
    assert_eq!(bench.core.start(NOW).unwrap().waiting, [("r0".to_owned(), 0)]);
}

#[test]
fn messages_of_peers_with_receipts_are_left_to_the_peer() {
    let mut bench = Bench::new();
    stop(&mut bench);
    let done = bench.apply(vec![from_bob("one", Some(5), &[])]);
    assert!(is_fault(&done.outcomes[0], FaultKind::Host));
    assert_eq!(done.released.receipts[0].1.upto, 4);
    let held = bench.core.read(crate::ledger::inbound::held).unwrap();
    assert_eq!(held, [agent('b')]);
    go_on(&mut bench);
    bench.apply(vec![from_bob("one", Some(5), &[])]);
    assert_eq!(bench.heard("r0"), ["started", "message one"]);
    assert!(bench.core.read(crate::ledger::inbound::held).unwrap().is_empty());
}

#[test]
fn timers_and_reports_wait_too() {
    let mut bench = Bench::new();
    let script = [Do::Timer("clock".into(), NOW), Do::Send(agent('b'), "note".into(), vec![])];
    bench.tell(&script);
    let (mid, _) =
        crate::ledger::outbox::window(&mut bench.core.store.begin().unwrap(), &agent('b').into(), 0).unwrap().remove(0);
    stop(&mut bench);
    let due = bench.core.due(bench.now).unwrap();
    assert_eq!(due.len(), 1);
    bench.apply(due);
    assert!(bench.core.due(bench.now).unwrap().is_empty(), "it is put away, not asked for again and again");
    bench.one(Input::Delivery { line: agent('b').into(), mid, fate: Fate::HandedOver, receipts: false });
    assert!(bench.heard("r0").is_empty());
    go_on(&mut bench);
    assert_eq!(bench.heard("r0"), ["started", "handed over note", "timer clock"]);
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = Bench::new();
    stop(&mut bench);
    let inputs = (0..=EVENTS_HELD).map(|number| from_bob(&number.to_string(), None, &[]));
    let done = bench.apply(inputs.collect());
    assert!(is_fault(done.outcomes.last().unwrap(), FaultKind::Host));
    go_on(&mut bench);
    assert_eq!(bench.heard("r0").len() as u64, EVENTS_HELD + 1, "its start, and what there was room for");
}
