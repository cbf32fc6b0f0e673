//! What people and other plugins are shown of chits.

use crate::desk::Desk;
use crate::entry::{Entry, Link, Status};
use crate::errors::Refusal;
use crate::half::Phase;
use crate::limits::{LISTED, LISTED_BYTES};
use crate::resolve;
use crate::store::{LINKS, LOOSE, UNSIGNED, number, numbers, of_half};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::{ChitRecord, ChitType};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Which {
    tally: String,
    uuid: String,
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    /// `HOLDER/TALLY/UUID`.
    chit: String,
}

#[derive(Deserialize)]
struct Page {
    tally: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
}

/// `list {tally, from?, limit?, user?}`: links from index `from` on, or the newest ones; behind the last
/// link, chits that have none.
///
/// # Errors
/// `NotFound`, or `Usage` where several fit.
pub fn list(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Page { tally, user, from, limit } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    let limit = limit.unwrap_or(LISTED).clamp(1, LISTED);
    let end = desk.half.end;
    // Without a beginning asked for, the newest page; its oldest give way where it would be too long.
    let first = from.unwrap_or_else(|| (end + 1).saturating_sub(u64::from(limit))).max(1);
    let last = end.min(first.saturating_add(u64::from(limit) - 1));
    let mut page = numbers(&desk.key, first, last, limit);
    page.reverse = from.is_none();
    let links: Vec<(Vec<u8>, Link)> = if first > last { Vec::new() } else { desk.context.scan(LINKS, &page)? };
    let mut shown = Vec::new();
    let mut room = LISTED_BYTES;
    for (key, link) in links {
        let Some(entry) = desk.entry(&link.chit)? else { continue };
        let item = item(&desk, &link.chit, &Entry { index: Some(number(&key)), ..entry }, Some(&link.hash))?;
        if !fits(&mut room, &item) {
            return Ok(in_order(shown, from.is_none()));
        }
        shown.push(item);
    }
    let mut shown = in_order(shown, from.is_none());
    if last == end || first > last {
        unlinked(&mut desk, limit, &mut room, &mut shown)?;
    }
    Ok(shown)
}

/// `show {tally, uuid, user?}`: one chit with its record.
///
/// # Errors
/// `NotFound`, or `Usage` where several fit.
pub fn show(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Which { tally, uuid, user } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    let (uuid, entry) = resolve::chit(&mut desk, &uuid)?;
    let link = link_hash(&mut desk, &entry)?;
    let mut shown = item(&desk, &uuid, &entry, link.as_deref())?;
    shown["tally"] = desk.party.tally.clone().into();
    shown["partner"] = desk.party.partner.to_string().into();
    shown["since"] = entry.since.text().into();
    shown["record"] = entry.record()?.to_record();
    Ok(shown)
}

/// `text {tally, uuid, user?}`: what the user signs to pay an invoice, or a draft.
///
/// # Errors
/// As for [`show`].
pub fn text(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Which { tally, uuid, user } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    let (uuid, entry) = resolve::chit(&mut desk, &uuid)?;
    let mut answer = answer(&mut desk, &uuid, &entry)?;
    answer["text"] = entry.core.into();
    Ok(answer)
}

/// `state {chit}`: for `--wait`, and for a lift handler that asks what became of its chits.
///
/// # Errors
/// `NotFound` where there is no such chit.
pub fn state(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Named { chit } = command.arguments()?;
    let mut parts = chit.splitn(3, '/');
    let (Some(holder), Some(tally), Some(uuid)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::usage(format!("chit {chit}: expected HOLDER/TALLY/UUID")));
    };
    let desk = Desk::open(context, holder, tally)?;
    let mut desk = desk.ok_or_else(|| Refusal::NoTally(tally.to_owned()))?;
    let found = desk.entry(uuid)?;
    match found {
        Some(entry) => answer(&mut desk, uuid, &entry),
        None => Err(Refusal::NoChit { tally: tally.to_owned(), chit: uuid.to_owned() }.into()),
    }
}

/// The answer of an act, once what it did is written.
///
/// # Errors
/// The host's faults.
pub fn done(mut desk: Desk<'_, '_>, uuid: &str, entry: &Entry) -> Result<Value, Fault> {
    let answer = answer(&mut desk, uuid, entry)?;
    desk.close()?;
    Ok(answer)
}

/// The same for `close`, with what has become of the tally.
///
/// # Errors
/// The host's faults.
pub fn closed(mut desk: Desk<'_, '_>, uuid: &str, entry: &Entry) -> Result<Value, Fault> {
    let mut answer = answer(&mut desk, uuid, entry)?;
    desk.settle();
    answer["closing"] = (desk.half.phase != Phase::Open).into();
    answer["settled"] = (desk.half.phase == Phase::Closed).into();
    desk.close()?;
    Ok(answer)
}

/// The draft of a closing setting over which this signature stands.
///
/// # Errors
/// A refusal where there is none.
pub fn closing_draft(desk: &mut Desk<'_, '_>, signature: &str) -> Result<(Entry, ChitRecord), Fault> {
    let rows: Vec<(Vec<u8>, ())> = desk.context.scan(UNSIGNED, &of_half(&desk.key, LISTED))?;
    for (key, ()) in rows {
        let uuid = last_part(&key);
        let Some(entry) = desk.entry(&uuid)? else { continue };
        if entry.status != Status::Draft || entry.kind != ChitType::Set || entry.by != desk.side() {
            continue;
        }
        let chit = entry.record()?;
        let closes = chit.reference().is_some_and(|settings| settings["close"] == true);
        if closes && crate::admit::stands(desk, &chit.clone().signed(signature)).is_ok() {
            return Ok((entry, chit));
        }
    }
    let tally = desk.party.tally.clone();
    let text = format!("the signature stands over no draft that closes tally {tally}");
    let fix = format!("`chit draft {tally} --set '{{\"close\":true}}'` prints what to sign");
    Err(Fault::refused(text).code("signature").fix(fix))
}

/// Chits without a link, behind the last one: good ones that wait for it, then those that bind nobody.
fn unlinked(desk: &mut Desk<'_, '_>, limit: u32, room: &mut usize, shown: &mut Value) -> Result<(), Fault> {
    for table in [LOOSE, UNSIGNED] {
        let rows: Vec<(Vec<u8>, serde::de::IgnoredAny)> = desk.context.scan(table, &of_half(&desk.key, limit))?;
        for (key, _) in rows {
            let uuid = last_part(&key);
            let Some(entry) = desk.entry(&uuid)? else { continue };
            let item = item(desk, &uuid, &entry, None)?;
            if !fits(room, &item) {
                return Ok(());
            }
            shown.as_array_mut().into_iter().for_each(|shown| shown.push(item.clone()));
        }
    }
    Ok(())
}

/// One line of a list.
fn item(desk: &Desk<'_, '_>, uuid: &str, entry: &Entry, link: Option<&str>) -> Result<Value, Fault> {
    let chit = entry.record()?;
    let mut item = json!({
        "uuid": uuid, "chit": desk.chit_name(uuid), "by": entry.by, "type": entry.kind, "units": entry.units,
        "state": entry.code(desk.side()), "index": entry.index, "hash": entry.hash(), "link": link,
        "confirmed": is_confirmed(desk, entry), "date": chit.date().text(), "memo": chit.memo(),
        "wait": words(desk, entry),
    });
    if let Some(reference) = chit.reference().filter(|_| entry.kind != ChitType::Lift) {
        item["ref"] = reference.clone();
    }
    if let Some(why) = &entry.stalled {
        item["stalled"] = why.clone().into();
    }
    Ok(item)
}

fn answer(desk: &mut Desk<'_, '_>, uuid: &str, entry: &Entry) -> Result<Value, Fault> {
    let link = link_hash(desk, entry)?;
    let mut answer = json!({
        "uuid": uuid, "chit": desk.chit_name(uuid), "tally": desk.party.tally, "state": entry.code(desk.side()),
        "index": entry.index, "hash": entry.hash(), "link": link, "wait": words(desk, entry),
    });
    if let Some(why) = &entry.stalled {
        answer["stalled"] = why.clone().into();
    }
    Ok(answer)
}

fn link_hash(desk: &mut Desk<'_, '_>, entry: &Entry) -> Result<Option<String>, Fault> {
    match entry.index {
        Some(index) => desk.hash(index),
        None => Ok(None),
    }
}

fn is_confirmed(desk: &Desk<'_, '_>, entry: &Entry) -> bool {
    entry.index.zip(desk.half.conf).is_some_and(|(index, conf)| index <= conf)
}

/// Words that `--wait` may wait for, besides the codes of states; `none`: of a chit that is not here any more.
pub const WORDS: [&str; 8] = ["draft", "pend", "good", "linked", "confirmed", "void", "stalled", "none"];

/// Those that are true now.
fn words(desk: &Desk<'_, '_>, entry: &Entry) -> Vec<String> {
    let mut words = vec![entry.code(desk.side())];
    let status = match (entry.status, entry.request) {
        (Status::Good, _) => Some("good"),
        // What is asked for and not sent yet has not come to its state.
        (_, Some(_)) => None,
        (Status::Draft, _) => Some("draft"),
        (Status::Pend, _) => Some("pend"),
        (Status::Void, _) => Some("void"),
    };
    let linked = entry.index.map(|_| "linked");
    let confirmed = is_confirmed(desk, entry).then_some("confirmed");
    let stalled = entry.stalled.as_ref().map(|_| "stalled");
    words.extend([status, linked, confirmed, stalled].into_iter().flatten().map(str::to_owned));
    words
}

fn in_order(mut items: Vec<Value>, reversed: bool) -> Value {
    if reversed {
        items.reverse();
    }
    Value::Array(items)
}

/// Whether the page has room for one more; the first always has.
fn fits(room: &mut usize, item: &Value) -> bool {
    let size = item.to_string().len();
    let fits = size <= *room;
    *room = room.saturating_sub(size);
    fits
}

/// The chit at the end of a key.
fn last_part(key: &[u8]) -> String {
    let uuid = key.rsplit(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(uuid).into_owned()
}
