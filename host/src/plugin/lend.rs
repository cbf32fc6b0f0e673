//! Lending a transaction to a thread that may never give it back.
//!
//! A handler that loops for ever cannot be ended. So it is run on a thread that has the store's
//! transaction only on loan: its owner, on another thread, can take it back at any moment, and the handler's
//! later calls fail.

use crate::store::{StoreError, Transaction};
use std::mem::transmute;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallyho_plugin::services::{Range, Row};

/// A transaction on loan. Its calls fail once it has been taken back; it is committed by its owner alone.
pub struct Lent(Arc<Mutex<Option<Loan>>>);

/// What is lent, its lifetime forgotten.
struct Loan(NonNull<dyn Transaction>);

// SAFETY: a transaction is `Send`, and the pointer is followed under the lock only, by one thread at a
// time, while the owner waits in `lend` and does not touch it.
unsafe impl Send for Loan {}

/// Takes the loan back when dropped: when `lend` returns, or unwinds.
struct TakesBack(Arc<Mutex<Option<Loan>>>);

impl Drop for TakesBack {
    fn drop(&mut self) {
        // Waits for a call under way, which is the store's and returns.
        *locked(&self.0) = None;
    }
}

fn locked(loan: &Mutex<Option<Loan>>) -> MutexGuard<'_, Option<Loan>> {
    // A panic of the store in a call leaves the transaction to be given up by its owner.
    loan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lends a transaction while `work` runs. Whoever has the loan then loses it.
pub fn lend<R>(transaction: &mut (dyn Transaction + '_), work: impl FnOnce(Lent) -> R) -> R {
    let pointer = NonNull::from(transaction);
    // SAFETY: only the lifetime is changed. The pointer is followed under the lock while it stands there,
    // and `TakesBack` takes it out before this function ends, with which the borrow ends.
    let pointer = unsafe { transmute::<NonNull<dyn Transaction + '_>, NonNull<dyn Transaction + 'static>>(pointer) };
    let loan = Arc::new(Mutex::new(Some(Loan(pointer))));
    let _takes_back = TakesBack(Arc::clone(&loan));
    work(Lent(loan))
}

impl Lent {
    fn with<T>(&mut self, call: impl FnOnce(&mut dyn Transaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut loan = locked(&self.0);
        match &mut *loan {
            // SAFETY: it stands there, so `lend` has not returned and what it points to lives; the lock is
            // held, so nobody else follows it.
            Some(Loan(pointer)) => call(unsafe { pointer.as_mut() }),
            None => Err(taken_back()),
        }
    }
}

fn taken_back() -> StoreError {
    StoreError::Engine("the transaction was taken back from a handler that was not done in time".to_owned())
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
    use crate::store::{MemoryStore, Store};
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn what_is_lent_works_on_another_thread_and_fails_there_once_it_was_taken_back() {
        let mut store = MemoryStore::new();
        let mut transaction = store.begin().unwrap();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let stuck = lend(&mut *transaction, |mut lent| {
            let (tell, told) = mpsc::channel();
            let stuck = thread::spawn(move || {
                tell.send(lent.put("t", b"k", b"v")).unwrap();
                may_go_on.recv().unwrap();
                (lent.get("t", b"k"), lent.put("t", b"late", b""))
            });
            told.recv().unwrap().unwrap();
            stuck
        });
        assert_eq!(transaction.get("t", b"k").unwrap(), Some(b"v".to_vec()));
        go_on.send(()).unwrap();
        assert_eq!(stuck.join().unwrap(), (Err(taken_back()), Err(taken_back())));
        assert_eq!(transaction.get("t", b"late").unwrap(), None);
        transaction.commit().unwrap();
    }

    #[test]
    fn it_is_taken_back_also_when_the_owner_panics() {
        let mut store = MemoryStore::new();
        let mut transaction = store.begin().unwrap();
        let escaped = Arc::new(Mutex::new(None));
        let keeps = Arc::clone(&escaped);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lend(&mut *transaction, |lent| {
                *keeps.lock().unwrap() = Some(lent);
                panic!("a bug");
            })
        }));
        assert!(panicked.is_err());
        drop(transaction);
        let mut lent = escaped.lock().unwrap().take().unwrap();
        assert_eq!(lent.get("t", b"k"), Err(taken_back()));
        assert!(Box::new(lent).commit().is_err());
    }
}
