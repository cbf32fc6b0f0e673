//! The chain of chits that both halves agree on: the foil decides order, the stock conforms (PROTOCOL 6).
//!
//! [`wire`] reads and writes the sub-commands; [`receive`] does what holds for both sides, [`foil`] and
//! [`stock`] have their tables, [`answers`] the short ones; [`links`] and [`displaced`] keep the rows, [`send`]
//! and [`checkpoint`] see to it that the partner gets them.

mod again;
mod answers;
mod backoff;
mod checkpoint;
mod displaced;
mod foil;
pub mod limits;
pub mod links;
mod receive;
mod send;
mod stock;
mod talk;
pub mod wire;

pub use checkpoint::keep;
pub use displaced::Queue;
pub use talk::{Nak, Talk};

use crate::desk::Desk;
use crate::entry::Entry;
use crate::half::Stat;
use links::Chits;
use serde_json::Value;
use tallyho_plugin::record::{ChitRecord, ChitType, Side};
use tallyho_plugin::{Context, Fault, Timer};
use wire::Sub;

/// S1, S4: links a good chit of our own making (C13, C19) at the own end, behind those that were loose, and
/// sends it. The entry is written with its index.
///
/// # Errors
/// The host's faults.
pub fn extend(desk: &mut Desk<'_, '_>, chit: &ChitRecord, entry: &mut Entry) -> Result<(), Fault> {
    displaced::relink(desk)?;
    if desk.half.stat == Stat::Broken {
        return displaced::put(desk, chit.uuid(), entry);
    }
    // Where others still wait, it goes before them: a partner who is slow, or in dispute with us about
    // another chit, must hear of it all the same.
    links::append(desk, chit.uuid(), entry, &Chits::new())?;
    // Of a lift's chits only the foil's side sends at once.
    if entry.kind == ChitType::Lift && desk.side() == Side::Stock {
        return Ok(());
    }
    let on_the_way = desk.half.sent.saturating_sub(desk.half.conf.unwrap_or(0));
    if desk.half.sent + 1 < desk.half.end {
        return send::announce(desk);
    }
    if on_the_way >= limits::ANNOUNCED {
        return Ok(());
    }
    send::next(desk, chit)
}

/// C15: sends a linked chit again with its chain data as they are now.
///
/// # Errors
/// The host's faults.
pub fn repeat(desk: &mut Desk<'_, '_>, chit: &ChitRecord, entry: &Entry) -> Result<(), Fault> {
    match desk.half.place(entry) {
        Some(index) => match desk.hash(index)? {
            Some(hash) => send::good(desk, chit, index, &hash),
            None => Err(links::lost(desk, index)),
        },
        None => {
            displaced::relink(desk)?;
            send::announce(desk)
        }
    }
}

/// A `good` message: `new` of PROTOCOL 6.2. `chain` is its member `chain`. Where that does not fit, the chit
/// binds all the same, and gets a link of our own.
///
/// # Errors
/// The host's faults.
pub fn new(desk: &mut Desk<'_, '_>, chit: &ChitRecord, chain: &Value) -> Result<(), Fault> {
    match wire::parse_new(chit, chain) {
        Ok(update) => receive::update(desk, &update),
        Err(why) => {
            send::ignored(desk, "good", &why);
            receive::unplaced(desk, chit)
        }
    }
}

/// A `chain` message: `upd`, `req`, `ack`, `nak`.
///
/// # Errors
/// The host's faults.
pub fn message(desk: &mut Desk<'_, '_>, object: &Value) -> Result<(), Fault> {
    match wire::parse(object) {
        Ok(Sub::Update(update)) => receive::update(desk, &update),
        Ok(Sub::Request { index, count }) => answers::request(desk, index, count),
        Ok(Sub::Ack { index, hash }) => answers::ack(desk, index, &hash),
        Ok(Sub::Nak { index, hash }) => answers::nak(desk, index, hash),
        Err(why) => {
            send::ignored(desk, "chain", &why);
            Ok(())
        }
    }
}

/// A timer of the chain's own; whether it was one.
///
/// # Errors
/// The host's faults.
pub fn timer(timer: &Timer, context: &mut Context<'_>) -> Result<bool, Fault> {
    let split = |prefix: &str| timer.key.strip_prefix(prefix);
    if let Some((holder, tally)) = split(checkpoint::KEY).and_then(|name| name.split_once('/')) {
        checkpoint::timer(context, holder, tally)?;
    } else if let Some(last) = split(again::BEHIND) {
        again::behind(context, last)?;
    } else if let Some(last) = split(again::EQUAL) {
        again::equal(context, last)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// After a start: raises the chains that are not settled, and compares the others (PROTOCOL 6.3 S3, 11.2).
///
/// # Errors
/// The host's faults.
pub fn started(context: &mut Context<'_>) -> Result<(), Fault> {
    again::started(context)
}

/// A person has settled what was in the way (6.8): the halves talk again.
///
/// # Errors
/// The host's faults.
pub fn mend(desk: &mut Desk<'_, '_>) -> Result<(), Fault> {
    if desk.half.stat != Stat::Broken {
        return Ok(());
    }
    desk.half.stat = Stat::Nothing;
    let kept = &desk.half.talk;
    desk.half.talk = Talk { theirs: kept.theirs, lists: kept.lists.clone(), ..Talk::default() };
    desk.half.backoff = None;
    displaced::relink(desk)?;
    let from = desk.half.conf.unwrap_or(0) + 1;
    send::upd(desk, from, limits::PARTS)
}
