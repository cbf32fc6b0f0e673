//! Which half and which chit a person means.

use crate::desk::Desk;
use crate::entry::Entry;
use crate::errors::Refusal;
use crate::limits::LOOKED_THROUGH;
use crate::store::{CHITS, HALVES, TALLIES, key, of_half};
use serde::de::IgnoredAny;
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::is_uuid;
use tallyho_plugin::{Context, Fault};

/// Rows looked at while a tally's uuid is completed: halves whose uuids begin alike.
const PAGE: u32 = 100;

/// Holder and uuid of the half meant by a uuid, an unambiguous beginning of one, or `HOLDER/UUID`. `user`
/// says whose half where both belong to users of this site.
///
/// # Errors
/// `NotFound`, or `Usage` where several fit.
pub fn half(context: &mut Context<'_>, given: &str, user: Option<&str>) -> Result<(String, String), Fault> {
    // No user name holds a slash (PROTOCOL 1.1).
    let (user, prefix) = match given.split_once('/') {
        Some((holder, uuid)) => (Some(holder), uuid),
        None => (user, given),
    };
    let prefix = prefix.to_lowercase();
    if prefix.is_empty() {
        return Err(Fault::usage("the tally's uuid is missing").fix("give it, or its first digits; see `tally list`"));
    }
    if let Some(user) = user.filter(|_| is_uuid(&prefix)) {
        // Nothing to find out; whether there is one, the desk will see.
        return Ok((user.to_owned(), prefix));
    }
    let mut found: Vec<(String, String)> = Vec::new();
    let mut scan = Scan::beginning(prefix.as_bytes(), PAGE);
    // Two tallies, or one with both its halves, are enough to know.
    while found.len() < 3 {
        let rows = context.services().scan(TALLIES, &scan)?;
        let full = rows.len() == PAGE as usize;
        if let Some((last, _)) = rows.last() {
            scan.from = [last.as_slice(), b"\0"].concat();
        }
        let names = rows.iter().filter_map(|(key, _)| {
            let (tally, holder) = std::str::from_utf8(key).ok()?.split_once('\0')?;
            Some((holder.to_owned(), tally.to_owned()))
        });
        found.extend(names.filter(|(holder, _)| user.is_none_or(|user| user == holder)));
        if !full {
            break;
        }
    }
    let Some((holder, tally)) = found.first().cloned() else {
        return Err(Refusal::NoTally(given.to_owned()).into());
    };
    let others = found.iter().filter(|(_, other)| *other != tally).count();
    if others > 0 {
        return Err(Refusal::Ambiguous { prefix, count: others + 1 }.into());
    }
    if found.len() > 1 {
        let holders: Vec<String> = found.into_iter().map(|(holder, _)| holder).collect();
        return Err(Refusal::WhoseHalf { tally, holders: holders.join(", ") }.into());
    }
    Ok((holder, tally))
}

/// The half meant, at work.
///
/// # Errors
/// As for [`half`]; a refusal where the tally is not and was not open.
pub fn desk<'a, 'c>(context: &'a mut Context<'c>, given: &str, user: Option<&str>) -> Result<Desk<'a, 'c>, Fault> {
    let (holder, tally) = half(context, given, user)?;
    // Before the desk takes the context, for the refusal.
    let row = key(&[&tally, &holder]);
    let services = context.services();
    // The account is small, the tally's own row is not.
    let known = services.get(HALVES, &row)?.is_some() || services.get(TALLIES, &row)?.is_some();
    Desk::open(context, &holder, &tally)?.ok_or_else(|| match known {
        true => Refusal::NotOpen(tally).into(),
        false => Refusal::NoTally(tally).into(),
    })
}

/// The chit meant by a uuid, or an unambiguous beginning or end of one, and its row. Uuids of chits begin
/// with the time at which they were written, so it is by their last digits that people tell them apart.
///
/// # Errors
/// `NotFound`, or `Usage` where several fit.
pub fn chit(desk: &mut Desk<'_, '_>, given: &str) -> Result<(String, Entry), Fault> {
    let (tally, prefix) = (desk.party.tally.clone(), given.to_lowercase());
    if prefix.is_empty() {
        return Err(Fault::usage("the chit's uuid is missing").fix("give it, or its last digits; see `chit list`"));
    }
    let scan = Scan::beginning(desk.chit_key(&prefix), 2);
    let begin: Vec<(Vec<u8>, IgnoredAny)> = desk.context.scan(CHITS, &scan)?;
    let keys = match begin.as_slice() {
        [(key, _)] => vec![key.clone()],
        _ => ending(desk, &prefix)?,
    };
    let [key] = keys.as_slice() else {
        let chit = given.to_owned();
        let refusal = match begin.is_empty() && keys.is_empty() {
            true => Refusal::NoChit { tally, chit },
            false => Refusal::SeveralChits { tally, chit },
        };
        return Err(refusal.into());
    };
    let uuid = String::from_utf8_lossy(key.get(desk.key.len() + 1..).unwrap_or_default()).into_owned();
    let entry = desk.entry(&uuid)?;
    entry.map(|entry| (uuid, entry)).ok_or_else(|| Refusal::NoChit { tally, chit: given.to_owned() }.into())
}

/// Keys of the half's chits whose uuids end so. None where there are more chits than are looked at: among
/// the others may be one more.
fn ending(desk: &mut Desk<'_, '_>, digits: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let rows: Vec<(Vec<u8>, IgnoredAny)> = desk.context.scan(CHITS, &of_half(&desk.key, LOOKED_THROUGH))?;
    if rows.len() >= LOOKED_THROUGH as usize {
        return Ok(Vec::new());
    }
    let keys = rows.into_iter().map(|(key, _)| key);
    Ok(keys.filter(|key| key.ends_with(digits.as_bytes())).collect())
}
