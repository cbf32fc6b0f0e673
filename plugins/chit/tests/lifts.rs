//! What lifts do to tallies (PROTOCOL 5.6 C18 to C20, 7.2, 9.6).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::bench::Bench;
use kit::chits::*;
use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::Handler;
use tallyho_plugin::record::{LiftCore, Pledge, Side, canonical, hash_text};
use tallyho_plugin::testkit::{Envelope, Net, Site};

/// Alice's tally with bob, and bob's with carol: the first of each two holds the stock.
const TALLIES: [&str; 2] = ["9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55", "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c56"];
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// Three sites in a row; bob stands in the middle.
fn row(seed: u64) -> Net {
    let site = |(place, user): (u64, &&str)| Site::new(seed * 10 + place).with::<Tally>().with::<Bench>().user(user);
    let mut net = Net::new(seed, (0..).zip(&NAMES).map(site).collect());
    for (tally, stock) in TALLIES.iter().zip([0, 1]) {
        let cert = |net: &Net, place: usize| net.sites[place].certificate(NAMES[place]);
        let core = json!({
            "version": 1, "revision": 1, "uuid": tally, "date": "2021-11-03T20:05:00.125Z", "memo": "", "agree": "A",
            "stock": { "cert": cert(&net, stock), "terms": {} }, "foil": { "cert": cert(&net, stock + 1), "terms": {} },
        });
        let hash = hash_text(&canonical(&core).unwrap());
        for (place, side, other) in [(stock, "stock", stock + 1), (stock + 1, "foil", stock)] {
            let partner = net.sites[other].chad(NAMES[other]);
            let half =
                json!({ "state": "open", "conf": 0, "side": side, "core": core, "hash": hash, "partner": partner });
            let put = json!({ "user": NAMES[place], "uuid": tally, "half": half });
            net.sites[place].call("tally", "put", put).unwrap();
        }
    }
    net
}

fn call(net: &mut Net, place: usize, name: &str, arguments: Value) -> Value {
    net.sites[place].call("chit", name, arguments).unwrap()
}

/// The halves of this site along the lift alice → bob → carol: always the stock's side issues.
fn items(net: &mut Net, place: usize, core: &LiftCore) -> Value {
    let tallies: &[usize] = match place {
        0 => &[0],
        1 => &[0, 1],
        _ => &[1],
    };
    let items = tallies.iter().map(|tally| {
        let mut pledge = Pledge::new(net.sites[*tally].agent(), Side::Stock, core, TALLIES[*tally]);
        let text = json!({ "text": pledge.text().unwrap() });
        pledge.sign = call(net, *tally, "sign.agent", text).as_str().unwrap().to_owned();
        json!({ "user": NAMES[place], "tally": TALLIES[*tally], "by": "stock", "pledge": pledge.sign })
    });
    Value::Array(items.collect())
}

fn reserve(net: &mut Net, place: usize, core: &LiftCore) -> Value {
    let items = items(net, place, core);
    let (date, units) = (&core.value()["date"], core.units());
    call(net, place, "lift.reserve", json!({ "lift": core.uuid(), "date": date, "units": units, "items": items }))
}

fn complete(net: &mut Net, place: usize, core: &LiftCore) -> Value {
    let items = items(net, place, core);
    let sign = ruling(core, "referee", true);
    call(net, place, "lift.complete", json!({ "lift": core.value(), "sign": sign, "items": items }))
}

fn give_back(net: &mut Net, place: usize, core: &LiftCore) -> Value {
    let items = items(net, place, core);
    call(net, place, "lift.void", json!({ "lift": core.uuid(), "items": items }))
}

/// The account of this user's half of a tally.
fn half(net: &Net, place: usize, tally: usize) -> Value {
    let key = [TALLIES[tally].as_bytes(), b"\0", NAMES[place].as_bytes()].concat();
    net.sites[place].rows("chit.halves").remove(&key).unwrap_or_default()
}

fn state(net: &mut Net, place: usize, tally: usize, core: &LiftCore) -> String {
    let chit = format!("{}/{}/{}", NAMES[place], TALLIES[tally], core.uuid());
    let answer = net.sites[place].call("chit", "state", json!({ "chit": chit }));
    answer.map_or_else(|fault| fault.code, |answer| answer["state"].as_str().unwrap().to_owned())
}

fn capacity(net: &mut Net, place: usize, tally: usize) -> Value {
    call(net, place, "capacity", json!({ "user": NAMES[place], "tally": TALLIES[tally] }))
}

/// What every row of every table holds, to see that nothing has changed.
fn everything(net: &Net, place: usize) -> Vec<Value> {
    let site = &net.sites[place];
    ["chit.chits", "chit.halves", "chit.unsigned", "chit.links"]
        .iter()
        .map(|table| json!(site.rows(table).into_values().collect::<Vec<_>>()))
        .collect()
}

#[test]
fn a_lift_is_reserved_and_completed_on_every_tally_of_its_way() {
    let mut net = row(1);
    let core = lift(1, 4, "referee");
    for place in 0..3 {
        assert_eq!(reserve(&mut net, place, &core)["done"], true);
    }
    assert_eq!((state(&mut net, 1, 0, &core), state(&mut net, 1, 1, &core)), ("A.pend".into(), "L.pend".into()));
    assert_eq!((half(&net, 1, 0)["lift_in"].clone(), half(&net, 1, 1)["lift_out"].clone()), (json!(4), json!(4)));
    assert!(net.sites.iter().all(|site| site.sent().is_empty()), "a reservation is nobody else's business");
    for place in 0..3 {
        assert_eq!(complete(&mut net, place, &core)["done"], true, "{place}");
    }
    assert!(net.sites[0].sent().is_empty(), "of a lift's chits the foil's side sends, and the stock's waits");
    net.calm(60_000);
    for (tally, places) in [(0, [0, 1]), (1, [1, 2])] {
        let halves = places.map(|place| half(&net, place, tally));
        assert_eq!((&halves[0]["net"], &halves[1]["net"]), (&json!(-4), &json!(4)));
        for half in &halves {
            assert_eq!(
                (&half["end"], &half["conf"], &half["stat"], &half["pend"]),
                (&json!(1), &json!(1), &json!("con"), &json!(0))
            );
            assert_eq!((&half["lift_in"], &half["lift_out"]), (&json!(0), &json!(0)));
        }
        assert_eq!(halves[0]["tip"], halves[1]["tip"]);
    }
    assert_eq!(complete(&mut net, 1, &core)["done"], true, "said again, it changes nothing");
    assert_eq!(half(&net, 1, 0)["net"], 4);
    assert_eq!(net.take_refusals(), []);
}

#[test]
fn a_set_that_one_tally_refuses_leaves_the_others_alone() {
    for (why, member, value) in [
        ("unconfirmed", "conf", json!(null)),
        ("err", "stat", json!("err")),
        ("closing", "phase", json!("closing")),
        ("closing", "phase", json!("closed")),
    ] {
        let mut net = row(2);
        // A first chit, so that there is an account.
        call(&mut net, 2, "pay", json!({ "tally": TALLIES[1], "units": 1 }));
        net.settle();
        let key = [TALLIES[1].as_bytes(), b"\0bob"].concat();
        let mut row = half(&net, 1, 1);
        row[member] = value;
        net.sites[1].write("chit.halves", &key, &row);
        if member == "conf" {
            let mut tally = net.sites[1].rows("tally.tallies").remove(&key).unwrap();
            tally["conf"] = json!(null);
            net.sites[1].write("tally.tallies", &key, &tally);
        }
        let before = everything(&net, 1);
        let core = lift(1, 4, "referee");
        let answer = reserve(&mut net, 1, &core);
        assert_eq!((&answer["done"], &answer["refused"][0]["code"]), (&json!(false), &json!(why)));
        assert_eq!(answer["refused"][0]["tally"], TALLIES[1]);
        assert_eq!(everything(&net, 1), before);
        let seen = capacity(&mut net, 1, 1);
        assert_eq!((&seen["usable"], &seen["why"]), (&json!(false), &json!(why)));
    }
}

#[test]
fn reservations_of_a_taken_uuid_an_unknown_tally_or_the_same_half_twice_are_refused() {
    let mut net = row(3);
    let core = lift(1, 4, "referee");
    reserve(&mut net, 1, &core);
    let before = everything(&net, 1);
    let codes = |answer: Value| -> Vec<String> {
        let refused = answer["refused"].as_array().unwrap();
        refused.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(reserve(&mut net, 1, &core)), ["state", "state"]);
    let order = |items: Value| json!({ "lift": uuid(2), "date": core.value()["date"], "units": 4, "items": items });
    let item = |tally: &str| json!({ "user": "bob", "tally": tally, "by": "stock" });
    let answer = call(&mut net, 1, "lift.reserve", order(json!([item(TALLIES[0]), item(TALLIES[0])])));
    assert_eq!(codes(answer), ["twice"]);
    let answer = call(&mut net, 1, "lift.reserve", order(json!([item(TALLIES[0]), item(&uuid(9))])));
    assert_eq!(codes(answer), ["state"]);
    for wrong in
        [json!([{ "user": "bob", "tally": TALLIES[0] }]), json!([{ "user": "bob", "tally": "x", "by": "stock" }])]
    {
        assert!(net.sites[1].call("chit", "lift.reserve", order(wrong)).is_err());
    }
    assert_eq!(everything(&net, 1), before);
}

#[test]
fn a_lift_is_completed_by_its_own_ruling_and_pledges_alone() {
    let mut net = row(4);
    let core = lift(1, 4, "referee");
    reserve(&mut net, 1, &core);
    let before = everything(&net, 1);
    let good = items(&mut net, 1, &core);
    let mut foreign = good.clone();
    foreign[1]["pledge"] = good[0]["pledge"].clone();
    let mut other_side = good.clone();
    other_side[0]["by"] = json!("foil");
    let ruled = ruling(&core, "referee", true);
    let other = lift(1, 5, "referee");
    for (core, sign, items) in [
        (&core, ruling(&core, "referee", false), &good),
        (&core, ruling(&core, "another", true), &good),
        (&core, ruled.clone(), &foreign),
        (&core, ruled, &other_side),
        (&other, ruling(&other, "referee", true), &good),
    ] {
        let answer = call(&mut net, 1, "lift.complete", json!({ "lift": core.value(), "sign": sign, "items": items }));
        assert_eq!(answer["done"], false, "{answer}");
        assert_eq!(everything(&net, 1), before);
    }
    let unknown = lift(2, 4, "referee");
    assert_eq!(complete(&mut net, 1, &unknown)["refused"][0]["code"], "state");
    assert_eq!(complete(&mut net, 1, &core)["done"], true);
}

#[test]
fn c20_what_is_given_back_counts_nowhere_and_cannot_be_completed_by_its_issuer() {
    let mut net = row(5);
    let core = lift(1, 4, "referee");
    reserve(&mut net, 1, &core);
    assert_eq!(give_back(&mut net, 1, &core)["done"], true);
    assert_eq!((state(&mut net, 1, 0, &core), state(&mut net, 1, 1, &core)), ("A.void".into(), "L.void".into()));
    assert_eq!((half(&net, 1, 0)["pend"].clone(), half(&net, 1, 1)["lift_out"].clone()), (json!(0), json!(0)));
    assert_eq!(give_back(&mut net, 1, &core)["done"], true, "again");
    assert_eq!(complete(&mut net, 1, &core)["done"], false);
    let never = lift(7, 4, "referee");
    assert_eq!(give_back(&mut net, 1, &never)["items"][0]["state"], "none");
    // The receiver alone takes it even now (9.6).
    let alone = json!([items(&mut net, 1, &core)[0]]);
    let order = json!({ "lift": core.value(), "sign": ruling(&core, "referee", true), "items": alone });
    assert_eq!(call(&mut net, 1, "lift.complete", order)["items"][0]["state"], "A.good");
    assert_eq!(give_back(&mut net, 1, &core)["done"], false, "what is good binds");
}

#[test]
fn a_good_lift_chit_from_the_partner_is_itself_a_ruling() {
    let mut net = row(6);
    let core = lift(1, 4, "referee");
    for place in 0..3 {
        reserve(&mut net, place, &core);
    }
    // Carol's site, the foil, hears first; bob's learns it by the chain.
    complete(&mut net, 2, &core);
    net.settle();
    assert_eq!((state(&mut net, 1, 1, &core), state(&mut net, 1, 0, &core)), ("L.good".into(), "A.pend".into()));
    let half = half(&net, 1, 1);
    assert_eq!((&half["net"], &half["lift_out"], &half["conf"]), (&json!(-4), &json!(0), &json!(1)));
    assert_eq!(complete(&mut net, 1, &core)["done"], true);
    assert_eq!(state(&mut net, 1, 0, &core), "A.good");
}

/// Its promise got lost, and bob's site accepts no referee: he is paid all the same, and owes nobody for it (9.6).
#[test]
fn a_chit_of_a_promise_that_never_came_is_taken_and_both_halves_agree() {
    let mut net = row(9);
    let core = lift(1, 4, "referee");
    reserve(&mut net, 0, &core);
    assert_eq!(complete(&mut net, 0, &core)["done"], true);
    net.calm(60_000);
    let halves = [half(&net, 0, 0), half(&net, 1, 0)];
    assert_eq!((&halves[0]["net"], &halves[1]["net"]), (&json!(-4), &json!(4)));
    for half in &halves {
        assert_eq!((&half["conf"], &half["stat"]), (&json!(1), &json!("con")), "{half}");
    }
    assert_eq!(halves[0]["tip"], halves[1]["tip"]);
}

#[test]
fn nothing_but_its_own_lifts_chit_takes_the_place_of_a_reservation() {
    let mut net = row(7);
    let core = lift(1, 4, "referee");
    reserve(&mut net, 1, &core);
    let mut tran = tran(1, "stock", 1);
    tran["tally"] = json!(TALLIES[0]);
    let forged = signed(tran, &key_of("alice", 70));
    let (alice, bob) = (net.sites[0].chad("alice"), net.sites[1].chad("bob"));
    net.sites[1].deliver(&Envelope::new(&alice, &bob, "chit/good", &forged)).unwrap();
    assert_eq!(state(&mut net, 1, 0, &core), "A.pend");
    assert_eq!(half(&net, 1, 0)["lift_in"], 4);
    assert_eq!(complete(&mut net, 1, &core)["done"], true);
}

#[test]
fn a_pending_lift_keeps_a_tally_from_closing() {
    let mut net = row(8);
    let core = lift(1, 4, "referee");
    reserve(&mut net, 1, &core);
    call(&mut net, 1, "set", json!({ "tally": TALLIES[0], "settings": { "close": true } }));
    net.calm(60_000);
    assert_eq!(
        (half(&net, 0, 0)["phase"].clone(), half(&net, 1, 0)["phase"].clone()),
        (json!("closed"), json!("closing"))
    );
    give_back(&mut net, 1, &core);
    assert_eq!(half(&net, 1, 0)["phase"], "closed");
    let tally = call_tally(&mut net, 1);
    assert_eq!(tally["state"], "close");
}

fn call_tally(net: &mut Net, place: usize) -> Value {
    net.sites[place].call("tally", "get", json!({ "user": NAMES[place], "uuid": TALLIES[0] })).unwrap()
}

#[test]
fn the_worked_example_comes_out_of_chits_and_settings() {
    // PROTOCOL 7.4: the stock's balance on each tally, and the edge from stock to foil.
    for (seed, balance, published, min, max) in
        [(11, 10, true, 13, 17), (12, 6, true, 9, 13), (13, 4, true, 7, 11), (14, 2, true, 5, 9), (15, 8, false, 8, 8)]
    {
        let mut net = row(seed);
        let on = |rest: Value| {
            let mut on = json!({ "tally": TALLIES[0] });
            on.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            on
        };
        call(&mut net, 1, "pay", on(json!({ "units": balance })));
        call(&mut net, 0, "set", on(json!({ "settings": { "target": 3, "bound": 7, "clutch": "0.001" } })));
        if published {
            call(&mut net, 1, "set", on(json!({ "settings": { "target": 3, "bound": 7, "reward": 0.02 } })));
        }
        net.calm(60_000);
        let edge = json!({ "n": -balance, "min": min, "max": max, "margin": 0.001,
            "reward": if published { 0.02 } else { 0.0 }, "sign": -1, "by": "stock" });
        assert_eq!(capacity(&mut net, 1, 0)["in"], edge);
        // The creditor's site sees the same edge from its other end.
        let seen = capacity(&mut net, 0, 0);
        assert_eq!((&seen["out"], &seen["usable"]), (&edge, &json!(true)));
    }
}

#[test]
fn capacity_counts_lifts_carefully_and_invoices_never() {
    let mut net = row(20);
    call(&mut net, 1, "set", json!({ "tally": TALLIES[0], "settings": { "target": 10, "bound": 20 } }));
    call(&mut net, 0, "ask", json!({ "tally": TALLIES[0], "units": 9 }));
    net.settle();
    let n = |net: &mut Net| {
        let seen = capacity(net, 1, 0);
        (seen["in"]["n"].as_i64().unwrap(), seen["in"]["min"].as_i64().unwrap(), seen["out"]["n"].as_i64().unwrap())
    };
    assert_eq!(n(&mut net), (0, 10, 0));
    let order = |number: u64, by: &str| {
        let items = json!([{ "user": "bob", "tally": TALLIES[0], "by": by }]);
        json!({ "lift": uuid(number), "date": "2021-11-05T12:00:00.000Z", "units": 4, "items": items })
    };
    call(&mut net, 1, "lift.reserve", order(1, "stock"));
    assert_eq!(n(&mut net), (4, 6, 0), "what comes fills it up");
    call(&mut net, 1, "lift.reserve", order(2, "foil"));
    assert_eq!(n(&mut net), (4, 6, 4), "what goes may yet stay, and fills the partner up");
    call(&mut net, 1, "lift.void", json!({ "lift": uuid(1), "items": [{ "user": "bob", "tally": TALLIES[0] }] }));
    assert_eq!(n(&mut net), (0, 10, 4));
}

#[test]
fn only_other_plugins_and_the_operator_reach_the_services() {
    let manifest = tallyho_chit::Chit::manifest();
    for name in ["lift.reserve", "lift.complete", "lift.void", "capacity", "close", "state"] {
        let spec = manifest.commands.iter().find(|spec| spec.name == name).unwrap();
        assert!(spec.invocable && spec.words.is_empty(), "{name}");
    }
}

#[test]
fn a_tally_between_two_users_of_one_site_has_both_its_halves_lifted() {
    let mut net = house_of::<Bench>(21);
    let core = lift(1, 4, "referee");
    let mut pledge = Pledge::new(net.sites[0].agent(), Side::Foil, &core, TALLY);
    let text = json!({ "text": pledge.text().unwrap() });
    pledge.sign = call(&mut net, 0, "sign.agent", text).as_str().unwrap().to_owned();
    let item = |user: &str| json!({ "user": user, "tally": TALLY, "by": "foil", "pledge": pledge.sign });
    let items = json!([item("alice"), item("bob")]);
    let order = json!({ "lift": core.uuid(), "date": core.value()["date"], "units": 4, "items": items });
    assert_eq!(call(&mut net, 0, "lift.reserve", order)["done"], true);
    let order = json!({ "lift": core.value(), "sign": ruling(&core, "referee", true), "items": items });
    assert_eq!(call(&mut net, 0, "lift.complete", order)["done"], true);
    net.calm(60_000);
    let halves: Vec<Value> = net.a().rows("chit.halves").into_values().collect();
    assert_eq!((&halves[0]["net"], &halves[1]["net"]), (&json!(4), &json!(-4)));
    for half in halves {
        assert_eq!((&half["conf"], &half["stat"]), (&json!(1), &json!("con")));
    }
    assert_eq!(net.take_refusals(), []);
}
