//! Paths inside a site (PROTOCOL 7.2 to 7.5), found by `path.find`.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::Site;
use tallyho_route::limits;

/// PROTOCOL 7.4: users 0 to 3, U above 0, D below 3; tallies 0 (0 with U) to 4 (D with 3).
fn example() -> Site {
    let mut site = site(1, &["0", "1", "2", "3"]);
    let user = |number: usize| match number {
        0 => stranger("U"),
        5 => stranger("D"),
        number => site.chad(&(number - 1).to_string()),
    };
    let stock = json!({ "target": 3, "bound": 7, "clutch": 0.001 });
    let foil = json!({ "target": 3, "bound": 7, "reward": 0.02 });
    let tallies: Vec<Tally> = [8, 2, 4, 6, 10]
        .iter()
        .enumerate()
        .map(|(number, owed)| {
            // U has published nothing.
            let foil = if number == 0 { json!({}) } else { foil.clone() };
            Tally::new(number as u32, &user(number + 1), &user(number), *owed).set(stock.clone(), foil)
        })
        .collect();
    tallies.iter().for_each(|tally| tally.open(&mut site));
    site
}

fn to_u() -> Value {
    stranger("U").to_value()
}

fn from_d() -> Value {
    json!({ "user": "3", "tally": uuid(4) })
}

#[test]
fn the_path_of_the_worked_example_is_found_with_its_lading() {
    let mut site = example();
    let paths = find(&mut site, json!({ "from": from_d(), "to": to_u() }));
    assert_eq!(ways(&paths), [[4, 3, 2, 1, 0]]);
    let path = &paths[0];
    let edge =
        |number: u32, halves: Value| json!({ "tally": uuid(number), "by": "stock", "sign": -1, "halves": halves });
    let inner = |number: u32| edge(number, json!([number.to_string(), (number - 1).to_string()]));
    let expected = json!([edge(4, json!(["3"])), inner(3), inner(2), inner(1), edge(0, json!(["0"]))]);
    assert_eq!(path["edges"], expected);
    assert_eq!(path["via"], json!({ "user": "0", "tally": uuid(0) }));
    assert_eq!(path.get("fresh"), None);
    let lading = &path["lading"];
    assert_eq!((&lading["min"], &lading["max"], &lading["reward"]), (&json!(5), &json!(7), &json!(0.02)));
    let margin = lading["margin"].as_f64().unwrap();
    assert!((margin - (1.0 - 0.999_f64.powi(5))).abs() < 1e-12, "{margin}");
}

/// PROTOCOL 7.4, each edge by itself and what the fold has come to there, from D up.
#[test]
fn every_part_of_the_worked_example_is_as_the_protocol_says() {
    let mut site = example();
    for (user, min, max) in [("3", 13, 17), ("2", 9, 13), ("1", 7, 9), ("0", 5, 7)] {
        let paths = find(&mut site, json!({ "from": from_d(), "to": { "user": user } }));
        assert_eq!(paths.len(), 1, "{user}");
        let lading = &paths[0]["lading"];
        assert_eq!((&lading["min"], &lading["max"]), (&json!(min), &json!(max)), "{user}");
        assert_eq!(paths[0].get("via"), None);
    }
    for (from, to, min, max) in [("3", "2", 9, 13), ("2", "1", 7, 11), ("1", "0", 5, 9)] {
        let paths = find(&mut site, json!({ "from": { "user": from }, "to": { "user": to } }));
        let lading = &paths[0]["lading"];
        assert_eq!((&lading["min"], &lading["max"], &lading["margin"]), (&json!(min), &json!(max), &json!(0.001)));
    }
    let paths = find(&mut site, json!({ "from": { "user": "0" }, "to": to_u() }));
    assert_eq!(paths[0]["lading"], json!({ "min": 8, "max": 8, "margin": 0.001, "reward": 0.0 }));
}

#[test]
fn nothing_goes_the_wrong_way_beyond_a_bound() {
    let mut site = example();
    // A drop: the stock 1 has 2 of 0 and wants 3, up to 7, and 0 lets go for nothing.
    let paths = find(&mut site, json!({ "from": { "user": "0" }, "to": { "user": "1" } }));
    assert_eq!(ways(&paths), [[1]]);
    assert_eq!(paths[0]["lading"], json!({ "min": 1, "max": 5, "margin": 0.0, "reward": 0.0 }));
    assert_eq!((&paths[0]["edges"][0]["by"], &paths[0]["edges"][0]["sign"]), (&json!("foil"), &json!(1)));
    // 2 has 4 of 1, more than it wants, but less than 7.
    let to_2 = json!({ "from": { "user": "0" }, "to": { "user": "2" } });
    assert_eq!(find(&mut site, to_2.clone())[0]["lading"], json!({ "min": 0, "max": 1, "margin": 0.0, "reward": 0.0 }));
    // Two edges without room below their targets leave none at all (PROTOCOL 7.3).
    assert_eq!(find(&mut site, json!({ "from": { "user": "0" }, "to": { "user": "3" } })).len(), 0);
    change(&mut site, "2", 2, &json!({ "net": 7 }));
    assert_eq!(find(&mut site, to_2).len(), 0);
}

/// Four corners, two ways round, one of them dearer.
fn square(margin: f64) -> Site {
    let mut site = site(1, &["a", "b", "c", "d"]);
    let chad = |user: &str| site.chad(user);
    let tallies = [
        Tally::new(1, &chad("a"), &chad("b"), 10),
        Tally::new(2, &chad("b"), &chad("d"), 10),
        Tally::new(3, &chad("a"), &chad("c"), 20).set(json!({ "clutch": margin }), json!({})),
        Tally::new(4, &chad("c"), &chad("d"), 30),
    ];
    tallies.iter().for_each(|tally| tally.open(&mut site));
    site
}

fn a_to_d() -> Value {
    json!({ "from": { "user": "a" }, "to": { "user": "d" } })
}

#[test]
fn paths_come_by_margin_then_by_what_they_carry_then_by_length() {
    assert_eq!(ways(&find(&mut square(0.0), a_to_d())), [[3, 4], [1, 2]]);
    assert_eq!(ways(&find(&mut square(0.1), a_to_d())), [[1, 2], [3, 4]]);
    let mut site = square(0.0);
    let direct = Tally::new(5, &site.chad("a"), &site.chad("d"), 10);
    direct.open(&mut site);
    assert_eq!(ways(&find(&mut site, a_to_d())), [vec![3, 4], vec![5], vec![1, 2]]);
    let mut first = a_to_d();
    first["limit"] = 1.into();
    assert_eq!(ways(&find(&mut site, first)), [[3, 4]]);
}

#[test]
fn a_dearer_way_with_room_leads_where_a_cheaper_one_without_does_not() {
    let mut site = site(1, &["a", "b", "c", "d"]);
    let (a, b, c, d) = (site.chad("a"), site.chad("b"), site.chad("c"), site.chad("d"));
    // Some have room between target and bound alone, which no path goes through twice.
    let (tight, dear) = (json!({ "bound": 5 }), json!({ "clutch": 0.1 }));
    Tally::new(1, &a, &b, 0).set(json!({}), tight.clone()).open(&mut site);
    Tally::new(2, &a, &b, 5).set(dear.clone(), json!({})).open(&mut site);
    Tally::new(3, &b, &c, 0).set(json!({}), tight.clone()).open(&mut site);
    Tally::new(4, &c, &d, 0).set(json!({}), tight).open(&mut site);
    Tally::new(5, &c, &d, 5).set(dear, json!({})).open(&mut site);
    assert_eq!(ways(&find(&mut site, a_to_d())), [[2, 3, 5]]);
    assert_eq!(ways(&find(&mut site, json!({ "from": { "user": "a" }, "to": { "user": "b" } }))), [[1], [2]]);
}

#[test]
fn with_units_only_what_carries_them_at_par_is_found() {
    let with = |units: i64| {
        let mut question = a_to_d();
        question["units"] = units.into();
        question
    };
    let mut site = square(0.0);
    assert_eq!(ways(&find(&mut site, with(10))), [[3, 4], [1, 2]]);
    assert_eq!(ways(&find(&mut site, with(11))), [[3, 4]]);
    assert_eq!(ways(&find(&mut site, with(20))), [[3, 4]]);
    assert_eq!(find(&mut site, with(21)).len(), 0);
    assert_eq!(ways(&find(&mut square(0.1), with(10))), [[1, 2]], "no fee is charged, so none may be asked");
    let refused = site.call("route", "path.find", with(0)).unwrap_err();
    assert!(refused.text.contains("units"), "{refused}");
}

#[test]
fn tallies_to_be_avoided_are() {
    let mut site = square(0.0);
    let mut question = a_to_d();
    question["avoid"] = json!([uuid(3)]);
    assert_eq!(ways(&find(&mut site, question.clone())), [[1, 2]]);
    question["avoid"] = json!([uuid(4), uuid(1)]);
    assert_eq!(find(&mut site, question).len(), 0);
    let mut site = example();
    for number in [0, 4] {
        let question = json!({ "from": from_d(), "to": to_u(), "avoid": [uuid(number)] });
        assert_eq!(find(&mut site, question).len(), 0, "tally {number}");
    }
}

#[test]
fn a_tally_that_lifts_may_not_use_is_no_edge() {
    for (member, value) in
        [("conf", json!(null)), ("phase", json!("closing")), ("phase", json!("closed")), ("stat", json!("err"))]
    {
        for holder in ["c", "d"] {
            let mut site = square(0.0);
            change(&mut site, holder, 4, &json!({ member: value }));
            assert_eq!(ways(&find(&mut site, a_to_d())), [[1, 2]], "{member} {value} of {holder}");
        }
    }
}

#[test]
fn pending_lifts_take_room_and_invoices_do_not() {
    let mut site = square(0.0);
    for holder in ["c", "d"] {
        change(&mut site, holder, 4, &json!({ "pend": 99 }));
    }
    assert_eq!(find(&mut site, a_to_d())[0]["lading"]["min"], 20);
    // d owes 30, and 25 of it are on their way to d.
    change(&mut site, "d", 4, &json!({ "lift_in": 25 }));
    change(&mut site, "c", 4, &json!({ "lift_out": 25 }));
    let paths = find(&mut site, a_to_d());
    assert_eq!(ways(&paths), [[1, 2], [3, 4]]);
    assert_eq!(paths[1]["lading"]["min"], 5);
}

#[test]
fn a_path_has_eleven_edges_at_most() {
    let names: Vec<String> = (0..14).map(|number| format!("u{number}")).collect();
    let mut site = site(1, &names.iter().map(String::as_str).collect::<Vec<_>>());
    for (number, pair) in names.windows(2).enumerate() {
        Tally::new(number as u32, &site.chad(&pair[0]), &site.chad(&pair[1]), 5).open(&mut site);
    }
    let to = |user: usize| json!({ "from": { "user": "u0" }, "to": { "user": format!("u{user}") } });
    assert_eq!(find(&mut site, to(11))[0]["edges"].as_array().unwrap().len(), 11);
    assert_eq!(find(&mut site, to(12)).len(), 0);
}

#[test]
fn no_user_is_entered_twice_nor_a_tally_used_twice() {
    let mut site = square(0.0);
    let (outer, inner) = (stranger("o"), site.chad("a"));
    Tally::new(6, &outer, &inner, 10).open(&mut site);
    // In by tally 6 and out by it again is no path, whatever goes on between.
    let round = json!({ "from": { "user": "a", "tally": uuid(6) }, "to": outer.to_value() });
    assert_eq!(find(&mut site, round.clone()).len(), 0);
    assert_eq!(find(&mut site, json!({ "from": { "user": "a" }, "to": { "user": "a" } })).len(), 0);
    // By another tally with the same partner it is one.
    Tally::new(7, &site.chad("a"), &outer, 4).open(&mut site);
    let paths = find(&mut site, round);
    assert_eq!(ways(&paths), [[6, 7]]);
    assert_eq!(paths[0]["lading"]["min"], 4);
    let here = json!({ "from": { "user": "a", "tally": uuid(6) }, "to": { "user": "a" } });
    assert_eq!(ways(&find(&mut site, here)), [[6]]);
}

/// What the search need not read it does not: a row that cannot be read would end it.
#[test]
fn two_ends_that_know_the_same_user_meet_there_without_a_look_at_that_users_tallies() {
    let mut site = site(1, &["a", "between", "d"]);
    let (a, between, d) = (site.chad("a"), site.chad("between"), site.chad("d"));
    Tally::new(1, &a, &between, 10).open(&mut site);
    Tally::new(2, &between, &d, 10).open(&mut site);
    site.write("route.links", format!("between\0{}", uuid(3)).as_bytes(), &json!("no row"));
    // Enough to do for what is looked at after the first path: tallies nothing goes over.
    for number in 0..limits::TRIED_MORE as u32 {
        Tally::new(10 + number, &a, &site.chad(&format!("x{number}")), 0).open(&mut site);
        Tally::new(100 + number, &site.chad(&format!("y{number}")), &d, 0).open(&mut site);
    }
    assert_eq!(ways(&find(&mut site, a_to_d())), [[1, 2]]);
    let from_there = json!({ "from": { "user": "between" }, "to": { "user": "d" } });
    assert!(site.call("route", "path.find", from_there).is_err(), "a search that comes to that row ends there");
}

#[test]
fn a_tally_that_closes_is_gone_and_one_that_opened_unheard_is_looked_up() {
    let mut site = square(0.0);
    let (c, d) = (site.chad("c"), site.chad("d"));
    Tally::new(4, &c, &d, 30).close(&mut site);
    assert_eq!(ways(&find(&mut site, a_to_d())), [[1, 2]]);
    Tally::new(8, &c, &d, 30).write(&mut site, "open", "open");
    assert_eq!(ways(&find(&mut site, a_to_d())), [[1, 2]], "nobody has told");
    site.restart();
    assert_eq!(ways(&find(&mut site, a_to_d())), [[3, 8], [1, 2]]);
    assert_eq!(site.rows("route.links").len(), 8);
    let out = Tally::new(9, &d, &stranger("out"), 30);
    out.write(&mut site, "open", "open");
    site.restart();
    assert_eq!(find(&mut site, json!({ "from": { "user": "a" }, "to": stranger("out").to_value() })).len(), 2);
    let looks = |site: &Site| site.timers().iter().filter(|(name, _)| name.starts_with("look")).count();
    assert_eq!(looks(&site), 0, "a start begins no searches for all tallies at once");
    Tally::new(10, &d, &stranger("out"), 30).open(&mut site);
    assert_eq!(looks(&site), 1);
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let mut site = square(0.0);
    for argument in [
        json!({ "from": {}, "to": { "user": "a" } }),
        json!({ "from": { "user": "a" }, "to": {} }),
        json!({ "from": { "user": "a" }, "to": { "cuid": "b", "agent": "short" } }),
        json!({ "from": { "user": "a", "tally": "x" }, "to": { "user": "b" } }),
    ] {
        let fault = site.call("route", "path.find", argument.clone()).unwrap_err();
        assert_eq!(fault.kind, tallyho_plugin::FaultKind::Usage, "{argument}");
    }
    for argument in [
        json!({ "from": { "user": "nobody" }, "to": { "user": "a" } }),
        json!({ "from": { "user": "a" }, "to": { "user": "nobody" } }),
        json!({ "from": { "user": "a", "tally": uuid(1) }, "to": { "user": "d" } }),
        json!({ "from": { "user": "a" }, "to": stranger("x").to_value() }),
    ] {
        assert_eq!(find(&mut site, argument.clone()).len(), 0, "{argument}");
    }
}
