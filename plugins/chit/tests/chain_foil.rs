//! The foil's table (PROTOCOL 6.5), row by row: the site under test is bob's, alice is on paper.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chain::FOIL;
use kit::paper::*;
use serde_json::json;
use tallyho_chit::half::Stat;

/// Bob's site and what alice would have; both agree on this many chits.
fn foil(count: usize) -> (Play, Paper) {
    let (mut play, mut paper) = Play::new(FOIL);
    for _ in 0..count {
        let chit = play.theirs();
        paper.add(&chit);
        assert_eq!(play.gets("good", &paper.new_last(paper.end() - 1)), said(&[("ack", paper.end())]));
    }
    assert_eq!(play.half().conf, Some(count as u64));
    (play, paper)
}

#[test]
fn new_that_is_equal_is_acknowledged() {
    let (mut play, paper) = foil(2);
    assert_eq!(play.gets("good", &paper.new_last(1)), said(&[("ack", 2)]));
    assert_eq!(play.half().end, 2);
}

#[test]
fn new_whose_hash_meets_after_appending_is_acknowledged() {
    let (mut play, mut paper) = foil(1);
    let chit = play.theirs();
    paper.add(&chit);
    assert_eq!(play.gets("good", &paper.new_last(1)), said(&[("ack", 2)]));
    assert_eq!((play.half().conf, play.half().stat), (Some(2), Stat::Consented));
}

#[test]
fn new_at_a_taken_index_is_appended_and_the_order_sent() {
    let (mut play, mut paper) = foil(1);
    let ours = play.ours();
    play.wait(4);
    let theirs = play.theirs();
    paper.add(&theirs);
    assert_eq!(play.gets("good", &paper.new_last(1)), said(&[("upd", 3)]));
    assert_eq!(play.chain()[1..], [name(&ours), name(&theirs)]);
}

#[test]
fn new_with_a_gap_is_appended_whatever_index_is_suggested() {
    let (mut play, paper) = foil(1);
    let mut far = paper.clone();
    let (lost, chit) = (play.theirs(), play.theirs());
    far.add(&lost).add(&chit);
    assert_eq!(play.gets("good", &far.new_last(1)), said(&[("upd", 2)]));
    assert_eq!(play.chain()[1..], [name(&chit)]);
}

#[test]
fn what_crosses_the_links_just_sent_draws_only_what_is_new() {
    let (mut play, mut paper) = foil(0);
    play.ours();
    let chit = play.theirs();
    paper.add(&chit);
    // Link 1 is on its way; only link 2 follows.
    assert_eq!(play.gets("good", &paper.new_last(0)), said(&[("upd", 2)]));
    assert_eq!(play.gets("good", &paper.new_last(0)), said(&[]));
}

#[test]
fn upd_with_chits_brings_what_is_lacking_and_draws_the_rest() {
    let (mut play, mut paper) = foil(1);
    for _ in 0..3 {
        let chit = play.theirs();
        paper.add(&chit);
    }
    assert_eq!(play.hears(&paper.upd(2, 4, 1)), said(&[("ack", 4)]));
    assert_eq!(play.chain(), paper.names());
}

#[test]
fn upd_in_parts_is_answered_at_its_last_part_only() {
    let (mut play, mut paper) = foil(0);
    let ours = play.ours();
    play.wait(4);
    for _ in 0..4 {
        let chit = play.theirs();
        paper.add(&chit);
    }
    let mut part = paper.upd(1, 2, 0);
    part["more"] = true.into();
    assert_eq!(play.hears(&part), said(&[]));
    let answer = play.hears(&paper.upd(3, 4, 0));
    assert_eq!(answer, said(&[("upd", 5)]));
    assert_eq!(play.chain()[0], name(&ours));
    assert_eq!(play.chain()[1..], paper.names());
}

#[test]
fn upd_without_chits_that_is_equal_is_acknowledged_and_draws_the_rest() {
    let (mut play, paper) = foil(2);
    assert_eq!(play.hears(&paper.compare(2)), said(&[("ack", 2)]));
    play.ours();
    assert_eq!(play.hears(&paper.compare(2)), said(&[("ack", 2), ("upd", 3)]));
}

#[test]
fn upd_without_chits_from_a_longer_or_other_chain_draws_ours() {
    let (mut play, mut paper) = foil(2);
    let mut other = paper.clone();
    let chit = play.theirs();
    paper.add(&chit);
    play.wait(4);
    // Nothing above conf: the whole chain, from link 1.
    assert_eq!(play.hears(&paper.compare(2)), said(&[("upd", 2)]));
    other.hashes[2] = other.hashes[1].clone();
    play.wait(4);
    assert_eq!(play.hears(&other.compare(1)), said(&[("upd", 2)]));
}

#[test]
fn req_is_answered_from_its_index_on_up_to_its_count() {
    let (mut play, _) = foil(5);
    asked(&mut play, json!({}), 5, 3);
    asked(&mut play, json!({ "count": 2 }), 4, 2);
    asked(&mut play, json!({ "count": 100 }), 5, 3);
}

/// A `req` from 3 on draws this many links up to that index.
fn asked(play: &mut Play, more: serde_json::Value, last: u64, links: usize) {
    let mut object = req(3);
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    kit::chain::tell(&mut play.net, FOIL, "chain", &object);
    let sent = play.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0]["index"].as_u64(), sent[0]["chits"].as_array().unwrap().len()), (Some(last), links));
}

#[test]
fn ack_that_is_ours_raises_conf() {
    let (mut play, mut paper) = foil(0);
    for _ in 0..2 {
        let chit = play.ours();
        paper.add(&chit);
    }
    assert_eq!(play.hears(&paper.ack(1)), said(&[]));
    assert_eq!((play.half().conf, play.half().stat), (Some(1), Stat::Affirming));
    assert_eq!(play.hears(&paper.ack(2)), said(&[]));
    assert_eq!((play.half().conf, play.half().stat), (Some(2), Stat::Consented));
}

#[test]
fn ack_that_differs_is_ignored() {
    let (mut play, mut paper) = foil(1);
    let chit = play.ours();
    paper.add(&chit);
    let mut ack = paper.ack(2);
    ack["hash"] = paper.hashes[1].clone().into();
    assert_eq!(play.hears(&ack), said(&[]));
    assert_eq!(play.half().conf, Some(1));
}

#[test]
fn ack_draws_links_that_were_never_sent() {
    let (mut play, mut paper) = foil(0);
    for _ in 0..130 {
        let chit = play.ours();
        paper.add(&chit);
    }
    assert_eq!(play.half().sent, 128, "no more are on their way unacknowledged");
    assert_eq!(play.hears(&paper.ack(128)), said(&[("upd", 130)]));
}

#[test]
fn nak_repeated_is_left_to_the_checkpoint() {
    let (mut play, _) = foil(2);
    assert_eq!(play.hears(&nak(2, None)), said(&[("upd", 2)]));
    assert_eq!(play.hears(&nak(2, None)), said(&[]));
    play.ours();
    assert_eq!(play.hears(&nak(2, None)).len(), 1, "our end has moved");
}

#[test]
fn nak_without_hash_is_a_req_above_their_conf() {
    let (mut play, paper) = foil(3);
    play.hears(&paper.compare(1));
    kit::chain::tell(&mut play.net, FOIL, "chain", &nak(3, None));
    let sent = play.sent();
    assert_eq!(sent[0]["chits"][0]["chain"]["index"], 2);
}

#[test]
fn nak_with_hash_draws_everything_once_and_then_ends_in_err() {
    let (mut play, _) = foil(3);
    assert_eq!(play.hears(&nak(3, Some("other"))), said(&[("upd", 3)]));
    assert_eq!(play.hears(&nak(3, Some("other"))), said(&[]));
    assert_eq!(play.half().stat, Stat::Affirming);
    assert_eq!(play.hears(&nak(3, Some("another"))), said(&[]));
    assert_eq!((play.half().stat, play.told()), (Stat::Broken, vec!["order".to_owned()]));
}

#[test]
fn nak_to_a_broken_chain_asks_the_stock_for_what_is_broken() {
    let (mut play, paper) = foil(4);
    let rows = play.net.sites[FOIL].rows("chit.links");
    let (key, mut link) = rows.into_iter().nth(2).unwrap();
    link["hash"] = "damaged".into();
    play.net.sites[FOIL].write("chit.links", &key, &link);
    assert_eq!(play.hears(&nak(4, Some("other"))), said(&[("req", 3)]));
    assert_eq!((play.half().end, play.half().conf), (2, Some(2)));
    assert_eq!(play.told(), ["damaged"]);
    assert_eq!(play.hears(&paper.upd(3, 4, 4)), said(&[("ack", 4)]));
    assert_eq!(play.chain(), paper.names());
    assert_eq!(play.half().stat, Stat::Consented);
}
