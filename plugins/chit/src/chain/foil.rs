//! The foil decides the order (PROTOCOL 6.5).

use super::links::{self, Chits};
use super::receive::{self, Judged};
use super::wire::Update;
use super::{displaced, limits, send};
use crate::desk::Desk;
use tallyho_plugin::Fault;

/// `new` or `upd` that is not equal to what we have.
///
/// # Errors
/// The host's faults.
pub fn update(desk: &mut Desk<'_, '_>, update: &Update, judged: Vec<Judged>) -> Result<(), Fault> {
    // A hole in the list or an index that fits nowhere matters not: ours is the order.
    let lowest = judged.first().map(|judged| judged.index);
    let appended = append(desk, judged)?;
    let equal = desk.hash(update.index)?.as_deref() == Some(update.hash.as_str());
    if appended || equal {
        receive::heard(desk);
    }
    if lowest.is_some() {
        // After a break in our own chain: this is what we asked for.
        desk.half.talk.asked = None;
    }
    if equal {
        receive::agree(desk, update.index)?;
        send::ack(desk, update.index, &update.hash)?;
        if update.has_more() {
            return Ok(());
        }
        displaced::relink(desk)?;
        return receive::rest(desk, update.index);
    }
    // The last part will come, or S3 will: answering each part would send the same links over and over.
    if update.more {
        return Ok(());
    }
    displaced::relink(desk)?;
    let half = &desk.half;
    let known = half.talk.theirs.unwrap_or(0).min(half.conf.unwrap_or(0));
    let from = lowest.map_or(known, |lowest| known.min(lowest - 1)) + 1;
    let from = if from > half.end { 1 } else { from };
    if on_the_way(desk, from) { send::announce(desk) } else { send::upd(desk, from, limits::PARTS) }
}

/// Appends every chit that has no link, in the order given. Whether there was one.
fn append(desk: &mut Desk<'_, '_>, judged: Vec<Judged>) -> Result<bool, Fault> {
    let lacking: Vec<Judged> = judged.into_iter().filter(|judged| judged.entry.index.is_none()).collect();
    let any = !lacking.is_empty();
    let coming: Chits = lacking.iter().map(|judged| judged.chit.clone()).collect();
    for Judged { chit, mut entry, new, .. } in lacking {
        if !new {
            displaced::take(desk, &chit, &mut entry)?;
        }
        links::append(desk, &chit, &mut entry, &coming)?;
    }
    Ok(any)
}

/// The links from `from` on went out a moment ago, as far as they were there: the partner's message has
/// crossed them, and only what is new need follow. With both sides at work each message crosses others, and
/// each would draw all of them once more.
fn on_the_way(desk: &Desk<'_, '_>, from: u64) -> bool {
    let half = &desk.half;
    let recent = desk.context.now().0 - half.sent_at.0 <= limits::ON_THE_WAY;
    recent && half.talk.sent_from <= from && from <= half.sent + 1
}
