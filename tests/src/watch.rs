//! `tallyho watch`, as somebody has it open in a terminal.

use crate::site::{PATIENCE, Site, program};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// The running program; ended when dropped.
pub struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Opens it. Notices from before are shown first, so that none is missed while the program starts.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn open(site: &Site, options: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.arg("--home").arg(site.home()).args(["watch", "--recent", "1000"]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the program runs");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Watch { child, lines }
    }

    /// The next line like this; others are passed over.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let (begun, mut seen) = (Instant::now(), Vec::new());
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no such notice; there were:\n{}", seen.join("\n")),
            }
        }
    }

    /// The next notice like this, where the watch was opened with `--json`.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn notice(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let read = |line: &str| serde_json::from_str::<Value>(line).expect("one JSON object a line");
        read(&self.line(|line| wanted(&read(line))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
