//! Any operation may fail: what was committed stays, the rest leaves nothing, and work goes on.

use super::*;
use std::collections::BTreeSet;

const BATCHES: u8 = 4;
const ROWS: u8 = 3;

fn unwritable() -> StoreError {
    StoreError::Unwritable { path: "store".into(), why: "disk full".into() }
}

pub fn a_failing_operation_never_leaves_half_a_batch(open: &mut Open<'_>) {
    for nth in 1.. {
        clear(&mut open());
        let (mut store, faults) = FaultyStore::new(open());
        faults.fail(Operation::Any, nth, unwritable());
        let committed: BTreeSet<u8> = (0..BATCHES).take_while(|batch| attempt(&mut store, *batch).is_ok()).collect();
        drop(store);
        let mut store = open();
        assert_eq!(whole_batches(&mut store), committed, "operation {nth} failed");
        if faults.failures() == 0 {
            assert_eq!(committed.len(), usize::from(BATCHES));
            assert!(nth > u64::from(BATCHES) * u64::from(ROWS), "every kind of operation has failed before");
            return;
        }
    }
}

pub fn after_failures_the_same_store_goes_on(open: &mut Open<'_>) {
    for operation in
        [Operation::Begin, Operation::Get, Operation::Scan, Operation::Put, Operation::Delete, Operation::Commit]
    {
        clear(&mut open());
        let (mut store, faults) = FaultyStore::new(open());
        faults.fail_stretch(operation, 2, 3, unwritable());
        let mut failed = 0;
        for batch in 0..BATCHES {
            while let Err(error) = attempt(&mut store, batch) {
                assert_eq!(error, unwritable());
                failed += 1;
                assert_eq!(whole_batches(store.inner_mut()), (0..batch).collect(), "{operation:?}");
            }
        }
        assert_eq!(failed, 3, "{operation:?}");
        drop(store);
        assert_eq!(whole_batches(&mut open()), (0..BATCHES).collect(), "{operation:?}");
    }
}

/// A batch uses every kind of operation and writes rows in two tables; `last` counts batches.
fn attempt(store: &mut dyn Store, batch: u8) -> Result<(), StoreError> {
    let mut transaction = store.begin()?;
    let last = transaction.get("state", b"last")?;
    assert_eq!(last, batch.checked_sub(1).map(|before| vec![before]));
    for row in 0..ROWS {
        transaction.put("left", &[batch, row], &[row; 300])?;
        transaction.put("right", &[row, batch], b"")?;
    }
    transaction.put("state", b"stray", b"")?;
    transaction.delete("state", b"stray")?;
    let range = Range { from: vec![batch], limit: 100, ..Range::default() };
    assert_eq!(transaction.scan("left", &range)?.len(), usize::from(ROWS));
    transaction.put("state", b"last", &[batch])?;
    transaction.commit()
}

/// The batches in the store, after checking that each is whole.
fn whole_batches(store: &mut dyn Store) -> BTreeSet<u8> {
    let left = rows(store, "left");
    let right = rows(store, "right");
    let batches: BTreeSet<u8> = left.iter().map(|(key, _)| key[0]).collect();
    assert_eq!(left.len(), batches.len() * usize::from(ROWS));
    let mut twins: Vec<Vec<u8>> = right.into_iter().map(|(key, _)| vec![key[1], key[0]]).collect();
    twins.sort();
    assert_eq!(left.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), twins);
    let last = batches.last().map(|last| (b"last".to_vec(), vec![*last]));
    assert_eq!(rows(store, "state"), last.into_iter().collect::<Vec<_>>());
    batches
}

fn clear(store: &mut dyn Store) {
    commit(store, |transaction| {
        for table in ["left", "right", "state"] {
            for (key, _) in transaction.scan(table, &everything()).unwrap() {
                transaction.delete(table, &key).unwrap();
            }
        }
    });
}
