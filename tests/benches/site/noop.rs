//! A handler that does nothing but count, and a store that keeps nothing.

use std::sync::{Condvar, Mutex, PoisonError};
use tallyho::store::{Store, StoreError, Transaction};
use tallyho_plugin::manifest::RelationMember;
use tallyho_plugin::prelude::*;
use tallyho_plugin::services::{Range, Row};

/// The handler's target and only action.
pub const TARGET: &str = "noop";
pub const ACTION: &str = "do";

static HANDLED: Counter = Counter::new();

/// The count of messages handled in this process.
pub fn handled() -> &'static Counter {
    &HANDLED
}

/// A count that can be waited for.
pub struct Counter {
    count: Mutex<(u64, u64)>,
    reached: Condvar,
}

impl Counter {
    pub const fn new() -> Self {
        Counter { count: Mutex::new((0, u64::MAX)), reached: Condvar::new() }
    }

    pub fn add(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.0 += 1;
        if count.0 == count.1 {
            self.reached.notify_all();
        }
    }

    /// Waits until there are this many more than when `begin` was called, doing `work` first.
    pub fn wait_for(&self, more: u64, work: impl FnOnce()) {
        let goal = {
            let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            count.1 = count.0 + more;
            count.1
        };
        work();
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.reached.wait_while(count, |count| count.0 < goal).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Takes messages whose object names a tally, as a chit's does, and counts them.
pub struct Noop;

impl Handler for Noop {
    fn manifest() -> Manifest {
        let mut target = Target::new(TARGET, &[ACTION]);
        target.relation = Some(RelationMember::Object("tally".to_owned()));
        Manifest::new(TARGET, "1.0.0").target(target)
    }

    fn create() -> Result<Self, Fault> {
        Ok(Noop)
    }

    fn message(&self, _: &Message, _: &mut Context<'_>) -> Result<(), Fault> {
        HANDLED.add();
        Ok(())
    }
}

/// Takes everything and keeps nothing.
pub struct NoStore;

impl Store for NoStore {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, StoreError> {
        Ok(Box::new(NoStore))
    }
}

impl Transaction for NoStore {
    fn get(&mut self, _: &str, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    fn scan(&mut self, _: &str, _: &Range) -> Result<Vec<Row>, StoreError> {
        Ok(Vec::new())
    }
    fn put(&mut self, _: &str, _: &[u8], _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
    fn delete(&mut self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
