//! What the transport says of our promises and notices of arrival (PROTOCOL 9.7 L5, L6, L24, L25, L29, L30).

use crate::promise;
use crate::record::{Lift, Name, Role};
use crate::rules::{self, Facts};
use crate::state::State;
use crate::store;
use crate::table::{Guard, Happening};
use crate::{asking, limits, say, table};
use tallyho_plugin::{Context, Delivery, Fate, Fault};

/// What became of a message.
///
/// # Errors
/// As for [`rules::step`].
pub fn delivery(delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
    if let Some(rest) = delivery.key.strip_prefix("promise ") {
        let Some((name, top)) = rest.rsplit_once(' ') else { return Ok(()) };
        let Some(known) = Name::read(name) else { return Ok(()) };
        asking::heard(context, &known.hash)?;
        let Some(mut lift) = store::lift(context, &known)? else { return Ok(()) };
        // Of an exit that was given up since, nothing matters any more.
        let current = lift.top.as_ref().is_some_and(|at| at.tally == top && at.partner.agent == delivery.to);
        return if current { promised(context, &mut lift, delivery) } else { Ok(()) };
    }
    if let Some(name) = delivery.key.strip_prefix("term ") {
        let Some(mut lift) = find(context, name)? else { return Ok(()) };
        return arrived(context, &mut lift, &delivery.fate);
    }
    if let Fate::Stalled { .. } = delivery.fate {
        // Questions, answers and pushed rulings are made anew when they are needed.
        context.withdraw(&delivery.to, &delivery.key)?;
    }
    Ok(())
}

fn promised(context: &mut Context<'_>, lift: &mut Lift, delivery: &Delivery) -> Result<(), Fault> {
    let waits = matches!(lift.state, State::InitSeek | State::DraftRelay);
    match &delivery.fate {
        Fate::HandedOver if waits => {
            lift.left = true;
            lift.gone = Some(context.now());
            rules::step(context, lift, Happening::PromiseGone, &Facts::default())?;
            rules::word_came(context, lift)
        }
        Fate::Stalled { unsent, .. } if waits => {
            // Once a copy may have left, a later one that has not changes nothing.
            let again = !lift.left && lift.role == Role::Relay;
            lift.left |= !unsent;
            lift.unsent = !lift.left;
            if lift.unsent && lift.ruling.is_some() {
                return rules::word_came(context, lift);
            }
            if lift.unsent {
                return unsent_promise(context, lift);
            }
            if context.now() >= lift.core.expires() {
                return unsure_promise(context, lift);
            }
            match again {
                // A relay's first attempts end early, for another exit's sake, and there is none any more.
                true => say::promise(context, lift, lift.core.expires())?,
                // The transport gives up when the next attempt would come after expiry. One more would be given up
                // at once, and so on until then: the timer takes it for sent (L6b, L25b).
                false => drop(context.withdraw(&delivery.to, &delivery.key)?),
            }
            store::put(context, lift, lift.state)
        }
        // A repeat that could not be sent.
        Fate::Stalled { .. } => context.withdraw(&delivery.to, &delivery.key).map(drop),
        _ => Ok(()),
    }
}

/// L6b, L25b: it may have left, and whoever has it may hold us to it.
///
/// # Errors
/// As for [`rules::step`].
pub fn unsure_promise(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    lift.left = true;
    if lift.ruling.is_some() {
        // It binds us: before the chit comes, the neighbour should know of the lift, whether it takes it or not.
        say::promise(context, lift, context.now().plus(limits::PUSH))?;
    }
    rules::step(context, lift, Happening::PromiseUnsure, &Facts::default())?;
    rules::word_came(context, lift)
}

/// L6, L25: certainly not one byte of it has left.
fn unsent_promise(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let mut facts = Facts { why: Some("unreachable".to_owned()), ..Facts::default() };
    if promise::other_exit(context, lift)? {
        facts = facts.holding(&[Guard::OtherExit]);
    }
    debug_assert!(table::rows(lift.state, Happening::PromiseUnsent).next().is_some());
    rules::step(context, lift, Happening::PromiseUnsent, &facts).map(drop)
}

fn arrived(context: &mut Context<'_>, lift: &mut Lift, fate: &Fate) -> Result<(), Fault> {
    let waits = lift.state == State::FoundTerm;
    match fate {
        Fate::HandedOver if waits => {
            lift.left = lift.given.is_some();
            lift.gone = Some(context.now());
            rules::step(context, lift, Happening::TermGone, &Facts::default())?;
            rules::word_came(context, lift)
        }
        Fate::Stalled { unsent, .. } if waits => {
            lift.left |= !unsent && lift.given.is_some();
            lift.unsent = lift.given.is_some() && !lift.left;
            say::withdraw(context, lift)?;
            if lift.ruling.is_some() {
                return rules::word_came(context, lift);
            }
            rules::step(context, lift, Happening::TermStalled, &Facts::default()).map(drop)
        }
        Fate::Stalled { .. } => say::withdraw(context, lift),
        _ => Ok(()),
    }
}

fn find(context: &mut Context<'_>, name: &str) -> Result<Option<Lift>, Fault> {
    match Name::read(name) {
        Some(name) => store::lift(context, &name),
        None => Ok(None),
    }
}
