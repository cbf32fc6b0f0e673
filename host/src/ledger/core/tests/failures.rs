//! The store fails at any operation: nothing has happened, and the same inputs can be given again.

use crate::ledger::input::{Input, Outcome};
use crate::ledger::robot::*;
use crate::store::{Operation, StoreError};
use crate::wire::ext::Receipt;
use tallyho_plugin::Fate;

/// A site with something of everything, and a batch that touches all of it.
fn prepared() -> (Bench, Vec<Input>) {
    let mut bench = Bench::new();
    let script = [
        Do::Send(agent('b'), "received".into(), vec![]),
        Do::Send(agent('b'), "replaced".into(), vec![]),
        Do::Send(agent('a'), "own".into(), vec![Do::Put("own".into(), "came".into())]),
        Do::Timer("clock".into(), NOW),
    ];
    let aside = |mid| from_bob("aside", Some(mid), &[Do::Fail]);
    let done = bench.apply(vec![command("r0", &script), aside(8), aside(9), from_bob("before", Some(10), &[])]);
    let mids: Vec<u64> = done.released.posts.iter().map(|post| post.mid).collect();
    let mut inputs = vec![
        from_bob("again", Some(10), &[]),
        from_bob("new", Some(11), &[Do::Put("new".into(), "yes".into()), Do::Notice]),
        from_bob("failed", Some(12), &[Do::Put("failed".into(), "yes".into()), Do::Fail]),
        from_bob("held", Some(13), &[Do::Host]),
        Input::Dropped { agent: agent('b'), mid: 14 },
        command(
            "r0",
            &[
                Do::Send(agent('b'), "replaced".into(), vec![]),
                Do::Invoke("r1".into(), vec![Do::Put("k".into(), "v".into())], false),
            ],
        ),
        Input::Delivery { line: agent('b').into(), mid: mids[0], fate: Fate::HandedOver, receipts: true },
        Input::Receipt { agent: agent('b'), receipt: Receipt { upto: mids[0], also: Vec::new() } },
        Input::Retry { number: 1 },
        Input::Forget { number: 2 },
        Input::Local { mid: done.released.local[0] },
        Input::Learn { from: tallyho_plugin::record::Chad::agent(agent('b')).at("b.example", 7) },
    ];
    inputs.extend(bench.core.due(NOW).unwrap());
    (bench, inputs)
}

#[test]
fn whichever_operation_fails_nothing_has_happened_and_the_same_inputs_then_do_the_same() {
    let (mut clean, inputs) = prepared();
    let from = clean.faults.operations();
    let expected = clean.apply(inputs);
    let operations = clean.faults.operations() - from;
    let (after, outcomes) = (clean.everything(), expected.outcomes);
    assert!(operations > 60, "{operations} operations are too few to show much");
    assert!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Done(_))).count() >= 8, "{outcomes:?}");
    let unwritable = StoreError::Unwritable { path: "store".to_owned(), why: "full".to_owned() };
    for nth in 1..=operations {
        for error in [StoreError::Conflict, unwritable.clone(), StoreError::Engine("odd".to_owned())] {
            let (mut bench, inputs) = prepared();
            let before = bench.everything();
            bench.faults.fail(Operation::Any, nth, error.clone());
            assert_eq!(bench.try_apply(inputs.clone()).unwrap_err(), error, "operation {nth}");
            assert!(bench.everything() == before, "operation {nth} left something");
            let heard = &*bench.core.relations;
            assert!(heard.is_empty());
            let done = bench.apply(inputs);
            assert_eq!(done.outcomes, outcomes, "after operation {nth}");
            assert!(bench.everything() == after, "another end after operation {nth}");
            assert_eq!(done.released.receipts, expected.released.receipts, "after operation {nth}");
        }
    }
}

#[test]
fn timers_are_looked_for_again_after_a_failure() {
    let mut bench = Bench::new();
    bench.tell(&[Do::Timer("clock".into(), NOW)]);
    let due = bench.core.due(NOW).unwrap();
    bench.faults.fail(Operation::Commit, 1, StoreError::Conflict);
    assert!(bench.try_apply(due).is_err());
    assert_eq!(bench.core.due(NOW).unwrap().len(), 1);
}

#[test]
fn counters_of_a_batch_that_was_not_kept_are_not_counted() {
    let mut bench = Bench::new();
    bench.faults.fail(Operation::Commit, 1, StoreError::Conflict);
    let count = || vec![command("r0", &[Do::Metric("count".into()), Do::Put("k".into(), "v".into())])];
    assert!(bench.try_apply(count()).is_err());
    bench.apply(count());
    assert_eq!(bench.core.table.load().named("r0").unwrap().metrics()["count"], 1);
}
