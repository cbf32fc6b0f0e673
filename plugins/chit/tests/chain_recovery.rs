//! The five mishaps of PROTOCOL 6.7, and how much talk each of them costs.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chain::*;
use serde_json::json;
use tallyho_plugin::testkit::Net;

/// A chain long enough for several lots of parts.
const LONG: u64 = 3_000;

/// A tally whose halves agree on this many chits, half of them each side's.
fn grown(seed: u64, count: u64) -> Net {
    let mut net = chains(seed);
    net.sites.iter_mut().for_each(|site| site.check_determinism(false));
    pay_many(&mut net, STOCK, count / 2);
    pay_many(&mut net, FOIL, count - count / 2);
    net.settle();
    net.calm(20_000);
    assert_agreed(&net);
    net
}

/// What was said since, both ways: how many messages of each kind.
fn talk(net: &Net, before: &Talk) -> Talk {
    let now = spoken(net);
    now.into_iter().map(|(kind, count)| (kind, count - before.get(kind).copied().unwrap_or(0))).collect()
}

fn names(net: &Net, place: usize) -> Vec<String> {
    chain_of(&net.sites[place]).into_iter().map(|(chit, _)| chit).collect()
}

#[test]
fn m1_chits_added_on_both_sides_at_once_end_in_the_foils_order() {
    let mut net = chains(1);
    let (stocks, foils) = (pay(&mut net, STOCK), pay(&mut net, FOIL));
    let before = spoken(&net);
    net.settle();
    assert_agreed(&net);
    assert_eq!(names(&net, STOCK), [foils["uuid"].as_str().unwrap(), stocks["uuid"].as_str().unwrap()]);
    let said: i64 = talk(&net, &before).values().sum();
    assert!(said <= 8, "{said} messages");
}

#[test]
fn m2_what_was_made_without_network_arrives_with_it() {
    let mut net = chains(2);
    for _ in 0..5 {
        pay(&mut net, STOCK);
        pay(&mut net, FOIL);
    }
    net.stall();
    net.sites.iter_mut().for_each(|site| site.restart());
    net.calm(30_000);
    assert_agreed(&net);
}

#[test]
fn m3_a_message_lost_after_it_was_taken_is_noticed_at_the_next_chit() {
    for place in [STOCK, FOIL] {
        let mut net = grown(3, 4);
        pay(&mut net, place);
        net.sites[place].take_sent();
        pay(&mut net, place);
        net.settle();
        assert_eq!(half(&net.sites[1 - place]).loose, 0);
        net.calm(7_000);
        assert_agreed(&net);
        assert_eq!(half(&net.sites[STOCK]).end, 6);
    }
}

#[test]
fn m3_a_message_lost_after_it_was_taken_is_noticed_by_the_checkpoint() {
    for place in [STOCK, FOIL] {
        let mut net = grown(4, 4);
        pay(&mut net, place);
        net.sites[place].take_sent();
        net.settle();
        assert_eq!(half(&net.sites[1 - place]).end, 4);
        net.calm(7_000);
        assert_agreed(&net);
        assert_eq!(half(&net.sites[STOCK]).end, 5);
    }
}

/// The site forgets all chits above this index, and its clock goes on.
fn old(net: &mut Net, place: usize, keep: u64, more: u64) {
    let backup = net.sites[place].backup();
    pay_many(net, STOCK, more / 2);
    pay_many(net, FOIL, more - more / 2);
    net.settle();
    net.calm(20_000);
    assert_agreed(net);
    net.sites[place].restore(&backup);
    assert_eq!(half(&net.sites[place]).end, keep);
}

#[test]
fn m4_a_side_restored_from_an_old_backup_gets_back_every_chit_when_it_starts() {
    for place in [STOCK, FOIL] {
        let mut net = grown(5, 20);
        old(&mut net, place, 20, LONG);
        let all = names(&net, 1 - place);
        let before = spoken(&net);
        net.sites[place].restart();
        net.calm(3_000);
        assert_agreed(&net);
        assert!(names(&net, place) == all, "the order has not changed");
        // Each lot of parts once, an ack for each part, and a comparison or two.
        let said = talk(&net, &before);
        assert!(said["upd"] <= 26 && said["ack"] <= 26, "{said:?}");
        assert_eq!(said.get("nak"), None);
    }
}

#[test]
fn m4_chits_made_by_a_restored_foil_displace_three_thousand_that_come_back_in_their_order() {
    let mut net = grown(6, 20);
    old(&mut net, FOIL, 20, LONG);
    let all = names(&net, STOCK);
    let before = spoken(&net);
    let new: Vec<String> = (0..3).map(|_| pay(&mut net, FOIL)["uuid"].as_str().unwrap().to_owned()).collect();
    net.settle();
    net.calm(20_000);
    assert_agreed(&net);
    let names = names(&net, STOCK);
    assert_eq!(names[..20], all[..20]);
    assert_eq!(names[20..23], new);
    assert!(names[23..] == all[20..], "what was displaced has kept its order");
    let said = talk(&net, &before);
    assert!(said.values().sum::<i64>() <= 90, "{said:?}");
}

#[test]
fn m4_a_restored_stock_learns_of_its_gap_by_the_foils_next_chit() {
    let mut net = grown(7, 20);
    old(&mut net, STOCK, 20, LONG);
    let before = spoken(&net);
    pay(&mut net, FOIL);
    net.settle();
    net.calm(20_000);
    assert_agreed(&net);
    let said = talk(&net, &before);
    assert!(said.values().sum::<i64>() <= 90, "{said:?}");
}

#[test]
fn m4_a_restored_stock_that_makes_a_chit_itself_is_given_the_rest() {
    let mut net = grown(8, 20);
    old(&mut net, STOCK, 20, LONG);
    let before = spoken(&net);
    pay(&mut net, STOCK);
    net.settle();
    net.calm(20_000);
    assert_agreed(&net);
    let said = talk(&net, &before);
    assert!(said.values().sum::<i64>() <= 120, "{said:?}");
}

#[test]
fn m4_displacing_goes_on_through_restarts_and_new_chits() {
    let mut net = grown(9, 20);
    old(&mut net, FOIL, 20, LONG);
    let all = names(&net, STOCK);
    pay(&mut net, FOIL);
    for _ in 0..400 {
        net.storm();
        if net.dice().percent(3) {
            let place = net.dice().below(2);
            net.sites[place].restart();
            pay(&mut net, place);
        }
    }
    net.calm(60_000);
    assert_agreed(&net);
    let names = names(&net, STOCK);
    assert!(names[..20] == all[..20] && all.iter().all(|chit| names.contains(chit)));
}

#[test]
fn m5_a_chit_made_offline_enters_at_either_side_and_is_one_chit() {
    for place in [STOCK, FOIL] {
        let mut net = chains(10);
        pay(&mut net, place);
        let chit = make_one(&mut net, place, json!({ "offline": true }));
        net.settle();
        // The partner's app hands it to the partner's own site, which has heard nothing of it.
        tell(&mut net, 1 - place, "good", &chit);
        net.settle();
        net.calm(10_000);
        assert_agreed(&net);
        assert_eq!(half(&net.sites[0]).end, 2);
    }
}
