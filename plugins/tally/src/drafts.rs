//! Drafting: what a user may write into a tally before it is offered (T1, T2).

use crate::half::Half;
use crate::rules::{self, Input};
use crate::table::Happening;
use crate::{limits, store};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::tally::Side;
use tallyho_plugin::record::{canonical, is_uuid};
use tallyho_plugin::{Context, Fault};

/// What a user wants changed; absent members stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Change {
    /// The user's side.
    #[serde(default)]
    side: Option<Side>,
    /// What it is about.
    #[serde(default)]
    memo: Option<String>,
    /// The agreement; an empty text takes it away.
    #[serde(default)]
    agree: Option<Value>,
    /// Terms that the user grants to the partner.
    #[serde(default)]
    terms: Option<Value>,
    /// Terms that the user asks of the partner.
    #[serde(default, rename = "partner-terms")]
    partner_terms: Option<Value>,
    /// Another uuid, while the partner has not seen the first.
    #[serde(default, rename = "new-uuid")]
    new_uuid: Option<String>,
}

/// T1: a new draft of this user's.
///
/// # Errors
/// `NotFound` where there is no such user; what is wrong with the change.
pub fn begin(context: &mut Context<'_>, user: &str, change: Change) -> Result<Half, Fault> {
    let cert = context.user(user)?.cert;
    let side = change.side.unwrap_or(Side::Stock);
    let mut core = json!({
        "version": 1,
        "revision": 1,
        "uuid": context.uuid(),
        "date": context.now().text(),
        "memo": "",
        "agree": store::settings(context)?.agree,
        "stock": { "terms": {} },
        "foil": { "terms": {} },
    });
    core[side.as_str()]["cert"] = cert;
    let blank = Half::new(user, side, core, context.now());
    let draft = changed(context, &blank, change)?;
    let outcome = rules::step(context, user, None, Happening::UserDraft, Input::Content(&draft))?;
    Ok(outcome.half.unwrap_or(draft))
}

/// The half as the change makes it.
///
/// # Errors
/// The member at fault.
pub fn changed(context: &mut Context<'_>, half: &Half, change: Change) -> Result<Half, Fault> {
    let mut half = half.clone();
    if let Some(side) = change.side.filter(|side| *side != half.side) {
        // Each keeps certificate and granted terms and takes the other side.
        let (stock, foil) = (half.core["stock"].take(), half.core["foil"].take());
        (half.core["stock"], half.core["foil"]) = (foil, stock);
        half.side = side;
    }
    if let Some(memo) = change.memo {
        bounded("memo", memo.len(), limits::MEMO_BYTES)?;
        half.core["memo"] = memo.into();
    }
    match change.agree {
        Some(Value::String(none)) if none.is_empty() => {
            half.core.as_object_mut().and_then(|core| core.remove("agree"));
        }
        Some(agree @ (Value::String(_) | Value::Object(_))) => half.core["agree"] = part("agree", agree)?,
        Some(other) => {
            return Err(Fault::usage(format!("--agree {other}: expected the contract's id or an object"))
                .fix("for example --agree '{\"host\":\"mychips.org\",\"source\":\"...\"}'"));
        }
        None => {}
    }
    let (own, theirs) = (half.side.as_str(), half.side.other().as_str());
    for (member, side, terms) in [("terms", own, change.terms), ("partner-terms", theirs, change.partner_terms)] {
        match terms {
            Some(terms @ Value::Object(_)) => half.core[side]["terms"] = part(member, terms)?,
            Some(other) => {
                return Err(Fault::usage(format!("--{member} {other}: expected an object"))
                    .fix(format!("for example --{member} '{{\"limit\":100000,\"call\":30}}'")));
            }
            None => {}
        }
    }
    if let Some(uuid) = change.new_uuid {
        rename(context, &mut half, uuid)?;
    }
    half.core["date"] = context.now().text().into();
    Ok(half)
}

/// PROTOCOL 4.1: the uuid is fixed when first offered.
fn rename(context: &mut Context<'_>, half: &mut Half, uuid: String) -> Result<(), Fault> {
    if half.offered {
        return Err(Fault::refused(format!("the partner knows tally {} by its uuid, so it stays", half.uuid)));
    }
    if !is_uuid(&uuid) {
        return Err(Fault::usage(format!("--new-uuid {uuid}: expected a uuid in lower case"))
            .fix("for example 9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55"));
    }
    if uuid != half.uuid && store::half(context, &half.holder, &uuid)?.is_some() {
        return Err(Fault::refused(format!("{} has a tally {uuid} already", half.holder)));
    }
    for token in &half.tokens {
        let led = store::Led { holder: half.holder.clone(), uuid: uuid.clone() };
        context.put(store::TOKENS, &token.token, &led)?;
    }
    half.core["uuid"] = uuid.clone().into();
    half.uuid = uuid;
    Ok(())
}

/// Own users write no nulls (PROTOCOL 3.3) and no more than fits.
fn part(member: &str, value: Value) -> Result<Value, Fault> {
    if has_null(&value) {
        return Err(
            Fault::usage(format!("--{member} {value}: a null cannot be signed over")).fix("leave the member out")
        );
    }
    let text = canonical(&value).map_err(|error| Fault::usage(format!("--{member}: {error}")))?;
    bounded(member, text.len(), limits::PART_BYTES)?;
    Ok(value)
}

fn bounded(member: &str, bytes: usize, most: usize) -> Result<(), Fault> {
    if bytes <= most {
        return Ok(());
    }
    Err(Fault::usage(format!("--{member} has {bytes} bytes, at most {most} fit")).fix("shorten it, or name a document"))
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}
