//! Signed chits on their way in: what is valid, and what becomes of the rest (PROTOCOL 5.3, 6.8, 9.6).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::bench::Bench;
use kit::chits::*;
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::record::{ChitRecord, LiftCore, Pledge, Side};
use tallyho_plugin::testkit::{Net, UserKey};

fn bench(seed: u64) -> Net {
    let mut net = pair_of::<Bench>(seed);
    net.a().take_notices();
    net
}

/// Alice's half judges a chit: the verdict's first word, and what goes with it.
fn judged(net: &mut Net, chit: &Value) -> (String, Value) {
    let answer = net.a().call("chit", "admit", json!({ "user": "alice", "chit": chit })).unwrap();
    (answer[0].as_str().unwrap().to_owned(), answer[1].clone())
}

fn half(net: &mut Net) -> Value {
    net.a().rows("chit.halves").into_values().next().unwrap_or_default()
}

fn told(net: &mut Net) -> Vec<Value> {
    net.a().take_notices().into_iter().map(|(_, notice)| notice).collect()
}

fn bob(seed: u64) -> UserKey {
    key_of("bob", 2 * seed + 1)
}

fn alice(seed: u64) -> UserKey {
    key_of("alice", 2 * seed)
}

#[test]
fn c3_a_partners_signed_chit_is_stored_counted_and_told() {
    let mut net = bench(1);
    let chit = signed(tran(1, "foil", 5), &bob(1));
    let (verdict, entry) = judged(&mut net, &chit);
    assert_eq!((verdict.as_str(), &entry["status"], &entry["index"]), ("new", &json!("good"), &Value::Null));
    assert_eq!((&half(&mut net)["net"], &half(&mut net)["end"]), (&json!(5), &json!(0)));
    let told = told(&mut net);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["reason"], &told[0]["state"], &told[0]["units"]),
        (&json!("good"), &json!("A.good"), &json!(5))
    );
}

#[test]
fn c3b_our_own_chit_counts_where_our_own_user_has_signed_it() {
    let mut net = bench(2);
    let (verdict, _) = judged(&mut net, &signed(tran(1, "stock", 5), &alice(2)));
    assert_eq!((verdict.as_str(), &half(&mut net)["net"]), ("new", &json!(-5)));
    assert_eq!(
        (&told(&mut net)[0]["reason"], judged(&mut net, &signed(tran(2, "stock", 5), &bob(2))).0),
        (&json!("own"), "invalid".to_owned())
    );
}

#[test]
fn c16_the_same_again_changes_nothing_and_needs_no_signature_check() {
    let mut net = bench(3);
    let chit = signed(tran(1, "foil", 5), &bob(3));
    judged(&mut net, &chit);
    told(&mut net);
    assert_eq!(judged(&mut net, &chit).0, "known");
    assert_eq!((half(&mut net)["net"].clone(), told(&mut net).len()), (json!(5), 0));
}

#[test]
fn c17_another_core_under_a_known_uuid_is_kept_out_if_it_is_signed_and_if_it_is_not() {
    let mut net = bench(4);
    judged(&mut net, &signed(tran(1, "foil", 5), &bob(4)));
    assert_eq!(judged(&mut net, &signed(tran(1, "foil", 6), &bob(4))).0, "conflicting");
    assert_eq!(judged(&mut net, &signed(tran(1, "stock", 5), &alice(4))).0, "conflicting");
    assert_eq!(judged(&mut net, &signed(tran(1, "foil", 6), &alice(4))).0, "invalid");
    assert_eq!(half(&mut net)["net"], 5);
}

#[test]
fn a_copy_signed_anew_is_the_same_chit_if_both_signatures_stand() {
    // P-521 signatures differ each time; Ed25519 ones do not.
    let mut net = bench(5);
    let key = UserKey::p521();
    let mut half = net.a().rows("tally.tallies").into_iter().next().unwrap();
    half.1["core"]["foil"]["cert"]["public"] = key.public();
    net.a().write("tally.tallies", &half.0, &half.1);
    let (one, two) = (signed(tran(1, "foil", 5), &key), signed(tran(1, "foil", 5), &key));
    assert_ne!(one["sign"], two["sign"]);
    assert_eq!(judged(&mut net, &one).0, "new");
    assert_eq!(judged(&mut net, &two).0, "resigned");
    let mut forged = two;
    forged["sign"] = key.sign("something else").into();
    assert_eq!(judged(&mut net, &forged).0, "invalid");
}

#[test]
fn a_signed_chit_takes_the_place_of_an_invoice_and_the_user_hears_both_amounts() {
    let mut net = bench(6);
    net.a().call("chit", "ask", json!({ "tally": TALLY, "user": "alice", "units": 9 })).unwrap();
    let asked = net.a().rows("chit.chits").into_values().next().unwrap();
    let mut core: Value = serde_json::from_str(asked["core"].as_str().unwrap()).unwrap();
    core["units"] = json!(7);
    assert_eq!(half(&mut net)["pend"], 0, "not sent yet");
    assert_eq!(judged(&mut net, &signed(core, &bob(6))).0, "new");
    let half = half(&mut net);
    assert_eq!((&half["net"], &half["pend"]), (&json!(7), &json!(0)));
    let told = told(&mut net);
    assert_eq!((&told[0]["units"], &told[0]["asked"]), (&json!(7), &json!(9)));
    assert!(net.a().rows("chit.unsigned").is_empty() && net.a().rows("chit.requests").is_empty());
}

#[test]
fn bad_chits_of_every_kind_are_kept_out() {
    let mut net = bench(7);
    let good = || tran(1, "foil", 5);
    let changed = |member: &str, value: Value| {
        let mut chit = good();
        chit[member] = value;
        chit
    };
    let resigned = |change: &dyn Fn(&mut Value)| {
        let mut chit = signed(good(), &bob(7));
        change(&mut chit);
        chit
    };
    let stranger = UserKey::of("a stranger");
    for (bad, verdict) in [
        (good(), "invalid"),
        (signed(good(), &stranger), "invalid"),
        (signed(good(), &alice(7)), "invalid"),
        (resigned(&|chit| chit["sign"] = json!("")), "invalid"),
        (resigned(&|chit| chit["sign"] = json!("AAAA")), "invalid"),
        (resigned(&|chit| chit["units"] = json!(6)), "unreadable"),
        (
            resigned(&|chit| {
                chit["units"] = json!(6);
                chit.as_object_mut().unwrap().remove("hash");
            }),
            "invalid",
        ),
        (
            resigned(&|chit| {
                chit["memo"] = json!("x");
                chit.as_object_mut().unwrap().remove("hash");
            }),
            "invalid",
        ),
        (signed(changed("tally", json!(uuid(9))), &bob(7)), "invalid"),
        (changed("units", json!(0)), "unreadable"),
        (changed("units", json!(-5)), "unreadable"),
        (changed("units", json!(1.5)), "unreadable"),
        (changed("units", json!(1u64 << 53)), "unreadable"),
        (changed("units", json!("5")), "unreadable"),
        (changed("units", Value::Null), "unreadable"),
        (changed("memo", Value::Null), "unreadable"),
        (changed("ref", Value::Null), "unreadable"),
        (changed("type", json!("set")), "unreadable"),
        (changed("type", json!("gift")), "unreadable"),
        (json!(5), "unreadable"),
    ] {
        assert_eq!(judged(&mut net, &bad).0, verdict, "{bad}");
    }
    assert!(net.a().rows("chit.chits").is_empty() && told(&mut net).is_empty());
    assert_eq!(judged(&mut net, &signed(good(), &bob(7))).0, "new", "and a good one passes");
}

#[test]
fn a_balance_never_leaves_its_range() {
    let mut net = bench(8);
    net.a().check_determinism(false);
    for number in 0..1024 {
        let chit = signed(tran(number, "foil", 9_007_199_254_740_991), &bob(8));
        assert_eq!(judged(&mut net, &chit).0, "new");
    }
    let (verdict, why) = judged(&mut net, &signed(tran(1024, "foil", 9_007_199_254_740_991), &bob(8)));
    assert_eq!((verdict.as_str(), why.as_str().unwrap().contains("64 bits")), ("invalid", true));
    assert_eq!(judged(&mut net, &signed(tran(1025, "foil", 1), &bob(8))).0, "new");
}

/// A lift chit of bob's, or of alice's, pledged by the agent of that side.
fn lift_chit(net: &mut Net, core: &LiftCore, by: Side) -> Value {
    let place = usize::from(by == Side::Foil);
    let mut pledge = Pledge::new(net.sites[place].agent(), by, core, TALLY);
    let text = json!({ "text": pledge.text().unwrap() });
    pledge.sign = net.sites[place].call("chit", "sign.agent", text).unwrap().as_str().unwrap().to_owned();
    ChitRecord::of_lift(core, &pledge).unwrap().signed(ruling(core, "referee", true)).to_record()
}

/// No referee is accepted here: whom its issuer trusts is the issuer's business, and who is paid owes nobody for it.
#[test]
fn a_lift_chit_binds_by_ruling_and_pledge_whoever_its_referee_is() {
    let mut net = bench(9);
    let core = lift(1, 4, "referee");
    let chit = lift_chit(&mut net, &core, Side::Foil);
    for (part, value) in [
        ("sign", json!(ruling(&core, "referee", false))),
        ("sign", json!(ruling(&core, "another", true))),
        ("ref", json!({ "lift": core.with_valid(true), "pledge": ruling(&core, "referee", true) })),
    ] {
        let mut bad = chit.clone();
        bad[part] = value;
        bad.as_object_mut().unwrap().remove("hash");
        assert_eq!(judged(&mut net, &bad).0, "invalid", "{part}");
    }
    assert_eq!(judged(&mut net, &chit).0, "new");
    assert_eq!((half(&mut net)["net"].clone(), told(&mut net)[0]["type"].clone()), (json!(4), json!("lift")));
}

#[test]
fn a_lift_chit_of_ours_binds_by_our_agents_own_pledge() {
    let mut net = bench(10);
    let chit = lift_chit(&mut net, &lift(1, 4, "referee"), Side::Stock);
    assert_eq!(judged(&mut net, &chit).0, "new");
    assert_eq!(half(&mut net)["net"], -4);
}
