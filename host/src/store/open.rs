//! A store together with its open transaction: one value, which can go from hand to hand and from thread to thread.
//!
//! A transaction borrows its store. What a handler works on must be free of such ties: the thread that the
//! handler runs on may never come back, and another then goes on with the same store.

use super::{Store, StoreError, Transaction};
use self_cell::{MutBorrow, self_cell};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallyho_plugin::services::{Range, Row};

type Slot<'s> = Option<Box<dyn Transaction + 's>>;

self_cell!(
    struct Pair {
        owner: MutBorrow<Box<dyn Store>>,

        #[not_covariant]
        dependent: Slot,
    }
);

/// Where a store stands while no transaction of it is open.
pub struct Shelf(Arc<Mutex<Option<Box<dyn Store>>>>);

fn locked(place: &Mutex<Option<Box<dyn Store>>>) -> MutexGuard<'_, Option<Box<dyn Store>>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// With this store on it.
    pub fn new(store: Box<dyn Store>) -> Self {
        Shelf(Arc::new(Mutex::new(Some(store))))
    }

    /// Takes the store and begins a transaction. The store comes back when that is dropped or committed.
    ///
    /// # Errors
    /// The store's; `Engine` while another transaction is open.
    pub fn begin(&mut self) -> Result<Open, StoreError> {
        let store = locked(&self.0).take();
        let store = store.ok_or_else(|| StoreError::Engine("a transaction is open already: this is a bug".into()))?;
        match Pair::try_new_or_recover(MutBorrow::new(store), |store| store.borrow_mut().begin().map(Some)) {
            Ok(pair) => Ok(Open { pair: Some(pair), shelf: Arc::clone(&self.0) }),
            Err((store, error)) => {
                *locked(&self.0) = Some(store.into_inner());
                Err(error)
            }
        }
    }
}

/// An open transaction and its store.
pub struct Open {
    /// There until dropped.
    pair: Option<Pair>,
    shelf: Arc<Mutex<Option<Box<dyn Store>>>>,
}

fn ended() -> StoreError {
    StoreError::Engine("the transaction has ended: this is a bug".to_owned())
}

impl Open {
    /// Makes all of it durable. On an error nothing is kept.
    ///
    /// # Errors
    /// The store's.
    pub fn commit(mut self) -> Result<(), StoreError> {
        let pair = self.pair.as_mut().ok_or_else(ended)?;
        pair.with_dependent_mut(|_, slot| slot.take().ok_or_else(ended)?.commit())
    }

    fn with<T>(
        &mut self,
        call: impl FnOnce(&mut (dyn Transaction + '_)) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let pair = self.pair.as_mut().ok_or_else(ended)?;
        pair.with_dependent_mut(|_, slot| call(&mut **slot.as_mut().ok_or_else(ended)?))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(pair) = self.pair.take() {
            *locked(&self.shelf) = Some(pair.into_owner().into_inner());
        }
    }
}

impl Transaction for Open {
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
        Open::commit(*self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{Faults, FaultyStore, MemoryStore, Operation};
    use std::thread;

    fn shelf() -> (Shelf, Faults) {
        let (store, faults) = FaultyStore::new(MemoryStore::new());
        (Shelf::new(Box::new(store)), faults)
    }

    #[test]
    fn it_goes_to_another_thread_and_the_store_comes_back_after_a_commit_and_after_a_drop() {
        let (mut shelf, _) = shelf();
        let mut open = shelf.begin().unwrap();
        let open = thread::spawn(move || open.put("t", b"k", b"v").map(|()| open)).join().unwrap().unwrap();
        assert!(shelf.begin().is_err(), "one may be open at a time");
        open.commit().unwrap();
        let mut dropped = shelf.begin().unwrap();
        dropped.put("t", b"k", b"never").unwrap();
        drop(dropped);
        assert_eq!(shelf.begin().unwrap().get("t", b"k").unwrap(), Some(b"v".to_vec()));
    }

    #[test]
    fn the_store_comes_back_also_when_it_refuses() {
        let (mut shelf, faults) = shelf();
        for operation in [Operation::Begin, Operation::Commit] {
            faults.fail_stretch(operation, 1, 1, StoreError::Conflict);
            let refused = shelf.begin().and_then(Open::commit);
            assert_eq!(refused, Err(StoreError::Conflict));
            faults.clear();
            shelf.begin().unwrap().commit().unwrap();
        }
    }
}
