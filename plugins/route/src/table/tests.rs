//! Every state against everything that can happen.

use super::*;
use std::collections::BTreeSet;

/// PROTOCOL 8.4 by state: for each happening the rows and where they lead, in their order. What is not named has
/// no effect.
const PAIRS: &[(State, Happening, &str)] = &[
    (Absent, Happening::Want, "R1:draft"),
    (Absent, Happening::Query, "R2:draft"),
    (Draft, Happening::Want, "8.3:"),
    (Draft, Happening::Query, "8.3:"),
    (Draft, Happening::HandedOver, "R3:pend"),
    (Draft, Happening::NotDelivered, "R4:draft R9:none"),
    (Draft, Happening::PeerGood, "R5:good"),
    (Draft, Happening::PeerNone, "R6:none"),
    (Draft, Happening::ExitClosed, "R6:none"),
    (Draft, Happening::Sweep, "R14:absent"),
    (Pend, Happening::Want, "8.3:"),
    (Pend, Happening::Query, "8.3:"),
    (Pend, Happening::PeerGood, "R5:good"),
    (Pend, Happening::PeerNone, "R6:none"),
    (Pend, Happening::LiftFail, "R12:none"),
    (Pend, Happening::ExitClosed, "R6:none"),
    (Pend, Happening::Sweep, "R14:absent"),
    (PendX, Happening::Want, "R13:draft"),
    (PendX, Happening::Query, "R13:draft"),
    (PendX, Happening::PeerGood, "R5:good"),
    (PendX, Happening::PeerNone, "R6:none"),
    (PendX, Happening::Due, "R8:draft R9:none"),
    (PendX, Happening::ExitClosed, "R6:none"),
    (PendX, Happening::Sweep, "R14:absent"),
    (Good, Happening::Want, "8.3:"),
    (Good, Happening::Query, "8.3:"),
    (Good, Happening::PeerGood, "R5:good"),
    (Good, Happening::PeerNone, "R6:none"),
    (Good, Happening::LiftGood, "R11:good"),
    (Good, Happening::LiftFail, "R12:none"),
    (Good, Happening::ExitClosed, "R6:none"),
    (Good, Happening::Sweep, "R14:absent"),
    (GoodX, Happening::Want, "R13:draft"),
    (GoodX, Happening::Query, "R13:draft"),
    (GoodX, Happening::PeerGood, "R5:good"),
    (GoodX, Happening::PeerNone, "R6:none"),
    (GoodX, Happening::LiftGood, "R11:good"),
    (GoodX, Happening::LiftFail, "R12:none"),
    (GoodX, Happening::ExitClosed, "R6:none"),
    (GoodX, Happening::Sweep, "R14:absent"),
    (Nothing, Happening::Want, "R13:draft"),
    (Nothing, Happening::Query, "R13:draft"),
    (Nothing, Happening::PeerGood, "R5:good"),
    (Nothing, Happening::Sweep, "R14:absent"),
];

#[test]
fn every_state_meets_everything_that_can_happen_as_the_protocol_says() {
    let mut written = BTreeSet::new();
    for (state, on, _) in PAIRS {
        assert!(written.insert((*state, *on)), "{state:?} {on:?} is written twice");
    }
    for state in State::ALL {
        for on in Happening::ALL {
            let told = |rule: &Rule| format!("{}:{}", rule.id, rule.next.map_or("", State::code));
            let found = rows(state, on).map(told).collect::<Vec<_>>().join(" ");
            let expected = PAIRS.iter().find(|pair| (pair.0, pair.1) == (state, on)).map_or("", |pair| pair.2);
            assert_eq!(found, expected, "{state:?} {on:?}");
        }
    }
}

#[test]
fn whoever_asks_is_told_and_whoever_stops_waiting_stops_asking() {
    for rule in RULES {
        let does = |effect| rule.effects.contains(&effect);
        assert_eq!(does(Effect::Ask), rule.next == Some(Draft), "{}: a draft is a query on its way", rule.id);
        assert_eq!(does(Effect::Await), rule.next == Some(Pend), "{}", rule.id);
        let ended = matches!(rule.next, Some(Nothing | Absent)) || rule.on.contains(&Happening::PeerGood);
        assert_eq!(does(Effect::Stop), ended, "{}: nothing goes on behind an end", rule.id);
    }
}

#[test]
fn only_rows_with_a_guard_have_others_behind_them() {
    for state in State::ALL {
        for on in Happening::ALL {
            let rows: Vec<&Rule> = rows(state, on).collect();
            for rule in rows.iter().take(rows.len().saturating_sub(1)) {
                assert!(rule.guard.is_some(), "{state:?} {on:?}: what follows {} is never reached", rule.id);
            }
        }
    }
}
