//! Arguments as somebody would give them who has read the help.

use crate::manifest::{Argument, ArgumentKind, CommandSpec};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The user of the site on which handlers are tried.
pub const USER: &str = "alice";

/// Answers' members, remembered: a command that takes a `uuid` is given one that another has answered.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, Value>);

impl Known {
    /// Takes what an answer tells.
    pub fn learn(&mut self, answer: &Value) {
        match answer {
            Value::Object(members) => {
                let scalars = members.iter().filter(|(_, value)| value.is_string() || value.is_number());
                self.0.extend(scalars.map(|(name, value)| (name.clone(), value.clone())));
            }
            Value::Array(rows) => rows.first().into_iter().for_each(|row| self.learn(row)),
            _ => {}
        }
    }
}

/// A command's arguments: those required, and with `all` the others too.
pub fn arguments(spec: &CommandSpec, all: bool, known: &Known) -> Value {
    let given = spec.arguments.iter().filter(|argument| all || argument.required || argument.default.is_some());
    Value::Object(given.map(|argument| (argument.name.clone(), value(argument, known))).collect::<Map<_, _>>())
}

fn value(argument: &Argument, known: &Known) -> Value {
    if let Some(known) = known.0.get(&argument.name).filter(|value| value.is_string()) {
        return known.clone();
    }
    let text = argument.default.clone().unwrap_or_else(|| argument.example.trim_matches('"').to_owned());
    match &argument.kind {
        ArgumentKind::Integer => json!(text.parse::<i64>().unwrap_or(1)),
        ArgumentKind::Duration => json!(3_600_000),
        ArgumentKind::Flag => json!(true),
        ArgumentKind::Json => serde_json::from_str(&text).unwrap_or_else(|_| json!({})),
        ArgumentKind::JsonOrText => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ArgumentKind::Choice(words) => json!(words.first()),
        ArgumentKind::Text if matches!(argument.name.as_str(), "user" | "cuid" | "from") => json!(USER),
        ArgumentKind::Text if text.is_empty() => json!("words"),
        ArgumentKind::Text => json!(text),
    }
}
