//! An originator whose promise is given back tries another exit by itself (PROTOCOL 9.7 L7).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::places::{World, tally, user};
use serde_json::{Value, json};

/// Adds tally 8 from site 0 to site 2, past site 1, which does not take lifts of this referee any more.
fn past_the_relay(world: &mut World) {
    world.open(8, 0, 2);
    let settings = json!({ "tally": tally(8), "user": user(2), "settings": { "target": 500 } });
    world.net.sites[2].call("chit", "set", settings).unwrap();
    let edge = |number: usize, holder: usize| json!({ "tally": tally(number), "by": "stock", "sign": -1, "halves": [user(holder)] });
    let last = world.chad(2);
    let to = json!({ "cuid": last.cuid, "agent": last.agent });
    let via = json!({ "user": user(0), "tally": tally(8) });
    world.way(0, json!({ "from": { "user": user(0) }, "to": to, "edges": [edge(8, 0)], "via": via }));
    let closing = json!({ "user": user(0), "tally": tally(2) });
    world.way(0, json!({ "from": closing, "to": to, "edges": [edge(2, 0), edge(8, 0)], "via": via }));
    let arrives = json!({ "user": user(2), "tally": tally(8) });
    world.way(2, json!({ "from": arrives, "to": { "user": user(2) }, "edges": [edge(8, 2)], "via": null }));
    world.net.calm(60_000);
    unwilling(world);
}

/// Site 1 gives back what it is promised.
fn unwilling(world: &mut World) {
    let referee = world.referee().to_string();
    world.net.sites[1].call("referee", "refuse", json!({ "chad": referee })).unwrap();
    world.notices(0);
}

fn shown(world: &mut World, lift: &str) -> Value {
    world.net.sites[0].call("lift", "show", json!({ "lift": lift })).unwrap()
}

#[test]
fn a_payment_that_is_given_back_goes_by_another_exit_and_is_one_payment_to_whoever_asks() {
    let mut world = World::row(1, 3);
    past_the_relay(&mut world);
    let lift = world.pay(100);
    world.net.settle();
    let first = shown(&mut world, &lift);
    assert_eq!((&first["state"], &first["why"]), (&json!("void"), &json!("referee")));
    let next = first["instead"].as_str().unwrap().to_owned();
    assert_eq!((shown(&mut world, &next)["instead_of"].as_str(), world.state(2, &next)), (Some(&*lift), "good".into()));
    // Who waits for the first waits for the second.
    let state = world.net.sites[0].call("lift", "state", json!({ "lift": lift })).unwrap();
    assert_eq!((&state["state"], &state["lift"]), (&json!("good"), &json!(next)));
    world.net.calm(60_000);
    assert_eq!([0, 1, 2].map(|place| world.worth(place)), [-100, 0, 100], "once");
    assert_eq!([0, 1, 2].map(|place| world.reserved(place)), [0, 0, 0]);
    let notices = world.net.sites[0].take_notices();
    let told: Vec<(&str, &str)> = notices
        .iter()
        .filter(|(_, notice)| notice["about"] == "lift")
        .map(|(_, notice)| (notice["reason"].as_str().unwrap(), notice["status"].as_str().unwrap()))
        .collect();
    let expected = [
        ("found", "pend"),
        ("promised", "pend"),
        ("fail", "pend"),
        ("found", "pend"),
        ("promised", "pend"),
        ("arrived", "pend"),
        ("good", "good"),
    ];
    assert_eq!(told, expected, "nobody is told that it is void");
}

#[test]
fn a_clearing_that_is_given_back_goes_round_another_way() {
    let mut world = World::ring(2, 3);
    past_the_relay(&mut world);
    let lift = world.clear();
    world.net.settle();
    let units = shown(&mut world, &lift)["units"].as_i64().unwrap();
    assert!(units > 500, "more than the other way carries, so that it cannot go there");
    assert_eq!(world.state(0, &lift), "void");
    // Of as much as the other way carries.
    let order = json!({ "tally": tally(8), "user": user(2), "settings": { "target": 5_000 } });
    world.net.sites[2].call("chit", "set", order).unwrap();
    world.net.calm(60_000);
    let lift = world.clear();
    world.net.settle();
    assert_eq!((shown(&mut world, &lift)["state"].as_str(), world.state(0, &lift)), (Some("void"), "good".into()));
    world.net.calm(60_000);
    assert_eq!([0, 1, 2].map(|place| (world.worth(place), world.reserved(place))), [(0, 0); 3]);
}

#[test]
fn where_there_is_no_other_exit_it_is_void() {
    let mut world = World::row(3, 3);
    unwilling(&mut world);
    let lift = world.pay(100);
    world.net.settle();
    let first = shown(&mut world, &lift);
    assert_eq!((&first["state"], &first["instead"]), (&json!("void"), &Value::Null));
    assert_eq!(world.notices(0).last().unwrap().1, "fail");
    assert_eq!(world.net.sites[0].rows("lift.lifts").len(), 1);
}

#[test]
fn what_comes_back_too_late_is_not_tried_again() {
    let mut world = World::row(4, 3);
    past_the_relay(&mut world);
    world.net.cut(0, 1);
    let lift = world.pay(100);
    world.net.calm(110_000);
    assert_eq!(world.state(0, &lift), "init.seek");
    world.net.heal();
    world.net.settle();
    assert_eq!(shown(&mut world, &lift)["instead"], Value::Null);
    assert_eq!(world.state(0, &lift), "void");
}
