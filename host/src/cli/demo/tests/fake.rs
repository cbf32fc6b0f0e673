//! Three made-up sites on which a tally goes from alice to bob in a moment.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Fault, Manifest};

use super::super::world::{self, Launcher, Started};
use super::ledger::{self, Ledger};
use crate::control::{Feed, Operator, Server, feed, host};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
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
    /// Bob's balance is not the opposite of alice's.
    Balance,
    /// Bob's site does not have the last chit.
    Chit,
    /// Bob's site closes no tally.
    Close,
}

/// All three sites' state; a tally goes from alice to bob in a moment.
#[derive(Debug, Default)]
pub(super) struct Net {
    users: Vec<String>,
    presented_by: Option<String>,
    state: BTreeMap<String, &'static str>,
    ledger: Ledger,
    log: PathBuf,
    interrupted: bool,
}

struct Fake {
    name: String,
    net: Arc<Mutex<Net>>,
    flaw: Flaw,
}

pub(super) const LINK: &str = "https://mychips.org/invite?token=TOKEN-TOKEN-TOKEN-TOKEN&chad=x";

impl Operator for Fake {
    fn manifests(&self) -> Vec<Manifest> {
        let text = |name: &str| Argument::option(name, ArgumentKind::Text, "");
        let uuid = || Argument::positional("uuid", ArgumentKind::Text, "");
        let wait = |member: &str, always: &[&'static str], failed: &[&'static str]| {
            Wait::new("state", "uuid", member).always(always.iter().copied()).failed(failed.iter().copied())
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
            .command(spec("close", &["tally", "close"]).argument(uuid()).wait(wait("state", &[], &[])))
            .command(spec("list", &["tally", "list"]).argument(text("user")))
            .command(spec("show", &["tally", "show"]).argument(uuid()));
        vec![host::manifest(), tally, ledger::manifest()]
    }

    fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        let mut net = self.net.lock().unwrap();
        if plugin == "chit" {
            let mut answer = net.ledger.call(&self.name, command, argument)?;
            if let (Flaw::Chit, "bob", Value::Array(listed)) = (self.flaw, self.name.as_str(), &mut answer) {
                listed.pop();
            }
            return Ok(answer);
        }
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
            "close" => {
                net.state.insert("alice".into(), "close");
                if self.flaw != Flaw::Close {
                    net.state.insert("bob".into(), "close");
                }
                Ok(json!({"uuid": "fresh-uuid", "state": "close"}))
            }
            "list" => Ok(json!([{"uuid": "fresh-uuid", "state": state(&net)}])),
            "state" | "show" => {
                let hash = if self.flaw == Flaw::Hash && self.name == "bob" { "other" } else { "hash" };
                let side = if self.name == "alice" { "stock" } else { "foil" };
                let mut shown = net.ledger.summary(&self.name);
                shown["conf"] = if self.flaw == Flaw::Unconfirmed { Value::Null } else { shown["end"].clone() };
                if self.flaw == Flaw::Balance && self.name == "bob" {
                    shown["net"] = json!(shown["net"].as_i64().unwrap() + 1);
                }
                for (name, value) in [("uuid", "fresh-uuid"), ("state", state(&net)), ("hash", hash), ("side", side)] {
                    shown[name] = json!(value);
                }
                shown["record"] = json!({});
                Ok(shown)
            }
            other => Err(Fault::not_found(format!("no command {other}"))),
        }
    }

    fn watch(&self, _: usize) -> Feed {
        let (feeder, feed) = feed();
        std::mem::forget(feeder); // stays open and silent, so waits go by their interval
        feed
    }
}

/// Starts made-up sites in this process.
pub(super) struct Here {
    folder: tempfile::TempDir,
    net: Arc<Mutex<Net>>,
    flaw: Flaw,
    servers: Mutex<BTreeMap<String, Server>>,
}

impl Here {
    pub fn new(flaw: Flaw) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Here { folder, net: Arc::default(), flaw, servers: Mutex::default() }
    }
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

    fn freeze(&self, _: &str) -> Result<(), Fault> {
        Ok(())
    }

    fn thaw(&self, _: &str) -> Result<(), Fault> {
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.net.lock().unwrap().interrupted
    }

    fn logs(&self) -> Vec<(String, String)> {
        vec![("alice".into(), world::read_log(&self.net.lock().unwrap().log))]
    }
}
