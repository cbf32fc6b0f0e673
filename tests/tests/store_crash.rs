//! What was committed outlives the process, whatever ends it.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use tallyho::store::{SqliteStore, Store, sqlite};
use tallyho_tests::batches::assert_whole;

/// How often the writer is killed; each life is a little longer than the one before.
const LIVES: u32 = 12;

struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Writer { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("the writer runs until it is killed").unwrap()
    }

    /// SIGKILL; then the last whole line it got out, if any was left.
    fn kill(mut self) -> Option<u32> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.by_ref().map_while(Result::ok).filter_map(|line| line.parse().ok()).last()
    }
}

impl Drop for Writer {
    /// A test that fails leaves no writer behind.
    fn drop(&mut self) {
        let _already_ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn writer(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_store-writer"));
    command.arg(store);
    command
}

#[test]
fn every_batch_reported_before_a_kill_is_there_and_whole_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let mut reported = None;
    for life in 0..LIVES {
        let mut writer = Writer::start(writer(&path));
        for _ in 0..=life * 3 {
            reported = Some(writer.line().parse::<u32>().unwrap());
        }
        reported = writer.kill().or(reported);

        let mut store = SqliteStore::open_existing(&path).unwrap();
        let kept = assert_whole(&mut store).unwrap();
        // One more may have been committed and not yet reported.
        assert!(kept == reported || kept == reported.map(|last| last + 1), "kept {kept:?}, reported {reported:?}");
        drop(store);
        reported = kept;
    }
    sqlite::inspect(&path).unwrap();
}

#[test]
fn when_the_system_refuses_to_write_nothing_is_torn_and_work_goes_on_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    // Files may grow to 512 blocks of 512 or 1,024 bytes; the signal for it is ignored, the error stays.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$1\""]);
    limited.arg(env!("CARGO_BIN_EXE_store-writer")).arg(&path);
    let mut writer = Writer::start(limited);
    let mut reported = None;
    let refused = loop {
        match writer.line().parse::<u32>() {
            Ok(batch) => reported = Some(batch),
            Err(_) => break reported,
        }
    };
    assert!(refused.is_some(), "some batches fit");

    // A second reader sees the whole batches only, while the writer still holds the store.
    let copy = folder.path().join("copy");
    sqlite::backup(&path, &copy).unwrap();
    let mut store: Box<dyn Store> = Box::new(SqliteStore::open_existing(&copy).unwrap());
    assert_eq!(assert_whole(&mut store).unwrap(), refused);

    writeln!(writer.child.stdin.as_mut().unwrap()).unwrap();
    assert_eq!(writer.line().parse::<u32>().ok(), refused.map(|last| last + 1), "the refused batch comes again");
    for _ in 0..50 {
        reported = Some(writer.line().parse::<u32>().unwrap());
    }
    reported = writer.kill().or(reported);
    let mut store = SqliteStore::open_existing(&path).unwrap();
    assert!(assert_whole(&mut store).unwrap() >= reported);
}
