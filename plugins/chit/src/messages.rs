//! What partners say (PROTOCOL 5.5, 6.2).

use crate::desk::Desk;
use serde_json::Value;
use tallyho_plugin::record::is_uuid;
use tallyho_plugin::{Context, Fault, Message};

/// Takes a message. One that does not fit the state has no effect and is no error (PROTOCOL 0).
///
/// # Errors
/// The host's faults.
pub fn message(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let object: Value = message.object()?;
    let (Some(uuid), Some(holder)) = (object["tally"].as_str(), message.to.cuid.as_deref()) else { return Ok(()) };
    if !is_uuid(uuid) {
        return Ok(());
    }
    let Some(desk) = Desk::open(context, holder, uuid)? else { return Ok(()) };
    // PROTOCOL 3.1 item 5, O-13: our partner on this tally and nobody else.
    if !desk.party.partner.same_party(&message.from) {
        return Ok(());
    }
    desk.close()
}
