//! Settings of both sides: the merge, in chain order, of terms and `set` chits (PROTOCOL 5.7).

use crate::desk::Desk;
use crate::entry::Entry;
use tallyho_plugin::Fault;

/// A chit of settings got a link at the end of the chain.
///
/// # Errors
/// The host's faults.
pub fn linked(desk: &mut Desk<'_, '_>, entry: &Entry, index: u64) -> Result<(), Fault> {
    let _ = (desk, entry, index);
    Ok(())
}

/// Links from `index` on are no longer what they were: chits of settings among them count no more
/// until they are linked again.
///
/// # Errors
/// The host's faults.
pub fn unlinked(desk: &mut Desk<'_, '_>, index: u64) -> Result<(), Fault> {
    let _ = (desk, index);
    Ok(())
}
