#![allow(clippy::unwrap_used)]

use super::*;
use crate::ledger::robot::{NOW, agent, inbound, parts};
use crate::store::MemoryDisk;
use serde_json::json;
use tallyho_plugin::services::Relation;

const UNTIL: i64 = 1_000;

fn granted(subject: &str, partner: &str, letter: char) -> RelationChange {
    RelationChange::Granted(Granted {
        plugin: "r0".to_owned(),
        relation: Relation {
            user: "alice".to_owned(),
            subject: subject.to_owned(),
            partner: partner.to_owned(),
            agent: agent(letter),
            host: None,
            port: None,
            until: Some(NOW.plus(UNTIL)),
        },
    })
}

fn ended(change: &RelationChange) -> RelationChange {
    RelationChange::Ended(of(change).clone())
}

fn about(subject: Option<&str>, action: &str) -> Message {
    let mut message = Message::clone(&inbound("m", None, &[]).message);
    (message.target, message.action) = ("r0.about".to_owned(), action.to_owned());
    message.body = tallyho_plugin::context::to_cbor(&json!({ "about": subject })).unwrap();
    message
}

/// Alice has a relation about `s` with bob at b, about `any` with whoever at b, about `c` with carol.
fn routed_with(changes: &[RelationChange], message: &Message, now: Timestamp) -> Result<String, Dropped> {
    let table = parts(&MemoryDisk::default()).0.table.load_full();
    let relations = RelationRegistry::new();
    relations.apply([granted("s", "bob", 'b'), granted("any", "", 'b'), granted("c", "carol", 'c')]);
    route_within(&table, &relations, changes, message, None, now)
}

fn routed(message: &Message) -> Result<String, Dropped> {
    routed_with(&[], message, NOW)
}

#[test]
fn a_message_goes_to_the_plugin_that_claims_its_target() {
    assert_eq!(routed(&inbound("m", None, &[]).message).as_deref(), Ok("r0"));
    assert_eq!(routed(&about(Some("s"), "do")).as_deref(), Ok("r0"));
    assert_eq!(routed(&about(Some("any"), "do")).as_deref(), Ok("r0"));
}

#[test]
fn whatever_does_not_fit_is_dropped_and_says_why() {
    let changed = |change: fn(&mut Message)| {
        let mut message = about(Some("s"), "do");
        change(&mut message);
        message
    };
    let table: [(Message, Dropped); 10] = [
        (changed(|message| message.target = "nobody".to_owned()), Dropped::UnknownTarget),
        (changed(|message| message.action = "dance".to_owned()), Dropped::UnknownAction),
        (changed(|message| message.restricted = true), Dropped::NotPublic),
        (changed(|message| message.from.cuid = Some("mallory".to_owned())), Dropped::OtherParties),
        (changed(|message| message.from.agent = agent('c')), Dropped::OtherParties),
        (changed(|message| message.from.cuid = None), Dropped::OtherParties),
        (changed(|message| message.to.cuid = None), Dropped::OtherParties),
        (about(Some("c"), "first"), Dropped::OtherParties),
        (about(None, "do"), Dropped::NoRelation),
        (about(Some("other"), "do"), Dropped::UnknownRelation),
    ];
    for (message, why) in table {
        assert_eq!(routed(&message), Err(why), "{message:?}");
    }
}

#[test]
fn a_first_message_may_be_about_what_is_not_known_yet() {
    assert_eq!(routed(&about(Some("new"), "first")).as_deref(), Ok("r0"));
    assert_eq!(routed(&about(None, "first")).as_deref(), Ok("r0"));
}

#[test]
fn a_relation_that_has_run_out_joins_nobody() {
    let late = NOW.plus(UNTIL);
    assert_eq!(routed_with(&[], &about(Some("s"), "do"), late), Err(Dropped::UnknownRelation));
    let again = [granted("s", "bob", 'b')];
    assert_eq!(routed_with(&again, &about(Some("s"), "do"), late), Err(Dropped::OtherParties));
}

#[test]
fn strangers_are_served_what_is_public_and_nothing_else() {
    let mut message = Message::clone(&inbound("m", None, &[]).message);
    message.restricted = true;
    assert_eq!(routed(&message), Err(Dropped::NotPublic));
    message.action = "public".to_owned();
    assert_eq!(routed(&message).as_deref(), Ok("r0"));
}

#[test]
fn a_stranger_who_was_asked_may_answer_and_say_what_is_public() {
    let mut message = Message::clone(&inbound("m", None, &[]).message);
    (message.restricted, message.asked, message.action) = (true, true, "answer".to_owned());
    assert_eq!(routed(&message).as_deref(), Ok("r0"));
    assert_eq!(routed(&Message { asked: false, ..message.clone() }), Err(Dropped::NotPublic));
    message.action = "public".to_owned();
    assert_eq!(routed(&message).as_deref(), Ok("r0"));
    message.action = "do".to_owned();
    assert_eq!(routed(&message), Err(Dropped::NotPublic));
}

#[test]
fn changes_of_the_same_batch_count() {
    let new = granted("new", "bob", 'b');
    let message = about(Some("new"), "do");
    assert_eq!(routed_with(std::slice::from_ref(&new), &message, NOW).as_deref(), Ok("r0"));
    assert_eq!(routed_with(&[new.clone(), ended(&new)], &message, NOW), Err(Dropped::OtherParties));
    assert_eq!(routed_with(&[granted("new", "carol", 'c')], &message, NOW), Err(Dropped::OtherParties));
    let known = about(Some("s"), "do");
    assert_eq!(routed_with(&[ended(&granted("s", "bob", 'b'))], &known, NOW), Err(Dropped::UnknownRelation));
    // A renewal for somebody else takes it from the first.
    assert_eq!(routed_with(&[granted("s", "mallory", 'b')], &known, NOW), Err(Dropped::OtherParties));
    // Changes about something else change nothing.
    assert_eq!(routed_with(&[new], &known, NOW).as_deref(), Ok("r0"));
}

#[test]
fn only_relations_can_come_to_be_by_messages_before() {
    assert!(Dropped::UnknownRelation.may_pass() && Dropped::OtherParties.may_pass());
    assert!(!Dropped::UnknownTarget.may_pass() && !Dropped::NotPublic.may_pass() && !Dropped::NoRelation.may_pass());
}

#[test]
fn what_was_cleared_before_passes_until_relations_or_the_plugin_change() {
    let table = parts(&MemoryDisk::default()).0.table.load_full();
    let relations = RelationRegistry::new();
    relations.apply([granted("s", "bob", 'b')]);
    let message = about(Some("s"), "do");
    let cleared = clear(&table, &relations, &message, NOW).unwrap();
    assert_eq!(clear(&table, &relations, &about(Some("other"), "do"), NOW), Err(Dropped::UnknownRelation));
    // It ran out while the message waited.
    let late = NOW.plus(UNTIL);
    let routed = |table: &PluginTable, changes: &[RelationChange]| {
        route_within(table, &relations, changes, &message, Some(cleared), late)
    };
    assert_eq!(routed(&table, &[]).as_deref(), Ok("r0"));
    assert_eq!(routed(&table, &[granted("new", "bob", 'b')]), Err(Dropped::UnknownRelation));
    let another = parts(&MemoryDisk::default()).0.table.load_full();
    assert_eq!(routed(&another, &[]), Err(Dropped::UnknownRelation));
    relations.apply([]);
    assert_eq!(routed(&table, &[]).as_deref(), Ok("r0"), "nothing has changed");
    relations.apply([granted("new", "bob", 'b')]);
    assert_eq!(routed(&table, &[]), Err(Dropped::UnknownRelation));
}
