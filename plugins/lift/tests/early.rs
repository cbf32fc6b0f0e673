//! Rulings that come before the lift has arrived: an originator that does not wait harms itself and those who share
//! a tally with it, and nobody else (PROTOCOL 9.6, 9.7 L9, L20, L20b).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::places::World;
use kit::{ruling, stranger};
use serde_json::json;

/// Minutes in milliseconds.
const MINUTE: i64 = 60_000;

/// L20b: the originator asks for the ruling before anything has arrived.
#[test]
fn a_relay_that_has_not_pledged_yet_keeps_what_it_was_pledged() {
    let mut world = World::row(13, 3);
    let key = stranger();
    world.with_own_referee(&key);
    world.net.isolate(2);
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.state(1, &lift), "draft.relay");
    let core = world.core(1, &lift);
    world.bring(1, &ruling(&core, &key, true));
    // Whether the promise has left is known to the transport alone.
    assert_eq!(world.state(1, &lift), "draft.relay");
    world.net.calm(60_000);
    assert_eq!(world.state(1, &lift), "good");
    assert_eq!((world.worth(1), world.reserved(1)), (100, 0), "paid by the one before, and it owes the next nothing");
    world.net.heal();
    world.net.calm(10 * MINUTE);
    assert_eq!((world.worth(1), world.worth(2), world.reserved(2)), (100, 0, 0));
}

#[test]
fn a_relay_that_has_pledged_pays_though_the_ruling_came_before_the_transports_word() {
    let mut world = World::row(20, 3);
    let key = stranger();
    world.with_own_referee(&key);
    world.net.isolate(2);
    let lift = world.pay(100);
    world.net.settle();
    let core = world.core(1, &lift);
    world.bring(1, &ruling(&core, &key, true));
    world.net.heal();
    world.net.calm(60_000);
    assert_eq!(world.states(&lift)[1..], ["good", "good"]);
    assert_eq!([1, 2].map(|place| (world.worth(place), world.reserved(place))), [(0, 0), (100, 0)]);
}

/// L9 for a circle whose originator has the ruling before the arrival: the terminus has done its part already.
#[test]
fn a_circle_ruled_before_its_arrival_was_heard_is_good_by_the_closing_tallys_own_chit() {
    let mut world = World::ring(19, 3);
    let key = stranger();
    world.with_own_referee(&key);
    world.net.swallow(2, "lift/term");
    let lift = world.clear();
    world.net.settle();
    assert_eq!(world.states(&lift), ["seek", "pend", "pend"]);
    world.net.take_refusals();
    let core = world.core(0, &lift);
    world.bring(2, &ruling(&core, &key, true));
    world.net.calm(60_000);
    assert_eq!(world.net.take_refusals(), []);
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
    assert_eq!([0, 1, 2].map(|place| (world.worth(place), world.reserved(place))), [(0, 0); 3]);
}

/// The promise to the payee's site got lost each time, and that site accepts no referee. The relay that made it owes by
/// it all the same; whoever is paid so owes nothing for it.
#[test]
fn who_never_heard_the_promise_and_accepts_no_referee_takes_the_chit() {
    let mut world = World::row(21, 3);
    let key = stranger();
    world.with_own_referee(&key);
    let chad = format!("{}@localhost:65440", key.id());
    world.net.sites[2].call("referee", "refuse", json!({ "chad": chad })).unwrap();
    world.net.swallow(1, "lift/promise");
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.states(&lift), ["seek", "pend", "none"]);
    let core = world.core(1, &lift);
    world.bring(1, &ruling(&core, &key, true));
    world.net.calm(30 * MINUTE);
    assert_eq!(world.states(&lift), ["good", "good", "none"]);
    let worth = |place: usize| (world.worth(place), world.reserved(place));
    assert_eq!([0, 1, 2].map(worth), [(-100, 0), (0, 0), (100, 0)]);
    let (stock, foil) = (world.half(1, 1), world.half(2, 1));
    assert_eq!((&stock["stat"], &foil["stat"]), (&json!("con"), &json!("con")));
    assert_eq!(stock["tip"], foil["tip"]);
}
