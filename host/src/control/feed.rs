//! Notices waiting for one watcher.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::limits::NOTICES_QUEUED;

/// A bounded queue that never makes its writer wait: when full, the oldest notice is lost, and the
/// reader sees how many in the place where they were.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Value>,
    lost: u64,
    closed: bool,
}

impl Backlog {
    /// Adds a notice.
    pub(super) fn push(&self, notice: Value) {
        let mut inner = self.lock();
        if inner.queue.len() == NOTICES_QUEUED {
            inner.queue.pop_front();
            inner.lost += 1;
        }
        inner.queue.push_back(notice);
        drop(inner);
        self.changed.notify_one();
    }

    /// The next notice; waits for one. `None` once closed and empty.
    pub(super) fn pop(&self) -> Option<Value> {
        let mut inner = self.lock();
        loop {
            if inner.lost > 0 {
                return Some(json!({"lost": std::mem::take(&mut inner.lost)}));
            }
            if let Some(notice) = inner.queue.pop_front() {
                return Some(notice);
            }
            if inner.closed {
                return None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more notices will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change above is whole before anything could panic, so a poisoned queue is still sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_backlog_loses_the_oldest_and_says_how_many() {
        let backlog = Backlog::default();
        for number in 0..NOTICES_QUEUED + 3 {
            backlog.push(json!(number));
        }
        assert_eq!(backlog.pop(), Some(json!({"lost": 3})));
        for number in 3..NOTICES_QUEUED + 3 {
            assert_eq!(backlog.pop(), Some(json!(number)));
        }
        backlog.close();
        assert_eq!(backlog.pop(), None);
    }
}
