#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::ledger::robot::{Do, NOW, agent, command, from_bob, parts};
use crate::store::{Faults, MemoryDisk, Operation};
use crate::wire::ext::Receipt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;
use tallyho_plugin::FaultKind;
use tallyho_plugin::context::to_cbor;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Out(Mutex<Sender<Released>>);

impl Outside for Out {
    fn released(&self, released: Released) {
        let _ = self.0.lock().unwrap().send(released);
    }
}

/// A ledger at work, its store's faults, and what it lets out.
struct Bench {
    ledger: Arc<Ledger>,
    faults: Faults,
    released: Receiver<Released>,
    disk: MemoryDisk,
}

fn bench() -> Bench {
    bench_on(MemoryDisk::default())
}

fn bench_on(disk: MemoryDisk) -> Bench {
    let (parts, faults) = parts(&disk);
    let (sender, released) = channel();
    let ledger = Ledger::start(parts, Arc::new(Still), Arc::new(Out(Mutex::new(sender)))).unwrap();
    released.recv().unwrap();
    Bench { ledger, faults, released, disk }
}

impl Bench {
    fn call(&self, script: &[Do]) -> Result<Vec<u8>, Fault> {
        self.ledger.call("r0", "do", to_cbor(&script).unwrap())
    }

    fn submit(&self, input: Input) -> Receiver<Outcome> {
        let (tell, told) = channel();
        let tell: Tell = Box::new(move |outcome| drop(tell.send(outcome)));
        let mut inputs = VecDeque::from([(input, Some(tell))]);
        let poll = self.ledger.poll_submit(&mut Context::from_waker(Waker::noop()), &mut inputs);
        assert_eq!(poll, Poll::Ready(Ok(())));
        told
    }

    /// The store refuses from now on, and the ledger has found out.
    fn refuse(&self) {
        let error = StoreError::Unwritable { path: "store".to_owned(), why: "full".to_owned() };
        self.faults.fail_stretch(Operation::Commit, 1, u64::MAX, error);
        assert!(self.call(&[Do::Notice]).is_err());
    }

    fn heard(&self) -> Vec<String> {
        let rows = self.ledger.ask(|core| {
            let all = tallyho_plugin::services::Range { limit: 10_000, ..Default::default() };
            core.read(|transaction| transaction.scan("r0.rows", &all)).unwrap()
        });
        let heard = rows.unwrap().into_iter().filter(|(key, _)| key.starts_with(b"heard/"));
        let told: Vec<String> = heard.map(|(_, bytes)| ciborium::from_reader(bytes.as_slice()).unwrap()).collect();
        told.into_iter().filter(|what| what != "started").collect()
    }
}

#[test]
fn a_command_is_answered_once_it_is_durable_and_what_it_lets_out_has_left() {
    let bench = bench();
    bench.call(&[Do::Send(agent('b'), "m".into(), vec![])]).unwrap();
    assert_eq!(bench.released.try_recv().unwrap().posts.len(), 1);
}

#[test]
fn while_the_store_refuses_commands_fail_and_say_why_and_nothing_of_them_is_kept() {
    let bench = bench();
    bench.refuse();
    for _ in 0..3 {
        let fault = bench.call(&[Do::Put("k".into(), "v".into())]).unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Host, "store"));
        assert!(fault.text.contains("store cannot be written: full"), "{fault}");
    }
    bench.faults.clear();
    while bench.call(&[Do::Notice]).is_err() {}
    let answer = bench.call(&[Do::Get("k".into())]).unwrap();
    assert_eq!(ciborium::from_reader::<Option<String>, _>(answer.as_slice()).unwrap(), None);
}

#[test]
fn a_command_that_waits_when_timers_cannot_be_read_is_answered_too() {
    let bench = bench();
    bench.call(&[Do::Timer("clock".into(), NOW)]).unwrap();
    let broken = StoreError::Engine("broken".to_owned());
    bench.faults.fail_stretch(Operation::Begin, 1, u64::MAX, broken);
    assert_eq!(bench.call(&[Do::Notice]).unwrap_err().code, "store");
    bench.faults.clear();
}

#[test]
fn peers_messages_are_kept_while_the_store_refuses_and_applied_in_order_when_it_can_again() {
    let bench = bench();
    bench.refuse();
    let told: Vec<_> = (1..=600).map(|mid| bench.submit(from_bob(&format!("{mid}"), Some(mid), &[]))).collect();
    assert!(bench.call(&[Do::Notice]).is_err());
    assert!(told.iter().all(|told| told.try_recv().is_err()), "nobody is told before it is durable");
    bench.faults.clear();
    for told in told {
        assert!(matches!(told.recv().unwrap(), Outcome::Done(_)));
    }
    assert_eq!(bench.heard(), (1..=600).map(|mid| format!("message {mid}")).collect::<Vec<_>>());
}

#[test]
fn memory_is_bounded_while_the_store_refuses_and_commands_are_answered_all_the_same() {
    let bench = bench();
    bench.refuse();
    let mut mid = 0;
    let full = loop {
        let mut input = VecDeque::from([(from_bob("m", Some(mid + 1), &[]), None)]);
        if bench.ledger.poll_submit(&mut Context::from_waker(Waker::noop()), &mut input).is_pending() {
            // What the ledger's thread has not taken yet may still leave room.
            if mid >= 2 * QUEUE as u64 {
                break mid;
            }
            // Answered, so the thread has been round once more.
            bench.ledger.ask_urgently(|_| {});
            thread::yield_now();
            continue;
        }
        mid += 1;
        assert!(mid <= 2 * QUEUE as u64 + BATCH as u64, "{mid} messages were taken");
    };
    assert!(full >= QUEUE as u64);
    // A command needs room among the messages; one that is in gets its answer past them.
    let asked = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&asked);
    bench.ledger.ask_urgently(move |_| *seen.lock().unwrap() = true);
    bench.faults.clear();
    while bench.heard().len() < usize::try_from(full).unwrap() {}
    assert!(*asked.lock().unwrap());
}

#[test]
fn a_conflict_is_tried_again_at_once_and_one_that_never_ends_is_a_refusal() {
    let bench = bench();
    bench.faults.fail_stretch(Operation::Commit, 1, 3, StoreError::Conflict);
    bench.call(&[Do::Put("k".into(), "v".into())]).unwrap();
    bench.faults.fail_stretch(Operation::Commit, 1, u64::MAX, StoreError::Conflict);
    assert_eq!(bench.call(&[Do::Notice]).unwrap_err().code, "store");
    bench.faults.clear();
}

#[test]
fn a_stopping_ledger_does_what_it_has_taken_and_takes_nothing_more() {
    let bench = bench();
    let told: Vec<_> = (1..=300).map(|mid| bench.submit(from_bob("m", Some(mid), &[]))).collect();
    bench.ledger.stop();
    assert!(told.into_iter().all(|told| matches!(told.recv(), Ok(Outcome::Done(_)))));
    let fault = bench.call(&[Do::Notice]).unwrap_err();
    assert!(fault.text.contains("stopping"), "{fault}");
    let again = bench_on(bench.disk.clone());
    assert_eq!(again.heard().len(), 300);
}

#[test]
fn a_ledger_that_stops_while_the_store_refuses_leaves_nobody_waiting() {
    let bench = bench();
    bench.refuse();
    let told: Vec<_> = (1..=300).map(|mid| bench.submit(from_bob("m", Some(mid), &[]))).collect();
    bench.ledger.stop();
    assert!(told.into_iter().all(|told| told.recv().is_err()));
}

#[test]
fn nobody_waits_for_ever_when_the_ledgers_thread_has_panicked() {
    let bench = bench();
    bench.ledger.ask_urgently(|_| panic!("a bug"));
    let fault = bench.call(&[Do::Notice]).unwrap_err();
    assert!(fault.text.contains("stop"), "{fault}");
    assert!(bench.ledger.ask(|_| ()).is_err());
}

#[test]
fn messages_of_the_site_to_itself_are_run_without_being_asked_for() {
    let bench = bench();
    bench.call(&[Do::Send(agent('a'), "note".into(), vec![])]).unwrap();
    while bench.heard().len() < 2 {}
    assert_eq!(bench.heard(), ["handed over note", "message note"]);
}

#[test]
fn timers_that_are_due_are_run_without_being_asked_for() {
    let bench = bench();
    bench.call(&[Do::Timer("clock".into(), NOW)]).unwrap();
    while bench.heard().is_empty() {}
    let _ = command("r0", &[]);
    assert_eq!(bench.heard(), ["timer clock"]);
}

#[test]
fn a_message_that_comes_with_receipts_alone_is_the_only_one_and_of_two_neither_is() {
    let receipt = || Input::Receipt { agent: agent('b'), receipt: Receipt { upto: 7, also: Vec::new() } };
    let message = |mid| from_bob("alice", Some(mid), &[]);
    assert!(has_one_message([receipt(), message(1), receipt()].iter()));
    assert!(!has_one_message([message(1), message(2)].iter()));
    assert!(!has_one_message([receipt()].iter()));
}
