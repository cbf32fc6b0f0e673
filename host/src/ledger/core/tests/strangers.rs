//! What comes by restricted channels, and what goes back or out by them.

use crate::ledger::input::{Inbound, Input, Origin, Outcome, Refused};
use crate::ledger::limits::ANSWERS;
use crate::ledger::line::Line;
use crate::ledger::robot::*;
use crate::store::{Operation, StoreError};
use tallyho_plugin::services::{Outgoing, Schedule};
use tallyho_plugin::{Fate, FaultKind, Message};

const ORIGIN: Origin = Origin { channel: 7, address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

/// A message of a stranger, or the answer of one who was asked.
fn stranger(script: &[Do], asked: bool) -> Input {
    let mut inbound: Inbound = inbound("m", None, script);
    let mut message = Message::clone(&inbound.message);
    (message.restricted, message.asked) = (true, asked);
    message.action = "public".to_owned();
    inbound.message = message.into();
    inbound.origin = Some(ORIGIN);
    Input::Peer(inbound)
}

fn answer() -> Do {
    Do::SendPlain(Box::new(Outgoing { schedule: Schedule::Answer, ..outgoing(agent('b'), "answer", &[]) }))
}

fn asks() -> Outgoing {
    let message = outgoing(agent('b'), "asks", &[]).by_restricted_channel();
    Outgoing { to: message.to.clone().at("127.0.0.1", 9), ..message }
}

#[test]
fn an_answer_leaves_after_the_commit_by_its_channel_and_is_kept_nowhere() {
    let mut bench = Bench::new();
    let done = bench.apply(vec![stranger(&[answer()], false)]);
    let [answer] = done.released.answers.as_slice() else { panic!("{:?}", done.released) };
    assert_eq!((answer.origin, answer.row.message.to.agent.clone()), (ORIGIN, agent('b')));
    assert!(done.released.posts.is_empty() && bench.scan("host.outbox").is_empty());
}

#[test]
fn nothing_is_answered_that_the_store_has_refused() {
    let mut bench = Bench::new();
    let asked = || vec![stranger(&[Do::Put("k".into(), "v".into()), answer()], false)];
    bench.faults.fail(Operation::Commit, 1, StoreError::Engine("full".to_owned()));
    assert!(bench.try_apply(asked()).is_err());
    assert_eq!(bench.row("r0", "k"), None);
    assert_eq!(bench.apply(asked()).released.answers.len(), 1);
}

#[test]
fn where_no_channel_brought_anything_an_answer_is_forgotten() {
    let mut bench = Bench::new();
    bench.apply(vec![stranger(&[], false)]);
    // The channel of the message before is not taken for that of a command.
    let done = bench.apply(vec![command("r0", &[answer()])]);
    assert!(matches!(done.outcomes[0], Outcome::Done(_)));
    assert!(done.released.answers.is_empty() && bench.scan("host.outbox").is_empty());
}

#[test]
fn an_event_gives_so_many_answers_and_no_more() {
    let mut bench = Bench::new();
    assert_eq!(bench.apply(vec![stranger(&vec![answer(); ANSWERS], false)]).released.answers.len(), ANSWERS);
    let done = bench.apply(vec![stranger(&vec![answer(); ANSWERS + 1], false)]);
    assert!(matches!(&done.outcomes[0], Outcome::Fault(fault) if fault.kind == FaultKind::Failed));
    assert!(done.released.answers.is_empty());
}

#[test]
fn a_stranger_who_is_refused_is_closed_upon_and_a_strike_is_told_of_everybody() {
    let mut bench = Bench::new();
    let mut refused = |input| bench.apply(vec![input]).released.refused;
    let told = |strike, close| vec![Refused { origin: ORIGIN, strike, close }];
    assert_eq!(refused(stranger(&[Do::Refuse], false)), told(false, true));
    assert_eq!(refused(stranger(&[Do::Strike], false)), told(true, true));
    assert_eq!(refused(stranger(&[Do::Refuse], true)), []);
    assert_eq!(refused(stranger(&[Do::Fail], false)), [], "that is no fault of the stranger's");
    let Input::Peer(known) = from_bob("m", Some(5), &[Do::Strike]) else { panic!("a message") };
    assert_eq!(refused(Input::Peer(Inbound { origin: Some(ORIGIN), ..known })), told(true, false));
}

#[test]
fn a_question_waits_in_the_line_of_its_address_and_its_sender_hears_its_fate() {
    let mut bench = Bench::new();
    let done = bench.apply(vec![command("r0", &[Do::SendPlain(Box::new(asks()))])]);
    let post = &done.released.posts[0];
    assert_eq!(post.line, Line::of(&asks()));
    let (line, mid) = (post.line.clone(), post.mid);
    assert_eq!(bench.core.refill(&line, 0).unwrap().len(), 1, "a restart finds it");
    bench.one(Input::Delivery { line: line.clone(), mid, fate: Fate::HandedOver, receipts: false });
    assert_eq!(bench.heard("r0"), ["handed over asks"]);
    assert!(bench.core.refill(&line, 0).unwrap().is_empty());
}

#[test]
fn a_question_that_could_not_be_sent_is_refused_and_says_why() {
    let mut bench = Bench::new();
    let place = |host: Option<&str>| {
        let mut message = asks();
        message.to.host = host.map(str::to_owned);
        message
    };
    for (message, code) in [
        (place(None), "no-address"),
        (place(Some("a\0b")), "no-address"),
        (Outgoing { schedule: Schedule::Request, ..asks() }, ""),
    ] {
        let done = bench.apply(vec![command("r0", &[Do::SendPlain(Box::new(message))])]);
        assert!(matches!(&done.outcomes[0], Outcome::Fault(fault) if fault.code == code), "{:?}", done.outcomes);
        assert!(done.released.posts.is_empty());
    }
}
