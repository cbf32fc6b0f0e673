//! The stock's table (PROTOCOL 6.6), row by row: the site under test is alice's, bob is on paper.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chain::{STOCK, make_one};
use kit::paper::*;
use serde_json::json;
use tallyho_chit::half::Stat;

/// Alice's site and what bob has; both agree on this many chits.
fn stock(count: usize) -> (Play, Paper) {
    let (mut play, mut paper) = Play::new(STOCK);
    grow(&mut play, &mut paper, count);
    if count > 0 {
        let end = paper.end();
        assert_eq!(play.hears(&paper.upd(1, end, 0)), said(&[("ack", end)]));
    }
    (play, paper)
}

/// Chits that only bob has.
fn grow(play: &mut Play, paper: &mut Paper, count: usize) {
    for _ in 0..count {
        let chit = play.theirs();
        paper.add(&chit);
    }
}

#[test]
fn new_or_upd_that_is_equal_is_acknowledged() {
    let (mut play, paper) = stock(3);
    assert_eq!(play.gets("good", &paper.new_last(2)), said(&[("ack", 3)]));
    assert_eq!(play.hears(&paper.upd(2, 3, 1)), said(&[("ack", 3)]));
    assert_eq!(play.hears(&paper.compare(3)), said(&[("ack", 3)]));
}

#[test]
fn merge_takes_what_follows_its_end() {
    let (mut play, mut paper) = stock(2);
    grow(&mut play, &mut paper, 2);
    assert_eq!(play.hears(&paper.upd(3, 4, 2)), said(&[("ack", 4)]));
    assert_eq!(play.chain(), paper.names());
    assert_eq!((play.half().conf, play.half().stat), (Some(4), Stat::Consented));
}

#[test]
fn merge_displaces_its_own_and_appends_and_sends_them_behind() {
    let (mut play, mut paper) = stock(2);
    let ours = [name(&play.ours()), name(&play.ours())];
    play.wait(4);
    grow(&mut play, &mut paper, 1);
    assert_eq!(play.gets("good", &paper.new_last(2)), said(&[("ack", 3), ("upd", 5)]));
    assert_eq!(play.chain()[..3], paper.names());
    assert_eq!(play.chain()[3..], ours);
    assert_eq!((play.half().conf, play.half().stat), (Some(3), Stat::Proposing));
}

#[test]
fn merge_leaves_links_that_are_on_their_way_to_the_foils_order() {
    let (mut play, mut paper) = stock(2);
    let ours = play.ours();
    grow(&mut play, &mut paper, 1);
    assert_eq!(play.gets("good", &paper.new_last(2)), said(&[("ack", 3)]));
    assert_eq!(play.half().loose, 1);
    // Bob has appended it meanwhile.
    paper.add(&ours);
    assert_eq!(play.hears(&paper.upd(3, 4, 2)), said(&[("ack", 4)]));
    assert_eq!((play.chain(), play.half().loose), (paper.names(), 0));
}

#[test]
fn merge_may_lower_conf_below_what_was_agreed() {
    let (mut play, paper) = stock(4);
    let mut restored = Paper { hashes: paper.hashes[..2].to_vec(), chits: paper.chits[..1].to_vec() };
    grow(&mut play, &mut restored, 1);
    play.wait(4);
    assert_eq!(play.gets("good", &restored.new_last(1)), said(&[("ack", 2), ("upd", 5)]));
    assert_eq!(play.half().conf, Some(2));
    assert_eq!(play.chain()[..2], restored.names());
    assert_eq!(play.chain()[2..], paper.names()[1..]);
}

#[test]
fn merge_1_a_gap_keeps_the_chits_loose_and_asks_for_what_is_between() {
    let (mut play, mut paper) = stock(2);
    grow(&mut play, &mut paper, 3);
    assert_eq!(play.hears(&paper.upd(5, 5, 2)), said(&[("req", 3)]));
    assert_eq!((play.half().end, play.half().loose), (2, 1));
    assert_eq!(play.hears(&paper.upd(3, 5, 2)), said(&[("ack", 5)]));
    assert_eq!((play.chain(), play.half().loose), (paper.names(), 0));
}

#[test]
fn merge_1_a_chit_that_stands_further_down_makes_it_ask_from_there() {
    let (mut play, paper) = stock(20);
    // Bob's chain has lost its second chit, so that the third stands where it was.
    let mut other = Paper { hashes: paper.hashes[..2].to_vec(), chits: paper.chits[..1].to_vec() };
    for chit in &paper.chits[2..] {
        other.add(chit);
    }
    assert_eq!(play.hears(&other.upd(19, 19, 18)), said(&[("req", 21)]), "above conf at first");
    assert_eq!(play.hears(&other.compare(18)), said(&[("req", 19)]), "a tenth further down");
    assert_eq!(play.hears(&other.upd(2, 19, 1)), said(&[("ack", 19), ("upd", 20)]));
    assert_eq!(play.chain()[..19], other.names());
    assert_eq!(play.chain()[19], paper.names()[1]);
}

#[test]
fn merge_3_hashes_that_do_not_meet_keep_the_chits_loose_and_step_back() {
    let (mut play, mut paper) = stock(2);
    grow(&mut play, &mut paper, 2);
    let mut upd = paper.upd(3, 4, 2);
    (upd["hash"], upd["chits"][1]["chain"]["hash"]) = ("other".into(), "other".into());
    assert_eq!(play.hears(&upd), said(&[("req", 3)]));
    assert_eq!((play.half().end, play.half().loose), (2, 2));
}

#[test]
fn merge_3_from_the_first_link_on_ends_in_nak_and_err() {
    let (mut play, mut paper) = stock(0);
    grow(&mut play, &mut paper, 2);
    let mut upd = paper.upd(1, 2, 0);
    (upd["hash"], upd["chits"][1]["chain"]["hash"]) = ("other".into(), "other".into());
    assert_eq!(play.hears(&upd), said(&[("nak", 2)]));
    assert_eq!((play.half().stat, play.told()), (Stat::Broken, vec!["order".to_owned()]));
    assert_eq!(play.half().net, 2, "valid chits bind all the same");
}

#[test]
fn merge_takes_parts_as_they_come_and_sends_its_own_after_the_last() {
    let (mut play, mut paper) = stock(1);
    let ours = play.ours();
    play.wait(4);
    grow(&mut play, &mut paper, 4);
    let mut part = paper.upd(2, 3, 1);
    part["more"] = true.into();
    assert_eq!(play.hears(&part), said(&[("ack", 3)]));
    assert_eq!(play.half().loose, 1);
    assert_eq!(play.hears(&paper.upd(4, 5, 1)), said(&[("ack", 5), ("upd", 6)]));
    assert_eq!(play.chain()[5], name(&ours));
}

#[test]
fn merge_uses_a_list_up_to_its_hole_and_keeps_the_rest_loose() {
    let (mut play, mut paper) = stock(0);
    grow(&mut play, &mut paper, 4);
    let mut upd = paper.upd(1, 4, 0);
    upd["chits"].as_array_mut().unwrap().remove(1);
    let answer = play.hears(&upd);
    assert_eq!(answer[0], ("ack".to_owned(), 1));
    assert_eq!(play.half().net, 3);
    assert_eq!(play.half().conf, Some(1));
    assert_eq!(play.hears(&paper.upd(1, 4, 0)), said(&[("ack", 4)]));
    assert_eq!(play.chain(), paper.names());
}

#[test]
fn merge_appends_loose_chits_behind_displaced_ones_by_date_and_uuid() {
    let (mut play, mut paper) = stock(1);
    let late = make_one(&mut play.net, 1, json!({ "offline": true, "date": "2021-11-05T12:00:09.000Z" }));
    let early = make_one(&mut play.net, 1, json!({ "offline": true, "date": "2021-11-05T12:00:01.000Z" }));
    let mut far = paper.clone();
    grow(&mut play, &mut far, 2);
    far.add(&late).add(&early);
    // Two with a gap before them: loose.
    assert_eq!(play.hears(&far.upd(4, 5, 1)), said(&[("req", 2)]));
    let displaced = play.ours();
    play.wait(4);
    grow(&mut play, &mut paper, 1);
    play.gets("good", &paper.new_last(1));
    assert_eq!(play.chain()[1..], [paper.names()[1].clone(), name(&displaced), name(&early), name(&late)]);
}

#[test]
fn upd_without_chits_that_differs_steps_back_by_tenths_to_the_first_link() {
    let (mut play, paper) = stock(30);
    let mut other = paper.clone();
    other.hashes[30] = "other".to_owned();
    let mut asked = Vec::new();
    for _ in 0..40 {
        asked.extend(play.hears(&other.compare(0)).into_iter().map(|(_, index)| index));
        play.wait(4);
    }
    assert_eq!(asked[..6], [31, 28, 26, 24, 22, 20]);
    assert_eq!(asked.last(), Some(&1));
    // Anything that fits has it begin afresh.
    play.hears(&paper.compare(30));
    assert_eq!(play.hears(&other.compare(0)), said(&[("req", 31)]));
}

#[test]
fn req_ack_and_nak_are_answered_as_the_foil_does() {
    let (mut play, mut paper) = stock(2);
    assert_eq!(play.hears(&req(1)), said(&[("upd", 2)]));
    assert_eq!(play.hears(&paper.ack(2)), said(&[]));
    let chit = play.ours();
    paper.add(&chit);
    let mut wrong = paper.ack(3);
    wrong["hash"] = "other".into();
    assert_eq!(play.hears(&wrong), said(&[]));
    assert_eq!(play.half().conf, Some(2));
    assert_eq!(play.hears(&paper.ack(3)), said(&[]));
    assert_eq!(play.half().conf, Some(3));
}

#[test]
fn nak_steps_back_and_a_repeat_is_left_to_the_checkpoint() {
    let (mut play, _) = stock(3);
    assert_eq!(play.hears(&nak(3, None)), said(&[("req", 4)]));
    play.wait(4);
    assert_eq!(play.hears(&nak(3, None)), said(&[]));
}

#[test]
fn nak_to_a_broken_chain_asks_for_what_is_broken() {
    let (mut play, paper) = stock(4);
    let rows = play.net.sites[STOCK].rows("chit.links");
    let (key, mut link) = rows.into_iter().nth(1).unwrap();
    link["hash"] = "damaged".into();
    play.net.sites[STOCK].write("chit.links", &key, &link);
    assert_eq!(play.hears(&nak(4, None)), said(&[("req", 2)]));
    assert_eq!((play.half().end, play.half().conf), (1, Some(1)));
    assert_eq!(play.hears(&paper.upd(2, 4, 4)), said(&[("ack", 4)]));
    assert_eq!((play.chain(), play.half().loose), (paper.names(), 0));
}
