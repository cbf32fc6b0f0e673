//! The sums of a half are those of its chits, whatever has happened (PROTOCOL 5.2).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::{Net, Weather};

/// The sums counted anew from every row.
fn counted(net: &Net, place: usize) -> Value {
    let side = ["stock", "foil"][place];
    let (mut net_, mut pend, mut into, mut out, mut invoices) = (0, 0, 0, 0, 0);
    let (mut unsigned, mut requests) = (0, 0);
    for entry in net.sites[place].rows("chit.chits").into_values() {
        let (units, own) = (entry["units"].as_i64().unwrap(), entry["by"] == side);
        let worth = if own { -units } else { units };
        match (entry["status"].as_str().unwrap(), entry["kind"].as_str().unwrap()) {
            ("good", _) => net_ += worth,
            ("pend", "lift") => (pend, into, out) = (pend + worth, into + worth.max(0), out + (-worth).max(0)),
            ("pend", _) => (pend, invoices) = (pend + worth, invoices + i64::from(own)),
            _ => {}
        }
        unsigned += i64::from(entry["status"] != "good");
        requests += i64::from(!entry["request"].is_null());
    }
    json!([net_, pend, into, out, invoices, unsigned, requests])
}

fn kept(net: &Net, place: usize) -> Value {
    let site = &net.sites[place];
    let half = site.rows("chit.halves").into_values().next().unwrap_or_default();
    let sum = |name: &str| half[name].as_i64().unwrap_or(0);
    let rows = |table: &str| site.rows(table).len();
    json!([
        sum("net"),
        sum("pend"),
        sum("lift_in"),
        sum("lift_out"),
        sum("invoices"),
        rows("chit.unsigned"),
        rows("chit.requests")
    ])
}

/// One act of a user's, on whatever chit: most do not fit, and are refused.
fn act(net: &mut Net, step: u64) {
    let place = net.dice().below(2);
    let user = USERS[place];
    let chits: Vec<Value> = net.sites[place]
        .call("chit", "list", json!({ "tally": TALLY, "user": user }))
        .unwrap()
        .as_array()
        .unwrap()
        .clone();
    let some = net.dice().below(chits.len().max(1));
    let uuid = chits.get(some).map_or(json!("none"), |chit| chit["uuid"].clone());
    let units = 1 + net.dice().below(50);
    let lift = json!({ "lift": uuid, "items": [{ "user": user, "tally": TALLY }] });
    let by = ["stock", "foil"][net.dice().below(2)];
    let fresh = json!({
        "lift": kit::chits::uuid(step), "date": "2021-11-05T12:00:00.000Z", "units": units,
        "items": [{ "user": user, "tally": TALLY, "by": by }],
    });
    let on = json!({ "tally": TALLY, "user": user, "units": units, "uuid": uuid, "set": { "target": units } });
    let (name, arguments) = match net.dice().below(10) {
        0 | 1 => ("pay", on),
        2 | 3 => ("ask", on),
        4 => ("accept", on),
        5 => ("refuse", on),
        6 => ("set", on),
        7 => ("resend", on),
        8 => ("lift.reserve", fresh),
        _ => ("lift.void", lift),
    };
    let mut arguments = arguments;
    if name == "ask" && net.dice().below(3) == 0 {
        arguments["again"] = uuid;
    }
    drop(net.sites[place].call("chit", name, arguments));
}

#[test]
fn sums_and_indexes_are_those_of_the_rows_after_every_act_in_any_weather() {
    for seed in 0..3 {
        let mut net = pair(seed);
        net.sites.iter_mut().for_each(|site| site.check_determinism(false));
        net.weather = Weather::ROUGH;
        let mut most = 0;
        for step in 0..120 {
            act(&mut net, step);
            for _ in 0..net.dice().below(6) {
                net.storm();
            }
            if net.dice().below(40) == 0 {
                let place = net.dice().below(2);
                net.sites[place].restart();
            }
            for place in [0, 1] {
                assert_eq!(kept(&net, place), counted(&net, place), "seed {seed}, step {step}, site {place}");
            }
            most = most.max(net.sites[0].rows("chit.chits").len());
        }
        assert!(most > 20, "only {most} chits: the acts do nothing");
        net.calm(3_600_000);
        let halves: Vec<Value> =
            net.sites.iter().map(|site| site.rows("chit.halves").into_values().next().unwrap()).collect();
        assert_eq!((&halves[0]["tip"], &halves[0]["stat"]), (&halves[1]["tip"], &json!("con")), "seed {seed}");
        assert_eq!(halves[0]["net"].as_i64().unwrap(), -halves[1]["net"].as_i64().unwrap());
        let settings: Vec<Value> =
            net.sites.iter().map(|site| site.rows("chit.settings").into_values().next().unwrap_or_default()).collect();
        assert_eq!(settings[0], settings[1], "seed {seed}");
    }
}
