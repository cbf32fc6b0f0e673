//! What is kept and for how long, what has a bound, and what no change may break.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::bench::bench;
use kit::places::{World, tally};
use serde_json::json;
use tallyho_lift::record::{Boundary, Edge, Lift, Role, Ruling};
use tallyho_lift::state::State;
use tallyho_lift::table::RULES;
use tallyho_lift::{invariants, limits};
use tallyho_plugin::record::{Chad, LiftCore, Pledge, Side, Timestamp};

/// A day in milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

#[test]
fn a_lift_that_has_ended_is_kept_for_thirty_days_and_let_go_after_that() {
    let mut world = World::row(1, 3);
    let lift = world.pay(100);
    world.net.settle();
    world.net.calm(30 * DAY);
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
    world.net.calm(2 * DAY);
    assert_eq!(world.states(&lift), ["none", "none", "none"]);
    for table in ["lifts", "names", "open", "counts", "ending", "tombs", "waiting", "heard"] {
        assert_eq!(world.net.sites[1].rows(&format!("lift.{table}")).len(), 0, "{table}");
    }
}

#[test]
fn a_release_is_remembered_until_a_minute_after_expiry() {
    let mut bench = bench(2);
    bench.core["ref"]["agent"] = json!(kit::stranger().id());
    let object = bench.valid();
    let answer = bench.promise(&object);
    assert_eq!(answer.len(), 1);
    assert_eq!(bench.world.net.sites[1].rows("lift.tombs").len(), 1);
    bench.world.net.calm(179_000);
    assert_eq!(bench.promise(&object), answer, "the same answer (I6)");
    bench.world.net.calm(15 * 60_000);
    assert_eq!(bench.world.net.sites[1].rows("lift.tombs").len(), 0);
}

#[test]
fn a_partner_gets_no_more_lifts_under_way_over_one_tally_than_its_share() {
    let mut bench = bench(3);
    bench.world.net.sites[1].write("lift.counts", tally(5).as_bytes(), &json!(limits::OPEN_ON_TALLY - 1));
    let object = bench.valid();
    assert_eq!(bench.promise(&object)[0].0, "promise", "the last one");
    bench.core["lift"] = "5e2d9a54-8f1b-4c0e-a1d2-000000000002".into();
    let object = bench.valid();
    let answer = bench.promise(&object);
    assert_eq!((&*answer[0].0, &answer[0].1["why"]), ("fail", &json!("policy")));
}

#[test]
fn where_no_more_releases_can_be_remembered_none_is_given() {
    let mut bench = bench(4);
    bench.world.net.sites[1].write("lift.book", b"site", &json!({ "open": 0, "tombs": limits::TOMBSTONES }));
    bench.core["units"] = 5_000.into();
    let object = bench.valid();
    assert_eq!(bench.promise(&object), []);
    assert_eq!(bench.world.net.sites[1].metric("lift", "unanswered"), 1);
}

#[test]
fn a_site_full_of_lifts_begins_no_more() {
    let mut world = World::row(5, 3);
    world.net.sites[0].write("lift.book", b"site", &json!({ "open": limits::OPEN, "tombs": 0 }));
    let to = world.chad(2).to_string();
    let fault = world.net.sites[0].call("lift", "pay", json!({ "user": "u0", "to": to, "units": 1 })).unwrap_err();
    assert_eq!(fault.code, "busy");
    assert_eq!(world.reserved(0), 0);
}

/// A lift that a relay has promised on.
fn pending() -> Lift {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/records.json"));
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    let core = LiftCore::parse(vectors["lift"].clone()).unwrap();
    let agent = core.org().agent.clone();
    let at = |number: usize| Boundary {
        user: "bob".to_owned(),
        tally: tally(number),
        side: Side::Stock,
        partner: Chad::user("zoe", agent.clone()),
    };
    let edge = |number: usize| Edge { tally: tally(number), by: Side::Stock, sign: -1, halves: vec!["bob".to_owned()] };
    let pledge = |number: usize| Pledge::new(agent.clone(), Side::Stock, &core, tally(number));
    let (received, given) = (Some(pledge(0)), Some(pledge(1)));
    let mut lift = Lift::new(core.clone(), Role::Relay, Timestamp(0));
    lift.state = State::Pend;
    (lift.bottom, lift.top, lift.edges) = (Some(at(0)), Some(at(1)), vec![edge(0), edge(1)]);
    (lift.received, lift.given, lift.left) = (received, given, true);
    lift
}

#[test]
fn a_change_that_breaks_an_invariant_is_a_fault_that_names_it() {
    let rule = RULES.iter().find(|rule| rule.id == "L31").unwrap();
    let fails = RULES.iter().find(|rule| rule.id == "L28").unwrap();
    let before = pending();
    let broken = |change: &dyn Fn(&mut Lift), rule| {
        let mut after = pending();
        change(&mut after);
        invariants::check(Some(&before), &after, rule).map_err(|fault| fault.text[..2].to_owned())
    };
    let ruling = |valid| Some(Ruling { valid, signed: String::new() });
    assert_eq!(broken(&|_| {}, rule), Ok(()));
    assert_eq!(broken(&|lift| lift.state = State::Released, rule), Err("I1".to_owned()));
    assert_eq!(broken(&|lift| lift.state = State::Good, rule), Err("I2".to_owned()));
    assert_eq!(broken(&|lift| (lift.state, lift.ruling) = (State::Good, ruling(false)), rule), Err("I2".to_owned()));
    assert_eq!(broken(&|lift| (lift.state, lift.ruling) = (State::Void, ruling(true)), rule), Err("I1".to_owned()));
    assert_eq!(broken(&|lift| lift.received = None, rule), Err("I3".to_owned()));
    assert_eq!(broken(&|lift| drop(lift.edges.pop()), rule), Err("I3".to_owned()));
    assert_eq!(broken(&|lift| lift.top = None, rule), Err("I3".to_owned()));
    let released = |lift: &mut Lift| (lift.state, lift.released) = (State::Released, true);
    assert_eq!(broken(&released, fails), Err("I6".to_owned()));
    assert_eq!(broken(&released, rule), Ok(()));
    let good = Lift { state: State::Good, ruling: ruling(true), ..pending() };
    let fault = invariants::check(Some(&good), &pending(), rule).unwrap_err();
    assert!(fault.text.starts_with("final"), "{fault}");
    assert!(invariants::may_release(&pending()).unwrap_err().text.starts_with("I4"));
    assert!(invariants::may_release(&Lift { released: true, ..pending() }).is_ok());
}

/// I1 at work: a record that says otherwise stops its event, not the site.
#[test]
fn an_event_that_would_break_an_invariant_has_no_effect() {
    let mut bench = bench(6);
    let object = bench.valid();
    bench.promise(&object);
    let key = bench.world.net.sites[1].rows("lift.lifts").into_keys().next().unwrap();
    let mut row = bench.world.net.sites[1].rows("lift.lifts").remove(&key).unwrap();
    // The pledge we hold is gone, as damage would have it.
    (row["received"], row["state"]) = (json!(null), json!("Pend"));
    bench.world.net.sites[1].write("lift.lifts", &key, &row);
    // Long overdue: the timer's event fails, and is tried again later.
    bench.world.net.pass(300_000);
    let after = bench.world.net.sites[1].rows("lift.lifts").remove(&key).unwrap();
    assert_eq!(after, row, "nothing was written");
    assert_eq!(bench.world.reserved(1), 200);
}
