//! What people type, what they are answered, and how wrong input is told (CLI words `lift pay`, `lift clear`,
//! `lift list`).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::places::{World, user};
use serde_json::{Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::record::{Chad, Invoice};

fn pay(world: &mut World, order: Value) -> Result<Value, Fault> {
    world.net.sites[0].call("lift", "pay", order)
}

#[test]
fn an_invoice_is_paid_as_it_says_in_whatever_form_it_came() {
    let mut world = World::row(1, 3);
    let invoice = Invoice {
        units: Some(70),
        memo: Some("Six rolls".to_owned()),
        reference: Some(json!({ "inv": 9 })),
        ..Invoice::decal(world.chad(2))
    };
    for to in [json!(invoice.to_link()), json!(invoice.to_json().to_string()), invoice.to_json()] {
        let paid = pay(&mut world, json!({ "user": "u0", "to": to })).unwrap();
        assert_eq!((&paid["units"], &paid["state"]), (&json!(70), &json!("init.seek")));
        world.net.settle();
        let notices = world.net.sites[2].take_notices();
        let (_, told) = notices.iter().find(|(_, notice)| notice["about"] == "lift").unwrap();
        assert_eq!((&told["memo"], &told["ref"]["inv"]), (&json!("Six rolls"), &json!(9)));
        assert_eq!(told["other"]["cuid"], "u0");
    }
    assert_eq!(world.worth(2), 210);
}

#[test]
fn the_payors_words_take_the_place_of_the_invoices() {
    let mut world = World::row(2, 3);
    let link = Invoice { units: Some(70), memo: Some("A".to_owned()), ..Invoice::decal(world.chad(2)) }.to_link();
    let paid = pay(&mut world, json!({ "user": "u0", "to": link, "units": 60, "memo": "B" })).unwrap();
    assert_eq!(paid["units"], 60);
    let shown = world.net.sites[0].call("lift", "show", json!({ "lift": paid["lift"] })).unwrap();
    assert_eq!(shown["memo"], "B");
}

#[test]
fn wrong_input_is_told_by_the_argument_with_what_to_do_and_changes_nothing() {
    let mut world = World::row(3, 3);
    let to = world.chad(2).to_string();
    let own = world.chad(0).to_string();
    let agent = world.net.sites[2].address().to_string();
    let nobody = Chad::user("nobody", world.net.sites[2].agent()).to_string();
    let long = "x".repeat(20_000);
    let cases = [
        (json!({ "user": "u9", "to": to, "units": 1 }), "no user u9"),
        (json!({ "user": "u0", "to": to }), "no amount"),
        (json!({ "user": "u0", "to": to, "units": 0 }), "units: 0"),
        (json!({ "user": "u0", "to": to, "units": -5 }), "units: -5"),
        (json!({ "user": "u0", "to": "somebody", "units": 1 }), "to: "),
        (json!({ "user": "u0", "to": agent, "units": 1 }), "to: it names an agent"),
        (json!({ "user": "u0", "to": own, "units": 1 }), "u0 would pay u0"),
        (json!({ "user": "u0", "to": nobody, "units": 1 }), "there is no way"),
        (json!({ "user": "u0", "to": to, "units": 1, "memo": long }), "the lift would have"),
        (json!({ "user": "u0", "to": to, "units": 1, "life": 0 }), "life: 0 ms"),
        (json!({ "user": "u0", "to": to, "units": 1, "life": 1_500 }), "life: 1500 ms"),
        (json!({ "user": "u0", "to": to, "units": 1, "life": 3_601_000 }), "life: 3601000 ms"),
    ];
    for (order, text) in cases {
        let fault = pay(&mut world, order.clone()).unwrap_err();
        assert!(fault.text.contains(text), "{order}: {fault}");
    }
    assert_eq!((world.reserved(0), world.net.sites[0].rows("lift.lifts").len()), (0, 0));
}

#[test]
fn a_site_that_accepts_no_referee_says_so() {
    let mut world = World::row(4, 3);
    let referee = world.referee().to_string();
    world.net.sites[0].call("referee", "refuse", json!({ "chad": referee })).unwrap();
    let to = world.chad(2).to_string();
    let fault = pay(&mut world, json!({ "user": "u0", "to": to, "units": 1 })).unwrap_err();
    assert_eq!(fault.code, "no-referee");
    assert!(fault.fix.unwrap().contains("referee accept"));
}

#[test]
fn a_payor_whose_key_is_kept_elsewhere_is_told_so() {
    let mut world = World::row(5, 3);
    world.net.sites[0].add_user_elsewhere("far");
    let to = world.chad(2).to_string();
    let fault = pay(&mut world, json!({ "user": "far", "to": to, "units": 1 })).unwrap_err();
    assert_eq!(fault.code, "custody");
}

#[test]
fn a_payment_without_a_way_waits_for_the_route_and_sets_out_when_it_is_told() {
    let mut world = World::row(6, 3);
    let mallory = Chad::user("u2", kit::stranger().id().clone()).at("localhost", 65400);
    let paid = pay(&mut world, json!({ "user": "u0", "to": mallory.to_string(), "units": 5 })).unwrap();
    assert_eq!((&paid["state"], world.told(0)), (&json!("draft.init"), vec!["want".to_owned()]));
    let edge = json!({ "tally": kit::places::tally(0), "by": "stock", "sign": -1, "halves": [user(0)] });
    let via = json!({ "user": user(0), "tally": kit::places::tally(0) });
    let to = json!({ "cuid": "u2", "agent": mallory.agent });
    world.way(0, json!({ "from": { "user": user(0) }, "to": to, "edges": [edge], "via": via }));
    let told = json!({ "find": { "cuid": "u2", "agent": mallory.agent, "host": "h", "port": 1 }, "status": "good" });
    world.net.sites[0].call("route", "tell", told).unwrap();
    world.net.pass(0);
    let state = world.state(0, paid["lift"].as_str().unwrap());
    assert_eq!(state, "init.seek");
}

#[test]
fn a_lift_is_named_by_its_first_digits_and_its_state_says_what_may_be_waited_for() {
    let mut world = World::row(7, 3);
    let lift = world.pay(100);
    world.net.settle();
    let state = world.net.sites[0].call("lift", "state", json!({ "lift": lift[..8] })).unwrap();
    assert_eq!(state["wait"], json!(["good", "found", "promised", "arrived"]));
    let fault = world.net.sites[0].call("lift", "state", json!({ "lift": "zz" })).unwrap_err();
    assert_eq!(fault.code, "no-such-lift");
    assert_eq!(world.net.sites[0].call("lift", "list", json!({})).unwrap(), json!([]));
}

#[test]
fn a_list_goes_on_where_the_page_before_ended() {
    let mut world = World::row(8, 3);
    world.net.isolate(0);
    let mut lifts: Vec<String> = (0..5).map(|_| world.pay(10)).collect();
    let (mut seen, mut from) = (Vec::new(), None);
    for rows in [2, 2, 1] {
        let page = world.net.sites[0].call("lift", "list", json!({ "limit": 2, "from": from })).unwrap();
        let page = page.as_array().unwrap();
        assert_eq!(page.len(), rows);
        seen.extend(page.iter().map(|lift| lift["lift"].as_str().unwrap().to_owned()));
        from = page.last().map(|lift| lift["name"].clone());
    }
    lifts.sort();
    seen.sort();
    assert_eq!(seen, lifts);
}

#[test]
fn clearing_looks_for_routes_where_it_knows_no_circle() {
    let mut world = World::row(9, 3);
    let cleared = world.net.sites[1].call("lift", "clear", json!({})).unwrap();
    assert_eq!(cleared, json!({ "begun": [], "searched": 1 }), "of two tallies value comes in by one");
    assert_eq!(world.told(1), ["want"]);
}

#[test]
fn a_payment_whose_search_has_failed_is_given_up_at_once() {
    let mut world = World::row(8, 3);
    let mallory = Chad::user("u2", kit::stranger().id().clone()).at("localhost", 65400);
    let paid = pay(&mut world, json!({ "user": "u0", "to": mallory.to_string(), "units": 5 })).unwrap();
    let lift = paid["lift"].as_str().unwrap();
    let find = json!({ "cuid": "u2", "agent": mallory.agent });
    // Another search is still under way.
    world.net.sites[0].call("route", "tell", json!({ "find": find, "status": "good" })).unwrap();
    world.net.pass(0);
    assert_eq!(world.state(0, lift), "draft.init");
    world.net.sites[0].call("route", "tell", json!({ "find": find, "status": "none" })).unwrap();
    world.net.pass(0);
    assert_eq!(world.state(0, lift), "void");
    assert_eq!(world.notices(0).last().unwrap().1, "noroute");
}
