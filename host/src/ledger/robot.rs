//! What the ledger's tests share: a handler that does what it is told, and a core around it.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::core::{Core, Done, Parts};
use super::host::{Host, HostCall};
use super::input::{Inbound, Input, Outcome};
use super::journal::Entry;
use super::table::PluginTable;
use super::verify::Checked;
use crate::plugin::{Given, StaticPlugin};
use crate::site::relations::RelationRegistry;
use crate::site::tickets;
use crate::site::users::{self, Custody};
use crate::store::{Faults, FaultyStore, MemoryDisk, MemoryStore, StoreError};
use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::keys::PublicKey;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{Keep, Outgoing, Range, Relation, Schedule, TicketOrder};
use tallyho_plugin::{CommandSpec, Target};

/// Where [`Bench::everything`] has the journal.
pub const JOURNAL: usize = 4;
/// And of the numbers of its next entry.
pub const NEXT: usize = 7;

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// What a robot is told, by a message, a command, or the row `on` of its table before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Do {
    Put(String, String),
    Delete(String),
    /// In another's table.
    PutIn(String, String),
    Get(String),
    /// Sends to this agent under this name; a script for the other side.
    Send(AgentId, String, Vec<Do>),
    SendPlain(Box<Outgoing>),
    Withdraw(AgentId, String),
    Timer(String, Timestamp),
    Cancel(String),
    /// Has another robot do this; its fault is passed on, or swallowed.
    Invoke(String, Vec<Do>, bool),
    Notice,
    Metric(String),
    Relate(Relation),
    Unrelate(String, String, AgentId),
    Revoke(String),
    Refuse,
    /// Refuses, and says that it was more than a mistake.
    Strike,
    Fail,
    /// The host's fault, as when it cannot serve.
    Host,
    Panic,
    /// So many rows.
    Many(u32),
    /// So many timers.
    ManyTimers(u32),
    /// From now on does this when told of deliveries, timers or its life.
    On(Vec<Do>),
}

/// Robots are called `r0`, `r1`, ..., own table `rows` and claim the target of their name.
pub struct Robot<const N: usize>;

impl<const N: usize> Robot<N> {
    fn heard(what: &str, context: &mut Context<'_>) -> Result<(), Fault> {
        let number: u64 = context.get("rows", "heard")?.unwrap_or(0);
        context.put("rows", "heard", &(number + 1))?;
        context.put("rows", format!("heard/{number:04}"), &what)?;
        let on: Option<Vec<Do>> = context.get("rows", "on")?;
        obey(&on.unwrap_or_default(), context).map(drop)
    }
}

fn obey(script: &[Do], context: &mut Context<'_>) -> Result<Value, Fault> {
    let mut answer = Value::Null;
    for step in script {
        match step.clone() {
            Do::Put(key, value) => context.put("rows", key, &value)?,
            Do::PutIn(table, key) => context.put(&table, key, &1)?,
            Do::Delete(key) => context.delete("rows", key)?,
            Do::Get(key) => answer = json!(context.get::<String>("rows", key)?),
            Do::Send(to, key, script) => context.send(&outgoing(to, &key, &script))?,
            Do::SendPlain(message) => context.send(&message)?,
            Do::Withdraw(agent, key) => answer = json!(context.withdraw(&agent, &key)?),
            Do::Timer(key, at) => context.set_timer(&key, at)?,
            Do::Cancel(key) => context.cancel_timer(&key)?,
            Do::Invoke(plugin, script, pass) => match context.invoke::<Value>(&plugin, "do", &script) {
                Err(fault) if pass => return Err(fault),
                other => answer = other.unwrap_or_default(),
            },
            Do::Notice => context.notice("alice", &json!({ "about": "test" }))?,
            Do::Metric(name) => context.metric(&name, 1),
            Do::Relate(relation) => context.relate(&relation)?,
            Do::Unrelate(user, subject, agent) => context.unrelate(&user, &subject, &agent)?,
            Do::Revoke(token) => context.revoke_ticket(&token)?,
            Do::Refuse => return Err(Fault::refused("as told")),
            Do::Strike => return Err(Fault::refused("as told").code(tallyho_plugin::fault::STRIKE)),
            Do::Fail => return Err(Fault::failed("as told")),
            Do::Host => return Err(Fault::host("as told")),
            Do::Panic => panic!("as told"),
            Do::Many(count) => (0..count).try_for_each(|n| context.put("rows", n.to_be_bytes(), &n))?,
            Do::ManyTimers(count) => (0..count).try_for_each(|_| context.set_timer("same", NOW))?,
            Do::On(script) => context.put("rows", "on", &script)?,
        }
    }
    Ok(answer)
}

impl<const N: usize> Handler for Robot<N> {
    fn manifest() -> Manifest {
        let name = format!("r{N}");
        let manifest = Manifest::new(&name, "1.0.0")
            .target(Target::new(&name, &["do", "public", "answer"]).restricted(&["public"]).answers(&["answer"]))
            .target(
                Target::new(format!("{name}.about"), &["do", "first"])
                    .relation_in_object("about")
                    .unrelated(&["first"]),
            )
            .tables(&["rows"])
            .command(CommandSpec::new("do", "does it").invocable())
            .command(CommandSpec::new("own", "does it for people only"));
        let manifest = if N == 1 { manifest.reads(&["r0.rows", "r9.rows"]) } else { manifest };
        if N == 0 { manifest.target(Target::new("tally", &["ticket"])) } else { manifest }
    }

    fn create() -> Result<Self, Fault> {
        Ok(Robot)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        if let Some(ticket) = &message.ticket {
            context.put("rows", "ticket", &ticket.subject)?;
            let script: Option<Vec<Do>> = context.get("rows", "at-ticket")?;
            return obey(&script.unwrap_or_default(), context).map(drop);
        }
        let object: Value = message.object()?;
        Self::heard(&format!("message {}", object["name"].as_str().unwrap_or_default()), context)?;
        let script: Vec<Do> =
            serde_json::from_value(object["do"].clone()).map_err(|e| Fault::refused(e.to_string()))?;
        obey(&script, context).map(drop)
    }

    fn command(&self, command: &tallyho_plugin::Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        obey(&command.arguments::<Vec<Do>>()?, context)
    }

    fn timer(&self, timer: &tallyho_plugin::Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        Self::heard(&format!("timer {}", timer.key), context)
    }

    fn delivery(&self, delivery: &tallyho_plugin::Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        let fate = match &delivery.fate {
            tallyho_plugin::Fate::HandedOver => "handed over",
            tallyho_plugin::Fate::Stalled { .. } => "stalled",
            tallyho_plugin::Fate::Accepted => "accepted",
            tallyho_plugin::Fate::Refused => "refused",
            _ => "delayed",
        };
        Self::heard(&format!("{fate} {}", delivery.key), context)
    }

    fn life(&self, _: &tallyho_plugin::Life, context: &mut Context<'_>) -> Result<(), Fault> {
        Self::heard("started", context)
    }
}

/// Alice's site, `a`; others are `b`, `c` ...
pub fn agent(letter: char) -> AgentId {
    AgentId::from_bytes(&[letter as u8; 32])
}

/// Keys that sign nothing, and the commands that the tests need.
pub struct TestHost(pub AgentId);

impl Host for TestHost {
    fn agent(&self) -> &AgentId {
        &self.0
    }
    fn sign_agent(&self, _: &[u8]) -> Vec<u8> {
        vec![0; 64]
    }
    fn sign_user(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::refused("no keys here"))
    }
    fn command(&self, call: &mut HostCall<'_, '_>, name: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        let host = |error: StoreError| Fault::host(error.to_string());
        match name {
            "ticket" => {
                users::add(call.buffer, "alice", "", &PublicKey::Ed25519([3; 32]), Custody::Site, call.now).unwrap();
                let (user, subject) = ("alice".to_owned(), "t1".to_owned());
                let order = TicketOrder { user, subject, reuse: false, expires: None, limit: None };
                let token =
                    tickets::issue(call.buffer, "r0", &order, [7; crate::site::limits::TOKEN_BYTES], call.now).unwrap();
                to_cbor(&token.token)
            }
            "ticket.revoke" => {
                let Value::Object(argument) = ciborium::from_reader(argument).unwrap() else { panic!("a map") };
                let token = argument["token"].as_str().unwrap();
                tickets::revoke(call.buffer, call.caller, token, call.now).map_err(host)?;
                to_cbor(&json!({}))
            }
            "used" => {
                let used: Vec<bool> = tickets::list(call.buffer, None, None)
                    .map_err(host)?
                    .iter()
                    .map(|token| token.used.is_some())
                    .collect();
                to_cbor(&used)
            }
            _ => Err(Fault::not_found("no such command")),
        }
    }
}

/// A message to a robot's target at another site, reported and kept as requests are.
pub fn outgoing(to: AgentId, key: &str, script: &[Do]) -> Outgoing {
    let object = json!({ "name": key, "do": script });
    let mut message = Outgoing::new(Chad::user("bob", to), "alice", "r0", "do", &object).unwrap();
    (message.key, message.report) = (key.to_owned(), true);
    (message.schedule, message.keep) = (Schedule::Request, Keep::HandedOver);
    message
}

/// A core of robots r0, r1 and r2, its disk and its faults.
pub struct Bench {
    pub core: Core,
    pub disk: MemoryDisk,
    pub faults: Faults,
    pub now: Timestamp,
}

impl Bench {
    pub fn new() -> Self {
        Self::on(&MemoryDisk::default())
    }

    /// The core as it is after a restart.
    pub fn on(disk: &MemoryDisk) -> Self {
        let (parts, faults) = parts(disk);
        Bench { core: Core::open(parts).unwrap(), disk: disk.clone(), faults, now: NOW }
    }

    pub fn apply(&mut self, inputs: Vec<Input>) -> Done {
        self.try_apply(inputs).unwrap()
    }

    pub fn try_apply(&mut self, inputs: Vec<Input>) -> Result<Done, StoreError> {
        let inputs: Vec<(Input, Checked)> = inputs.into_iter().map(|input| (input, Checked::new())).collect();
        self.core.apply(&inputs, self.now)
    }

    /// One input; what came of it.
    pub fn one(&mut self, input: Input) -> Outcome {
        self.apply(vec![input]).outcomes.remove(0)
    }

    pub fn tell(&mut self, script: &[Do]) -> Outcome {
        self.one(command("r0", script))
    }

    /// A row of a robot's, as text.
    pub fn row(&mut self, plugin: &str, key: &str) -> Option<String> {
        let row = self.core.read(|transaction| transaction.get(&format!("{plugin}.rows"), key.as_bytes())).unwrap();
        row.map(|bytes| ciborium::from_reader(bytes.as_slice()).unwrap())
    }

    /// What a robot has heard of messages, deliveries, timers and its life.
    pub fn heard(&mut self, plugin: &str) -> Vec<String> {
        let rows = self.scan(&format!("{plugin}.rows"));
        let heard = rows.into_iter().filter(|(key, _)| key.starts_with(b"heard/"));
        heard.map(|(_, bytes)| ciborium::from_reader(bytes.as_slice()).unwrap()).collect()
    }

    pub fn scan(&mut self, table: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let range = Range { from: Vec::new(), to: None, reverse: false, limit: 10_000 };
        self.core.read(|transaction| transaction.scan(table, &range)).unwrap()
    }

    /// Everything in the store.
    pub fn everything(&mut self) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
        let host = ["outbox", "outbox_names", "outbox_peers", "inbound", "journal", "timers", "timer_names"];
        let more = ["next", "notices", "aside", "tickets", "users", "relations", "addresses"];
        let host = host.iter().chain(&more).map(|name| format!("host.{name}"));
        let mut all: Vec<_> = host.chain((0..3).map(|n| format!("r{n}.rows"))).map(|table| self.scan(&table)).collect();
        // Each core of a test has plugins of its own, of generations of their own.
        for (_, value) in &mut all[JOURNAL] {
            if let Ok(entry) = ciborium::from_reader::<Entry, _>(value.as_slice()) {
                *value = format!("{:?}", Entry { generation: 0, ..entry }).into_bytes();
            }
        }
        all
    }
}

pub fn parts(disk: &MemoryDisk) -> (Parts, Faults) {
    let (store, faults) = FaultyStore::new(MemoryStore::open(disk));
    let table = PluginTable::default()
        .with(Arc::new(StaticPlugin::<Robot<0>>::create().unwrap()))
        .and_then(|table| table.with(Arc::new(StaticPlugin::<Robot<1>>::create().unwrap())))
        .and_then(|table| table.with(Arc::new(StaticPlugin::<Robot<2>>::create().unwrap())))
        .unwrap();
    let parts = Parts {
        store: Box::new(store),
        table: Arc::new(ArcSwap::from_pointee(table)),
        host: Arc::new(TestHost(agent('a'))),
        relations: Arc::new(RelationRegistry::new()),
        seeds: Box::new(|| [9; 32]),
    };
    (parts, faults)
}

pub fn command(plugin: &str, script: &[Do]) -> Input {
    Input::Command { plugin: plugin.to_owned(), name: "do".to_owned(), argument: to_cbor(&script).unwrap() }
}

/// A message from bob's site to r0.
pub fn from_bob(name: &str, mid: Option<u64>, script: &[Do]) -> Input {
    Input::Peer(inbound(name, mid, script))
}

pub fn inbound(name: &str, mid: Option<u64>, script: &[Do]) -> Inbound {
    let message = Message {
        target: "r0".to_owned(),
        action: "do".to_owned(),
        to: Chad::user("alice", agent('a')),
        from: Chad::user("bob", agent('b')),
        tally: None,
        ticket: None,
        restricted: false,
        asked: false,
        attempt: None,
        body: to_cbor(&json!({ "name": name, "do": script })).unwrap(),
    };
    Inbound { message: message.into(), ticket: None, mid, cleared: None, origin: None }
}

pub fn is_fault(outcome: &Outcome, kind: tallyho_plugin::FaultKind) -> bool {
    matches!(outcome, Outcome::Fault(fault) if fault.kind == kind)
}

/// An event, for handlers that are asked apart from any core.
pub fn event(name: &str) -> Arc<Given> {
    Arc::clone(inbound(name, None, &[]).message.event())
}
