//! Events set aside, as the operator sees them and decides on them.

use super::operator::text;
use super::{Node, views};
use crate::ledger::buffer::Buffer;
use crate::ledger::quarantine::{self, Aside};
use serde_json::{Value, json};
use tallyho_plugin::{Event, Fault, FaultKind};

impl Node {
    /// `plugin quarantine list`.
    pub(super) fn set_aside(&self, argument: &Value) -> Result<Value, Fault> {
        self.each_aside(argument, shown)
    }

    /// `plugin quarantine retry`: one, or all, the oldest first.
    pub(super) fn retry_set_aside(&self, argument: &Value) -> Result<Value, Fault> {
        let one = number(argument)?;
        let chosen = self.chosen(argument)?;
        let mut came = Vec::new();
        for mut aside in chosen {
            let number = aside["number"].as_u64().unwrap_or_default();
            let fault = self.decide(number, true)?;
            aside["state"] = json!(match fault.as_ref().map(|fault| fault.kind) {
                None => "done",
                Some(FaultKind::Failed | FaultKind::Host) => "failed",
                // It was handled: it does not fit what has become of everything since.
                Some(_) => "refused",
            });
            if let Some(fault) = fault {
                if one.is_some() && aside["state"] == "failed" {
                    return Err(fault);
                }
                aside["why"] = json!(fault.to_string());
            }
            came.push(aside);
        }
        self.ask_again();
        Ok(Value::Array(came))
    }

    /// `plugin quarantine drop`: one; or all, where it is said.
    pub(super) fn drop_set_aside(&self, argument: &Value) -> Result<Value, Fault> {
        if number(argument)?.is_none() && argument["all"] != true {
            return Err(Fault::usage("a number is missing").fix("for example 3; or --all, which cannot be undone"));
        }
        let mut dropped = Vec::new();
        for mut aside in self.chosen(argument)? {
            let number = aside["number"].as_u64().unwrap_or_default();
            if let Some(fault) = self.decide(number, false)? {
                return Err(fault);
            }
            aside["state"] = json!("dropped");
            dropped.push(aside);
        }
        self.ask_again();
        Ok(Value::Array(dropped))
    }

    /// What the doctor is told; see `CommandSpec::doctor`.
    pub(super) fn check_set_aside(&self) -> Result<Value, Fault> {
        let counts = views::read(self, |rows| quarantine::count(&mut Buffer::new(rows)))?;
        let faults: Vec<String> =
            counts.iter().map(|(plugin, count)| format!("{count} events of plugin {plugin} are set aside")).collect();
        Ok(json!({
            "looked": counts.values().sum::<u64>(),
            "faults": faults,
            "fix": "see `tallyho plugin quarantine list`; swap in a build that is mended, then \
                    `tallyho plugin quarantine retry`, or `drop`",
        }))
    }

    fn decide(&self, number: u64, again: bool) -> Result<Option<Fault>, Fault> {
        self.ledger.alter(move |core, now| {
            core.aside(number, again, now).map_err(|error| Fault::host(error.to_string()).code("store"))
        })
    }

    /// The one of this number, or all that the argument speaks of.
    fn chosen(&self, argument: &Value) -> Result<Vec<Value>, Fault> {
        let number = number(argument)?;
        let Value::Array(mut all) = self.each_aside(argument, shown)? else { return Ok(Vec::new()) };
        if let Some(number) = number {
            all.retain(|aside| aside["number"] == number);
            if all.is_empty() {
                return Err(Fault::not_found(format!("no event is set aside under number {number}"))
                    .fix("see `tallyho plugin quarantine list`"));
            }
        }
        Ok(all)
    }

    fn each_aside(&self, argument: &Value, show: fn(u64, &Aside) -> Value) -> Result<Value, Fault> {
        let plugin = text(argument, "plugin").map(str::to_owned);
        views::read(self, move |rows| {
            let mut all = Vec::new();
            quarantine::each(rows, plugin.as_deref(), |number, aside| all.push(show(number, &aside)))?;
            Ok(Value::Array(all))
        })
    }
}

fn number(argument: &Value) -> Result<Option<u64>, Fault> {
    match &argument["number"] {
        Value::Null => Ok(None),
        other => other.as_u64().map(Some).ok_or_else(|| {
            Fault::usage(format!("number is {other}, expected that of an event set aside")).fix("for example 3")
        }),
    }
}

fn shown(number: u64, aside: &Aside) -> Value {
    let mut shown = json!({
        "number": number,
        "plugin": aside.plugin,
        "what": aside.what,
        "at": aside.at.to_string(),
        "tries": aside.tries,
        "fault": aside.fault,
        "bytes": aside.bytes(),
    });
    if let Ok(Event::Message(message)) = aside.event() {
        shown["from"] = json!(message.from);
    }
    shown
}
