//! What became of messages sent, timers, and starting again (PROTOCOL 11).

use crate::errands::{self, Errand, Verb};
use crate::half::Half;
use crate::rules::{self, Input};
use crate::table::Happening;
use crate::{limits, present, store};
use tallyho_plugin::services::LogLevel;
use tallyho_plugin::{Context, Delivery, Fate, Fault, Timer};

/// What the name of the timer begins with that goes on raising what was under way; behind it stands the
/// last half raised.
const AGAIN: &str = "again:";

/// Takes a report about a message.
///
/// # Errors
/// The host's faults.
pub fn delivery(delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
    if let Some(name) = delivery.key.strip_prefix(present::KEY) {
        return present::delivery(name, &delivery.fate, context);
    }
    let Some(errand) = Errand::parse(&delivery.key) else { return Ok(()) };
    let Some(half) = store::half(context, &errand.holder, &errand.uuid)? else { return Ok(()) };
    match &delivery.fate {
        Fate::HandedOver => handed_over(&errand, half, context),
        Fate::Stalled { why, .. } if concerns(&errand, &half) => {
            rules::step(context, &errand.holder, Some(half), Happening::TransportFailed, Input::Why(why)).map(drop)
        }
        _ => Ok(()),
    }
}

/// Takes a timer.
///
/// # Errors
/// The host's faults.
pub fn timer(timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
    if let Some(name) = timer.key.strip_prefix(present::KEY) {
        return present::forget(name, context);
    }
    if let Some(last) = timer.key.strip_prefix(AGAIN) {
        return raise_after(context, last);
    }
    let Some(errand) = Errand::parse(&timer.key) else { return Ok(()) };
    let half = store::half(context, &errand.holder, &errand.uuid)?;
    match half.filter(Half::is_unconfirmed) {
        Some(half) if half.copies >= limits::REPEAT_TRIES => {
            let why = format!("the partner has not confirmed {} copies of the acceptance", half.copies);
            rules::step(context, &errand.holder, Some(half), Happening::TransportFailed, Input::Why(&why)).map(drop)
        }
        Some(half) => errands::send(context, &half, Verb::Open),
        None => Ok(()),
    }
}

/// Raises again everything that was under way (PROTOCOL 11.2), some at a time: a timer sees to the rest.
///
/// # Errors
/// The host's faults.
pub fn started(context: &mut Context<'_>) -> Result<(), Fault> {
    raise_after(context, "")
}

/// Raises what is under way behind this half, `HOLDER/UUID`.
fn raise_after(context: &mut Context<'_>, last: &str) -> Result<(), Fault> {
    let page = store::underway(context, last, limits::RAISED_AT_ONCE)?;
    for (holder, uuid) in &page {
        // One that cannot be raised (its partner's outbox is full) must not keep the others back.
        if let Err(fault) = raise_again(context, holder, uuid) {
            context.log(LogLevel::Error, &format!("tally {holder}/{uuid} is not sent again: {fault}"));
        }
    }
    match page.last() {
        Some((holder, uuid)) if page.len() >= limits::RAISED_AT_ONCE as usize => {
            context.set_timer(&format!("{AGAIN}{holder}/{uuid}"), context.now())
        }
        _ => Ok(()),
    }
}

fn raise_again(context: &mut Context<'_>, holder: &str, uuid: &str) -> Result<(), Fault> {
    let Some(half) = store::half(context, holder, uuid)? else { return Ok(()) };
    let again = Half { stalled: None, copies: 0, ..half.clone() };
    store::save(context, Some(&half), Some(&again))?;
    if again.request.is_none() {
        errands::send(context, &again, Verb::Open)?;
    } else if !errands::raise(context, &again)? {
        rules::step(context, holder, Some(again), Happening::SignatureBad, Input::Nothing)?;
    }
    Ok(())
}

fn handed_over(errand: &Errand, half: Half, context: &mut Context<'_>) -> Result<(), Fault> {
    let outcome = if half.request.is_some() && concerns(errand, &half) {
        rules::step(context, &errand.holder, Some(half), Happening::HandedOver, Input::Nothing)?
    } else {
        rules::Outcome { half: Some(half), ..Default::default() }
    };
    // A copy of `open`: the next one follows unless it is confirmed. T21 has set the first timer itself.
    let first = outcome.rule.is_some_and(|rule| rule.id == "T21");
    match outcome.half {
        Some(half) if errand.verb == Verb::Open && !first && half.is_unconfirmed() => {
            let counted = Half { copies: half.copies + 1, ..half.clone() };
            store::save(context, Some(&half), Some(&counted))?;
            errands::repeat_later(context, &counted)
        }
        _ => Ok(()),
    }
}

/// Whether a report is about what the half now wants: an old offer's report must not move a newer one.
fn concerns(errand: &Errand, half: &Half) -> bool {
    let wanted = match half.request {
        Some(request) => Verb::of(request) == errand.verb,
        None => half.is_unconfirmed() && errand.verb == Verb::Open,
    };
    wanted && errand.revision == half.revision()
}
