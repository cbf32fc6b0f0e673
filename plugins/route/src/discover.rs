//! Automatic discovery (PROTOCOL 8.5).

use tallyho_plugin::{Context, Fault};

/// What the name of the timer begins with that follows a tally's opening or closing.
pub const LOOK: &str = "look:";

/// Looks in an event of its own at what follows from this tally's opening or closing.
///
/// # Errors
/// The host's faults.
pub fn later(context: &mut Context<'_>, user: &str, tally: &str) -> Result<(), Fault> {
    let now = context.now();
    context.set_timer(&format!("{LOOK}{user}/{tally}"), now)
}
