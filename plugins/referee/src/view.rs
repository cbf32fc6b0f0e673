//! What people are shown by `referee list`.

use crate::known::{self, Known};
use crate::limits;
use crate::office;
use crate::policy::Policy;
use crate::store::{self, Ruling};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Page {
    /// What the page before called `next`.
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
}

/// `list {from?, limit?}`: the referees that this site accepts, whom its own serves, and what it has ruled, the
/// latest first.
///
/// # Errors
/// `Usage` where `from` is not what a page before has said.
pub fn list<P: Policy>(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Page { from, limit } = command.arguments()?;
    let before = from.as_deref().map(place).transpose()?;
    let limit = limit.unwrap_or(limits::LISTED).clamp(1, limits::LISTED_MOST);
    let found = store::latest(context, before, limit)?;
    let next = found.last().filter(|_| found.len() == limit as usize);
    let next = next.map(|(hash, ruling)| format!("{}-{hash}", ruling.at.0));
    let accepted: Vec<Value> = known::all(context)?.iter().filter_map(referee).collect();
    let rulings: Vec<Value> = found.iter().map(|(hash, ruling)| one(hash, ruling)).collect();
    let serves = office::word::<P>(&store::book(context)?);
    let mut list = json!({ "serves": serves, "accepted": accepted, "rulings": rulings });
    if let Some(next) = next {
        list["next"] = next.into();
    }
    Ok(list)
}

fn referee(known: &Known) -> Option<Value> {
    let name = known.credentials.as_ref().and_then(|credentials| credentials["name"].as_str());
    Some(json!({
        "agent": known.chad.agent, "host": known.chad.host, "port": known.chad.port, "name": name,
        "until": known.told.map(|told| told.to.text()), "since": known.accepted?.text(),
    }))
}

fn one(hash: &str, ruling: &Ruling) -> Value {
    json!({
        "lift": ruling.lift, "hash": hash, "state": if ruling.valid { "good" } else { "void" },
        "units": ruling.units, "ruled": ruling.at.text(), "expires": ruling.expires.text(),
    })
}

fn place(from: &str) -> Result<(Timestamp, &str), Fault> {
    let place = from.split_once('-').and_then(|(at, hash)| Some((Timestamp(at.parse().ok()?), hash)));
    place.ok_or_else(|| {
        Fault::usage(format!("from: {from:?} is no place in the list")).fix("give what the page before called `next`")
    })
}
