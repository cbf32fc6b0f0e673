//! Sites as child processes.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;

use super::super::limits::{DEMO_START, DEMO_STOP};
use super::world::{Launcher, Started, read_log};

/// How often a stopping process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Runs sites as children, and ends them when dropped. Their homes and logs are in one folder.
///
/// A child stops by itself when its standard input ends, so none outlives this process even if that is
/// killed.
#[derive(Debug)]
pub struct Processes {
    command: Vec<OsString>,
    folder: PathBuf,
    children: Mutex<Vec<(String, Child)>>,
    interrupted: AtomicBool,
}

impl Processes {
    /// None yet. `command` is the program and its first arguments.
    pub fn new(command: Vec<OsString>, folder: &Path) -> Self {
        Processes {
            command,
            folder: folder.to_owned(),
            children: Mutex::default(),
            interrupted: AtomicBool::new(false),
        }
    }

    /// Tells every child to stop, and that no more shall be started. Whoever waits for one learns of it.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        for (_, child) in self.lock().iter_mut() {
            terminate(child);
        }
    }

    /// Ends every child, by force where one does not stop in time.
    pub fn end(&self) {
        let mut children = self.lock();
        for (_, child) in children.iter_mut() {
            terminate(child);
        }
        let deadline = Instant::now() + DEMO_STOP;
        for (name, mut child) in children.drain(..) {
            if let Err(error) = end_of(&mut child, deadline) {
                log::warn!("demo: {name}'s site: {error}; killed");
                // A child that is ours and not yet waited for can be killed and waited for.
                let _ = child.kill().and_then(|()| child.wait());
            }
        }
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<(), Fault> {
        let mut children = self.lock();
        let child = children.iter_mut().find(|(other, _)| other == name).map(|(_, child)| child);
        // One that has ended and was not waited for keeps its number, so no other process can be hit.
        let told = child.and_then(|child| {
            matches!(child.try_wait(), Ok(None)).then(|| kill_process(Pid::from_child(child), signal))
        });
        match told {
            Some(Ok(())) => Ok(()),
            _ => Err(Fault::host(format!("{name}'s site has gone")).code("demo-site")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, Child)>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn spawn(&self, home: &Path, log: &Path) -> io::Result<Child> {
        let (program, first) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let log = File::create(log)?;
        Command::new(program)
            .args(first)
            .arg("--home")
            .arg(home)
            .args(["--listen", "127.0.0.1:0", "--json", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C on the terminal is for the demo, which stops its sites in turn.
            .process_group(0)
            .spawn()
    }
}

impl Launcher for Processes {
    fn start(&self, name: &str) -> Result<Started, Fault> {
        let (home, log) = (self.folder.join(name), self.log(name));
        let mut child = self
            .spawn(&home, &log)
            .map_err(|error| Fault::host(format!("{name}'s site cannot be started: {error}")).code("demo-start"))?;
        let output = child.stdout.take();
        self.lock().push((name.to_owned(), child));
        if self.interrupted() {
            self.interrupt(); // which may have come before the child was there to be told
        }
        let (sender, line) = channel();
        thread::spawn(move || {
            let mut first = String::new();
            if let Some(output) = output {
                let mut output = BufReader::new(output);
                if output.read_line(&mut first).is_ok() {
                    let _ = sender.send(first); // nobody listens after the deadline
                }
                // Anything more is read so that the site never finds its output full or closed.
                let _ = io::copy(&mut output, &mut io::sink());
            }
        });
        let line = line.recv_timeout(DEMO_START).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("said nothing within {} s", DEMO_START.as_secs()),
            RecvTimeoutError::Disconnected => "closed its output".to_owned(),
        });
        let ready = line.and_then(|line| match serde_json::from_str::<Value>(&line) {
            Ok(ready) if ready["ready"] == true => Ok(ready),
            _ if line.is_empty() => Err("ended before it was ready".to_owned()),
            _ => Err(format!("said `{}` instead of being ready", line.trim_end())),
        });
        let ready = ready.map_err(|why| Fault::host(format!("{name}'s site {why}")).code("demo-start"))?;
        let member = |member: &str| ready[member].as_str().unwrap_or_default().to_owned();
        Ok(Started { socket: home.join("control.sock"), log, agent: member("agent"), listen: member("listen") })
    }

    fn stop(&self, name: &str) -> Result<(), Fault> {
        let mut children = self.lock();
        let Some(at) = children.iter().position(|(other, _)| other == name) else { return Ok(()) };
        let child = &mut children[at].1;
        terminate(child);
        let status = end_of(child, Instant::now() + DEMO_STOP)
            .map_err(|error| Fault::host(format!("{name}'s site: {error}")).code("demo-stop"))?;
        children.remove(at);
        match status.success() {
            true => Ok(()),
            false => Err(Fault::host(format!("{name}'s site ended with {status}")).code("demo-stop")),
        }
    }

    fn freeze(&self, name: &str) -> Result<(), Fault> {
        self.signal(name, Signal::STOP)
    }

    fn thaw(&self, name: &str) -> Result<(), Fault> {
        self.signal(name, Signal::CONT)
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    fn logs(&self) -> Vec<(String, String)> {
        self.lock().iter().map(|(name, _)| (name.clone(), read_log(&self.log(name)))).collect()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.end();
    }
}

/// Asks a child to stop. One that has ended and was not waited for keeps its number, so no other
/// process can be hit.
fn terminate(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        // Fails only if it has ended meanwhile. One that was frozen hears it when it goes on.
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
        let _ = kill_process(Pid::from_child(child), Signal::CONT);
    }
}

fn end_of(child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            let text = format!("it did not stop within {} s", DEMO_STOP.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    /// A "site" that is a shell script; it tells its own process id as its agent.
    fn scripted(script: &str, folder: &Path) -> Processes {
        let all = ["/bin/sh", "-c", script, "site"];
        Processes::new(all.iter().map(OsString::from).collect(), folder)
    }

    const READY: &str = r#"echo "{\"ready\":true,\"agent\":\"$$\",\"listen\":\"127.0.0.1:7\"}""#;

    fn lives(pid: &str) -> bool {
        rustix::process::test_kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap()).is_ok()
    }

    #[test]
    fn a_site_is_started_with_a_home_of_its_own_and_its_log_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let processes = scripted(&format!("echo \"$@\" >&2; {READY}; exec cat"), folder.path());
        let started = processes.start("alice").unwrap();
        assert_eq!(started.listen, "127.0.0.1:7");
        assert_eq!(started.socket, folder.path().join("alice/control.sock"));
        let arguments = std::fs::read_to_string(&started.log).unwrap();
        assert!(arguments.contains("alice --listen 127.0.0.1:0 --json --until-eof"), "{arguments}");
    }

    #[test]
    fn dropping_ends_every_site() {
        let folder = tempfile::tempdir().unwrap();
        let processes = scripted(&format!("{READY}; exec sleep 600"), folder.path());
        let pids = [processes.start("a").unwrap().agent, processes.start("b").unwrap().agent];
        assert!(pids.iter().all(|pid| lives(pid)));
        drop(processes);
        assert!(!pids.iter().any(|pid| lives(pid)));
    }

    #[test]
    fn a_site_that_stands_still_ends_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let processes = scripted(&format!("trap 'exit 0' TERM; {READY}; while :; do read line; done"), folder.path());
        let pid = processes.start("a").unwrap().agent;
        processes.freeze("a").unwrap();
        let stopped = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
        while !stopped() {
            thread::yield_now();
        }
        processes.thaw("a").unwrap();
        while stopped() {
            thread::yield_now();
        }
        processes.freeze("a").unwrap();
        processes.stop("a").unwrap();
        assert!(!lives(&pid));
        assert_eq!(processes.thaw("a").unwrap_err().code, "demo-site");
    }

    #[test]
    fn a_site_ends_when_the_process_that_started_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let processes = scripted(&format!("{READY}; exec cat"), folder.path());
        processes.start("a").unwrap();
        let mut child = processes.lock().pop().unwrap().1;
        drop(child.stdin.take()); // what the system does when this process is killed
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_a_site_that_is_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let processes = scripted("exec sleep 600", folder.path());
        thread::scope(|scope| {
            let starting = scope.spawn(|| processes.start("a").unwrap_err());
            while processes.lock().is_empty() {
                thread::yield_now();
            }
            processes.interrupt();
            assert!(starting.join().unwrap().text.contains("before it was ready"));
        });
        assert!(processes.interrupted());
    }

    #[test]
    fn a_site_that_fails_to_start_or_to_stop_well_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = |script: &str| scripted(script, folder.path()).start("a").unwrap_err().text;
        assert!(error("exit 1").contains("ended before it was ready"));
        assert!(error("echo hello; exec sleep 600").contains("said `hello`"));
        let absent = Processes::new(vec!["/nonexistent/program".into()], folder.path()).start("a").unwrap_err();
        assert!(absent.text.contains("cannot be started"), "{absent}");
        let processes = scripted(&format!("trap 'exit 3' TERM; {READY}; while :; do read line; done"), folder.path());
        processes.start("a").unwrap();
        assert!(processes.stop("a").unwrap_err().text.contains("exit status: 3"));
        let processes = scripted(&format!("trap 'exit 0' TERM; {READY}; while :; do read line; done"), folder.path());
        processes.start("a").unwrap();
        processes.stop("a").unwrap();
    }
}
