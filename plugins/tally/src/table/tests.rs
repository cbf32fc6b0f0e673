//! Every state against everything that can happen, the ignored pairs too.

#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::BTreeSet;

/// PROTOCOL 4.6: columns ticket, offer, draft, void, open, and the index-0 ack of T26.
const MESSAGES: &[(&[State], [&str; 6])] = &[
    (&[Nothing], ["x", "T11", "x", "x", "T33", "x"]),
    (&[Draft], ["T4 T5", "x", "x", "x", "x", "x"]),
    (&[PDraft], ["T6", "x", "x", "x", "x", "x"]),
    (&[DraftOffer], ["x", "x", "x", "x", "x", "x"]),
    (&[HOffer], ["2.4", "T12", "T24", "T23", "T22", "x"]),
    (&[POffer], ["x", "T13", "x", "T25", "x", "x"]),
    (&[OfferVoid, OfferDraft, OfferOpen], ["x", "x", "x", "x", "x", "x"]),
    (&[Void], ["x", "T11 11.3", "x", "x", "T28", "x"]),
    (&[Unconfirmed], ["x", "x", "x", "T27", "T29 T30", "T26"]),
    (&[Open], ["x", "x", "x", "x", "T29 T30", "x"]),
    // T26 is about `conf`, which may still be null in these two.
    (&[OpenOpen, COpen], ["x", "x", "x", "x", "T29 T30", "T26"]),
    (&[State::Close], ["x", "x", "x", "x", "x", "x"]),
];

/// PROTOCOL 4.5, events U: draft, edit, delete, offer, refuse, withdraw, revise, accept, resend.
const ACTS: &[(&[State], [&str; 9])] = &[
    (&[Nothing], ["T1", "x", "x", "x", "x", "x", "x", "x", "x"]),
    (&[Draft, PDraft], ["x", "T2", "T3", "T7", "x", "x", "x", "x", "x"]),
    (&[DraftOffer], ["x", "x", "x", "11.2", "x", "x", "x", "x", "11.2"]),
    (&[HOffer], ["x", "x", "x", "x", "x", "T15", "x", "x", "11.3"]),
    (&[POffer], ["x", "x", "x", "x", "T14", "x", "T17", "T19", "x"]),
    (&[OfferVoid], ["x", "x", "x", "x", "11.2", "11.2", "x", "x", "11.2"]),
    (&[OfferDraft], ["x", "x", "x", "x", "x", "x", "11.2", "x", "11.2"]),
    (&[OfferOpen], ["x", "x", "x", "x", "x", "x", "x", "11.2", "11.2"]),
    (&[Unconfirmed, Open, COpen], ["x", "x", "x", "x", "x", "x", "x", "x", "T31"]),
    (&[OpenOpen], ["x", "x", "x", "x", "x", "x", "x", "x", "11.2"]),
    (&[State::Close, Void], ["x", "x", "x", "x", "x", "x", "x", "x", "x"]),
];

/// PROTOCOL 4.5, events A and I: signature bad, handed over, transport failed, close linked, settled, reopened.
const INNER: &[(&[State], [&str; 6])] = &[
    (&[Nothing, Draft, PDraft, HOffer, POffer, Void], ["x", "x", "x", "x", "x", "x"]),
    (&[DraftOffer], ["T8", "T9", "T10", "x", "x", "x"]),
    (&[OfferVoid], ["x", "T16", "T10", "x", "x", "x"]),
    (&[OfferDraft], ["x", "T18", "T10", "x", "x", "x"]),
    (&[OfferOpen], ["T20", "T21", "T10", "x", "x", "x"]),
    (&[Unconfirmed], ["x", "x", "T10", "T34", "x", "x"]),
    (&[Open], ["x", "x", "x", "T34", "x", "x"]),
    // A resend must not keep the closing back; T10 of the last two: the acceptance may be unconfirmed still.
    (&[OpenOpen], ["x", "T32", "T10", "T34", "T35", "x"]),
    (&[COpen], ["x", "x", "T10", "x", "T35", "x"]),
    (&[State::Close], ["x", "x", "x", "x", "x", "T36"]),
];

/// PROTOCOL 4.5, last column: the state that each rule leads to; `=`: the same.
const NEXT: &[(&str, &str)] = &[
    ("T1", "draft"),
    ("T2", "="),
    ("T3", "none"),
    ("T4", "P.draft"),
    ("T5", "="),
    ("T6", "="),
    ("T7", "draft.offer"),
    ("T8", "P.draft"),
    ("T9", "H.offer"),
    ("T10", "="),
    ("T11", "P.offer"),
    ("T12", "P.offer"),
    ("T13", "="),
    ("T14", "offer.void"),
    ("T15", "offer.void"),
    ("T16", "void"),
    ("T17", "offer.draft"),
    ("T18", "P.draft"),
    ("T19", "offer.open"),
    ("T20", "P.offer"),
    ("T21", "open"),
    ("T22", "open"),
    ("T23", "void"),
    ("T24", "="),
    ("T25", "void"),
    ("T26", "="),
    ("T27", "void"),
    ("T28", "="),
    ("T29", "="),
    ("T30", "="),
    ("T31", "open.open"),
    ("T32", "open"),
    ("T33", "open"),
    ("T34", "C.open"),
    ("T34", "="),
    ("T35", "close"),
    ("T36", "C.open"),
    ("2.4", "="),
    ("11.3", "="),
    ("11.2", "="),
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
    let (messages, rest) = Happening::ALL.split_at(15);
    let acts: [Happening; 9] = messages[..9].try_into().unwrap();
    let mut covered = compare(MESSAGES, messages[9..].try_into().unwrap());
    covered.extend(compare(ACTS, acts));
    covered.extend(compare(INNER, rest.try_into().unwrap()));
    assert_eq!(covered.len(), State::ALL.len() * Happening::ALL.len(), "a pair is missing in this test");
}

#[test]
fn every_rule_leads_where_the_protocol_says() {
    for rule in RULES {
        let next = rule.next.map_or("=", State::code);
        assert!(NEXT.contains(&(rule.id, next)), "{} leads to {next}", rule.id);
    }
    for (id, next) in NEXT {
        let leads = |rule: &Rule| rule.id == *id && rule.next.map_or("=", State::code) == *next;
        assert!(RULES.iter().any(leads), "no row {id} leads to {next}");
    }
}

#[test]
fn what_leaves_as_a_request_comes_back_as_handed_over() {
    for rule in RULES.iter().filter(|rule| rule.effects.contains(&Effect::Raise)) {
        for state in rule.from {
            let asked = rule.next.unwrap_or(*state);
            assert_eq!(rows(asked, Happening::HandedOver).count(), 1, "{} {state:?}", rule.id);
            assert_eq!(rows(asked, Happening::TransportFailed).count(), 1, "{} {state:?}", rule.id);
        }
    }
}
