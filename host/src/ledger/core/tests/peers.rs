//! Messages of peers: once each, acknowledged once applied.

use crate::ledger::input::Input;
use crate::ledger::robot::*;
use crate::wire::ext::Receipt;
use serde_json::json;
use tallyho_plugin::FaultKind;
use tallyho_plugin::Message;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::services::Relation;

fn receipt(bench: &mut Bench, inputs: Vec<Input>) -> Receipt {
    let receipts = bench.apply(inputs).released.receipts;
    assert_eq!(receipts.len(), 1, "one receipt a peer and batch");
    assert_eq!(receipts[0].0, agent('b'));
    receipts[0].1.clone()
}

#[test]
fn a_message_is_applied_once_and_acknowledged_every_time() {
    let mut bench = Bench::new();
    assert_eq!(receipt(&mut bench, vec![from_bob("m", Some(5), &[])]).upto, 5);
    assert_eq!(receipt(&mut bench, vec![from_bob("m", Some(5), &[])]).upto, 5);
    let mut bench = Bench::on(&bench.disk);
    assert_eq!(receipt(&mut bench, vec![from_bob("m", Some(5), &[]), from_bob("n", Some(9), &[])]).upto, 9);
    assert_eq!(bench.heard("r0"), ["message m", "message n"]);
}

#[test]
fn a_message_without_an_id_is_applied_each_time_and_not_acknowledged() {
    let mut bench = Bench::new();
    assert!(bench.apply(vec![from_bob("m", None, &[])]).released.receipts.is_empty());
    bench.apply(vec![from_bob("m", None, &[])]);
    assert_eq!(bench.heard("r0").len(), 2);
}

#[test]
fn a_refused_message_is_acknowledged_and_never_comes_again() {
    let mut bench = Bench::new();
    assert_eq!(receipt(&mut bench, vec![from_bob("m", Some(5), &[Do::Refuse])]).upto, 5);
    assert!(bench.scan("host.aside").is_empty());
}

#[test]
fn a_message_that_the_host_could_not_serve_is_not_acknowledged_and_later_ones_are() {
    let mut bench = Bench::new();
    let got = receipt(
        &mut bench,
        vec![from_bob("a", Some(3), &[]), from_bob("held", Some(5), &[Do::Host]), from_bob("b", Some(7), &[])],
    );
    assert_eq!(got, Receipt { upto: 4, also: vec![7] });
    // Its repeat, on the next channel, is applied; others are not applied again.
    let mut bench = Bench::on(&bench.disk);
    let got = receipt(&mut bench, vec![from_bob("held", Some(5), &[]), from_bob("b", Some(7), &[])]);
    assert_eq!(got, Receipt { upto: 7, also: vec![] });
    assert_eq!(bench.heard("r0"), ["message a", "message b", "message held"]);
}

#[test]
fn a_message_that_goes_nowhere_is_acknowledged() {
    let mut bench = Bench::new();
    assert_eq!(receipt(&mut bench, vec![Input::Dropped { agent: agent('b'), mid: 4 }]).upto, 4);
    let mut stray = inbound("m", Some(6), &[]);
    stray.message = Message { target: "nobody".to_owned(), ..Message::clone(&stray.message) }.into();
    assert_eq!(receipt(&mut bench, vec![Input::Peer(stray)]).upto, 6);
    assert!(bench.heard("r0").is_empty());
}

/// A message about `subject`, which needs a relation.
fn about(subject: &str, action: &str, mid: u64, script: &[Do]) -> Input {
    let mut inbound = inbound("m", Some(mid), script);
    let body = to_cbor(&json!({ "name": format!("{action}-{mid}"), "about": subject, "do": script })).unwrap();
    let (target, action) = ("r0.about".to_owned(), action.to_owned());
    inbound.message = Message { target, action, body, ..Message::clone(&inbound.message) }.into();
    Input::Peer(inbound)
}

fn relation(subject: &str) -> Relation {
    Relation {
        user: "alice".to_owned(),
        subject: subject.to_owned(),
        partner: "bob".to_owned(),
        agent: agent('b'),
        host: None,
        port: None,
        until: None,
    }
}

#[test]
fn a_message_may_lean_on_the_relation_that_the_one_just_before_it_made() {
    let mut bench = Bench::new();
    let granted = vec![Do::Relate(relation("s"))];
    let done = bench.apply(vec![about("s", "first", 1, &granted), about("s", "do", 2, &[])]);
    assert!(done.outcomes.iter().all(|outcome| !is_fault(outcome, FaultKind::Refused)), "{:?}", done.outcomes);
    assert_eq!(bench.heard("r0"), ["message first-1", "message do-2"]);
}

#[test]
fn a_relation_ended_in_the_same_batch_lets_nothing_more_through() {
    let mut bench = Bench::new();
    bench.tell(&[Do::Relate(relation("s"))]);
    let end = vec![Do::Unrelate("alice".into(), "s".into(), agent('b'))];
    let done = bench.apply(vec![about("s", "do", 1, &end), about("s", "do", 2, &[])]);
    assert!(is_fault(&done.outcomes[1], FaultKind::Refused), "{:?}", done.outcomes);
    assert_eq!(bench.heard("r0"), ["message do-1"]);
}

#[test]
fn a_relation_of_a_failed_event_lets_nothing_through() {
    let mut bench = Bench::new();
    let granted = vec![Do::Relate(relation("s")), Do::Fail];
    let done = bench.apply(vec![about("s", "first", 1, &granted), about("s", "do", 2, &[])]);
    assert!(is_fault(&done.outcomes[1], FaultKind::Refused), "{:?}", done.outcomes);
}
