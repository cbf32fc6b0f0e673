//! Several sites in talk (PROTOCOL 8).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::net::*;
use kit::*;
use serde_json::json;
use tallyho_plugin::testkit::{Net, Weather};
use tallyho_route::limits;

const HOUR: i64 = 3_600_000;

/// Who looks for whom, and whether there is a way then, at most an hour later.
fn reaches(net: &mut Net, from: (usize, &str), to: (usize, &str)) -> bool {
    let find = chad(net, to.0, to.1);
    if seek(&mut net.sites[from.0], from.1, &find).is_err() {
        return false;
    }
    net.calm(HOUR / 2);
    let question = json!({ "from": { "user": from.1 }, "to": find.to_value() });
    !kit::find(&mut net.sites[from.0], question).is_empty()
}

/// Nothing is said any more, though hours pass.
fn assert_quiet(net: &mut Net) {
    net.calm(2 * HOUR);
    let before: Vec<_> = net.sites.iter().map(|site| site.rows("route.routes")).collect();
    let timers = |net: &Net| -> Vec<String> {
        let all = net.sites.iter().flat_map(|site| site.timers());
        all.map(|(name, _)| name).filter(|name| name.starts_with("wait")).collect()
    };
    assert_eq!(timers(net), [""; 0], "nobody waits");
    net.calm(24 * HOUR);
    assert!(net.sites.iter().all(|site| site.sent().is_empty()));
    let after: Vec<_> = net.sites.iter().map(|site| site.rows("route.routes")).collect();
    assert_eq!(before, after);
}

#[test]
fn over_three_sites_a_way_is_found_and_each_site_knows_its_own_exit() {
    let mut net = net(1, &["a", "b", "c", "d"]);
    join(&mut net, 1, (0, "a"), (1, "b"), 30);
    join(&mut net, 2, (1, "b"), (2, "c"), 20);
    join(&mut net, 3, (2, "c"), (3, "d"), 25);
    assert!(reaches(&mut net, (0, "a"), (3, "d")));
    assert_eq!(notices(&mut net.sites[0], "a"), ["good"]);
    let states: Vec<Vec<String>> = net.sites.iter_mut().map(states).collect();
    assert_eq!(states, [vec!["1 d good"], vec!["2 d good"], vec![], vec![]]);
    let find = chad(&net, 3, "d").to_value();
    let paths = kit::find(&mut net.sites[0], json!({ "from": { "user": "a" }, "to": find }));
    // Tallies 1 to 3, those between sites counted twice.
    assert_eq!(paths[0]["lading"], json!({ "min": 20, "max": 20, "margin": 0.0, "reward": 0.0 }));
    assert!(!reaches(&mut net, (3, "d"), (0, "a")), "value would have to go where nothing is owed");
    assert_quiet(&mut net);
}

/// PROTOCOL 8.5: value pushed out at U comes back in at D.
#[test]
fn a_circle_through_other_sites_is_found_by_the_site_itself() {
    let mut net = net(1, &["a", "b", "c"]);
    for (number, from, to) in [(1, (0, "a"), (1, "b")), (2, (1, "b"), (2, "c")), (3, (2, "c"), (0, "a"))] {
        join(&mut net, number, from, to, 10);
    }
    for site in &mut net.sites {
        site.call("route", "settings", json!({ "autoquery": "on" })).unwrap();
    }
    net.calm(limits::SCAN_EVERY + 1);
    // a's segment is from c below (tally 3) to b above (tally 1): c can be reached over b.
    let c = chad(&net, 2, "c").to_value();
    let circle = json!({ "from": { "user": "a", "tally": uuid(3) }, "to": c });
    let paths = kit::find(&mut net.sites[0], circle);
    assert_eq!(ways(&paths), [[3, 1]]);
    assert_eq!(net.sites[0].take_notices().len(), 0, "nobody has asked, so nobody is told");
}

#[test]
fn a_ring_without_the_destination_ends_in_silence_with_none() {
    let mut net = net(1, &["a", "b", "c", "x"]);
    for (number, from, to) in [(1, (0, "a"), (1, "b")), (2, (1, "b"), (2, "c")), (3, (2, "c"), (0, "a"))] {
        join(&mut net, number, from, to, 10);
    }
    assert!(!reaches(&mut net, (0, "a"), (3, "x")));
    assert_eq!(notices(&mut net.sites[0], "a"), ["none"]);
    assert_quiet(&mut net);
}

#[test]
fn a_cut_link_is_given_up_and_a_way_round_it_is_found() {
    let mut net = net(1, &["a", "b", "c", "d"]);
    for (number, from, to) in
        [(1, (0, "a"), (1, "b")), (2, (1, "b"), (3, "d")), (3, (0, "a"), (2, "c")), (4, (2, "c"), (3, "d"))]
    {
        join(&mut net, number, from, to, 10);
    }
    // Over b nothing comes back: its messages to d are neither sent nor answered.
    Tally::new(2, &chad(&net, 1, "b"), &chad(&net, 3, "d"), 10).close(&mut net.sites[1]);
    assert!(reaches(&mut net, (0, "a"), (3, "d")));
    assert_eq!(states(&mut net.sites[0]), ["1 d none", "3 d good"]);
    assert_quiet(&mut net);
}

#[test]
fn a_site_that_is_away_is_given_up_after_four_queries() {
    let mut net = net(1, &["a", "b", "c"]);
    join(&mut net, 1, (0, "a"), (1, "b"), 10);
    join(&mut net, 2, (1, "b"), (2, "c"), 10);
    net.weather = Weather { unreachable: 100, ..Weather::FAIR };
    let find = chad(&net, 2, "c");
    seek(&mut net.sites[0], "a", &find).unwrap();
    for _ in 0..4 {
        net.stall();
    }
    assert_eq!(states(&mut net.sites[0]), ["1 c none"]);
    assert_eq!(notices(&mut net.sites[0], "a"), ["none"]);
    net.weather = Weather::FAIR;
    net.sites[0].advance(limits::LIFE + 1);
    assert!(reaches(&mut net, (0, "a"), (2, "c")));
}

/// Many little worlds of six sites with random tallies: whatever the network does, talk ends; and when it has
/// been fair for long enough, whoever asks anew knows what there is to know.
#[test]
fn through_storms_all_talk_ends_and_what_can_be_reached_is_found() {
    for seed in 1..=30 {
        let users = ["a", "b", "c", "d", "e", "f"];
        let mut net = net(seed, &users);
        let mut owed = Vec::new();
        for number in 1..=9 {
            let (one, other) = (net.dice().below(6), net.dice().below(6));
            if one != other && !owed.contains(&(one, other)) && !owed.contains(&(other, one)) {
                owed.push((one, other));
                join(&mut net, number, (one, users[one]), (other, users[other]), 10);
            }
        }
        net.weather = Weather::ROUGH;
        for _ in 0..300 {
            if net.dice().percent(10) {
                let (from, to) = (net.dice().below(6), net.dice().below(6));
                let find = chad(&net, to, users[to]);
                if from != to {
                    let _ = seek(&mut net.sites[from], users[from], &find);
                }
            }
            net.storm();
        }
        assert_quiet(&mut net);
        for (from, to) in [(0, 5), (3, 1), (4, 2)] {
            let reached = reaches(&mut net, (from, users[from]), (to, users[to]));
            assert_eq!(reached, leads(&owed, from, to), "seed {seed}: from {from} to {to} over {owed:?}");
        }
        assert_quiet(&mut net);
    }
}

/// Whether value can go from one site to another, from creditor to debtor at each tally.
fn leads(owed: &[(usize, usize)], from: usize, to: usize) -> bool {
    let mut reached = vec![from];
    while let Some(next) = owed.iter().find(|(one, other)| reached.contains(one) && !reached.contains(other)) {
        reached.push(next.1);
    }
    reached.contains(&to)
}
