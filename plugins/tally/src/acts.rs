//! What users do (PROTOCOL 4.5, events U).

use crate::drafts::{self, Change};
use crate::errors::{Refusal, refused};
use crate::half::Half;
use crate::rules::{self, Input};
use crate::store::{self, Settings};
use crate::table::{Effect, Happening, rows};
use crate::{limits, resolve, view};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::canonical;
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Act {
    uuid: String,
    #[serde(default)]
    user: Option<String>,
    /// Made elsewhere, over what `text` prints.
    #[serde(default)]
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Edit {
    uuid: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(flatten)]
    change: Change,
}

#[derive(Deserialize)]
struct NewSettings {
    #[serde(default)]
    recovery: Option<String>,
    #[serde(default)]
    agree: Option<Value>,
}

/// An act that needs nothing but the tally (refuse, withdraw, revise, resend).
///
/// # Errors
/// Why it cannot be done in this state.
pub fn plain(on: Happening, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Act { uuid, user, .. } = command.arguments()?;
    let half = resolve::half(context, &uuid, user.as_deref())?;
    act(context, half, on, Input::Nothing).map(|half| view::answer(&half))
}

/// An act that needs the user's signature (offer, accept): made here, or handed in.
///
/// # Errors
/// Why it cannot be done in this state; a signature that does not stand.
pub fn signed(on: Happening, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Act { uuid, user, signature } = command.arguments()?;
    let half = resolve::half(context, &uuid, user.as_deref())?;
    let stores = rows(half.state(), on).any(|rule| rule.effects.contains(&Effect::StoreOwnSignature));
    if !stores {
        return act(context, half, on, Input::Nothing).map(|half| view::answer(&half));
    }
    if on == Happening::UserOffer && (half.partner().is_none() || half.core["agree"].is_null()) {
        return Err(refused(&half, on).into());
    }
    let text = canonical(&half.core).map_err(|error| Fault::failed(error.to_string()))?;
    if text.len() > limits::RECORD_BYTES {
        return Err(Refusal::TooLarge { uuid: half.uuid, bytes: text.len(), most: limits::RECORD_BYTES }.into());
    }
    let signature = match signature {
        Some(signature) => signature,
        None => sign(context, &half, &text)?,
    };
    act(context, half, on, Input::Signature(&signature)).map(|half| view::answer(&half))
}

/// `edit` (T2).
///
/// # Errors
/// Why it cannot be done in this state; the member at fault.
pub fn edit(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Edit { uuid, user, change } = command.arguments()?;
    let half = resolve::half(context, &uuid, user.as_deref())?;
    if change == Change::default() {
        return Err(Fault::usage("tally edit: nothing to change")
            .fix("give --side, --memo, --agree, --terms, --partner-terms or --new-uuid"));
    }
    if rows(half.state(), Happening::UserEdit).next().is_none() {
        return Err(refused(&half, Happening::UserEdit).into());
    }
    let changed = drafts::changed(context, &half, change)?;
    act(context, half, Happening::UserEdit, Input::Content(&changed)).map(|half| view::answer(&half))
}

/// `delete` (T3).
///
/// # Errors
/// Why it cannot be done in this state.
pub fn delete(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Act { uuid, user, .. } = command.arguments()?;
    let half = resolve::half(context, &uuid, user.as_deref())?;
    let (uuid, name, holder) = (half.uuid.clone(), half.name(), half.holder.clone());
    let why = refused(&half, Happening::UserDelete);
    let outcome = rules::step(context, &holder, Some(half), Happening::UserDelete, Input::Nothing)?;
    match outcome.rule {
        Some(_) => Ok(json!({ "uuid": uuid, "half": name, "state": "none" })),
        None => Err(why.into()),
    }
}

/// `settings {recovery?, agree?}`: shows and changes what holds for the whole site.
///
/// # Errors
/// The member at fault.
pub fn settings(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let NewSettings { recovery, agree } = command.arguments()?;
    let before = store::settings(context)?;
    let after = Settings {
        recovery: match recovery.as_deref() {
            None => before.recovery,
            Some("on") => true,
            Some("off") => false,
            Some(other) => return Err(Fault::usage(format!("--recovery {other}: expected on or off"))),
        },
        agree: agree.unwrap_or_else(|| before.agree.clone()),
    };
    if after != before {
        context.put(store::SETTINGS, "site", &after)?;
    }
    Ok(json!({ "recovery": after.recovery, "agree": after.agree }))
}

fn act(context: &mut Context<'_>, half: Half, on: Happening, input: Input<'_>) -> Result<Half, Fault> {
    let holder = half.holder.clone();
    let (why, uuid) = (refused(&half, on), half.uuid.clone());
    let outcome = rules::step(context, &holder, Some(half), on, input)?;
    match (outcome.rule, outcome.half) {
        // T8 and T20, told to the user at once: nothing of the act is kept.
        _ if outcome.bad_signature => Err(Refusal::BadSignature { holder, uuid }.into()),
        (Some(_), Some(half)) => Ok(half),
        _ => Err(why.into()),
    }
}

fn sign(context: &mut Context<'_>, half: &Half, text: &str) -> Result<String, Fault> {
    context.sign_user(&half.holder, text.as_bytes()).map_err(|fault| match fault.code.as_str() {
        "custody" => fault.fix(format!("sign what `tally text {}` prints and give it with --signature", half.uuid)),
        _ => fault,
    })
}
