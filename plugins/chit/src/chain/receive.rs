//! What holds for both sides when links come in: G1 to G3 (PROTOCOL 6.4) and 6.8.

use super::wire::{Suggested, Update};
use super::{displaced, foil, limits, send, stock};
use crate::admit::{Admitted, admit};
use crate::desk::Desk;
use crate::entry::Entry;
use crate::half::Stat;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{ChitRecord, Side};

/// A valid chit received, and its row as it is here.
pub struct Judged {
    /// The chit's name.
    pub chit: String,
    /// The row. Its index is there if it has a link here.
    pub entry: Entry,
    /// The partner's signature, where it is another than ours (6.8).
    pub resigned: Option<String>,
    /// It was not known, or not signed: neither linked nor loose.
    pub new: bool,
    /// Index in the partner's chain.
    pub index: u64,
    /// The partner's hash there.
    pub hash: Option<String>,
}

/// What stands in the way of using a list.
enum Fit {
    /// Nothing.
    Usable,
    /// A chit that is not valid, or not the one we have; answered, or to be passed over.
    Refused,
}

/// `new` or `upd`.
///
/// # Errors
/// The host's faults.
pub fn update(desk: &mut Desk<'_, '_>, update: &Update) -> Result<(), Fault> {
    desk.half.talk.theirs = update.conf.or(desk.half.talk.theirs);
    let (mut judged, fit) = judge(desk, &update.chits)?;
    if let Fit::Refused = fit {
        return keep_loose(desk, &mut judged);
    }
    let ours = desk.hash(update.index)?;
    if ours.as_deref() == Some(update.hash.as_str()) {
        keep_loose(desk, &mut judged)?;
        return equal(desk, update);
    }
    if desk.half.stat == Stat::Broken {
        // 6.8: only a match is answered.
        return keep_loose(desk, &mut judged);
    }
    match desk.side() {
        Side::Foil => foil::update(desk, update, judged),
        Side::Stock => stock::update(desk, update, judged),
    }
}

/// A chit without a place in the partner's chain.
///
/// # Errors
/// The host's faults.
pub fn unplaced(desk: &mut Desk<'_, '_>, record: &ChitRecord) -> Result<(), Fault> {
    if let Admitted::New(mut entry) = admit(desk, record)? {
        displaced::put(desk, record.uuid(), &mut entry)?;
        displaced::relink(desk)?;
        send::announce(desk)?;
    }
    Ok(())
}

/// A valid message about the chain came: the checkpoint waits anew (PROTOCOL 11.2). One that neither fits
/// nor brings anything is none: two halves that cannot agree would keep each other awake with such.
pub fn heard(desk: &mut Desk<'_, '_>) {
    desk.half.heard_at = desk.context.now();
    if desk.half.tries > 0 {
        // The timer may be minutes away; it is set again when the event ends.
        desk.half.tries = 0;
        desk.half.timed = false;
    }
}

/// G3.
fn equal(desk: &mut Desk<'_, '_>, update: &Update) -> Result<(), Fault> {
    heard(desk);
    agree(desk, update.index)?;
    fitted(desk);
    send::ack(desk, update.index, &update.hash)?;
    if desk.half.stat == Stat::Broken || update.has_more() {
        return Ok(());
    }
    displaced::relink(desk)?;
    match update.chits.is_empty() {
        true if desk.half.end > update.index => send::upd(desk, update.index + 1, limits::PARTS),
        true => Ok(()),
        false => rest(desk, update.index),
    }
}

/// What is due above an index that is equal, after links came in: links that were never sent, or whose
/// copies should have arrived long ago and have not.
///
/// # Errors
/// The host's faults.
pub fn rest(desk: &mut Desk<'_, '_>, index: u64) -> Result<(), Fault> {
    let half = &desk.half;
    if half.end > half.sent {
        return send::announce(desk);
    }
    let above = index.max(half.talk.theirs.unwrap_or(index));
    let late = desk.context.now().0 - half.sent_at.0 > limits::ON_THE_WAY;
    if half.end > above && late { send::upd(desk, index + 1, limits::PARTS) } else { Ok(()) }
}

/// The chains are equal up to `index`: `conf` rises. Where it is the first thing known to be equal, link 0
/// is proven with it, and the tally handler told (T26).
///
/// # Errors
/// The host's faults.
pub fn agree(desk: &mut Desk<'_, '_>, index: u64) -> Result<(), Fault> {
    if desk.half.conf.is_none() {
        let confirmed = json!({ "uuid": desk.party.tally, "user": desk.party.holder, "hash": desk.party.hash });
        desk.context.invoke::<Value>("tally", "confirm", &confirmed)?;
    }
    let conf = desk.half.conf.map_or(index, |conf| conf.max(index));
    desk.half.conf = Some(conf);
    desk.half.sent = desk.half.sent.max(conf);
    desk.half.talk.agreed(index);
    Ok(())
}

/// What came fitted: BACKOFF begins afresh, and what is loose waits for no `req` any more.
pub fn fitted(desk: &mut Desk<'_, '_>) {
    desk.half.backoff = None;
    desk.half.talk.asked = None;
}

/// G1, G2, 6.8.
fn judge(desk: &mut Desk<'_, '_>, chits: &[Suggested]) -> Result<(Vec<Judged>, Fit), Fault> {
    let mut judged = Vec::with_capacity(chits.len());
    let (mut fit, mut seen, mut nak) = (Fit::Usable, BTreeSet::new(), None);
    for suggested in chits {
        if !seen.insert(suggested.chit.as_str()) {
            send::ignored(desk, "chain", &format!("chit {} stands twice in one chain", suggested.chit));
            continue;
        }
        let admitted = match &suggested.record {
            Ok(record) => admit(desk, record)?,
            Err(why) => Admitted::Invalid(why.clone()),
        };
        let (entry, resigned, new) = match admitted {
            Admitted::New(entry) => {
                desk.half.talk.refused.retain(|refused| *refused != suggested.chit);
                (entry, None, true)
            }
            Admitted::Known(entry) => (entry, None, false),
            Admitted::Resigned(entry, theirs) => (entry, theirs.sign().map(str::to_owned), false),
            Admitted::Conflicting(_) | Admitted::Invalid(_) => {
                fit = Fit::Refused;
                if refuse(desk, suggested, &admitted)? {
                    nak.get_or_insert(suggested.index);
                }
                continue;
            }
        };
        let (chit, index, hash) = (suggested.chit.clone(), suggested.index, suggested.hash.clone());
        judged.push(Judged { chit, entry, resigned, new, index, hash });
    }
    if let Some(index) = nak {
        send::nak(desk, index, None)?;
    }
    Ok((judged, fit))
}

/// A chit that cannot be linked. Whether it is the first copy, which alone is told and answered.
fn refuse(desk: &mut Desk<'_, '_>, suggested: &Suggested, admitted: &Admitted) -> Result<bool, Fault> {
    if !desk.half.talk.refuse(&suggested.chit, suggested.index) {
        return Ok(false);
    }
    let more = match (admitted, &suggested.record) {
        (Admitted::Conflicting(ours), Ok(theirs)) => {
            desk.half.stat = Stat::Broken;
            json!({ "reason": "conflict", "chit": suggested.chit, "ours": versions(&ours.record()?), "theirs": versions(theirs) })
        }
        (Admitted::Invalid(why), _) => json!({ "reason": "invalid", "chit": suggested.chit, "why": why }),
        _ => return Ok(true),
    };
    send::ignored(
        desk,
        "chain",
        &format!("chit {}: {}", suggested.chit, more["why"].as_str().unwrap_or("another is known under its uuid")),
    );
    notice(desk, more)?;
    Ok(true)
}

/// What a person compares.
fn versions(chit: &ChitRecord) -> Value {
    let mut record = chit.to_record();
    if let Some(members) = record.as_object_mut() {
        members.remove("tally");
        members.remove("uuid");
    }
    record
}

/// Tells the holder something about the chain as a whole.
///
/// # Errors
/// The host's faults.
pub fn notice(desk: &mut Desk<'_, '_>, more: Value) -> Result<(), Fault> {
    let mut notice = json!({
        "about": "chain", "tally": desk.party.tally, "user": desk.party.holder, "stat": desk.half.stat,
    });
    if let (Some(members), Value::Object(more)) = (notice.as_object_mut(), more) {
        members.extend(more);
    }
    let user = desk.party.holder.clone();
    desk.context.notice(&user, &notice)
}

/// New chits that cannot be linked now.
///
/// # Errors
/// The host's faults.
pub fn keep_loose(desk: &mut Desk<'_, '_>, judged: &mut [Judged]) -> Result<(), Fault> {
    for judged in judged.iter_mut().filter(|judged| judged.new) {
        displaced::put(desk, &judged.chit, &mut judged.entry)?;
    }
    Ok(())
}
