//! The demo's steps over sites that tests make up, each behind a real control socket.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Fault, Manifest};

use super::world::{Launcher, Started};
use super::*;
use crate::control::{Operator, Server, host};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Bob's site computes another hash.
    Hash,
    /// The index-0 acknowledgement never comes.
    Unconfirmed,
    /// Alice's site lets strangers in.
    OpenDoor,
    /// Mallory reaches nobody.
    Unreachable,
    /// Bob's site does not start.
    Start,
    /// A site does not end well.
    Stop,
    /// The person stops the demo during the offer.
    Interrupt,
}

/// All three sites' state; a tally goes from alice to bob in a moment.
#[derive(Debug, Default)]
struct Net {
    users: Vec<String>,
    presented_by: Option<String>,
    state: BTreeMap<String, &'static str>,
    log: PathBuf,
    interrupted: bool,
}

struct Fake {
    name: String,
    net: Arc<Mutex<Net>>,
    flaw: Flaw,
}

const LINK: &str = "https://mychips.org/invite?token=TOKEN-TOKEN-TOKEN-TOKEN&chad=x";

impl Operator for Fake {
    fn manifests(&self) -> Vec<Manifest> {
        let text = |name: &str| Argument::option(name, ArgumentKind::Text, "");
        let uuid = || Argument::positional("uuid", ArgumentKind::Text, "");
        let wait = |member: &str, always: &[&str], failed: &[&str]| Wait {
            command: "state".into(),
            argument: "uuid".into(),
            member: member.into(),
            always: always.iter().map(ToString::to_string).collect(),
            failed: failed.iter().map(ToString::to_string).collect(),
        };
        let spec = |name: &str, words: &[&str]| CommandSpec::new(name, "").words(words);
        let tally = Manifest::new("tally", "1")
            .command(
                spec("ticket.new", &["ticket", "new"])
                    .argument(text("user"))
                    .argument(Argument::option("expires", ArgumentKind::Duration, ""))
                    .argument(text("memo")),
            )
            .command(
                spec("ticket.use", &["ticket", "use"])
                    .argument(Argument::positional("ticket", ArgumentKind::JsonOrText, ""))
                    .argument(text("user"))
                    .wait(wait("state", &["accepted", "refused", "unreachable"], &["refused", "unreachable"])),
            )
            .command(spec("offer", &["tally", "offer"]).argument(uuid()))
            .command(spec("accept", &["tally", "accept"]).argument(uuid()).wait(wait("state", &[], &[])))
            .command(spec("list", &["tally", "list"]).argument(text("user")))
            .command(spec("show", &["tally", "show"]).argument(uuid()));
        vec![host::manifest(), tally]
    }

    fn call(&self, _: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        let mut net = self.net.lock().unwrap();
        let state = |net: &Net| net.state.get(&self.name).copied().unwrap_or("none");
        match command {
            "user.add" => {
                net.users.push(argument["cuid"].as_str().unwrap().to_owned());
                Ok(json!({}))
            }
            "ticket.new" => {
                net.state.insert("alice".into(), "draft");
                Ok(json!({"token": "TOKEN-TOKEN-TOKEN-TOKEN", "link": LINK, "tally": "draft-uuid"}))
            }
            "ticket.use" => {
                let first = net.presented_by.is_none() && argument["ticket"] == LINK;
                if first || self.flaw == Flaw::OpenDoor {
                    net.presented_by = Some(self.name.clone());
                    net.state.insert("alice".into(), "P.draft");
                    return Ok(json!({"uuid": "t", "state": "accepted", "accepted": true, "agent": "agent-of-alice"}));
                }
                if self.flaw == Flaw::Unreachable {
                    return Ok(json!({"uuid": "t", "state": "unreachable", "accepted": false}));
                }
                let log = fs::read_to_string(&net.log).unwrap_or_default();
                fs::write(&net.log, log + "WARN strike from 127.0.0.1: ticket-unknown\n").unwrap();
                Ok(json!({"uuid": "t", "state": "refused", "accepted": false, "agent": "agent-of-alice"}))
            }
            "offer" if self.flaw == Flaw::Interrupt => {
                net.interrupted = true;
                Err(Fault::host("the site went away"))
            }
            "offer" => {
                net.state.insert("alice".into(), "H.offer");
                net.state.insert("bob".into(), "P.offer");
                Ok(json!({"uuid": "fresh-uuid", "state": "draft.offer"}))
            }
            "accept" => {
                net.state.insert("alice".into(), "open");
                net.state.insert("bob".into(), "open");
                Ok(json!({"uuid": "fresh-uuid", "state": "offer.open"}))
            }
            "state" if argument["uuid"] == "t" => {
                let accepted = net.presented_by.as_ref() == Some(&self.name);
                let failed = if self.flaw == Flaw::Unreachable { "unreachable" } else { "refused" };
                Ok(json!({"uuid": "t", "state": if accepted { "accepted" } else { failed }}))
            }
            "list" => Ok(json!([{"uuid": "fresh-uuid", "state": state(&net)}])),
            "state" | "show" => {
                let hash = if self.flaw == Flaw::Hash && self.name == "bob" { "other" } else { "hash" };
                let conf = if self.flaw == Flaw::Unconfirmed { Value::Null } else { json!(0) };
                let side = if self.name == "alice" { "stock" } else { "foil" };
                Ok(
                    json!({"uuid": "fresh-uuid", "state": state(&net), "conf": conf, "hash": hash, "record": {}, "side": side}),
                )
            }
            other => Err(Fault::not_found(format!("no command {other}"))),
        }
    }

    fn watch(&self, _: usize) -> Receiver<Value> {
        let (sender, receiver) = channel();
        std::mem::forget(sender); // stays open and silent, so waits go by their interval
        receiver
    }
}

/// Starts made-up sites in this process.
struct Here {
    folder: tempfile::TempDir,
    net: Arc<Mutex<Net>>,
    flaw: Flaw,
    servers: Mutex<BTreeMap<String, Server>>,
}

impl Launcher for Here {
    fn start(&self, name: &str) -> Result<Started, Fault> {
        if self.flaw == Flaw::Start && name == "bob" {
            return Err(Fault::host("bob's site ended before it was ready"));
        }
        let socket = self.folder.path().join(name);
        let log = self.folder.path().join("alice.log");
        self.net.lock().unwrap().log.clone_from(&log);
        fs::write(&log, "INFO started\n").unwrap();
        let agent = format!("agent-of-{name}");
        let site = Fake { name: name.to_owned(), net: self.net.clone(), flaw: self.flaw };
        let server = Server::start(&socket, &agent, Arc::new(site)).unwrap();
        self.servers.lock().unwrap().insert(name.to_owned(), server);
        Ok(Started { socket, log, agent, listen: "127.0.0.1:1".into() })
    }

    fn stop(&self, name: &str) -> Result<(), Fault> {
        self.servers.lock().unwrap().remove(name);
        match self.flaw {
            Flaw::Stop => Err(Fault::host("ended with signal 11")),
            _ => Ok(()),
        }
    }

    fn interrupted(&self) -> bool {
        self.net.lock().unwrap().interrupted
    }

    fn logs(&self) -> Vec<(String, String)> {
        vec![("alice".into(), world::read_log(&self.net.lock().unwrap().log))]
    }
}

fn played(flaw: Flaw, json: bool) -> (u8, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let here = Here { folder, net: Arc::default(), flaw, servers: Mutex::default() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, terminal: false, home: None };
    let options = Options { json, ..Options::default() };
    // Made-up sites answer at once, so only what never comes takes this long.
    let patience = if flaw == Flaw::Unconfirmed { Duration::from_millis(100) } else { DEMO_STEP };
    let code = play(STEPS, &mut World::new(&here, patience), &options, Path::new("/somewhere"), &mut console).unwrap();
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
    assert_eq!(out.lines().count(), STEPS.len());
    assert!(out.lines().all(|line| line.starts_with('✓') && line.contains(" ms  ")), "{out}");
    assert!(out.contains(LINK) && out.contains("same hash"), "{out}");
}

#[test]
fn with_json_the_steps_are_one_value() {
    let (code, out, err) = played(Flaw::None, true);
    let (steps, ok) = steps_of(&out);
    assert_eq!((code, ok, err.as_str()), (0, true, ""));
    assert_eq!(steps, STEPS.iter().map(|step| (step.name.to_owned(), true)).collect::<Vec<_>>());
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
