//! What partners say (PROTOCOL 5.5, 6.2).

use crate::chain;
use crate::desk::Desk;
use crate::keys::Keys;
use crate::rules::{self, Input};
use crate::table::Happening;
use serde_json::Value;
use tallyho_plugin::record::{ChitRecord, is_uuid};
use tallyho_plugin::services::LogLevel;
use tallyho_plugin::{Context, Fault, Message};

/// Takes a message. One that does not fit the state has no effect and is no error (PROTOCOL 0).
///
/// # Errors
/// The host's faults.
pub fn message(message: &Message, keys: &Keys, context: &mut Context<'_>) -> Result<(), Fault> {
    let object: Value = message.object()?;
    let (Some(uuid), Some(holder)) = (object["tally"].as_str(), message.to.cuid.as_deref()) else { return Ok(()) };
    if !is_uuid(uuid) {
        return Ok(());
    }
    let Some(mut desk) = Desk::open(context, holder, uuid)? else { return Ok(()) };
    // PROTOCOL 3.1 item 5, O-13: our partner on this tally and nobody else.
    if !desk.party.partner.same_party(&message.from) {
        return Ok(());
    }
    keys.keep(&desk.party);
    match message.action.as_str() {
        "pend" => pend(&mut desk, object)?,
        "void" => void(&mut desk, &object)?,
        "good" => good(&mut desk, object)?,
        "chain" => chain::message(&mut desk, &object)?,
        _ => {}
    }
    desk.close()
}

/// `pend`: core and hash, unsigned (C6, C7).
fn pend(desk: &mut Desk<'_, '_>, object: Value) -> Result<(), Fault> {
    let Some(chit) = read(desk, "pend", object) else { return Ok(()) };
    if chit.tally() != desk.party.tally {
        return Ok(());
    }
    let stored = desk.entry(chit.uuid())?;
    let outcome = rules::step(desk, chit.uuid(), stored, Happening::PeerPend, Input::Chit(&chit))?;
    if outcome.rule.is_none()
        && let Some(why) = outcome.why.last()
    {
        ignored(desk, "pend", &why.to_string());
    }
    Ok(())
}

/// `void`: a record, or `{tally, uuid}` (C4).
fn void(desk: &mut Desk<'_, '_>, object: &Value) -> Result<(), Fault> {
    let Some(uuid) = object["uuid"].as_str().filter(|uuid| is_uuid(uuid)) else { return Ok(()) };
    let stored = desk.entry(uuid)?;
    rules::step(desk, uuid, stored, Happening::PeerVoid, Input::Nothing).map(drop)
}

/// `good`: the chain judges the chit, and links it (PROTOCOL 6.4).
fn good(desk: &mut Desk<'_, '_>, object: Value) -> Result<(), Fault> {
    let Some(chit) = read(desk, "good", object) else { return Ok(()) };
    let place = chit.chain().cloned().unwrap_or_default();
    chain::new(desk, &chit, &place)
}

/// A chit of the right shape; anything else is no chit, and nothing can be said about it but in the log.
fn read(desk: &mut Desk<'_, '_>, action: &str, object: Value) -> Option<ChitRecord> {
    match ChitRecord::parse(object) {
        Ok(chit) => Some(chit),
        Err(error) => {
            ignored(desk, action, &error.to_string());
            None
        }
    }
}

fn ignored(desk: &mut Desk<'_, '_>, action: &str, why: &str) {
    let text = format!("chit/{action} about tally {} ignored: {why}", desk.party.name());
    desk.context.log(LogLevel::Warn, &text);
    desk.context.metric("ignored", 1);
}
