//! The stock follows the foil's order (PROTOCOL 6.6).

use super::links::{self, Chits};
use super::receive::{self, Judged};
use super::wire::Update;
use super::{backoff, displaced, limits, send};
use crate::desk::Desk;
use crate::half::Stat;
use serde_json::json;
use tallyho_plugin::Fault;

/// `new` or `upd` that is not equal to what we have.
///
/// # Errors
/// The host's faults.
pub fn update(desk: &mut Desk<'_, '_>, update: &Update, judged: Vec<Judged>) -> Result<(), Fault> {
    backoff::answered(desk, update);
    if !backoff::is_in_vain(desk, update) {
        receive::heard(desk);
    }
    if judged.is_empty() { backoff::step(desk, update) } else { merge(desk, update, judged) }
}

/// What MERGE comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// Step 1: a gap, or a chit that stands further down.
    Misfit,
    /// Step 3: the hashes do not meet; this is ours at the end of the run.
    Mismatch,
    /// Step 4: take it over from this index on; all before is the same.
    Fits(u64),
}

/// MERGE.
fn merge(desk: &mut Desk<'_, '_>, update: &Update, mut judged: Vec<Judged>) -> Result<(), Fault> {
    let first = judged.first().map_or(1, |judged| judged.index);
    // A hole ends the usable run.
    let usable = judged.iter().zip(first..).take_while(|(judged, index)| judged.index == *index).count();
    let mut beyond = judged.split_off(usable);
    let last = judged.last().map_or(first, |judged| judged.index);
    let (trial, tip) = try_out(desk, update, &judged, first, last)?;
    match trial {
        Trial::Fits(from) => {
            let sent = desk.half.sent >= desk.half.end;
            adopt(desk, judged, from)?;
            receive::keep_loose(desk, &mut beyond)?;
            if sent {
                hold(desk);
            }
            taken_over(desk, update, last)
        }
        trial => {
            receive::keep_loose(desk, &mut judged)?;
            receive::keep_loose(desk, &mut beyond)?;
            if trial == Trial::Mismatch && first == 1 {
                return disagree(desk, last, tip);
            }
            backoff::step(desk, update)
        }
    }
}

/// MERGE 1 to 3. Also the trial's hash at the end of the run.
fn try_out(
    desk: &mut Desk<'_, '_>,
    update: &Update,
    run: &[Judged],
    first: u64,
    last: u64,
) -> Result<(Trial, String), Fault> {
    let below = run.iter().any(|judged| judged.entry.index.is_some_and(|index| index < first));
    let Some(mut tip) = desk.hash(first - 1)?.filter(|_| !below) else { return Ok((Trial::Misfit, String::new())) };
    let mut from = None;
    for judged in run {
        let sign = judged.resigned.as_deref().or(judged.entry.sign.as_deref());
        tip = links::hash(&judged.entry.core, judged.index, &tip, sign);
        if from.is_none() && desk.hash(judged.index)?.as_ref() != Some(&tip) {
            from = Some(judged.index);
        }
    }
    let stated = match run.last() {
        Some(judged) if judged.index != update.index => judged.hash.as_ref(),
        _ => Some(&update.hash),
    };
    let fits = stated == Some(&tip);
    Ok((if fits { Trial::Fits(from.unwrap_or(last + 1)) } else { Trial::Mismatch }, tip))
}

/// MERGE 4: the run becomes ours from `from` on. What stood there waits to be appended behind it.
fn adopt(desk: &mut Desk<'_, '_>, run: Vec<Judged>, from: u64) -> Result<(), Fault> {
    let run: Vec<Judged> = run.into_iter().filter(|judged| judged.index >= from).collect();
    if run.is_empty() {
        return Ok(());
    }
    links::truncate(desk, from)?;
    let coming: Chits = run.iter().map(|judged| judged.chit.clone()).collect();
    for Judged { chit, mut entry, resigned, new, .. } in run {
        if !new {
            // Displacing the links may have moved it.
            entry = desk.entry(&chit)?.unwrap_or(entry);
            displaced::take(desk, &chit, &mut entry)?;
        }
        // 6.8: the foil's copy of the signature is what makes the hashes meet.
        if resigned.is_some() {
            entry.sign = resigned;
        }
        links::append(desk, &chit, &mut entry, &coming)?;
    }
    Ok(())
}

/// Displaced links that went out a moment ago are on their way to the foil, who will give them their places.
/// Appended and sent again at once, they would be displaced again by its next message: with both sides at
/// work, each message would draw all of them.
fn hold(desk: &mut Desk<'_, '_>) {
    let now = desk.context.now();
    let recent = now.0 - desk.half.sent_at.0 <= limits::ON_THE_WAY;
    if desk.half.loose == 0 {
        desk.half.talk.held = None;
    } else if recent && desk.half.talk.held.is_none() {
        desk.half.talk.held = Some(now);
    }
}

/// MERGE 5.
fn taken_over(desk: &mut Desk<'_, '_>, update: &Update, last: u64) -> Result<(), Fault> {
    desk.half.conf = desk.half.conf.map(|conf| conf.min(last));
    desk.half.sent = desk.half.sent.min(last);
    receive::heard(desk);
    receive::agree(desk, last)?;
    receive::fitted(desk);
    let hash = desk.hash(last)?.ok_or_else(|| links::lost(desk, last))?;
    send::ack(desk, last, &hash)?;
    if update.has_more() {
        return Ok(());
    }
    displaced::relink(desk)?;
    send::announce(desk)
}

/// MERGE 3 with nothing further down to ask for.
fn disagree(desk: &mut Desk<'_, '_>, last: u64, tip: String) -> Result<(), Fault> {
    let ours = desk.hash(last)?.unwrap_or(tip);
    send::nak(desk, last, Some(&ours))?;
    desk.half.stat = Stat::Broken;
    receive::notice(desk, json!({ "reason": "order", "index": last }))
}
