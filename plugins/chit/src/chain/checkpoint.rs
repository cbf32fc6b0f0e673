//! S3: while the partner is not known to have all our links, they are sent again when nothing is heard
//! (PROTOCOL 6.3, 11.2); and what stands behind when an event ends.

use super::{displaced, limits, send};
use crate::desk::Desk;
use crate::half::{Half, Stat};
use crate::limits::{CHECK_MOST, CHECK_STEP};
use crate::store::{UNSETTLED, key};
use tallyho_plugin::record::{Side, Timestamp};
use tallyho_plugin::{Context, Fault};

/// What the timer's name begins with; `HOLDER/TALLY` follows.
pub const KEY: &str = "check/";

/// Brings `stat`, the index of unsettled halves and the timer in step with what an event has made of a half.
///
/// # Errors
/// The host's faults.
pub fn keep(desk: &mut Desk<'_, '_>, before: Option<&Half>) -> Result<(), Fault> {
    desk.half.stat = stat(&desk.half, desk.side());
    let row = key(&[&desk.party.holder, &desk.party.tally]);
    match (before.is_some_and(is_due), is_due(&desk.half)) {
        (false, true) => {
            desk.half.talk.behind_since = desk.context.now();
            desk.context.put(UNSETTLED, row, &())?;
        }
        (true, false) => desk.context.delete(UNSETTLED, row)?,
        _ => {}
    }
    if is_due(&desk.half) && !desk.half.timed {
        set(desk, desk.context.now())?;
    }
    Ok(())
}

/// PROTOCOL 6.1.
fn stat(half: &Half, side: Side) -> Stat {
    match side {
        _ if half.stat == Stat::Broken => Stat::Broken,
        _ if half.conf.is_none() => Stat::Nothing,
        _ if half.is_settled() => Stat::Consented,
        Side::Foil => Stat::Affirming,
        Side::Stock => Stat::Proposing,
    }
}

/// Whether a checkpoint is due for this half sooner or later.
fn is_due(half: &Half) -> bool {
    half.conf.is_some() && half.stat != Stat::Broken && !half.is_settled()
}

/// Whether a half's first checkpoint is set and not late: it has become behind, or heard of its partner, a moment
/// ago. After a swap the talk goes on where it was, and to begin it anew would hold both sites up; after a restart
/// what was under way is in the outbox, or comes with that checkpoint.
pub fn is_near(desk: &Desk<'_, '_>) -> bool {
    let since = desk.half.heard_at.max(desk.half.talk.behind_since);
    let now = desk.context.now();
    desk.half.timed && desk.half.tries == 0 && since <= now && now < since.plus(wait(0) * 8 / 10)
}

fn set(desk: &mut Desk<'_, '_>, from: Timestamp) -> Result<(), Fault> {
    // ±20 %, so that tallies that began to wait together do not call together for ever.
    let percent = 80 + i64::from(desk.context.random::<1>()[0]) * 40 / 255;
    let at = from.plus(wait(desk.half.tries) * percent / 100);
    desk.half.timed = true;
    desk.context.set_timer(&format!("{KEY}{}", desk.party.name()), at)
}

/// The wait before the next checkpoint, in milliseconds.
fn wait(tries: u32) -> i64 {
    (CHECK_STEP * (i64::from(tries) + 1)).min(CHECK_MOST)
}

/// The timer of a half has come.
///
/// # Errors
/// The host's faults.
pub fn timer(context: &mut Context<'_>, holder: &str, tally: &str) -> Result<(), Fault> {
    let Some(mut desk) = Desk::open(context, holder, tally)? else { return Ok(()) };
    desk.half.timed = false;
    if is_due(&desk.half) {
        let since = desk.half.heard_at.max(desk.half.talk.behind_since);
        // The timer is not moved with each message: it looks at the time when it comes.
        if desk.context.now() < since.plus(wait(desk.half.tries) * 8 / 10) {
            set(&mut desk, since)?;
        } else {
            let parts = if desk.half.tries == 0 || desk.half.sent < desk.half.end { limits::PARTS } else { 1 };
            check(&mut desk, parts)?;
        }
    }
    desk.close()
}

/// S3. After the first in vain, and where nothing is new, one part is enough to find out whether the partner
/// is back: its `ack` calls for the rest.
///
/// # Errors
/// The host's faults.
pub fn check(desk: &mut Desk<'_, '_>, parts: usize) -> Result<(), Fault> {
    // A req that had no answer in all this time will have none.
    (desk.half.talk.asked, desk.half.talk.held) = (None, None);
    desk.half.tries = desk.half.tries.saturating_add(1);
    displaced::relink(desk)?;
    match desk.half.conf {
        Some(conf) if conf < desk.half.end => send::upd(desk, conf + 1, parts),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_five_seconds_up_to_five_minutes() {
        assert_eq!([0, 1, 2, 59, 60, u32::MAX].map(wait), [5_000, 10_000, 15_000, 300_000, 300_000, 300_000]);
    }
}
