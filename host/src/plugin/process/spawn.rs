//! Starting the process of a plugin, and knowing how it has ended.

use super::channel::{Broken, Channel};
use super::child::PROCESS_ARGUMENT;
use super::words::{order, word};
use crate::plugin::error::Refusal;
use crate::plugin::limits::{END_KNOWN, MAX_MANIFEST_BYTES, START_DEADLINE, STDERR_LINE_BYTES, STDERR_LINES};
use crate::plugin::manifest::check_manifest;
use crate::plugin::probe::{Stage, how, readable};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{self, BufRead, BufReader, IoSlice, PipeReader, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tallyho_plugin::Manifest;

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The plugin's name, for its lines in the log.
    pub name: String,
    /// The program, which is the probe's.
    pub program: PathBuf,
    /// The library's private copy.
    pub copy: PathBuf,
    /// The symbol of its header.
    pub header_symbol: String,
    /// The minor version of the ABI that it was built for.
    pub minor: u32,
    /// The process's address space, in bytes.
    pub memory: u64,
}

/// How a process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Signal or exit code.
    pub how: String,
    /// The last line it wrote.
    pub said: Option<String>,
    /// Whether nothing it does itself ends so (`SIGKILL`).
    pub killed: bool,
}

impl End {
    /// For people.
    pub fn text(&self) -> String {
        let said = self.said.as_deref().map(|said| format!(" (it said: {said})")).unwrap_or_default();
        format!("{}{said}", self.how)
    }
}

/// A plugin's process that has been started.
pub struct Process {
    id: Pid,
    /// The child until it has been waited for: so long its number is nobody else's.
    child: Mutex<Option<Child>>,
    /// It is being ended: what may still come over its channels belongs to nothing.
    spent: AtomicBool,
    /// For events.
    pub events: Mutex<Channel>,
    /// For signature checks named beforehand.
    pub checks: Mutex<Channel>,
    /// How many events' checks are being named.
    pub naming: AtomicUsize,
    end: Mutex<Option<End>>,
    ended: Condvar,
    said: Mutex<Receiver<Option<String>>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Starts a process and waits until it serves; what the plugin says about itself.
    ///
    /// # Errors
    /// Why it does not.
    pub fn start(start: &Start) -> Result<(Arc<Self>, Manifest), Refusal> {
        let failed = |error: io::Error| Refusal::NoProbe(format!("{}: {error}", start.program.display()));
        let (events, their_events) = UnixStream::pair().map_err(failed)?;
        let (checks, their_checks) = UnixStream::pair().map_err(failed)?;
        let (events, checks) = (Channel::new(events).map_err(failed)?, Channel::new(checks).map_err(failed)?);
        let (handing, theirs) = UnixStream::pair().map_err(failed)?;
        let (errors, their_errors) = io::pipe().map_err(failed)?;
        let more = their_errors.try_clone().map_err(failed)?;
        let child = Command::new(&start.program)
            .arg(PROCESS_ARGUMENT)
            .arg(&start.copy)
            .arg(&start.header_symbol)
            .arg(start.minor.to_string())
            .arg(start.memory.to_string())
            // A panic's message is to be the last line, not its backtrace.
            .env("RUST_BACKTRACE", "0")
            // Each thread's own arena would take 64 MB of the address space.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(OwnedFd::from(theirs))
            .stdout(more)
            .stderr(their_errors)
            // What a terminal sends to the host is not for it: it ends after the host's last event.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let handed = hand_over(&handing, &their_events, &their_checks);
        drop((handing, their_events, their_checks));
        let process = Arc::new(Process {
            id: Pid::from_child(&child),
            child: Mutex::new(Some(child)),
            spent: AtomicBool::new(false),
            events: Mutex::new(events),
            checks: Mutex::new(checks),
            naming: AtomicUsize::new(0),
            end: Mutex::default(),
            ended: Condvar::new(),
            said: Mutex::new(log_lines(errors, start.name.clone())),
        });
        let ready = handed
            .map_err(|error| Unready::from(Broken::System(error)))
            .and_then(|()| ready(&mut locked(&process.events)));
        let (stage, broken) = match ready {
            Ok(Ok(manifest)) => return Ok((process, manifest)),
            Ok(Err(refusal)) => {
                process.kill();
                process.wait();
                return Err(refusal);
            }
            Err(Unready { stage, broken }) => (stage, broken),
        };
        process.kill();
        let end = process.wait();
        Err(match broken {
            Broken::Late => Refusal::Hung { stage, seconds: START_DEADLINE.as_secs() },
            Broken::Closed => Refusal::Crashed { stage, how: end.how, said: end.said },
            other => Refusal::Crashed { stage, how: other.to_string(), said: end.said },
        })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it is of no use any more.
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Ends it, and what it may have started.
    pub fn kill(&self) {
        self.spent.store(true, Ordering::Relaxed);
        if locked(&self.child).is_some() {
            let _ = kill_process_group(self.id, Signal::KILL);
        }
    }

    /// Waits until it has ended; by one thread alone. Others know of it when it is [told](Self::tell).
    pub fn wait(&self) -> End {
        // It is only looked at: until it is waited for, its number stays its own.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.id), look) {}
        let mut child = locked(&self.child);
        let _ = kill_process_group(self.id, Signal::KILL);
        let status = child.take().and_then(|mut child| child.wait().ok());
        drop(child);
        let said = locked(&self.said).recv_timeout(END_KNOWN).ok().flatten();
        End {
            how: status.map_or_else(|| "unknown".to_owned(), how),
            said,
            killed: status.and_then(|status| status.signal()) == Some(Signal::KILL.as_raw()),
        }
    }

    /// Tells whoever waits how it has ended.
    pub fn tell(&self, end: End) {
        *locked(&self.end) = Some(end);
        self.ended.notify_all();
    }

    /// How it has ended, once that is told; waits at most so long.
    pub fn end(&self, patience: Duration) -> Option<End> {
        let waited = self.ended.wait_timeout_while(locked(&self.end), patience, |end| end.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

/// Hands the other ends of the channels over.
fn hand_over(handing: &UnixStream, events: &UnixStream, checks: &UnixStream) -> io::Result<()> {
    let sockets = [events.as_fd(), checks.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(handing, &[IoSlice::new(b"T")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// How far it came.
struct Unready {
    stage: Stage,
    broken: Broken,
}

impl From<Broken> for Unready {
    fn from(broken: Broken) -> Self {
        Unready { stage: Stage::Opening, broken }
    }
}

/// Follows a process's start to its end.
fn ready(channel: &mut Channel) -> Result<Result<Manifest, Refusal>, Unready> {
    let until = Some(Instant::now() + START_DEADLINE);
    let mut stage = Stage::Opening;
    let bad = |stage, what: &str| Unready { stage, broken: Broken::Bad(what.to_owned()) };
    loop {
        channel.receive(until).map_err(|broken| Unready { stage, broken })?;
        let Some((said, text)) = channel.frame().split_first() else { return Err(bad(stage, "an empty frame")) };
        match *said {
            word::NOW => {
                stage = serde_json::from_slice(text).map_err(|_| bad(stage, "no stage of a start"))?;
                let heard = channel.send(until, |out| out.push(order::ANSWER));
                heard.map_err(|broken| Unready { stage, broken })?;
            }
            word::REFUSED => {
                let refusal = serde_json::from_slice(text);
                return Ok(Err(refusal.map_err(|_| bad(stage, "a refusal that cannot be read"))?));
            }
            word::READY if text.len() <= MAX_MANIFEST_BYTES => {
                let manifest: Manifest =
                    ciborium::from_reader(text).map_err(|_| bad(stage, "a manifest that cannot be read"))?;
                return Ok(check_manifest(&manifest).map(|()| manifest));
            }
            _ => return Err(bad(stage, "a word that means nothing here")),
        }
    }
}

/// Logs what a process writes, on a thread of its own; the last line of it once it has ended.
fn log_lines(errors: PipeReader, name: String) -> Receiver<Option<String>> {
    let (tell, told) = mpsc::sync_channel(1);
    let logging = move || {
        let mut errors = BufReader::new(errors);
        let (mut last, mut line) = (None, Vec::new());
        let (mut since, mut lines) = (Instant::now(), 0);
        loop {
            line.clear();
            match (&mut errors).take(STDERR_LINE_BYTES as u64).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let Some(text) = readable(&line, STDERR_LINE_BYTES) else { continue };
            if since.elapsed() >= Duration::from_secs(60) {
                (since, lines) = (Instant::now(), 0);
            }
            lines += 1;
            match lines.cmp(&STDERR_LINES) {
                std::cmp::Ordering::Less => log::info!(target: "tallyho::plugin", "{name} writes: {text}"),
                std::cmp::Ordering::Equal => {
                    log::warn!(target: "tallyho::plugin", "{name} writes more, which is left out for a minute");
                }
                std::cmp::Ordering::Greater => {}
            }
            if !text.starts_with("note: ") {
                last = readable(text.as_bytes(), 200);
            }
        }
        // Nobody asks any more where the site ends.
        let _ = tell.send(last);
    };
    // Without that thread the process would wait for somebody to read; it says so when its pipe is closed.
    if let Err(error) = thread::Builder::new().name("stderr".to_owned()).spawn(logging) {
        log::warn!("what a plugin's process writes is not logged: {error}");
    }
    told
}

/// Counts an event whose checks are being named.
pub struct Naming<'p>(&'p Process);

impl<'p> Naming<'p> {
    /// Begins to name.
    pub fn of(process: &'p Process) -> Self {
        process.naming.fetch_add(1, Ordering::Relaxed);
        Naming(process)
    }
}

impl Drop for Naming<'_> {
    fn drop(&mut self) {
        self.0.naming.fetch_sub(1, Ordering::Relaxed);
    }
}
