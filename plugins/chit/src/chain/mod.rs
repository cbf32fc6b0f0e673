//! The chain of chits that both halves agree on: the foil decides order, the stock conforms (PROTOCOL 6).

use crate::desk::Desk;
use crate::entry::Entry;
use serde_json::Value;
use tallyho_plugin::Fault;
use tallyho_plugin::record::ChitRecord;

/// S1, S4: links a good chit of our own making (C13, C19) at the own end, behind those that were loose, and
/// sends it. The entry is written with its index.
///
/// # Errors
/// The host's faults.
pub fn extend(desk: &mut Desk<'_, '_>, chit: &ChitRecord, entry: &mut Entry) -> Result<(), Fault> {
    let _ = (desk, chit, entry);
    Ok(())
}

/// C15: sends a linked chit again with its chain data as they are now.
///
/// # Errors
/// The host's faults.
pub fn repeat(desk: &mut Desk<'_, '_>, chit: &ChitRecord, entry: &Entry) -> Result<(), Fault> {
    let _ = (desk, chit, entry);
    Ok(())
}

/// A `good` message: `new` of PROTOCOL 6.2. `chain` is its member `chain`.
///
/// # Errors
/// The host's faults.
pub fn new(desk: &mut Desk<'_, '_>, chit: &ChitRecord, chain: &Value) -> Result<(), Fault> {
    let _ = (desk, chit, chain);
    Ok(())
}

/// A `chain` message: `upd`, `req`, `ack`, `nak`.
///
/// # Errors
/// The host's faults.
pub fn message(desk: &mut Desk<'_, '_>, object: &Value) -> Result<(), Fault> {
    let _ = (desk, object);
    Ok(())
}
