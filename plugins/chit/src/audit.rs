//! The whole of one half looked at again, some rows at a time (`chit check`): is what is kept what its
//! records say?
//!
//! Links with their chits, signatures and settings; then all chits, for the sums; then those that wait for
//! a link. Nothing is changed. What runs on from page to page (hash, sums, settings) travels in a cursor
//! that the caller hands back.

use crate::admit::stands;
use crate::desk::Desk;
use crate::entry::{Entry, Link, Status};
use crate::half::Half;
use crate::resolve;
use crate::settings::{self, SetLink};
use crate::store::{CHITS, LOOSE, SETS, number, numbered, numbers, of_half};
use crate::{chain, sums};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::ChitType;
use tallyho_plugin::{Command, Context, Fault, FaultKind};

/// Rows looked at in one call: a signature takes up to a millisecond, and others wait meanwhile.
const PAGE: u32 = 200;

#[derive(Deserialize)]
struct Check {
    tally: String,
    #[serde(default)]
    user: Option<String>,
    /// [`Cursor`] as JSON, from an earlier answer's `next`.
    #[serde(default)]
    from: Option<String>,
}

/// What is looked at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    /// The chain.
    Links,
    /// All chits.
    Chits,
    /// Rows of chits without a link.
    Loose,
    /// Displaced links in place.
    Displaced,
}

/// Where the last call stopped, and what it had come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cursor {
    part: Part,
    /// Last index, of links; last key behind the half's own, of rows.
    index: u64,
    after: String,
    /// Hash at `index`.
    prior: String,
    settings: Value,
    net: i64,
    pend: i64,
    lift_in: i64,
    lift_out: i64,
    /// Good chits without link that have a row of their own among the loose, and others.
    shelved: u64,
    placed: u64,
    /// Rows found for them.
    found: u64,
    /// The account when the first page was read: sums mean nothing if it has changed meanwhile.
    mark: String,
}

impl Cursor {
    fn begin(desk: &Desk<'_, '_>) -> Self {
        Cursor {
            part: Part::Links,
            index: 0,
            after: String::new(),
            prior: desk.party.hash.clone(),
            settings: settings::initial(&desk.party.terms),
            net: 0,
            pend: 0,
            lift_in: 0,
            lift_out: 0,
            shelved: 0,
            placed: 0,
            found: 0,
            mark: mark(&desk.half),
        }
    }
}

fn mark(half: &Half) -> String {
    format!("{} {} {} {} {}", half.end, half.tip, half.net, half.pend, half.loose)
}

/// `check {tally, user?, from?}` → `{ok, faults, next?, changed?}`. `ok` and `faults` are of this page;
/// with `next`, go on with it as `from`. `changed`: chits came in meanwhile, and the sums were not compared.
///
/// # Errors
/// `NotFound`, or `Usage` where several fit or `from` is none of our cursors.
pub fn check(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Check { tally, user, from } = command.arguments()?;
    let mut desk = resolve::desk(context, &tally, user.as_deref())?;
    page(&mut desk, from.as_deref())
}

/// The same of a half that is open already.
///
/// # Errors
/// As for [`check`].
pub fn page(desk: &mut Desk<'_, '_>, from: Option<&str>) -> Result<Value, Fault> {
    let cursor = match from {
        None => Cursor::begin(desk),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            Fault::usage("--from is no cursor of this command").fix("hand in `next` of the last answer as it came")
        })?,
    };
    let mut faults = Vec::new();
    let changed = cursor.mark != mark(&desk.half);
    let next = match cursor.part {
        Part::Links => links(desk, cursor, &mut faults)?,
        Part::Chits => chits(desk, cursor, &mut faults)?,
        Part::Loose => loose(desk, cursor, &mut faults)?,
        Part::Displaced => displaced(desk, cursor, changed, &mut faults)?,
    };
    let mut answer = json!({ "ok": faults.is_empty(), "faults": faults });
    match next {
        Some(cursor) => {
            let text = serde_json::to_string(&cursor).map_err(|error| Fault::failed(error.to_string()))?;
            answer["next"] = Value::from(text);
        }
        None if changed => answer["changed"] = Value::Bool(true),
        None => {}
    }
    Ok(answer)
}

fn links(desk: &mut Desk<'_, '_>, mut cursor: Cursor, faults: &mut Vec<String>) -> Result<Option<Cursor>, Fault> {
    let (first, end) = (cursor.index + 1, desk.half.end);
    let last = end.min(cursor.index + u64::from(PAGE));
    for index in first..=last {
        match desk.link(index)? {
            Some(link) => one_link(desk, &mut cursor, index, &link, faults)?,
            None => faults.push(format!("link {index} is missing")),
        }
        cursor.index = index;
    }
    if last < end {
        return Ok(Some(cursor));
    }
    if cursor.prior != desk.half.tip {
        faults.push(format!("the account's tip is not the hash of link {end}"));
    }
    if settings::both(desk)? != cursor.settings {
        faults.push("the settings kept are not what the chain's chits of settings lead to".to_owned());
    }
    let half = &desk.half;
    if half.conf.is_some_and(|conf| conf > end) || half.sent > end {
        faults.push(format!("more links are said to be confirmed or sent than the chain has ({end})"));
    }
    Ok(Some(Cursor { part: Part::Chits, ..cursor }))
}

fn one_link(
    desk: &mut Desk<'_, '_>,
    cursor: &mut Cursor,
    index: u64,
    link: &Link,
    faults: &mut Vec<String>,
) -> Result<(), Fault> {
    let Link { chit, hash } = link;
    let prior = std::mem::replace(&mut cursor.prior, hash.clone());
    let Some(entry) = readable(desk.entry(chit), chit, faults)? else {
        faults.push(format!("link {index}: chit {chit} is missing"));
        return Ok(());
    };
    if entry.status != Status::Good || entry.index != Some(index) || entry.loose.is_some() {
        // Of a chit with two links, one is not its own.
        faults.push(format!("link {index}: chit {chit} does not say that it stands there"));
    }
    if chain::links::hash(&entry.core, index, &prior, entry.sign.as_deref()) != *hash {
        faults.push(format!("link {index}: the hash is not that of chit {chit} behind link {}", index - 1));
    }
    let record = match entry.record() {
        Ok(record) if record.uuid() == chit && record.core_canonical() == entry.core => record,
        _ => {
            faults.push(format!("link {index}: chit {chit} is damaged"));
            return Ok(());
        }
    };
    if let Err(why) = stands(desk, &record) {
        faults.push(format!("link {index}: chit {chit} is not valid: {why}"));
    }
    if entry.kind == ChitType::Set {
        let side = entry.by.as_str();
        let merged = settings::merge(&cursor.settings[side], record.reference().unwrap_or(&Value::Null));
        cursor.settings[side] = merged.settings;
        let kept: Option<SetLink> = desk.context.get(SETS, numbered(&desk.key, index))?;
        if kept.is_none_or(|kept| kept.chit != *chit || kept.after != cursor.settings) {
            faults.push(format!("link {index}: what is kept of the settings of chit {chit} is not what it says"));
        }
    }
    Ok(())
}

/// A row that cannot be read is a fault of the store, not of the check.
fn readable(row: Result<Option<Entry>, Fault>, chit: &str, faults: &mut Vec<String>) -> Result<Option<Entry>, Fault> {
    match row {
        Err(fault) if fault.kind == FaultKind::Failed => {
            faults.push(format!("the row of chit {chit} cannot be read"));
            Ok(None)
        }
        row => row,
    }
}

fn chits(desk: &mut Desk<'_, '_>, mut cursor: Cursor, faults: &mut Vec<String>) -> Result<Option<Cursor>, Fault> {
    let page = after(desk, &cursor.after);
    let rows = desk.context.services().scan(CHITS, &page)?;
    for (key, _) in &rows {
        cursor.after = behind(desk, key);
        let chit = cursor.after.clone();
        let Some(entry) = readable(desk.entry(&chit), &chit, faults)? else { continue };
        let before = Half {
            net: cursor.net,
            pend: cursor.pend,
            lift_in: cursor.lift_in,
            lift_out: cursor.lift_out,
            ..Half::new("", None)
        };
        match sums::counted(&before, desk.side(), None, Some(&entry)) {
            Some(half) => {
                (cursor.net, cursor.pend) = (half.net, half.pend);
                (cursor.lift_in, cursor.lift_out) = (half.lift_in, half.lift_out);
            }
            None => faults.push("the sums are beyond 64 bits".to_owned()),
        }
        one_chit(desk, &mut cursor, &chit, &entry, faults)?;
    }
    if rows.len() == PAGE as usize {
        return Ok(Some(cursor));
    }
    Ok(Some(Cursor { part: Part::Loose, after: String::new(), found: 0, ..cursor }))
}

fn one_chit(
    desk: &mut Desk<'_, '_>,
    cursor: &mut Cursor,
    chit: &str,
    entry: &Entry,
    faults: &mut Vec<String>,
) -> Result<(), Fault> {
    match (entry.status, desk.half.place(entry), &entry.loose) {
        (Status::Good, Some(index), _) => {
            if desk.link(index)?.is_none_or(|link| link.chit != chit) {
                faults.push(format!("chit {chit} says that it is link {index}, and is not"));
            }
        }
        (Status::Good, None, loose) => {
            match loose {
                Some(_) => cursor.shelved += 1,
                None => cursor.placed += 1,
            }
            let valid = entry.record().map_err(|fault| fault.text).and_then(|record| stands(desk, &record));
            if let Err(why) = valid {
                faults.push(format!("chit {chit}, not linked, is not valid: {why}"));
            }
        }
        (_, None, None) => {}
        _ => faults.push(format!("chit {chit} is linked or loose, and binds nobody")),
    }
    Ok(())
}

fn loose(desk: &mut Desk<'_, '_>, mut cursor: Cursor, faults: &mut Vec<String>) -> Result<Option<Cursor>, Fault> {
    let page = after(desk, &cursor.after);
    let rows: Vec<(Vec<u8>, ())> = desk.context.scan(LOOSE, &page)?;
    for (key, ()) in &rows {
        cursor.after = behind(desk, key);
        let (sort, chit) = cursor.after.split_once('\0').unwrap_or_default();
        let entry = desk.entry(chit)?;
        if entry.is_none_or(|entry| entry.status != Status::Good || entry.loose.as_deref() != Some(sort)) {
            faults.push(format!("chit {chit} is listed as loose, and is not"));
        }
        cursor.found += 1;
    }
    if rows.len() == PAGE as usize {
        return Ok(Some(cursor));
    }
    if cursor.found != cursor.shelved {
        faults.push(format!("{} chits are loose, and {} are listed", cursor.shelved, cursor.found));
    }
    Ok(Some(Cursor { part: Part::Displaced, index: desk.half.queue.next - 1, found: 0, ..cursor }))
}

fn displaced(
    desk: &mut Desk<'_, '_>,
    mut cursor: Cursor,
    changed: bool,
    faults: &mut Vec<String>,
) -> Result<Option<Cursor>, Fault> {
    let top = desk.half.queue.top;
    let rows: Vec<(Vec<u8>, Link)> = match cursor.index < top {
        true => desk.context.scan(crate::store::LINKS, &numbers(&desk.key, cursor.index + 1, top, PAGE))?,
        false => Vec::new(),
    };
    for (key, link) in &rows {
        cursor.index = number(key);
        let entry = desk.entry(&link.chit)?;
        cursor.found += u64::from(entry.is_some_and(|entry| entry.index.is_none() && entry.loose.is_none()));
    }
    if rows.len() == PAGE as usize {
        return Ok(Some(cursor));
    }
    if changed {
        return Ok(None);
    }
    let half = &desk.half;
    for (what, kept, found) in [
        ("displaced chits in place", i64::try_from(cursor.placed).ok(), i64::try_from(cursor.found).unwrap_or(-1)),
        ("loose chits", i64::try_from(half.loose).ok(), i64::try_from(cursor.shelved + cursor.placed).unwrap_or(-1)),
        ("the balance", Some(half.net), cursor.net),
        ("the sum of what is pending", Some(half.pend), cursor.pend),
        ("the sum of pending lifts to the holder", Some(half.lift_in), cursor.lift_in),
        ("the sum of pending lifts from the holder", Some(half.lift_out), cursor.lift_out),
    ] {
        if kept != Some(found) {
            faults.push(format!("{what}: {} is kept, the records say {found}", kept.unwrap_or(-1)));
        }
    }
    Ok(None)
}

fn after(desk: &Desk<'_, '_>, last: &str) -> Scan {
    let all = of_half(&desk.key, PAGE);
    match last {
        "" => all,
        last => Scan { from: [&desk.key, b"\0".as_slice(), last.as_bytes(), b"\0"].concat(), ..all },
    }
}

/// What stands behind the half's own key.
fn behind(desk: &Desk<'_, '_>, key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(desk.key.len() + 1..).unwrap_or_default()).into_owned()
}
