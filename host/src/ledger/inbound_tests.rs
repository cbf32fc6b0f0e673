#![allow(clippy::unwrap_used)]

use super::*;
use crate::ledger::robot::agent;
use crate::store::{MemoryStore, Store};
use proptest::prelude::*;

fn receipt(windows: &Windows, transaction: &mut dyn Transaction) -> Receipt {
    windows.write(transaction).unwrap().remove(0).1
}

#[test]
fn what_could_not_be_remembered_as_held_is_not_acknowledged() {
    let mut store = MemoryStore::new();
    let mut transaction = store.begin().unwrap();
    let mut windows = Windows::default();
    let peer = agent('b');
    for mid in 1..=HELD_MIDS as u64 {
        assert_eq!(windows.verdict(&mut *transaction, &peer, mid).unwrap(), Verdict::New);
        assert!(windows.hold(&peer, mid));
    }
    let over = HELD_MIDS as u64 + 1;
    assert_eq!(windows.verdict(&mut *transaction, &peer, over).unwrap(), Verdict::New);
    assert!(!windows.hold(&peer, over));
    assert_eq!(receipt(&windows, &mut *transaction), Receipt { upto: 0, also: Vec::new() });
    assert_eq!(windows.verdict(&mut *transaction, &peer, over).unwrap(), Verdict::New);
}

#[test]
fn as_many_can_be_held_as_a_peer_keeps() {
    assert!(HELD_MIDS as u64 >= crate::ledger::limits::OUTBOX_ROWS_PER_PEER);
}

#[test]
fn peers_that_speak_by_turns_are_told_of_their_own_ids() {
    let mut store = MemoryStore::new();
    let mut windows = Windows::default();
    let mut transaction = store.begin().unwrap();
    for (letter, mid) in [('c', 7), ('b', 1), ('c', 8), ('b', 2), ('c', 7)] {
        let verdict = windows.verdict(&mut *transaction, &agent(letter), mid).unwrap();
        if verdict == Verdict::New {
            windows.apply(&agent(letter), mid);
        }
    }
    windows.verdict(&mut *transaction, &agent('d'), 1).unwrap();
    assert!(windows.hold(&agent('d'), 1));
    let upto = |upto| Receipt { upto, also: Vec::new() };
    let told = [(agent('c'), upto(8)), (agent('b'), upto(2)), (agent('d'), upto(0))];
    assert_eq!(windows.write(&mut *transaction).unwrap(), told);
    // And so it is read again.
    let mut windows = Windows::default();
    let mut verdict = |letter, mid| windows.verdict(&mut *transaction, &agent(letter), mid).unwrap();
    assert_eq!([verdict('c', 8), verdict('b', 2), verdict('d', 1)], [Verdict::Again, Verdict::Again, Verdict::New]);
}

#[test]
fn one_batch_gives_a_peer_one_receipt_and_the_next_batch_none_without_cause() {
    let mut store = MemoryStore::new();
    let mut windows = Windows::default();
    let mut transaction = store.begin().unwrap();
    for mid in [1, 2, 3] {
        windows.verdict(&mut *transaction, &agent('b'), mid).unwrap();
        windows.apply(&agent('b'), mid);
    }
    assert_eq!(windows.write(&mut *transaction).unwrap(), [(agent('b'), Receipt { upto: 3, also: Vec::new() })]);
    windows.commit();
    assert!(windows.write(&mut *transaction).unwrap().is_empty());
}

/// A peer's messages in order, some of which the host cannot serve at first; channels break now and
/// then, and the peer begins again with the lowest that has no receipt.
#[derive(Debug, Clone)]
enum Step {
    Apply,
    Hold,
    Break,
    Restart,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_message_is_applied_once_and_acknowledged_only_then(steps in prop::collection::vec(
        prop_oneof![6 => Just(Step::Apply), 2 => Just(Step::Hold), 1 => Just(Step::Break), 1 => Just(Step::Restart)],
        1..200,
    )) {
        let mut store = MemoryStore::new();
        let mut windows = Windows::default();
        let peer = agent('b');
        let mut sent: BTreeSet<u64> = (1..=20).map(|n| n * 3).collect();
        let mut applied = BTreeSet::new();
        let mut at = 0;
        for step in &steps {
            let next = sent.range(at + 1..).next().copied();
            match (step, next) {
                (Step::Break, _) | (_, None) => at = 0,
                (Step::Restart, _) => (windows, at) = (Windows::default(), 0),
                (step, Some(mid)) => {
                    at = mid;
                    let mut transaction = store.begin().unwrap();
                    if windows.verdict(&mut *transaction, &peer, mid).unwrap() == Verdict::New {
                        match step {
                            Step::Hold => prop_assert!(windows.hold(&peer, mid)),
                            _ => {
                                windows.apply(&peer, mid);
                                prop_assert!(applied.insert(mid), "{mid} was applied twice");
                            }
                        }
                    }
                    let receipt = receipt(&windows, &mut *transaction);
                    transaction.commit().unwrap();
                    windows.commit();
                    for mid in sent.iter().filter(|mid| receipt.covers(**mid)) {
                        prop_assert!(applied.contains(mid), "{mid} is acknowledged and was not applied");
                    }
                    sent.retain(|mid| !receipt.covers(*mid));
                }
            }
        }
    }
}
