//! `tallyho plugin test`: tries a built library, through the real loader, in child processes.
//!
//! A child that is lost to a case, to an endless loop or a crash, is replaced by one that leaves the case out, so
//! that everything else is tried too.

use super::limits::{CASE_DEADLINE, ERROR_BYTES, LINE_BYTES, LOST_CHILDREN};
use super::trial::{Line, MARK, TRIAL_ARGUMENT};
use crate::plugin::limits::PROBE_DEADLINE;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use tallyho_plugin::Fault;
use tallyho_plugin::testkit::conformance::rules::{IN_TIME, LOADS, SURVIVES};
use tallyho_plugin::testkit::conformance::{Cost, Finding, RULES, Report};

/// How a library is tried.
#[derive(Debug, Clone)]
pub struct Trials {
    /// The program that tries it, which calls [`run_trial_if_asked`](super::run_trial_if_asked) first.
    pub program: PathBuf,
    /// How long a case may take, its four calls together.
    pub deadline: Duration,
}

impl Default for Trials {
    fn default() -> Self {
        // This program itself, also after its file has been replaced by a newer one.
        Trials { program: "/proc/self/exe".into(), deadline: CASE_DEADLINE }
    }
}

/// What is known so far.
#[derive(Default)]
struct Known {
    name: String,
    version: String,
    cases: usize,
    /// The highest case that was told of; what a later child tells of earlier ones is known.
    latest: Option<usize>,
    findings: Vec<Finding>,
    calls: Vec<f64>,
    /// Cases that children were lost to.
    without: Vec<usize>,
}

/// How a child ended.
enum End {
    /// With all done.
    Done,
    /// The library was not loaded.
    Refused,
    /// It is lost to this case, by breaking this rule.
    Lost { number: usize, label: String, rule: &'static str, what: String },
}

/// Tries a library: a [`Report`] as JSON, with the file and the deadline (milliseconds).
///
/// # Errors
/// Where no child can be started.
pub fn test(file: &Path, trials: &Trials) -> Result<Value, Fault> {
    let copies = tempfile::tempdir().map_err(|error| Fault::host(format!("no temporary folder: {error}")))?;
    let mut known = Known::default();
    loop {
        match try_once(file, copies.path(), trials, &mut known)? {
            End::Done | End::Refused => break,
            End::Lost { number, label, rule, what } => {
                let mut found = |rule: &str, what: String| {
                    known.findings.push(Finding { rule: rule.to_owned(), case: label.clone(), what });
                };
                found(rule, what);
                if known.without.len() + 1 >= LOST_CHILDREN {
                    found(SURVIVES, format!("{LOST_CHILDREN} processes are lost to it; what comes later is not tried"));
                    break;
                }
                known.without.push(number);
            }
        }
    }
    let tried: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    let tried = if known.latest.is_some() { tried } else { vec![LOADS] };
    let cost = Cost::of(known.calls);
    let report = Report::new((&known.name, &known.version), &tried, known.cases, &known.findings, cost);
    let mut report = serde_json::to_value(report).map_err(|error| Fault::failed(error.to_string()))?;
    report["file"] = json!(file);
    report["deadline_ms"] = json!(trials.deadline.as_millis());
    Ok(report)
}

fn try_once(file: &Path, copies: &Path, trials: &Trials, known: &mut Known) -> Result<End, Fault> {
    let without: Vec<String> = known.without.iter().map(ToString::to_string).collect();
    let arguments = [TRIAL_ARGUMENT.into(), file.into(), copies.into(), OsString::from(without.join(","))];
    let mut child = Command::new(&trials.program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Fault::host(format!("{} cannot be started: {error}", trials.program.display())))?;
    let lines = child.stdout.take().map(read_lines);
    let errors = child.stderr.take().map(read_all);
    let mut at = None;
    let mut patience = trials.deadline + PROBE_DEADLINE;
    let lost = loop {
        match lines.as_ref().map(|lines| lines.recv_timeout(patience)) {
            Some(Ok(Line::Loaded { name, version })) => (known.name, known.version) = (name, version),
            Some(Ok(Line::Refused { reason, fix })) => {
                let what = format!("{reason}; {fix}");
                known.findings.push(Finding { rule: LOADS.to_owned(), case: "loading".to_owned(), what });
                let _ = ended(&mut child, trials.deadline);
                return Ok(End::Refused);
            }
            Some(Ok(Line::Case { number, label })) => {
                at = Some((number, label));
                patience = trials.deadline;
            }
            Some(Ok(Line::Ran { calls, findings })) => {
                let number = at.as_ref().map(|(number, _)| *number);
                if number > known.latest {
                    known.latest = number;
                    known.calls.extend(calls);
                    known.findings.extend(findings);
                }
            }
            Some(Ok(Line::Done { cases })) => {
                known.cases = cases;
                match ended(&mut child, trials.deadline) {
                    Some(status) if status.success() => return Ok(End::Done),
                    Some(status) => break (SURVIVES, how(status)),
                    None => break (IN_TIME, format!("it is not done within {:?}", trials.deadline)),
                }
            }
            Some(Err(RecvTimeoutError::Timeout)) => {
                let _ = ended(&mut child, Duration::ZERO);
                break (IN_TIME, format!("it is not done within {:?}", trials.deadline));
            }
            Some(Err(RecvTimeoutError::Disconnected)) | None => {
                let status = ended(&mut child, trials.deadline);
                break (SURVIVES, status.map_or_else(|| "its process hangs".to_owned(), how));
            }
        }
    };
    let (rule, mut what) = lost;
    let said = errors.and_then(|errors| errors.recv_timeout(Duration::from_secs(1)).ok()).unwrap_or_default();
    if let Some(said) = last_line(&said) {
        what += &format!(" (it said: {said})");
    }
    let Some((number, label)) = at else {
        known.findings.push(Finding { rule: LOADS.to_owned(), case: "loading".to_owned(), what });
        return Ok(End::Refused);
    };
    known.latest = known.latest.max(Some(number));
    known.cases = known.cases.max(number + 1);
    Ok(End::Lost { number, label, rule, what })
}

/// The child's own lines, read on a thread.
fn read_lines(output: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        // A line without end is cut, and its parts are nobody's.
        while output.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            let told = text.trim_end().strip_prefix(MARK).and_then(|json| serde_json::from_str(json).ok());
            if told.is_some_and(|told| sender.send(told).is_err()) {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// What a child says on standard error, up to a bound; the rest is read and dropped, lest it wait for ever.
fn read_all(mut errors: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = errors.by_ref().take(ERROR_BYTES).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut errors, &mut std::io::sink());
        let _ = sender.send(bytes);
    });
    receiver
}

/// The child's end, waited for so long; then it and what it may have started are killed.
fn ended(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let begun = std::time::Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(None) if begun.elapsed() < patience => std::thread::sleep(Duration::from_millis(1)),
            Ok(status) => break status,
            Err(_) => break None,
        }
    };
    if status.is_none() {
        if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.wait();
    }
    status
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("its process ends by signal {signal}"),
        (None, Some(code)) => format!("its process ends with exit code {code}"),
        (None, None) => "its process ends".to_owned(),
    }
}

fn last_line(errors: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(errors);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|letter| !letter.is_control()).take(200).collect())
}
