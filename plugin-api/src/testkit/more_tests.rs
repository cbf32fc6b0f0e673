//! Peers, tables of tests, and other builds.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{Site, Table, Then};
use crate::prelude::*;
use crate::testkit::DROPPED;

/// Version 1 of a plugin that remembers what it hears.
struct First;

impl Handler for First {
    fn manifest() -> Manifest {
        Manifest::new("ear", "1")
            .target(Target::new("ear", &["say", "shout"]).relation_in_object("about"))
            .tables(&["words"])
            .command(CommandSpec::new("words", "what was said"))
    }
    fn create() -> Result<Self, Fault> {
        Ok(First)
    }
    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        let object: Value = message.object()?;
        if message.action == "shout" {
            return Err(Fault::refused("not so loud").code("loud"));
        }
        let Some(word) = object["word"].as_str() else { return Ok(()) };
        context.put("words", word, &word)?;
        context.notice("alice", &json!({ "about": "word" }))?;
        context.send(&message.reply("heard", &json!({ "word": word }))?)
    }
    fn command(&self, _: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let rows = context.scan::<Value>("words", &Scan { limit: 100, ..Scan::default() })?;
        Ok(rows.into_iter().map(|(_, word)| word).collect())
    }
}

/// Version 2 keeps words in capitals, brought over one at a time.
struct Second;

impl Handler for Second {
    fn manifest() -> Manifest {
        Manifest { version: "2".to_owned(), ..First::manifest() }.state_version(2)
    }
    fn create() -> Result<Self, Fault> {
        Ok(Second)
    }
    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        First.command(command, context)
    }
    fn migrate(&self, from: u32, context: &mut Context<'_>) -> Result<(), Fault> {
        assert_eq!(from, 1);
        let rows = context.scan::<String>("words", &Scan { limit: 100, ..Scan::default() })?;
        let Some((key, word)) = rows.into_iter().find(|(_, word)| *word != word.to_uppercase()) else { return Ok(()) };
        if word == "unspeakable" {
            return Err(Fault::failed("that word is not moved"));
        }
        context.put("words", key, &word.to_uppercase())?;
        context.migrate_again()
    }
}

fn made() -> Site {
    Site::new(1).with::<First>().user("alice")
}

fn say(site: &mut Site, word: &str) -> Result<Value, Fault> {
    let bob = site.partner("bob", "alice", "bread");
    site.hear(&bob, "alice", "ear/say", json!({ "about": "bread", "word": word })).map(|_| Value::Null)
}

#[test]
fn a_partner_is_heard_about_what_joins_both_and_a_stranger_is_not() {
    let mut site = made();
    let (bob, eve) = (site.partner("bob", "alice", "bread"), site.stranger("eve"));
    let words = json!({ "about": "bread", "word": "rye" });
    let [answer] = &site.hear(&bob, "alice", "ear/say", words.clone()).unwrap()[..] else { panic!("one answer") };
    assert_eq!((answer.verb(), &answer.message.to), ("ear/heard".to_owned(), &bob.chad()));
    assert_eq!(site.hear(&eve, "alice", "ear/say", words.clone()).unwrap_err().code, DROPPED);
    let other = json!({ "about": "honey", "word": "rye" });
    assert_eq!(site.hear(&bob, "alice", "ear/say", other).unwrap_err().code, DROPPED);
    assert_eq!(site.stranger("bob").chad(), bob.chad());
    let check = crate::context::user_check(&bob.certificate()["public"], b"text", &bob.sign("text")).unwrap();
    assert!(crate::record::signing::verify(&check));
}

#[test]
fn rows_of_a_table_are_checked_one_by_one() {
    Table::of(made)
        .row("a word", |site| say(site, "rye"), Then::done().sends(&["ear/heard"]).notices(1))
        .row(
            "no word",
            |site| {
                let bob = site.partner("bob", "alice", "bread");
                site.hear(&bob, "alice", "ear/say", json!({ "about": "bread" })).map(|_| Value::Null)
            },
            Then::nothing(),
        )
        .row("a list", |site| site.command("words", json!({})), Then::done().answer(json!([])))
        .row(
            "a shout",
            |site| {
                let bob = site.partner("bob", "alice", "bread");
                site.hear(&bob, "alice", "ear/shout", json!({ "about": "bread" })).map(|_| Value::Null)
            },
            Then::refused().code("loud"),
        )
        .check();
}

#[test]
#[should_panic(expected = "5 of 6 rows are not as they must be:\nwrong verb: it sends [\"ear/heard\"], expected")]
fn each_row_that_is_otherwise_is_told() {
    Table::of(made)
        .row("wrong verb", |site| say(site, "rye"), Then::done().sends(&["ear/said"]))
        .row("too few notices", |site| say(site, "rye"), Then::done().notices(2))
        .row("has effects", |site| say(site, "rye"), Then::nothing())
        .row("is done", |site| say(site, "rye"), Then::refused())
        .row("wrong answer", |site| site.command("words", json!({})), Then::done().answer(json!(["rye"])))
        .row("good", |site| site.command("words", json!({})), Then::done())
        .check();
}

#[test]
fn another_build_brings_the_tables_to_its_state_version_or_changes_nothing() {
    let mut site = made();
    say(&mut site, "rye").unwrap();
    say(&mut site, "oats").unwrap();
    site.swap::<Second>().unwrap();
    assert_eq!(site.command("words", json!({})).unwrap(), json!(["OATS", "RYE"]));
    let fault = site.swap::<First>().unwrap_err();
    assert_eq!(fault.code, "state", "{fault}");

    let mut site = made();
    say(&mut site, "rye").unwrap();
    say(&mut site, "unspeakable").unwrap();
    assert_eq!(site.swap::<Second>().unwrap_err().text, "that word is not moved");
    assert_eq!(site.command("words", json!({})).unwrap(), json!(["rye", "unspeakable"]));
    say(&mut site, "wheat").unwrap();
}

/// Remembers in memory what it has done.
struct Remembering(std::sync::Mutex<Vec<String>>);

impl Handler for Remembering {
    fn manifest() -> Manifest {
        Manifest::new("remembering", "1")
            .command(CommandSpec::new("ask", "asks"))
            .command(CommandSpec::new("tell", "tells"))
    }
    fn create() -> Result<Self, Fault> {
        Ok(Remembering(Default::default()))
    }
    fn command(&self, command: &Command, _: &mut Context<'_>) -> Result<Value, Fault> {
        let mut told = self.0.lock().unwrap();
        if command.name == "tell" {
            *told = vec![command.arguments()?];
        }
        Ok(json!(if command.name == "ask" { told.clone() } else { Vec::new() }))
    }
}

#[test]
#[should_panic(expected = "remembering is not deterministic: a handler made afresh wants something else")]
fn a_handler_that_remembers_in_memory_what_it_was_told_is_found_out() {
    let mut site = Site::new(1).with::<Remembering>();
    for _ in 0..2 {
        site.command("tell", json!("a word")).unwrap();
        site.command("ask", json!({})).unwrap();
    }
}
