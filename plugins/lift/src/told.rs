//! What other handlers tell: a route found, a ruling seen on a chit. Both are at work then and cannot be called
//! back, so what follows happens in an event of its own.

use crate::record::Ruling;
use crate::{clock, store};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::{Chad, LiftCore};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Route {
    find: Value,
}

#[derive(Deserialize)]
struct Ruled {
    /// L with `valid`, as a lift chit's `ref.lift` has it.
    lift: Value,
    /// The referee's signature over it.
    sign: String,
}

/// `route.told {find, status}`: a wanted route has become good or has failed. What its status is now, the next
/// event asks.
///
/// # Errors
/// `Usage` where `find` is no address.
pub fn route(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Route { find } = command.arguments()?;
    let find = Chad::from_value(&find).map_err(|error| Fault::usage(format!("find: {error}")))?;
    clock::told(context, &find.party().to_string())?;
    Ok(json!({}))
}

/// `ruled {lift, sign}`: a chit of a lift has come by the chain (PROTOCOL 9.6). Of lifts not on record nothing is
/// kept.
///
/// # Errors
/// `Usage` where the lift is none.
pub fn ruled(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Ruled { lift, sign } = command.arguments()?;
    let valid = lift["valid"].as_bool().unwrap_or(false);
    let core = LiftCore::from_object(&lift, &["valid"]).map_err(|error| Fault::usage(format!("lift: {error}")))?;
    let hash = core.hash();
    let waits = store::segments(context, &hash)?.iter().any(|lift| !lift.state.is_final());
    if waits {
        context.put(store::HEARD, &hash, &Ruling { valid, signed: sign })?;
        clock::heard(context, &hash)?;
    }
    Ok(json!({ "known": waits }))
}
