//! Which members of an answer people are shown. `--json` has them all.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// What an act upon a chit has come to.
const PAID: &[&str] = &["uuid", "state", "index", "stalled"];

/// Commands whose answers have more members than fit a line, or than anybody looks for, with those that
/// are shown.
const SHOWN: &[(&[&str], &[&str])] = &[
    (&["chit", "pay"], PAID),
    (&["chit", "ask"], PAID),
    (&["chit", "accept"], PAID),
    (&["chit", "refuse"], PAID),
    (&["chit", "set"], PAID),
    (&["chit", "resend"], PAID),
    (&["invoice", "pay"], PAID),
    (&["chit", "list"], &["uuid", "by", "type", "units", "state", "index", "confirmed", "date", "memo"]),
    (&["invoice", "new"], &["chad", "units", "memo", "link"]),
    (&["lift", "list"], &["lift", "role", "state", "units", "to", "asking", "next"]),
    (&["lift", "pay"], &["lift", "state", "units", "to", "why"]),
    (&["route", "find"], &["dest", "via", "status", "lading", "step"]),
    (&["route", "list"], &["dest", "via", "status", "lading", "step"]),
    (&["tally", "list"], &["uuid", "holder", "partner", "side", "state", "net", "memo"]),
    (&["ticket", "list"], &["token", "user", "kind", "state", "expires", "reuse", "issuer", "tally"]),
    (&["ticket", "new"], &["tally", "token", "expires", "link", "uri"]),
    (&["ticket", "use"], &["token", "agent", "user", "state", "accepted", "issuer", "kind", "why"]),
    (&["user", "list"], &["cuid", "name", "custody", "created"]),
    (
        &["plugin", "list"],
        &[
            "name",
            "version",
            "generation",
            "state",
            "calls",
            "faults",
            "pid",
            "restarts",
            "ended",
            "why",
            "note",
            "probation",
            "rolled_back",
            "shadow",
            "metrics",
            "path",
        ],
    ),
    (&["plugin", "quarantine", "list"], &["number", "plugin", "what", "from", "at", "tries", "fault"]),
    (&["plugin", "quarantine", "retry"], &["number", "plugin", "what", "state", "why"]),
    (&["plugin", "check"], &["ok", "name", "version", "reason", "fix"]),
];

/// First words of commands whose answers have members for `--wait` and for scripts, and those members.
const ACTS: [&str; 3] = ["tally", "chit", "invoice"];
const FOR_SCRIPTS: [&str; 4] = ["half", "chit", "link", "wait"];

/// The answer without what people are not shown.
pub(super) fn picked<'a>(words: &[&str], answer: &'a Value) -> Cow<'a, Value> {
    let shown = SHOWN.iter().find(|(command, _)| *command == words).map(|(_, names)| *names);
    let act = words.first().is_some_and(|first| ACTS.contains(first));
    let is_shown = |name: &str| match shown {
        Some(names) => names.contains(&name),
        None => !(act && FOR_SCRIPTS.contains(&name)),
    };
    if shown.is_none() && !act {
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
