//! What the ledger promises about one event, tried on its core: without thread, clock and sockets.
#![allow(clippy::unwrap_used)]

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::sync::Arc;
use tallyho::ledger::core::Done;
use tallyho::ledger::services::{Host, HostCall};
use tallyho::ledger::{Core, Inbound, Input, Outcome, Parts, PluginTable};
use tallyho::plugin::StaticPlugin;
use tallyho::site::endpoint::Endpoint;
use tallyho::site::relations::RelationRegistry;
use tallyho::site::users::Custody;
use tallyho::site::{tickets, users};
use tallyho::store::{Faults, FaultyStore, MemoryDisk, MemoryStore, Operation, Store, StoreError};
use tallyho_plugin::FaultKind;
use tallyho_plugin::context::{Scan, to_cbor};
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::record::signing::{AgentKey, UserKey};
use tallyho_plugin::services::TicketOrder;

const NOW: Timestamp = Timestamp(1_636_113_600_000);

/// Does everything an event can do, and then fails if it is told to.
struct Diary;

impl Handler for Diary {
    fn manifest() -> Manifest {
        Manifest::new("diary", "0.1.0")
            .target(Target::new("diary", &["note"]))
            .target(Target::new("tally", &["ticket"]).unrelated(&["ticket"]))
            .tables(&["notes"])
            .reads(&["other.open"])
            .command(CommandSpec::new("write", "does everything"))
            .command(CommandSpec::new("notes", "how many notes there are"))
            .command(CommandSpec::new("reach", "reads or writes any table"))
    }
    fn create() -> Result<Self, Fault> {
        Ok(Diary)
    }
    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        everything(message.body == b"\xf5", context)
    }
    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let arguments: Value = command.arguments()?;
        match command.name.as_str() {
            "notes" => Ok(json!(context.scan::<u64>("notes", &all())?.len())),
            "reach" => {
                let table = arguments["table"].as_str().unwrap_or_default();
                match arguments["write"] == true {
                    true => context.put(table, "key", &1)?,
                    false => drop(context.get::<u64>(table, "key")?),
                }
                Ok(Value::Null)
            }
            _ => everything(arguments["fail"] == true, context).map(|()| Value::Null),
        }
    }
    fn timer(&self, _: &Timer, _: &mut Context<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

fn everything(fail: bool, context: &mut Context<'_>) -> Result<(), Fault> {
    let key: [u8; 8] = context.random();
    context.put("notes", key, &1)?;
    let peer = Chad::user("bob", agent(2).id().clone());
    context.send(&Outgoing::new(peer, "alice", "diary", "note", &json!({}))?)?;
    context.notice("alice", &json!({ "about": "note" }))?;
    context.set_timer("later", context.now().plus(1_000))?;
    if fail { Err(Fault::failed("told to")) } else { Ok(()) }
}

fn all() -> Scan {
    Scan { limit: 100, ..Scan::default() }
}

fn agent(number: u8) -> AgentKey {
    AgentKey::from_seed(&[number; 32]).unwrap()
}

struct Keys(AgentKey);

impl Host for Keys {
    fn agent(&self) -> &AgentId {
        self.0.id()
    }
    fn sign_agent(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).to_vec()
    }
    fn sign_user(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::refused("no user has a key here"))
    }
    fn command(&self, _: &mut HostCall<'_, '_>, name: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::not_found(name))
    }
}

/// A ledger's core over a store in memory that fails when told to.
struct Site {
    core: Core,
    faults: Faults,
    disk: MemoryDisk,
}

impl Site {
    fn new() -> Self {
        Self::on(&MemoryStore::new().disk())
    }

    /// A site whose store is what an earlier one left on this disk.
    fn on(disk: &MemoryDisk) -> Self {
        let (store, faults) = FaultyStore::new(MemoryStore::open(disk));
        let table = PluginTable::default().with(Arc::new(StaticPlugin::<Diary>::create().unwrap())).unwrap();
        let mut seed = 0;
        let seeds = Box::new(move || {
            seed += 1;
            [seed; 32]
        });
        let core = Core::open(Parts {
            store: Box::new(store),
            table: Arc::new(ArcSwap::from_pointee(table)),
            host: Arc::new(Keys(agent(1))),
            relations: Arc::new(RelationRegistry::new()),
            seeds,
        });
        Site { core: core.unwrap(), faults, disk: disk.clone() }
    }

    fn apply(&mut self, input: Input) -> Result<Done, StoreError> {
        self.core.apply(&[(input, Default::default())], NOW)
    }

    fn command(&mut self, name: &str, arguments: Value) -> Outcome {
        let input =
            Input::Command { plugin: "diary".into(), name: name.into(), argument: to_cbor(&arguments).unwrap() };
        self.apply(input).unwrap().outcomes.remove(0)
    }

    fn notes(&mut self) -> Value {
        match self.command("notes", json!({})) {
            Outcome::Done(answer) => ciborium::from_reader(answer.as_slice()).unwrap(),
            Outcome::Fault(fault) => panic!("{fault}"),
        }
    }
}

fn write(fail: bool) -> Input {
    let argument = to_cbor(&json!({ "fail": fail })).unwrap();
    Input::Command { plugin: "diary".into(), name: "write".into(), argument }
}

fn message(mid: u64, body: &[u8]) -> Input {
    Input::Peer(Inbound {
        message: Message {
            target: "diary".into(),
            action: "note".into(),
            to: Chad::user("alice", agent(1).id().clone()),
            from: Chad::user("bob", agent(2).id().clone()),
            tally: None,
            ticket: None,
            restricted: false,
            attempt: None,
            body: body.to_vec(),
        },
        ticket: None,
        mid: Some(mid),
    })
}

#[test]
fn nothing_is_let_out_by_a_commit_that_failed() {
    let mut site = Site::new();
    let full = StoreError::Unwritable { path: "site.db".into(), why: "no space".into() };
    site.faults.fail(Operation::Commit, 1, full.clone());
    // What may leave comes with success only; there is nothing else to be had.
    assert_eq!(site.apply(write(false)).unwrap_err(), full);
    assert_eq!(site.notes(), 0);
    let again = site.apply(write(false)).unwrap().released;
    assert_eq!((again.posts.len(), again.notices.len()), (1, 1));
    assert_eq!(site.notes(), 1);
}

#[test]
fn an_id_is_applied_once_also_after_a_restart() {
    let mut site = Site::new();
    let first = site.apply(message(7, b"\xf6")).unwrap().released;
    assert_eq!((first.posts.len(), first.receipts[0].1.upto), (1, 7));
    let again = site.apply(message(7, b"\xf6")).unwrap().released;
    assert_eq!((again.posts.len(), again.receipts[0].1.upto), (0, 7), "it is receipted again, and has no effect");
    let mut site = Site::on(&site.disk);
    assert_eq!(site.apply(message(7, b"\xf6")).unwrap().released.posts.len(), 0);
    assert_eq!(site.notes(), 1);
    site.apply(message(8, b"\xf6")).unwrap();
    assert_eq!(site.notes(), 2);
}

#[test]
fn a_handler_that_fails_leaves_nothing_behind() {
    let mut site = Site::new();
    for input in [write(true), message(1, b"\xf5")] {
        let done = site.apply(input).unwrap();
        assert!(matches!(&done.outcomes[0], Outcome::Fault(fault) if fault.kind == FaultKind::Failed));
        assert!(done.released.posts.is_empty() && done.released.notices.is_empty());
    }
    assert_eq!(site.notes(), 0);
    assert_eq!(site.core.next_timer(), None);
    let waiting = site.core.refill(agent(2).id(), 0).unwrap();
    assert!(waiting.is_empty(), "{waiting:?}");
}

#[test]
fn one_events_failure_does_not_touch_its_neighbours_in_the_batch() {
    let mut site = Site::new();
    let batch = [write(false), write(true), write(false)].map(|input| (input, Default::default()));
    let done = site.core.apply(&batch, NOW).unwrap();
    let failed: Vec<bool> = done.outcomes.iter().map(|outcome| matches!(outcome, Outcome::Fault(_))).collect();
    assert_eq!(failed, [false, true, false]);
    assert_eq!(site.notes(), 2);
}

#[test]
fn a_plugin_reaches_its_own_tables_and_those_granted_only() {
    let mut site = Site::new();
    for (table, write, allowed) in [
        ("notes", true, true),
        ("notes", false, true),
        ("other.open", false, true),
        ("other.open", true, false),
        ("other.closed", false, false),
        ("undeclared", true, false),
        ("undeclared", false, false),
        ("host.users", false, false),
        ("host.users", true, false),
    ] {
        let outcome = site.command("reach", json!({ "table": table, "write": write }));
        assert_eq!(matches!(outcome, Outcome::Done(_)), allowed, "{table} {write}: {outcome:?}");
    }
}

/// A ticket of alice's in this store, and bob's certificate.
fn ticket(disk: &MemoryDisk) -> (String, Value) {
    let key = UserKey::generate(KeyKind::Ed25519).unwrap();
    let mut store = MemoryStore::open(disk);
    let mut transaction = store.begin().unwrap();
    let mut rows = tallyho::ledger::buffer::Buffer::new(&mut *transaction);
    users::add(&mut rows, "alice", "Alice", key.public(), Custody::Site, NOW).unwrap();
    let order = TicketOrder { user: "alice".into(), subject: "draft".into(), reuse: false, expires: None, limit: None };
    let token = tickets::issue(&mut rows, "diary", &order, [7; 18], NOW).unwrap().token;
    rows.keep().unwrap();
    transaction.commit().unwrap();

    let mut elsewhere = MemoryStore::new();
    let mut transaction = elsewhere.begin().unwrap();
    let mut rows = tallyho::ledger::buffer::Buffer::new(&mut *transaction);
    let bob = users::add(&mut rows, "bob", "Bob", key.public(), Custody::Site, NOW).unwrap();
    let place = Endpoint { host: "bob.example".into(), port: 65430 };
    (token, bob.certificate(agent(2).id(), &place, NOW).unwrap().value().clone())
}

#[test]
fn a_ticket_is_consumed_with_its_tally_or_not_at_all() {
    let mut site = Site::new();
    let (token, cert) = ticket(&site.disk);
    let present = |mid, body: &[u8]| match message(mid, body) {
        Input::Peer(mut inbound) => {
            (inbound.message.target, inbound.message.action) = ("tally".into(), "ticket".into());
            inbound.ticket = Some(json!({ "token": token, "cert": cert }));
            Input::Peer(inbound)
        }
        other => other,
    };
    let used = |site: &mut Site| {
        let read = site.core.read(|rows| {
            tickets::list(&mut tallyho::ledger::buffer::Buffer::new(rows), None, None).map(|all| all[0].used)
        });
        read.unwrap()
    };
    let failed = site.apply(present(1, b"\xf5")).unwrap();
    assert!(matches!(failed.outcomes[0], Outcome::Fault(_)));
    assert_eq!((used(&mut site), site.notes()), (None, json!(0)), "the handler failed");
    site.faults.fail(Operation::Commit, 1, StoreError::Conflict);
    assert_eq!(site.apply(present(2, b"\xf6")).unwrap_err(), StoreError::Conflict);
    assert_eq!((used(&mut site), site.notes()), (None, json!(0)), "the store failed");
    let done = site.apply(present(2, b"\xf6")).unwrap();
    assert!(matches!(done.outcomes[0], Outcome::Done(_)), "{:?}", done.outcomes);
    assert_eq!((used(&mut site), site.notes()), (Some(NOW), json!(1)));
}
