//! Lending a transaction to handlers that may never give it back.
//!
//! A handler that loops for ever cannot be ended. So handlers have the store's transaction only on loan: whoever
//! lent it can take it back at any moment, from any thread, and their later calls fail.

use crate::store::{Open, StoreError, Transaction};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallyho_plugin::services::{Range, Row};

/// A transaction on loan. Its calls fail once it has been taken back; it is committed by its owner alone.
pub struct Lent(Arc<Mutex<Option<Open>>>);

/// What its owner has meanwhile.
pub struct Loan(Arc<Mutex<Option<Open>>>);

fn locked(loan: &Mutex<Option<Open>>) -> MutexGuard<'_, Option<Open>> {
    // A panic of the store in a call leaves the transaction to be given up by its owner.
    loan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lends a transaction.
pub fn lend(transaction: Open) -> (Loan, Lent) {
    let shared = Arc::new(Mutex::new(Some(transaction)));
    (Loan(Arc::clone(&shared)), Lent(shared))
}

impl Loan {
    /// Takes the transaction back. Waits for a call under way, which is the store's and returns.
    pub fn take_back(self) -> Open {
        locked(&self.0).take().expect("it is there until it is taken back, which is done once")
    }
}

fn taken_back() -> StoreError {
    StoreError::Engine("the transaction was taken back from a handler that was not done in time".to_owned())
}

impl Lent {
    fn with<T>(&mut self, call: impl FnOnce(&mut Open) -> Result<T, StoreError>) -> Result<T, StoreError> {
        locked(&self.0).as_mut().map_or_else(|| Err(taken_back()), call)
    }
}

impl Transaction for Lent {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|transaction| transaction.get(table, key))
    }

    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, StoreError> {
        self.with(|transaction| transaction.scan(table, range))
    }

    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.with(|transaction| transaction.put(table, key, value))
    }

    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), StoreError> {
        self.with(|transaction| transaction.delete(table, key))
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Err(StoreError::Engine("a transaction on loan is committed by its owner".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{MemoryStore, Shelf};
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn what_is_lent_works_on_another_thread_and_fails_there_once_it_was_taken_back() {
        let mut shelf = Shelf::new(Box::new(MemoryStore::new()));
        let (loan, mut lent) = lend(shelf.begin().unwrap());
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let stuck = thread::spawn(move || {
            tell.send(lent.put("t", b"k", b"v")).unwrap();
            may_go_on.recv().unwrap();
            (lent.get("t", b"k"), lent.put("t", b"late", b""))
        });
        told.recv().unwrap().unwrap();
        let mut transaction = loan.take_back();
        assert_eq!(transaction.get("t", b"k").unwrap(), Some(b"v".to_vec()));
        go_on.send(()).unwrap();
        assert_eq!(stuck.join().unwrap(), (Err(taken_back()), Err(taken_back())));
        assert_eq!(transaction.get("t", b"late").unwrap(), None);
        transaction.commit().unwrap();
    }

    #[test]
    fn it_is_committed_by_its_owner_alone() {
        let mut shelf = Shelf::new(Box::new(MemoryStore::new()));
        let (loan, mut lent) = lend(shelf.begin().unwrap());
        lent.put("t", b"k", b"v").unwrap();
        assert!(Box::new(lent).commit().is_err());
        drop(loan.take_back());
        assert_eq!(shelf.begin().unwrap().get("t", b"k").unwrap(), None);
    }
}
