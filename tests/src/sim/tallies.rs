//! People who use the tally handler, and what must be true of their tallies in the end.

use super::world::World;
use serde_json::json;
use std::sync::Arc;
use tallyho::ledger::outbox::OutboxRow;
use tallyho::plugin::{Plugin, StaticPlugin};
use tallyho::site::tickets::Token;
use tallyho_chit::Chit;
use tallyho_plugin::FaultKind;
use tallyho_plugin::record::Chad;
use tallyho_tally::store::Presentation;
use tallyho_tally::{Tally, half};

/// The tally handler.
///
/// # Panics
/// When it cannot be made.
pub fn tally() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<Tally>::create().expect("the tally handler can be made"))
}

/// The chit handler.
///
/// # Panics
/// When it cannot be made.
pub fn chit() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<Chit>::create().expect("the chit handler can be made"))
}

/// One half of a tally, as its site keeps it.
#[derive(Debug, Clone)]
pub struct Half {
    /// Its site.
    pub site: usize,
    /// The half.
    pub half: half::Half,
}

impl Half {
    /// The state's code.
    pub fn state(&self) -> &'static str {
        self.half.state().code()
    }

    fn is_confirmed(&self) -> bool {
        self.state() == "open" && self.half.conf == Some(0)
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
            let half = world.dice.one_of(&halves).half.clone();
            let act = *world.dice.one_of(&ACTS);
            let mut arguments = json!({ "uuid": half.uuid, "user": half.holder });
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
            let act = match half.state() {
                "P.draft" => "offer",
                "P.offer" => "accept",
                _ => "resend",
            };
            let arguments = json!({ "uuid": half.half.uuid, "user": half.half.holder });
            let _ = world.command(half.site, "tally", act, &arguments);
        }
    }
}

/// Every half of every site.
pub fn halves(world: &World) -> Vec<Half> {
    let all = world.sites.iter().enumerate();
    all.flat_map(|(site, kept)| kept.look("tally.tallies").into_iter().map(move |half| Half { site, half })).collect()
}

/// What is wrong while nothing goes on: no request may be under way, no acceptance unconfirmed.
pub fn unsettled(world: &World) -> Vec<String> {
    let settled = |half: &Half| match half.state() {
        "open" => half.is_confirmed(),
        state => matches!(state, "draft" | "P.draft" | "H.offer" | "P.offer" | "void" | "close"),
    };
    let halves = halves(world);
    let mut wrong: Vec<String> = halves.iter().filter(|half| !settled(half)).map(brief).collect();
    // Two halves that are open are open to the same.
    for one in halves.iter().filter(|half| half.is_confirmed()) {
        let other =
            halves.iter().find(|other| other.half.uuid == one.half.uuid && other.half.holder != one.half.holder);
        match other {
            Some(other) if other.is_confirmed() && other.half.hash == one.half.hash => {}
            Some(other) => wrong.push(format!("{} against {}", brief(one), brief(other))),
            None => wrong.push(format!("{} has no other half", brief(one))),
        }
    }
    wrong
}

/// What has not come to an end: each tally is open on both sides, or on neither.
pub fn unfinished(world: &World) -> Vec<String> {
    let ended = |half: &&Half| !(half.is_confirmed() || matches!(half.state(), "void" | "draft" | "close"));
    let mut wrong: Vec<String> = halves(world).iter().filter(ended).map(brief).collect();
    wrong.extend(unsettled(world));
    wrong
}

fn brief(of: &Half) -> String {
    let Half { site, half } = of;
    let (conf, revision, stalled) = (half.conf, half.revision(), &half.stalled);
    format!("{}@{site} {} {} conf {conf:?} revision {revision} stalled {stalled:?}", half.holder, half.uuid, of.state())
}

/// What is wrong with tickets: one that a subject knows to be accepted was consumed by it, and a one-time
/// token consumed leads to one tally with that partner, as long as the tally is kept.
pub fn tickets(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let issued: Vec<Token> = world.sites.iter().flat_map(|site| site.look("host.tickets")).collect();
    for (place, site) in world.sites.iter().enumerate() {
        let presented: Vec<Presentation> = site.look("tally.presented");
        for ticket in presented.iter().filter(|ticket| ticket.state == "accepted") {
            let own = site.agent();
            let by = |by: &Chad| by.cuid.as_deref() == Some(&ticket.user) && by.agent == *own;
            if !issued.iter().any(|token| token.token == ticket.token && token.by.as_ref().is_some_and(by)) {
                wrong.push(format!("site {place} takes {ticket:?} for accepted, and its user has not consumed it"));
            }
        }
    }
    let halves = halves(world);
    for token in issued.iter().filter(|token| token.used.is_some()) {
        let led = |half: &&Half| half.half.uuid == token.subject && half.half.holder == token.user;
        let led: Vec<&Half> = halves.iter().filter(led).collect();
        let party =
            |half: &&Half| half.half.partner().zip(token.by.as_ref()).is_some_and(|(one, by)| one.same_party(by));
        if led.len() > 1 || !led.iter().all(party) {
            wrong.push(format!("{token:?} leads to {led:?}"));
        }
    }
    wrong
}

/// Outbox rows left, but for tickets that nobody answers.
pub fn left(world: &World) -> Vec<String> {
    (0..world.sites.len()).flat_map(|place| left_at(world, place)).collect()
}

/// The same of one site.
pub fn left_at(world: &World, place: usize) -> Vec<String> {
    let rows: Vec<OutboxRow> = world.sites[place].look("host.outbox");
    let kept = rows.into_iter().filter(|row| row.message.ticket.is_none());
    kept.map(|row| format!("site {place} still has {}", row.message.key)).collect()
}
