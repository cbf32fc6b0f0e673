//! Notices to whoever watches. A slow watcher loses the oldest; it never slows the site.

use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Notices that may wait for one watcher.
const WAITING: usize = 1_024;

#[derive(Default)]
pub(super) struct Watchers(Mutex<Vec<Watcher>>);

struct Watcher {
    sender: SyncSender<Value>,
    lost: u64,
}

impl Watchers {
    /// Tells everybody who watches.
    pub(super) fn tell(&self, notice: &Value) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain_mut(|watcher| {
            if watcher.lost > 0 {
                match watcher.sender.try_send(json!({ "lost": watcher.lost })) {
                    Ok(()) => watcher.lost = 0,
                    Err(TrySendError::Disconnected(_)) => return false,
                    Err(TrySendError::Full(_)) => {}
                }
            }
            match watcher.sender.try_send(notice.clone()) {
                Ok(()) => true,
                Err(TrySendError::Disconnected(_)) => false,
                Err(TrySendError::Full(_)) => {
                    watcher.lost += 1;
                    true
                }
            }
        });
    }

    /// Somebody watches from now on, and is told these first.
    pub(super) fn watch(&self, first: Vec<Value>) -> Receiver<Value> {
        let (sender, receiver) = sync_channel(WAITING);
        let skipped = first.len().saturating_sub(WAITING);
        for notice in first.into_iter().skip(skipped) {
            // There is room for WAITING of them.
            let _ = sender.try_send(notice);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Watcher { sender, lost: 0 });
        receiver
    }
}
