//! What one site makes of queries and answers (PROTOCOL 8.3, 8.4).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::net::*;
use kit::others::{Lifts, Tallies};
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::record::Chad;
use tallyho_plugin::testkit::{Envelope, Site};
use tallyho_plugin::{Fate, services::Schedule};
use tallyho_route::{Route, limits};

/// Users a and b, who owes a. Below a: in1 (tally 1) and in2 (tally 2); above b: out1 (tally 11), out2 (tally
/// 12). The inner tally is 5. Lifts go up.
fn relay() -> Site {
    let mut site = Site::new(1).with::<Tallies>().with::<Lifts>().with::<Route>().user("a").user("b");
    site.call("route", "settings", json!({ "autoquery": "off" })).unwrap();
    let (a, b) = (site.chad("a"), site.chad("b"));
    for (number, stock, foil, owed) in [
        (1, &stranger("in1"), &a, 20),
        (2, &stranger("in2"), &a, 15),
        (5, &a, &b, 10),
        (11, &b, &stranger("out1"), 9),
        (12, &b, &stranger("out2"), 8),
    ] {
        let tally = Tally::new(number, stock, foil, owed);
        relate(&mut site, &tally);
        tally.open(&mut site);
    }
    site.fire_timers();
    assert_eq!(sent(&mut site), [""; 0]);
    site
}

fn far() -> Chad {
    Chad::user("far", nowhere())
}

fn query(site: &mut Site, number: u32, step: u64) -> Vec<String> {
    says(site, &stranger(&format!("in{number}")), "a", number, "query", &far(), json!({ "step": step }));
    sent(site)
}

fn answer(site: &mut Site, number: u32, action: &str, min: i64) -> Vec<String> {
    let from = stranger(&format!("out{}", number - 10));
    let lading = json!({ "min": min, "max": min + 5, "margin": 0.001, "reward": 0.015 });
    says(site, &from, "b", number, action, &far(), json!({ "lading": lading }));
    sent(site)
}

#[test]
fn a_query_for_a_user_of_ours_is_answered_with_the_best_path_and_leaves_no_record() {
    let mut site = relay();
    let b = site.chad("b");
    says(&mut site, &stranger("in1"), "a", 1, "query", &b, json!({ "step": 99 }));
    let message = &site.sent()[0];
    assert_eq!((message.verb().as_str(), &message.message.to), ("route/good", &stranger("in1")));
    let lading = json!({ "min": 10, "max": 10, "margin": 0.0, "reward": 0.0 });
    assert_eq!(message.object(), json!({ "find": b.to_value(), "tally": uuid(1), "lading": lading }));
    assert_eq!(states(&mut site), [""; 0]);
}

#[test]
fn a_query_for_a_user_of_ours_whom_no_path_leads_to_gets_none() {
    let mut site = relay().user("c");
    let c = site.chad("c");
    says(&mut site, &stranger("in1"), "a", 1, "query", &c, json!({}));
    assert_eq!(sent(&mut site), ["none 1"]);
    let nobody = site.chad("nobody");
    says(&mut site, &stranger("in1"), "a", 1, "query", &nobody, json!({}));
    assert_eq!(sent(&mut site), ["none 1"]);
}

#[test]
fn a_query_for_a_partner_is_answered_with_the_whole_path() {
    let mut site = relay();
    says(&mut site, &stranger("in1"), "a", 1, "query", &stranger("out1"), json!({ "step": 99 }));
    let lading = &site.sent()[0].object()["lading"];
    assert_eq!(*lading, json!({ "min": 9, "max": 9, "margin": 0.0, "reward": 0.0 }));
    assert_eq!(states(&mut site), [""; 0]);
}

#[test]
fn a_query_goes_on_over_every_exit_but_the_one_it_came_by_with_a_step_more() {
    let mut site = relay();
    says(&mut site, &stranger("in1"), "a", 1, "query", &far().at("far.example", 7), json!({ "step": 3 }));
    let steps: Vec<Value> = site.sent().iter().map(|sent| sent.object()["step"].clone()).collect();
    assert_eq!(steps, [4, 4]);
    assert_eq!(site.sent()[0].object()["find"]["host"], "far.example");
    assert_eq!(site.sent()[0].message.from, "b");
    assert_eq!(sent(&mut site), ["query 11", "query 12"], "not back over tally 1, nor over 2, where a receives");
    assert_eq!(states(&mut site), ["11 far pend", "12 far pend"]);
}

#[test]
fn a_missing_step_counts_as_0_and_beyond_ten_a_search_ends() {
    let mut site = relay();
    assert_eq!(query(&mut site, 1, 10), ["none 1"]);
    says(&mut site, &stranger("in1"), "a", 1, "query", &far(), json!({}));
    assert_eq!(site.sent()[0].object()["step"], 1);
    let mut site = relay();
    assert_eq!(query(&mut site, 1, 9), ["query 11", "query 12"]);
}

#[test]
fn a_good_answer_goes_down_with_the_joined_lading() {
    let mut site = relay();
    query(&mut site, 1, 0);
    let lading = json!({ "min": 4, "max": 9, "margin": 0.001, "reward": 0.015 });
    says(&mut site, &stranger("out1"), "b", 11, "good", &far(), json!({ "lading": lading }));
    // Tallies 1, 5 and 11 by themselves: 9 to 9; tally 11 is counted twice (O-36).
    let joined = json!({ "min": 4, "max": 9, "margin": 0.001, "reward": 0.015 });
    assert_eq!(site.sent()[0].object()["lading"], joined);
    assert_eq!(sent(&mut site), ["good 1"]);
    assert_eq!(states(&mut site), ["11 far good", "12 far pend"]);
    let list = site.call("route", "list", json!({})).unwrap();
    assert_eq!((&list[0]["lading"], &list[0]["step"]), (&lading, &json!(1)));
}

#[test]
fn each_requester_is_told_once_for_each_query_of_its() {
    let mut site = relay();
    query(&mut site, 1, 0);
    assert_eq!(query(&mut site, 2, 0), [""; 0], "the same search is under way");
    assert_eq!(query(&mut site, 2, 0), [""; 0]);
    assert_eq!(answer(&mut site, 11, "good", 4), ["good 1", "good 2"]);
    assert_eq!(answer(&mut site, 11, "good", 3), [""; 0], "nobody has asked again");
    assert_eq!(answer(&mut site, 12, "good", 5), ["good 1", "good 2"], "another way");
}

#[test]
fn a_failure_goes_down_when_the_last_hope_is_gone() {
    let mut site = relay();
    query(&mut site, 1, 0);
    query(&mut site, 2, 0);
    assert_eq!(answer(&mut site, 12, "none", 0), [""; 0]);
    assert_eq!(answer(&mut site, 11, "none", 0), ["none 1", "none 2"]);
    assert_eq!(answer(&mut site, 11, "none", 0), [""; 0]);
    assert_eq!(query(&mut site, 1, 0), ["none 1"], "what has just failed is not tried again");
    assert_eq!(answer(&mut site, 12, "good", 4), ["good 1", "good 2"], "and may come true all the same");
}

#[test]
fn a_partner_that_changes_its_mind_is_not_passed_on_for_ever() {
    let mut site = relay();
    query(&mut site, 1, 0);
    answer(&mut site, 12, "none", 0);
    let mut told = Vec::new();
    for _ in 0..5 {
        told.extend(answer(&mut site, 11, "good", 4));
        told.extend(answer(&mut site, 11, "none", 0));
    }
    assert_eq!(told, ["good 1", "none 1"]);
    assert_eq!(states(&mut site), ["11 far none", "12 far none"]);
}

#[test]
fn a_fresh_route_is_answered_at_once_and_a_stale_one_is_looked_for_again() {
    let mut site = relay();
    query(&mut site, 1, 0);
    answer(&mut site, 11, "good", 4);
    answer(&mut site, 12, "none", 0);
    assert_eq!(query(&mut site, 2, 0), ["good 2"]);
    site.advance(limits::LIFE + 1);
    assert_eq!(states(&mut site), ["11 far good.X", "12 far none"]);
    assert_eq!(query(&mut site, 2, 0), ["query 11", "query 12"]);
    assert_eq!(answer(&mut site, 11, "good", 4), ["good 2"], "who asked before has its answer");
}

#[test]
fn of_several_good_routes_the_best_is_answered() {
    let mut site = relay();
    query(&mut site, 1, 0);
    answer(&mut site, 11, "good", 3);
    answer(&mut site, 12, "good", 6);
    says(&mut site, &stranger("in2"), "a", 2, "query", &far(), json!({}));
    assert_eq!(site.sent().len(), 1);
    assert_eq!(site.sent()[0].object()["lading"]["min"], 6);
}

#[test]
fn our_own_search_that_comes_back_leads_nowhere() {
    let mut site = relay();
    seek(&mut site, "b", &far()).unwrap();
    assert_eq!(sent(&mut site), ["query 11", "query 12"]);
    assert_eq!(query(&mut site, 1, 2), ["none 1"]);
    answer(&mut site, 11, "good", 4);
    assert_eq!(query(&mut site, 1, 2), ["good 1"], "what it found is for all");
}

#[test]
fn an_unanswered_query_is_sent_four_times_then_it_has_failed() {
    let mut site = relay();
    query(&mut site, 1, 0);
    for copy in 2..=4 {
        site.advance(limits::PEND);
        site.fire_timers();
        assert_eq!(sent(&mut site), [""; 0], "before copy {copy}");
        site.advance(1);
        assert_eq!(states(&mut site), ["11 far pend.X", "12 far pend.X"]);
        site.fire_timers();
        assert_eq!(sent(&mut site), ["query 11", "query 12"], "copy {copy}");
    }
    site.advance(limits::PEND + 1);
    site.fire_timers();
    assert_eq!(sent(&mut site), ["none 1"]);
    assert_eq!(states(&mut site), ["11 far none", "12 far none"]);
}

#[test]
fn a_query_that_cannot_be_delivered_is_tried_again_then_it_has_failed() {
    let mut site = relay();
    says(&mut site, &stranger("in1"), "a", 1, "query", &far(), json!({}));
    for copy in 1..=4 {
        let waiting = site.take_sent();
        assert_eq!(waiting.len(), 2, "copy {copy}");
        for message in waiting {
            assert!(matches!(message.message.schedule, Schedule::Until(_)));
            site.report(&message, Fate::Stalled { attempts: 9, unsent: true, why: "away".to_owned() }).unwrap();
        }
    }
    assert_eq!(sent(&mut site), ["none 1"]);
    assert_eq!(states(&mut site), ["11 far none", "12 far none"]);
}

#[test]
fn an_answer_that_nobody_takes_is_let_go() {
    let mut site = relay();
    says(&mut site, &stranger("in1"), "a", 1, "query", &stranger("out1"), json!({}));
    let answer = site.sent()[0].clone();
    site.report(&answer, Fate::Stalled { attempts: 9, unsent: true, why: "away".to_owned() }).unwrap();
    assert_eq!(site.sent().len(), 0);
}

#[test]
fn a_full_outbox_ends_no_search_and_fails_no_event() {
    let mut site = relay();
    site.fill_outbox(true);
    says(&mut site, &stranger("in1"), "a", 1, "query", &far(), json!({}));
    site.fill_outbox(false);
    site.advance(limits::PEND + 1);
    site.fire_timers();
    assert_eq!(sent(&mut site), ["query 11", "query 12"]);
}

#[test]
fn an_answer_before_the_report_of_the_hand_over_counts() {
    let mut site = relay();
    says(&mut site, &stranger("in1"), "a", 1, "query", &far(), json!({}));
    let lading = json!({ "min": 4, "max": 9, "margin": 0.0, "reward": 0.0 });
    says(&mut site, &stranger("out1"), "b", 11, "good", &far(), json!({ "lading": lading }));
    assert_eq!(states(&mut site), ["11 far good", "12 far draft"]);
    assert_eq!(sent(&mut site), ["query 12", "good 1"], "the answered query is taken back");
}

#[test]
fn a_tally_that_closes_takes_its_routes_with_it() {
    let mut site = relay();
    query(&mut site, 1, 0);
    for number in [11, 12] {
        Tally::new(number, &site.chad("b"), &stranger(&format!("out{}", number - 10)), 9).close(&mut site);
    }
    site.fire_timers();
    assert_eq!(sent(&mut site), ["none 1"]);
    assert_eq!(states(&mut site), [""; 0]);
    assert_eq!((site.rows("route.routes").len(), site.rows("route.vias").len()), (0, 0));
}

#[test]
fn an_unused_route_is_let_go_after_thirty_days() {
    let mut site = relay();
    query(&mut site, 1, 0);
    answer(&mut site, 11, "good", 4);
    for _ in 0..29 {
        site.advance(limits::DAY);
        site.fire_timers();
        sent(&mut site);
    }
    assert_eq!(states(&mut site).len(), 2);
    for _ in 0..3 {
        site.advance(limits::DAY);
        site.fire_timers();
    }
    assert_eq!(states(&mut site), [""; 0]);
    assert_eq!(site.rows("route.vias").len() + site.rows("route.asked").len(), 0);
}

#[test]
fn what_does_not_fit_has_no_effect() {
    let mut site = relay();
    let object = |more: Value| {
        let mut object = json!({ "tally": uuid(1), "find": far().to_value() });
        more.as_object().unwrap().iter().for_each(|(name, value)| object[name] = value.clone());
        object
    };
    for (from, object) in [
        ("in1", object(json!({ "find": { "cuid": "far", "agent": "short" } }))),
        ("in1", object(json!({ "find": { "agent": nowhere() } }))),
        ("in1", object(json!({ "find": null }))),
        ("in1", object(json!({ "tally": "x" }))),
        ("in1", object(json!({ "tally": uuid(2) }))),
        ("in1", object(json!({ "tally": uuid(5) }))),
        ("in2", object(json!({}))),
    ] {
        let envelope = Envelope::new(&stranger(from), &site.chad("a"), "route/query", &object);
        // The host drops some of them already.
        let _ = site.deliver(&envelope);
        assert_eq!((sent(&mut site).len(), states(&mut site).len()), (0, 0), "{object}");
    }
    query(&mut site, 1, 0);
    for lading in [json!(null), json!({ "min": -1, "max": 1, "margin": 0, "reward": 0 })] {
        says(&mut site, &stranger("out1"), "b", 11, "good", &far(), json!({ "lading": lading }));
        assert_eq!(states(&mut site), ["11 far pend", "12 far pend"]);
    }
    // An answer to what was never asked.
    says(&mut site, &stranger("out1"), "b", 11, "none", &stranger("other"), json!({}));
    assert_eq!(states(&mut site), ["11 far pend", "12 far pend"]);
}

#[test]
fn a_tally_that_is_closing_or_broken_takes_no_query() {
    for (member, value) in [("phase", "closing"), ("stat", "err")] {
        let mut site = relay();
        change(&mut site, "a", 1, &json!({ member: value }));
        assert_eq!(query(&mut site, 1, 0), [""; 0], "{member}");
    }
}

#[test]
fn a_partner_begins_so_many_searches_and_no_more() {
    let mut site = relay();
    let ask = |site: &mut Site, number: u32| {
        let find = Chad::user(format!("u{number}"), nowhere());
        says(site, &stranger("in1"), "a", 1, "query", &find, json!({}));
        sent(site)
    };
    site.check_determinism(false);
    for number in 0..limits::ASKED / 2 {
        assert_eq!(ask(&mut site, number).len(), 2);
    }
    assert_eq!(ask(&mut site, 9_999), ["none 1"]);
    assert_eq!(query(&mut site, 2, 0).len(), 2, "another may");
    site.advance(limits::ASKED_EVERY);
    assert_eq!(ask(&mut site, 9_999).len(), 2);
}

#[test]
fn a_user_is_told_what_comes_of_a_search() {
    let mut site = relay();
    let found = seek(&mut site, "a", &far()).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 2);
    assert_eq!((&found[0]["status"], &found[0]["step"]), (&json!("draft"), &json!(0)));
    assert_eq!((&found[0]["dest"], &found[0]["lading"]), (&far().to_value(), &Value::Null));
    assert_eq!(sent(&mut site), ["query 11", "query 12"]);
    let state = json!({ "route": found[0]["route"] });
    assert_eq!(site.call("route", "state", state.clone()).unwrap()["wait"], json!(["pend"]));
    answer(&mut site, 11, "none", 0);
    assert_eq!(notices(&mut site, "a"), ["none"]);
    answer(&mut site, 12, "good", 4);
    assert_eq!(notices(&mut site, "a"), ["good"]);
    let state = site.call("route", "state", state).unwrap();
    assert_eq!((&state["wait"], state["list"].as_array().unwrap().len()), (&json!(["good"]), 2));
}

#[test]
fn a_search_that_needs_no_route_is_answered_at_once() {
    let mut site = relay();
    let b = site.chad("b");
    for (find, min) in [(b, 10), (stranger("out2"), 8)] {
        let found = seek(&mut site, "a", &find).unwrap();
        assert_eq!((&found[0]["status"], &found[0]["lading"]["min"]), (&json!("good"), &json!(min)), "{found}");
        assert_eq!(site.call("route", "state", json!({ "route": found[0]["route"] })).unwrap()["wait"][0], "good");
    }
    assert_eq!(sent(&mut site), [""; 0]);
}

#[test]
fn a_search_that_cannot_begin_says_why() {
    let mut site = relay().user("c");
    let (a, far) = (site.chad("a"), far());
    for (user, find, code) in [("c", &far, "no-exit"), ("c", &a, "no-path"), ("nobody", &far, "no-such-user")] {
        assert_eq!(seek(&mut site, user, find).unwrap_err().code, code);
    }
    query(&mut site, 1, 0);
    answer(&mut site, 11, "none", 0);
    answer(&mut site, 12, "none", 0);
    assert_eq!(seek(&mut site, "a", &far).unwrap_err().code, "no-route");
    for chad in [json!("far"), json!({ "agent": nowhere() }), json!(5)] {
        let fault = site.call("route", "find", json!({ "user": "a", "chad": chad })).unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (tallyho_plugin::FaultKind::Usage, "address"), "{chad}");
    }
}
