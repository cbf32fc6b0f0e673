//! The demo's steps over sites that tests make up, each behind a real control socket.
#![allow(clippy::unwrap_used)]

mod fake;
mod ledger;

use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::*;
use fake::{Flaw, Here, LINK};

fn played(flaw: Flaw, json: bool) -> (u8, String, String) {
    let here = Here::new(flaw);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, terminal: false, home: None };
    let options = Options { json, ..Options::default() };
    // Made-up sites answer at once, so only what never comes takes this long.
    let never_comes = matches!(flaw, Flaw::Unconfirmed | Flaw::Close);
    let patience = if never_comes { Duration::from_millis(100) } else { DEMO_STEP };
    let steps = STEPS.iter().chain(LAST);
    let code = play(steps, &mut World::new(&here, patience), &options, Path::new("/somewhere"), &mut console).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Steps told of as JSON: names and whether each succeeded.
fn steps_of(out: &str) -> (Vec<(String, bool)>, bool) {
    let told: Value = serde_json::from_str(out).unwrap();
    let steps = told["steps"].as_array().unwrap().iter().map(|step| {
        assert!(step["ms"].is_u64());
        (step["name"].as_str().unwrap().to_owned(), step["ok"] == true)
    });
    (steps.collect(), told["ok"] == true)
}

#[test]
fn when_all_sites_agree_every_step_is_told_and_the_exit_code_is_0() {
    let (code, out, err) = played(Flaw::None, false);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let told: Vec<&str> = out.lines().filter(|line| !line.starts_with("   ")).collect();
    assert_eq!(told.len(), STEPS.len() + LAST.len());
    assert!(told.iter().all(|line| line.starts_with('✓') && line.contains(" ms  ")), "{out}");
    // Balances before and after stand below a payment.
    let after = out.lines().skip_while(|line| !line.contains("bread"));
    let words: Vec<Vec<&str>> = after.skip(1).take(3).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1..], [vec!["alice", "0", "12000"], vec!["bob", "0", "-12000"]], "{out}");
    assert!(out.contains(LINK) && out.contains("same hash"), "{out}");
}

#[test]
fn with_json_the_steps_are_one_value() {
    let (code, out, err) = played(Flaw::None, true);
    let (steps, ok) = steps_of(&out);
    assert_eq!((code, ok, err.as_str()), (0, true, ""));
    assert_eq!(steps, STEPS.iter().chain(LAST).map(|step| (step.name.to_owned(), true)).collect::<Vec<_>>());
}

#[test]
fn whatever_goes_wrong_ends_the_demo_at_its_step_with_exit_code_1() {
    for (flaw, step, word) in [
        (Flaw::Start, "start", "before it was ready"),
        (Flaw::Hash, "agree", "hash"),
        (Flaw::OpenDoor, "stranger", "accepted"),
        (Flaw::Unreachable, "stranger", "unreachable"),
        (Flaw::Stop, "stop", "signal 11"),
        (Flaw::Interrupt, "offer", "interrupted"),
        (Flaw::Balance, "pay", "opposite"),
        (Flaw::Chit, "pay", "list of chits"),
        (Flaw::Close, "close", "closed tally at bob's site"),
    ] {
        let (code, out, err) = played(flaw, true);
        let (steps, ok) = steps_of(&out);
        assert_eq!((code, ok), (1, false), "{flaw:?}");
        assert_eq!(steps.last().unwrap(), &(step.to_owned(), false), "{flaw:?}: {err}");
        assert!(steps[..steps.len() - 1].iter().all(|(_, ok)| *ok), "{flaw:?}");
        assert!(
            serde_json::from_str::<Value>(&err).unwrap()["error"]["text"].as_str().unwrap().contains(word),
            "{err}"
        );
    }
}

#[test]
fn a_failure_is_told_in_plain_words_with_the_end_of_the_logs() {
    let (code, out, err) = played(Flaw::Hash, false);
    assert_eq!(code, 1);
    assert!(out.lines().last().unwrap().starts_with('✗'), "{out}");
    assert!(
        err.contains("the end of alice's log:\n  INFO started\n") && err.contains("error: the tally's hash"),
        "{err}"
    );
}

#[test]
fn a_state_that_never_comes_ends_the_demo_in_time() {
    let (code, out, err) = played(Flaw::Unconfirmed, true);
    assert_eq!((code, steps_of(&out).0.last().unwrap().0.as_str()), (1, "agree"));
    assert!(err.contains("demo-timeout"), "{err}");
}

/// A signal reaches every demo of the process, so one runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs the demo with sites that are this shell script.
fn scripted(script: &str, options: &Options) -> (u8, String, String) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let command = ["/bin/sh", "-c", script, "site"].iter().map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, terminal: false, home: None };
    let code = demo_of(command, options, &mut console).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn a_site_that_does_not_start_is_told_with_its_log_and_the_folder_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let mut options = Options { folder: Some(place.path().join("new/folder")), ..Options::default() };
    let (code, _, err) = scripted("echo the reason >&2; exit 1", &options);
    assert_eq!(code, 1);
    assert!(err.contains("the reason") && err.contains("alice's site ended before it was ready"), "{err}");
    let left = || fs::read_dir(place.path().join("new/folder")).unwrap().count();
    assert_eq!(left(), 0);
    options.keep = true;
    let (_, out, _) = scripted("exit 1", &options);
    assert_eq!(left(), 1);
    assert!(out.contains("kept in "), "{out}");
}

#[test]
fn on_control_c_the_sites_end_and_the_folder_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let told = place.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", told.display());
    let options = Options { folder: Some(place.path().join("sites")), ..Options::default() };
    thread::scope(|scope| {
        let demo = scope.spawn(|| scripted(&script, &options));
        while !told.exists() {
            thread::sleep(Duration::from_millis(1));
        }
        // The demo catches it from before the first site was started.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT).unwrap();
        let (code, out, err) = demo.join().unwrap();
        assert_eq!((code, err.as_str()), (1, "error: interrupted\n"), "{out}");
    });
    let pid = rustix::process::Pid::from_raw(fs::read_to_string(&told).unwrap().trim().parse().unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "the site's process is gone");
    assert_eq!(fs::read_dir(place.path().join("sites")).unwrap().count(), 0);
}
