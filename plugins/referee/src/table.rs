//! The rules of a referee as data (PROTOCOL 10.3): what a lift's state and a request make of each other.

use State::{Good, None as Nothing, Timeout};

/// What a referee has said of a lift, by its hash Lh (O-42).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Nothing yet.
    None,
    /// That it is valid.
    Good,
    /// That it is void.
    Timeout,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `commit`: L, `valid` true and the originator's signature.
    Commit,
    /// `check` with all of L.
    Check,
    /// `check` with `{lift, hash}` alone.
    Recall,
}

/// What must hold for a rule to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// L is not as PROTOCOL 9.1 says, or the hash beside it is not Lh.
    Malformed,
    /// L names another referee.
    Foreign,
    /// now > expiry, beyond doubt.
    Expired,
    /// The clock cannot be trusted to 2 s (PROTOCOL 10.4).
    Doubtful,
    /// The signature is not the originator's over L with `valid` true.
    Forged,
    /// L is dated more than 60 s ahead of the clock.
    Early,
    /// The term, a bound or the policy does not allow it.
    Declined,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// No answer.
    Drop,
    /// No answer, and the asker's address gets a strike.
    Strike,
    /// The ruling made before, byte for byte.
    Repeat,
    /// A ruling with `valid` true; L and the originator's signature are kept with it.
    RuleGood,
    /// A ruling with `valid` false.
    RuleVoid,
    /// `status` pend with the time and, where there is one, this `err`.
    Pend(Option<&'static str>),
    /// `status` pend or no answer, as the policy wants.
    Decline,
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Number in PROTOCOL 10.3, or the section that the row comes from.
    pub id: &'static str,
    /// States it applies in.
    pub from: &'static [State],
    /// Requests it applies to.
    pub on: &'static [Kind],
    /// Must hold, where there is one.
    pub guard: Option<Guard>,
    /// What is done.
    pub act: Act,
    /// The state afterwards; `None`: the same.
    pub next: Option<State>,
}

impl State {
    /// All of them.
    pub const ALL: [State; 3] = [Nothing, Good, Timeout];

    /// The state that a ruling leaves.
    pub fn ruled(valid: bool) -> Self {
        if valid { Good } else { Timeout }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Commit, Kind::Check, Kind::Recall];
}

impl Guard {
    /// All of them.
    pub const ALL: [Guard; 7] = [
        Guard::Malformed,
        Guard::Foreign,
        Guard::Expired,
        Guard::Doubtful,
        Guard::Forged,
        Guard::Early,
        Guard::Declined,
    ];
}

macro_rules! rule {
    ($id:literal, $from:expr, [$($on:ident),*], $guard:expr, $act:expr) => {
        rule!($id, $from, [$($on),*], $guard, $act, None)
    };
    ($id:literal, $from:expr, [$($on:ident),*], $guard:expr, $act:expr, $next:expr) => {
        Rule { id: $id, from: &$from, on: &[$(Kind::$on),*], guard: $guard, act: $act, next: $next }
    };
}

/// The table. Where several rows fit, the first whose guard holds applies; one does for every pair.
///
/// Two things stand before what PROTOCOL 10.3 lists later: an expired lift is void whatever else is wrong
/// with the request (F2), because that duty has no exception; and a bad signature is found (F4) before
/// anything is told to whoever sent it.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule!("F0",   State::ALL,      [Commit, Check, Recall], Some(Guard::Malformed), Act::Drop),
    rule!("F8",   State::ALL,      [Commit, Check], Some(Guard::Foreign),  Act::Drop),
    rule!("F6",   [Good],          [Commit, Check], None,                  Act::Repeat),
    rule!("F7",   [Timeout],       [Commit, Check], None,                  Act::Repeat),
    rule!("F9",   [Good, Timeout], [Recall],        None,                  Act::Repeat),
    rule!("F10",  [Nothing],       [Recall],        None,                  Act::Pend(Some("need"))),
    rule!("F2",   [Nothing],       [Commit, Check], Some(Guard::Expired),  Act::RuleVoid, Some(Timeout)),
    // PROTOCOL 10.4: if in doubt, `pend`. It changes nothing for a check, which is told why.
    rule!("10.4", [Nothing],       [Check],         Some(Guard::Doubtful), Act::Pend(Some("clock"))),
    rule!("F3",   [Nothing],       [Check],         None,                  Act::Pend(None)),
    rule!("F4",   [Nothing],       [Commit],        Some(Guard::Forged),   Act::Strike),
    rule!("10.4", [Nothing],       [Commit],        Some(Guard::Doubtful), Act::Pend(Some("clock"))),
    rule!("F5",   [Nothing],       [Commit],        Some(Guard::Early),    Act::Pend(Some("clock"))),
    // PROTOCOL 10.4: service is refused by silence or `pend` alone.
    rule!("10.4", [Nothing],       [Commit],        Some(Guard::Declined), Act::Decline),
    rule!("F1",   [Nothing],       [Commit],        None,                  Act::RuleGood, Some(Good)),
];

/// The rows that may apply, in order.
pub fn rows(state: State, on: Kind) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.from.contains(&state) && rule.on.contains(&on))
}

#[cfg(test)]
mod tests;
