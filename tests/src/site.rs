//! A site as its people have it: the real program in a home of its own, driven by its command line.

use crate::pipe::Pipe;
use crate::plugins::{build_library, build_program};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use tallyho::control::{Client, Operator};
use tallyho_plugin::Fault;
use tempfile::TempDir;

/// How long a test waits for what must happen. Only a failure takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A site with a home of its own; killed and cleaned away when dropped.
pub struct Site {
    home: TempDir,
    child: Option<Child>,
    port: u16,
    environment: Vec<(String, String)>,
    plugins: Vec<String>,
    watches: bool,
}

/// The control socket of a site, whether or not it runs.
#[derive(Debug, Clone)]
pub struct Door {
    socket: PathBuf,
}

impl Door {
    /// See [`Site::call`].
    ///
    /// # Errors
    /// The command's fault.
    pub fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        Client::connect(&self.socket)?.patience(PATIENCE).call(plugin, command, argument)
    }

    /// A connection for many commands at once.
    ///
    /// # Errors
    /// The system's, where the site does not run.
    pub fn pipe(&self) -> std::io::Result<Pipe> {
        Pipe::connect(&self.socket)
    }
}

/// Waits for something to be so.
///
/// # Panics
/// When it never is.
#[track_caller]
pub fn until(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "it never came to be");
        std::thread::sleep(Duration::from_millis(5)); // between two looks; no result hangs on it
    }
}

/// What a command left behind.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; `None` when killed.
    pub code: Option<i32>,
    /// The JSON on standard output.
    pub json: Value,
    /// All of standard error.
    pub errors: String,
}

/// The program under test, built with this test's profile, the standard handlers beside it.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        build_library("tallyho-tally");
        build_library("tallyho-chit");
        build_library("tallyho-referee");
        build_library("tallyho-lift");
        build_library("tallyho-route");
        build_program("tallyho")
    })
}

impl Site {
    /// A home with keys, and nothing running.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new() -> Self {
        let site = Site::empty();
        site.command(&["init"]);
        site
    }

    /// A running site with these users, their keys Ed25519 for speed.
    ///
    /// # Panics
    /// When it does not run.
    pub fn with_users(users: &[&str]) -> Self {
        let mut site = Site::empty();
        site.start();
        users.iter().for_each(|user| site.add_user(user));
        site
    }

    /// A home with nothing in it.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn empty() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        Site { home, child: None, port: 0, environment: Vec::new(), plugins: Vec::new(), watches: false }
    }

    /// Adds a user with an Ed25519 key.
    ///
    /// # Panics
    /// When the site refuses.
    pub fn add_user(&self, cuid: &str) {
        let added = self.call("host", "user.add", &json!({ "cuid": cuid, "key": "ed25519" }));
        assert_eq!(added.expect("a user can be added")["cuid"], cuid);
    }

    /// Calls a command through the control socket, without the command line: fast, for tests that ask often.
    ///
    /// # Errors
    /// The command's fault; `closed` or `not-running` where the site has died.
    pub fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        self.door().call(plugin, command, argument)
    }

    /// The way into the site, for threads that have to do with it while others kill and start it.
    pub fn door(&self) -> Door {
        Door { socket: self.home().join("control.sock") }
    }

    /// A running site with these users and these lines in its configuration.
    ///
    /// # Panics
    /// When it does not run.
    pub fn configured(lines: &str, users: &[&str]) -> Self {
        let mut site = Site::new();
        std::fs::write(site.home().join("tallyho.toml"), lines).expect("the configuration can be written");
        site.start();
        for user in users {
            site.command(&["user", "add", user, "--key", "ed25519"]);
        }
        site
    }

    /// Runs only these plugins from the next start on.
    #[must_use]
    pub fn plugins(mut self, plugins: &[&str]) -> Self {
        self.plugins = plugins.iter().map(ToString::to_string).collect();
        self
    }

    /// Swaps libraries in as they are rebuilt, from the next start on.
    #[must_use]
    pub fn watching(mut self) -> Self {
        self.watches = true;
        self
    }

    /// The home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The port the site listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Has the site killed at this place the n-th time it comes there, from the next start on.
    ///
    /// # Panics
    /// In a release build, which would never die, so that a test would pass without having seen what it is about.
    pub fn crash_at(&mut self, place: &str, n: u32) {
        if !cfg!(debug_assertions) {
            panic!("a release build has no place to die at: run this test without --release");
        }
        self.environment = vec![("TALLYHO_CRASH".to_owned(), format!("{place}:{n}"))];
    }

    /// Sets a variable of the environment for the next start.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the site and waits until it is ready; on the same port as before.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&mut self) {
        assert!(self.try_start(), "the site is not ready: {}", self.log());
    }

    /// Starts the site; whether it became ready before it ended.
    ///
    /// # Panics
    /// When it cannot be run at all.
    pub fn try_start(&mut self) -> bool {
        // One that is dying still holds its home until it has gone.
        self.kill();
        if self.port == 0 {
            self.port = free_port();
        }
        let log = File::options().create(true).append(true).open(self.home().join("log"));
        let mut command = Command::new(program());
        command.args(["--home", &self.home().display().to_string(), "--json", "run"]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        for plugin in &self.plugins {
            command.args(["--plugin", plugin]);
        }
        if self.watches {
            command.arg("--watch");
        }
        command.env("RUST_LOG", "debug").envs(self.environment.drain(..)).stdin(Stdio::null());
        let log = log.expect("the log can be written");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program runs");
        let output = child.stdout.take().expect("its output is piped");
        self.child = Some(child);
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        if read.is_err() || ready["ready"] != true {
            self.kill();
            return false;
        }
        let listen = ready["listen"].as_str().expect("the ready line says where it listens");
        self.port = listen.rsplit(':').next().and_then(|port| port.parse().ok()).expect("with a port");
        true
    }

    /// Kills the site as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Has the site stand still: it neither reads nor answers, as if it were cut off.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        kill_process(self.process(), Signal::STOP).expect("a process of ours can be stopped");
    }

    /// Has it go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        kill_process(self.process(), Signal::CONT).expect("a process of ours can be continued");
    }

    /// Bytes of memory that the site's process holds (Linux).
    ///
    /// # Panics
    /// When it does not run.
    pub fn memory(&self) -> u64 {
        let id = self.child.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("with its memory");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kilobytes * 1_024
    }

    /// Whether the site's process is still there.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The running site's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process(&self) -> Pid {
        let child = self.child.as_ref().expect("it runs");
        Pid::from_child(child)
    }

    /// Ends the site as an operator does (TERM); its exit code.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        child.wait().expect("it ends").code()
    }

    /// What the site has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home().join("log")).unwrap_or_default()
    }

    /// Runs a command that must succeed; its answer.
    ///
    /// # Panics
    /// When it fails.
    pub fn command(&self, words: &[&str]) -> Value {
        let answer = self.attempt(words);
        assert_eq!(answer.code, Some(0), "{words:?}: {}\n{}", answer.errors, self.log());
        answer.json
    }

    /// Runs a command.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn attempt(&self, words: &[&str]) -> Answer {
        let home = self.home().display().to_string();
        let output = Command::new(program())
            .args(["--home", &home, "--json"])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let Output { status, stdout, stderr } = output;
        Answer {
            code: status.code(),
            json: serde_json::from_slice(&stdout).unwrap_or_default(),
            errors: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Runs a command again and again until its answer is as wanted.
    ///
    /// # Panics
    /// When it never is.
    pub fn until(&self, words: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.attempt(words);
            if answer.code == Some(0) && wanted(&answer.json) {
                return answer.json;
            }
            let (errors, log) = (&answer.errors, self.log());
            assert!(begun.elapsed() < PATIENCE, "{words:?} stays at {} {errors}\n{log}", answer.json);
            std::thread::sleep(Duration::from_millis(20)); // between two looks; no result hangs on it
        }
    }
}

/// A port below those that systems give to outgoing connections, so that none of these takes it while its
/// site is dead. A locked file keeps other test processes from choosing it too, as long as this one lives.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("tallyho-test-ports");
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    let own = u16::try_from(std::process::id() % 20_000).expect("it is below 20,000");
    for _ in 0..22_000 {
        let port = 10_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed) * 37) % 22_000;
        let Ok(file) = File::options().create(true).append(true).open(folder.join(port.to_string())) else { continue };
        if file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            HELD.lock().expect("nobody panics with it").push(file);
            return port;
        }
    }
    panic!("no port between 10,000 and 32,000 is free");
}

impl Default for Site {
    fn default() -> Self {
        Site::new()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_port_chosen_by_one_test_process_is_not_chosen_by_another() {
        let port = free_port();
        let file = File::open(std::env::temp_dir().join("tallyho-test-ports").join(port.to_string()))
            .expect("the file is there");
        assert!(file.try_lock().is_err(), "the port's file is locked by this process");
        assert_ne!(free_port(), port);
    }
}
