//! What people do: pay over other people's tallies, and clear debts that go round in a circle.

use crate::originate::{self, Order};
use crate::paths::{self, From};
use crate::record::Lift;
use crate::store::PARTNERS;
use crate::{chits, limits, view};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::limits::MAX_INTEGER;
use tallyho_plugin::record::{Chad, Invoice};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Pay {
    user: String,
    /// An address, or an invoice in any of its forms.
    to: Value,
    #[serde(default)]
    units: Option<i64>,
    #[serde(default)]
    memo: Option<String>,
    #[serde(default, rename = "ref")]
    reference: Option<Value>,
    /// Milliseconds.
    #[serde(default)]
    life: Option<i64>,
}

#[derive(Deserialize)]
struct Clear {
    #[serde(default)]
    user: Option<String>,
}

/// `pay {user, to, units?, memo?, ref?, life?}` → `{lift, hash, state, units, to}`.
///
/// # Errors
/// `Usage` naming the argument at fault; see [`originate::begin`].
pub fn pay(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let order = wanted(command, context)?;
    originate::begin(context, order).map(|lift| answer(&lift))
}

/// The order that the arguments of `pay` make.
///
/// # Errors
/// `Usage` naming the argument at fault.
pub(crate) fn wanted(command: &Command, context: &mut Context<'_>) -> Result<Order, Fault> {
    let Pay { user, to, units, memo, reference, life } = command.arguments()?;
    context.user(&user)?;
    let invoice = payee(&to)?;
    let units = units.or(invoice.units).ok_or_else(|| {
        Fault::usage("the invoice names no amount").code("units").fix("say how much: UNITS in milli-CHIPs")
    })?;
    if !(1..=MAX_INTEGER).contains(&units) {
        return Err(Fault::usage(format!("units: {units} is no amount"))
            .code("units")
            .fix("give a whole number of milli-CHIPs from 1 to 9007199254740991, for example 12000"));
    }
    if invoice.chad.agent == context.site()?.agent {
        let payee = invoice.chad.cuid.as_deref().unwrap_or_default();
        context.user(payee)?;
        if payee == user {
            return Err(Fault::usage(format!("to: {user} would pay {user}")).fix("name somebody else"));
        }
    }
    let reference = reference.or(invoice.reference).filter(|value| !value.is_null());
    let memo = memo.or(invoice.memo).filter(|memo| !memo.is_empty());
    let life = life.map_or(Ok(limits::LIFE_SECONDS), seconds)?;
    Ok(Order { units, find: invoice.chad, user, bottom: None, memo, reference, life, signed: None })
}

/// `clear {user?}` → `{begun: [lift…], searched}`: lifts over all circles that are known, of as much as they
/// carry; for the others routes are looked for, so that a later call finds them.
///
/// # Errors
/// As for [`originate::begin`].
pub fn clear(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Clear { user } = command.arguments()?;
    if let Some(user) = &user {
        context.user(user)?;
    }
    let (mut begun, mut searched) = (Vec::new(), 0);
    for (user, tally) in halves(context, user.as_deref())? {
        if begun.len() >= limits::CLEARS {
            break;
        }
        let Some(bottom) = paths::boundary(context, &user, &tally)? else { continue };
        let own = bottom.partner.agent == context.site()?.agent;
        let capacity = chits::capacity(context, &user, &tally)?;
        let carries = capacity.inward.filter(|inward| inward.min > 0 && inward.margin <= 0.0);
        if own || !capacity.usable || carries.is_none() {
            continue;
        }
        let find = bottom.partner.clone();
        let from = From::Tally(&user, &tally);
        let ways = paths::find(context, from, &find, Some(1), &[])?;
        let most = ways.iter().filter(|way| way.via.is_some()).map(|way| way.lading.min).max().unwrap_or(0);
        if most < 1 {
            paths::want(context, from, &find)?;
            searched += 1;
            continue;
        }
        let life = limits::LIFE_SECONDS;
        let (memo, reference, signed) = (None, None, None);
        let order = Order { units: most, find, user, bottom: Some(bottom), memo, reference, life, signed };
        begun.push(answer(&originate::begin(context, order)?));
    }
    Ok(json!({ "begun": begun, "searched": searched }))
}

/// Halves of this user, or of all, whatever their state; at most [`limits::CLEARED`].
fn halves(context: &mut Context<'_>, user: Option<&str>) -> Result<Vec<(String, String)>, Fault> {
    let prefix = user.map(|user| format!("{user}\0")).unwrap_or_default();
    let rows: Vec<(Vec<u8>, ())> = context.scan(PARTNERS, &Scan::beginning(prefix, limits::CLEARED))?;
    let half = |key: &[u8]| {
        let key = std::str::from_utf8(key).ok()?;
        let (user, (_, tally)) = (key.split_once('\0')?.0, key.rsplit_once('\0')?);
        Some((user.to_owned(), tally.to_owned()))
    };
    Ok(rows.iter().filter_map(|(key, ())| half(key)).collect())
}

/// A lift's life in the seconds that L has.
pub(crate) fn seconds(life: i64) -> Result<i64, Fault> {
    let whole = Some(life / limits::SECOND).filter(|seconds| seconds * limits::SECOND == life);
    whole.filter(|seconds| (1..=limits::LIFE_SECONDS_MOST).contains(seconds)).ok_or_else(|| {
        Fault::usage(format!("life: {life} ms is no life of a lift"))
            .code("life")
            .fix("give whole seconds from 1s to 1h, for example 120s")
    })
}

/// Whom to pay, and what an invoice says beside.
fn payee(to: &Value) -> Result<Invoice, Fault> {
    let text = match to {
        Value::String(text) => text.trim().to_owned(),
        Value::Object(members) if members.contains_key("cuid") || members.contains_key("cid") => {
            let chad = Chad::from_external(to).map_err(|error| bad_payee(&error.to_string()))?;
            return Ok(Invoice::decal(chad));
        }
        other => other.to_string(),
    };
    if let Ok(chad) = text.parse::<Chad>() {
        return match &chad.cuid {
            Some(_) => Ok(Invoice::decal(chad)),
            None => Err(bad_payee("it names an agent, and no user there")),
        };
    }
    Invoice::read(&text).map_err(|error| bad_payee(&error.to_string()))
}

fn bad_payee(why: &str) -> Fault {
    Fault::usage(format!("to: {why}"))
        .code("to")
        .fix("give CUID:AGENT@HOST:PORT, or the payee's invoice whole, in quotes")
}

fn answer(lift: &Lift) -> Value {
    view::short(lift)
}
