//! The chits of a lift, by way of the chit handler: each call happens on all tallies or on none (PROTOCOL 9.4,
//! 9.6, 9.7 I5).

use crate::record::{Edge, Lift, Ruling};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::{CanonError, LiftCore, Pledge};
use tallyho_plugin::{Context, Fault};

/// The chit handler.
const CHIT: &str = "chit";

#[derive(Deserialize)]
struct Whole {
    done: bool,
    #[serde(default)]
    refused: Vec<RefusedHalf>,
}

#[derive(Deserialize)]
struct RefusedHalf {
    tally: String,
    text: String,
}

/// Whether lifts may use a half, and which side issues on the way in to its holder.
#[derive(Deserialize)]
pub struct Capacity {
    /// Open, confirmed, not closing, not in `err` (O-60).
    pub usable: bool,
    /// The edge into the holder.
    #[serde(default, rename = "in")]
    pub inward: Option<Inward>,
}

/// The edge into the holder.
#[derive(Deserialize)]
pub struct Inward {
    /// The issuer's side.
    pub by: tallyho_plugin::record::Side,
    /// What it carries free of charge, in milli-CHIPs.
    pub min: i64,
    /// The issuer's clutch.
    pub margin: f64,
}

/// What lifts may do with this half.
///
/// # Errors
/// The chit handler's faults.
pub fn capacity(context: &mut Context<'_>, user: &str, tally: &str) -> Result<Capacity, Fault> {
    context.invoke(CHIT, "capacity", &json!({ "user": user, "tally": tally }))
}

/// Reserves on these tallies, on all halves of ours or on none; what is refused, for a person.
///
/// # Errors
/// The chit handler's faults.
pub fn reserve(context: &mut Context<'_>, core: &LiftCore, edges: &[Edge]) -> Result<Result<(), String>, Fault> {
    let items: Vec<Value> =
        halves(edges).map(|(user, edge)| json!({ "user": user, "tally": edge.tally, "by": edge.by })).collect();
    let date = &core.value()["date"];
    let order = json!({ "lift": core.uuid(), "date": date, "units": core.units(), "items": items });
    let whole: Whole = context.invoke(CHIT, "lift.reserve", &order)?;
    Ok(match whole.done {
        true => Ok(()),
        false => Err(refusals(&whole)),
    })
}

/// Gives the reservations on these tallies back.
///
/// # Errors
/// The chit handler's faults; `Failed` where it could not.
pub fn free(context: &mut Context<'_>, core: &LiftCore, edges: &[Edge]) -> Result<(), Fault> {
    if edges.is_empty() {
        return Ok(());
    }
    let items: Vec<Value> = halves(edges).map(|(user, edge)| json!({ "user": user, "tally": edge.tally })).collect();
    let whole: Whole = context.invoke(CHIT, "lift.void", &json!({ "lift": core.uuid(), "items": items }))?;
    all(core, &whole)
}

/// Whether the chit of this edge is good already: the partner has sent it.
///
/// # Errors
/// The chit handler's faults.
pub fn is_good(context: &mut Context<'_>, core: &LiftCore, edge: &Edge) -> Result<bool, Fault> {
    let Some(user) = edge.halves.first() else { return Ok(false) };
    let asked = json!({ "chit": format!("{user}/{}/{}", edge.tally, core.uuid()) });
    let answer: Value = context.invoke(CHIT, "state", &asked)?;
    Ok(answer["state"].as_str().is_some_and(|state| state.ends_with(".good")))
}

/// Makes the chits on these tallies good, each with the pledge that covers it: the one we received, the one
/// we gave, and one of our own agent between users of this site.
///
/// # Errors
/// The chit handler's faults; `Failed` where it could not.
pub fn complete(context: &mut Context<'_>, lift: &Lift, edges: &[Edge], ruling: &Ruling) -> Result<(), Fault> {
    let mut items = Vec::new();
    for edge in edges {
        let known = [&lift.received, &lift.given].into_iter().flatten().find(|pledge| pledge.tally == edge.tally);
        let pledge = match known {
            Some(pledge) => pledge.sign.clone(),
            None if edge.halves.len() > 1 => own_pledge(context, &lift.core, edge)?.sign,
            None => return Err(Fault::failed(format!("lift {}: no pledge on {}", lift.core.uuid(), edge.tally))),
        };
        items.extend(
            edge.halves
                .iter()
                .map(|user| json!({ "user": user, "tally": edge.tally, "by": edge.by, "pledge": pledge })),
        );
    }
    let order = json!({ "lift": lift.core.value(), "sign": ruling.signed, "items": items });
    let whole: Whole = context.invoke(CHIT, "lift.complete", &order)?;
    all(&lift.core, &whole)
}

/// Our agent's pledge on this tally.
///
/// # Errors
/// The host's faults.
pub fn own_pledge(context: &mut Context<'_>, core: &LiftCore, edge: &Edge) -> Result<Pledge, Fault> {
    let agent = context.site()?.agent;
    let mut pledge = Pledge::new(agent, edge.by, core, edge.tally.as_str());
    pledge.sign = context.sign_agent(pledge.text().map_err(unwritable)?.as_bytes())?;
    Ok(pledge)
}

fn halves(edges: &[Edge]) -> impl Iterator<Item = (&str, &Edge)> {
    edges.iter().flat_map(|edge| edge.halves.iter().map(move |user| (user.as_str(), edge)))
}

/// PROTOCOL 9.7 I5: what was reserved together ends together.
fn all(core: &LiftCore, whole: &Whole) -> Result<(), Fault> {
    match whole.done {
        true => Ok(()),
        false => Err(Fault::failed(format!("I5: lift {} on part of its tallies: {}", core.uuid(), refusals(whole)))),
    }
}

fn refusals(whole: &Whole) -> String {
    let each: Vec<String> = whole.refused.iter().map(|half| format!("{}: {}", half.tally, half.text)).collect();
    each.join("; ")
}

/// Never for what was read.
pub(crate) fn unwritable(error: CanonError) -> Fault {
    Fault::failed(error.to_string())
}
