//! Notices to whoever watches. A slow watcher loses the oldest; it never slows the site.

use crate::control::{Feed, Feeder, feed};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub(super) struct Watchers(Mutex<Vec<Feeder>>);

impl Watchers {
    /// Tells everybody who watches.
    pub(super) fn tell(&self, notice: &Value) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.push(notice.clone()));
    }

    /// Somebody watches from now on, and is told these first.
    pub(super) fn watch(&self, first: Vec<Value>) -> Feed {
        let (feeder, feed) = feed();
        for notice in first {
            feeder.push(notice);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(feeder);
        feed
    }
}
