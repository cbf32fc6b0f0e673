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

/// A line for each rule with ✓ or ✗; below a broken one what it says, how it was broken, and what to do.
pub(super) fn rules(answer: &Value) -> String {
    let Some(rules) = answer.get("rules").and_then(Value::as_array) else { return any(answer) };
    let member = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(clean).unwrap_or_default();
    let number = |name: &str| answer.pointer(name).and_then(Value::as_f64).unwrap_or_default();
    let mut text = String::new();
    for rule in rules {
        if rule["ok"] == true {
            text += &format!("✓ {}\n", member(rule, "name"));
            continue;
        }
        text += &format!("✗ {}: {}\n", member(rule, "name"), member(rule, "about"));
        let findings = rule["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        for found in findings {
            text += &format!("  {}: {}\n", member(found, "case"), member(found, "what"));
        }
        let more = rule["broken"].as_u64().unwrap_or_default().saturating_sub(findings.len() as u64);
        if more > 0 {
            text += &format!("  and {more} more\n");
        }
        text += &format!("  fix: {}\n", member(rule, "fix"));
    }
    if answer["cost"].is_object() {
        let (median, slow) = (number("/cost/p50_us"), number("/cost/p99_us"));
        text += &format!("a call takes {median:.1} µs (median), {slow:.1} µs (99 in a hundred)\n");
    }
    let (name, version, cases) = (member(answer, "name"), member(answer, "version"), number("/cases"));
    let what = if name.is_empty() { "the file".to_owned() } else { format!("{name} {version}") };
    let broken = rules.iter().filter(|rule| rule["ok"] != true).count();
    text += &match broken {
        0 => format!("{what} keeps every rule, in {cases} cases\n"),
        1 => format!("{what} breaks 1 rule\n"),
        _ => format!("{what} breaks {broken} rules\n"),
    };
    text
}
