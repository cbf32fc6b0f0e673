//! Lift chits that a partner words otherwise than this site would, or of another lift than was promised: a liar may
//! make both stand by ruling and pledge, and must not hold up a lift by it (PROTOCOL 9.6, 9.7 I5).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::bench::{Bench, bench};
use kit::places::tally;
use kit::{pledge, ruling, stranger};
use serde_json::{Value, json};
use tallyho_plugin::FaultKind;
use tallyho_plugin::record::{Chad, ChitRecord, LiftCore, Side};
use tallyho_plugin::testkit::Envelope;

/// Minutes in milliseconds.
const MINUTE: i64 = 60_000;

/// A lift promised to site 1 by the test's own agent, which is its referee as well.
fn promised(seed: u64) -> Bench {
    let mut bench = bench(seed);
    bench.world.with_own_referee(&stranger());
    bench.core["ref"]["agent"] = json!(stranger().id());
    let object = bench.valid();
    assert_eq!(bench.promise(&object)[0].0, "promise");
    assert_eq!(bench.world.reserved(1), 200);
    bench
}

/// The partner's chit of this lift, with members of its own.
fn chit(core: &LiftCore, change: impl FnOnce(&mut Value)) -> Value {
    let pledge = pledge(core, &stranger(), Side::Stock, &tally(5));
    let mut chit = ChitRecord::of_lift(core, &pledge).unwrap().value().clone();
    change(&mut chit);
    let ruled = ruling(core, &stranger(), true);
    let mut record = ChitRecord::parse(chit).unwrap().signed(ruled["signed"].as_str().unwrap()).to_record();
    record["chain"] = json!({ "cmd": "new", "index": 1, "hash": "another order", "conf": 0 });
    record
}

fn deliver(bench: &mut Bench, chit: &Value) {
    let from = Chad::user("zoe", stranger().id().clone()).at("localhost", 65400);
    let to = bench.world.chad(1);
    bench.world.net.sites[1].deliver(&Envelope::new(&from, &to, "chit/good", chit)).unwrap();
}

/// What this half has of the lift's uuid.
fn state(bench: &mut Bench) -> Value {
    let name = format!("u1/{}/{}", tally(5), bench.core().uuid());
    bench.world.net.sites[1].call("chit", "state", json!({ "chit": name })).unwrap()["state"].clone()
}

fn nothing_failed(bench: &mut Bench) {
    let failed: Vec<_> =
        bench.world.net.take_refusals().into_iter().filter(|fault| fault.kind == FaultKind::Failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_chit_of_the_lift_in_other_words_is_as_good_as_ours() {
    let changes: [fn(&mut Value); 2] = [|chit| chit["memo"] = "x".into(), |chit| chit["ref"]["more"] = 1.into()];
    for (seed, change) in (50..).zip(changes) {
        let mut bench = promised(seed);
        let (core, uuid) = (bench.core(), bench.core().uuid().to_owned());
        deliver(&mut bench, &chit(&core, change));
        assert_eq!(state(&mut bench), "A.good");
        // It is a ruling, which waits for the transport's word on the promise, and binds us then.
        bench.world.net.calm(10 * MINUTE);
        nothing_failed(&mut bench);
        assert_eq!(bench.world.state(1, &uuid), "good");
        assert_eq!((bench.world.reserved(1), bench.world.worth(1), bench.world.worth(2)), (0, 0, 100));
    }
}

/// The chit's ruling is applied in an event of its own, and waits for the transport's word on our promise; a referee
/// that has said the opposite as well, brought before either, is found out and not obeyed (L38).
#[test]
fn a_ruling_that_waits_stands_against_the_opposite_one() {
    let mut bench = promised(53);
    let (core, uuid) = (bench.core(), bench.core().uuid().to_owned());
    deliver(&mut bench, &chit(&core, |_| {}));
    bench.world.bring(1, &ruling(&core, &stranger(), false));
    assert_eq!(bench.world.state(1, &uuid), "draft.relay");
    let shown = bench.world.net.sites[1].call("lift", "show", json!({ "lift": uuid })).unwrap();
    assert_eq!((&shown["ruling"]["valid"], &shown["evidence"]["valid"]), (&json!(true), &json!(false)));
    bench.world.net.calm(10 * MINUTE);
    nothing_failed(&mut bench);
    assert_eq!((bench.world.state(1, &uuid).as_str(), bench.world.reserved(1)), ("good", 0));
}

#[test]
fn a_chit_of_another_lift_of_that_uuid_does_not_take_the_place_of_what_was_promised() {
    let mut bench = promised(52);
    let uuid = bench.core().uuid().to_owned();
    let mut other = bench.core.clone();
    other["life"] = 121.into();
    let other = LiftCore::parse(other).unwrap();
    deliver(&mut bench, &chit(&other, |_| {}));
    assert_eq!((state(&mut bench), bench.world.reserved(1)), (json!("A.pend"), 200));
    bench.world.net.calm(2 * MINUTE);
    let core = bench.core();
    bench.world.bring(1, &ruling(&core, &stranger(), false));
    nothing_failed(&mut bench);
    assert_eq!((bench.world.state(1, &uuid).as_str(), bench.world.reserved(1)), ("void", 0));
    // Nothing stands in its way any more, and its issuer is bound by it.
    deliver(&mut bench, &chit(&other, |_| {}));
    assert_eq!((state(&mut bench), bench.world.worth(1)), (json!("A.good"), 100));
}
