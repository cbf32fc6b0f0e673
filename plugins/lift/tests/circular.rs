//! Debts that go round in a circle, and lifts that stay inside one site.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::places::{TARGET, World, tally, user};
use serde_json::json;

#[test]
fn a_circle_of_three_sites_is_cleared_and_nobody_is_worth_more_or_less() {
    let mut world = World::ring(1, 3);
    let lift = world.clear();
    world.net.settle();
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
    world.net.calm(60_000);
    for place in 0..3 {
        assert_eq!((world.worth(place), world.reserved(place)), (0, 0), "site {place}");
        // Each holds the foil on the tally before, and issued on its own.
        assert_eq!(world.half(place, place)["net"], -TARGET, "as much as the circle carries");
        assert_eq!(world.half(place, (place + 2) % 3)["net"], TARGET);
        assert_eq!(world.half(place, place)["stat"], "con");
    }
    assert_eq!(world.net.take_refusals(), []);
}

#[test]
fn the_arrival_and_the_ruling_of_a_circle_go_over_the_closing_tally() {
    let mut world = World::ring(2, 4);
    world.clear();
    world.net.story.clear();
    world.net.settle();
    let said = |place: usize, action: &str| {
        world.net.story.iter().filter(|(from, said)| *from == place && *said == format!("lift/{action}")).count()
    };
    assert_eq!([0, 1, 2, 3].map(|place| said(place, "promise")), [1, 1, 1, 0]);
    assert_eq!((said(3, "term"), said(0, "commit"), said(4, "status")), (1, 1, 1));
    assert_eq!([0, 1, 2, 3].map(|place| said(place, "good")), [1, 1, 1, 1], "down, round to O itself");
}

#[test]
fn a_terminus_without_capacity_on_the_closing_tally_gives_the_pledge_back() {
    let mut world = World::ring(3, 3);
    let lift = world.clear();
    // Meanwhile the closing tally takes no more.
    let order = json!({ "tally": tally(2), "user": user(0), "settings": { "target": 0, "bound": 0 } });
    world.net.sites[0].call("chit", "set", order).unwrap();
    world.net.settle();
    assert_eq!(world.states(&lift), ["void", "void", "void"]);
    for place in 0..3 {
        assert_eq!((world.worth(place), world.reserved(place)), (0, 0), "site {place}");
    }
    assert!(world.told(0).contains(&"route.fail".to_owned()), "R12");
}

#[test]
fn a_plan_for_somebody_else_is_not_followed() {
    let mut world = World::ring(4, 3);
    let lift = world.clear();
    // The plan is sealed under the lift's own uuid: taken over into another lift it cannot be read.
    let core = world.core(0, &lift);
    let plan = core.plan().unwrap().to_owned();
    let opened = |site: &mut tallyho_plugin::testkit::Site, prologue: &str| {
        site.call("route", "unseal", json!({ "prologue": prologue, "sealed": plan })).unwrap()["text"].is_string()
    };
    assert!(opened(&mut world.net.sites[2], core.uuid()));
    assert!(!opened(&mut world.net.sites[2], &tally(9)), "another prologue");
    assert!(!opened(&mut world.net.sites[1], core.uuid()), "another agent");
}

#[test]
fn a_payment_inside_one_site_is_good_at_once_and_the_site_is_its_own_referee() {
    let mut world = World::row(5, 3);
    // A second user at the first site, who has the stock of a tally with the first.
    world.net.sites[0].add_user("ann");
    let cert = |world: &World, user: &str| world.net.sites[0].certificate(user);
    let core = json!({
        "version": 1, "revision": 1, "uuid": tally(7), "date": "2021-11-03T20:05:00.125Z", "memo": "", "agree": "A",
        "stock": { "cert": cert(&world, "u0"), "terms": {} }, "foil": { "cert": cert(&world, "ann"), "terms": {} },
    });
    let hash = tallyho_plugin::record::hash_text(&tallyho_plugin::record::canonical(&core).unwrap());
    for (holder, side, other) in [("u0", "stock", "ann"), ("ann", "foil", "u0")] {
        let half = json!({
            "state": "open", "status": "open", "closing": false, "conf": 0, "side": side, "core": core, "hash": hash,
            "partner": world.net.sites[0].chad(other), "holder": holder, "uuid": tally(7),
        });
        let put = json!({ "user": holder, "uuid": tally(7), "half": half });
        world.net.sites[0].call("tally", "put", put).unwrap();
    }
    let order = json!({ "tally": tally(7), "user": "ann", "settings": { "target": 50 } });
    world.net.sites[0].call("chit", "set", order).unwrap();
    world.net.calm(60_000);
    let edge = json!({ "tally": tally(7), "by": "stock", "sign": -1, "halves": ["u0", "ann"] });
    world.way(0, json!({ "from": { "user": "u0" }, "to": { "user": "ann" }, "edges": [edge], "via": null }));
    world.notices(0);
    let to = world.net.sites[0].chad("ann").to_string();
    let paid = world.net.sites[0].call("lift", "pay", json!({ "user": "u0", "to": to, "units": 50 })).unwrap();
    assert_eq!(paid["state"], "good");
    assert_eq!(world.notices(0), [("u0".into(), "good".into()), ("ann".into(), "good".into())]);
    world.net.calm(60_000);
    let half = |world: &World, holder: &str| {
        let key = [tally(7).as_bytes(), b"\0", holder.as_bytes()].concat();
        world.net.sites[0].rows("chit.halves").remove(&key).unwrap()
    };
    assert_eq!((&half(&world, "u0")["net"], &half(&world, "ann")["net"]), (&json!(-50), &json!(50)));
    assert_eq!((&half(&world, "u0")["stat"], &half(&world, "ann")["stat"]), (&json!("con"), &json!("con")));
    let core = world.core(0, paid["lift"].as_str().unwrap());
    assert_eq!(core.referee().agent, world.net.sites[0].agent());
}
