//! What a handler is given, in order.

use super::friendly::{self, Known, USER};
use super::hostile;
use crate::Event;
use crate::context::to_cbor;
use crate::event::{Command, Delivery, Fate, Life, Message, Timer};
use crate::manifest::{CommandSpec, Manifest, RelationMember, Target};
use crate::record::{Chad, Timestamp};
use crate::testkit::{Peer, Sent};
use serde_json::{Value, json};

/// What the partner of [`USER`] may talk about.
pub const SUBJECT: &str = "6f0e1d2c-0000-4000-8000-00000000000a";

/// Timers and messages of the handler's own that are followed up: more would tell nothing new.
const FOLLOWED: usize = 40;

/// One thing that a handler is given.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its number, the same each time the same build is tried.
    pub number: usize,
    /// What it is, for people.
    pub label: String,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Event(Box<Event>),
    /// A command of the manifest, by its place, as somebody would give it.
    Command {
        at: usize,
        all: bool,
    },
    /// From a state version, over the tables as they are or over empty ones.
    Migrate {
        from: u32,
        empty: bool,
    },
}

/// The cases that can be told beforehand.
pub(super) fn first(manifest: &Manifest, site: &Chad, peer: &Peer) -> Vec<(String, What)> {
    let life = || What::Event(Box::new(Event::Life(Life::Started)));
    let mut cases = vec![("its start".to_owned(), life()), ("its start, again".to_owned(), life())];
    // Twice, since answers to later commands are asked for by earlier ones.
    for round in ["", ", again"] {
        for (at, spec) in manifest.commands.iter().enumerate() {
            for (all, how) in [(false, "with what it requires"), (true, "with all its arguments")] {
                cases.push((format!("command {} {how}{round}", spec.name), What::Command { at, all }));
            }
        }
    }
    manifest.commands.iter().for_each(|spec| hostile_command(spec, &mut cases));
    manifest.targets.iter().for_each(|target| messages(target, site, peer, &mut cases));
    for key in ["", "unknown", "\0\u{1b}[2J", &"k".repeat(400)] {
        let timer = Timer { key: key.to_owned(), due: Timestamp(0) };
        cases.push((format!("a timer of name {:.20?}", key), What::Event(Box::new(Event::Timer(timer)))));
        cases.extend(fates(key, peer).into_iter().map(|(fate, what)| (format!("{fate} of {:.20?}", key), what)));
    }
    cases
}

/// What follows from what was done: timers that it has set come due, its messages meet their fates; and its
/// tables are migrated.
pub(super) fn then(
    manifest: &Manifest,
    timers: &[(String, Timestamp)],
    sent: &[Sent],
    peer: &Peer,
) -> Vec<(String, What)> {
    let mut cases = Vec::new();
    for (key, due) in timers.iter().take(FOLLOWED) {
        let timer = Timer { key: key.clone(), due: *due };
        cases.push((format!("its timer {key:?}"), What::Event(Box::new(Event::Timer(timer)))));
    }
    for message in sent.iter().take(FOLLOWED) {
        let key = &message.message.key;
        let told = fates(key, peer).into_iter();
        cases.extend(told.map(|(fate, what)| (format!("{fate} of its {}", message.verb()), what)));
    }
    for from in 1..manifest.state_version {
        for (empty, of) in [(true, "empty tables"), (false, "tables that are of this one already")] {
            cases.push((format!("{of} from state version {from}"), What::Migrate { from, empty }));
        }
    }
    cases
}

fn fates(key: &str, peer: &Peer) -> Vec<(&'static str, What)> {
    let why = || "cannot connect".to_owned();
    let all = [
        ("handing over", Fate::HandedOver),
        ("delay", Fate::Delayed { attempts: u32::MAX, why: why() }),
        ("stalling", Fate::Stalled { attempts: 100, unsent: true, why: why() }),
        ("acceptance", Fate::Accepted),
        ("refusal", Fate::Refused),
    ];
    let delivery = |fate| Event::Delivery(Delivery { key: key.to_owned(), to: peer.agent(), fate });
    all.into_iter().map(|(name, fate)| (name, What::Event(Box::new(delivery(fate))))).collect()
}

fn hostile_command(spec: &CommandSpec, cases: &mut Vec<(String, What)>) {
    let honest = friendly::arguments(spec, true, &Known::default());
    let members: Vec<&str> = spec.arguments.iter().map(|argument| argument.name.as_str()).collect();
    for (name, body) in hostile::bodies(&honest, &members) {
        let command = Command { name: spec.name.clone(), caller: None, body };
        cases.push((format!("command {}: {name}", spec.name), What::Event(Box::new(Event::Command(command)))));
    }
    if spec.invocable {
        let body = to_cbor(&honest).unwrap_or_default();
        let command = Command { name: spec.name.clone(), caller: Some("stranger".to_owned()), body };
        let label = format!("command {} from another plugin", spec.name);
        cases.push((label, What::Event(Box::new(Event::Command(command)))));
    }
}

fn messages(target: &Target, site: &Chad, peer: &Peer, cases: &mut Vec<(String, What)>) {
    let member = match &target.relation {
        Some(RelationMember::Object(member)) => Some(member.as_str()),
        _ => None,
    };
    let honest: Value = member.map_or_else(|| json!({}), |member| json!({ member: SUBJECT }));
    let user = Chad { cuid: Some(USER.to_owned()), ..site.clone() };
    for action in &target.actions {
        let restricted = target.restricted.contains(action);
        for (name, body) in hostile::bodies(&honest, member.as_slice()) {
            let message = Message {
                target: target.name.clone(),
                action: action.clone(),
                to: user.clone(),
                from: peer.chad(),
                tally: Some(SUBJECT.to_owned()),
                ticket: None,
                restricted,
                asked: false,
                attempt: Some(u64::MAX),
                body,
            };
            let to_the_agent = Message { to: site.clone(), tally: None, attempt: None, ..message.clone() };
            let verb = format!("message {}/{action}", target.name);
            cases.push((format!("{verb}: {name}"), What::Event(Box::new(Event::Message(message)))));
            cases.push((format!("{verb} to the agent: {name}"), What::Event(Box::new(Event::Message(to_the_agent)))));
        }
    }
}
