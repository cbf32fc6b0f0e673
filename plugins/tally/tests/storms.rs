//! Bad networks, impatient users and restarts, the same for the same seed: both sides end equal.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::testkit::{Net, Weather};
use tallyho_plugin::{Fault, FaultKind};

const SEEDS: u64 = 200;
const ACTS: [&str; 7] = ["offer", "accept", "accept", "refuse", "withdraw", "revise", "resend"];

/// What a user does who wants to come to an end: accepts what is on offer, offers what is drafted.
fn finish(net: &mut Net, place: usize, user: &str, uuid: &str) {
    let shown = shown(&mut net.sites[place], user, uuid);
    let act = match shown["state"].as_str().unwrap_or("none") {
        "P.draft" => "offer",
        "P.offer" => "accept",
        "H.offer" => "resend",
        _ => return,
    };
    net.sites[place].command(act, json!({ "uuid": uuid, "user": user })).unwrap();
}

fn act(net: &mut Net, uuid: &str) {
    let sites = net.sites.len();
    let place = net.dice().below(sites);
    let user = if net.dice().percent(50) { "alice" } else { "bob" };
    let act = ACTS[net.dice().below(ACTS.len())];
    // Most acts do not fit the state; those are refused and change nothing.
    let fault = net.sites[place].command(act, json!({ "uuid": uuid, "user": user })).err();
    assert!(fault.is_none_or(|fault| matches!(fault.kind, FaultKind::Refused | FaultKind::NotFound)));
}

fn ended(net: &mut Net, uuid: &str) -> bool {
    let (one, two) = states(net, uuid);
    let nothing = |state: &str| state == "void" || state == "none";
    agreed(net, uuid) || (nothing(&one) && nothing(&two))
}

fn storm(net: &mut Net, uuid: &str, steps: usize) {
    for _ in 0..steps {
        match net.dice().below(20) {
            0..=3 => act(net, uuid),
            4 => {
                let sites = net.sites.len();
                let place = net.dice().below(sites);
                net.sites[place].restart();
            }
            5 => net.stall(),
            _ => net.storm(),
        }
    }
    net.calm(400_000);
    for _ in 0..8 {
        if ended(net, uuid) {
            break;
        }
        let places = [0, bobs(net)];
        for (place, user) in places.into_iter().zip(["alice", "bob"]) {
            finish(net, place, user, uuid);
            net.sites[place].restart();
            net.calm(400_000);
        }
    }
    let ours = |fault: &Fault| matches!(fault.kind, FaultKind::Failed | FaultKind::Usage);
    assert_eq!(net.take_refusals().into_iter().find(ours), None);
}

fn outcome(net: &mut Net, uuid: &str) -> String {
    let place = bobs(net);
    let (one, two) = (shown(net.a(), "alice", uuid), shown(&mut net.sites[place], "bob", uuid));
    let brief =
        |shown: &Value| format!("{} conf {} rev {}", shown["state"], shown["conf"], shown["record"]["revision"]);
    format!("{} | {}", brief(&one), brief(&two))
}

#[test]
fn both_sides_end_equal_whatever_the_network_does() {
    let (mut opened, mut voided) = (0, 0);
    for seed in 0..SEEDS {
        let mut net = pair(seed);
        let uuid = introduced(&mut net);
        net.weather = Weather { late: 0, ..Weather::ROUGH };
        storm(&mut net, &uuid, 80);
        assert!(ended(&mut net, &uuid), "seed {seed}: {}", outcome(&mut net, &uuid));
        if agreed(&mut net, &uuid) { opened += 1 } else { voided += 1 }
    }
    // A test in which one end never comes shows nothing about it.
    assert!(opened > 20 && voided > 20, "{opened} open, {voided} void");
}

#[test]
fn reordering_leaves_both_sides_equal_too() {
    for seed in 0..SEEDS / 2 {
        let mut net = pair(seed);
        let uuid = offered(&mut net);
        net.weather = Weather::ROUGH;
        storm(&mut net, &uuid, 60);
        assert!(ended(&mut net, &uuid), "seed {seed}: {}", outcome(&mut net, &uuid));
    }
}

#[test]
fn both_users_on_one_site_end_equal_through_restarts() {
    for seed in 0..SEEDS / 3 {
        let mut net = house(seed);
        let uuid = introduced(&mut net);
        net.weather = Weather::ROUGH;
        storm(&mut net, &uuid, 60);
        assert!(ended(&mut net, &uuid), "seed {seed}: {}", outcome(&mut net, &uuid));
    }
}

#[test]
fn a_restart_after_any_step_loses_nothing() {
    // The course 8b, 8a of PROTOCOL 4.7, stopped and started after each of its messages.
    for stop in 0..40 {
        let mut net = pair(stop);
        let uuid = introduced(&mut net);
        let mut left = stop;
        let mut go = |net: &mut Net, act: Option<(usize, &str)>| {
            if let Some((place, act)) = act {
                let user = ["alice", "bob"][place];
                net.sites[place].command(act, json!({ "uuid": uuid, "user": user })).unwrap();
            }
            for _ in 0..8 {
                if left == 0 {
                    net.sites.iter_mut().for_each(|site| site.restart());
                }
                left = left.wrapping_sub(1);
                net.storm();
            }
            net.settle();
        };
        for step in [(0, "offer"), (1, "revise"), (1, "offer"), (0, "accept")] {
            go(&mut net, Some(step));
        }
        net.calm(60_000);
        assert!(agreed(&mut net, &uuid), "stopped at {stop}: {}", outcome(&mut net, &uuid));
    }
}
