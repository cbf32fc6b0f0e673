//! `run --watch`: a library that has been rebuilt is swapped in by itself.
//!
//! Files are looked at again and again rather than having the system tell: a handful of looks forty times a second
//! costs a thousandth of a processor, and works on every file system.

use super::Node;
use super::plugins::How;
use crate::plugin::read::FileStamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(25);

/// A file that has not changed for so long is whole: a linker or a copy under way writes without such a pause.
const SETTLED: Duration = Duration::from_millis(75);

/// A file as it was seen last.
struct Seen {
    path: PathBuf,
    stamp: Option<FileStamp>,
    since: Instant,
    /// What has been swapped in or refused already.
    done: Option<FileStamp>,
    /// What was rebuilt last was refused.
    refused: bool,
}

impl Seen {
    /// `is_other`: whether the file is another than the one that serves. It may have been rebuilt before it was seen.
    fn new(path: PathBuf, is_other: impl FnOnce() -> bool, now: Instant) -> Self {
        // Looked at first: what is written between the two looks is then another file at the next one.
        let stamp = FileStamp::of(&path);
        let done = stamp.filter(|_| !is_other());
        Seen { path, stamp, since: now, done, refused: false }
    }

    /// Whether there is another file by now, and it is whole.
    fn look(&mut self, stamp: Option<FileStamp>, now: Instant) -> bool {
        if stamp != self.stamp {
            (self.stamp, self.since) = (stamp, now);
            return false;
        }
        let settled = stamp.is_some() && stamp != self.done && now.duration_since(self.since) >= SETTLED;
        if settled {
            self.done = stamp;
        }
        settled
    }
}

impl Node {
    /// Swaps libraries in as they are rebuilt, for as long as the site runs.
    ///
    /// # Errors
    /// Where the system has no room for a thread.
    pub fn watch_plugins(self: &Arc<Self>) -> std::io::Result<()> {
        let node = Arc::downgrade(self);
        thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&node)).map(drop)
    }

    /// Has a rebuilt file swapped in; `refused` is whether the one before was not, and whether this one is.
    fn rebuilt(&self, name: &str, refused: &mut bool) {
        let was_refused = std::mem::take(refused);
        let told = match self.swap_plugin(name, How { only_if_new: true, ..How::default() }) {
            Ok(Value::Null) if was_refused => {
                return log::info!("plugin {name} was rebuilt: its file holds the build again that serves");
            }
            Ok(Value::Null) => return log::debug!("plugin {name}: its file was written again with the same content"),
            Ok(_) => return,
            Err(fault) => fault,
        };
        *refused = true;
        log::error!("plugin {name} was rebuilt: {told}");
        self.watchers.tell(&json!({
            "about": "plugin",
            "name": name,
            "reason": "not swapped",
            "why": told.to_string(),
            "at": self.net.now().to_string(),
        }));
    }
}

fn watch(node: &Weak<Node>) {
    let mut files: HashMap<String, Seen> = HashMap::new();
    // Ends with the site.
    while let Some(node) = node.upgrade() {
        let now = Instant::now();
        for seat in node.ledger.table().seats() {
            let Some(path) = seat.serving.plugin.path() else { continue };
            let name = &seat.serving.manifest().name;
            let first = || Seen::new(path.to_owned(), || seat.serving.plugin.has_changed_on_disk(), now);
            let seen = files.entry(name.clone()).or_insert_with(first);
            if seen.path != path {
                // Another file was swapped in, and is watched from now on.
                *seen = first();
            } else if seen.look(FileStamp::of(path), now) {
                node.rebuilt(name, &mut seen.refused);
            }
        }
        drop(node);
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn a_file_counts_as_rebuilt_once_it_has_stayed_the_same_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        fs::write(&path, "one").unwrap();
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let mut seen = Seen::new(path.clone(), || false, begun);
        let mut look = |ms: u64| seen.look(FileStamp::of(&path), at(ms));
        assert!(!look(1_000), "nothing has changed");
        fs::write(&path, "half of").unwrap();
        assert!(!look(1_025) && !look(1_075), "it may be written still");
        fs::write(&path, "half of it").unwrap();
        assert!(!look(1_100) && !look(1_150));
        assert!(look(1_175) && !look(1_200), "once");
        fs::remove_file(&path).unwrap();
        assert!(!look(2_000) && !look(3_000), "a file that is gone is no build");
        fs::write(&path, "two").unwrap();
        assert!(!look(3_025) && look(3_100));
    }

    #[test]
    fn a_file_rebuilt_before_it_is_watched_counts_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        fs::write(&path, "two").unwrap();
        let begun = Instant::now();
        let mut seen = Seen::new(path.clone(), || true, begun);
        let mut look = |ms: u64| seen.look(FileStamp::of(&path), begun + Duration::from_millis(ms));
        assert!(!look(50) && look(100) && !look(200));
    }
}
