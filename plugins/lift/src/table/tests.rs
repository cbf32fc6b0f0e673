//! Every state against everything that can happen.

#![allow(clippy::unwrap_used)]

use super::Happening::{
    Asked, Begin, CommitGone, Decide, GivenUp, Overdue, PeerCheck, PeerFail, PeerPend, PeerPromise, PeerTerm, PlanBad,
    PlanGood, PromiseGone, PromiseUnsent, PromiseUnsure, RulingGood, RulingVoid, Silence, TermGone, TermStalled,
    Wanted,
};
use super::*;
use std::collections::BTreeMap;

/// PROTOCOL 9.7, and what 9.8 and 11.3 add, by state and happening: the rows in their order.
const PAIRS: &[(State, &[(Happening, &str)])] = &[
    (
        Nothing,
        &[
            (Wanted, "L1"),
            (PeerPromise, "L18 L19 L22"),
            (PeerFail, "L37"),
            (PeerTerm, "L37"),
            (PeerPend, "L37"),
            (RulingGood, "L37"),
            (RulingVoid, "L37"),
        ],
    ),
    (Tombstone, &[(PeerPromise, "L23"), (PeerCheck, "9.8")]),
    (DraftInit, &[(Begin, "L2 L3 L4"), (GivenUp, "L4"), (PeerPend, "L17"), (PeerCheck, "L36")]),
    (
        InitSeek,
        &[(PromiseGone, "L5"), (PromiseUnsent, "L6"), (PromiseUnsure, "L6b"), (PeerPend, "L17"), (PeerCheck, "L36")],
    ),
    (
        Seek,
        &[
            (PeerFail, "L7"),
            (PeerTerm, "L8"),
            (RulingGood, "L9"),
            (RulingVoid, "L10"),
            (Overdue, "L15"),
            (PeerPend, "L17"),
            (PeerCheck, "L36"),
        ],
    ),
    (
        SeekCheck,
        &[
            (PeerFail, "L7"),
            (PeerTerm, "L8"),
            (RulingGood, "L9"),
            (RulingVoid, "L10"),
            (Asked, "L16"),
            (PeerPend, "L17"),
            (PeerCheck, "L36"),
        ],
    ),
    (SeekCall, &[(RulingGood, "L9"), (RulingVoid, "L10"), (Decide, "L11 L12"), (PeerPend, "L17"), (PeerCheck, "L36")]),
    (Call, &[(RulingGood, "L9"), (RulingVoid, "L10"), (Silence, "L13"), (PeerPend, "L17"), (PeerCheck, "L36")]),
    (CallCall, &[(RulingGood, "L9"), (RulingVoid, "L10"), (CommitGone, "L14"), (PeerPend, "L17"), (PeerCheck, "L36")]),
    (
        DraftRelay,
        &[
            (RulingGood, "L20b L20"),
            (RulingVoid, "L21"),
            (PromiseGone, "L24"),
            (PromiseUnsent, "L25 L25"),
            (PromiseUnsure, "L25b"),
            (PeerFail, "L26 L26"),
            (PeerPromise, "L33"),
            (PeerPend, "L17"),
            (PeerCheck, "L36"),
        ],
    ),
    (
        DraftFound,
        &[
            (RulingGood, "L20b L20"),
            (RulingVoid, "L21"),
            (PlanGood, "L27"),
            (PlanBad, "L28"),
            (PeerPend, "L17"),
            (PeerCheck, "L36"),
        ],
    ),
    (
        FoundTerm,
        &[
            (RulingGood, "L20b L20"),
            (RulingVoid, "L21"),
            (TermGone, "L29"),
            (TermStalled, "L30"),
            (PeerPromise, "L33"),
            (PeerPend, "L17"),
            (PeerCheck, "L36"),
        ],
    ),
    (
        Pend,
        &[
            (RulingGood, "L20"),
            (RulingVoid, "L21"),
            (PeerFail, "L26 L26"),
            (Overdue, "L31"),
            (PeerPromise, "L33"),
            (PeerPend, "L17"),
            (PeerCheck, "L36"),
        ],
    ),
    (
        PendCheck,
        &[
            (RulingGood, "L20"),
            (RulingVoid, "L21"),
            (PeerFail, "L26 L26"),
            (Asked, "L32"),
            (PeerPromise, "L33"),
            (PeerPend, "L17"),
            (PeerCheck, "L36"),
        ],
    ),
    (Good, &[(PeerPromise, "L34"), (PeerCheck, "L34"), (RulingVoid, "L38"), (PeerTerm, "11.3")]),
    (Void, &[(PeerPromise, "L34"), (PeerCheck, "L34"), (RulingGood, "L38"), (PeerTerm, "11.3")]),
    (Released, &[(PeerPromise, "L35"), (PeerCheck, "9.8 9.8")]),
];

#[test]
fn every_state_meets_everything_that_can_happen_as_the_protocol_says() {
    let expected: BTreeMap<(State, Happening), &str> =
        PAIRS.iter().flat_map(|(state, on)| on.iter().map(|(on, ids)| ((*state, *on), *ids))).collect();
    assert_eq!(PAIRS.iter().map(|(state, _)| *state).collect::<Vec<_>>(), State::ALL);
    for state in State::ALL {
        for on in Happening::ALL {
            let ids: Vec<&str> = rows(state, on).map(|rule| rule.id).collect();
            assert_eq!(ids.join(" "), *expected.get(&(state, on)).unwrap_or(&""), "{state:?} {on:?}");
        }
    }
}

#[test]
fn every_rule_of_the_protocol_has_its_row_but_l33_to_l36_which_have_several() {
    let ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    for number in 1..=38 {
        assert!(ids.contains(&format!("L{number}").as_str()), "L{number}");
    }
    for id in ["L6b", "L20b", "L25b"] {
        assert!(ids.contains(&id), "{id}");
    }
}

#[test]
fn final_states_are_never_left() {
    for rule in RULES.iter().filter(|rule| rule.from.iter().any(|state| state.is_final())) {
        assert_eq!(rule.next, None, "{}", rule.id);
    }
}

#[test]
fn good_is_entered_by_a_ruling_alone_but_for_a_lift_inside_the_site() {
    for rule in RULES.iter().filter(|rule| rule.next == Some(Good)) {
        assert!(rule.on == RulingGood || rule.guards == [Guard::Inside], "{}", rule.id);
    }
}

/// PROTOCOL 9.7 I1: once a pledge may have left, time alone makes nothing void.
#[test]
fn after_the_pledge_has_left_nothing_but_a_ruling_or_a_release_makes_it_void() {
    let left = [Seek, SeekCheck, SeekCall, Call, CallCall, Pend, PendCheck];
    for rule in RULES.iter().filter(|rule| matches!(rule.next, Some(Void | Released))) {
        if rule.from.iter().any(|state| left.contains(state)) {
            assert!(rule.on == RulingVoid || rule.guards.contains(&Guard::Given), "{}", rule.id);
        }
    }
}

/// PROTOCOL 9.7 I4, I6: whoever gives a pledge back has nothing reserved any longer, and remembers it.
#[test]
fn whoever_fails_frees_first_or_has_reserved_nothing() {
    for rule in RULES.iter().filter(|rule| rule.effects.contains(&Effect::Fail)) {
        let freed = rule.effects.iter().position(|effect| *effect == Effect::Free);
        let failed = rule.effects.iter().position(|effect| *effect == Effect::Fail);
        assert!(rule.from == [Nothing] || freed.is_some_and(|freed| Some(freed) < failed), "{}", rule.id);
        assert!(matches!(rule.next, Some(Tombstone | Released)), "{}", rule.id);
    }
}
