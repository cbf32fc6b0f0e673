//! Every state against every request under every combination of circumstances.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use std::collections::BTreeSet;

/// PROTOCOL 10.3 by state and request: the rows in their order.
const PAIRS: &[(State, Kind, &str)] = &[
    (Nothing, Kind::Commit, "F0 F8 F2 F4 10.4 F5 10.4 F1"),
    (Nothing, Kind::Check, "F0 F8 F2 10.4 F3"),
    (Nothing, Kind::Recall, "F0 F10"),
    (Good, Kind::Commit, "F0 F8 F6"),
    (Good, Kind::Check, "F0 F8 F6"),
    (Good, Kind::Recall, "F0 F9"),
    (Timeout, Kind::Commit, "F0 F8 F7"),
    (Timeout, Kind::Check, "F0 F8 F7"),
    (Timeout, Kind::Recall, "F0 F9"),
];

/// What PROTOCOL 10.3 answers and leads to, written once more as a sentence each.
fn told(state: State, kind: Kind, holds: impl Fn(Guard) -> bool) -> (Act, State) {
    use Act::{Decline, Drop, Pend, Repeat, RuleGood, RuleVoid, Strike};
    if holds(Guard::Malformed) {
        return (Drop, state);
    }
    match (state, kind) {
        (Nothing, Kind::Recall) => (Pend(Some("need")), state),
        (_, Kind::Recall) => (Repeat, state),
        _ if holds(Guard::Foreign) => (Drop, state),
        (Good | Timeout, _) => (Repeat, state),
        _ if holds(Guard::Expired) => (RuleVoid, Timeout),
        (_, Kind::Check) if holds(Guard::Doubtful) => (Pend(Some("clock")), state),
        (_, Kind::Check) => (Pend(None), state),
        _ if holds(Guard::Forged) => (Strike, state),
        _ if holds(Guard::Doubtful) || holds(Guard::Early) => (Pend(Some("clock")), state),
        _ if holds(Guard::Declined) => (Decline, state),
        _ => (RuleGood, Good),
    }
}

#[test]
fn every_state_meets_every_request_as_the_protocol_says() {
    let mut covered = BTreeSet::new();
    for (state, kind, expected) in PAIRS {
        let ids: Vec<&str> = rows(*state, *kind).map(|rule| rule.id).collect();
        assert_eq!(ids.join(" "), *expected, "{state:?} {kind:?}");
        assert!(covered.insert((*state, *kind)), "{state:?} {kind:?} is written twice");
    }
    assert_eq!(covered.len(), State::ALL.len() * Kind::ALL.len(), "a pair is missing in this test");
}

#[test]
fn every_pair_has_one_outcome_under_all_circumstances_and_it_is_the_protocols() {
    for state in State::ALL {
        for kind in Kind::ALL {
            for circumstances in 0..1_u32 << Guard::ALL.len() {
                let holds = |guard: Guard| {
                    let place = Guard::ALL.iter().position(|known| *known == guard).unwrap();
                    circumstances & 1 << place != 0
                };
                let rule = rows(state, kind).find(|rule| rule.guard.is_none_or(holds));
                let rule = rule.unwrap_or_else(|| panic!("nothing applies: {state:?} {kind:?} {circumstances:b}"));
                let found = (rule.act, rule.next.unwrap_or(state));
                assert_eq!(found, told(state, kind, holds), "{} {state:?} {kind:?} {circumstances:b}", rule.id);
            }
        }
    }
}

#[test]
fn a_state_that_is_a_ruling_is_never_left() {
    for rule in RULES.iter().filter(|rule| rule.next.is_some()) {
        assert_eq!(rule.from, [Nothing], "{}", rule.id);
    }
}

#[test]
fn what_has_expired_is_void_before_anybody_is_asked_or_anything_else_is_found_wrong() {
    for kind in [Kind::Commit, Kind::Check] {
        let before: Vec<_> = rows(Nothing, kind).take_while(|rule| rule.act != Act::RuleVoid).collect();
        // Only what is no lift of ours at all comes first.
        assert_eq!(before.iter().map(|rule| rule.id).collect::<Vec<_>>(), ["F0", "F8"]);
    }
}

#[test]
fn every_rule_of_the_protocol_has_its_row() {
    let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    for number in 0..=10 {
        assert!(ids.contains(format!("F{number}").as_str()), "F{number}");
    }
    assert_eq!(ids.len(), 12, "the eleven and 10.4");
}
