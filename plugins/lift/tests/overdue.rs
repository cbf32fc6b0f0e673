//! Lifts whose end was not heard: who asks whom, and what cannot happen meanwhile (PROTOCOL 9.7 I1, 9.8, 11.2).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::places::{World, tally, user};
use kit::{over, pledge, ruling, stranger};
use serde_json::{Value, json};
use tallyho_plugin::Fate;
use tallyho_plugin::record::Side;
use tallyho_plugin::testkit::{Envelope, Sent};

/// Minutes in milliseconds.
const MINUTE: i64 = 60_000;

#[test]
fn a_lift_whose_arrival_is_lost_stays_pending_past_expiry_until_the_referee_voids_it() {
    let mut world = World::row(1, 3);
    world.net.swallow(2, "lift/term");
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.states(&lift), ["seek", "pend", "pend"]);
    // Nobody can be asked: no site's own clock ends it (I1).
    world.net.isolate(3);
    world.net.cut(0, 2);
    world.net.cut(0, 1);
    world.net.calm(30 * MINUTE);
    for place in 0..3 {
        let state = world.state(place, &lift);
        assert!(state.starts_with("seek") || state.starts_with("pend"), "site {place}: {state}");
        assert_eq!(world.reserved(place), if place == 1 { 200 } else { 100 });
    }
    world.net.heal();
    world.net.calm(11 * MINUTE);
    assert_eq!(world.states(&lift), ["void", "void", "void"]);
    assert_eq!((0..3).map(|place| world.reserved(place)).sum::<i64>(), 0);
}

#[test]
fn a_lift_of_a_few_seconds_is_void_a_few_seconds_after() {
    let mut world = World::row(7, 3);
    // The payee's site takes what it is sent and says nothing.
    world.net.swallow(1, "lift/promise");
    let to = world.chad(2).to_string();
    let order = json!({ "user": user(0), "to": to, "units": 5, "life": 4_000 });
    let paid = world.net.sites[0].call("lift", "pay", order).unwrap();
    let lift = paid["lift"].as_str().unwrap().to_owned();
    world.net.calm(5_500);
    assert_eq!(world.states(&lift), ["seek", "pend", "none"]);
    world.net.calm(1_500);
    assert_eq!(world.states(&lift), ["void", "void", "none"]);
    assert_eq!((world.reserved(0), world.reserved(1)), (0, 0));
}

#[test]
fn a_site_that_missed_a_good_ruling_gets_it_from_upstream_the_originator_or_the_referee() {
    for reachable in [0, 2, 3] {
        let mut world = World::row(2, 3);
        for place in 0..4 {
            world.net.swallow(place, "lift/good");
            world.net.swallow(place, "chit/good");
        }
        let lift = world.pay(100);
        world.net.settle();
        assert_eq!(world.states(&lift), ["good", "pend", "pend"]);
        world.net.heal();
        // Site 1 hears from one other alone; the terminus from the referee.
        world.net.isolate(1);
        world.net.cut.remove(&(reachable.min(1), reachable.max(1)));
        world.net.calm(15 * MINUTE);
        assert_eq!(world.states(&lift), ["good", "good", "good"], "from site {reachable}");
        world.net.heal();
        world.net.calm(15 * MINUTE);
        assert_eq!([0, 1, 2].map(|place| world.worth(place)), [-100, 0, 100]);
    }
}

#[test]
fn a_ruling_is_heard_by_way_of_the_completed_chit() {
    let mut world = World::row(3, 3);
    // The terminus hears of it, and no word about the lift gets down from there; its chit does.
    world.net.swallow(2, "lift/good");
    let lift = world.pay(100);
    world.net.settle();
    world.net.pass(0);
    world.net.settle();
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
    let before_expiry = world.net.sites[1].now() < world.core(1, &lift).expires();
    assert!(before_expiry, "nobody had to ask");
}

#[test]
fn the_terminus_has_least_time_left_and_asks_first() {
    let mut world = World::row(4, 3);
    world.net.swallow(2, "lift/term");
    let lift = world.pay(100);
    world.net.pass(0);
    world.net.stir();
    for _ in 0..3 {
        world.net.settle();
    }
    let exp = |world: &mut World, place: usize| {
        let shown = world.net.sites[place].call("lift", "state", json!({ "lift": lift })).unwrap();
        shown["next"].as_str().unwrap().to_owned()
    };
    assert!(exp(&mut world, 2) <= exp(&mut world, 1) && exp(&mut world, 1) <= exp(&mut world, 0));
    world.net.calm(4 * MINUTE);
    assert_eq!(world.states(&lift), ["void", "void", "void"]);
}

#[test]
fn a_promise_and_an_arrival_that_got_lost_are_repeated_in_time() {
    let mut world = World::row(5, 3);
    world.net.swallow(0, "lift/promise");
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.states(&lift), ["seek", "none", "none"]);
    world.net.heal();
    world.net.swallow(2, "lift/term");
    world.net.calm(11_000);
    assert_eq!(world.states(&lift), ["seek", "pend", "pend"]);
    world.net.heal();
    world.net.calm(11_000);
    assert_eq!(world.states(&lift), ["good", "good", "good"], "the terminus has repeated its word");
}

#[test]
fn a_commit_is_sent_again_until_there_is_a_ruling() {
    let mut world = World::row(6, 3);
    world.net.isolate(3);
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!(world.states(&lift), ["call", "pend", "pend"]);
    world.net.calm(30_000);
    assert_eq!(world.state(0, &lift), "call");
    world.net.heal();
    world.net.calm(6_000);
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
}

#[test]
fn a_commit_that_comes_too_late_is_ruled_void_everywhere() {
    let mut world = World::row(7, 3);
    world.net.isolate(3);
    let lift = world.pay(100);
    world.net.settle();
    world.net.calm(3 * MINUTE);
    world.net.heal();
    world.net.calm(15 * MINUTE);
    assert_eq!(world.states(&lift), ["void", "void", "void"]);
    assert_eq!([0, 1, 2].map(|place| (world.worth(place), world.reserved(place))), [(0, 0); 3]);
}

#[test]
fn a_promise_that_never_left_is_dropped_at_expiry_by_its_originator() {
    let mut world = World::row(8, 3);
    world.net.cut(0, 1);
    let lift = world.pay(100);
    world.net.settle();
    assert_eq!((world.state(0, &lift), world.reserved(0)), ("init.seek".to_owned(), 100));
    world.net.calm(3 * MINUTE);
    assert_eq!((world.state(0, &lift), world.reserved(0)), ("void".to_owned(), 0));
    world.net.heal();
    world.net.calm(MINUTE);
    assert_eq!(world.states(&lift), ["void", "none", "none"], "L6: the message is gone too");
}

#[test]
fn a_relay_that_cannot_reach_its_exit_gives_the_pledge_back_before_expiry() {
    let mut world = World::row(9, 3);
    world.net.isolate(2);
    let lift = world.pay(100);
    world.net.calm(MINUTE);
    assert_eq!(world.states(&lift)[..2], ["void", "void"], "L25: certainly unsent, so it may be given back");
    world.net.heal();
    world.net.calm(5 * MINUTE);
    assert_eq!(world.states(&lift), ["void", "void", "none"]);
}

#[test]
fn a_restart_forgets_nothing_that_is_under_way() {
    let mut world = World::row(10, 3);
    world.net.swallow(2, "lift/term");
    let lift = world.pay(100);
    world.net.settle();
    for place in 0..3 {
        world.net.restart(place);
    }
    world.net.heal();
    world.net.calm(11_000);
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
}

#[test]
fn a_ruling_proves_itself_whoever_brings_it_and_a_forged_one_proves_nothing() {
    let mut world = World::row(11, 3);
    world.net.isolate(2);
    let lift = world.pay(100);
    world.net.settle();
    let core = world.core(0, &lift);
    let (from, to) = (world.chad(1), world.chad(0));
    let forged = ruling(&core, &stranger(), true);
    for action in ["good", "status"] {
        let envelope = over(Envelope::new(&from, &to, &format!("lift/{action}"), &forged), &tally(0));
        assert!(world.net.sites[0].deliver(&envelope).is_err());
    }
    assert_eq!(world.state(0, &lift), "seek");
}

#[test]
fn a_referee_that_says_both_is_believed_once_and_distrusted_ever_after() {
    for first in [true, false] {
        let mut world = World::row(12, 3);
        let key = stranger();
        world.with_own_referee(&key);
        let lift = world.pay(100);
        world.net.settle();
        let core = world.core(1, &lift);
        assert_eq!(world.states(&lift), ["call", "pend", "pend"]);
        world.bring(1, &ruling(&core, &key, first));
        let state = if first { "good" } else { "void" };
        assert_eq!(world.state(1, &lift), state);
        world.bring(1, &ruling(&core, &key, !first));
        assert_eq!(world.state(1, &lift), state, "the first stands");
        let shown = world.net.sites[1].call("lift", "show", json!({ "lift": lift })).unwrap();
        assert_eq!((&shown["ruling"]["valid"], &shown["evidence"]["valid"]), (&json!(first), &json!(!first)));
        assert_eq!(world.net.sites[1].call("referee", "accepted", json!({})).unwrap(), json!([]));
        assert!(world.net.sites[1].log().iter().any(|line| line.level == 1 && line.text.contains("both")));
    }
}

#[test]
fn an_arrival_counts_only_if_the_destination_signed_it_and_in_time() {
    let mut world = World::row(14, 3);
    world.net.swallow(2, "lift/term");
    world.net.isolate(3);
    let lift = world.pay(100);
    world.net.settle();
    let core = world.core(0, &lift);
    let at = core.date().text();
    let from = world.net.sites[2].address();
    let to = world.net.sites[0].address();
    let mut forged = kit::arrival(&core, &stranger(), &at);
    let send = |world: &mut World, object: &Value| {
        let mut envelope = Envelope::new(&from, &to, "lift/term", object);
        envelope.restricted = true;
        world.net.sites[0].deliver(&envelope)
    };
    assert!(send(&mut world, &forged).is_err());
    forged["term"]["agent"] = json!(from.agent);
    assert!(send(&mut world, &forged).is_err());
    assert_eq!(world.state(0, &lift), "seek");
    // The genuine one, too late.
    let term = world.net.sites[2].rows("lift.lifts").into_values().next().unwrap()["arrival"].clone();
    let genuine = json!({ "lift": lift, "hash": core.hash(), "term": term });
    world.net.isolate(0);
    world.net.calm(125_000);
    send(&mut world, &genuine).unwrap();
    assert!(world.state(0, &lift).starts_with("seek"), "{}", world.state(0, &lift));
}

#[test]
fn an_originator_answers_strangers_about_its_own_lifts_and_nothing_else() {
    let mut world = World::row(15, 3);
    let lift = world.pay(100);
    world.net.settle();
    let core = world.core(0, &lift);
    let names = json!({ "lift": lift, "hash": core.hash() });
    let from = tallyho_plugin::record::Chad::agent(stranger().id().clone()).at("localhost", 1);
    for (place, answers) in [(0, 1), (1, 0), (2, 0)] {
        let mut envelope = Envelope::new(&from, &world.net.sites[place].address(), "lift/check", &names);
        envelope.restricted = true;
        world.net.sites[place].take_sent();
        world.net.sites[place].deliver(&envelope).unwrap();
        let sent = world.net.sites[place].take_sent();
        let rulings = sent.iter().filter(|sent| sent.object()["valid"] == true).count();
        assert_eq!(rulings, answers, "site {place}");
    }
    for verb in ["lift/good", "lift/void", "lift/status", "lift/term"] {
        let about = |hash: &str| json!({ "lift": lift, "hash": hash, "valid": false, "signed": "", "term": {} });
        let mut envelope = Envelope::new(&from, &world.net.sites[2].address(), verb, &about("nothing"));
        envelope.restricted = true;
        let fault = world.net.sites[2].deliver(&envelope).unwrap_err();
        assert_eq!(fault.code, "unknown", "{verb}: {fault}");
    }
}

#[test]
fn lift_list_says_who_is_being_asked_and_when_next() {
    let mut world = World::row(16, 3);
    world.net.swallow(2, "lift/term");
    let lift = world.pay(100);
    world.net.settle();
    world.net.isolate(1);
    world.net.calm(152_000);
    let listed = world.net.sites[1].call("lift", "list", json!({})).unwrap();
    let shown = &listed[0];
    assert_eq!((&shown["lift"], &shown["state"]), (&json!(lift), &json!("pend.check")));
    assert!(shown["asking"].as_str().unwrap().starts_with("u2:"), "{shown}");
    assert!(shown["next"].is_string());
    assert_eq!(world.net.sites[1].call("lift", "list", json!({ "user": user(1) })).unwrap(), listed);
}

/// A pledge over our own tally, to see that the kit's helpers sign what the handler checks.
#[test]
fn the_kits_statements_verify() {
    let mut world = World::row(17, 3);
    let lift = world.pay(100);
    let core = world.core(0, &lift);
    let pledge = pledge(&core, &stranger(), Side::Stock, &tally(0));
    assert!(tallyho_plugin::record::signing::verify(&pledge.check().unwrap()));
}

/// Promises that the transport of a site is still to try.
fn promises(world: &World, place: usize) -> Vec<Sent> {
    let sent = world.net.sites[place].sent().iter();
    sent.filter(|sent| sent.message.action == "promise" && !sent.stalled && !sent.handed_over).cloned().collect()
}

#[test]
fn a_promise_given_up_shortly_before_expiry_is_not_made_again_and_again() {
    // Some of it may have been written, so neither site may take it for unsent.
    let fate = || Fate::Stalled { attempts: 6, unsent: false, why: "it closed".to_owned() };
    for place in 0..2 {
        let mut world = World::row(7, 3);
        world.net.cut(place, place + 1);
        let lift = world.pay(100);
        world.net.settle();
        let tries = if place == 0 { 1 } else { 2 };
        for _ in 0..tries {
            let waiting = promises(&world, place);
            assert_eq!(waiting.len(), 1, "site {place}");
            world.net.sites[place].report(&waiting[0], fate()).unwrap();
        }
        assert!(promises(&world, place).is_empty(), "site {place}");
        assert!(world.reserved(place) > 0, "it may have left: {}", world.state(place, &lift));
        world.net.heal();
        world.net.calm(10 * MINUTE);
        assert_eq!(world.state(place, &lift), "void", "by its ruling");
    }
}
