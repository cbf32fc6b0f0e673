//! The handler's tables and their keys.

use crate::route::{Name, Route};
use serde::{Deserialize, Serialize};
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::{Context, Fault};

/// holder, 0, uuid → [`Link`](crate::links::Link): halves that are open.
pub const LINKS: &str = "links";
/// partner's agent, 0, cuid, 0, holder, 0, uuid → nothing: of these, tallies that leave the site.
pub const EXITS: &str = "exits";
/// destination's agent, 0, cuid, 0, holder, 0, uuid → [`Route`](crate::route::Route).
pub const ROUTES: &str = "routes";
/// holder, 0, uuid, 0, destination's agent, 0, cuid → nothing: routes by exit.
pub const VIAS: &str = "vias";
/// holder, 0, uuid → [`Asked`]: queries that led to new records, by the tally they came in on.
pub const ASKED: &str = "asked";
/// One row, key `site` → [`Settings`].
pub const SETTINGS: &str = "settings";

/// All tables, for the manifest.
pub const TABLES: &[&str] = &[LINKS, EXITS, ROUTES, VIAS, ASKED, SETTINGS];

/// uuid, 0, holder → a half as the tally handler keeps it.
pub const TALLIES: &str = "tally.tallies";
/// holder, 0, agent, 0, cuid, 0, uuid → nothing: a holder's tallies by partner.
pub const PARTNERS: &str = "tally.partners";
/// uuid, 0, holder → balance and chain of a half.
pub const HALVES: &str = "chit.halves";
/// uuid, 0, holder → both sides' settings, `{stock, foil}`.
pub const CHIT_SETTINGS: &str = "chit.settings";

/// Tables of others that are read, for the manifest.
pub const READS: &[&str] = &[TALLIES, PARTNERS, HALVES, CHIT_SETTINGS];

/// How many searches a partner has had us begin.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Asked {
    /// Since when they are counted.
    pub since: Timestamp,
    /// How many since then.
    pub count: u32,
}

/// What the operator has decided for the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `routes.autoquery` (PROTOCOL B): routes are looked for before anybody asks.
    pub autoquery: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { autoquery: true }
    }
}

/// The site's settings.
///
/// # Errors
/// The host's faults.
pub fn settings(context: &mut Context<'_>) -> Result<Settings, Fault> {
    Ok(context.get(SETTINGS, "site")?.unwrap_or_default())
}

fn route_key(name: &Name) -> Vec<u8> {
    key(&[name.find.agent.as_str(), name.cuid(), &name.user, &name.tally])
}

fn via_key(name: &Name) -> Vec<u8> {
    key(&[&name.user, &name.tally, name.find.agent.as_str(), name.cuid()])
}

/// A route.
///
/// # Errors
/// The host's faults.
pub fn route(context: &mut Context<'_>, name: &Name) -> Result<Option<Route>, Fault> {
    context.get(ROUTES, route_key(name))
}

/// Writes a route, or deletes it; `new`: there was none.
///
/// # Errors
/// The host's faults.
pub fn put_route(context: &mut Context<'_>, name: &Name, route: Option<&Route>, new: bool) -> Result<(), Fault> {
    match route {
        Some(route) => {
            if new {
                context.put(VIAS, via_key(name), &())?;
            }
            context.put(ROUTES, route_key(name), route)
        }
        None => {
            context.delete(VIAS, via_key(name))?;
            context.delete(ROUTES, route_key(name))
        }
    }
}

/// Routes to this destination, at most `limit`.
///
/// # Errors
/// The host's faults.
pub fn routes_to(context: &mut Context<'_>, find: &Chad, limit: u32) -> Result<Vec<(Name, Route)>, Fault> {
    let prefix = key(&[find.agent.as_str(), find.cuid.as_deref().unwrap_or_default(), ""]);
    routes(context, &Scan::beginning(prefix, limit))
}

/// Routes in the order of their keys.
///
/// # Errors
/// The host's faults.
pub fn routes(context: &mut Context<'_>, scan: &Scan) -> Result<Vec<(Name, Route)>, Fault> {
    let rows: Vec<(Vec<u8>, Route)> = context.scan(ROUTES, scan)?;
    let named = |(row, route): (Vec<u8>, Route)| {
        let [agent, cuid, user, tally] = parts(&row)?;
        Some((Name::new(user, tally, &Chad::user(cuid, AgentId(agent.to_owned()))), route))
    };
    Ok(rows.into_iter().filter_map(named).collect())
}

/// The key behind this route's, to go on from.
pub fn behind(name: &Name) -> Vec<u8> {
    [route_key(name).as_slice(), b"\0"].concat()
}

/// Routes over this exit, by name, at most `limit`.
///
/// # Errors
/// The host's faults.
pub fn routes_over(context: &mut Context<'_>, user: &str, tally: &str, limit: u32) -> Result<Vec<Name>, Fault> {
    let rows: Vec<(Vec<u8>, ())> = context.scan(VIAS, &Scan::beginning(key(&[user, tally, ""]), limit))?;
    let named = |(row, ()): (Vec<u8>, ())| {
        let [user, tally, agent, cuid] = parts(&row)?;
        Some(Name::new(user, tally, &Chad::user(cuid, AgentId(agent.to_owned()))))
    };
    Ok(rows.into_iter().filter_map(named).collect())
}

/// A key of several parts. None of them holds a zero byte: names, ids and uuids are checked text.
pub fn key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// The parts of such a key.
pub fn parts<const N: usize>(key: &[u8]) -> Option<[&str; N]> {
    let text = std::str::from_utf8(key).ok()?;
    let parts: Vec<&str> = text.split('\0').collect();
    parts.try_into().ok()
}
