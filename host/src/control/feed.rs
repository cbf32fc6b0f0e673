//! Notices on their way to one watcher.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limits::NOTICES_QUEUED;

/// A bounded queue that never makes its writer wait: when full, the oldest notice is lost, and the
/// reader sees how many in the place where they were.
#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Value>,
    lost: u64,
    /// The other end has been dropped.
    left: bool,
}

/// The end of who tells.
#[derive(Debug)]
pub struct Feeder(Arc<Shared>);

/// The end of who watches.
#[derive(Debug)]
pub struct Feed(Arc<Shared>);

/// Both ends.
#[must_use]
pub fn feed() -> (Feeder, Feed) {
    let shared = Arc::new(Shared::default());
    (Feeder(Arc::clone(&shared)), Feed(shared))
}

impl Feeder {
    /// Adds a notice; whether anybody watches still.
    pub fn push(&self, notice: Value) -> bool {
        let mut inner = self.0.lock();
        if inner.left {
            return false;
        }
        if inner.queue.len() == NOTICES_QUEUED {
            inner.queue.pop_front();
            inner.lost += 1;
        }
        inner.queue.push_back(notice);
        drop(inner);
        self.0.changed.notify_one();
        true
    }
}

impl Feed {
    /// The next notice; waits so long for one.
    ///
    /// # Errors
    /// `Timeout`; `Disconnected` where there will be none any more.
    pub fn next(&self, patience: Duration) -> Result<Value, RecvTimeoutError> {
        let nothing = |inner: &mut Inner| inner.lost == 0 && inner.queue.is_empty() && !inner.left;
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), patience, nothing);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if inner.lost > 0 {
            return Ok(json!({ "lost": std::mem::take(&mut inner.lost) }));
        }
        let ended = if inner.left { RecvTimeoutError::Disconnected } else { RecvTimeoutError::Timeout };
        inner.queue.pop_front().ok_or(ended)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change above is whole before anything could panic, so a poisoned queue is still sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self) {
        self.lock().left = true;
        self.changed.notify_all();
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slow_loses_the_oldest_and_learns_how_many() {
        let (feeder, feed) = feed();
        for number in 0..NOTICES_QUEUED + 3 {
            assert!(feeder.push(json!(number)));
        }
        assert_eq!(feed.next(Duration::ZERO), Ok(json!({ "lost": 3 })));
        for number in 3..NOTICES_QUEUED + 3 {
            assert_eq!(feed.next(Duration::ZERO), Ok(json!(number)));
        }
        assert_eq!(feed.next(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    }

    #[test]
    fn each_end_learns_that_the_other_has_gone_and_nothing_told_before_is_lost() {
        let (feeder, feed) = super::feed();
        assert!(feeder.push(json!(1)));
        drop(feeder);
        assert_eq!(feed.next(Duration::MAX), Ok(json!(1)));
        assert_eq!(feed.next(Duration::MAX), Err(RecvTimeoutError::Disconnected));
        let (feeder, feed) = super::feed();
        drop(feed);
        assert!(!feeder.push(json!(1)));
    }
}
