//! Trying a library in a child process before it is mapped here.
//!
//! The child is this very program, started with a hidden argument. It does what a load does and
//! tells, line by line, how far it came; a crash or an endless loop costs the child only.

use crate::plugin::error::Refusal;
use crate::plugin::limits::MAX_PROBE_OUTPUT;
use crate::plugin::open::{OwnedHandler, map, module, read_manifest};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tallyho_plugin::abi::AbiStamp;

/// The hidden argument that makes the host's program a probe.
pub const PROBE_ARGUMENT: &str = "__probe-plugin";

/// How the child's own lines begin; a library may print what it likes between them.
const MARK: &str = "tallyho-probe: ";

/// Pause between looks at a child that has closed its output but not ended, which few do.
const PAUSE: Duration = Duration::from_millis(1);

/// How long the readers of a dead child's output are waited for: they have only to be scheduled.
const AFTER_THE_END: Duration = Duration::from_secs(1);

/// What a load was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Mapping, which runs constructors.
    Opening,
    /// `LibHeader` and layouts.
    Checking,
    /// `Handler::manifest`.
    Manifest,
    /// `Handler::create`.
    Creating,
    /// Dropping the handler, and the end of the process.
    Ending,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Opening => "being opened (its constructors run then)",
            Stage::Checking => "its ABI was being checked",
            Stage::Manifest => "telling its manifest",
            Stage::Creating => "making its handler",
            Stage::Ending => "dropping its handler and ending",
        })
    }
}

/// How a probe is started.
#[derive(Debug, Clone)]
pub struct ProbeCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; path, symbol and minor version follow.
    pub arguments: Vec<OsString>,
}

impl ProbeCommand {
    /// This program itself, also after its file has been replaced by a newer one.
    pub fn this_program() -> Self {
        ProbeCommand { program: "/proc/self/exe".into(), arguments: vec![PROBE_ARGUMENT.into()] }
    }

    /// Another program that calls [`run_probe_if_asked`] first, for tests.
    pub fn program(program: impl Into<PathBuf>) -> Self {
        ProbeCommand { program: program.into(), arguments: vec![PROBE_ARGUMENT.into()] }
    }
}

/// A line of the child's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Now(Stage),
    /// What the plugin is called.
    Named(String),
    Refused(Refusal),
    Passed,
}

/// Tries a library in a child process; what the plugin is called.
///
/// # Errors
/// What the child found, [`Refusal::Crashed`], [`Refusal::Hung`] or [`Refusal::NoProbe`].
pub fn probe(
    command: &ProbeCommand,
    copy: &Path,
    header_symbol: &str,
    stamp: &AbiStamp,
    deadline: Duration,
) -> Result<String, Refusal> {
    let ends = Instant::now() + deadline;
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .arg(copy)
        .arg(header_symbol)
        .arg(stamp.minor.to_string())
        // A panic's message is to be the last line, not its backtrace.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Refusal::NoProbe(format!("{}: {error}", command.program.display())))?;
    let output = child.stdout.take().map(collect);
    let errors = child.stderr.take().map(collect);
    // The pipe's end is the sign that the child has ended, or is about to.
    let mut told = output.as_ref().and_then(|output| output.recv_timeout(deadline).ok());
    let status = wait_until(&mut child, ends);
    if told.is_none() {
        told = output.and_then(|output| output.recv_timeout(AFTER_THE_END).ok());
    }
    let errors = errors.and_then(|errors| errors.recv_timeout(AFTER_THE_END).ok());
    let told = told.unwrap_or_default();
    judge(&told, status, &errors.unwrap_or_default(), deadline)?;
    Ok(named(&told))
}

/// Runs as a probe and exits, if the program was started as one; call it first in `main`.
pub fn run_probe_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == PROBE_ARGUMENT) {
        let (path, symbol, minor) = (arguments.next(), arguments.next(), arguments.next());
        let minor = minor.and_then(|minor| minor.to_str()?.parse().ok());
        match (path, symbol.and_then(|symbol| symbol.into_string().ok()), minor) {
            (Some(path), Some(symbol), Some(minor)) => probe_main(Path::new(&path), &symbol, minor),
            _ => std::process::exit(2),
        }
    }
}

/// The child's whole life.
fn probe_main(copy: &Path, header_symbol: &str, minor: u32) -> ! {
    // A crash is expected here: no core file. And no child outlives a host that was killed meanwhile.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let result = try_everything(copy, header_symbol, &AbiStamp { minor, ..AbiStamp::of_this_build(true) });
    tell(&result.map_or_else(Line::Refused, |()| Line::Passed));
    std::process::exit(0)
}

fn try_everything(copy: &Path, header_symbol: &str, stamp: &AbiStamp) -> Result<(), Refusal> {
    tell(&Line::Now(Stage::Opening));
    let library = map(copy)?;
    tell(&Line::Now(Stage::Checking));
    let module = module(&library, header_symbol, stamp)?;
    tell(&Line::Now(Stage::Manifest));
    tell(&Line::Named(read_manifest(module)?.name));
    tell(&Line::Now(Stage::Creating));
    let handler = OwnedHandler::create(module)?;
    tell(&Line::Now(Stage::Ending));
    drop(handler);
    Ok(())
}

fn tell(line: &Line) {
    // Lines are plain enums of texts and numbers, which always serialise. The newline before keeps
    // apart what the library may have printed.
    let json = serde_json::to_string(line).unwrap_or_default();
    let mut output = std::io::stdout().lock();
    // Nobody listens any more: the parent has given up.
    let _ = writeln!(output, "\n{MARK}{json}").and_then(|()| output.flush());
}

/// Reads a pipe to its end, or as much as is kept, on a thread of its own.
fn collect(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.take(MAX_PROBE_OUTPUT).read_to_end(&mut bytes);
        // The receiver has gone where the deadline has passed.
        let _ = sender.send(bytes);
    });
    receiver
}

/// The child's end, or `None` where it had to be killed. What it may have started is killed too.
fn wait_until(child: &mut Child, ends: Instant) -> Option<ExitStatus> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let ended = loop {
        match waitid(WaitId::Pid(id), look) {
            Ok(Some(_)) => break true,
            Ok(None) if Instant::now() < ends => std::thread::sleep(PAUSE),
            Ok(None) | Err(_) => break false,
        }
    };
    // Not reaped yet, so that the number still belongs to this child's group.
    let _ = kill_process_group(id, Signal::KILL);
    child.wait().ok().filter(|_| ended)
}

/// What the child's plugin is called.
fn named(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Line>(line.strip_prefix(MARK)?).ok());
    lines
        .filter_map(|line| if let Line::Named(name) = line { Some(name) } else { None })
        .next_back()
        .unwrap_or_default()
}

fn judge(output: &[u8], status: Option<ExitStatus>, errors: &[u8], deadline: Duration) -> Result<(), Refusal> {
    let output = String::from_utf8_lossy(output);
    let lines = || output.lines().filter_map(|line| serde_json::from_str::<Line>(line.strip_prefix(MARK)?).ok());
    let stage = lines().filter_map(|line| if let Line::Now(stage) = line { Some(stage) } else { None }).next_back();
    let Some(status) = status else {
        return Err(Refusal::Hung { stage: stage.unwrap_or(Stage::Opening), seconds: deadline.as_secs() });
    };
    match (lines().next_back(), stage) {
        (Some(Line::Refused(refusal)), _) => Err(refusal),
        (Some(Line::Passed), _) if status.success() => Ok(()),
        (None, _) | (_, None) => {
            Err(Refusal::NoProbe(format!("the program started does not know how ({})", how(status))))
        }
        (_, Some(stage)) => Err(Refusal::Crashed { stage, how: how(status), said: last_line(errors) }),
    }
}

/// How a process has ended, for people.
pub(super) fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(6), _) => "signal 6 (SIGABRT)".into(),
        (Some(7), _) => "signal 7 (SIGBUS)".into(),
        (Some(9), _) => "signal 9 (SIGKILL)".into(),
        (Some(11), _) => "signal 11 (SIGSEGV)".into(),
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "no exit code".into(),
    }
}

fn last_line(errors: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(errors);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("note: "))?;
    readable(line.as_bytes(), 200)
}

/// A line of another program's, fit to be shown; `None` where nothing is in it.
pub(super) fn readable(line: &[u8], most: usize) -> Option<String> {
    let line: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).take(most).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Vec<u8> {
        lines.iter().map(|line| format!("noise\n{MARK}{line}\n")).collect::<String>().into_bytes()
    }

    #[test]
    fn a_probe_passes_only_with_its_last_word_and_a_good_end() {
        let deadline = Duration::from_secs(1);
        let ended = |raw: i32| Some(ExitStatus::from_raw(raw));
        let passed = told(&[r#"{"now":"opening"}"#, r#""passed""#]);
        assert_eq!(judge(&passed, ended(0), b"", deadline), Ok(()));
        let crashed = judge(&passed, ended(11), b"free(): invalid pointer\n\n", deadline);
        let Err(Refusal::Crashed { stage: Stage::Opening, how, said }) = crashed else { panic!("{crashed:?}") };
        assert_eq!((how.as_str(), said.as_deref()), ("signal 11 (SIGSEGV)", Some("free(): invalid pointer")));
        assert!(matches!(judge(&passed, None, b"", deadline), Err(Refusal::Hung { .. })));
        assert!(matches!(judge(b"usage: ...", ended(512), b"", deadline), Err(Refusal::NoProbe(_))));
        let started = told(&[r#"{"now":"creating"}"#]);
        assert!(matches!(
            judge(&started, ended(0), b"", deadline),
            Err(Refusal::Crashed { stage: Stage::Creating, .. })
        ));
        let refused = told(&[r#"{"now":"opening"}"#, r#"{"refused":"Aborts"}"#]);
        assert_eq!(judge(&refused, ended(0), b"", deadline), Err(Refusal::Aborts));
    }
}
