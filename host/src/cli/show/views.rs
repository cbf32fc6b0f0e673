//! Answers that deserve a form of their own.

use serde_json::{Map, Value};

use super::{any, block, clean, line, people, table};

/// What of a site is counted, in this order.
const COUNTS: [&str; 5] = ["connections", "tallies", "outbox", "bans", "quarantine"];

/// The running site at a glance: who and where on the first line, the counts on the next, what does
/// not fit there below, and the plugins as a table.
pub(super) fn status(answer: &Value) -> String {
    let Value::Object(members) = answer else { return any(answer) };
    let mut members = members.clone();
    let mut take = |name: &str| members.remove(name).map(|value| line(name, &value));
    let or = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
    let mut text = format!("site {}\n", or(take("agent")));
    text +=
        &format!("listens on {}, up {}, version {}\n", or(take("listen")), or(take("uptime_s")), or(take("version")));
    let plugins = members.remove("plugins");
    let (counts, rest): (Map<_, _>, Map<_, _>) =
        members.into_iter().partition(|(_, value)| !value.is_object() && !value.is_array());
    let mut shown: Vec<String> = Vec::new();
    for name in COUNTS {
        shown.extend(counts.get(name).map(|value| format!("{name} {}", line(name, value))));
    }
    let other = counts.iter().filter(|(name, _)| !COUNTS.contains(&name.as_str()));
    shown.extend(other.map(|(name, value)| format!("{} {}", clean(name), line(name, value))));
    if !shown.is_empty() {
        text += &format!("{}\n", shown.join(", "));
    }
    if !rest.is_empty() {
        text += &block(&rest, 0);
    }
    match plugins {
        Some(Value::Array(rows)) if !rows.is_empty() && rows.iter().all(Value::is_object) => {
            let rows = Value::Array(rows);
            let picked = people::picked(&["plugin", "list"], &rows);
            text += &format!("\nplugins\n{}", table::table(picked.as_array().map(Vec::as_slice).unwrap_or_default()));
        }
        Some(Value::Array(rows)) if rows.is_empty() => text += "no plugin serves\n",
        Some(other) => text += &format!("plugins {}\n", line("plugins", &other)),
        None => {}
    }
    text
}

/// A line for each check with ✓ or ✗, and below a failed one what to do.
pub(super) fn checks(answer: &Value) -> String {
    let Some(checks) = answer.get("checks").and_then(Value::as_array) else { return any(answer) };
    let member = |check: &Value, name: &str| check.get(name).and_then(Value::as_str).map(clean).unwrap_or_default();
    let passed = |check: &&Value| check.get("ok").and_then(Value::as_bool) == Some(true);
    let width = checks.iter().map(|check| member(check, "name").chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let mark = if passed(&check) { '✓' } else { '✗' };
        let shown = format!("{mark} {:width$}  {}", member(check, "name"), member(check, "detail"));
        text += &format!("{}\n", shown.trim_end());
        let fix = member(check, "fix");
        if !fix.is_empty() {
            text += &format!("  fix: {fix}\n");
        }
    }
    let failed = checks.len() - checks.iter().filter(passed).count();
    match failed {
        0 => text += "all is well\n",
        1 => text += "1 check failed\n",
        _ => text += &format!("{failed} checks failed\n"),
    }
    text
}
