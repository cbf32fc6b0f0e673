//! Every half of the site looked at again, for the doctor: the pages of [`crate::audit`], half after half.

use crate::audit;
use crate::desk::Desk;
use crate::store::{HALVES, key};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallyho_plugin::context::Scan;
use tallyho_plugin::{Command, Context, Fault, FaultKind};

/// Pages of one half or several looked at in one call: a page has up to 200 signatures, and others wait
/// meanwhile; a small half is done in four.
const PAGES: u32 = 8;

#[derive(Deserialize)]
struct CheckAll {
    #[serde(default)]
    from: Option<Place>,
}

/// Where the last call stopped.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    /// The half looked at last; empty before the first.
    tally: String,
    holder: String,
    /// How to go on with it; `None`: it is done.
    at: Option<String>,
}

/// `check.all {from?}` → `{looked, faults, fix, next?}`, as the doctor wants it: how many chits were looked at,
/// and what is wrong with them. With `next`, go on with it as `from`.
///
/// # Errors
/// The host's faults; what is damaged is told, and the rest looked at.
pub fn check_all(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let CheckAll { from } = command.arguments()?;
    let mut place = from.unwrap_or_default();
    let (mut looked, mut faults) = (0, Vec::new());
    for _ in 0..PAGES {
        if place.at.is_none() {
            let Some((tally, holder)) = half_after(context, &place)? else {
                return Ok(answer(looked, &faults, None));
            };
            place = Place { tally, holder, at: None };
        }
        match page(context, &place, &mut faults) {
            Ok((chits, at)) => {
                looked += chits;
                place.at = at;
            }
            // A row that cannot be read is what is looked for.
            Err(fault) if fault.kind == FaultKind::Failed => {
                faults.push(told(&place, &fault.text));
                place.at = None;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(answer(looked, &faults, Some(&place)))
}

fn answer(looked: u64, faults: &[String], next: Option<&Place>) -> Value {
    let fix = "compare `tallyho chit list TALLY` with the partner's, then put a backup of site.db back, or have the \
               partner send again what is missing";
    json!({ "looked": looked, "faults": faults, "fix": fix, "next": next })
}

/// One page; how many chits the half has, if that was its last one, and else how to go on.
fn page(context: &mut Context<'_>, place: &Place, faults: &mut Vec<String>) -> Result<(u64, Option<String>), Fault> {
    let Some(mut desk) = Desk::open(context, &place.holder, &place.tally)? else {
        faults.push(told(place, "the tally itself is gone"));
        return Ok((0, None));
    };
    let found = audit::page(&mut desk, place.at.as_deref())?;
    let wrong = found["faults"].as_array().into_iter().flatten().filter_map(Value::as_str);
    faults.extend(wrong.map(|fault| told(place, fault)));
    let next = found["next"].as_str().map(str::to_owned);
    let chits = if next.is_none() { desk.half.end + desk.half.loose } else { 0 };
    Ok((chits, next))
}

fn told(place: &Place, fault: &str) -> String {
    format!("tally {} of {}: {fault}", place.tally, place.holder)
}

/// The half behind this one, as (tally, holder).
fn half_after(context: &mut Context<'_>, place: &Place) -> Result<Option<(String, String)>, Fault> {
    let mut scan = Scan { limit: 1, ..Scan::default() };
    if !place.tally.is_empty() {
        scan.from = [key(&[&place.tally, &place.holder]).as_slice(), b"\0"].concat();
    }
    // The rows themselves may be damaged: what is needed is in the key.
    let rows = context.services().scan(HALVES, &scan)?;
    let names = rows.first().and_then(|(key, _)| std::str::from_utf8(key).ok()?.split_once('\0'));
    Ok(names.map(|(tally, holder)| (tally.to_owned(), holder.to_owned())))
}
