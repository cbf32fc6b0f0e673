//! Good chits without a link: *loose* ones, and *displaced* ones that had a place before the foil decided
//! otherwise (PROTOCOL 6.3 S4, 6.6 MERGE).
//!
//! A merge may displace a hundred thousand links, and no event may take so long. So displaced links stay
//! where they are in the table of links, above `end`, and only those in the way of a new link are moved
//! to the table of loose chits. The queue of all that wait is, in this order:
//!
//! 1. displaced ones that were moved: rows of `LOOSE` whose key begins with [`MOVED`];
//! 2. displaced ones in place: rows `next` to `top` of `LINKS`;
//! 3. loose ones, by date and uuid: all other rows of `LOOSE`.
//!
//! A chit's row says where it is: `index` up to `end` is a link, `loose` the key of its row in `LOOSE`, and
//! neither means in place. A row in place whose chit has got elsewhere means nothing.

use super::limits;
use super::links::{self, Chits};
use crate::desk::Desk;
use crate::entry::{Entry, Link, Status};
use crate::half::Stat;
use crate::store::{LINKS, LOOSE, number, numbered, numbers};
use serde::{Deserialize, Serialize};
use tallyho_plugin::Fault;
use tallyho_plugin::context::Scan;

/// What the keys of displaced chits begin with: before every date.
const MOVED: &str = "!";
/// The first key behind those of displaced chits.
const DATED: &str = "\"";
/// Number of the first displaced chit moved: others are put before and behind it.
const MIDDLE: u64 = 1 << 40;

/// Displaced chits of a half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// First row of links in place.
    pub next: u64,
    /// Last row of links in place; below `next`: there are none.
    pub top: u64,
    /// Number of the first one moved.
    pub front: u64,
    /// Number behind the last one moved.
    pub back: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { next: 1, top: 0, front: MIDDLE, back: MIDDLE }
    }
}

impl Queue {
    /// Nothing was displaced.
    pub fn is_empty(&self) -> bool {
        *self == Queue::default()
    }
}

/// Keeps a good chit without a link as loose.
///
/// # Errors
/// The host's faults.
pub fn put(desk: &mut Desk<'_, '_>, chit: &str, entry: &mut Entry) -> Result<(), Fault> {
    let date = entry.record()?.date().text();
    desk.half.loose += 1;
    shelve(desk, chit, entry, date)
}

/// Takes a chit from among those that wait, whichever way it does; its row is written by whoever links it.
///
/// # Errors
/// The host's faults.
pub fn take(desk: &mut Desk<'_, '_>, chit: &str, entry: &mut Entry) -> Result<(), Fault> {
    if let Some(sort) = entry.loose.take() {
        desk.context.delete(LOOSE, row(desk, &sort, chit))?;
    }
    desk.half.loose = desk.half.loose.saturating_sub(1);
    Ok(())
}

/// Links from `from` on are displaced: they wait before all others.
///
/// # Errors
/// The host's faults.
pub(super) fn open(desk: &mut Desk<'_, '_>, from: u64) -> Result<(), Fault> {
    let end = desk.half.end;
    desk.half.loose += end + 1 - from;
    let queue = desk.half.queue.clone();
    // Those moved earlier wait before the ones in place, so links displaced now must be moved before them.
    // They are few: no more waiting ones are linked than this before the partner has acknowledged them.
    if queue.front < queue.back && end - from < limits::RELINKED {
        desk.half.end = from - 1;
        for index in (from..=end).rev() {
            if let Some((chit, mut entry)) = in_place(desk, index)? {
                desk.half.queue.front -= 1;
                let sort = moved(desk.half.queue.front);
                shelve(desk, &chit, &mut entry, sort)?;
            }
            desk.context.delete(LINKS, numbered(&desk.key, index))?;
        }
        return Ok(());
    }
    if queue.next > queue.top {
        desk.half.queue.top = end;
    }
    desk.half.queue.next = from;
    Ok(())
}

/// Makes sure that a new link at `index`, the one above `end`, overwrites nothing that waits there.
///
/// # Errors
/// The host's faults.
pub(super) fn clear_way(desk: &mut Desk<'_, '_>, index: u64, coming: &Chits) -> Result<(), Fault> {
    if desk.half.queue.next > index || index > desk.half.queue.top {
        return Ok(());
    }
    desk.half.queue.next = index + 1;
    let Some((chit, mut entry)) = in_place(desk, index)? else { return Ok(()) };
    if coming.contains(&chit) {
        return Ok(());
    }
    let sort = moved(desk.half.queue.back);
    desk.half.queue.back += 1;
    shelve(desk, &chit, &mut entry, sort)
}

/// S4: links what waits, in its order and as far as the partner keeps up, unless it [`is_held`]. How many
/// were linked.
///
/// # Errors
/// The host's faults.
pub fn relink(desk: &mut Desk<'_, '_>) -> Result<u64, Fault> {
    let ahead = desk.half.end - desk.half.conf.unwrap_or(0).min(desk.half.end);
    let most = limits::RELINKED.saturating_sub(ahead).min(desk.half.loose);
    if most == 0 || is_held(desk) || desk.half.stat == Stat::Broken {
        return Ok(0);
    }
    desk.half.talk.held = None;
    let first = gather(desk, most)?;
    if (first.len() as u64) < most && desk.half.queue.next > desk.half.queue.top {
        // All that wait are here. Rows were lost if there should have been more.
        desk.half.loose = first.len() as u64;
    }
    let coming: Chits = first.iter().map(|(chit, _)| chit.clone()).collect();
    let linked = first.len() as u64;
    for (chit, mut entry) in first {
        take(desk, &chit, &mut entry)?;
        links::append(desk, &chit, &mut entry, &coming)?;
    }
    if desk.half.loose == 0 {
        desk.half.queue = Queue::default();
    }
    Ok(linked)
}

/// Whether what waits had better go on waiting: a `req` of ours is unanswered, or the foil is about to give
/// displaced links their places.
pub fn is_held(desk: &Desk<'_, '_>) -> bool {
    let talk = &desk.half.talk;
    let now = desk.context.now().0;
    talk.asked.is_some() || talk.held.is_some_and(|held| now - held.0 <= limits::ON_THE_WAY)
}

/// The first that wait, this many at most. Those in place are taken out of it.
fn gather(desk: &mut Desk<'_, '_>, most: u64) -> Result<Vec<(String, Entry)>, Fault> {
    let mut found = shelved(desk, MOVED, DATED, most)?;
    let mut looked_at = 0;
    while (found.len() as u64) < most && desk.half.queue.next <= desk.half.queue.top {
        // Rows that mean nothing are many at most after a merge of many parts.
        if looked_at >= limits::RELINKED {
            return Ok(found);
        }
        let (next, top) = (desk.half.queue.next, desk.half.queue.top);
        let last = top.min(next + most - 1);
        let rows: Vec<(Vec<u8>, Link)> = desk.context.scan(LINKS, &numbers(&desk.key, next, last, limits::PAGE))?;
        let Some((key, _)) = rows.last() else {
            desk.half.queue.next = last + 1;
            continue;
        };
        let mut through = number(key);
        looked_at += rows.len() as u64;
        for (key, link) in rows {
            if found.len() as u64 >= most {
                through = number(&key) - 1;
                break;
            }
            if let Some(entry) = waits(desk, &link.chit)? {
                found.push((link.chit, entry));
            }
            desk.context.delete(LINKS, key)?;
        }
        desk.half.queue.next = through + 1;
    }
    let rest = most - (found.len() as u64).min(most);
    if rest > 0 {
        found.extend(shelved(desk, DATED, "", rest)?);
    }
    Ok(found)
}

/// Chits of `LOOSE` whose keys lie between these, as they lie.
fn shelved(desk: &mut Desk<'_, '_>, from: &str, to: &str, most: u64) -> Result<Vec<(String, Entry)>, Fault> {
    let begin = [&desk.key, b"\0".as_slice(), from.as_bytes()].concat();
    let end = match to {
        "" => [&desk.key, b"\x01".as_slice()].concat(),
        to => [&desk.key, b"\0".as_slice(), to.as_bytes()].concat(),
    };
    let limit = u32::try_from(most).unwrap_or(u32::MAX);
    let rows: Vec<(Vec<u8>, ())> =
        desk.context.scan(LOOSE, &Scan { from: begin, to: Some(end.into()), reverse: false, limit })?;
    let mut found = Vec::with_capacity(rows.len());
    for (key, ()) in rows {
        let chit = key.rsplit(|byte| *byte == 0).next().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        match desk.entry(&chit)? {
            Some(entry) => found.push((chit, entry)),
            None => desk.context.delete(LOOSE, key)?,
        }
    }
    Ok(found)
}

/// The chit that waits at this row of the links, above `end`.
fn in_place(desk: &mut Desk<'_, '_>, index: u64) -> Result<Option<(String, Entry)>, Fault> {
    let Some(link) = desk.link(index)? else { return Ok(None) };
    Ok(waits(desk, &link.chit)?.map(|entry| (link.chit, entry)))
}

/// The row of a chit that a row in place names, if that is where it is.
fn waits(desk: &mut Desk<'_, '_>, chit: &str) -> Result<Option<Entry>, Fault> {
    let entry = desk.entry(chit)?;
    Ok(entry.filter(|entry| entry.status == Status::Good && entry.index.is_none() && entry.loose.is_none()))
}

fn shelve(desk: &mut Desk<'_, '_>, chit: &str, entry: &mut Entry, sort: String) -> Result<(), Fault> {
    desk.context.put(LOOSE, row(desk, &sort, chit), &())?;
    (entry.index, entry.loose) = (None, Some(sort));
    desk.put_entry(chit, entry)
}

fn moved(place: u64) -> String {
    format!("{MOVED}{place:016x}")
}

fn row(desk: &Desk<'_, '_>, sort: &str, chit: &str) -> Vec<u8> {
    [&desk.key, b"\0".as_slice(), sort.as_bytes(), b"\0", chit.as_bytes()].concat()
}
