//! `req`, `ack` and `nak` (PROTOCOL 6.5, 6.6).

use super::talk::Nak;
use super::{backoff, displaced, limits, links, receive, send};
use crate::desk::Desk;
use crate::half::Stat;
use serde_json::json;
use tallyho_plugin::Fault;
use tallyho_plugin::record::Side;

/// `req`.
///
/// # Errors
/// The host's faults.
pub fn request(desk: &mut Desk<'_, '_>, index: u64, count: Option<u64>) -> Result<(), Fault> {
    receive::heard(desk);
    displaced::relink(desk)?;
    match count {
        Some(count) => send::some(desk, index, count),
        None => send::upd(desk, index, limits::PARTS),
    }
}

/// `ack`.
///
/// # Errors
/// The host's faults.
pub fn ack(desk: &mut Desk<'_, '_>, index: u64, hash: &str) -> Result<(), Fault> {
    // Above what was sent in this numbering it is an old one, from before the partner lost links.
    if index > desk.half.sent || desk.hash(index)?.as_deref() != Some(hash) {
        return Ok(());
    }
    receive::heard(desk);
    if desk.half.conf.is_some_and(|conf| conf >= index) {
        return Ok(());
    }
    receive::agree(desk, index)?;
    if desk.half.stat == Stat::Broken {
        return Ok(());
    }
    displaced::relink(desk)?;
    send::announce(desk)
}

/// `nak`.
///
/// # Errors
/// The host's faults.
pub fn nak(desk: &mut Desk<'_, '_>, index: u64, hash: Option<String>) -> Result<(), Fault> {
    if desk.half.stat == Stat::Broken {
        return Ok(());
    }
    receive::heard(desk);
    let nak = Nak { index, hash, end: desk.half.end };
    let before = desk.half.talk.nak.replace(nak.clone());
    // A repeat waits for S3.
    if before.as_ref() == Some(&nak) {
        return Ok(());
    }
    match (desk.side(), nak.hash.is_some()) {
        (Side::Foil, false) => {
            displaced::relink(desk)?;
            send::upd(desk, desk.half.talk.theirs.unwrap_or(0) + 1, limits::PARTS)
        }
        (side, _) => match first_break(desk, index)? {
            Some(index) => repair(desk, index),
            None if side == Side::Stock => backoff::ask(desk),
            None if before.is_some_and(|before| before.index == index && before.hash.is_some()) => {
                desk.half.stat = Stat::Broken;
                receive::notice(desk, json!({ "reason": "order", "index": index }))
            }
            None => send::upd(desk, 1, limits::PARTS),
        },
    }
}

/// The first link up to `last`, among the highest [`limits::REVALIDATED`], that does not hold.
fn first_break(desk: &mut Desk<'_, '_>, last: u64) -> Result<Option<u64>, Fault> {
    let last = last.min(desk.half.end);
    let first = last.saturating_sub(limits::REVALIDATED).max(1);
    let Some(mut prior) = desk.hash(first - 1)? else { return Ok(Some((first - 1).max(1))) };
    for index in first..=last {
        let Some(link) = desk.link(index)? else { return Ok(Some(index)) };
        let entry = desk.entry(&link.chit)?.filter(|entry| entry.index == Some(index));
        let Some(entry) = entry else { return Ok(Some(index)) };
        if links::hash(&entry.core, index, &prior, entry.sign.as_deref()) != link.hash {
            return Ok(Some(index));
        }
        prior = link.hash;
    }
    Ok(None)
}

/// Our own chain is broken at `index`: what stands there is linked anew, in the partner's order as far as
/// it still has it.
fn repair(desk: &mut Desk<'_, '_>, index: u64) -> Result<(), Fault> {
    receive::notice(desk, json!({ "reason": "damaged", "index": index }))?;
    links::truncate(desk, index)?;
    desk.half.conf = desk.half.conf.map(|conf| conf.min(index - 1));
    desk.half.backoff = Some(index);
    send::req(desk, index)
}
