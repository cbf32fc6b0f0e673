//! What two builds made of the same event, and where they differ.

use super::limits::DIFFERENCES_KEPT;
use super::readable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Event, Fault, Manifest};

/// Rows as an event leaves them, by table and key; `None`: deleted.
pub type Writes = BTreeMap<String, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;

/// What an event came to: its effects, before they have happened, and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The handler's rows and the host's: messages, timers, relations and tickets are rows too.
    pub writes: Writes,
    /// Notices for people.
    pub notices: Vec<Value>,
    /// The answer as CBOR, or why there were no effects.
    pub result: Result<Vec<u8>, Fault>,
}

/// An effect that a candidate would have had otherwise. As JSON in answers; see `docs/plugins.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Which event: its number among those compared, from 1.
    pub event: u64,
    /// The event's time.
    pub at: String,
    /// What kind of event, in words.
    pub what: String,
    /// What the event was about: the message's or command's own members.
    pub given: Value,
    /// What differs: `row`, `notice`, `answer`, `fault`, `claim` or `time`.
    pub effect: String,
    /// A row's table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A row's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the build that serves did.
    pub expected: Value,
    /// What the candidate did.
    pub found: Value,
}

/// An event as differences name it.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'e> {
    /// Its number among those compared, from 1.
    pub number: u64,
    /// Its time.
    pub at: Timestamp,
    /// Itself.
    pub event: &'e Event,
}

impl Occasion<'_> {
    /// A difference about this event.
    pub fn difference(&self, effect: &str, expected: Value, found: Value) -> Difference {
        Difference {
            event: self.number,
            at: self.at.to_string(),
            what: what(self.event),
            given: given(self.event),
            effect: effect.to_owned(),
            table: None,
            key: None,
            expected,
            found,
        }
    }
}

/// An event in a few words.
pub fn what(event: &Event) -> String {
    match event {
        Event::Message(message) => format!("message {}/{}", message.target, message.action),
        Event::Command(command) => format!("command {}", command.name),
        Event::Timer(timer) => format!("timer {}", timer.key),
        Event::Delivery(delivery) => format!("report on {}", delivery.key),
        _ => "a turn of its life".to_owned(),
    }
}

/// The body of a message or command.
pub fn body(event: &Event) -> &[u8] {
    match event {
        Event::Message(message) => &message.body,
        Event::Command(command) => &command.body,
        _ => &[],
    }
}

fn given(event: &Event) -> Value {
    match body(event) {
        [] => Value::Null,
        bytes => readable::value(bytes),
    }
}

/// What a build does not claim although the one that serves is given it.
pub fn unclaimed(event: &Event, candidate: &Manifest) -> Option<String> {
    match event {
        Event::Message(message) => {
            let claims = |target: &&tallyho_plugin::Target| {
                target.name == message.target && target.actions.contains(&message.action)
            };
            let known = candidate.targets.iter().find(claims).is_some();
            (!known).then(|| format!("it does not claim {}/{}", message.target, message.action))
        }
        Event::Command(command) => {
            let known = candidate.commands.iter().any(|spec| spec.name == command.name);
            (!known).then(|| format!("it has no command {}", command.name))
        }
        _ => None,
    }
}

/// Where the candidate differs, at most [`DIFFERENCES_KEPT`] of one event.
pub fn differences(occasion: &Occasion<'_>, expected: &Made, found: &Made) -> Vec<Difference> {
    let (mut all, shown) = (Vec::new(), |result: &Result<Vec<u8>, Fault>| match result {
        Ok(_) => json!("done"),
        Err(fault) => json!({ "kind": fault.kind, "code": fault.code, "text": fault.text }),
    });
    match (&expected.result, &found.result) {
        (Ok(_), Ok(_)) => {}
        // Nothing happened either way, which is the same where it is for the same reason.
        (Err(one), Err(other)) if one == other => return all,
        (one, other) => return vec![occasion.difference("fault", shown(one), shown(other))],
    }
    if let (Ok(expected), Ok(found)) = (&expected.result, &found.result)
        && expected != found
    {
        all.push(occasion.difference("answer", readable::value(expected), readable::value(found)));
    }
    rows(occasion, &expected.writes, &found.writes, &mut all);
    let notices = expected.notices.len().max(found.notices.len());
    for at in 0..notices {
        let (expected, found) = (expected.notices.get(at), found.notices.get(at));
        if expected != found {
            let told = |notice: Option<&Value>| notice.cloned().unwrap_or_else(|| json!("(no notice)"));
            all.push(occasion.difference("notice", told(expected), told(found)));
        }
    }
    all.truncate(DIFFERENCES_KEPT);
    all
}

fn rows(occasion: &Occasion<'_>, expected: &Writes, found: &Writes, all: &mut Vec<Difference>) {
    if expected == found {
        return;
    }
    let none = BTreeMap::new();
    let tables: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for table in tables {
        let (expected, found) = (expected.get(table).unwrap_or(&none), found.get(table).unwrap_or(&none));
        let keys: BTreeSet<&Vec<u8>> = expected.keys().chain(found.keys()).collect();
        for key in keys {
            let (expected, found) = (expected.get(key), found.get(key));
            if expected != found {
                all.push(Difference {
                    table: Some(table.clone()),
                    key: Some(readable::key(key)),
                    ..occasion.difference("row", row(expected), row(found))
                });
            }
        }
    }
}

fn row(written: Option<&Option<Vec<u8>>>) -> Value {
    match written {
        None => json!("(not written)"),
        Some(None) => json!("(deleted)"),
        Some(Some(bytes)) => readable::value(bytes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallyho_plugin::Timer;
    use tallyho_plugin::context::to_cbor;

    fn made(rows: &[(&str, Option<u64>)]) -> Made {
        let rows =
            rows.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.map(|value| to_cbor(&value).unwrap())));
        let writes = Writes::from([("r0.rows".to_owned(), rows.collect())]);
        Made { writes, notices: Vec::new(), result: Ok(to_cbor(&Value::Null).unwrap()) }
    }

    fn compared(expected: &Made, found: &Made) -> Vec<Difference> {
        let event = Event::Timer(Timer { key: "tick".into(), due: Timestamp(5) });
        differences(&Occasion { number: 3, at: Timestamp(7), event: &event }, expected, found)
    }

    #[test]
    fn the_same_effects_are_no_difference() {
        let one = made(&[("a", Some(1)), ("b", None)]);
        assert_eq!(compared(&one, &one.clone()), []);
        let failed = |text: &str| Made { result: Err(Fault::refused(text)), ..made(&[("a", Some(1))]) };
        assert_eq!(compared(&failed("no"), &Made { writes: Writes::new(), ..failed("no") }), []);
    }

    #[test]
    fn each_row_that_differs_is_named_with_what_either_made_of_it() {
        let found = compared(
            &made(&[("a", Some(1)), ("b", Some(2)), ("d", Some(4))]),
            &made(&[("a", Some(1)), ("b", Some(3)), ("c", None)]),
        );
        let told: Vec<_> = found.iter().map(|one| (one.key.as_deref().unwrap(), &one.expected, &one.found)).collect();
        let (none, gone) = (json!("(not written)"), json!("(deleted)"));
        assert_eq!(told, [("b", &json!(2), &json!(3)), ("c", &none, &gone), ("d", &json!(4), &none)]);
        let Difference { event, what, effect, table, .. } = &found[0];
        assert_eq!(
            (*event, what.as_str(), effect.as_str(), table.as_deref()),
            (3, "timer tick", "row", Some("r0.rows"))
        );
    }

    #[test]
    fn answers_notices_and_faults_are_compared_too() {
        let one = made(&[]);
        let answer = Made { result: Ok(to_cbor(&9).unwrap()), ..made(&[]) };
        assert_eq!(
            (compared(&one, &answer)[0].effect.as_str(), &compared(&one, &answer)[0].found),
            ("answer", &json!(9))
        );
        let told = Made { notices: vec![json!({ "about": "x" })], ..made(&[]) };
        assert_eq!(compared(&told, &one)[0].found, json!("(no notice)"));
        let failed = Made { result: Err(Fault::failed("panic: oh").code("panic")), ..made(&[("a", Some(1))]) };
        let found = compared(&one, &failed);
        assert_eq!((found.len(), found[0].effect.as_str()), (1, "fault"));
        assert_eq!(found[0].found["text"], "panic: oh");
    }

    #[test]
    fn one_event_has_no_more_differences_than_are_kept() {
        let many: Vec<String> = (0..2 * DIFFERENCES_KEPT).map(|n| n.to_string()).collect();
        let rows: Vec<(&str, Option<u64>)> = many.iter().map(|key| (key.as_str(), Some(1))).collect();
        assert_eq!(compared(&made(&rows), &made(&[])).len(), DIFFERENCES_KEPT);
    }
}
