//! Lets go what need not be kept any longer (PROTOCOL 10.4), some at a time.

use crate::limits;
use crate::store;
use tallyho_plugin::{Context, Fault};

/// The timer's name.
pub const TIMER: &str = "sweep";

/// Sees to it that a sweep comes.
///
/// # Errors
/// The host's faults.
pub fn start(context: &mut Context<'_>) -> Result<(), Fault> {
    context.set_timer(TIMER, context.now().plus(limits::SWEEP_PAUSE))
}

/// Sweeps one page.
///
/// # Errors
/// The host's faults.
pub fn sweep(context: &mut Context<'_>) -> Result<(), Fault> {
    let mut book = store::book(context)?;
    let ended = store::ended(context, context.now(), limits::SWEEP_PAGE)?;
    for key in &ended {
        store::let_go(context, key, &mut book)?;
    }
    if !ended.is_empty() {
        store::put_book(context, &book)?;
    }
    let full = ended.len() == limits::SWEEP_PAGE as usize;
    let pause = if full { limits::SWEEP_PAUSE } else { limits::SWEEP_EVERY };
    context.set_timer(TIMER, context.now().plus(pause))
}
