//! Promises that are not taken, and pledges given back (PROTOCOL 9.3, 9.7 L7, L22, L23, L26, L35).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::bench::{Bench, bench};
use kit::places::{World, tally, user};
use kit::{over, stranger, verbs};
use serde_json::{Value, json};
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{AgentId, base64v};
use tallyho_plugin::testkit::Envelope;

fn refused(answers: &[(String, Value)]) -> &str {
    let [(action, object)] = answers else { panic!("{answers:?}") };
    assert_eq!(action, "fail");
    object["why"].as_str().unwrap()
}

#[test]
fn a_promise_that_fits_is_reserved_and_handed_on() {
    let mut bench = bench(1);
    let object = bench.valid();
    let answers = bench.promise(&object);
    assert_eq!(answers[0].0, "promise");
    assert_eq!(answers[0].1["pledge"]["tally"], tally(1));
    assert_eq!(bench.world.reserved(1), 200, "on both tallies");
    assert_eq!(bench.promise(&object), [], "a relay says nothing to a second copy");
}

#[test]
fn each_item_of_the_guard_is_answered_with_its_word_and_a_release() {
    type Change = fn(&mut Bench);
    let cases: [(&str, Change); 9] = [
        ("expired", |bench| bench.core["date"] = "2021-11-05T11:00:00.000Z".into()),
        ("expired", |bench| bench.core["date"] = "2021-11-06T12:00:00.000Z".into()),
        ("referee", |bench| bench.core["ref"]["agent"] = json!(stranger().id())),
        ("capacity", |bench| bench.core["units"] = 1001.into()),
        ("noroute", |bench| bench.core["find"]["cuid"] = "nobody".into()),
        ("policy", |bench| {
            bench.core["org"]["plan"] = base64v::encode(vec![1; 13_000]).into();
        }),
        ("policy", |bench| half(bench, "stat", "err".into())),
        ("policy", |bench| half(bench, "phase", "closing".into())),
        ("noroute", |bench| bench.core["find"] = json!({ "cuid": "u9", "agent": bench.world.net.sites[1].agent() })),
    ];
    for (number, (why, change)) in cases.into_iter().enumerate() {
        let mut bench = bench(10 + number as u64);
        change(&mut bench);
        let object = bench.valid();
        let answers = bench.promise(&object);
        assert_eq!(refused(&answers), why, "case {number}");
        let release = &answers[0].1["release"];
        assert_eq!((&release["tally"], &release["hash"]), (&json!(tally(5)), &json!(bench.core().hash())));
        assert_eq!(bench.world.reserved(1), 0, "case {number}");
        assert_eq!(bench.promise(&object), answers, "L23: the same answer to the same promise");
    }
}

fn half(bench: &mut Bench, member: &str, value: Value) {
    let key = [tally(5).as_bytes(), b"\0", user(1).as_bytes()].concat();
    let mut half = bench.world.net.sites[1].rows("chit.halves")[&key].clone();
    half[member] = value;
    bench.world.net.sites[1].write("chit.halves", &key, &half);
}

#[test]
fn a_pledge_that_is_not_the_partners_over_this_tally_and_lift_is_refused() {
    let key = stranger();
    let other = AgentKey::from_seed(&[8; 32]).unwrap();
    let changes: [&dyn Fn(&mut Value); 6] = [
        &|pledge| pledge["units"] = 99.into(),
        &|pledge| pledge["tally"] = tally(0).into(),
        &|pledge| pledge["by"] = "foil".into(),
        &|pledge| pledge["hash"] = base64v::encode([0; 32]).into(),
        &|pledge| pledge["agent"] = json!(other.id()),
        &|pledge| pledge["sign"] = base64v::encode(key.sign(b"x")).into(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut bench = bench(30 + number as u64);
        let mut object = bench.valid();
        change(&mut object["pledge"]);
        assert_eq!(refused(&bench.promise(&object)), "policy", "case {number}");
        assert_eq!(bench.world.reserved(1), 0);
    }
}

#[test]
fn what_is_no_lift_or_comes_from_others_is_dropped_without_an_answer() {
    let mut bench = bench(40);
    let object = bench.valid();
    for change in [
        |object: &mut Value| object["life"] = 0.into(),
        |object: &mut Value| object["more"] = 1.into(),
        |object: &mut Value| object["pledge"] = Value::Null,
        |object: &mut Value| *object = json!({}),
    ] {
        let mut object = object.clone();
        change(&mut object);
        assert_eq!(bench.promise(&object), []);
    }
    // Over a tally of somebody else's: the host drops it, and so would the handler.
    let from = bench.world.chad(0);
    let to = bench.world.chad(1);
    let envelope = over(Envelope::new(&from, &to, "lift/promise", &object), &tally(5));
    assert!(bench.world.net.sites[1].deliver(&envelope).is_err());
    let none = Envelope::new(&from, &to, "lift/promise", &object);
    assert!(bench.world.net.sites[1].deliver(&none).is_err(), "without a tally");
    assert_eq!(bench.world.reserved(1), 0);
}

#[test]
fn another_lift_of_the_same_uuid_over_the_same_tally_is_dropped() {
    let mut bench = bench(41);
    let object = bench.valid();
    assert_eq!(bench.promise(&object).len(), 1);
    bench.core["units"] = 50.into();
    let object = bench.valid();
    assert_eq!(bench.promise(&object), [], "item 5");
    assert_eq!(bench.world.reserved(1), 200);
}

#[test]
fn a_refusal_further_up_runs_down_to_the_payor_and_everything_is_free_again() {
    let mut world = World::row(2, 4);
    // The last site accepts another referee.
    let referee = world.referee().to_string();
    world.net.sites[3].call("referee", "refuse", json!({ "chad": referee })).unwrap();
    let lift = world.pay(100);
    world.notices(0);
    world.net.settle();
    assert_eq!(world.states(&lift), ["void", "void", "void", "none"]);
    assert_eq!((0..4).map(|place| world.reserved(place)).sum::<i64>(), 0);
    assert_eq!(world.notices(0).last().unwrap().1, "fail");
    let shown = world.net.sites[0].call("lift", "show", json!({ "lift": lift })).unwrap();
    assert_eq!(shown["why"], "referee", "the word has come all the way down");
}

#[test]
fn a_release_that_does_not_stand_changes_nothing() {
    let mut world = World::row(3, 3);
    world.net.isolate(2);
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.state(0, &lift), "seek");
    let core = world.core(0, &lift);
    let (from, to) = (world.chad(1), world.chad(0));
    let genuine_agent = AgentId(from.agent.0.clone());
    for forged in [kit::release(&core, &stranger(), &tally(0)), {
        let mut forged = kit::release(&core, &stranger(), &tally(0));
        forged["release"]["agent"] = json!(genuine_agent);
        forged
    }] {
        let envelope = over(Envelope::new(&from, &to, "lift/fail", &forged), &tally(0));
        assert!(world.net.sites[0].deliver(&envelope).is_err());
        assert_eq!(world.state(0, &lift), "seek");
    }
    assert_eq!(world.reserved(0), 100);
}

#[test]
fn a_relay_whose_exit_gives_the_pledge_back_takes_another_one() {
    let mut world = World::row(4, 4);
    // A second tally between sites 1 and 3, past site 2.
    world.open(8, 1, 3);
    world.net.sites[3]
        .call("chit", "set", json!({ "tally": tally(8), "user": user(3), "settings": { "target": 500 } }))
        .unwrap();
    world.net.calm(60_000);
    let last = world.chad(3);
    let edge = |number: usize, holder: usize| json!({ "tally": tally(number), "by": "stock", "sign": -1, "halves": [user(holder)] });
    world.way(
        1,
        json!({
            "from": { "user": user(1), "tally": tally(0) }, "to": { "cuid": last.cuid, "agent": last.agent },
            "edges": [edge(0, 1), edge(8, 1)], "via": { "user": user(1), "tally": tally(8) },
        }),
    );
    world.way(3, json!({
        "from": { "user": user(3), "tally": tally(8) }, "to": { "user": user(3) }, "edges": [edge(8, 3)], "via": null,
    }));
    let referee = world.referee().to_string();
    world.net.sites[2].call("referee", "refuse", json!({ "chad": referee })).unwrap();
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.states(&lift), ["good", "good", "none", "good"]);
    assert_eq!((0..4).map(|place| world.reserved(place)).sum::<i64>(), 0);
    assert_eq!(world.told(1), ["route.fail"], "R12 of the first exit");
    world.net.calm(60_000);
    assert_eq!([0, 1, 2, 3].map(|place| world.worth(place)), [-100, 0, 0, 100]);
}

#[test]
fn a_lost_fail_is_said_again_to_whoever_checks() {
    let mut world = World::row(5, 3);
    let referee = world.referee().to_string();
    world.net.sites[2].call("referee", "refuse", json!({ "chad": referee })).unwrap();
    world.net.swallow(2, "lift/fail");
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.states(&lift), ["seek", "pend", "none"]);
    world.net.heal();
    world.net.isolate(3);
    world.net.calm(300_000);
    assert_eq!(world.states(&lift), ["void", "void", "none"], "without any referee");
    assert_eq!(verbs(&world.net.sites[2]), Vec::<String>::new());
}
