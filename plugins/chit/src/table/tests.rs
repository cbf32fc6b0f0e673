//! Every state against everything that can happen, the ignored pairs too.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use std::collections::BTreeSet;

/// PROTOCOL 5.6, events U: ask, draft, pay, refuse, resend.
const ACTS: &[(&[State], [&str; 5])] = &[
    (&[Nothing], ["C1", "5.4", "C11", "x", "x"]),
    (&[ADraftPend], ["x", "x", "x", "x", "11.2"]),
    (&[APend], ["x", "x", "x", "x", "11.3"]),
    (&[AVoid], ["C5", "x", "x", "x", "x"]),
    (&[LDraft], ["x", "x", "C11", "5.4", "x"]),
    (&[LPend], ["x", "x", "C10", "C8", "x"]),
    (&[LPendVoid], ["x", "x", "x", "11.2", "11.2"]),
    (&[LVoid], ["x", "x", "x", "x", "11.3"]),
    (&[LGood], ["x", "x", "x", "x", "C14"]),
    (&[AGood, LPendGood, LGoodGood, LiftPend, State::LiftVoid], ["x", "x", "x", "x", "x"]),
];

/// PROTOCOL 5.6, events P: pend, void, good.
const MESSAGES: &[(&[State], [&str; 3])] = &[
    (&[Nothing], ["C6", "x", "C3 C3b"]),
    (&[APend], ["x", "C4", "C3 5.3"]),
    (&[AVoid], ["x", "x", "C3 5.3"]),
    (&[LPend], ["x", "x", "C3b 5.3"]),
    (&[LVoid], ["C7 11.3", "x", "C3b 5.3"]),
    (&[ADraftPend, LDraft, LPendVoid], ["x", "x", "5.3 5.3"]),
    (&[AGood, LGood], ["C16", "x", "C16 C17 6.8"]),
    (&[LiftPend, State::LiftVoid], ["x", "x", "9.6 9.6"]),
    (&[LPendGood, LGoodGood], ["x", "x", "x"]),
];

/// PROTOCOL 5.6, events A and I: signature bad, signature good, handed over, transport failed; lift
/// reserved, good, void.
const INNER: &[(&[State], [&str; 7])] = &[
    (&[Nothing], ["x", "x", "x", "x", "C18", "x", "x"]),
    (&[ADraftPend], ["x", "x", "C2", "11.2", "x", "x", "x"]),
    (&[LPendVoid], ["x", "x", "C9", "11.2", "x", "x", "x"]),
    (&[LPendGood], ["C12", "C13", "x", "x", "x", "x", "x"]),
    (&[LGoodGood], ["x", "x", "C15", "x", "x", "x", "x"]),
    (&[LiftPend], ["x", "x", "x", "x", "x", "C19 C19", "C20"]),
    (&[State::LiftVoid], ["x", "x", "x", "x", "x", "9.6", "9.6"]),
    (&[AGood, LGood], ["x", "x", "x", "x", "x", "9.6", "x"]),
    (&[APend, AVoid, LDraft, LPend, LVoid], ["x", "x", "x", "x", "x", "x", "x"]),
];

/// PROTOCOL 5.6, last column: the states that each rule leads to; `=`: the same.
const NEXT: &[(&str, &[&str])] = &[
    ("C1", &["A.draft.pend"]),
    ("C2", &["A.pend"]),
    ("C3", &["A.good"]),
    ("C3b", &["L.good"]),
    ("C4", &["A.void"]),
    ("C5", &["A.draft.pend"]),
    ("C6", &["L.pend"]),
    ("C7", &["L.pend"]),
    ("C8", &["L.pend.void"]),
    ("C9", &["L.void"]),
    ("C10", &["L.pend.good"]),
    ("C11", &["L.pend.good"]),
    ("C12", &["L.pend"]),
    ("C13", &["L.good"]),
    ("C14", &["L.good.good"]),
    ("C15", &["L.good"]),
    ("C16", &["="]),
    ("C17", &["="]),
    ("C18", &["lift pend"]),
    ("C19", &["A.good", "L.good"]),
    ("C20", &["lift void"]),
    ("5.3", &["A.good", "L.good"]),
    ("9.6", &["A.good", "L.good", "="]),
    ("6.8", &["="]),
    ("5.4", &["L.draft", "none"]),
    ("11.2", &["="]),
    ("11.3", &["="]),
];

fn found(state: State, on: Happening) -> String {
    let ids: Vec<&str> = rows(state, on).map(|rule| rule.id).collect();
    if ids.is_empty() { "x".to_owned() } else { ids.join(" ") }
}

/// Compares a written matrix with the table and returns the pairs it has covered.
fn compare<const N: usize>(matrix: &[(&[State], [&str; N])], columns: [Happening; N]) -> BTreeSet<(State, Happening)> {
    let mut covered = BTreeSet::new();
    for (states, row) in matrix {
        for state in *states {
            for (column, expected) in columns.iter().zip(row) {
                assert_eq!(found(*state, *column), *expected, "{state:?} {column:?}");
                assert!(covered.insert((*state, *column)), "{state:?} {column:?} is written twice");
            }
        }
    }
    covered
}

#[test]
fn every_state_meets_everything_that_can_happen_as_the_protocol_says() {
    let mut covered = compare(ACTS, Happening::ALL[..5].try_into().unwrap());
    covered.extend(compare(MESSAGES, Happening::ALL[5..8].try_into().unwrap()));
    covered.extend(compare(INNER, Happening::ALL[8..].try_into().unwrap()));
    assert_eq!(covered.len(), State::ALL.len() * Happening::ALL.len(), "a pair is missing in this test");
}

#[test]
fn every_rule_leads_where_the_protocol_says() {
    for rule in RULES {
        let (_, next) = NEXT.iter().find(|(id, _)| *id == rule.id).unwrap_or_else(|| panic!("{} unknown", rule.id));
        let leads = rule.next.map_or("=", State::code);
        assert!(next.contains(&leads), "{} leads to {leads}", rule.id);
    }
    for (id, states) in NEXT {
        for state in *states {
            let leads = |rule: &&Rule| rule.id == *id && rule.next.map_or("=", State::code) == *state;
            assert!(RULES.iter().any(|rule| leads(&rule)), "no row {id} leads to {state}");
        }
    }
}

#[test]
fn what_leaves_as_a_request_comes_back_as_handed_over() {
    for rule in RULES.iter().filter(|rule| rule.effects.contains(&Effect::Send)) {
        for state in rule.from {
            let asked = rule.next.unwrap_or(*state);
            assert_eq!(rows(asked, Happening::HandedOver).count(), 1, "{} {state:?}", rule.id);
            assert_eq!(rows(asked, Happening::TransportFailed).count(), 1, "{} {state:?}", rule.id);
        }
    }
}

#[test]
fn nothing_becomes_good_unless_its_signatures_were_checked() {
    for rule in RULES.iter().filter(|rule| matches!(rule.next, Some(AGood | LGood))) {
        let checked = rule.guards.contains(&Guard::Valid) || rule.on == Happening::SignatureGood || rule.id == "C15";
        assert!(checked, "{}", rule.id);
    }
}
