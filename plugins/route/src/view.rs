//! Routes shown to people.

use crate::paths::{self, From};
use crate::query::direct;
use crate::route::{Name, Route};
use crate::store::{SETTINGS, Settings, routes, routes_to};
use crate::{limits, store};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::context::Scan;
use tallyho_plugin::record::Chad;
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Of {
    route: String,
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    autoquery: Option<String>,
}

/// A route as `[{dest, via, status, lading, step}]` has it.
fn shown(context: &Context<'_>, name: &Name, route: &Route) -> Value {
    let mut shown = json!({
        "dest": name.find.to_value(), "via": format!("{}/{}", name.user, name.tally),
        "status": route.state(context.now()).code(), "lading": null, "step": route.step, "lifts": route.lift_count,
    });
    if let Some(lading) = route.good_lading() {
        shown["lading"] = lading.rounded().shown();
    }
    shown
}

/// What a user's search has come to: a way inside the site or to its partner, and routes that the user wants.
/// Each has the member `route`, by which `--wait` asks for it.
///
/// # Errors
/// The host's faults.
pub fn search(context: &mut Context<'_>, user: &str, find: &Chad) -> Result<Value, Fault> {
    let name = format!("{user}/{}:{}", find.cuid.as_deref().unwrap_or_default(), find.agent);
    let mut rows = Vec::new();
    if let Some(bottom) = paths::bottom(context, &From { user: user.to_owned(), tally: None })?
        && let Some(lading) = direct(context, &bottom, find)?
    {
        rows.push(json!({
            "dest": find.party().to_value(), "via": null, "status": "good", "lading": lading.rounded().shown(),
            "step": 0, "route": name,
        }));
    }
    for (of, route) in routes_to(context, find, limits::ROUTES_LOOKED)? {
        if route.natives.contains(user) {
            let mut row = shown(context, &of, &route);
            row["route"] = name.as_str().into();
            rows.push(row);
        }
    }
    Ok(Value::Array(rows))
}

/// What a search may have come to.
pub const WORDS: [&str; 5] = ["pend", "good", "none", "pend.X", "good.X"];

/// `state {route}` → `{route, wait, list}`: words that `--wait` may wait for, and the search as it is.
///
/// # Errors
/// `Usage` where the name is none.
pub fn state(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Of { route } = command.arguments()?;
    let Some((user, find)) = route.split_once('/') else {
        return Err(Fault::usage(format!("route {route:?}: expected USER/CUID:AGENT")));
    };
    let find = paths::destination(&find.into())?;
    let list = search(context, user, &find)?;
    let words = list.as_array().into_iter().flatten().filter_map(|row| row["status"].as_str());
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    words.dedup();
    // The best there is says what state the search is in.
    let best = ["good", "good.X", "draft", "pend", "pend.X"].iter().find(|word| words.contains(word));
    let wait = best.map_or("none", |best| if *best == "draft" { "pend" } else { best });
    Ok(json!({ "route": route, "wait": [wait], "list": list }))
}

/// `list {user?, limit?}`.
///
/// # Errors
/// The host's faults.
pub fn list(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let List { user, limit } = command.arguments()?;
    let limit = limit.unwrap_or(limits::LISTED).clamp(1, limits::LISTED);
    let (mut scan, mut rows) = (Scan { limit: limits::PAGE, ..Scan::default() }, Vec::new());
    for _ in 0..limits::PAGES {
        let page = routes(context, &scan)?;
        let concerns = |name: &Name, route: &Route, user: &String| name.user == *user || route.natives.contains(user);
        for (name, route) in &page {
            if user.as_ref().is_none_or(|user| concerns(name, route, user)) {
                rows.push(shown(context, name, route));
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == limits::PAGE as usize && rows.len() < limit => {
                scan.from = store::behind(last);
            }
            _ => break,
        }
    }
    rows.truncate(limit);
    Ok(Value::Array(rows))
}

/// `settings {autoquery?}` → what holds now.
///
/// # Errors
/// The host's faults.
pub fn settings(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Change { autoquery } = command.arguments()?;
    let mut settings: Settings = store::settings(context)?;
    if let Some(word) = autoquery {
        settings.autoquery = match word.as_str() {
            "on" => true,
            "off" => false,
            other => return Err(Fault::usage(format!("autoquery {other:?}: expected on or off"))),
        };
        context.put(SETTINGS, "site", &settings)?;
    }
    Ok(json!({ "autoquery": if settings.autoquery { "on" } else { "off" } }))
}
