//! What happened, for whoever wonders how it came to this.

use super::world::Step;
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use tallyho::ledger::outbox::OutboxRow;
use tallyho_plugin::record::Timestamp;

/// Lines remembered.
const REMEMBERED: usize = 10_000;

/// When the worlds of this simulation begin.
pub(super) const BEGIN: Timestamp = Timestamp(1_700_000_000_000);

enum Line {
    Text(String),
    Step(Step),
    /// Put into words only when somebody reads it.
    Message(&'static str, usize, Arc<OutboxRow>),
}

/// The latest that happened.
#[derive(Default)]
pub struct Story(VecDeque<(i64, Line)>);

impl Story {
    fn add(&mut self, now: Timestamp, line: Line) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((now.0 - BEGIN.0, line));
    }

    /// Remembers a line.
    pub fn tell(&mut self, now: Timestamp, line: String) {
        self.add(now, Line::Text(line));
    }

    /// Remembers a step.
    pub fn step(&mut self, now: Timestamp, step: Step) {
        self.add(now, Line::Step(step));
    }

    /// Remembers that a site sent or heard a message.
    pub fn message(&mut self, now: Timestamp, verb: &'static str, site: usize, row: Arc<OutboxRow>) {
        self.add(now, Line::Message(verb, site, row));
    }

    /// All of it, a line each, with milliseconds since the beginning.
    pub fn read(&self) -> String {
        let mut text = String::new();
        for (at, line) in &self.0 {
            let _ = match line {
                Line::Text(line) => writeln!(text, "{at:>9} {line}"),
                Line::Step(step) => writeln!(text, "{at:>9} {step:?}"),
                Line::Message(verb, site, row) => writeln!(text, "{at:>9}     site {site} {verb} {}", words(row)),
            };
        }
        text
    }
}

/// A message in a line.
pub fn words(row: &OutboxRow) -> String {
    let message = &row.message;
    let mut text = format!("{}/{} of {}", message.target, message.action, message.from);
    let Ok(object) = ciborium::from_reader::<Value, _>(message.object.as_slice()) else { return text };
    if message.target == "chit" {
        text += &format!(" on {}:", short(&object["tally"]));
        if object.get("type").is_some() {
            text += &chit(&object);
            text += &place(&object["chain"]);
        } else {
            text += &place(&object);
            let parts = object["chits"].as_array().map_or(&[][..], Vec::as_slice);
            for entry in parts.iter().take(6) {
                text += &format!(" [{}{}]", chit(entry).trim_start(), place(&entry["chain"]));
            }
            if parts.len() > 6 {
                text += &format!(" … {} chits", parts.len());
            }
        }
    } else if message.target == "lift" {
        text += &lift(&object);
        let over = message.tally.as_deref().and_then(|tally| tally.get(..6));
        text += &over.map_or_else(String::new, |over| format!(" over {over}"));
    } else if message.target == "route" {
        text += &format!(" to {} on {}", object["find"], short(&object["tally"]));
    } else if let Some(uuid) = object.get("uuid") {
        text += &format!(" {}", short(uuid));
    }
    text
}

/// What a message about a lift says of it.
fn lift(object: &Value) -> String {
    let mut text = format!(" {}", last(&object["lift"]));
    for member in ["units", "valid", "pend", "why", "err"] {
        if let Some(value) = object.get(member) {
            text += &format!(" {member} {value}");
        }
    }
    text
}

fn chit(record: &Value) -> String {
    let by = record["by"].as_str().unwrap_or("?");
    match record["units"].as_i64() {
        Some(units) => format!(" {} by {by} {units}", last(&record["uuid"])),
        None => format!(" {} by {by} sets {}", last(&record["uuid"]), record["ref"]),
    }
}

fn place(at: &Value) -> String {
    let mut text = String::new();
    for member in ["cmd", "index", "hash", "conf", "more", "count"] {
        match &at[member] {
            Value::Null => {}
            value if member == "cmd" => text += &format!(" {}", value.as_str().unwrap_or("?")),
            value if member == "hash" => text += &format!(" #{}", short(value)),
            value => text += &format!(" {member} {value}"),
        }
    }
    text
}

/// Enough of a name to tell it from others.
fn short(value: &Value) -> &str {
    value.as_str().and_then(|text| text.get(..6)).unwrap_or("?")
}

/// The same for a chit, whose uuid begins with its time.
fn last(value: &Value) -> &str {
    value.as_str().and_then(|text| text.get(text.len().saturating_sub(6)..)).unwrap_or("?")
}
