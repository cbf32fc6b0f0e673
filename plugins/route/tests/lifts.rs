//! What lift handlers ask of routes, and hear of them (PROTOCOL 8.4 R1, R5, R6, R11, R12, 9.3).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::net::*;
use kit::others::{Lifts, Tallies};
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::record::Chad;
use tallyho_plugin::testkit::Site;
use tallyho_route::{Route, limits};

/// User a with exits 1 to 4 towards out1 to out4, through which 10, 20, 30 and 40 fit, and below a tally 9.
fn fan() -> Site {
    let mut site = Site::new(1).with::<Tallies>().with::<Lifts>().with::<Route>().user("a");
    site.call("route", "settings", json!({ "autoquery": "off" })).unwrap();
    let a = site.chad("a");
    for number in 1..=4 {
        let tally = Tally::new(number, &a, &stranger(&format!("out{number}")), i64::from(number) * 10);
        relate(&mut site, &tally);
        tally.open(&mut site);
    }
    let below = Tally::new(9, &stranger("in"), &a, 50);
    relate(&mut site, &below);
    below.open(&mut site);
    site.fire_timers();
    site
}

fn far() -> Chad {
    Chad::user("far", nowhere())
}

/// What a lift handler gets.
fn ask(site: &mut Site, command: &str, argument: Value) -> Value {
    site.call("lift", "ask", json!({ "command": command, "argument": argument })).unwrap()
}

fn want(site: &mut Site) -> Value {
    ask(site, "route.want", json!({ "user": "a", "find": far().to_value() }))["status"].clone()
}

fn good(site: &mut Site, number: u32, lading: (i64, f64)) {
    let lading = json!({ "min": lading.0, "max": lading.0, "margin": lading.1, "reward": 0.0 });
    says(site, &stranger(&format!("out{number}")), "a", number, "good", &far(), json!({ "lading": lading }));
}

fn none(site: &mut Site, number: u32) {
    says(site, &stranger(&format!("out{number}")), "a", number, "none", &far(), json!({}));
}

fn over_routes(site: &mut Site, more: Value) -> Vec<Value> {
    let mut argument = json!({ "from": { "user": "a" }, "to": far().to_value() });
    more.as_object().unwrap().iter().for_each(|(name, value)| argument[name] = value.clone());
    ask(site, "path.find", argument)["paths"].as_array().unwrap().clone()
}

#[test]
fn a_wanted_route_that_becomes_good_is_told_and_the_last_that_fails() {
    let mut site = fan();
    assert_eq!(want(&mut site), "pend");
    assert_eq!(sent(&mut site).len(), 4);
    none(&mut site, 1);
    none(&mut site, 2);
    good(&mut site, 3, (5, 0.0));
    assert_eq!(told(&site), ["good"], "others may still come, so a failure is none");
    assert_eq!(want(&mut site), "good");
    none(&mut site, 4);
    assert_eq!(told(&site), ["good"]);
    none(&mut site, 3);
    assert_eq!(told(&site), ["good", "none"]);
    let row = site.rows(kit::others::TOLD).into_values().next_back().unwrap();
    assert_eq!(row, json!({ "find": far().to_value(), "status": "none" }));
    assert_eq!(want(&mut site), "none", "what has just failed is not tried again");
    site.advance(limits::LIFE + 1);
    assert_eq!(want(&mut site), "pend");
}

#[test]
fn what_nobody_lifts_over_is_told_to_no_lift() {
    let mut site = fan();
    seek(&mut site, "a", &far()).unwrap();
    good(&mut site, 3, (5, 0.0));
    assert_eq!(told(&site), [""; 0]);
}

#[test]
fn without_a_lift_handler_nothing_fails() {
    let mut site = Site::new(1).with::<Tallies>().with::<Route>().user("a");
    let a = site.chad("a");
    let tally = Tally::new(3, &a, &stranger("out3"), 10);
    relate(&mut site, &tally);
    tally.open(&mut site);
    let argument = json!({ "user": "a", "find": far().to_value() });
    site.call("route", "route.want", argument).unwrap();
    good(&mut site, 3, (5, 0.0));
    assert_eq!(states(&mut site), ["3 far good"]);
}

#[test]
fn a_circular_need_is_wanted_from_the_tally_below() {
    let mut site = fan();
    let find = stranger("in").to_value();
    for argument in [json!({ "user": "a", "tally": uuid(9), "find": find }), json!({ "tally": uuid(9), "find": find })]
    {
        assert_eq!(ask(&mut site, "route.want", argument)["status"], "pend");
    }
    assert_eq!(sent(&mut site).len(), 4, "over each exit once, and not over the tally below");
    let nowhere = ask(&mut site, "route.want", json!({ "tally": uuid(77), "find": find }));
    assert_eq!(nowhere["status"], "none");
    let fault = site.call("route", "route.want", json!({ "find": find })).unwrap_err();
    assert_eq!(fault.kind, tallyho_plugin::FaultKind::Usage);
}

#[test]
fn what_needs_no_route_is_good_at_once() {
    let mut site = fan().user("b");
    let b = site.chad("b");
    Tally::new(5, &site.chad("a"), &b, 10).open(&mut site);
    for find in [b, stranger("out2")] {
        let argument = json!({ "user": "a", "find": find.to_value() });
        assert_eq!(ask(&mut site, "route.want", argument)["status"], "good", "{find}");
    }
    assert_eq!(sent(&mut site), [""; 0]);
}

#[test]
fn paths_over_routes_come_by_margin_then_by_what_they_carry() {
    let mut site = fan();
    want(&mut site);
    good(&mut site, 1, (99, 0.01));
    good(&mut site, 2, (99, 0.0));
    good(&mut site, 3, (15, 0.0));
    let paths = over_routes(&mut site, json!({}));
    assert_eq!(ways(&paths), [[2], [3], [1]]);
    assert_eq!(paths[0]["via"], json!({ "user": "a", "tally": uuid(2) }));
    assert_eq!((&paths[0]["lading"]["min"], &paths[0]["fresh"]), (&json!(20), &json!(true)));
    assert_eq!(paths[1]["lading"]["min"], 15);
    assert_eq!(ways(&over_routes(&mut site, json!({ "limit": 2 }))), [[2], [3]]);
    assert_eq!(ways(&over_routes(&mut site, json!({ "avoid": [uuid(2)] }))), [[3], [1]]);
    let from_below = json!({ "from": { "user": "a", "tally": uuid(9) } });
    assert_eq!(ways(&over_routes(&mut site, from_below)), [[9, 2], [9, 3], [9, 1]]);
}

#[test]
fn with_units_the_route_must_carry_them_at_par_too() {
    let mut site = fan();
    want(&mut site);
    good(&mut site, 1, (99, 0.01));
    good(&mut site, 2, (99, 0.0));
    good(&mut site, 3, (15, 0.0));
    for (units, expected) in [(15, vec![[2], [3]]), (16, vec![[2]]), (20, vec![[2]]), (21, vec![])] {
        assert_eq!(ways(&over_routes(&mut site, json!({ "units": units }))), expected, "{units}");
    }
}

#[test]
fn partners_go_before_routes_and_stale_routes_do_as_well() {
    let mut site = fan();
    let a = site.chad("a");
    want(&mut site);
    good(&mut site, 4, (99, -0.5));
    let tally = Tally::new(6, &a, &far(), 1).set(json!({ "clutch": 0.5 }), json!({}));
    relate(&mut site, &tally);
    tally.open(&mut site);
    let paths = over_routes(&mut site, json!({}));
    assert_eq!(ways(&paths), [[6], [4]]);
    assert_eq!(paths[0].get("fresh"), None);
    site.advance(limits::LIFE + 1);
    assert_eq!(over_routes(&mut site, json!({}))[1]["fresh"], false);
}

#[test]
fn a_lift_over_a_route_keeps_it_fresh_or_ends_it() {
    let mut site = fan();
    want(&mut site);
    good(&mut site, 3, (5, 0.0));
    let about = |number: u32| json!({ "via": { "user": "a", "tally": uuid(number) }, "find": far().to_value() });
    site.advance(limits::LIFE + 1);
    assert_eq!(ask(&mut site, "route.good", about(3))["done"], true);
    assert!(states(&mut site).contains(&"3 far good".to_owned()));
    assert_eq!(site.call("route", "list", json!({})).unwrap()[2]["lifts"], 1);
    assert_eq!(ask(&mut site, "route.good", about(1))["done"], false, "it was never good");
    assert_eq!(ask(&mut site, "route.fail", about(3))["done"], true);
    assert!(states(&mut site).contains(&"3 far none".to_owned()));
    assert_eq!(ask(&mut site, "route.fail", about(3))["done"], false);
    assert_eq!(ask(&mut site, "route.fail", about(77))["done"], false);
    assert_eq!(told(&site), ["good"], "a lift handler knows what it has said itself");
}

#[test]
fn of_many_exits_ten_are_asked_at_a_time() {
    let mut site = Site::new(1).with::<Tallies>().with::<Lifts>().with::<Route>().user("a");
    site.call("route", "settings", json!({ "autoquery": "off" })).unwrap();
    let a = site.chad("a");
    for number in 1..=25 {
        let tally = Tally::new(number, &a, &stranger(&format!("out{number}")), 10);
        relate(&mut site, &tally);
        tally.open(&mut site);
    }
    want(&mut site);
    let first = sent(&mut site);
    assert_eq!(first.len(), limits::MAXQUERY);
    want(&mut site);
    assert_eq!(sent(&mut site), [""; 0], "these are under way");
    (1..=25).for_each(|number| none(&mut site, number));
    want(&mut site);
    let next = sent(&mut site);
    assert_eq!(next.len(), limits::MAXQUERY);
    assert!(next.iter().all(|query| !first.contains(query)), "those never tried come before what failed");
}
