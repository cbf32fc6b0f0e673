//! What the handler says about itself: targets, tables, commands.
//!
//! A lift handler calls three of the commands; each answers a refusal only for what is malformed.
//!
//! `path.find {from, to, units?, avoid?, limit?}` → `{paths: [{edges, lading, via?, fresh?}]}`, the path to be
//! preferred first (PROTOCOL 9.3): to a local user, over a direct partner, over routes by margin up, min down,
//! fewest edges.
//!
//! - `from`: `{user}`, a local user with whom a path begins; or `{tally, user}`, the boundary tally that a promise
//!   came in on and its local party. That tally is then the first edge.
//! - `to`: `{user}`, a local user; or `{cuid, agent}`, the destination of a lift. A user of this site is one
//!   here too; of anybody else the exits are given whose partner it is, then those with a good route to it.
//! - `units`: only paths that can carry them (PROTOCOL 7.5): units ≤ min and margin ≤ 0 of every edge, and of the
//!   route. Without it, any path with max > 0.
//! - `avoid`: uuids of tallies not to be used. `limit`: paths wanted, 8 where nothing is said.
//! - `edges`: `[{tally, by, sign, halves}]` from the bottom (downstream) to the top. `by` is the issuer's side, the
//!   issuer being the downstream party; `sign` -1 lifts, 1 drops; `halves` names the local users who hold a half,
//!   the issuer first. The last edge of a path with an exit is its boundary tally.
//! - `lading`: `{min, max, margin, reward}` of the whole path, joined with the route's where there is one.
//! - `via`: `{user, tally}`, the exit. `fresh`: whether the route is fresh or stale; absent without a route.
//!
//! `route.want {user?, tally?, find}` → `{status}`: begins or renews the search for `find` over the exits that a
//! lift can use from that user, or from that boundary tally (R1). `good`: there is a path or a fresh route now;
//! `pend`: under way; `none`: no way is known. When a route that was wanted becomes good, or the last hope is
//! gone, `invoke("lift", "route.told", {find, status})` follows in an event of this handler, `status` being `good`
//! or `none`. This handler is at work then and cannot be called back: note it, and go on in a timer.
//!
//! `route.good {via: {user, tally}, find}` (R11) and `route.fail {via, find}` (R12) → `{done}`: what became of a lift
//! over a route.

use crate::{limits, store, view};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Manifest, Target};

/// The manifest.
pub fn manifest() -> Manifest {
    let manifest = Manifest::new("route", env!("CARGO_PKG_VERSION"))
        .about("Paths inside the site, and routes beyond it (PROTOCOL 7.2 to 7.5 and 8)")
        .target(Target::new("route", &["query", "good", "none"]).relation_in_object("tally"))
        .tables(store::TABLES)
        .reads(store::READS);
    for_people().into_iter().chain(for_plugins()).fold(manifest, Manifest::command)
}

fn for_people() -> Vec<CommandSpec> {
    vec![
        CommandSpec::new("find", "Look for a way to somebody: paths here, and routes over other sites")
            .words(&["route", "find"])
            .argument(
                Argument::positional("chad", ArgumentKind::JsonOrText, "who is to be reached")
                    .example("bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM"),
            )
            .argument(user("the user from whom value would come").required())
            .wait(Wait::new("state", "route", "wait").failed(["none"]).states(view::WORDS)),
        CommandSpec::new("list", "Routes that this site knows or looks for")
            .words(&["route", "list"])
            .argument(user("only those wanted by this user, or leaving by a tally of theirs"))
            .argument(Argument::option("limit", ArgumentKind::Integer, "at most this many").example("100")),
        CommandSpec::new("state", "What has come of a search, for --wait").argument(Argument::positional(
            "route",
            ArgumentKind::Text,
            "the search, as USER/CUID:AGENT",
        )),
        CommandSpec::new("settings", "Show or change how this site looks for routes")
            .words(&["route", "settings"])
            .argument(Argument::option(
                "autoquery",
                ArgumentKind::Choice(vec!["on".to_owned(), "off".to_owned()]),
                "whether routes are looked for before anybody asks",
            )),
    ]
}

fn for_plugins() -> Vec<CommandSpec> {
    let json = |name: &str, help: &str| Argument::option(name, ArgumentKind::Json, help);
    let via = || json("via", "the exit: {user, tally}").required();
    let find = || json("find", "the destination: {cuid, agent}").required();
    let limit = format!("paths at most, from 1 to {}; {} if not given", limits::PATHS_MOST, limits::PATHS);
    vec![
        CommandSpec::new("path.find", "Paths that a lift may use, the best first")
            .argument(json("from", "{user}, or the incoming boundary tally: {tally, user}").required())
            .argument(json("to", "{user}, or the destination: {cuid, agent}").required())
            .argument(Argument::option("units", ArgumentKind::Integer, "milli-CHIPs that every edge must carry"))
            .argument(json("avoid", "uuids of tallies not to be used"))
            .argument(Argument::option("limit", ArgumentKind::Integer, limit))
            .invocable(),
        CommandSpec::new("route.want", "Look for routes to a destination (R1)")
            .argument(user("from this user"))
            .argument(Argument::option("tally", ArgumentKind::Text, "or from this boundary tally of theirs"))
            .argument(find())
            .invocable(),
        CommandSpec::new("route.good", "A lift over a route succeeded or reached its terminus (R11)")
            .argument(via())
            .argument(find())
            .invocable(),
        CommandSpec::new("route.fail", "A lift over a route failed or ended void (R12)")
            .argument(via())
            .argument(find())
            .invocable(),
        CommandSpec::new("tally.told", "A half has opened or closed, for the tally handler")
            .argument(user("whose half").required())
            .argument(Argument::option("tally", ArgumentKind::Text, "the tally").required())
            .invocable(),
    ]
}

fn user(help: &str) -> Argument {
    Argument::option("user", ArgumentKind::Text, help).example("alice")
}
