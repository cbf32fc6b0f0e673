//! `path.find`: paths that a lift may use, and those that answers to queries are about.

use crate::edges;
use crate::lading::Lading;
use crate::links;
use crate::path::{Hop, Path, Root, Wanted};
use crate::route::Name;
use crate::{limits, search, store};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;
use tallyho_plugin::record::{Chad, is_uuid};
use tallyho_plugin::{Command, Context, Fault};

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct From {
    /// The local user.
    pub user: String,
    /// The boundary tally by which value comes to that user; `None`: it begins with the user.
    #[serde(default)]
    pub tally: Option<String>,
}

#[derive(Deserialize)]
struct To {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    cuid: Option<String>,
    #[serde(default)]
    agent: Option<String>,
}

#[derive(Deserialize)]
struct Find {
    from: From,
    to: To,
    #[serde(default)]
    units: Option<i64>,
    #[serde(default)]
    avoid: BTreeSet<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// `path.find {from, to, units?, avoid?, limit?}` → `{paths}`: see the [module of the manifest](crate).
///
/// # Errors
/// `Usage` where an argument does not fit; the host's faults.
pub fn find(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Find { from, to, units, avoid, limit } = command.arguments()?;
    if units.is_some_and(|units| units < 1) {
        return Err(Fault::usage("units: expected a whole number of milli-CHIPs from 1"));
    }
    let limit = limit.unwrap_or(limits::PATHS).clamp(1, limits::PATHS_MOST);
    let wanted = Wanted { units, avoid: &avoid };
    let own = context.site()?.agent;
    let to = match to {
        To { user: Some(user), .. } => Chad::user(user, own.clone()),
        To { cuid: Some(cuid), agent: Some(agent), .. } => destination(&json!({ "cuid": cuid, "agent": agent }))?,
        _ => return Err(Fault::usage("to: expected {user}, or {cuid, agent}")),
    };
    let Some(bottom) = bottom(context, &from)? else { return Ok(json!({ "paths": [] })) };
    if to.agent == own {
        let user = to.cuid.unwrap_or_default();
        let paths = to_user(context, wanted, &bottom, &user, limit)?;
        return Ok(json!({ "paths": paths.iter().map(|path| shown(path, None)).collect::<Vec<_>>() }));
    }
    let mut all: Vec<Value> = Vec::new();
    all.extend(to_partner(context, wanted, &bottom, &to, limit)?.iter().map(|path| shown(path, None)));
    if all.len() < limit {
        let over = over_routes(context, wanted, &bottom, &to, limit - all.len())?;
        all.extend(over.iter().map(|(path, fresh)| shown(path, Some(*fresh))));
    }
    Ok(json!({ "paths": all }))
}

fn shown(path: &Path, fresh: Option<bool>) -> Value {
    let mut shown = json!({ "edges": path.shown(), "lading": path.lading.shown() });
    if let Some((user, tally)) = path.exit() {
        shown["via"] = json!({ "user": user, "tally": tally });
    }
    if let Some(fresh) = fresh {
        shown["fresh"] = fresh.into();
    }
    shown
}

/// Reads the address of a destination: a user of some agent.
///
/// # Errors
/// `Usage` saying what is wrong with it.
pub fn destination(given: &Value) -> Result<Chad, Fault> {
    let read = match given {
        Value::String(text) => text.parse::<Chad>().map_err(|error| error.to_string()),
        other => Chad::from_external(other).map_err(|error| error.to_string()),
    };
    let chad = read.map_err(|error| Fault::usage(format!("destination: {error}")).code("address"))?;
    if chad.cuid.is_none() {
        let fix = "for example bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM";
        return Err(Fault::usage("destination: a user is missing in the address").code("address").fix(fix));
    }
    Ok(chad)
}

/// Where paths from here begin; `None` where no value can come in by that tally.
///
/// # Errors
/// The host's faults.
pub fn bottom(context: &mut Context<'_>, from: &From) -> Result<Option<Root>, Fault> {
    let root = Root { user: from.user.clone(), hop: None, beyond: None };
    let Some(tally) = from.tally.as_deref() else { return Ok(Some(root)) };
    if !is_uuid(tally) {
        return Err(Fault::usage(format!("tally {tally:?}: expected a uuid")));
    }
    Ok(boundary(context, &from.user, tally, true)?.map(|hop| Root { hop: Some(hop), ..root }))
}

/// A tally that leaves the site, in one direction; `None` where it is none, or nothing fits.
fn boundary(context: &mut Context<'_>, user: &str, tally: &str, inwards: bool) -> Result<Option<Hop>, Fault> {
    let link = links::link(context, user, tally)?.filter(|link| link.agent.is_some());
    let Some(link) = link else { return Ok(None) };
    let edge = edges::edge(context, user, tally, link.side, inwards)?;
    Ok(edge.map(|edge| Hop { tally: Rc::from(tally), edge, halves: vec![user.to_owned()], leaves: !inwards }))
}

/// An exit as the top of paths; `None` where nothing fits, or paths begin with that tally.
fn top(
    context: &mut Context<'_>,
    bottom: &Root,
    (user, tally): (&str, &str),
    beyond: Option<Lading>,
) -> Result<Option<Root>, Fault> {
    if bottom.hop.as_ref().is_some_and(|hop| &*hop.tally == tally) {
        return Ok(None);
    }
    let hop = boundary(context, user, tally, false)?;
    Ok(hop.map(|hop| Root { user: user.to_owned(), hop: Some(hop), beyond }))
}

/// Paths to a user of this site.
///
/// # Errors
/// The host's faults.
pub fn to_user(
    context: &mut Context<'_>,
    wanted: Wanted<'_>,
    bottom: &Root,
    user: &str,
    limit: usize,
) -> Result<Vec<Path>, Fault> {
    let root = Root { user: user.to_owned(), hop: None, beyond: None };
    search::paths(context, wanted, std::slice::from_ref(bottom), &[root], limit)
}

/// Paths over exits whose partner is the destination.
///
/// # Errors
/// The host's faults.
pub fn to_partner(
    context: &mut Context<'_>,
    wanted: Wanted<'_>,
    bottom: &Root,
    partner: &Chad,
    limit: usize,
) -> Result<Vec<Path>, Fault> {
    let mut tops = Vec::new();
    for (user, tally) in links::towards(context, partner, limits::TOPS)? {
        tops.extend(top(context, bottom, (&user, &tally), None)?);
    }
    search::paths(context, wanted, std::slice::from_ref(bottom), &tops, limit)
}

/// Paths over exits with a good route to the destination, and whether that route is fresh. Their ladings
/// include the route's.
///
/// # Errors
/// The host's faults.
pub fn over_routes(
    context: &mut Context<'_>,
    wanted: Wanted<'_>,
    bottom: &Root,
    find: &Chad,
    limit: usize,
) -> Result<Vec<(Path, bool)>, Fault> {
    let now = context.now();
    let (mut tops, mut fresh) = (Vec::new(), Vec::new());
    for (name, route) in store::routes_to(context, find, limits::TOPS)? {
        let Some(lading) = route.good_lading() else { continue };
        if !wanted.units.is_none_or(|units| lading.carries(units)) {
            continue;
        }
        if let Some(root) = top(context, bottom, name.exit(), Some(lading))? {
            tops.push(root);
            fresh.push(route.is_fresh(now));
        }
    }
    let paths = search::paths(context, wanted, std::slice::from_ref(bottom), &tops, limit)?;
    Ok(paths.into_iter().map(|path| (fresh[path.top], path)).map(|(fresh, path)| (path, fresh)).collect())
}

/// The best path over one exit whose route has this lading; both together.
///
/// # Errors
/// The host's faults.
pub fn over_route(
    context: &mut Context<'_>,
    bottom: &Root,
    name: &Name,
    beyond: Lading,
) -> Result<Option<Path>, Fault> {
    over(context, bottom, name, Some(beyond))
}

fn over(context: &mut Context<'_>, bottom: &Root, name: &Name, beyond: Option<Lading>) -> Result<Option<Path>, Fault> {
    let nothing = BTreeSet::new();
    let wanted = Wanted { units: None, avoid: &nothing };
    let Some(top) = top(context, bottom, name.exit(), beyond)? else { return Ok(None) };
    let paths = search::paths(context, wanted, std::slice::from_ref(bottom), &[top], 1)?;
    Ok(paths.into_iter().next())
}

/// The best path to one exit.
///
/// # Errors
/// The host's faults.
pub fn to_exit(context: &mut Context<'_>, bottom: &Root, name: &Name) -> Result<Option<Path>, Fault> {
    over(context, bottom, name, None)
}
