//! What a site keeps of one lift on one way through it (PROTOCOL 9.4).

use crate::state::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallyho_plugin::record::{Arrival, Chad, LiftCore, Pledge, Side, Timestamp};

/// What the site is to a lift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It began it.
    Originator,
    /// It hands it on.
    Relay,
    /// The destination's user lives here.
    Terminus,
}

/// One tally that the lift moves over here, in the order from downstream to upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The tally.
    pub tally: String,
    /// The issuer's side: who owes more afterwards.
    pub by: Side,
    /// -1 for a lift, 1 for a drop (PROTOCOL 7.2).
    #[serde(default)]
    pub sign: i64,
    /// The users of this site who hold a half, the issuer first.
    pub halves: Vec<String>,
}

/// A tally at the edge of the site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boundary {
    /// The local user.
    pub user: String,
    /// The tally.
    pub tally: String,
    /// The user's side.
    pub side: Side,
    /// The partner, with the address in the tally's certificate.
    pub partner: Chad,
}

/// A ruling that verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// What it says.
    pub valid: bool,
    /// The referee's signature over L and that.
    pub signed: String,
}

/// A payment's own details (PROTOCOL 9.9).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Payment {
    /// Our user concerned: payor or payee; of a clearing, whose tally it began at.
    pub user: Option<String>,
    /// The other party, as far as known.
    pub other: Option<Chad>,
    /// What for.
    pub memo: Option<String>,
    /// Invoice data.
    #[serde(rename = "ref")]
    pub reference: Option<Value>,
    /// The payor's signature over the order.
    pub sign: Option<String>,
}

/// Whom the site asks when a lift is overdue (PROTOCOL 9.8), in this order. Other segments of the same lift
/// at this site hear every ruling that one of them hears, and need not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// The upstream neighbour.
    Neighbour,
    /// The originator.
    Originator,
    /// The referee.
    Referee,
}

/// The durable row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    /// L.
    pub core: LiftCore,
    /// See [`Role`].
    pub role: Role,
    /// See [`State`].
    pub state: State,
    /// The tally by which value comes in: of a promise, or a circular lift's closing tally at its originator.
    pub bottom: Option<Boundary>,
    /// The tally by which it leaves: our promise's, or a circular lift's closing tally at its terminus.
    pub top: Option<Boundary>,
    /// Tallies that are reserved.
    pub edges: Vec<Edge>,
    /// What downstream has pledged to us.
    pub received: Option<Pledge>,
    /// What we pledge upstream.
    pub given: Option<Pledge>,
    /// The transport took the message with our pledge, or may have: only a ruling or a release undoes it.
    pub left: bool,
    /// The transport has said that not one byte of the message with our pledge was written.
    pub unsent: bool,
    /// The release of our pledge that we hold.
    pub released: bool,
    /// The destination's word that all pledges have reached it.
    pub arrival: Option<Arrival>,
    /// Where a linear lift's terminus said it can be reached.
    pub terminus: Option<Chad>,
    /// Who ruled what; not applied yet where it waits for the transport's word ([`Lift::awaits_word`]).
    pub ruling: Option<Ruling>,
    /// Of a referee that contradicts itself: its other ruling (PROTOCOL 9.7 L38).
    pub evidence: Option<Ruling>,
    /// The answer given to the promise: the object of `fail`.
    pub answer: Option<Value>,
    /// Tallies that this lift must not use any more here: exits that failed, reservations given back.
    pub avoid: Vec<String>,
    /// Exits that a promise went to.
    pub exits: u32,
    /// Milliseconds of life that were left when it came here.
    pub patience: i64,
    /// When the next round of asking begins, or a state's own wait ends.
    pub exp: Timestamp,
    /// When our promise or notice of arrival was handed over.
    pub gone: Option<Timestamp>,
    /// Repeats of it made since.
    pub repeats: u32,
    /// Rounds of asking made.
    pub rounds: u32,
    /// Who is being asked.
    pub asked: Option<Asked>,
    /// See [`Payment`].
    pub payment: Payment,
    /// Why it came to nothing, for a person.
    pub why: Option<String>,
    /// When it last changed its state.
    pub since: Timestamp,
    /// Of a lift of ours that was given back: the uuid of the one that took its place (PROTOCOL 9.7 L7).
    #[serde(default)]
    pub instead: Option<String>,
    /// The uuid of the one whose place it took.
    #[serde(default)]
    pub instead_of: Option<String>,
    /// Lifts that were tried before it for the same order.
    #[serde(default)]
    pub tried: u32,
}

impl Lift {
    /// A lift of which nothing is known but L.
    pub fn new(core: LiftCore, role: Role, now: Timestamp) -> Self {
        let patience = core.expires().0.saturating_sub(now.0).max(0);
        Lift {
            core,
            role,
            state: State::None,
            bottom: None,
            top: None,
            edges: Vec::new(),
            received: None,
            given: None,
            left: false,
            unsent: false,
            released: false,
            arrival: None,
            terminus: None,
            ruling: None,
            evidence: None,
            answer: None,
            avoid: Vec::new(),
            exits: 0,
            patience,
            exp: now,
            gone: None,
            repeats: 0,
            rounds: 0,
            asked: None,
            payment: Payment::default(),
            why: None,
            since: now,
            instead: None,
            instead_of: None,
            tried: 0,
        }
    }

    /// Its name among all of the site.
    pub fn name(&self) -> Name {
        Name { hash: self.core.hash(), bottom: self.bottom.as_ref().map(|bottom| bottom.tally.clone()) }
    }

    /// Whether it is to come back to its originator.
    pub fn is_circular(&self) -> bool {
        match self.role {
            Role::Originator => self.bottom.is_some(),
            _ => self.core.plan().is_some() && self.top.is_some(),
        }
    }

    /// Whether the transport has still to say if our pledge has left: only then is it known whether a ruling that
    /// says good binds us (PROTOCOL 9.7 L20) or not (L20b).
    pub fn awaits_word(&self) -> bool {
        matches!(self.state, State::DraftRelay | State::FoundTerm)
            && self.given.is_some()
            && !(self.left || self.unsent || self.released)
    }

    /// The neighbour downstream and the one upstream.
    pub fn neighbours(&self) -> impl Iterator<Item = &Boundary> {
        self.bottom.iter().chain(&self.top)
    }
}

/// The key of a record: Lh and the bottom tally, which a linear lift's originator has none of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Lh.
    pub hash: String,
    /// The bottom tally's uuid.
    pub bottom: Option<String>,
}

impl Name {
    /// As timers and messages are called.
    pub fn text(&self) -> String {
        format!("{} {}", self.hash, self.bottom.as_deref().unwrap_or("-"))
    }

    /// Reads [`Name::text`].
    pub fn read(text: &str) -> Option<Name> {
        let (hash, bottom) = text.split_once(' ')?;
        let bottom = Some(bottom.to_owned()).filter(|bottom| bottom != "-");
        Some(Name { hash: hash.to_owned(), bottom })
    }
}
