//! Payments over other people's tallies (PROTOCOL 9.9): whole lifts from payor to payee.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::places::{TARGET, World, user};

#[test]
fn a_payment_over_one_relay_reaches_the_payee_and_costs_the_relay_nothing() {
    let mut world = World::row(1, 3);
    let lift = world.pay(400);
    assert_eq!(world.state(0, &lift), "init.seek");
    world.net.settle();
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
    world.net.calm(60_000);
    assert_eq!([0, 1, 2].map(|place| world.worth(place)), [-400, 0, 400]);
    assert_eq!([0, 1, 2].map(|place| world.reserved(place)), [0, 0, 0]);
    for (place, number) in [(0, 0), (1, 0), (1, 1), (2, 1)] {
        let half = world.half(place, number);
        assert_eq!((&half["stat"], &half["end"]), (&"con".into(), &2.into()), "{place} {number}");
    }
    assert_eq!(world.half(0, 0)["tip"], world.half(1, 0)["tip"], "both sites have built the same chit");
    assert_eq!(world.net.take_refusals(), []);
}

#[test]
fn payor_and_payee_are_told_of_it_and_of_what_it_was_for() {
    let mut world = World::row(2, 3);
    world.notices(0);
    world.pay(400);
    world.net.settle();
    let told: Vec<String> = world.notices(0).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(told, ["found", "promised", "arrived", "good"]);
    assert_eq!(world.notices(1), [], "a relay's user has gained and lost nothing");
    let payee = world.net.sites[2].take_notices();
    let (whom, notice) = payee.iter().find(|(_, notice)| notice["about"] == "lift").unwrap();
    assert_eq!((whom, &notice["status"], &notice["memo"]), (&user(2), &"good".into(), &"Rye loaf".into()));
    assert_eq!((&notice["ref"]["inv"], &notice["units"]), (&1.into(), &400.into()));
}

#[test]
fn a_payment_may_pass_four_relays_and_each_tells_its_route() {
    let mut world = World::row(3, 6);
    let lift = world.pay(TARGET);
    world.net.settle();
    assert!(world.states(&lift).iter().all(|state| state == "good"), "{:?}", world.states(&lift));
    let told: Vec<_> = (0..6).map(|place| world.told(place)).collect();
    assert_eq!(told[..4], vec![vec!["route.good".to_owned()]; 4], "R11");
    assert!(told[4].is_empty() && told[5].is_empty(), "the payee's neighbour needs no route");
    let more = world.pay(1);
    assert_eq!(world.state(0, &more), "draft.init", "the way is full, and another one is looked for");
    world.net.calm(120_000);
    assert_eq!(world.state(0, &more), "void");
    assert_eq!(world.reserved(0), 0);
}
