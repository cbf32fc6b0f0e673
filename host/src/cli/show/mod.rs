//! Answers as people read them. `--json` shows all there is; here what is seldom needed is shortened.

mod differences;
mod people;
mod table;
mod views;

use serde_json::{Map, Value};

use super::limits::CELL_COLUMNS;

/// Commands whose answers have a link that another person is to have, so that a QR code helps.
pub const HANDED_OUT: [&[&str]; 2] = [&["ticket", "new"], &["invoice", "new"]];

/// An answer as text, with an end mark on its last line. `words` are those of the command.
pub fn show(words: &[&str], answer: &Value) -> String {
    match words {
        ["status"] => views::status(answer),
        ["doctor"] => views::checks(answer),
        ["plugin", "swap" | "replay"] => differences::compared(answer),
        ["plugin", "test"] => views::rules(answer),
        _ => any(&people::picked(words, answer)),
    }
}

/// A notice as one line: when, about what and why, whose, then the rest. Long texts are cut off: a partner
/// may have written them.
pub fn notice(notice: &Value) -> String {
    let Value::Object(members) = notice else { return format!("{}\n", inline(notice)) };
    let mut rest = members.clone();
    let mut take = |name: &str| rest.remove(name).map(|value| cut(&cell(name, &value)));
    let when = take("at").or_else(|| take("time")).or_else(|| take("date"));
    let about = take("about");
    let head = match &about {
        Some(about) => {
            // Whoever gives a notice is known by what it is about.
            take("plugin");
            Some(take("reason").map_or_else(|| about.clone(), |reason| format!("{about} {reason}")))
        }
        None => None,
    };
    let user = take("user").map(|user| format!("user={user}"));
    let mut parts: Vec<String> = [when, head, user].into_iter().flatten().collect();
    parts.extend(in_order(&rest).into_iter().map(|name| format!("{name}={}", cut(&cell(name, &rest[name])))));
    format!("{}\n", parts.join("  "))
}

/// Any answer: a list of objects as a table, an object as a block, the rest as it is.
fn any(answer: &Value) -> String {
    match answer {
        Value::Null => "done\n".to_owned(),
        Value::Array(rows) if rows.is_empty() => "none\n".to_owned(),
        Value::Array(rows) if rows.iter().all(Value::is_object) => table::table(rows),
        Value::Array(items) => items.iter().map(|item| format!("{}\n", inline(item))).collect(),
        Value::Object(members) if members.is_empty() => "done\n".to_owned(),
        Value::Object(members) => block(members, 0),
        other => format!("{}\n", inline(other)),
    }
}

/// `name: value` lines, names padded to one width; nested objects and lists below their name.
fn block(members: &Map<String, Value>, indent: usize) -> String {
    let width = members.keys().map(|name| columns(name)).max().unwrap_or_default();
    let margin = " ".repeat(indent);
    let mut text = String::new();
    for name in in_order(members) {
        let label = format!("{margin}{}:", clean(name));
        let padded = format!("{label}{}", " ".repeat(width - columns(name)));
        match &members[name] {
            Value::Object(inner) if !inner.is_empty() && chad(inner).is_none() => {
                text += &format!("{label}\n{}", block(inner, indent + 2));
            }
            Value::Array(rows) if !rows.is_empty() && rows.iter().all(Value::is_object) => {
                text += &format!("{label}\n");
                text.extend(table::table(rows).lines().map(|line| format!("{margin}  {line}\n")));
            }
            value => text += &format!("{padded} {}\n", line(name, value)),
        }
    }
    text
}

/// Members that people look for first; the others follow in alphabetical order.
const FIRST: [&str; 25] = [
    "time",
    "ok",
    "name",
    "cuid",
    "uuid",
    "token",
    "agent",
    "user",
    "holder",
    "partner",
    "side",
    "state",
    "net",
    "net_p",
    "by",
    "type",
    "units",
    "index",
    "hash",
    "version",
    "generation",
    "plugin",
    "listen",
    "addr",
    "reason",
];

fn in_order(members: &Map<String, Value>) -> Vec<&str> {
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (rank(name), *name));
    names
}

fn rank(name: &str) -> usize {
    FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len())
}

/// A value on one line, whole.
fn line(name: &str, value: &Value) -> String {
    match value {
        Value::Object(members) => chad(members).unwrap_or_else(|| inline(value)),
        _ => scalar(name, value),
    }
}

/// A value in a table or among others on a line: nested ones are cut off.
fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Object(members) => short_chad(members).unwrap_or_else(|| cut(&inline(value))),
        Value::String(text) if name == "partner" => short_agent(&clean(text)),
        Value::String(_) if name == "memo" => cut(&scalar(name, value)),
        Value::Array(_) => cut(&scalar(name, value)),
        _ => scalar(name, value),
    }
}

fn scalar(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) if matches!(name, "net" | "net_p" | "units" | "asked" | "amount") => {
            format!("{number} mCHIP")
        }
        Value::Number(number) => match (number.as_u64(), name) {
            (Some(seconds), _) if name.ends_with("_s") => span(seconds),
            (Some(milliseconds), _) if name.ends_with("_ms") => format!("{milliseconds} ms"),
            _ => number.to_string(),
        },
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => date(text).unwrap_or_else(|| clean(text)),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => match items.len() {
            0 => "none".to_owned(),
            _ => items.iter().map(|item| scalar(name, item)).collect::<Vec<_>>().join(", "),
        },
        other => inline(other),
    }
}

/// JSON without what could move a terminal's cursor.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    }
}

/// Text as it can be shown: control characters and those that turn the direction of writing are
/// spelled out, since names and memos come from other people.
fn clean(text: &str) -> String {
    let harmless = |letter: char| {
        !letter.is_control()
            && !matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        match harmless(letter) {
            true => out.push(letter),
            false => out.extend(letter.escape_unicode()),
        }
        out
    })
}

fn cut(text: &str) -> String {
    match columns(text) > CELL_COLUMNS {
        true => text.chars().take(CELL_COLUMNS - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Characters, which is columns for the scripts whose letters are one column wide.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// `2021-11-05T20:05:00.000Z` as `2021-11-05 20:05:00`, all in UTC.
fn date(text: &str) -> Option<String> {
    let shape = "dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(found, wanted)| match wanted {
            b'd' => found.is_ascii_digit(),
            mark => found == mark,
        });
    fits.then(|| format!("{} {} UTC", &text[..10], &text[11..19]))
}

/// A number of seconds as `3d 4h`, `2h 5m`, `3m 20s` or `12s`.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// An address as `cuid:agent@host:port`, where an object is one.
fn chad(members: &Map<String, Value>) -> Option<String> {
    written_chad(members, clean)
}

/// The same with the agent id's beginning only.
fn short_chad(members: &Map<String, Value>) -> Option<String> {
    written_chad(members, |agent| match columns(agent) > 12 {
        true => clean(&agent.chars().take(8).chain(['…']).collect::<String>()),
        false => clean(agent),
    })
}

/// The text of an address, `cuid:agent@host:port`, with the agent id's beginning only.
fn short_agent(text: &str) -> String {
    let Some((cuid, rest)) = text.split_once(':') else { return text.to_owned() };
    let (agent, place) = rest.split_at(rest.find('@').unwrap_or(rest.len()));
    match agent.len() == 43 && agent.is_ascii() {
        true => format!("{cuid}:{}…{place}", &agent[..8]),
        false => text.to_owned(),
    }
}

fn written_chad(members: &Map<String, Value>, agent: impl Fn(&str) -> String) -> Option<String> {
    if !members.keys().all(|name| matches!(name.as_str(), "cuid" | "agent" | "host" | "port")) {
        return None;
    }
    let mut text = agent(members.get("agent")?.as_str()?);
    if let Some(cuid) = members.get("cuid").and_then(Value::as_str) {
        text = format!("{}:{text}", clean(cuid));
    }
    match (members.get("host").and_then(Value::as_str), members.get("port").and_then(Value::as_u64)) {
        (Some(host), Some(port)) => text += &format!("@{}:{port}", clean(host)),
        (Some(host), None) => text += &format!("@{}", clean(host)),
        _ => {}
    }
    Some(text)
}

#[cfg(test)]
mod tests;
