//! Index 0 of the chit chain: the tally itself (PROTOCOL 5.5, 6.1, 6.2).
//!
//! A chit handler answers for `chit/chain` as a whole. It tells of the partner's `ack` of index 0 by the
//! command `confirm`; our own is sent here, since it belongs to the event that opens the tally.

use crate::half::Half;
use crate::rules::{self, Input};
use crate::table::Happening;
use crate::{resolve, view};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::services::Outgoing;
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Confirm {
    uuid: String,
    #[serde(default)]
    user: Option<String>,
    hash: String,
}

/// Sends `ack` of index 0.
///
/// # Errors
/// The host's faults.
pub fn send_ack(context: &mut Context<'_>, half: &Half) -> Result<(), Fault> {
    let (Some(partner), Some(hash)) = (half.partner(), &half.hash) else { return Ok(()) };
    let object = json!({ "cmd": "ack", "tally": half.uuid, "index": 0, "hash": hash });
    let mut message = Outgoing::new(partner, &half.holder, "chit", "chain", &object)?;
    message.key = format!("ack/{}", half.name());
    context.send(&message)
}

/// `confirm {uuid, user?, hash}`, for a chit handler: the partner has acknowledged index 0 (T26).
///
/// # Errors
/// `NotFound`, or `Usage` where several fit.
pub fn confirm(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Confirm { uuid, user, hash } = command.arguments()?;
    let half = resolve::half(context, &uuid, user.as_deref())?;
    let holder = half.holder.clone();
    let outcome = rules::step(context, &holder, Some(half), Happening::PeerAck, Input::Hash(&hash))?;
    let done = outcome.rule.is_some();
    let half = outcome.half.ok_or_else(|| Fault::failed("a confirmed tally is gone"))?;
    let mut answer = view::answer(&half);
    (answer["confirmed"], answer["conf"]) = (done.into(), half.conf.into());
    Ok(answer)
}
