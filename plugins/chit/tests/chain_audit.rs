//! `chit check`: what it passes, and what it finds.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;

use kit::TALLY;
use kit::chain::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::{Net, Site};

/// All pages together: the faults found.
fn check(site: &mut Site, user: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut from = Value::Null;
    for _ in 0..100 {
        let answer = site.call("chit", "check", json!({ "tally": TALLY, "user": user, "from": from })).unwrap();
        let found: Vec<String> = serde_json::from_value(answer["faults"].clone()).unwrap();
        assert_eq!(answer["ok"], found.is_empty());
        assert_eq!(answer.get("changed"), None);
        faults.extend(found);
        from = answer["next"].clone();
        if from.is_null() {
            return faults;
        }
    }
    panic!("the check does not come to its end");
}

/// Chits of both sides, settings among them, more than a page.
fn grown() -> Net {
    let mut net = chains(1);
    for target in 1..4 {
        make_one(&mut net, STOCK, json!({ "settings": { "target": target } }));
        pay_many(&mut net, FOIL, 100);
        net.settle();
    }
    net.calm(10_000);
    assert_agreed(&net);
    net
}

/// Changes the first row of a table for which the change says so, behind the handler's back.
fn damage(site: &mut Site, table: &str, change: impl Fn(&mut Value) -> bool) {
    for (key, mut row) in site.rows(table) {
        if change(&mut row) {
            return site.write(table, &key, &row);
        }
    }
    panic!("{table} has no such row");
}

#[test]
fn a_sound_half_has_no_faults_whatever_its_state() {
    let mut net = grown();
    assert_eq!(check(net.a(), "alice"), Vec::<String>::new());
    assert_eq!(check(net.b(), "bob"), Vec::<String>::new());
    // Displaced ones in place and moved, and loose ones.
    let backup = net.b().backup();
    pay_many(&mut net, FOIL, 900);
    net.settle();
    net.calm(10_000);
    net.b().restore(&backup);
    make_one(&mut net, FOIL, json!({ "settings": { "target": 9 } }));
    let sent = net.b().take_sent();
    tell(&mut net, STOCK, "good", &sent[0].object());
    let half = half(net.a());
    assert!(half.loose > 0 && half.queue.top >= half.queue.next, "{half:?}");
    assert_eq!(check(net.a(), "alice"), Vec::<String>::new());
}

#[test]
fn each_kind_of_damage_is_found() {
    type Change = fn(&mut Value) -> bool;
    let cases: [(&str, Change, &str); 8] = [
        (
            "chit.links",
            |row| {
                row["hash"] = "x".into();
                true
            },
            "hash",
        ),
        (
            "chit.links",
            |row| {
                row["chit"] = "00000000-0000-4000-8000-000000000000".into();
                true
            },
            "missing",
        ),
        (
            "chit.chits",
            |row| {
                row["sign"] = "AAAA".into();
                true
            },
            "not valid",
        ),
        (
            "chit.chits",
            |row| {
                let core = row["core"].as_str().unwrap_or_default().replace("\"units\":1", "\"units\":2");
                let changed = row["core"] != core.as_str();
                row["core"] = core.into();
                changed
            },
            "not valid",
        ),
        (
            "chit.chits",
            |row| {
                row["units"] = (row["units"].as_i64().unwrap_or_default() + 5).into();
                true
            },
            "the balance",
        ),
        (
            "chit.chits",
            |row| {
                *row = json!("rubbish");
                true
            },
            "cannot be read",
        ),
        (
            "chit.halves",
            |row| {
                row["net"] = 7.into();
                true
            },
            "the balance",
        ),
        (
            "chit.settings",
            |row| {
                row["stock"]["target"] = 77.into();
                true
            },
            "settings",
        ),
    ];
    let backup = grown();
    let sound = backup.sites[STOCK].backup();
    let mut net = backup;
    for (table, change, word) in cases {
        net.a().restore(&sound);
        damage(net.a(), table, change);
        let faults = check(net.a(), "alice");
        assert!(faults.iter().any(|fault| fault.contains(word)), "{table}, {word}: {faults:?}");
    }
    net.a().restore(&sound);
    assert_eq!(check(net.a(), "alice"), Vec::<String>::new());
}

#[test]
fn a_loose_chit_that_is_not_listed_and_one_listed_too_much_are_found() {
    let mut net = grown();
    damage(net.a(), "chit.halves", |row| {
        row["loose"] = 1.into();
        true
    });
    assert!(check(net.a(), "alice").iter().any(|fault| fault.contains("loose chits")));
}

#[test]
fn a_cursor_of_somebody_elses_is_refused_with_what_to_do() {
    let mut net = grown();
    let fault = net.a().call("chit", "check", json!({ "tally": TALLY, "from": "17" })).unwrap_err();
    assert!(fault.to_string().contains("next"), "{fault}");
}
