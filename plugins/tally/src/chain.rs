//! Index 0 of the chit chain: the tally itself (PROTOCOL 5.5, 6.1, 6.2).
//!
//! A chit handler answers for `chit/chain` as a whole and reaches the tally through the command
//! `confirm`. Until there is one, this file claims the target `chit` for the index-0 `ack` alone.

use crate::half::Half;
use crate::rules::{self, Input, Outcome};
use crate::store;
use crate::table::Happening;
use serde_json::{Value, json};
use tallyho_plugin::record::is_uuid;
use tallyho_plugin::services::Outgoing;
use tallyho_plugin::{Context, Fault, Message, Target};

/// The claim: messages name their tally in `object.tally`.
pub fn target() -> Target {
    Target::new("chit", &["chain"]).relation_in_object("tally")
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

/// Takes a `chit/chain` message: the index-0 `ack`, and nothing else.
///
/// # Errors
/// The host's faults; what does not fit is ignored.
pub fn message(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let object: Value = message.object()?;
    // `sub` is the documents' name for it (O-28).
    let command = object.get("cmd").or_else(|| object.get("sub")).and_then(Value::as_str);
    let (Some(uuid), Some(hash)) = (object["tally"].as_str(), object["hash"].as_str()) else { return Ok(()) };
    if command != Some("ack") || object["index"] != 0 || !is_uuid(uuid) {
        return Ok(());
    }
    let holder = message.to.cuid.as_deref().unwrap_or_default();
    let half = store::half(context, holder, uuid)?;
    let half = half.filter(|half| half.partner().is_some_and(|partner| partner.same_party(&message.from)));
    match half {
        Some(half) => confirm(context, half, hash).map(drop),
        None => Ok(()),
    }
}

/// T26.
///
/// # Errors
/// The host's faults.
pub fn confirm(context: &mut Context<'_>, half: Half, hash: &str) -> Result<Outcome, Fault> {
    let holder = half.holder.clone();
    rules::step(context, &holder, Some(half), Happening::PeerAck, Input::Hash(hash))
}
