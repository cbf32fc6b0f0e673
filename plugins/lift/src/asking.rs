//! Overdue lifts: whom to ask, one after the other, until somebody has a ruling (PROTOCOL 9.8).

use crate::record::{Asked, Lift, Role, Ruling};
use crate::rules::{self, Facts};
use crate::table::Happening;
use crate::{chits, limits, say, store};
use tallyho_plugin::fault::STRIKE;
use tallyho_plugin::{Context, Fault, Message};

/// L15, L31: asks the first one.
///
/// # Errors
/// The host's faults.
pub fn begin(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    let first = after(context, lift, None)?;
    ask(context, lift, first.unwrap_or(Asked::Referee))
}

/// The time of the one asked is over: the next one, or the end of the round (L16, L32).
///
/// # Errors
/// As for [`rules::step`].
pub fn next(context: &mut Context<'_>, lift: &mut Lift) -> Result<(), Fault> {
    match after(context, lift, lift.asked)? {
        Some(whom) => {
            ask(context, lift, whom)?;
            store::put(context, lift, lift.state)?;
            crate::clock::set(context, lift)
        }
        None => rules::step(context, lift, Happening::Asked, &Facts::default()).map(drop),
    }
}

/// L17: the one asked has no ruling, so the next one is asked at once. After the referee there is nobody.
///
/// # Errors
/// The host's faults.
pub fn after_pending(context: &mut Context<'_>, lift: &mut Lift, from: Option<&Message>) -> Result<(), Fault> {
    let asked = match lift.asked {
        Some(Asked::Neighbour) => lift.top.as_ref().map(|top| &top.partner.agent),
        Some(Asked::Originator) => Some(&lift.core.org().agent),
        _ => None,
    };
    if asked.is_none() || asked != from.map(|message| &message.from.agent) {
        return Ok(());
    }
    match after(context, lift, lift.asked)? {
        Some(whom) => ask(context, lift, whom),
        None => Ok(()),
    }
}

/// A ruling heard by way of a lift's chit (PROTOCOL 9.6), kept until now.
///
/// # Errors
/// As for [`rules::step`].
pub fn heard(context: &mut Context<'_>, hash: &str) -> Result<(), Fault> {
    let Some(ruling) = context.get::<Ruling>(store::HEARD, hash)? else { return Ok(()) };
    context.delete(store::HEARD, hash)?;
    match ruling_came(context, hash, ruling, None) {
        // The chit handler has found it good; were it not, this timer must not come again and again.
        Err(fault) if fault.code == STRIKE => Ok(()),
        outcome => outcome,
    }
}

/// A ruling on a lift on record: verified, and applied to every way of it through this site.
///
/// # Errors
/// As for [`rules::step`].
pub fn ruling_came(
    context: &mut Context<'_>,
    hash: &str,
    ruling: Ruling,
    message: Option<&Message>,
) -> Result<(), Fault> {
    let Some(core) = store::segments(context, hash)?.into_iter().next().map(|lift| lift.core) else { return Ok(()) };
    let text = core.valid_text(ruling.valid).map_err(chits::unwritable)?;
    if !context.verify_agent(&core.referee().agent, text.as_bytes(), &ruling.signed) {
        return Err(Fault::refused(format!("lift {}: the ruling is not its referee's", core.uuid())).code(STRIKE));
    }
    // A chit may have told of one before, in whose place no other comes.
    heard(context, hash)?;
    rules::ruled(context, hash, &Facts { ruling: Some(ruling), message, ..Facts::default() })
}

/// Who comes after this one. A lift's originator asks its referee alone; so does whoever is its originator's
/// site at another place, since a ruling there is one here.
fn after(context: &mut Context<'_>, lift: &Lift, asked: Option<Asked>) -> Result<Option<Asked>, Fault> {
    let own = context.site()?.agent;
    let org = &lift.core.org().agent;
    let asks = |whom: Asked| match whom {
        // The closing tally's partner is the originator.
        Asked::Neighbour => lift.top.as_ref().is_some_and(|top| top.partner.agent != *org),
        Asked::Originator => *org != own,
        Asked::Referee => true,
    };
    let all = [Asked::Neighbour, Asked::Originator, Asked::Referee];
    let rest = all.into_iter().filter(|whom| asked.is_none_or(|asked| *whom > asked));
    let mut rest =
        rest.filter(|whom| if lift.role == Role::Originator { *whom == Asked::Referee } else { asks(*whom) });
    Ok(rest.next())
}

fn ask(context: &mut Context<'_>, lift: &mut Lift, whom: Asked) -> Result<(), Fault> {
    say::check(context, lift, whom)?;
    lift.asked = Some(whom);
    lift.exp = context.now().plus(limits::STEP);
    Ok(())
}
