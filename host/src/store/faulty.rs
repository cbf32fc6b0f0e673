//! A test double: a store that fails when told to.
//!
//! Wrap any store, keep the [`Faults`] and say through them which operation fails, how, and for how
//! long. Whatever fails here has no effect on the store inside: a failed commit keeps nothing.
//!
//! ```
//! use tallyho::store::{FaultyStore, MemoryStore, Operation, Store, StoreError};
//! let (mut store, faults) = FaultyStore::new(MemoryStore::new());
//! faults.fail(Operation::Commit, 2, StoreError::Conflict);
//! for expected in [Ok(()), Err(StoreError::Conflict), Ok(())] {
//!     assert_eq!(store.begin().unwrap().commit(), expected);
//! }
//! ```

use super::{Store, StoreError, Transaction};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallyho_plugin::services::{Range, Row};

/// Which calls a fault counts and hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Every call.
    Any,
    /// [`Store::begin`].
    Begin,
    /// [`Transaction::get`].
    Get,
    /// [`Transaction::scan`].
    Scan,
    /// [`Transaction::put`].
    Put,
    /// [`Transaction::delete`].
    Delete,
    /// [`Transaction::commit`]. Nothing of the transaction is kept.
    Commit,
}

/// What to fail: shared by all clones and the [`FaultyStore`] it came with.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Planned>,
    operations: u64,
    failures: u64,
}

#[derive(Debug)]
struct Planned {
    on: Operation,
    /// Matching calls that still succeed before it.
    wait: u64,
    /// Matching calls that then fail.
    times: u64,
    error: StoreError,
}

impl Faults {
    /// The `nth` (1: the next) such call from now on fails once, with this error.
    pub fn fail(&self, on: Operation, nth: u64, error: StoreError) {
        self.fail_stretch(on, nth, 1, error);
    }

    /// The `nth` (1: the next) such call from now on and those after it fail, `times` in all; then the
    /// store works again. `u64::MAX` times: until [`clear`](Self::clear). Calls that a transaction spent by an
    /// earlier failure refuses do not count.
    ///
    /// # Panics
    /// When `nth` is 0: that call was yesterday.
    pub fn fail_stretch(&self, on: Operation, nth: u64, times: u64, error: StoreError) {
        assert!(nth > 0, "calls are counted from 1");
        self.plan().faults.push(Planned { on, wait: nth - 1, times, error });
    }

    /// Nothing fails any more.
    pub fn clear(&self) {
        self.plan().faults.clear();
    }

    /// Calls so far, failed ones included.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.plan().operations
    }

    /// Calls made to fail so far.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.plan().failures
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        // Counters and a list: no change to them can be interrupted half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; whether it fails.
    fn check(&self, operation: Operation) -> Result<(), StoreError> {
        let mut plan = self.plan();
        plan.operations += 1;
        let mut failure = None;
        for fault in plan.faults.iter_mut().filter(|fault| fault.on == operation || fault.on == Operation::Any) {
            if fault.wait > 0 {
                fault.wait -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                failure.get_or_insert_with(|| fault.error.clone());
            }
        }
        plan.faults.retain(|fault| fault.times > 0);
        plan.failures += u64::from(failure.is_some());
        failure.map_or(Ok(()), Err)
    }
}

/// A store that fails when told to; see the module.
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    faults: Faults,
}

impl<S: Store> FaultyStore<S> {
    /// Wraps a store. It works until the [`Faults`] say otherwise.
    pub fn new(inner: S) -> (Self, Faults) {
        let faults = Faults::default();
        (FaultyStore { inner, faults: faults.clone() }, faults)
    }

    /// The store inside, which does not fail.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        self.faults.check(Operation::Begin)?;
        Ok(Box::new(FaultyTransaction { inner: self.inner.begin()?, faults: &self.faults, spent: None }))
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Box::new(self.inner).close()
    }
}

struct FaultyTransaction<'a> {
    inner: Box<dyn Transaction + 'a>,
    faults: &'a Faults,
    /// The first error made here; the transaction inside knows of its own.
    spent: Option<StoreError>,
}

impl FaultyTransaction<'_> {
    fn check(&mut self, operation: Operation) -> Result<(), StoreError> {
        if self.spent.is_none() {
            self.spent = self.faults.check(operation).err();
        }
        self.spent.clone().map_or(Ok(()), Err)
    }
}

impl Transaction for FaultyTransaction<'_> {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check(Operation::Get)?;
        self.inner.get(table, key)
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        self.check(Operation::Scan)?;
        self.inner.scan(table, range)
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.check(Operation::Put)?;
        self.inner.put(table, key, value)
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        self.check(Operation::Delete)?;
        self.inner.delete(table, key)
    }

    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.check(Operation::Commit)?;
        self.inner.commit()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::MemoryStore;

    const OPERATIONS: [Operation; 6] =
        [Operation::Begin, Operation::Get, Operation::Scan, Operation::Put, Operation::Delete, Operation::Commit];

    /// Does each operation once; which one failed first.
    fn each_once(store: &mut impl Store) -> Option<Operation> {
        let Ok(mut transaction) = store.begin() else { return Some(Operation::Begin) };
        let failed = [
            (Operation::Get, transaction.get("t", b"k").is_err()),
            (Operation::Scan, transaction.scan("t", &Range::default()).is_err()),
            (Operation::Put, transaction.put("t", b"k", b"v").is_err()),
            (Operation::Delete, transaction.delete("t", b"k").is_err()),
            (Operation::Commit, transaction.commit().is_err()),
        ];
        failed.iter().find(|(_, failed)| *failed).map(|(operation, _)| *operation)
    }

    #[test]
    fn only_the_chosen_operation_fails_and_only_at_its_turn() {
        for operation in OPERATIONS {
            let (mut store, faults) = FaultyStore::new(MemoryStore::new());
            faults.fail(operation, 2, StoreError::Conflict);
            let failed: Vec<_> = (0..3).map(|_| each_once(&mut store)).collect();
            assert_eq!(failed, [None, Some(operation), None]);
            assert_eq!(faults.failures(), 1);
        }
    }

    #[test]
    fn any_operation_is_counted_in_the_order_of_the_calls() {
        for (n, operation) in OPERATIONS.into_iter().enumerate() {
            let (mut store, faults) = FaultyStore::new(MemoryStore::new());
            faults.fail(Operation::Any, n as u64 + 1, StoreError::Conflict);
            assert_eq!(each_once(&mut store), Some(operation));
            assert_eq!(faults.operations(), n as u64 + 1);
        }
    }

    #[test]
    fn a_failed_call_spends_the_transaction_and_answers_as_told() {
        let (mut store, faults) = FaultyStore::new(MemoryStore::new());
        let full = StoreError::Unwritable { path: "p".into(), why: "full".into() };
        faults.fail(Operation::Put, 1, full.clone());
        let mut transaction = store.begin().unwrap();
        assert_eq!(transaction.put("t", b"k", b"v"), Err(full.clone()));
        assert_eq!(transaction.get("t", b"k"), Err(full.clone()));
        assert_eq!(transaction.commit(), Err(full));
    }

    #[test]
    fn a_stretch_ends_by_itself_or_when_cleared() {
        let (mut store, faults) = FaultyStore::new(MemoryStore::new());
        faults.fail_stretch(Operation::Begin, 2, 2, StoreError::Conflict);
        let begins = |store: &mut FaultyStore<MemoryStore>| store.begin().is_ok();
        assert_eq!([0; 4].map(|_| begins(&mut store)), [true, false, false, true]);
        faults.fail_stretch(Operation::Begin, 1, u64::MAX, StoreError::Conflict);
        assert_eq!([0; 3].map(|_| begins(&mut store)), [false; 3]);
        faults.clear();
        assert!(begins(&mut store));
    }
}
