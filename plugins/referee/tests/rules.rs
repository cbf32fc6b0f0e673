//! The rules of PROTOCOL 10.3, one by one, as messages of strangers.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{agent, ask, commit, core, is_ruling, lift, names, referee, signed_by, told, vectors};
use serde_json::{Value, json};
use tallyho_plugin::fault::STRIKE;
use tallyho_plugin::services::Schedule;
use tallyho_plugin::testkit::{Envelope, Site};

/// The object of `status` without a ruling.
fn pending(site: &Site, lift: &Value, err: Option<&str>) -> Value {
    let mut status = names(lift);
    status["pend"] = true.into();
    status["now"] = site.now().text().into();
    if let Some(err) = err {
        status["err"] = err.into();
    }
    status
}

fn rulings(site: &Site) -> usize {
    site.rows("referee.rulings").len()
}

#[test]
fn the_rulings_of_the_vectors_come_out_byte_for_byte() {
    let vectors = vectors();
    let lift = &vectors["lift"];
    assert_eq!(commit(lift)["signed"], vectors["org_sign"], "the originator's request");

    let mut site = referee();
    let good = told(&mut site, "commit", &commit(lift));
    assert_eq!((&good["hash"], &good["signed"]), (&vectors["lift_hash"], &vectors["good_sign"]));
    assert_eq!(core(lift).valid_text(true).unwrap(), vectors["good_canon"]);
    let kept = &site.rows("referee.rulings")[vectors["lift_hash"].as_str().unwrap().as_bytes()];
    assert_eq!((&kept["proof"]["core"], &kept["proof"]["signed"]), (lift, &vectors["org_sign"]));

    let mut site = referee();
    site.advance(120_001);
    let void = told(&mut site, "check", lift);
    assert_eq!((&void["hash"], &void["signed"]), (&vectors["lift_hash"], &vectors["void_sign"]));
    assert_eq!(core(lift).valid_text(false).unwrap(), vectors["void_canon"]);
}

#[test]
fn f0_what_is_no_lift_or_carries_anothers_hash_is_dropped() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    let change = |object: Value, member: &str, value: Value| {
        let mut object = object;
        object[member] = value;
        object
    };
    let wrong = [
        ("check", json!({})),
        ("check", json!("lift")),
        ("check", change(lift.clone(), "more", json!(1))),
        ("check", change(lift.clone(), "units", json!(0))),
        ("check", change(lift.clone(), "life", json!(3601))),
        ("check", change(lift.clone(), "hash", json!(vectors()["lift_hash"]))),
        ("check", change(lift.clone(), "valid", json!(true))),
        ("check", change(names(&lift), "hash", json!("short"))),
        ("check", change(names(&lift), "lift", json!("no uuid"))),
        ("commit", lift.clone()),
        ("commit", change(commit(&lift), "valid", json!(false))),
        ("commit", change(commit(&lift), "signed", json!(7))),
        ("commit", change(commit(&lift), "hash", json!(vectors()["lift_hash"]))),
        ("commit", names(&lift)),
    ];
    for late in [false, true] {
        for (action, object) in &wrong {
            assert_eq!(ask(&mut site, action, object).unwrap(), None, "{action} {object} {late}");
        }
        site.advance(1_000_000);
    }
    assert_eq!(rulings(&site), 0);
    // With its own hash beside it, it is as good as without.
    let object = change(lift.clone(), "hash", json!(kit::hash(&lift)));
    let void = told(&mut site, "check", &object);
    assert!(is_ruling(&site, &lift, false, &void));
}

#[test]
fn f1_consent_in_time_is_ruled_good_up_to_the_last_millisecond() {
    let mut site = referee();
    let (first, last) = (lift(&site, 1, site.now()), lift(&site, 2, site.now()));
    let good = told(&mut site, "commit", &commit(&first));
    assert!(is_ruling(&site, &first, true, &good));
    site.advance(120_000);
    let good = told(&mut site, "commit", &commit(&last));
    assert!(is_ruling(&site, &last, true, &good));
    assert_eq!(site.metric("referee", "good"), 2);
}

#[test]
fn f2_after_expiry_everything_that_is_well_formed_is_void() {
    let mut site = referee();
    let lifts: Vec<Value> = (0..3).map(|n| lift(&site, n, site.now())).collect();
    site.advance(120_001);
    let forged = signed_by(&lifts[2], &agent("B"));
    for (lift, action, object) in [
        (&lifts[0], "commit", commit(&lifts[0])),
        (&lifts[1], "check", lifts[1].clone()),
        (&lifts[2], "commit", forged),
    ] {
        let void = told(&mut site, action, &object);
        assert!(is_ruling(&site, lift, false, &void), "{void}");
    }
    // L is kept as a good ruling's proof alone.
    assert!(site.rows("referee.rulings").values().all(|ruling| ruling["proof"].is_null()));
}

#[test]
fn f3_a_check_before_expiry_is_told_to_wait_and_leaves_nothing() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    site.advance(120_000);
    let answer = told(&mut site, "check", &lift);
    assert_eq!(answer, pending(&site, &lift, None));
    assert_eq!(rulings(&site), 0);
}

#[test]
fn f4_a_bad_signature_gets_no_answer_but_a_strike() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    let other = commit(&kit::lift(&site, 2, site.now()));
    let mut borrowed = commit(&lift);
    borrowed["signed"] = other["signed"].clone();
    // The signature of a check, over L alone, is no consent.
    let mut check = commit(&lift);
    check["signed"] =
        tallyho_plugin::record::base64v::encode(agent("A").sign(core(&lift).canonical().as_bytes())).into();
    for object in [signed_by(&lift, &agent("B")), signed_by(&lift, &agent("R")), borrowed, check] {
        assert_eq!(ask(&mut site, "commit", &object).unwrap_err().code, STRIKE);
    }
    assert_eq!(rulings(&site), 0);
    // It has spoilt nothing.
    let good = told(&mut site, "commit", &commit(&lift));
    assert!(is_ruling(&site, &lift, true, &good));
}

#[test]
fn f5_a_lift_dated_far_ahead_waits_for_the_clock() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now().plus(60_001));
    let answer = told(&mut site, "commit", &commit(&lift));
    assert_eq!(answer, pending(&site, &lift, Some("clock")));
    site.advance(1);
    let good = told(&mut site, "commit", &commit(&lift));
    assert!(is_ruling(&site, &lift, true, &good));
}

#[test]
fn f6_and_f7_a_ruling_is_repeated_to_the_byte_whatever_is_asked_and_whenever() {
    let mut site = referee();
    let (good, void) = (lift(&site, 1, site.now()), lift(&site, 2, site.now()));
    let ruled_good = told(&mut site, "commit", &commit(&good));
    site.advance(120_001);
    let ruled_void = told(&mut site, "check", &void);
    for _ in 0..2 {
        for (lift, ruling) in [(&good, &ruled_good), (&void, &ruled_void)] {
            for (action, object) in
                [("commit", commit(lift)), ("check", lift.clone()), ("commit", signed_by(lift, &agent("B")))]
            {
                assert_eq!(told(&mut site, action, &object), *ruling);
            }
        }
        site.advance(10_000_000);
        site.restart();
    }
    assert_eq!(rulings(&site), 2);
}

#[test]
fn f8_a_lift_with_another_referee_is_not_answered() {
    let mut site = referee();
    let mut lift = lift(&site, 1, site.now());
    lift["ref"]["agent"] = agent("B").id().0.clone().into();
    for late in [false, true] {
        assert_eq!(ask(&mut site, "commit", &commit(&lift)).unwrap(), None, "{late}");
        assert_eq!(ask(&mut site, "check", &lift).unwrap(), None, "{late}");
        site.advance(1_000_000);
    }
    assert_eq!(rulings(&site), 0);
}

#[test]
fn f9_a_ruling_is_found_by_its_names() {
    let mut site = referee();
    let (good, void) = (lift(&site, 1, site.now()), lift(&site, 2, site.now()));
    let ruling = told(&mut site, "commit", &commit(&good));
    assert_eq!(told(&mut site, "check", &names(&good)), ruling);
    site.advance(120_001);
    let ruling = told(&mut site, "check", &void);
    assert_eq!(told(&mut site, "check", &names(&void)), ruling);
}

#[test]
fn f10_names_that_are_not_known_ask_for_the_whole_lift() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    for late in [false, true] {
        let answer = told(&mut site, "check", &names(&lift));
        assert_eq!(answer, pending(&site, &lift, Some("need")), "{late}");
        site.advance(1_000_000);
    }
    assert_eq!(rulings(&site), 0);
}

#[test]
fn a_forged_core_with_the_same_uuid_spoils_nothing() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    let mut forged = lift.clone();
    forged["life"] = 1.into();
    site.advance(2_000);
    let void = told(&mut site, "check", &forged);
    assert!(is_ruling(&site, &forged, false, &void));
    let good = told(&mut site, "commit", &commit(&lift));
    assert!(is_ruling(&site, &lift, true, &good));
}

#[test]
fn a_stranger_is_answered_where_it_asked_and_a_peer_once() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    let schedule = |site: &mut Site, from| {
        site.deliver(&Envelope::new(&from, &site.address(), "lift/check", &lift)).unwrap();
        site.take_sent()[0].message.schedule
    };
    assert_eq!(schedule(&mut site, kit::stranger()), Schedule::Answer);
    // This site's own lift handler is a peer too (O-57).
    let own = site.address();
    assert_eq!(schedule(&mut site, own), Schedule::Once);
}

#[test]
fn answers_that_still_wait_give_way_to_later_ones() {
    let mut site = referee();
    let (own, lift) = (site.address(), lift(&site, 1, site.now()));
    for _ in 0..100 {
        site.deliver(&Envelope::new(&own, &own, "lift/check", &lift)).unwrap();
    }
    assert_eq!(site.sent().len(), 1);
}

#[test]
fn the_lift_itself_and_who_asked_are_not_logged() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    told(&mut site, "commit", &commit(&lift));
    told(&mut site, "check", &lift);
    assert!(site.log().is_empty() && site.take_notices().is_empty());
}
