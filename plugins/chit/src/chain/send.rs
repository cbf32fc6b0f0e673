//! What goes out about a chain (PROTOCOL 6.2, 6.3).
//!
//! An `ack`, a `req` or a `nak` has one name per half in the outbox, so that a newer one takes the place of one that
//! still waits. Lists of links have their first index in theirs: one that is sent again takes the place of its older
//! copy, but what goes on where another ended does not, for the other may not have left. Nothing leaves while index 0 is not confirmed (O-21).

use super::limits;
use super::links;
use super::wire::{self, Rest};
use crate::desk::Desk;
use crate::entry::{Entry, Link};
use crate::store::{LINKS, number, numbers};
use serde_json::Value;
use tallyho_plugin::record::limits::MAX_CHIT;
use tallyho_plugin::record::{ChitRecord, Timestamp};
use tallyho_plugin::services::{OUTBOX_FULL, Outgoing};
use tallyho_plugin::{Fault, services::LogLevel};

/// S1: the chit at `index`, our end or below, as `good` with `new`.
///
/// # Errors
/// The host's faults.
pub fn good(desk: &mut Desk<'_, '_>, chit: &ChitRecord, index: u64, hash: &str) -> Result<(), Fault> {
    let mut object = chit.to_record();
    object["chain"] = wire::place(Some("new"), index, hash, desk.half.conf);
    let key = format!("good/{}/{}", desk.party.name(), chit.uuid());
    post(desk, "good", &object, key)
}

/// S1 for the link at our end, the first one not sent.
///
/// # Errors
/// The host's faults.
pub fn next(desk: &mut Desk<'_, '_>, chit: &ChitRecord) -> Result<(), Fault> {
    if desk.half.conf.is_none() {
        return Ok(());
    }
    let now = desk.context.now();
    let (index, hash) = (desk.half.end, desk.half.tip.clone());
    went_out(desk, index, index, now);
    good(desk, chit, index, &hash)
}

/// Notes that the links from `from` to `last` have been sent, and since when those before them are on
/// their way.
fn went_out(desk: &mut Desk<'_, '_>, from: u64, last: u64, now: Timestamp) {
    let half = &mut desk.half;
    let goes_on = from == half.sent + 1 && now.0 - half.sent_at.0 <= limits::ON_THE_WAY;
    if !goes_on {
        half.talk.sent_from = from;
    }
    (half.sent, half.sent_at) = (last, now);
}

/// `ack`: one waits at most, since a later one says more.
///
/// # Errors
/// The host's faults.
pub fn ack(desk: &mut Desk<'_, '_>, index: u64, hash: &str) -> Result<(), Fault> {
    let object = wire::ack(&desk.party.tally, index, hash);
    let key = format!("ack/{}", desk.party.name());
    post(desk, "chain", &object, key)
}

/// `req` from `index` on. Loose chits wait for what comes (S4).
///
/// # Errors
/// The host's faults.
pub fn req(desk: &mut Desk<'_, '_>, index: u64) -> Result<(), Fault> {
    if desk.half.conf.is_none() {
        return Ok(());
    }
    desk.half.talk.asked = Some(desk.context.now());
    let object = wire::req(&desk.party.tally, index);
    let key = format!("req/{}", desk.party.name());
    post(desk, "chain", &object, key)
}

/// `nak`.
///
/// # Errors
/// The host's faults.
pub fn nak(desk: &mut Desk<'_, '_>, index: u64, hash: Option<&str>) -> Result<(), Fault> {
    let object = wire::nak(&desk.party.tally, index, hash);
    let key = format!("nak/{}", desk.party.name());
    post(desk, "chain", &object, key)
}

/// Links above those sent, unless enough are on their way: the `ack` of these calls for more.
///
/// # Errors
/// The host's faults.
pub fn announce(desk: &mut Desk<'_, '_>) -> Result<(), Fault> {
    let half = &desk.half;
    let on_the_way = half.sent.saturating_sub(half.conf.unwrap_or(0));
    if half.end > half.sent && on_the_way < limits::ANNOUNCED {
        upd(desk, half.sent + 1, limits::PARTS)
    } else {
        Ok(())
    }
}

/// S2: `upd` of the links from `from` to the end, or of as many as fit into `parts` messages; without links,
/// a comparison of ends. What is sent counts as unconfirmed until it is acknowledged (again), so that a
/// partner who has lost links gets all of them in turn.
///
/// # Errors
/// The host's faults.
pub fn upd(desk: &mut Desk<'_, '_>, from: u64, parts: usize) -> Result<(), Fault> {
    let from = from.max(1);
    let Some(conf) = desk.half.conf else { return Ok(()) };
    let conf = conf.min(from - 1);
    let lists = gather(desk, from, desk.half.end, conf, parts)?;
    desk.half.conf = Some(conf);
    if let Some(last) = lists.last() {
        let now = desk.context.now();
        went_out(desk, from, last.index, now);
    }
    let end = desk.half.end;
    post_lists(desk, lists, conf, end)
}

/// `upd` of this many links from `from` on, for a `req` that names how many.
///
/// # Errors
/// The host's faults.
pub fn some(desk: &mut Desk<'_, '_>, from: u64, count: u64) -> Result<(), Fault> {
    let Some(conf) = desk.half.conf else { return Ok(()) };
    let last = desk.half.end.min(from.saturating_add(count - 1));
    let lists = gather(desk, from, last, conf, limits::PARTS)?;
    post_lists(desk, lists, conf, last)
}

/// An empty `upd`: do our ends meet?
///
/// # Errors
/// The host's faults.
pub fn compare(desk: &mut Desk<'_, '_>) -> Result<(), Fault> {
    let object =
        wire::upd(&desk.party.tally, (desk.half.end, &desk.half.tip), desk.half.conf, Vec::new(), Rest::Nothing);
    // Tried again until it gets out: a half restored from an older copy learns of its loss in no other way.
    post(desk, "chain", &object, upd_key(desk, 0))
}

/// One part of an `upd`.
struct List {
    chits: Vec<Value>,
    bytes: usize,
    /// Of its first link.
    first: u64,
    /// Of its last link, as is the hash.
    index: u64,
    hash: String,
}

fn gather(desk: &mut Desk<'_, '_>, from: u64, end: u64, conf: u64, parts: usize) -> Result<Vec<List>, Fault> {
    let mut lists: Vec<List> = Vec::new();
    let mut index = from;
    while index <= end {
        let rows: Vec<(Vec<u8>, Link)> = desk.context.scan(LINKS, &numbers(&desk.key, index, end, limits::PAGE))?;
        if rows.is_empty() {
            return Err(links::lost(desk, index));
        }
        for (key, link) in rows {
            if number(&key) != index {
                return Err(links::lost(desk, index));
            }
            let entry = desk.entry(&link.chit)?.ok_or_else(|| links::lost(desk, index))?;
            let (chit, bytes) = suggestion(&entry, index, &link.hash, conf)?;
            let count = lists.len();
            match lists.last_mut().filter(|list| list.bytes + bytes <= limits::PART_BYTES) {
                Some(list) => {
                    list.chits.push(chit);
                    (list.bytes, list.index, list.hash) = (list.bytes + bytes, index, link.hash);
                }
                None if count == parts => return Ok(lists),
                None => lists.push(List { chits: vec![chit], bytes, first: index, index, hash: link.hash }),
            }
            index += 1;
        }
    }
    Ok(lists)
}

/// An entry of a list, and its bytes as JSON.
fn suggestion(entry: &Entry, index: u64, hash: &str, conf: u64) -> Result<(Value, usize), Fault> {
    let core: Result<Value, _> = serde_json::from_str(&entry.core);
    let mut chit = core.map_err(|error| Fault::failed(format!("a chit in the store is damaged: {error}")))?;
    let sign = entry.sign.as_deref().unwrap_or_default();
    // `,"sign":""`, and the largest `,"hash":…` and `,"chain":{…}`.
    let bytes = entry.core.len() + sign.len() + 10 + 53 + 130;
    // The chit's own hash says nothing new; a chit that only just fits is sent without.
    if entry.core.len() + sign.len() + 10 + 53 <= MAX_CHIT {
        chit["hash"] = Value::from(entry.hash());
    }
    if !sign.is_empty() {
        chit["sign"] = Value::from(sign);
    }
    chit["chain"] = wire::place(None, index, hash, Some(conf));
    Ok((chit, bytes))
}

fn post_lists(desk: &mut Desk<'_, '_>, lists: Vec<List>, conf: u64, end: u64) -> Result<(), Fault> {
    let Some(from) = lists.first().map(|list| list.first) else {
        let object =
            wire::upd(&desk.party.tally, (desk.half.end, &desk.half.tip), Some(conf), Vec::new(), Rest::Nothing);
        return post(desk, "chain", &object, upd_key(desk, 0));
    };
    for part in desk.half.talk.list(from, lists.iter().map(|list| list.first)) {
        let key = upd_key(desk, part);
        desk.context.withdraw(&desk.party.partner.agent, &key)?;
    }
    let count = lists.len();
    for (part, list) in lists.into_iter().enumerate() {
        let rest = match part + 1 {
            next if next < count => Rest::Parts,
            _ if list.index < end => Rest::Later(end),
            _ => Rest::Nothing,
        };
        let key = upd_key(desk, list.first);
        let object = wire::upd(&desk.party.tally, (list.index, &list.hash), Some(conf), list.chits, rest);
        post(desk, "chain", &object, key)?;
    }
    Ok(())
}

/// The name of an `upd` whose first link this is; 0: it has none.
fn upd_key(desk: &Desk<'_, '_>, first: u64) -> String {
    format!("upd/{}/{first}", desk.party.name())
}

fn post(desk: &mut Desk<'_, '_>, action: &str, object: &Value, key: String) -> Result<(), Fault> {
    if desk.half.conf.is_none() {
        return Ok(());
    }
    let message = outgoing(desk, action, object, key)?;
    hand_over(desk, &message)
}

fn hand_over(desk: &mut Desk<'_, '_>, message: &Outgoing) -> Result<(), Fault> {
    match desk.context.send(message) {
        // Much waits for that agent on other tallies. What is not said now S3 will say: no pledge may fail
        // because its partner has been away for long.
        Err(fault) if fault.code == OUTBOX_FULL => Ok(()),
        sent => sent,
    }
}

fn outgoing(desk: &Desk<'_, '_>, action: &str, object: &Value, key: String) -> Result<Outgoing, Fault> {
    let mut message = Outgoing::new(desk.party.partner.clone(), &desk.party.holder, "chit", action, object)?;
    message.key = key;
    Ok(message)
}

/// Why something received was not used, for the log.
pub fn ignored(desk: &mut Desk<'_, '_>, what: &str, why: &str) {
    let text = format!("chit/{what} about {} ignored: {why}", desk.party.name());
    desk.context.log(LogLevel::Warn, &text);
    desk.context.metric("ignored", 1);
}
