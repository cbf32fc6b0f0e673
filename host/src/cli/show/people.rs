//! Which members of an answer people are shown. `--json` has them all.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// Commands whose answers have more members than fit a line, or than anybody looks for, with those that
/// are shown.
const SHOWN: [(&[&str], &[&str]); 6] = [
    (&["tally", "list"], &["uuid", "holder", "partner", "side", "state", "net", "memo"]),
    (&["ticket", "list"], &["token", "user", "kind", "state", "expires", "reuse", "issuer", "tally"]),
    (&["ticket", "new"], &["tally", "token", "expires", "link", "uri"]),
    (&["user", "list"], &["cuid", "name", "custody", "created"]),
    (&["plugin", "list"], &["name", "version", "generation", "state", "calls", "faults", "why", "metrics", "path"]),
    (&["plugin", "check"], &["ok", "name", "version", "reason", "fix"]),
];

/// Members of tallies and their acts that are there for `--wait` and for scripts.
const FOR_SCRIPTS: [&str; 2] = ["half", "wait"];

/// The answer without what people are not shown.
pub(super) fn picked<'a>(words: &[&str], answer: &'a Value) -> Cow<'a, Value> {
    let shown = SHOWN.iter().find(|(command, _)| *command == words).map(|(_, names)| *names);
    let tally = words.first() == Some(&"tally");
    let is_shown = |name: &str| match shown {
        Some(names) => names.contains(&name),
        None => !(tally && FOR_SCRIPTS.contains(&name)),
    };
    if shown.is_none() && !tally {
        return Cow::Borrowed(answer);
    }
    let pick = |members: &Map<String, Value>| {
        let empty =
            |value: &Value| shown.is_some() && (value.is_null() || value.as_object().is_some_and(Map::is_empty));
        let kept = members.iter().filter(|(name, value)| is_shown(name) && !empty(value));
        Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    Cow::Owned(match answer {
        Value::Object(members) => pick(members),
        Value::Array(rows) => rows.iter().map(|row| row.as_object().map_or_else(|| row.clone(), pick)).collect(),
        other => other.clone(),
    })
}
