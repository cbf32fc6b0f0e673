//! Closing (PROTOCOL 4.5 T34 to T36): the act that begins it, and what a chit handler tells of the chain.

use crate::errors::{Refusal, not_closable};
use crate::half::Half;
use crate::rules::{self, Input, Outcome, without_nulls};
use crate::state::State;
use crate::table::Happening;
use crate::{resolve, store, view};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::services::NOT_SERVED;
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Close {
    uuid: String,
    #[serde(default)]
    user: Option<String>,
    /// Made elsewhere, over the setting.
    #[serde(default)]
    signature: Option<String>,
}

/// What the chit handler answers once it has made the setting.
#[derive(Deserialize)]
struct Made {
    /// The setting is linked (T34).
    closing: bool,
    /// And nothing is left to settle (T35).
    settled: bool,
}

#[derive(Deserialize)]
struct Told {
    uuid: String,
    user: String,
    event: String,
}

/// `close {uuid, user?, signature?}`: has the chit handler make the setting `close`, and does what follows.
///
/// # Errors
/// Why it cannot be done in this state; code `no-settings` where no chit handler is loaded; its faults.
pub fn close(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Close { uuid, user, signature } = command.arguments()?;
    let mut half = resolve::half(context, &uuid, user.as_deref())?;
    if half.state() != State::Open {
        return Err(not_closable(&half).into());
    }
    let order = without_nulls(json!({ "tally": half.uuid, "user": half.holder, "signature": signature }));
    let made: Made = context.invoke("chit", "close", &order).map_err(|fault| match fault.code.as_str() {
        NOT_SERVED => Refusal::NoSettings(half.uuid.clone()).into(),
        _ => fault,
    })?;
    // A plugin at work is not called back, so the answer stands for what would be told by `chain`.
    let told = [(made.closing, Happening::CloseLinked), (made.settled, Happening::Settled)];
    for (_, on) in told.into_iter().filter(|(so, _)| *so) {
        let outcome = step(context, half, on)?;
        half = outcome.half.ok_or_else(gone)?;
    }
    Ok(view::answer(&half))
}

/// `chain {uuid, user, event}`, for a chit handler: what the chain means for the tally. `closing`: a setting
/// that closes it got linked (T34); `settled`: nothing is left to settle (T35); `reopened`: a chit of the
/// partner's got linked all the same (T36). `done` says whether it changed anything in this state.
///
/// # Errors
/// `NotFound` where that user has no such tally; `Usage` for other events.
pub fn told(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Told { uuid, user, event } = command.arguments()?;
    let on = match event.as_str() {
        "closing" => Happening::CloseLinked,
        "settled" => Happening::Settled,
        "reopened" => Happening::Reopened,
        other => return Err(Fault::usage(format!("chain --event {other}: expected closing, settled or reopened"))),
    };
    let half = store::half(context, &user, &uuid)?.ok_or(Refusal::Unknown(uuid))?;
    let outcome = step(context, half, on)?;
    let done = outcome.rule.is_some();
    let mut answer = view::answer(&outcome.half.ok_or_else(gone)?);
    answer["done"] = done.into();
    Ok(answer)
}

fn step(context: &mut Context<'_>, half: Half, on: Happening) -> Result<Outcome, Fault> {
    let holder = half.holder.clone();
    rules::step(context, &holder, Some(half), on, Input::Nothing)
}

fn gone() -> Fault {
    Fault::failed("a closing tally is gone")
}
