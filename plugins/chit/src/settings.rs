//! Settings of both sides: the merge, in chain order, of terms and `set` chits (PROTOCOL 5.7).

use crate::closing;
use crate::desk::Desk;
use crate::entry::Entry;
use crate::errors::Refusal;
use crate::limits::{SETS_DELETED, SETTINGS_BYTES};
use crate::store::{SETS, SETTINGS, number, numbered, of_half};
use crate::variables::{self, Variables};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::{ChitType, Side, canonical, refuse_nulls};
use tallyho_plugin::services::LogLevel;

/// A linked chit of settings, with what settings it led to: a new order of the chain goes back to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetLink {
    /// The chit.
    pub chit: String,
    /// Both sides' settings behind it, `{stock, foil}`.
    pub after: Value,
}

/// What a `set` chit makes of its side's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The settings afterwards.
    pub settings: Value,
    /// What was passed over, and why.
    pub ignored: Vec<String>,
}

/// A chit of settings got a link at the end of the chain.
///
/// # Errors
/// The host's faults.
pub fn linked(desk: &mut Desk<'_, '_>, entry: &Entry, index: u64) -> Result<(), Fault> {
    if entry.kind != ChitType::Set {
        return Ok(());
    }
    let chit = entry.record()?;
    let mut both = both(desk)?;
    let side = entry.by.as_str();
    let merged = merge(&both[side], chit.reference().unwrap_or(&Value::Null));
    for why in &merged.ignored {
        let text = format!("tally {}: settings of chit {} ignored: {why}", desk.party.name(), chit.uuid());
        desk.context.log(LogLevel::Warn, &text);
    }
    let closes = merged.settings["close"] == true;
    both[side] = merged.settings;
    desk.context.put(SETTINGS, &desk.key, &both)?;
    let link = SetLink { chit: chit.uuid().to_owned(), after: both };
    desk.context.put(SETS, numbered(&desk.key, index), &link)?;
    if closes {
        closing::begin(desk);
    }
    Ok(())
}

/// Links from `index` on are no longer what they were: chits of settings among them count no more
/// until they are linked again.
///
/// # Errors
/// The host's faults.
pub fn unlinked(desk: &mut Desk<'_, '_>, index: u64) -> Result<(), Fault> {
    let newest = Scan { reverse: true, limit: SETS_DELETED, ..of_half(&desk.key, 1) };
    let rows: Vec<(Vec<u8>, SetLink)> = desk.context.scan(SETS, &newest)?;
    let gone: Vec<Vec<u8>> = rows.into_iter().map(|(key, _)| key).filter(|key| number(key) >= index).collect();
    if gone.is_empty() {
        return Ok(());
    }
    for key in &gone {
        desk.context.delete(SETS, key)?;
    }
    let settings = match last_before(desk, index)? {
        Some(link) => link.after,
        None => initial(&desk.party.terms),
    };
    desk.context.put(SETTINGS, &desk.key, &settings)
}

/// Both sides' settings as the chain stands, `{stock, foil}`.
///
/// # Errors
/// The host's faults.
pub fn both(desk: &mut Desk<'_, '_>) -> Result<Value, Fault> {
    let kept: Option<Value> = desk.context.get(SETTINGS, &desk.key)?;
    Ok(kept.unwrap_or_else(|| initial(&desk.party.terms)))
}

/// One side's settings after this `ref` of a chit of its own.
pub fn merge(settings: &Value, change: &Value) -> Merged {
    let nothing = Map::new();
    let change = change.as_object().unwrap_or(&nothing);
    let mut ignored = Vec::new();
    let before = settings.as_object().map_or_else(|| json!({}), |_| settings.clone());
    let mut next = before.clone();
    for (name, value) in change.iter().filter(|(name, _)| !is_own(name)) {
        next[name] = value.clone();
    }
    // A bound of ours, the same on both sides: what a side keeps is read with every lift.
    let size = canonical(&next).map_or(usize::MAX, |text| text.len());
    if size > SETTINGS_BYTES {
        ignored.push(format!("they would have {size} bytes, at most {SETTINGS_BYTES} are kept"));
        next = before;
    }
    if change.get("close") == Some(&Value::Bool(true)) {
        // For good: nothing takes it back (PROTOCOL 5.7).
        next["close"] = true.into();
    }
    let traded = traded(&next, change);
    match Variables::read(&traded) {
        Ok(_) => next = traded,
        // As a group: half of them would be a trade that nobody has offered.
        Err(wrong) => ignored.push(wrong.to_string()),
    }
    Merged { settings: next, ignored }
}

/// Whether our own user may sign this `ref`, the side's settings being these.
///
/// # Errors
/// The setting that breaks its constraint.
pub fn check(settings: &Value, change: &Value) -> Result<(), Refusal> {
    let wrong = |why: &str| Refusal::Settings(why.to_owned());
    let members = change.as_object().ok_or_else(|| wrong("expected an object"))?;
    if members.is_empty() {
        return Err(wrong("nothing to set"));
    }
    refuse_nulls(change, "settings")?;
    match members.get("close") {
        None | Some(Value::Bool(true)) => {}
        Some(_) => return Err(wrong("close: expected true, which cannot be taken back")),
    }
    let traded = traded(settings, members);
    Variables::read(&traded)?;
    match merge(settings, change).ignored.into_iter().next() {
        Some(why) => Err(Refusal::Settings(why)),
        None => Ok(()),
    }
}

/// Settings with a change's trading variables.
fn traded(settings: &Value, change: &Map<String, Value>) -> Value {
    let mut traded = settings.clone();
    for name in variables::NAMES {
        if let Some(value) = change.get(name) {
            traded[name] = variables::as_number(value);
        }
    }
    traded
}

/// What settings begin with: the terms, without what only settings decide. Trading variables are 0 before
/// any set (O-52).
pub fn initial(terms: &Value) -> Value {
    let side = |side: Side| {
        let mut terms = terms[side.as_str()].as_object().cloned().unwrap_or_default();
        terms.retain(|name, _| !is_own(name));
        Value::Object(terms)
    };
    json!({ "stock": side(Side::Stock), "foil": side(Side::Foil) })
}

/// Members that the protocol gives a meaning to.
fn is_own(name: &str) -> bool {
    name == "close" || variables::NAMES.contains(&name)
}

/// The last linked chit of settings below an index. Rows whose link is another one's by now are passed
/// over: they are left of a displacement too large to clear at once.
fn last_before(desk: &mut Desk<'_, '_>, index: u64) -> Result<Option<SetLink>, Fault> {
    const PAGE: u32 = 100;
    let mut below = index;
    loop {
        let page = Scan { to: Some(numbered(&desk.key, below).into()), reverse: true, ..of_half(&desk.key, PAGE) };
        let rows: Vec<(Vec<u8>, SetLink)> = desk.context.scan(SETS, &page)?;
        let full = rows.len() == PAGE as usize;
        for (key, set) in rows {
            below = number(&key);
            if desk.link(below)?.is_some_and(|link| link.chit == set.chit) {
                return Ok(Some(set));
            }
        }
        if !full {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_changes_what_it_names_and_keeps_the_rest() {
        let merged = merge(&json!({ "limit": 5, "target": 3 }), &json!({ "target": "4", "bound": 7, "note": "x" }));
        assert_eq!(merged.settings, json!({ "limit": 5, "target": 4, "bound": 7, "note": "x" }));
        assert!(merged.ignored.is_empty());
    }

    #[test]
    fn trading_variables_are_ignored_as_a_group_and_the_others_kept() {
        let merged = merge(&json!({ "target": 3 }), &json!({ "target": 4, "bound": -1, "call": 30 }));
        assert_eq!(merged.settings, json!({ "target": 3, "call": 30 }));
        assert_eq!(merged.ignored.len(), 1);
        let sum = merge(&json!({ "reward": -0.5, "clutch": 0.5 }), &json!({ "clutch": 0.4, "target": 9 }));
        assert_eq!(sum.settings, json!({ "reward": -0.5, "clutch": 0.5 }), "held against what stands already");
    }

    #[test]
    fn closing_is_for_good_and_only_true_closes() {
        let closed = merge(&json!({}), &json!({ "close": true, "target": -1 })).settings;
        assert_eq!(closed, json!({ "close": true }));
        for not in [json!(false), json!("true"), json!(null), json!(1)] {
            assert_eq!(merge(&closed, &json!({ "close": not })).settings, closed);
            assert_eq!(merge(&json!({}), &json!({ "close": not })).settings, json!({}));
        }
    }

    #[test]
    fn settings_that_are_no_object_or_too_large_change_nothing() {
        for strange in [json!(null), json!(5), json!(["target"]), json!({})] {
            assert_eq!(merge(&json!({ "limit": 5 }), &strange).settings, json!({ "limit": 5 }));
        }
        let large = merge(&json!({ "limit": 5 }), &json!({ "note": "x".repeat(SETTINGS_BYTES), "target": 1 }));
        assert_eq!((large.settings, large.ignored.len()), (json!({ "limit": 5, "target": 1 }), 1));
    }

    #[test]
    fn trading_variables_in_the_terms_do_not_count() {
        let terms = json!({ "stock": { "limit": 5, "target": 9, "close": true }, "foil": null });
        assert_eq!(initial(&terms), json!({ "stock": { "limit": 5 }, "foil": {} }));
    }
}
