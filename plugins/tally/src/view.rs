//! What people and other plugins are shown of a half.

use crate::chits::{self, Balance};
use crate::half::Half;
use crate::resolve;
use crate::rules::without_nulls;
use crate::store;
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::{Chad, canonical, hash_text};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Which {
    /// A uuid, a beginning of one, or `HOLDER/UUID`.
    #[serde(alias = "half")]
    uuid: String,
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
struct Whose {
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
struct Pair {
    user: String,
    partner: Chad,
}

/// `list {user?}`.
///
/// # Errors
/// The host's faults.
pub fn list(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Whose { user } = command.arguments()?;
    let Some(user) = user else {
        let halves = store::halves(context, "", None)?;
        return halves.iter().map(|half| summary(context, half)).collect();
    };
    context.user(&user)?;
    let mut listed = Vec::new();
    for uuid in store::shared(context, &user, None)? {
        if let Some(half) = store::half(context, &user, &uuid)? {
            listed.push(summary(context, &half)?);
        }
    }
    Ok(Value::Array(listed))
}

/// `shared {user, partner}`, for other plugins: what [`list`] says of a user's tallies with one partner, an
/// address of which `cuid` and `agent` count.
///
/// # Errors
/// `NotFound` where there is no such user; the host's faults.
pub fn shared(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Pair { user, partner } = command.arguments()?;
    context.user(&user)?;
    let mut listed = Vec::new();
    for uuid in store::shared(context, &user, Some(&partner))? {
        if let Some(half) = store::half(context, &user, &uuid)? {
            listed.push(summary(context, &half)?);
        }
    }
    Ok(Value::Array(listed))
}

/// `show {uuid, user?}`.
///
/// # Errors
/// `NotFound`, or `Usage` where several fit.
pub fn show(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let half = which(command, context)?;
    let mut shown = summary(context, &half)?;
    shown["record"] = half.record();
    shown["settings"] = chits::settings(context, &half)?;
    shown["hash"] = half.hash.clone().into();
    shown["since"] = half.since.text().into();
    Ok(without_nulls(shown))
}

/// `text {uuid, user?}`: what the user signs to offer or accept.
///
/// # Errors
/// As for [`show`].
pub fn text(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let half = which(command, context)?;
    let text = canonical(&half.core).map_err(|error| Fault::failed(error.to_string()))?;
    Ok(
        json!({ "uuid": half.uuid, "half": half.name(), "state": half.state().code(), "hash": hash_text(&text), "text": text }),
    )
}

/// `state {half}`: for `--wait`.
///
/// # Errors
/// As for [`show`].
pub fn state(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let half = which(command, context)?;
    Ok(answer(&half))
}

/// `get {uuid, user?}`, for other plugins: everything, or null where there is no such half.
///
/// # Errors
/// `Usage` where several fit.
pub fn get(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Which { uuid, user } = command.arguments()?;
    let found = match user {
        Some(user) => store::half(context, &user, &uuid)?,
        None => match store::halves(context, &uuid, None)?.as_slice() {
            [] => None,
            _ => Some(resolve::half(context, &uuid, None)?),
        },
    };
    let Some(half) = found else { return Ok(Value::Null) };
    let mut shown = serde_json::to_value(&half).map_err(|error| Fault::failed(error.to_string()))?;
    shown["state"] = half.state().code().into();
    shown["partner"] = serde_json::to_value(half.partner()).unwrap_or_default();
    Ok(shown)
}

/// The answer of a user's act.
pub fn answer(half: &Half) -> Value {
    json!({ "uuid": half.uuid, "half": half.name(), "state": half.state().code(), "wait": half.words() })
}

fn which(command: &Command, context: &mut Context<'_>) -> Result<Half, Fault> {
    let Which { uuid, user } = command.arguments()?;
    resolve::half(context, &uuid, user.as_deref())
}

/// One line of a list, balance and chain as the chit handler has them.
fn summary(context: &mut Context<'_>, half: &Half) -> Result<Value, Fault> {
    let mut summary = json!({
        "uuid": half.uuid, "half": half.name(), "holder": half.holder, "side": half.side,
        "state": half.state().code(), "wait": half.words(),
        "partner": half.partner().map(|partner| partner.to_string()), "memo": half.core["memo"],
    });
    if let (Value::Object(members), Value::Object(balance)) = (&mut summary, Balance::of(context, half)?.shown()) {
        members.extend(balance);
    }
    if let Some(why) = &half.stalled {
        summary["stalled"] = why.clone().into();
    }
    Ok(summary)
}
