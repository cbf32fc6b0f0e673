//! A signed chit on its way into a half, before its place in the chain is known (PROTOCOL 5.3, 6.4, 6.8).

use crate::desk::Desk;
use crate::entry::Entry;
use tallyho_plugin::Fault;
use tallyho_plugin::record::ChitRecord;

/// What a signed chit turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// Valid and new here (C3, C3b): its row is good, counted in the balance, the user told. It has no link
    /// yet: whoever admitted it either links it or keeps it as loose.
    New(Entry),
    /// Known with the same core and signature (C16).
    Known(Entry),
    /// Known with the same core under another signature that stands as well (6.8): ours is kept, theirs is here.
    Resigned(Entry, ChitRecord),
    /// Known with another core that is signed as well (C17, 6.8). Nothing stored.
    Conflicting(Entry),
    /// Not valid (G1), and why. Nothing stored.
    Invalid(String),
}

/// Judges a signed chit of this tally, whoever brought it, and stores it if it is valid and new.
///
/// # Errors
/// The host's faults.
pub fn admit(desk: &mut Desk<'_, '_>, chit: &ChitRecord) -> Result<Admitted, Fault> {
    let _ = (desk, chit);
    Ok(Admitted::Invalid("not written yet".to_owned()))
}
