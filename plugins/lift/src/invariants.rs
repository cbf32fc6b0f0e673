//! What a site holds to in every lift (PROTOCOL 9.7 I1 to I6). Each is looked at before anything becomes durable;
//! one that would not hold is a fault of the event, which then has no effect.

use crate::record::{Lift, Role};
use crate::state::State;
use crate::table::{Effect, Rule};
use tallyho_plugin::Fault;

/// Looks at a lift as it was in the store and as it would become.
///
/// # Errors
/// `Failed`, naming the invariant.
pub fn check(before: Option<&Lift>, after: &Lift, rule: &Rule) -> Result<(), Fault> {
    let was = before.map_or(State::None, |before| before.state);
    let ruled = |valid| after.ruling.as_ref().is_some_and(|ruling| ruling.valid == valid);
    // I1: never by the site's own clock. `left` is of the latest pledge; one before it was given back.
    let ended = !was.is_final() && matches!(after.state, State::Void | State::Released);
    hold(!(ended && after.left) || ruled(false) || after.released, "I1", after, rule)?;
    // I2. A lift inside one site is ruled by the site itself.
    hold(after.state != State::Good || ruled(true), "I2", after, rule)?;
    hold(after.state != State::Void || ruled(false), "I2", after, rule)?;
    // I3.
    if let Some(given) = &after.given {
        let backed = after.role == Role::Originator || after.received.is_some();
        let reserved = after.edges.last().is_some_and(|edge| edge.tally == given.tally);
        let leads = after.top.as_ref().is_some_and(|top| top.tally == given.tally);
        hold(backed && reserved && leads, "I3", after, rule)?;
    }
    // I4 and I6: see `may_release`; what was released is kept to be said again.
    if rule.effects.contains(&Effect::Fail) && after.bottom.is_some() {
        hold(after.answer.is_some(), "I6", after, rule)?;
    }
    // What has ended stays as it has ended.
    hold(!was.is_final() || after.state == was, "final", after, rule)
}

/// I4: a release goes out only while no pledge of ours for this way is outstanding.
///
/// # Errors
/// `Failed`.
pub fn may_release(lift: &Lift) -> Result<(), Fault> {
    match lift.given.is_none() || !lift.left || lift.released {
        true => Ok(()),
        false => Err(Fault::failed(format!("I4: lift {} has a pledge upstream", lift.core.uuid()))),
    }
}

fn hold(holds: bool, which: &str, lift: &Lift, rule: &Rule) -> Result<(), Fault> {
    match holds {
        true => Ok(()),
        false => {
            let (uuid, state, id) = (lift.core.uuid(), lift.state, rule.id);
            Err(Fault::failed(format!("{which} would not hold for lift {uuid} in state {state} by {id}")))
        }
    }
}
