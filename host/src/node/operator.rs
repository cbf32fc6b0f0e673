//! The site as its operator reaches it.

use super::host::NewUser;
use super::plugins::How;
use super::{Node, plugin_views, shadows, views};
use crate::control::host::manifest;
use crate::control::{Answer, Feed, Operator, Tell};
use crate::crash::crash_point;
use crate::ledger::input::Outcome;
use crate::site::users::Custody;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::AgentId;
use tallyho_plugin::record::chad::check_cuid;
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::{Fault, Manifest};

impl Operator for Node {
    fn manifests(&self) -> Vec<Manifest> {
        let table = self.ledger.table();
        let plugins = table.all().into_iter().map(|serving| serving.manifest().clone());
        std::iter::once(manifest()).chain(plugins).collect()
    }

    fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        match plugin {
            "host" => self.host_command(command, argument),
            _ => {
                self.declared(plugin, command)?;
                self.ask(plugin, command, argument)
            }
        }
    }

    fn begin(&self, plugin: &str, command: &str, argument: &Value, tell: Tell) {
        if plugin == "host" {
            return tell(Answer::Read(self.host_command(command, argument)));
        }
        match self.declared(plugin, command).and_then(|()| to_cbor(argument)) {
            Ok(argument) => {
                let tell = move |outcome| {
                    tell(match outcome {
                        Outcome::Done(answer) => Answer::Encoded(answer),
                        Outcome::Fault(fault) => Answer::Read(Err(fault)),
                    });
                };
                self.ledger.begin(plugin, command, argument, Box::new(tell));
            }
            Err(fault) => tell(Answer::Read(Err(fault))),
        }
    }

    fn watch(&self, recent: usize) -> Feed {
        let first = match recent {
            0 => Vec::new(),
            recent => views::notices(self, recent).unwrap_or_default(),
        };
        self.watchers.watch(first)
    }
}

pub(super) fn text<'a>(argument: &'a Value, name: &str) -> Option<&'a str> {
    argument.get(name).and_then(Value::as_str)
}

fn required<'a>(argument: &'a Value, name: &str, example: &str) -> Result<&'a str, Fault> {
    text(argument, name).ok_or_else(|| Fault::usage(format!("{name} is missing")).fix(format!("for example {example}")))
}

fn plugin_name(argument: &Value) -> Result<&str, Fault> {
    required(argument, "name", "tally")
}

impl Node {
    fn host_command(&self, command: &str, argument: &Value) -> Result<Value, Fault> {
        match command {
            "status" => views::status(self),
            "user.add" => self.add_user(argument),
            "user.list" => views::users(self),
            "peer.list" => views::peers(self),
            "peer.set" => self.set_peer(argument),
            "ban.list" => Ok(views::bans(self)),
            "ban.clear" => self.clear_ban(argument),
            "plugin.list" => Ok(plugin_views::plugins(self)),
            "plugin.swap" => {
                let how = How {
                    file: text(argument, "file").map(Path::new),
                    migrate: argument["migrate"] == true,
                    shadow: shadows::wanted(argument)?,
                    only_if_new: false,
                };
                self.swap_plugin(plugin_name(argument)?, how)
            }
            "plugin.shadow" => self.shadow_report(plugin_name(argument)?),
            "plugin.snapshot" => self.snapshot(Path::new(required(argument, "file", "before.db")?)),
            "plugin.rollback" => self.roll_plugin_back(plugin_name(argument)?),
            "plugin.stop" => self.stop_plugin(plugin_name(argument)?),
            "plugin.quarantine.list" => self.set_aside(argument),
            "plugin.quarantine.retry" => self.retry_set_aside(argument),
            "plugin.quarantine.drop" => self.drop_set_aside(argument),
            "plugin.quarantine.check" => self.check_set_aside(),
            "plugin.start" => self.start_plugin(plugin_name(argument)?),
            _ => Err(Fault::not_found(format!("the host has no command {command}"))),
        }
    }

    /// A command of the ledger's, carried out; its answer.
    fn ask(&self, plugin: &str, command: &str, argument: &impl Serialize) -> Result<Value, Fault> {
        Answer::Encoded(self.ledger.call(plugin, command, to_cbor(argument)?)?).read()
    }

    /// A handler is not given a command that its manifest does not have. (That no such plugin serves,
    /// the ledger says.)
    fn declared(&self, plugin: &str, command: &str) -> Result<(), Fault> {
        let table = self.ledger.table();
        let Some(serving) = table.named(plugin) else { return Ok(()) };
        let known: Vec<&str> = serving.manifest().commands.iter().map(|spec| spec.name.as_str()).collect();
        match known.contains(&command) {
            true => Ok(()),
            false => Err(Fault::not_found(format!("plugin {plugin} has no command {command}"))
                .fix(format!("its commands are: {}", known.join(", ")))),
        }
    }

    /// The key is made, and durable in its file, before the account is: a crash between the two leaves
    /// a key without account, which the next `user add` of that name takes.
    fn add_user(&self, argument: &Value) -> Result<Value, Fault> {
        let cuid = required(argument, "cuid", "alice")?;
        let name = text(argument, "name").unwrap_or(cuid);
        if self.net.users().knows(cuid) {
            return Err(Fault::refused(format!("user {cuid} lives here already")).fix("see `tallyho user list`"));
        }
        check_cuid(cuid).map_err(|error| Fault::usage(format!("cuid: {error}")))?;
        let (public, custody) = match argument.get("public").filter(|public| !public.is_null()) {
            Some(public) => (public.clone(), Custody::Elsewhere),
            None => {
                let kind = match text(argument, "key") {
                    Some("ed25519") => KeyKind::Ed25519,
                    None | Some("p521") => KeyKind::P521,
                    Some(other) => return Err(Fault::usage(format!("key: {other} is neither p521 nor ed25519"))),
                };
                let made = self.key_folder.user_or_new(cuid, kind);
                let fix = "make room on that disk or mend the folder's permissions, then repeat the command";
                let (key, _) = made.map_err(|error| Fault::host(error.to_string()).code("system").fix(fix))?;
                let public = key.public_jwk();
                crash_point("user-key");
                self.keys.add(cuid, key);
                (public, Custody::Site)
            }
        };
        let user = NewUser { cuid: cuid.to_owned(), name: name.to_owned(), public, custody };
        let added = self.ask("host", "user.put", &user)?;
        crash_point("user-added");
        self.net.users().add(cuid);
        Ok(added)
    }

    fn set_peer(&self, argument: &Value) -> Result<Value, Fault> {
        let agent = required(argument, "agent", "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg")?;
        let agent = AgentId::parse(agent).map_err(|error| Fault::usage(error.to_string()))?;
        let mut argument = argument.clone();
        argument["agent"] = json!(agent);
        self.ask("host", "peer.put", &argument)
    }

    fn clear_ban(&self, argument: &Value) -> Result<Value, Fault> {
        let address = required(argument, "addr", "192.0.2.1")?;
        let now = self.net.now();
        match self.net.bans().clear(address, now) {
            Ok(cleared) => Ok(json!({ "addr": address, "cleared": cleared })),
            Err(error) => Err(Fault::usage(format!("addr: {error}"))),
        }
    }
}
