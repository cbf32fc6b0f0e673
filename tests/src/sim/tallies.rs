//! People who use the tally handler, and what must be true of their tallies in the end.

use super::world::World;
use serde_json::{Value, json};
use std::sync::Arc;
use tallyho::plugin::{Plugin, StaticPlugin};
use tallyho_plugin::FaultKind;
use tallyho_plugin::services::Range;
use tallyho_tally::Tally;

/// The tally handler.
///
/// # Panics
/// When it cannot be made.
pub fn tally() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<Tally>::create().expect("the tally handler can be made"))
}

/// One half of a tally, as its holder is shown it.
#[derive(Debug, Clone)]
pub struct Half {
    /// Its site.
    pub site: usize,
    /// Its holder.
    pub user: String,
    /// Its uuid.
    pub uuid: String,
    /// The state's code.
    pub state: String,
    /// Everything shown.
    pub shown: Value,
}

impl Half {
    fn is_confirmed(&self) -> bool {
        self.state == "open" && self.shown["conf"] == 0
    }
}

/// What people remember.
#[derive(Debug, Default)]
pub struct People {
    /// Links of tickets issued.
    links: Vec<String>,
    /// Tickets at most.
    pub tickets: usize,
}

const ACTS: [&str; 9] = ["offer", "accept", "accept", "offer", "refuse", "withdraw", "revise", "delete", "resend"];

impl People {
    /// They issue at most so many tickets.
    pub fn new(tickets: usize) -> Self {
        People { links: Vec::new(), tickets }
    }

    /// Somebody does something that comes to mind.
    ///
    /// # Panics
    /// When a handler fails or misunderstands a command.
    pub fn act(&mut self, world: &mut World) {
        let users: Vec<(usize, &str)> = world
            .sites
            .iter()
            .enumerate()
            .flat_map(|(place, site)| site.users.iter().map(move |user| (place, *user)))
            .collect();
        let (site, user) = *world.dice.one_of(&users);
        let done = if self.links.len() < self.tickets && world.dice.percent(25) {
            let ticket = world.command(site, "tally", "ticket.new", &json!({ "user": user, "memo": "bread" }));
            self.links.extend(ticket.as_ref().ok().and_then(|ticket| ticket["link"].as_str()).map(str::to_owned));
            ticket
        } else if !self.links.is_empty() && world.dice.percent(30) {
            let link = world.dice.one_of(&self.links).clone();
            world.command(site, "tally", "ticket.use", &json!({ "ticket": link, "user": user }))
        } else {
            let halves: Vec<Half> = halves(world).into_iter().filter(|half| half.site == site).collect();
            if halves.is_empty() {
                return;
            }
            let half = world.dice.one_of(&halves).clone();
            let act = *world.dice.one_of(&ACTS);
            let mut arguments = json!({ "uuid": half.uuid, "user": half.user });
            if world.dice.percent(10) {
                arguments["memo"] = format!("memo {}", world.dice.below(100)).into();
                world.command(site, "tally", "edit", &arguments)
            } else {
                world.command(site, "tally", act, &arguments)
            }
        };
        // Most acts do not fit the state; those are refused and change nothing.
        let fine = |kind| matches!(kind, FaultKind::Refused | FaultKind::NotFound | FaultKind::Host);
        if let Err(fault) = done {
            assert!(fine(fault.kind), "{fault:?}");
        }
    }

    /// All want to come to an end: accept what is offered, offer what is drafted.
    pub fn finish(&mut self, world: &mut World) {
        for half in halves(world) {
            let act = match half.state.as_str() {
                "P.draft" => "offer",
                "P.offer" => "accept",
                _ => "resend",
            };
            let arguments = json!({ "uuid": half.uuid, "user": half.user });
            let _ = world.command(half.site, "tally", act, &arguments);
        }
    }
}

/// Every half of every site that runs.
pub fn halves(world: &mut World) -> Vec<Half> {
    let mut found = Vec::new();
    for site in 0..world.sites.len() {
        let listed = world.command(site, "tally", "list", &json!({})).unwrap_or_default();
        for half in listed.as_array().into_iter().flatten() {
            let (uuid, user) = (text(half, "uuid"), text(half, "holder"));
            let arguments = json!({ "uuid": uuid, "user": user });
            let shown = world.command(site, "tally", "show", &arguments).unwrap_or_default();
            found.push(Half { site, user, uuid, state: text(&shown, "state"), shown });
        }
    }
    found
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

/// What is wrong while nothing goes on: no request may be under way, no acceptance unconfirmed.
pub fn unsettled(world: &mut World) -> Vec<String> {
    let settled = |half: &Half| match half.state.as_str() {
        "open" => half.is_confirmed(),
        state => matches!(state, "draft" | "P.draft" | "H.offer" | "P.offer" | "void" | "close"),
    };
    let halves = halves(world);
    let mut wrong: Vec<String> = halves.iter().filter(|half| !settled(half)).map(brief).collect();
    // Two halves that are open are open to the same.
    for half in halves.iter().filter(|half| half.is_confirmed()) {
        let other = halves.iter().find(|other| other.uuid == half.uuid && other.user != half.user);
        match other {
            Some(other) if other.is_confirmed() && other.shown["hash"] == half.shown["hash"] => {}
            Some(other) => wrong.push(format!("{} against {}", brief(half), brief(other))),
            None => wrong.push(format!("{} has no other half", brief(half))),
        }
    }
    wrong
}

/// What has not come to an end: each tally is open on both sides, or on neither.
pub fn unfinished(world: &mut World) -> Vec<String> {
    let halves = halves(world);
    let ended = |half: &&Half| !(half.is_confirmed() || matches!(half.state.as_str(), "void" | "draft" | "close"));
    let mut wrong: Vec<String> = halves.iter().filter(ended).map(brief).collect();
    wrong.extend(unsettled(world));
    wrong
}

fn brief(half: &Half) -> String {
    let shown = &half.shown;
    format!(
        "{}@{} {} {} conf {} revision {} stalled {}",
        half.user, half.site, half.uuid, half.state, shown["conf"], shown["record"]["revision"], shown["stalled"]
    )
}

/// What is wrong with tickets: one that a subject knows to be accepted was consumed by that subject, and
/// a one-time token consumed leads to one tally with that partner, as long as the tally is kept.
pub fn tickets(world: &mut World) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut issued = Vec::new();
    let mut presented = Vec::new();
    for site in 0..world.sites.len() {
        let listed = world.command(site, "tally", "ticket.list", &json!({})).unwrap_or_default();
        for ticket in listed.as_array().into_iter().flatten() {
            if ticket["kind"] == "issued" {
                issued.push(ticket.clone())
            } else {
                presented.push((site, ticket.clone()))
            }
        }
    }
    for (site, ticket) in presented.iter().filter(|(_, ticket)| ticket["state"] == "accepted") {
        let token = issued.iter().find(|token| token["token"] == ticket["token"]);
        let by = |token: &Value| token["by"]["cuid"] == ticket["user"];
        if !token.is_some_and(by) {
            wrong.push(format!("site {site} takes {ticket} for accepted, and the issuer has {token:?}"));
        }
    }
    let halves = halves(world);
    for token in issued.iter().filter(|token| token["used"].is_string()) {
        let led: Vec<&Half> = halves
            .iter()
            .filter(|half| token["tally"] == half.uuid.as_str() && token["user"] == half.user.as_str())
            .collect();
        let fits = |half: &&Half| {
            half.shown["partner"].as_str().is_some_and(|partner| partner.contains(&text(&token["by"], "cuid")))
        };
        if led.len() > 1 || !led.iter().all(fits) {
            wrong.push(format!("{token} leads to {led:?}"));
        }
    }
    wrong
}

/// Outbox rows left, but for tickets that nobody answers.
pub fn left(world: &mut World) -> Vec<String> {
    let mut left = Vec::new();
    for (place, site) in world.sites.iter_mut().enumerate() {
        let Some(running) = &mut site.running else { continue };
        let all = Range { limit: 10_000, ..Range::default() };
        let rows = running.core.read(|transaction| transaction.scan("host.outbox", &all)).unwrap_or_default();
        for (_, row) in rows {
            let row: tallyho::ledger::outbox::OutboxRow = ciborium::from_reader(row.as_slice()).expect("a row");
            if row.message.ticket.is_none() {
                left.push(format!("site {place} still has {}", row.message.key));
            }
        }
    }
    left
}
