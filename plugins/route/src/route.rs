//! What a site remembers of one way out: over this tally, that user can be reached (PROTOCOL 8.1).

use crate::lading::Lading;
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};

/// A route's key: exit and destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The holder of the exit.
    pub user: String,
    /// The boundary tally.
    pub tally: String,
    /// The destination, as (cuid, agent).
    pub find: Chad,
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The query is to be handed over.
    Draft,
    /// It was, and waits for an answer.
    Pend,
    /// The destination can be reached.
    Good,
    /// It cannot.
    None,
}

/// The state that the rules speak of: the status, and whether it has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// There is no such route.
    Absent,
    /// The query is to be handed over.
    Draft,
    /// It waits for an answer.
    Pend,
    /// It has waited too long (`pend.X`).
    PendX,
    /// Good, and fresh.
    Good,
    /// Good, and stale (`good.X`).
    GoodX,
    /// No way.
    None,
}

/// A tally that a query came in on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// The local party of that tally.
    pub user: String,
    /// The tally.
    pub tally: String,
    /// It has been told `good` since its last query.
    pub good_told: bool,
    /// It has been told `none` since its last query (PROTOCOL 11.3: at most once a query).
    pub none_told: bool,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// See [`Status`].
    pub status: Status,
    /// Hops from where the search began to us.
    pub step: u64,
    /// Where the destination was last said to be: hints that go with the query.
    pub at: Option<(String, u16)>,
    /// From the exit, which is included, to the destination; zeros until good.
    pub lading: Lading,
    /// When it was last said to be good.
    pub good_date: Option<Timestamp>,
    /// When a lift last went over it.
    pub lift_date: Option<Timestamp>,
    /// Lifts that did.
    pub lift_count: u64,
    /// Queries sent since the last demand.
    pub tries: u32,
    /// When the last of them was sent or handed over.
    pub last: Timestamp,
    /// Since when it has its status.
    pub since: Timestamp,
    /// When somebody last wanted it, or it last proved useful.
    pub used: Timestamp,
    /// Local users who want it; the empty name is the site itself (PROTOCOL 8.5, automatic discovery).
    pub natives: BTreeSet<String>,
    /// A lift wants it.
    pub lift: bool,
    /// Tallies that queries for it came in on.
    pub requesters: Vec<Requester>,
}

impl Name {
    /// The route to `find` over this exit.
    pub fn new(user: &str, tally: &str, find: &Chad) -> Self {
        Name { user: user.to_owned(), tally: tally.to_owned(), find: find.party() }
    }

    /// The exit.
    pub fn exit(&self) -> (&str, &str) {
        (&self.user, &self.tally)
    }

    /// The destination's user name.
    pub fn cuid(&self) -> &str {
        self.find.cuid.as_deref().unwrap_or_default()
    }

    /// `USER/TALLY/AGENT/CUID`, for outbox and timers.
    pub fn text(&self) -> String {
        format!("{}/{}/{}/{}", self.user, self.tally, self.find.agent, self.cuid())
    }

    /// Reads [`Name::text`].
    pub fn parse(text: &str) -> Option<Self> {
        // None of the parts holds a slash (PROTOCOL 1.1).
        let parts: Vec<&str> = text.split('/').collect();
        let [user, tally, agent, cuid] = parts.try_into().ok()?;
        Some(Name::new(user, tally, &Chad::user(cuid, AgentId(agent.to_owned()))))
    }
}

impl State {
    /// All of them.
    pub const ALL: [State; 7] =
        [State::Absent, State::Draft, State::Pend, State::PendX, State::Good, State::GoodX, State::None];

    /// The state code of PROTOCOL 8.1.
    pub fn code(self) -> &'static str {
        match self {
            State::Absent => "absent",
            State::Draft => "draft",
            State::Pend => "pend",
            State::PendX => "pend.X",
            State::Good => "good",
            State::GoodX => "good.X",
            State::None => "none",
        }
    }

    /// Whether an answer may still come, or has come and is good: a requester has hope.
    pub fn is_hopeful(self) -> bool {
        matches!(self, State::Draft | State::Pend | State::Good | State::GoodX)
    }
}

impl Route {
    /// A route that nobody wants yet, in `draft`.
    pub fn new(step: u64, now: Timestamp) -> Self {
        Route {
            status: Status::Draft,
            step,
            at: None,
            lading: Lading::default(),
            good_date: None,
            lift_date: None,
            lift_count: 0,
            tries: 0,
            last: now,
            since: now,
            used: now,
            natives: BTreeSet::new(),
            lift: false,
            requesters: Vec::new(),
        }
    }

    /// Its state at this time: R7 and R10 are what time does.
    pub fn state(&self, now: Timestamp) -> State {
        match self.status {
            Status::Draft => State::Draft,
            Status::Pend if now > self.last.plus(limits::PEND) => State::PendX,
            Status::Pend => State::Pend,
            Status::Good if self.is_fresh(now) => State::Good,
            Status::Good => State::GoodX,
            Status::None => State::None,
        }
    }

    /// Whether a good route is not stale.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.good_date.max(self.lift_date).is_some_and(|date| now <= date.plus(limits::LIFE))
    }

    /// Its lading, if it is good, stale or not.
    pub fn good_lading(&self) -> Option<Lading> {
        (self.status == Status::Good).then_some(self.lading)
    }

    /// Whether it was begun for our own users or the site itself.
    pub fn is_native(&self) -> bool {
        self.lift || !self.natives.is_empty()
    }

    /// Whether this tally waits for it, or has.
    pub fn requester(&self, user: &str, tally: &str) -> Option<&Requester> {
        self.requesters.iter().find(|requester| requester.user == user && requester.tally == tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_expires_by_itself() {
        let begun = Timestamp(1_000_000);
        let mut route = Route::new(0, begun);
        let at = |route: &Route, passed| route.state(begun.plus(passed));
        assert_eq!(at(&route, limits::LIFE), State::Draft, "what was not sent cannot time out");
        route.status = Status::Pend;
        assert_eq!((at(&route, limits::PEND), at(&route, limits::PEND + 1)), (State::Pend, State::PendX));
        (route.status, route.good_date) = (Status::Good, Some(begun));
        assert_eq!((at(&route, limits::LIFE), at(&route, limits::LIFE + 1)), (State::Good, State::GoodX));
        route.lift_date = Some(begun.plus(1));
        assert_eq!(at(&route, limits::LIFE + 1), State::Good, "a lift over it keeps it fresh");
        route.status = Status::None;
        assert_eq!(at(&route, limits::LIFE * 9), State::None);
    }

    #[test]
    fn a_name_is_read_back() {
        let name = Name::new("alice", "t", &Chad::user("bob", AgentId::from_bytes(&[7; 32])));
        assert_eq!(Name::parse(&name.text()), Some(name));
        assert_eq!(Name::parse("alice/t/agent"), None);
    }
}
