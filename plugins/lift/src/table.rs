//! The rules of a lift as data (PROTOCOL 9.7): what may happen in which state, under which guards, with which
//! effects. Everything not listed is ignored.

use crate::state::State;
use State::{
    Call, CallCall, DraftFound, DraftInit, DraftRelay, FoundTerm, Good, InitSeek, None as Nothing, Pend, PendCheck,
    Released, Seek, SeekCall, SeekCheck, Tombstone, Void,
};

/// What can happen to a lift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Happening {
    /// U or A: a payment or a clearing is wanted.
    Wanted,
    /// A: order and way are looked at.
    Begin,
    /// I: no way was found in time.
    GivenUp,
    /// A: the transport took the promise.
    PromiseGone,
    /// A: the transport gave the promise up, and not one byte of it was ever written.
    PromiseUnsent,
    /// A: the transport gave the promise up, and it may have arrived.
    PromiseUnsure,
    /// P: `promise`.
    PeerPromise,
    /// P: `fail`.
    PeerFail,
    /// P: `term`.
    PeerTerm,
    /// P: `check`.
    PeerCheck,
    /// P: `status` that says no ruling.
    PeerPend,
    /// A ruling for it, verified: V(good).
    RulingGood,
    /// A ruling against it, verified: V(void).
    RulingVoid,
    /// U or A: arrived; go on or not.
    Decide,
    /// I: no answer to the commit in time.
    Silence,
    /// A: the commit has gone out again.
    CommitGone,
    /// I: `exp` (PROTOCOL 9.8).
    Overdue,
    /// A: everybody was asked (PROTOCOL 9.8).
    Asked,
    /// A: the plan can be carried out, or there is none to carry out.
    PlanGood,
    /// A: the plan cannot be read or carried out.
    PlanBad,
    /// A: the transport took the notice of arrival.
    TermGone,
    /// A: the transport gave the notice of arrival up.
    TermStalled,
}

/// What must hold for a rule to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// The payor's order does not verify.
    OrderBad,
    /// The way stays inside the site, and is reserved.
    Inside,
    /// A way over an exit, and it is reserved.
    Exit,
    /// A way to a user of ours, and it is reserved.
    Local,
    /// PROTOCOL 9.3 says no, and a release can say so.
    Refused,
    /// The release on our top tally verifies.
    Given,
    /// The arrival verifies; circular: so does the closing pledge; it is in time.
    Arrived,
    /// now < expiry.
    InTime,
    /// There is time for another exit, and the way over it is reserved in the place of the former one.
    OtherExit,
    /// Our pledge is known not to have left the site.
    Unsent,
    /// The answer given to the promise was a release, and is kept.
    Answered,
}

/// What a rule does beside entering its next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Our pledge, and the promise upstream.
    Promise,
    /// The overdue timer begins (PROTOCOL 9.8).
    StartExp,
    /// All chits become void.
    Free,
    /// All chits become good.
    Complete,
    /// Those chits become good that the pledge we received covers, the others void.
    CompleteBelow,
    /// What waits of our messages about it is taken back.
    Withdraw,
    /// `commit` to the referee.
    Commit,
    /// The first one is asked (PROTOCOL 9.8).
    Ask,
    /// The overdue timer for the next round of asking.
    NextExp,
    /// `term` to the originator.
    Term,
    /// `term` again, where we are the terminus.
    TermAgain,
    /// `fail` with a release, downstream; it is kept.
    Fail,
    /// The same `fail` once more.
    FailAgain,
    /// The ruling goes downstream: to the bottom partner, or to a linear lift's terminus from its originator.
    PushDown,
    /// The ruling goes upstream.
    PushUp,
    /// The ruling as an answer to whoever came.
    RulingAgain,
    /// `status`, ruled.
    StatusRuled,
    /// `status`, not ruled.
    StatusPend,
    /// The route learns that a lift went over it (PROTOCOL 8.4 R11).
    RouteGood,
    /// The route learns that none did (PROTOCOL 8.4 R12).
    RouteFail,
    /// The next one is asked at once.
    AskNext,
    /// Both rulings are kept, the operator is told, the referee accepted no longer.
    Evidence,
    /// The users concerned are told, with this reason.
    Notify(&'static str),
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Number in PROTOCOL 9.7, or the section that the row comes from.
    pub id: &'static str,
    /// States it applies in.
    pub from: &'static [State],
    /// What happens.
    pub on: Happening,
    /// All must hold.
    pub guards: &'static [Guard],
    /// What is done.
    pub effects: &'static [Effect],
    /// The state afterwards; `None`: the same.
    pub next: Option<State>,
}

macro_rules! rule {
    ($id:literal, [$($from:expr),*], $on:ident, [$($guard:ident),*], [$($effect:expr),*]) => {
        Rule { id: $id, from: &[$($from),*], on: Happening::$on, guards: &[$(Guard::$guard),*],
            effects: { #[allow(unused_imports)] use Effect::*; &[$($effect),*] }, next: None }
    };
    ($id:literal, [$($from:expr),*], $on:ident, [$($guard:ident),*], [$($effect:expr),*], $next:expr) => {
        Rule { id: $id, from: &[$($from),*], on: Happening::$on, guards: &[$(Guard::$guard),*],
            effects: { #[allow(unused_imports)] use Effect::*; &[$($effect),*] }, next: Some($next) }
    };
}

/// The table. Where several rows fit state and happening, the first whose guards hold applies.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule!("L1",   [Nothing],         Wanted,        [],        [], DraftInit),
    rule!("L2",   [DraftInit],       Begin,         [OrderBad], [Notify("order")], Released),
    rule!("L3",   [DraftInit],       Begin,         [Inside],  [Complete, Notify("good")], Good),
    rule!("L4",   [DraftInit],       Begin,         [Exit],    [Promise, Notify("found")], InitSeek),
    rule!("L4",   [DraftInit],       GivenUp,       [],        [Notify("noroute")], Released),
    rule!("L5",   [InitSeek],        PromiseGone,   [],        [StartExp, Notify("promised")], Seek),
    rule!("L6",   [InitSeek],        PromiseUnsent, [],        [Withdraw, Free, Notify("unsent")], Released),
    rule!("L6b",  [InitSeek],        PromiseUnsure, [],        [StartExp], Seek),
    rule!("L7",   [Seek, SeekCheck], PeerFail,      [Given],   [Withdraw, Free, RouteFail, Notify("fail")], Released),
    rule!("L8",   [Seek, SeekCheck], PeerTerm,      [Arrived], [Withdraw, RouteGood, Notify("arrived")], SeekCall),
    rule!("L9",   [Seek, SeekCheck, SeekCall, Call, CallCall], RulingGood, [],
                                     [Withdraw, Complete, PushDown, Notify("good")], Good),
    rule!("L10",  [Seek, SeekCheck, SeekCall, Call, CallCall], RulingVoid, [],
                                     [Withdraw, Free, PushDown, PushUp, RouteFail, Notify("void")], Void),
    rule!("L11",  [SeekCall],        Decide,        [InTime],  [Commit], Call),
    rule!("L12",  [SeekCall],        Decide,        [],        [StartExp], Seek),
    rule!("L13",  [Call],            Silence,       [],        [], CallCall),
    rule!("L14",  [CallCall],        CommitGone,    [],        [Commit], Call),
    rule!("L15",  [Seek],            Overdue,       [],        [Ask], SeekCheck),
    rule!("L16",  [SeekCheck],       Asked,         [],        [NextExp], Seek),
    rule!("L17",  [DraftInit, InitSeek, Seek, SeekCall, Call, CallCall, DraftRelay, DraftFound, FoundTerm, Pend],
                                     PeerPend,      [],        []),
    // PROTOCOL 9.8: `pend` from the originator means go on to the referee at once.
    rule!("L17",  [SeekCheck, PendCheck], PeerPend, [],        [AskNext]),
    rule!("L18",  [Nothing],         PeerPromise,   [Exit],    [Promise], DraftRelay),
    rule!("L19",  [Nothing],         PeerPromise,   [Local],   [], DraftFound),
    rule!("L20b", [DraftRelay, DraftFound, FoundTerm], RulingGood, [Unsent],
                                     [Withdraw, CompleteBelow, PushDown, Notify("good")], Good),
    rule!("L20",  [DraftRelay, DraftFound, FoundTerm, Pend, PendCheck], RulingGood, [],
                                     [Withdraw, Complete, PushDown, RouteGood, Notify("good")], Good),
    rule!("L21",  [DraftRelay, DraftFound, FoundTerm, Pend, PendCheck], RulingVoid, [],
                                     [Withdraw, Free, PushDown, PushUp, RouteFail, Notify("void")], Void),
    rule!("L22",  [Nothing],         PeerPromise,   [Refused], [Fail], Tombstone),
    rule!("L23",  [Tombstone],       PeerPromise,   [],        [FailAgain]),
    rule!("L24",  [DraftRelay],      PromiseGone,   [],        [], Pend),
    rule!("L25",  [DraftRelay],      PromiseUnsent, [OtherExit], [Promise], DraftRelay),
    rule!("L25",  [DraftRelay],      PromiseUnsent, [],        [Withdraw, Free, Fail], Released),
    rule!("L25b", [DraftRelay],      PromiseUnsure, [],        [], Pend),
    // R12 comes before another way is looked for.
    rule!("L26",  [DraftRelay, Pend, PendCheck], PeerFail, [Given, OtherExit], [Promise], DraftRelay),
    rule!("L26",  [DraftRelay, Pend, PendCheck], PeerFail, [Given], [Withdraw, Free, Fail], Released),
    rule!("L27",  [DraftFound],      PlanGood,      [],        [Term], FoundTerm),
    rule!("L28",  [DraftFound],      PlanBad,       [],        [Free, Fail], Released),
    rule!("L29",  [FoundTerm],       TermGone,      [],        [], Pend),
    rule!("L30",  [FoundTerm],       TermStalled,   [],        [], Pend),
    rule!("L31",  [Pend],            Overdue,       [],        [Ask], PendCheck),
    rule!("L32",  [PendCheck],       Asked,         [],        [NextExp], Pend),
    rule!("L33",  [DraftRelay, FoundTerm, Pend, PendCheck], PeerPromise, [], [TermAgain]),
    rule!("L34",  [Good, Void],      PeerPromise,   [],        [RulingAgain]),
    rule!("L34",  [Good, Void],      PeerCheck,     [],        [StatusRuled]),
    rule!("L35",  [Released],        PeerPromise,   [Answered], [FailAgain]),
    rule!("L36",  [DraftInit, InitSeek, Seek, SeekCheck, SeekCall, Call, CallCall, DraftRelay, DraftFound, FoundTerm,
                   Pend, PendCheck], PeerCheck,     [],        [StatusPend]),
    rule!("L37",  [Nothing],         PeerFail,      [],        []),
    rule!("L37",  [Nothing],         PeerTerm,      [],        []),
    rule!("L37",  [Nothing],         PeerPend,      [],        []),
    rule!("L37",  [Nothing],         RulingGood,    [],        []),
    rule!("L37",  [Nothing],         RulingVoid,    [],        []),
    rule!("L38",  [Void],            RulingGood,    [],        [Evidence]),
    rule!("L38",  [Good],            RulingVoid,    [],        [Evidence]),
    // Our `fail` was lost on its way: whoever waits for us hears it again.
    rule!("9.8",  [Tombstone],       PeerCheck,     [],        [FailAgain]),
    rule!("9.8",  [Released],        PeerCheck,     [Answered], [FailAgain]),
    rule!("9.8",  [Released],        PeerCheck,     [],        [StatusPend]),
    // The terminus has not heard yet.
    rule!("11.3", [Good, Void],      PeerTerm,      [],        [RulingAgain]),
];

impl Happening {
    /// All of them.
    pub const ALL: [Happening; 22] = [
        Happening::Wanted,
        Happening::Begin,
        Happening::GivenUp,
        Happening::PromiseGone,
        Happening::PromiseUnsent,
        Happening::PromiseUnsure,
        Happening::PeerPromise,
        Happening::PeerFail,
        Happening::PeerTerm,
        Happening::PeerCheck,
        Happening::PeerPend,
        Happening::RulingGood,
        Happening::RulingVoid,
        Happening::Decide,
        Happening::Silence,
        Happening::CommitGone,
        Happening::Overdue,
        Happening::Asked,
        Happening::PlanGood,
        Happening::PlanBad,
        Happening::TermGone,
        Happening::TermStalled,
    ];

    /// V(good) or V(void).
    pub fn ruling(valid: bool) -> Self {
        if valid { Happening::RulingGood } else { Happening::RulingVoid }
    }
}

/// The rows that may apply, in order.
pub fn rows(state: State, on: Happening) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.on == on && rule.from.contains(&state))
}

#[cfg(test)]
mod tests;
