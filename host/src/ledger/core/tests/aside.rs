//! What its plugin fails for good is set aside, and waits for the operator.

use crate::ledger::buffer::Buffer;
use crate::ledger::input::{Input, Outcome};
use crate::ledger::limits::{QUARANTINE_ROWS, TIMER_RETRY_MS, TIMER_TRIES};
use crate::ledger::quarantine::{self, Aside};
use crate::ledger::robot::*;
use tallyho_plugin::{Event, Fate, Fault, FaultKind};

fn aside(bench: &mut Bench) -> Vec<(u64, Aside)> {
    let mut all = Vec::new();
    bench.core.read(|rows| quarantine::each(rows, None, |number, aside| all.push((number, aside)))).unwrap();
    let counted = bench.core.read(|rows| quarantine::count(&mut Buffer::new(rows))).unwrap();
    assert_eq!(counted.values().sum::<u64>(), all.len() as u64);
    all
}

/// Tries one again, or forgets it; why in vain.
fn decide(bench: &mut Bench, number: u64, again: bool) -> Option<Fault> {
    bench.core.aside(number, again, bench.now).unwrap().0
}

fn failed(outcome: &Outcome) -> bool {
    is_fault(outcome, FaultKind::Failed)
}

#[test]
fn a_message_that_its_handler_fails_is_set_aside_acknowledged_and_told() {
    for end in [Do::Fail, Do::Panic] {
        let mut bench = Bench::new();
        let done = bench.apply(vec![from_bob("m", Some(5), &[Do::Put("k".into(), "v".into()), end])]);
        assert_eq!(done.released.receipts[0].1.upto, 5);
        assert_eq!(done.released.notices[0]["reason"], "set an event aside");
        assert_eq!(bench.row("r0", "k"), None);
        let mut bench = Bench::on(&bench.disk);
        let [(number, aside)] = &aside(&mut bench)[..] else { panic!("one") };
        assert_eq!((*number, aside.plugin.as_str(), aside.what.as_str()), (1, "r0", "message r0/do"));
        assert_eq!((aside.tries, aside.at), (1, NOW));
        assert!(aside.fault.contains("as told"), "{aside:?}");
        assert!(matches!(aside.event().unwrap(), Event::Message(message) if !message.body.is_empty()));
    }
}

#[test]
fn nothing_is_kept_of_a_stranger_nor_of_a_refusal() {
    let mut bench = Bench::new();
    let mut stranger = inbound("m", None, &[Do::Fail]);
    let message = tallyho_plugin::Message::clone(&stranger.message);
    stranger.message = tallyho_plugin::Message { restricted: true, action: "public".into(), ..message }.into();
    assert!(failed(&bench.one(Input::Peer(stranger))));
    assert!(is_fault(&bench.one(from_bob("m", Some(5), &[Do::Refuse])), FaultKind::Refused));
    assert_eq!(aside(&mut bench), []);
}

#[test]
fn where_no_more_can_be_set_aside_the_peer_keeps_its_message() {
    let mut bench = Bench::new();
    for start in (1..=QUARANTINE_ROWS).step_by(256) {
        bench.apply((start..start + 256).map(|mid| from_bob("m", Some(mid), &[Do::Fail])).collect());
    }
    assert_eq!(aside(&mut bench).len() as u64, QUARANTINE_ROWS);
    let next = QUARANTINE_ROWS + 1;
    let done = bench.apply(vec![from_bob("m", Some(next), &[Do::Fail])]);
    assert!(is_fault(&done.outcomes[0], FaultKind::Host));
    assert_eq!(done.released.receipts[0].1.upto, next - 1, "it is not acknowledged");
    assert!(matches!(bench.one(from_bob("good", Some(next + 1), &[])), Outcome::Done(_)));
    // One that is dropped makes room.
    assert_eq!(decide(&mut bench, 7, false), None);
    assert!(failed(&bench.one(from_bob("m", Some(next), &[Do::Fail]))));
    assert_eq!(aside(&mut bench).len() as u64, QUARANTINE_ROWS);
}

#[test]
fn a_timer_that_its_handler_fails_again_and_again_is_set_aside_and_tried_when_asked() {
    let mut bench = Bench::new();
    bench.tell(&[Do::On(vec![Do::Panic]), Do::Timer("clock".into(), NOW)]);
    for turn in 0..i64::from(TIMER_TRIES) {
        assert_eq!(aside(&mut bench), []);
        // A restart does not give it more tries.
        bench = Bench::on(&bench.disk);
        bench.now = NOW.plus(turn * TIMER_RETRY_MS);
        let due = bench.core.due(bench.now).unwrap();
        assert_eq!(due.len(), 1, "try {turn}");
        bench.apply(due);
    }
    assert_eq!(bench.core.next_timer(), None);
    let [(number, aside_)] = &aside(&mut bench)[..] else { panic!("one") };
    assert_eq!((aside_.tries, aside_.what.as_str()), (TIMER_TRIES, "timer clock"));
    // In vain first, then with what was wrong mended.
    let fault = decide(&mut bench, *number, true).unwrap();
    assert_eq!(fault.kind, FaultKind::Failed);
    assert_eq!(aside(&mut bench)[0].1.tries, TIMER_TRIES + 1);
    bench.tell(&[Do::On(vec![])]);
    assert_eq!(decide(&mut bench, *number, true), None);
    assert_eq!((bench.heard("r0"), aside(&mut bench)), (vec!["timer clock".to_owned()], vec![]));
}

#[test]
fn a_timer_that_is_set_anew_has_all_its_tries_again_and_a_refusal_costs_none() {
    let mut bench = Bench::new();
    bench.tell(&[Do::On(vec![Do::Fail]), Do::Timer("clock".into(), NOW)]);
    let turns = [Do::Fail, Do::Refuse, Do::Fail, Do::Fail, Do::Host, Do::Fail];
    for (turn, end) in turns.into_iter().enumerate() {
        bench.tell(&[Do::On(vec![end])]);
        bench.now = NOW.plus(turn as i64 * TIMER_RETRY_MS);
        let due = bench.core.due(bench.now).unwrap();
        assert_eq!(due.len(), 1, "turn {turn}");
        bench.apply(due);
    }
    bench.tell(&[Do::Timer("clock".into(), bench.now)]);
    for turn in 0..i64::from(TIMER_TRIES) {
        assert_eq!(aside(&mut bench), [], "turn {turn}");
        let due = bench.core.due(bench.now).unwrap();
        bench.apply(due);
        bench.now = bench.now.plus(TIMER_RETRY_MS);
    }
    assert_eq!(aside(&mut bench).len(), 1);
}

#[test]
fn a_report_that_its_handler_fails_is_set_aside_and_not_given_twice() {
    let mut bench = Bench::new();
    let sent = bench.apply(vec![command("r0", &[Do::Send(agent('b'), "note".into(), vec![]), Do::On(vec![Do::Fail])])]);
    let (agent, mid) = (agent('b'), sent.released.posts[0].mid);
    let handed = Input::Delivery { line: (&agent).into(), mid, fate: Fate::HandedOver, receipts: false };
    assert!(failed(&bench.one(handed.clone())));
    bench.one(handed);
    let [(number, row)] = &aside(&mut bench)[..] else { panic!("one") };
    assert_eq!(row.what, "report on note");
    bench.tell(&[Do::On(vec![])]);
    assert_eq!(decide(&mut bench, *number, true), None);
    assert_eq!(bench.heard("r0"), ["handed over note"]);
}

#[test]
fn an_event_that_waited_and_fails_is_set_aside_and_waits_no_more() {
    let mut bench = Bench::new();
    bench.core.stop("r0", NOW).unwrap();
    bench.one(from_bob("one", None, &[Do::Fail]));
    let seat = bench.core.table.load().seat("r0").unwrap().clone();
    bench.core.table.store(std::sync::Arc::new(
        bench.core.table.load().seating("r0", crate::ledger::table::Seat { held: None, ..seat }).unwrap(),
    ));
    assert!(failed(&bench.one(Input::Waiting { plugin: "r0".into(), number: 0 })));
    assert_eq!(aside(&mut bench).len(), 1);
    assert_eq!(bench.one(Input::Waiting { plugin: "r0".into(), number: 0 }), Outcome::Done(Vec::new()));
}

#[test]
fn what_is_not_there_or_cannot_be_tried_says_so_and_stays() {
    let mut bench = Bench::new();
    for again in [true, false] {
        assert_eq!(decide(&mut bench, 1, again).unwrap().kind, FaultKind::NotFound);
    }
    bench.one(from_bob("m", Some(5), &[Do::Fail]));
    bench.core.stop("r0", NOW).unwrap();
    assert_eq!(decide(&mut bench, 1, true).unwrap().code, "stopped");
    assert_eq!(aside(&mut bench)[0].1.tries, 1);
}
