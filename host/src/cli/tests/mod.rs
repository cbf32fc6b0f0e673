//! The whole command line over a site that tests make up, in this process or behind a real socket.
#![allow(clippy::unwrap_used)]

mod output;
mod waits;
mod words;

use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Fault, FaultKind, Manifest};

use super::{Backend, Console, Ready, RunOptions, run};
use crate::control::{Feed, Feeder, Operator, Server, feed, host};
use crate::kit::Order;

/// A site that answers what it was told to, and remembers what it was asked.
#[derive(Default)]
struct Site {
    answers: Mutex<HashMap<String, Vec<Result<Value, Fault>>>>,
    asked: Mutex<Vec<(String, String, Value)>>,
    watchers: Mutex<Vec<Feeder>>,
    recent: Mutex<Vec<Value>>,
}

impl Site {
    /// `command` gives these answers one after the other, the last one for ever.
    fn answers(self, command: &str, answers: Vec<Result<Value, Fault>>) -> Self {
        self.answers.lock().unwrap().insert(command.to_owned(), answers);
        self
    }

    fn asked(&self) -> Vec<(String, String, Value)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Operator for Site {
    fn manifests(&self) -> Vec<Manifest> {
        vec![host::manifest(), tally()]
    }

    fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        self.asked.lock().unwrap().push((plugin.to_owned(), command.to_owned(), argument.clone()));
        for watcher in self.watchers.lock().unwrap().iter() {
            assert!(watcher.push(json!({ "called": command })));
        }
        match self.answers.lock().unwrap().get_mut(command) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Ok(json!({"did": command})),
        }
    }

    fn watch(&self, recent: usize) -> Feed {
        let (feeder, feed) = feed();
        for notice in self.recent.lock().unwrap().iter().take(recent) {
            feeder.push(notice.clone());
        }
        if recent == 0 {
            self.watchers.lock().unwrap().push(feeder); // otherwise the watch ends after the recent ones
        }
        feed
    }
}

/// The shape of what the tally plugin declares.
fn tally() -> Manifest {
    let spec = |name: &str, words: &[&str]| CommandSpec::new(name, format!("Do {name}")).words(words);
    let text = |name: &str| Argument::option(name, ArgumentKind::Text, "a text");
    let user = || text("user").example("alice");
    let uuid = || Argument::positional("uuid", ArgumentKind::Text, "the tally").example("9b8f6c1e");
    let token = || Argument::positional("token", ArgumentKind::Text, "the token");
    let wait = |always: &[&'static str], failed: &[&'static str]| {
        Wait::new("state", "uuid", "wait").always(always.iter().copied()).failed(failed.iter().copied())
    };
    let sides = ArgumentKind::Choice(vec!["stock".into(), "foil".into()]);
    let mut manifest = Manifest::new("tally", "1.0")
        .command(
            spec("ticket.new", &["ticket", "new"])
                .argument(user().required())
                .argument(Argument::option("side", sides, "the side").default("stock"))
                .argument(Argument::option("expires", ArgumentKind::Duration, "how long").default("48h"))
                .argument(Argument::option("reuse", ArgumentKind::Flag, "a decal"))
                .argument(Argument::option("limit", ArgumentKind::JsonOrText, "for whom"))
                .argument(Argument::option("terms", ArgumentKind::Json, "the terms"))
                .argument(text("memo"))
                .argument(Argument::option("agree", ArgumentKind::JsonOrText, "the agreement")),
        )
        .command(
            spec("ticket.use", &["ticket", "use"])
                .argument(Argument::positional("ticket", ArgumentKind::JsonOrText, "the ticket"))
                .argument(user().required())
                .wait(wait(&["accepted", "refused"], &["refused"])),
        )
        .command(spec("invoice.new", &["invoice", "new"]).argument(user()))
        .command(spec("ticket.list", &["ticket", "list"]))
        .command(spec("ticket.revoke", &["ticket", "revoke"]).argument(token()))
        .command(spec("list", &["tally", "list"]).argument(user()))
        .command(spec("show", &["tally", "show"]).argument(uuid()))
        .command(CommandSpec::new("hidden", "By call only"));
    for act in ["edit", "offer", "accept", "revise", "refuse", "withdraw", "close", "resend"] {
        manifest = manifest.command(spec(act, &["tally", act]).argument(uuid()).wait(wait(&[], &[])));
    }
    manifest
}

/// The program round such a site.
#[derive(Default)]
struct Program {
    site: Arc<Site>,
    /// No site can be opened here.
    homeless: bool,
    opened: Mutex<usize>,
    doctor: Option<Value>,
    asked_to_run: Mutex<Option<RunOptions>>,
}

impl Backend for Program {
    fn locate(&self, given: Option<&Path>, variable: Option<OsString>) -> Result<PathBuf, Fault> {
        let named = given.map(Path::to_owned).or(variable.map(PathBuf::from));
        named.ok_or_else(|| Fault::usage("no home").fix("give --home"))
    }

    fn init(&self, home: &Path) -> Result<Value, Fault> {
        Ok(json!({"home": home, "agent": "c0rN"}))
    }

    fn open(&self, home: &Path) -> Result<Arc<dyn Operator>, Fault> {
        *self.opened.lock().unwrap() += 1;
        match self.homeless {
            true => Err(Fault::host(format!("{} is no home", home.display())).fix("tallyho init")),
            false => Ok(self.site.clone()),
        }
    }

    fn run(&self, _: &Path, options: &RunOptions, ready: &mut dyn FnMut(&Ready)) -> Result<(), Fault> {
        *self.asked_to_run.lock().unwrap() = Some(options.clone());
        ready(&Ready { agent: "c0rN".into(), listen: "127.0.0.1:41234".into() });
        Ok(())
    }

    fn doctor(&self, _: &Path) -> Result<Value, Fault> {
        Ok(self.doctor.clone().unwrap_or_else(|| json!({"ok": true, "checks": []})))
    }

    fn new_plugin(&self, order: &Order) -> Result<Value, Fault> {
        Ok(json!({"name": order.name, "kind": format!("{:?}", order.kind), "folder": order.folder}))
    }

    fn test_plugin(&self, file: &Path, deadline: Duration) -> Result<Value, Fault> {
        let good = file.to_str() == Some("good.so");
        let found = json!({"rule": "no-panic", "case": "command add: null", "what": "panic: \u{1b}[2J"});
        let rules = json!([
            {"name": "loads", "ok": true, "about": "it loads", "broken": 0, "findings": []},
            {"name": "no-panic", "ok": good, "about": "never panics", "broken": 3, "findings": [found], "fix": "mend it"},
        ]);
        let cost = json!({"calls": 9, "p50_us": 1.25, "p99_us": 30.0, "max_us": 40.0});
        Ok(
            json!({"ok": good, "name": "tally", "version": "1", "cases": deadline.as_secs(), "rules": rules, "cost": cost}),
        )
    }

    fn check_plugin(&self, file: &Path) -> Result<Value, Fault> {
        match file.to_str() {
            Some("good.so") => Ok(json!({"ok": true, "name": "tally", "version": "1"})),
            _ => Ok(json!({"ok": false, "name": null, "version": null, "reason": "no ELF file", "fix": "build it"})),
        }
    }

    fn replay(&self, _: &Path, store: &Path, _: &Path, _: Option<&Path>, _: &Path) -> Result<Value, Fault> {
        Ok(json!({"ok": store.to_str() == Some("same.db"), "name": "tally", "differences": []}))
    }

    fn export_keys(&self, _: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault> {
        let mut text = String::new();
        passphrase.map(|source| source.read_to_string(&mut text).unwrap());
        Ok(json!({"file": file, "keys": 2, "passphrase": text}))
    }

    fn import_keys(&self, _: &Path, file: &Path, _: Option<&mut dyn Read>) -> Result<Value, Fault> {
        Ok(json!({"file": file, "keys": 2}))
    }

    fn backup(&self, _: &Path, file: &Path, passphrase: Option<&mut dyn Read>) -> Result<Value, Fault> {
        let mut text = String::new();
        passphrase.map(|source| source.read_to_string(&mut text).unwrap());
        Ok(json!({"file": file, "agent": "a", "bytes": 7, "passphrase": text}))
    }

    fn restore(&self, home: &Path, file: &Path, _: Option<&mut dyn Read>) -> Result<Value, Fault> {
        Ok(json!({"home": home, "agent": "a", "made": file}))
    }

    fn qr(&self, link: &str) -> Option<String> {
        Some(format!("QR<{link}>"))
    }
}

#[derive(Debug)]
struct Ran {
    code: u8,
    out: String,
    err: String,
}

fn run_in(home: &Path, program: &Program, terminal: bool, line: &[&str]) -> Ran {
    let args: Vec<OsString> = std::iter::once("tallyho").chain(line.iter().copied()).map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err, terminal, home: Some(home.into()) };
    let code = run(&args, &mut console, program);
    Ran { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// Runs a line where no site runs, so the command opens one in this process.
fn at_rest(program: &Program, line: &[&str]) -> Ran {
    run_in(tempfile::tempdir().unwrap().path(), program, false, line)
}

/// Runs a line while the program's site runs behind a real socket.
fn running(program: &Program, line: &[&str]) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let _server = Server::start(&home.path().join("control.sock"), "c0rN", program.site.clone()).unwrap();
    run_in(home.path(), program, false, line)
}

/// A program whose site is this one.
fn with(site: Site) -> Program {
    Program { site: Arc::new(site), ..Program::default() }
}

/// A site whose first answer is this and whose reports then go through these states.
fn waiting_site(first: Value, states: &[&str]) -> Site {
    let reports = states.iter().map(|state| Ok(json!({"uuid": "u", "wait": [state], "state": state}))).collect();
    let mut site = Site::default().answers("state", reports);
    for act in ["offer", "ticket.use"] {
        site = site.answers(act, vec![Ok(first.clone())]);
    }
    site
}
