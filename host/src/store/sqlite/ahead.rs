//! Room in the log, made before it is needed.
//!
//! Where a write makes a file longer, the sync behind it has the file system commit the new length besides, which
//! takes nearly as long again as the bytes do. A log that has been written back once is overwritten from its
//! beginning; until then its end is moved on by a megabyte of zeros at a time. SQLite takes what it finds behind its
//! last frame for none, as after a crash.

use super::limits::{PAGE_BYTES, WAL_AHEAD_BYTES, WAL_CHECKPOINT_PAGES, WAL_FRAME_HEADER_BYTES};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// From here on the log is about to be written back.
const ENOUGH: u64 = WAL_CHECKPOINT_PAGES as u64 * (PAGE_BYTES + WAL_FRAME_HEADER_BYTES) as u64;

/// Keeps room at the log's end. Only who has the store's write lock may use it, before the first write.
#[derive(Debug)]
pub(super) struct Ahead {
    path: PathBuf,
    log: Option<File>,
    /// Where it ended when this looked last: as long as it does, there was room.
    end: u64,
    /// Nothing more is to be done: the log is as long as it gets, or no room was to be had, and what is left of a disk
    /// that is nearly full is for all.
    done: bool,
}

impl Ahead {
    /// For the log at this path, which need not be there yet.
    pub fn of(path: PathBuf) -> Self {
        Ahead { path, log: None, end: 0, done: false }
    }

    /// Makes room where the log has come to its end. Where that fails commits take longer, and are told what is wrong.
    pub fn look(&mut self) {
        if self.done {
            return;
        }
        if let Err(error) = self.try_look() {
            log::debug!("store: no room is made in {} until it is opened again: {error}", self.path.display());
            self.done = true;
        }
    }

    fn try_look(&mut self) -> io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            // Not made here: it is SQLite's.
            none => none.insert(OpenOptions::new().write(true).open(&self.path)?),
        };
        let end = log.metadata()?.len();
        self.done = end >= ENOUGH;
        if self.done || end <= self.end {
            self.end = end;
            return Ok(());
        }
        if let Err(error) = log.write_all_at(&vec![0; WAL_AHEAD_BYTES], end) {
            // What room there is belongs to the commits.
            log.set_len(end)?;
            return Err(error);
        }
        self.end = end + WAL_AHEAD_BYTES as u64;
        Ok(())
    }
}
