//! The exits that a search may go on over (PROTOCOL 8.3 rule 4).

use crate::links;
use crate::path::{Path, Root, Wanted};
use crate::route::{Name, State};
use crate::{limits, paths, search, store};
use std::collections::BTreeSet;
use tallyho_plugin::record::Chad;
use tallyho_plugin::{Context, Fault};

/// An exit, and the best path to it.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The route over it.
    pub name: Name,
    /// The path, which ends with it.
    pub path: Path,
    /// The state of the route.
    pub state: State,
}

/// Exits that paths from here lead to, at most [`limits::MAXQUERY`], the ones to be preferred first: fresh good
/// routes, fresh pending ones, stale good ones, those never tried, stale pending ones, others.
///
/// # Errors
/// The host's faults.
pub fn exits(context: &mut Context<'_>, bottom: &Root, find: &Chad) -> Result<Vec<Exit>, Fault> {
    let now = context.now();
    let nothing = BTreeSet::new();
    let wanted = Wanted { units: None, avoid: &nothing };
    let mut routes = store::routes_to(context, find, limits::ROUTES_LOOKED)?;
    let mut exits: Vec<Exit> = Vec::new();
    for path in search::exits(context, wanted, bottom)? {
        let Some((user, tally)) = path.exit() else { continue };
        let name = Name::new(user, tally, find);
        // Its partner would be the destination itself, which is rule 2.
        let partner = links::link(context, user, tally)?.and_then(|link| link.partner());
        if partner.is_none_or(|partner| partner.same_party(find)) || exits.iter().any(|exit| exit.name == name) {
            continue;
        }
        let known = routes.iter().position(|(other, _)| *other == name);
        let state = known.map_or(State::Absent, |known| routes.swap_remove(known).1.state(now));
        exits.push(Exit { name, path, state });
    }
    // Of a large site the search does not come upon all; those that are known to lead on are looked for.
    routes.retain(|(_, route)| route.state(now).is_hopeful());
    for (name, route) in routes.into_iter().take(limits::MAXQUERY) {
        if let Some(path) = paths::to_exit(context, bottom, &name)? {
            exits.push(Exit { name, path, state: route.state(now) });
        }
    }
    exits.sort_by_key(|exit| rank(exit.state));
    exits.truncate(limits::MAXQUERY);
    Ok(exits)
}

fn rank(state: State) -> u8 {
    match state {
        State::Good => 0,
        State::Draft | State::Pend => 1,
        State::GoodX => 2,
        State::Absent => 3,
        State::PendX => 4,
        State::None => 5,
    }
}
