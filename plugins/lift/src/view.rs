//! What people are shown of lifts.

use crate::record::{Asked, Lift};
use crate::state::State;
use crate::{limits, store};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Which {
    lift: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
}

/// `{lift, hash, state, units, to}`: what an act answers.
pub fn short(lift: &Lift) -> Value {
    let mut shown = json!({
        "lift": lift.core.uuid(), "hash": lift.core.hash(), "state": lift.state.code(), "units": lift.core.units(),
        "role": lift.role, "to": lift.core.find().to_string(),
    });
    if let Some(why) = &lift.why {
        shown["why"] = why.as_str().into();
    }
    shown
}

/// `list {user?, from?, limit?}`: lifts under way, with who is being asked and when next; the page behind the row
/// whose `name` is `from`.
///
/// # Errors
/// The host's faults.
pub fn list(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Page { user, from, limit } = command.arguments()?;
    let limit = limit.unwrap_or(limits::LISTED).clamp(1, limits::LISTED_MOST) as usize;
    let concerns = |lift: &Lift, user: &String| {
        lift.payment.user.as_ref() == Some(user) || lift.edges.iter().any(|edge| edge.halves.contains(user))
    };
    let (mut lifts, mut after) = (Vec::new(), from);
    loop {
        let names = store::open(context, after.as_deref(), limits::LISTED_MOST)?;
        for name in &names {
            let Some(lift) = store::lift(context, name)? else { continue };
            if user.as_ref().is_none_or(|user| concerns(&lift, user)) {
                lifts.push(shown(&lift));
            }
            if lifts.len() == limit {
                return Ok(Value::Array(lifts));
            }
        }
        match names.last() {
            Some(last) if names.len() == limits::LISTED_MOST as usize => after = Some(last.text()),
            _ => return Ok(Value::Array(lifts)),
        }
    }
}

/// `state {lift}` → `{lift, state, wait, units, why?}`: of a lift begun here, or else of one that passes; of the one
/// that took its place, where its promise was given back. `wait` has the words true of it.
///
/// # Errors
/// `NotFound`, or `Usage` where several begin so.
pub fn state(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let mut lift = which(context, &command.arguments::<Which>()?.lift)?;
    while let Some(next) = &lift.instead {
        lift = which(context, next)?;
    }
    let mut shown = shown(&lift);
    let mut words = vec![lift.state.code()];
    // A lift that has been seen to arrive was promised before, and so on.
    let stages = [("found", lift.given.is_some()), ("promised", lift.left), ("arrived", lift.arrival.is_some())];
    words.extend(stages.iter().filter(|(_, so)| *so).map(|(word, _)| *word));
    shown["wait"] = words.into();
    Ok(shown)
}

/// All words that may be true of a lift, in the order in which they come to be.
pub fn all_words() -> Vec<&'static str> {
    let stages = ["found", "promised", "arrived"];
    let mut words = stages.to_vec();
    words.extend(State::ALL.into_iter().map(State::code).filter(|code| !stages.contains(code)));
    // Two states may have one code.
    let mut seen = BTreeSet::new();
    words.retain(|word| seen.insert(*word));
    words
}

/// `show {lift}`: the same with L, the way through this site and the ruling.
///
/// # Errors
/// As for [`state`].
pub fn show(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let lift = which(context, &command.arguments::<Which>()?.lift)?;
    let mut shown = shown(&lift);
    shown["core"] = lift.core.value().clone();
    shown["edges"] = json!(lift.edges);
    shown["ruling"] = json!(lift.ruling);
    if let Some(evidence) = &lift.evidence {
        shown["evidence"] = json!(evidence);
    }
    Ok(shown)
}

fn which(context: &mut Context<'_>, given: &str) -> Result<Lift, Fault> {
    let names = store::begin_with(context, &given.to_lowercase())?;
    let unknown =
        || Fault::not_found(format!("no lift {given} is known here")).code("no-such-lift").fix("see `lift list`");
    let Some(first) = names.first() else { return Err(unknown()) };
    let name = match names.get(1) {
        // The originator's own record comes first among those of one uuid.
        Some(second) if second.hash != first.hash => {
            return Err(Fault::usage(format!("several lifts begin with {given}")).fix("give more digits"));
        }
        _ => first,
    };
    store::lift(context, name)?.ok_or_else(unknown)
}

fn shown(lift: &Lift) -> Value {
    let mut shown = short(lift);
    shown["name"] = lift.name().text().into();
    shown["since"] = lift.since.text().into();
    shown["expires"] = lift.core.expires().text().into();
    shown["referee"] = lift.core.referee().to_string().into();
    for (name, at) in [("bottom", &lift.bottom), ("top", &lift.top)] {
        if let Some(at) = at {
            shown[name] = json!({ "user": at.user, "tally": at.tally, "partner": at.partner.to_string() });
        }
    }
    if let Some(user) = &lift.payment.user {
        shown["user"] = user.as_str().into();
    }
    for (name, text) in [("memo", &lift.payment.memo), ("instead", &lift.instead), ("instead_of", &lift.instead_of)] {
        if let Some(text) = text {
            shown[name] = text.as_str().into();
        }
    }
    if !lift.state.is_final() {
        shown["next"] = lift.exp.text().into();
        shown["asking"] = match (lift.asked, &lift.top) {
            (Some(Asked::Neighbour), Some(top)) => top.partner.to_string().into(),
            (Some(Asked::Originator), _) => lift.core.org().to_string().into(),
            (Some(Asked::Referee), _) => lift.core.referee().to_string().into(),
            _ => Value::Null,
        };
    }
    shown
}
