//! The handler's tables and their keys.

use crate::limits;
use crate::record::{Lift, Name};
use crate::state::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Context, Fault, context::Scan};

/// Lh, 0, bottom tally or nothing → [`Lift`].
pub const LIFTS: &str = "lifts";
/// The lift's uuid, 0, bottom tally or nothing → Lh: no other core of that uuid comes over that tally, and
/// people name lifts by their uuid.
pub const NAMES: &str = "names";
/// Lh, 0, tally → [`Tomb`]: releases given where there is no record (PROTOCOL 9.7 I6).
pub const TOMBS: &str = "tombs";
/// [`Name::text`] → nothing: lifts under way.
pub const OPEN: &str = "open";
/// Bottom tally → how many lifts under way came over it.
pub const COUNTS: &str = "counts";
/// Until when (8 bytes, big-endian), `l` or `t`, the key in [`LIFTS`] or [`TOMBS`] → nothing.
pub const ENDING: &str = "ending";
/// Destination as `cuid:agent`, 0, [`Name::text`] → nothing: lifts that wait for a route.
pub const WAITING: &str = "waiting";
/// Lh → [`crate::record::Ruling`], not yet verified: what chits have told, until the event that follows.
pub const HEARD: &str = "heard";
/// One row, key `site` → [`Book`].
pub const BOOK: &str = "book";

/// All tables, for the manifest.
pub const TABLES: &[&str] = &[LIFTS, NAMES, TOMBS, OPEN, COUNTS, ENDING, WAITING, HEARD, BOOK];

/// uuid, 0, holder → the half as the tally handler keeps it.
pub const TALLIES: &str = "tally.tallies";
/// holder, 0, agent, 0, cuid, 0, uuid → nothing: a holder's tallies by partner.
pub const PARTNERS: &str = "tally.partners";

/// How many rows there are of what has a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Book {
    /// Lifts under way.
    pub open: u64,
    /// Tombstones.
    pub tombs: u64,
}

/// A release given without a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tomb {
    /// The object of `fail`, to be said again.
    pub answer: Value,
    /// When it may be forgotten.
    pub until: Timestamp,
}

fn key(name: &Name) -> Vec<u8> {
    [name.hash.as_bytes(), b"\0", name.bottom.as_deref().unwrap_or_default().as_bytes()].concat()
}

/// The lift of this name.
///
/// # Errors
/// The host's faults.
pub fn lift(context: &mut Context<'_>, name: &Name) -> Result<Option<Lift>, Fault> {
    context.get(LIFTS, key(name))
}

/// All records of this hash: one for each way through the site.
///
/// # Errors
/// The host's faults.
pub fn segments(context: &mut Context<'_>, hash: &str) -> Result<Vec<Lift>, Fault> {
    let rows = context.scan(LIFTS, &Scan::beginning([hash.as_bytes(), b"\0"].concat(), limits::SEGMENTS))?;
    Ok(rows.into_iter().map(|(_, lift)| lift).collect())
}

/// The hash of the lift of this uuid that came over this tally, or that we began (`None`).
///
/// # Errors
/// The host's faults.
pub fn hash_of(context: &mut Context<'_>, uuid: &str, tally: Option<&str>) -> Result<Option<String>, Fault> {
    context.get(NAMES, format!("{uuid}\0{}", tally.unwrap_or_default()))
}

/// Names of all lifts whose uuid begins so, at most two.
///
/// # Errors
/// The host's faults.
pub fn begin_with(context: &mut Context<'_>, digits: &str) -> Result<Vec<Name>, Fault> {
    let rows: Vec<(Vec<u8>, String)> = context.scan(NAMES, &Scan::beginning(digits.as_bytes(), 2))?;
    Ok(rows.into_iter().map(|(key, hash)| name_of(&key, hash)).collect())
}

fn name_of(key: &[u8], hash: String) -> Name {
    let bottom = key.iter().position(|byte| *byte == 0).map(|at| String::from_utf8_lossy(&key[at + 1..]).into_owned());
    Name { hash, bottom: bottom.filter(|bottom| !bottom.is_empty()) }
}

/// Lifts under way, at most `limit`, those behind `after` where one is given.
///
/// # Errors
/// The host's faults.
pub fn open(context: &mut Context<'_>, after: Option<&str>, limit: u32) -> Result<Vec<Name>, Fault> {
    let from = after.map(|after| [after.as_bytes(), b"\0"].concat()).unwrap_or_default();
    let rows: Vec<(Vec<u8>, ())> = context.scan(OPEN, &Scan { from, limit, ..Scan::default() })?;
    Ok(rows.iter().filter_map(|(key, ())| Name::read(std::str::from_utf8(key).ok()?)).collect())
}

/// Lifts that wait for a way to this destination, at most as many as may be open on one tally.
///
/// # Errors
/// The host's faults.
pub fn waiting(context: &mut Context<'_>, find: &str) -> Result<Vec<Name>, Fault> {
    let limit = u32::try_from(limits::OPEN_ON_TALLY).unwrap_or(u32::MAX);
    let prefix = [find.as_bytes(), b"\0"].concat();
    let rows: Vec<(Vec<u8>, ())> = context.scan(WAITING, &Scan::beginning(prefix.clone(), limit))?;
    Ok(rows.iter().filter_map(|(key, ())| Name::read(std::str::from_utf8(key.get(prefix.len()..)?).ok()?)).collect())
}

/// Whether there is room for one more lift over this tally.
///
/// # Errors
/// The host's faults.
pub fn has_room(context: &mut Context<'_>, tally: Option<&str>) -> Result<bool, Fault> {
    let on: u64 = match tally {
        Some(tally) => context.get(COUNTS, tally)?.unwrap_or(0),
        None => 0,
    };
    Ok(on < limits::OPEN_ON_TALLY && book(context)?.open < limits::OPEN)
}

/// Writes a lift and everything that is found by it; `before` is the state that it had in the store.
///
/// # Errors
/// The host's faults.
pub fn put(context: &mut Context<'_>, lift: &Lift, before: State) -> Result<(), Fault> {
    let name = lift.name();
    context.put(LIFTS, key(&name), lift)?;
    if before == State::None {
        let bottom = name.bottom.as_deref().unwrap_or_default();
        context.put(NAMES, format!("{}\0{bottom}", lift.core.uuid()), &name.hash)?;
    }
    let (was, is) = (before != State::None && !before.is_final(), !lift.state.is_final());
    if was != is {
        count(context, &name, is)?;
    }
    if is {
        context.put(OPEN, name.text(), &())?;
    } else if was || before == State::None {
        context.delete(OPEN, name.text())?;
        let until = context.now().max(lift.core.expires()).plus(limits::KEEP);
        context.put(ENDING, ending(until, b'l', &key(&name)), &())?;
    }
    let waits = [lift.core.find().to_string().as_bytes(), b"\0", name.text().as_bytes()].concat();
    match lift.state == State::DraftInit {
        true => context.put(WAITING, waits, &()),
        false if before == State::DraftInit => context.delete(WAITING, waits),
        false => Ok(()),
    }
}

fn count(context: &mut Context<'_>, name: &Name, more: bool) -> Result<(), Fault> {
    let step = |count: u64| if more { count.saturating_add(1) } else { count.saturating_sub(1) };
    let mut book = book(context)?;
    book.open = step(book.open);
    put_book(context, book)?;
    let Some(tally) = &name.bottom else { return Ok(()) };
    match step(context.get(COUNTS, tally)?.unwrap_or(0)) {
        0 => context.delete(COUNTS, tally),
        count => context.put(COUNTS, tally, &count),
    }
}

/// The release given on this tally without a record.
///
/// # Errors
/// The host's faults.
pub fn tomb(context: &mut Context<'_>, name: &Name) -> Result<Option<Tomb>, Fault> {
    let now = context.now();
    let tomb: Option<Tomb> = context.get(TOMBS, key(name))?;
    Ok(tomb.filter(|tomb| now <= tomb.until))
}

/// Remembers a release; false where there are too many of them already, and none may be given.
///
/// # Errors
/// The host's faults.
pub fn bury(context: &mut Context<'_>, name: &Name, tomb: &Tomb) -> Result<bool, Fault> {
    let mut book = book(context)?;
    if book.tombs >= limits::TOMBSTONES {
        return Ok(false);
    }
    if context.get::<Tomb>(TOMBS, key(name))?.is_none() {
        book.tombs += 1;
        put_book(context, book)?;
    }
    context.put(TOMBS, key(name), tomb)?;
    context.put(ENDING, ending(tomb.until, b't', &key(name)), &())?;
    Ok(true)
}

/// What need not be kept at `now`, let go, at most `limit` of it; how much that was.
///
/// # Errors
/// The host's faults.
pub fn let_go(context: &mut Context<'_>, limit: u32) -> Result<u32, Fault> {
    let to = Some(ending(context.now(), 0, b"").into());
    let rows: Vec<(Vec<u8>, ())> = context.scan(ENDING, &Scan { from: Vec::new(), to, reverse: false, limit })?;
    let mut book = book(context)?;
    let mut gone = 0;
    for (row, ()) in rows {
        context.delete(ENDING, &row)?;
        gone += 1;
        let Some((kind, key)) = row.get(8..).and_then(<[u8]>::split_first) else { continue };
        match kind {
            b't' => {
                // The same promise may have been refused again meanwhile, for longer.
                let tomb: Option<Tomb> = context.get(TOMBS, key)?;
                if tomb.is_some_and(|tomb| ending(tomb.until, b't', key) == row) {
                    context.delete(TOMBS, key)?;
                    book.tombs = book.tombs.saturating_sub(1);
                }
            }
            _ => {
                let Some(lift) = context.get::<Lift>(LIFTS, key)? else { continue };
                let bottom = lift.name().bottom.unwrap_or_default();
                context.delete(NAMES, format!("{}\0{bottom}", lift.core.uuid()))?;
                context.delete(LIFTS, key)?;
            }
        }
    }
    put_book(context, book)?;
    Ok(gone)
}

fn book(context: &mut Context<'_>) -> Result<Book, Fault> {
    Ok(context.get(BOOK, "site")?.unwrap_or_default())
}

fn put_book(context: &mut Context<'_>, book: Book) -> Result<(), Fault> {
    context.put(BOOK, "site", &book)
}

fn ending(until: Timestamp, kind: u8, key: &[u8]) -> Vec<u8> {
    // Instants before 1970 are over already, whichever it was.
    let until = u64::try_from(until.0).unwrap_or(0).to_be_bytes();
    [until.as_slice(), &[kind], key].concat()
}
