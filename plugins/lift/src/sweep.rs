//! Lets go what need not be kept any longer (PROTOCOL 9.7 I6, 9.8).

use crate::{limits, store};
use tallyho_plugin::{Context, Fault};

/// The timer's name.
pub const TIMER: &str = "sweep";

/// Sets the timer, as the site starts.
///
/// # Errors
/// The host's faults.
pub fn start(context: &mut Context<'_>) -> Result<(), Fault> {
    let at = context.now().plus(limits::SWEEP_EVERY);
    context.set_timer(TIMER, at)
}

/// One page; the next one follows soon where there is more.
///
/// # Errors
/// The host's faults.
pub fn sweep(context: &mut Context<'_>) -> Result<(), Fault> {
    let gone = store::let_go(context, limits::SWEEP_PAGE)?;
    let wait = if gone < limits::SWEEP_PAGE { limits::SWEEP_EVERY } else { limits::SWEEP_PAUSE };
    let at = context.now().plus(wait);
    context.set_timer(TIMER, at)
}
