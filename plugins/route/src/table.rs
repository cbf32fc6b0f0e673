//! The rules of a route as data (PROTOCOL 8.4): what a state and a happening make of each other. R7 and R10 are
//! no rows: they are what time does to a state ([`Route::state`](crate::route::Route::state)).

use crate::route::State::{self, Absent, Draft, Good, GoodX, None as Nothing, Pend, PendX};

/// What can happen to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Happening {
    /// A local user, a lift or the site itself wants it.
    Want,
    /// A query came in that could go on over it.
    Query,
    /// Our query was handed over.
    HandedOver,
    /// Our query could not be delivered.
    NotDelivered,
    /// The partner says `good`.
    PeerGood,
    /// The partner says `none`.
    PeerNone,
    /// The timer of an unanswered query.
    Due,
    /// A lift over it succeeded or reached its terminus.
    LiftGood,
    /// A lift over it failed or ended void.
    LiftFail,
    /// Its exit has closed.
    ExitClosed,
    /// The sweep has come to it.
    Sweep,
}

/// What must hold for a rule to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// Fewer than `routes.tries` queries were sent.
    TriesLeft,
    /// It has led nowhere for longer than `routes.life`.
    LongAgo,
    /// It is not our own search that comes back (PROTOCOL 8.3 rule 7).
    NotOurOwn,
    /// Nobody has used it for 30 days.
    Unused,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A new record.
    Make,
    /// A record as good as new: who was told is forgotten.
    Renew,
    /// Whoever wants it is among those who will be told.
    Join,
    /// The query goes out once more.
    Ask,
    /// The time to wait for an answer begins.
    Await,
    /// Neither is the query sent any more, nor its answer waited for.
    Stop,
    /// The lading is kept.
    Store,
    /// Requesters and users are told that it is good.
    TellGood,
    /// Users are told that it is not, and requesters who have no other hope (O-37).
    TellNone,
    /// The lift counts.
    CountLift,
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Number in PROTOCOL 8.4, or the section that the row comes from.
    pub id: &'static str,
    /// States it applies in.
    pub from: &'static [State],
    /// What has to happen.
    pub on: &'static [Happening],
    /// Must hold, where there is one.
    pub guard: Option<Guard>,
    /// What is done.
    pub effects: &'static [Effect],
    /// The state afterwards; `None`: the same.
    pub next: Option<State>,
}

impl Happening {
    /// All of them.
    pub const ALL: [Happening; 11] = [
        Happening::Want,
        Happening::Query,
        Happening::HandedOver,
        Happening::NotDelivered,
        Happening::PeerGood,
        Happening::PeerNone,
        Happening::Due,
        Happening::LiftGood,
        Happening::LiftFail,
        Happening::ExitClosed,
        Happening::Sweep,
    ];
}

macro_rules! rule {
    ($id:literal, [$($from:ident),*], [$($on:ident),*], $guard:expr, [$($effect:ident),*], $next:expr) => {
        Rule {
            id: $id,
            from: &[$($from),*],
            on: &[$(Happening::$on),*],
            guard: $guard,
            effects: &[$(Effect::$effect),*],
            next: $next,
        }
    };
}

/// The table. Where several rows fit, the first whose guard holds applies; where none does, nothing happens.
///
/// Beyond PROTOCOL 8.4: an answer proves that the query was handed over, so R5 and R6 apply in `draft` too, where
/// the report of the hand-over is late; a query that cannot be delivered at last ends as one without an answer
/// (R9); so does a route whose exit has closed (R6).
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule!("R1",  [Absent],                             [Want],        None,                   [Make, Join, Ask],     Some(Draft)),
    rule!("R2",  [Absent],                             [Query],       None,                   [Make, Join, Ask],     Some(Draft)),
    rule!("R3",  [Draft],                              [HandedOver],  None,                   [Await],               Some(Pend)),
    rule!("R4",  [Draft],                              [NotDelivered], Some(Guard::TriesLeft), [Ask],                Some(Draft)),
    rule!("R9",  [Draft],                              [NotDelivered], None,                  [Stop, TellNone],      Some(Nothing)),
    rule!("R5",  [Draft, Pend, PendX, Nothing, Good, GoodX], [PeerGood], None,                [Stop, Store, TellGood], Some(Good)),
    rule!("R6",  [Draft, Pend, PendX, Good, GoodX],    [PeerNone, ExitClosed], None,          [Stop, TellNone],      Some(Nothing)),
    rule!("R8",  [PendX],                              [Due],         Some(Guard::TriesLeft), [Ask],                 Some(Draft)),
    rule!("R9",  [PendX],                              [Due],         None,                   [Stop, TellNone],      Some(Nothing)),
    rule!("R11", [Good, GoodX],                        [LiftGood],    None,                   [CountLift],           Some(Good)),
    rule!("R12", [Good, GoodX, Pend],                  [LiftFail],    None,                   [Stop],                Some(Nothing)),
    rule!("R13", [Nothing],                            [Want, Query], Some(Guard::LongAgo),   [Renew, Join, Ask],    Some(Draft)),
    rule!("R13", [PendX, GoodX],                       [Want, Query], None,                   [Renew, Join, Ask],    Some(Draft)),
    rule!("8.3", [Draft, Pend],                        [Want],        None,                   [Join],                None),
    rule!("8.3", [Draft, Pend],                        [Query],       Some(Guard::NotOurOwn), [Join],                None),
    // A query is answered at once and forgotten; a user hears also if the route fails.
    rule!("8.3", [Good],                               [Want],        None,                   [Join],                None),
    rule!("8.3", [Good],                               [Query],       None,                   [],                    None),
    rule!("R14", [Draft, Pend, PendX, Good, GoodX, Nothing], [Sweep], Some(Guard::Unused),    [Stop],                Some(Absent)),
];

/// The rows that may apply, in order.
pub fn rows(state: State, on: Happening) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.from.contains(&state) && rule.on.contains(&on))
}

#[cfg(test)]
mod tests;
