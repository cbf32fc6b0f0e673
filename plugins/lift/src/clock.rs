//! When something has to be done by itself: one timer for each lift under way (PROTOCOL 9.8, 11.2).

use crate::record::{Lift, Name, Role};
use crate::rules::{self, Facts};
use crate::state::State;
use crate::table::Happening;
use crate::{asking, deliveries, limits, originate, say, store};
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Context, Fault, Timer};

/// What timers of lifts are called: this and [`Name::text`].
const LIFT: &str = "lift ";
/// What timers of rulings heard otherwise are called: this and Lh.
const HEARD: &str = "heard ";
/// What timers of routes found are called: this and the destination.
const TOLD: &str = "told ";

/// When a lift is overdue: expiry, and a delay so that who had least time left asks first.
pub fn overdue(lift: &Lift) -> Timestamp {
    let (least, most) = limits::OVERDUE;
    lift.core.expires().plus((lift.patience / 4).clamp(least, most))
}

/// When the next round of asking begins, after so many of them.
pub fn next_round(now: Timestamp, rounds: u32) -> Timestamp {
    let doubled = limits::ROUND.checked_shl(rounds.min(16)).unwrap_or(limits::ROUND_MOST);
    now.plus(doubled.min(limits::ROUND_MOST))
}

/// Sets the lift's timer by its state.
///
/// # Errors
/// The host's faults.
pub fn set(context: &mut Context<'_>, lift: &Lift) -> Result<(), Fault> {
    let key = format!("{LIFT}{}", lift.name().text());
    if lift.state.is_final() {
        return context.cancel_timer(&key);
    }
    let at = repeat_at(lift).map_or(lift.exp, |repeat| repeat.min(lift.exp));
    context.set_timer(&key, at)
}

/// In a moment, in an event of its own: the ruling on this lift was heard by way of its chit.
///
/// # Errors
/// The host's faults.
pub fn heard(context: &mut Context<'_>, hash: &str) -> Result<(), Fault> {
    let now = context.now();
    context.set_timer(&format!("{HEARD}{hash}"), now)
}

/// In a moment, in an event of its own: there may be a way to this destination.
///
/// # Errors
/// The host's faults.
pub fn told(context: &mut Context<'_>, find: &str) -> Result<(), Fault> {
    let now = context.now();
    context.set_timer(&format!("{TOLD}{find}"), now)
}

/// A timer came due.
///
/// # Errors
/// As for [`rules::step`].
pub fn fired(context: &mut Context<'_>, timer: &Timer) -> Result<(), Fault> {
    if let Some(hash) = timer.key.strip_prefix(HEARD) {
        return asking::heard(context, hash);
    }
    if let Some(find) = timer.key.strip_prefix(TOLD) {
        return originate::found(context, find);
    }
    let Some(name) = timer.key.strip_prefix(LIFT).and_then(Name::read) else { return Ok(()) };
    let Some(mut lift) = store::lift(context, &name)? else { return Ok(()) };
    let now = context.now();
    if now < lift.exp {
        return repeat(context, &mut lift);
    }
    let facts = Facts::default();
    match lift.state {
        State::DraftInit => originate::give_up(context, &mut lift),
        // The transport has not said what has become of the message: it may have left.
        State::InitSeek | State::DraftRelay => deliveries::unsure_promise(context, &mut lift),
        State::FoundTerm => {
            lift.left = lift.given.is_some();
            rules::step(context, &mut lift, Happening::TermStalled, &facts)?;
            rules::word_came(context, &mut lift)
        }
        State::Seek | State::Pend => rules::step(context, &mut lift, Happening::Overdue, &facts).map(drop),
        State::SeekCheck | State::PendCheck => asking::next(context, &mut lift),
        State::Call => {
            rules::step(context, &mut lift, Happening::Silence, &facts)?;
            rules::step(context, &mut lift, Happening::CommitGone, &facts).map(drop)
        }
        _ => Ok(()),
    }
}

/// When the message upstream is repeated: it was handed over, and nothing has come of it (PROTOCOL 11.2).
fn repeat_at(lift: &Lift) -> Option<Timestamp> {
    let waits = matches!(lift.state, State::Seek | State::Pend) && lift.asked.is_none();
    let after = limits::REPEATS.get(usize::try_from(lift.repeats).ok()?)?;
    let at = lift.gone.filter(|_| waits)?.plus(*after);
    Some(at).filter(|at| *at < lift.core.expires())
}

fn repeat(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let now = context.now();
    if repeat_at(lift).is_some_and(|at| at <= now) {
        lift.repeats += 1;
        match lift.role {
            Role::Terminus => say::term(context, lift)?,
            _ => say::promise(context, lift, lift.core.expires())?,
        }
        store::put(context, lift, lift.state)?;
    }
    set(context, lift)
}
