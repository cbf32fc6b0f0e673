//! Searches that begin here (R1): for a user, a lift, or the site itself.

use crate::exits::exits;
use crate::paths::{self, From, destination};
use crate::query::direct;
use crate::route::{Name, State};
use crate::rules::{self, Demand, Input, Who};
use crate::store::{TALLIES, key, parts};
use crate::table::Happening;
use crate::{limits, links, view};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::{Chad, is_uuid};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Find {
    user: String,
    chad: Value,
}

#[derive(Deserialize)]
struct Want {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    tally: Option<String>,
    find: Value,
}

#[derive(Deserialize)]
struct Lifted {
    via: Via,
    find: Value,
}

#[derive(Deserialize)]
struct Via {
    user: String,
    tally: String,
}

/// What has come of a wish so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// There is a way.
    Good,
    /// There may be one.
    Pend,
    /// There is none that is known.
    None,
    /// There is not even an exit that anything fits through.
    NoExit,
}

impl Prospect {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Prospect::Good => "good",
            Prospect::Pend => "pend",
            Prospect::None | Prospect::NoExit => "none",
        }
    }
}

/// Begins or renews a search over the exits that paths from here lead to (R1, R13).
///
/// # Errors
/// The host's faults.
pub fn begin(context: &mut Context<'_>, from: &From, find: &Chad, who: Who<'_>) -> Result<Prospect, Fault> {
    let Some(bottom) = paths::bottom(context, from)? else { return Ok(Prospect::NoExit) };
    if direct(context, &bottom, find)?.is_some() {
        return Ok(Prospect::Good);
    }
    if find.agent == context.site()?.agent {
        return Ok(Prospect::None);
    }
    let mut prospect = Prospect::NoExit;
    for exit in exits(context, &bottom, find)? {
        let demand = Demand { who, step: 0, find };
        let outcome = rules::step(context, &exit.name, Happening::Want, Input::Demand(demand))?;
        prospect = match (outcome.state, prospect) {
            (State::Good, _) | (_, Prospect::Good) => Prospect::Good,
            (State::Draft | State::Pend, _) | (_, Prospect::Pend) => Prospect::Pend,
            _ => Prospect::None,
        };
    }
    Ok(prospect)
}

/// `find {user, chad}` → the routes as they are then: see [`view::search`].
///
/// # Errors
/// `NotFound` where there is no such user; `Usage` for a bad address; refused with code `no-exit`, `no-path` or
/// `no-route` where there is nothing to wait for.
pub fn find(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Find { user, chad } = command.arguments()?;
    context.user(&user)?;
    let find = destination(&chad)?;
    let from = From { user: user.clone(), tally: None };
    let own = find.agent == context.site()?.agent;
    let prospect = begin(context, &from, &find, Who::User(&user))?;
    let room = "see `tally list` for the tallies there are, and `chit set` for target and bound, which make room";
    let (text, code, fix) = match prospect {
        Prospect::Good | Prospect::Pend => return view::search(context, &user, &find),
        Prospect::None if !own => {
            let fix = format!("try again in {} minutes; `route list` shows what failed", limits::LIFE / limits::MINUTE);
            (format!("no exit of this site led to {} lately", find.party()), "no-route", fix)
        }
        _ if own => (format!("no path of tallies with room leads from {user} to {find}"), "no-path", room.to_owned()),
        _ => (format!("nothing can go from {user} out of this site"), "no-exit", room.to_owned()),
    };
    Err(Fault::refused(text).code(code).fix(fix))
}

/// `route.want {user?, tally?, find}` → `{status}`, for a lift handler.
///
/// # Errors
/// `Usage` where an argument does not fit; the host's faults.
pub fn want(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Want { user, tally, find } = command.arguments()?;
    let find = destination(&find)?;
    let from = match (user, tally) {
        (Some(user), tally) => From { user, tally },
        (None, Some(tally)) => match holder(context, &tally)? {
            Some(user) => From { user, tally: Some(tally) },
            None => return Ok(json!({ "status": Prospect::NoExit.word() })),
        },
        (None, None) => return Err(Fault::usage("expected a user, or a tally that leaves the site")),
    };
    let prospect = begin(context, &from, &find, Who::Lift(&from.user))?;
    Ok(json!({ "status": prospect.word() }))
}

/// The local party of a tally that leaves the site.
fn holder(context: &mut Context<'_>, tally: &str) -> Result<Option<String>, Fault> {
    if !is_uuid(tally) {
        return Err(Fault::usage(format!("tally {tally:?}: expected a uuid")));
    }
    let rows = context.services().scan(TALLIES, &Scan::beginning(key(&[tally, ""]), 2))?;
    for (row, _) in rows {
        if let Some([_, user]) = parts(&row)
            && links::link(context, user, tally)?.is_some_and(|link| link.agent.is_some())
        {
            return Ok(Some(user.to_owned()));
        }
    }
    Ok(None)
}

/// `route.good {via, find}` (R11) and `route.fail {via, find}` (R12) → `{done}`.
///
/// # Errors
/// `Usage` where an argument does not fit; the host's faults.
pub fn lifted(command: &Command, on: Happening, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Lifted { via, find } = command.arguments()?;
    let name = Name::new(&via.user, &via.tally, &destination(&find)?);
    let outcome = rules::step(context, &name, on, Input::Nothing)?;
    Ok(json!({ "done": outcome.rule.is_some() }))
}
