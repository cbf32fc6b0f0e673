//! Payors whose key is kept elsewhere (PROTOCOL 9.9): an order is written, signed by them, and handed in. Nothing is
//! kept of it until then; it says all about itself.

use crate::originate::{self, Order};
use crate::{commands, limits, view};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallyho_plugin::record::{Chad, Timestamp, base64v};
use tallyho_plugin::{Command, Context, Fault};

/// What the payor's signature is about, and whatever else it takes to carry it out.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    lift: String,
    date: Timestamp,
    user: String,
    to: Value,
    units: i64,
    memo: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<Value>,
}

#[derive(Deserialize)]
struct Signed {
    order: String,
    signature: String,
    /// Milliseconds.
    #[serde(default)]
    life: Option<i64>,
}

/// A lift's uuid and date as the payor has signed them.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The lift's uuid.
    pub lift: String,
    /// When the order was written.
    pub date: Timestamp,
    /// The payor's signature, base64url.
    pub sign: String,
}

/// `draft {user, to, units?, memo?, ref?}` → `{lift, units, to, order, text}`: the text that the payor signs, and the
/// order that is handed in with the signature.
///
/// # Errors
/// As for [`commands::pay`].
pub fn draft(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let order = commands::wanted(command, context)?;
    let (lift, date) = (context.uuid(), context.now());
    let text = originate::text(context, &order, &lift, date)?;
    let (to, shown) = (order.find.to_value(), order.find.party().to_string());
    let Order { units, user, memo, reference, .. } = order;
    let written = json!(Written { lift: lift.clone(), date, user, to, units, memo, reference });
    let order = base64v::encode(written.to_string());
    Ok(json!({ "lift": lift, "units": units, "to": shown, "order": order, "text": text }))
}

/// `accept {order, signature, life?}` → as [`commands::pay`]: the order is carried out, once.
///
/// # Errors
/// `Usage` where it is no order of [`draft`]'s; `Refused` where the signature is not the payor's over its text, where
/// it was handed in before or is too old; see [`originate::begin`].
pub fn accept(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Signed { order, signature, life } = command.arguments()?;
    let read = base64v::decode(order.trim()).and_then(|bytes| serde_json::from_slice::<Written>(&bytes).ok());
    let no_order = || Fault::usage("order: it is none").code("order").fix("give what `lift draft` has printed, whole");
    let Written { lift, date, user, to, units, memo, reference } = read.ok_or_else(no_order)?;
    let find = Chad::from_value(&to).map_err(|_| no_order())?;
    context.user(&user)?;
    let now = context.now();
    if date > now.plus(limits::AHEAD) {
        return Err(Fault::refused("the order is of a time to come").code("date").fix("set this machine's clock"));
    }
    let wanted = life.map_or(Ok(limits::LIFE_SECONDS), commands::seconds)?;
    // L's date is the order's (PROTOCOL 9.9), so what has passed since is part of its life.
    let passed = now.0.saturating_sub(date.0).max(0).saturating_add(limits::SECOND - 1) / limits::SECOND;
    let life = wanted.saturating_add(passed);
    if life > limits::LIFE_SECONDS_MOST {
        let text = format!("the order was written {passed} s ago, and a lift lasts an hour at most from then on");
        return Err(Fault::refused(text).code("expired").fix("write another with `lift draft`"));
    }
    let signed = Some(Signature { lift, date, sign: signature.trim().to_owned() });
    let order = Order { units, find, user, bottom: None, memo, reference, life, signed };
    originate::begin(context, order).map(|lift| view::short(&lift))
}
