//! Messages of this site to itself (PROTOCOL 3.1, last paragraph).

use crate::ledger::input::Input;
use crate::ledger::limits::TIMER_RETRY_MS;
use crate::ledger::robot::*;
use serde_json::json;
use tallyho_plugin::FaultKind;
use tallyho_plugin::services::{Outgoing, Relation};

fn send(bench: &mut Bench, script: Vec<Do>) -> u64 {
    bench.apply(vec![command("r0", &[Do::Send(agent('a'), "note".into(), script)])]).released.local[0]
}

#[test]
fn the_sender_is_told_that_it_was_handed_over_before_it_arrives() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, vec![]);
    bench.one(Input::Local { mid });
    assert_eq!(bench.heard("r0"), ["handed over note", "message note"]);
    assert!(bench.scan("host.outbox").is_empty());
    // A second time there is nothing left to do.
    bench.one(Input::Local { mid });
    assert_eq!(bench.heard("r0").len(), 2);
}

#[test]
fn one_that_the_handler_refuses_or_fails_is_gone_and_the_failed_one_set_aside() {
    for (end, aside) in [(Do::Refuse, 0), (Do::Fail, 2)] {
        let mut bench = Bench::new();
        let mid = send(&mut bench, vec![end]);
        bench.one(Input::Local { mid });
        assert!(bench.scan("host.outbox").is_empty());
        assert_eq!(bench.scan("host.aside").len(), aside);
    }
}

#[test]
fn one_that_the_host_could_not_serve_stays_and_comes_again() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, vec![]);
    // The robot has the host fail at whatever comes.
    bench.tell(&[Do::On(vec![Do::Host])]);
    assert!(is_fault(&bench.one(Input::Local { mid }), FaultKind::Host));
    assert_eq!(bench.scan("host.outbox").len(), 1);
    bench.tell(&[Do::On(vec![])]);
    bench.now = NOW.plus(TIMER_RETRY_MS);
    let due = bench.core.due(bench.now).unwrap();
    assert_eq!(due.len(), 1);
    bench.apply(due);
    assert_eq!(bench.heard("r0"), ["handed over note", "message note"]);
    assert!(bench.scan("host.outbox").is_empty());
    assert_eq!(bench.core.next_timer(), None);
}

#[test]
fn one_may_lean_on_the_relation_that_the_one_before_it_made_in_the_same_batch() {
    let mut bench = Bench::new();
    let relation = Relation {
        user: "bob".to_owned(),
        subject: "s".to_owned(),
        partner: "alice".to_owned(),
        agent: agent('a'),
        host: None,
        port: None,
        until: None,
    };
    let note = |action: &str, script: Vec<Do>| {
        let mut note: Outgoing = outgoing(agent('a'), action, &[]);
        (note.target, note.action, note.report) = ("r0.about".to_owned(), action.to_owned(), false);
        let object = json!({ "name": action, "about": "s", "do": script });
        note.object = tallyho_plugin::context::to_cbor(&object).unwrap();
        Do::SendPlain(Box::new(note))
    };
    let script = [note("first", vec![Do::Relate(relation)]), note("do", vec![])];
    let mids = bench.apply(vec![command("r0", &script)]).released.local;
    bench.apply(mids.into_iter().map(|mid| Input::Local { mid }).collect());
    assert_eq!(bench.heard("r0"), ["message first", "message do"]);
}
