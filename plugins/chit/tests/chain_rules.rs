//! What holds for both sides: G1 to G3, S1 to S4, 6.8, and messages that do not fit (PROTOCOL 6.2 to 6.4, 6.8).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::chain::{FOIL, STOCK, entries, make_one};
use kit::chits::{key_of, signed};
use kit::paper::*;
use kit::{TALLY, USERS, open};
use serde_json::{Value, json};
use tallyho_chit::half::Stat;
use tallyho_plugin::testkit::UserKey;

const SIDES: [usize; 2] = [STOCK, FOIL];

/// The same chit with a signature that nobody made.
fn forged(chit: &Value) -> Value {
    let mut chit = chit.clone();
    chit["sign"] = UserKey::of("mallory").sign("something else").into();
    chit
}

/// Another chit of the same uuid, signed by the partner.
fn changed(play: &Play, chit: &Value) -> Value {
    let mut other = chit.clone();
    (other["units"], other["hash"], other["sign"]) = (77.into(), Value::Null, Value::Null);
    signed(other, &key_of(USERS[1 - play.place], 2 + 1 - play.place as u64))
}

#[test]
fn g1_valid_chits_beside_an_invalid_one_become_loose_and_it_is_refused_once() {
    for place in SIDES {
        let (mut play, mut paper) = Play::new(place);
        let (good, bad, later) = (play.theirs(), forged(&play.theirs()), play.theirs());
        paper.add(&good).add(&bad).add(&later);
        assert_eq!(play.hears(&paper.upd(1, 3, 0)), said(&[("nak", 2)]));
        assert_eq!((play.half().end, play.half().loose, play.half().net.abs()), (0, 2, 2));
        assert_eq!(play.told(), ["invalid"]);
        // Copies draw nothing, and wake nobody.
        let heard = play.half().heard_at;
        play.net.sites[place].advance(500);
        assert_eq!(play.hears(&paper.upd(1, 3, 0)), said(&[]));
        assert_eq!(play.hears(&paper.upd(2, 2, 0)), said(&[]));
        assert_eq!((play.told(), play.half().heard_at), (Vec::<String>::new(), heard));
    }
}

#[test]
fn g1_a_refused_chit_that_becomes_valid_is_linked_and_may_be_refused_anew() {
    for place in SIDES {
        let (mut play, mut paper) = Play::new(place);
        let chit = play.theirs();
        let mut bad = paper.clone();
        bad.add(&forged(&chit));
        assert_eq!(play.hears(&bad.upd(1, 1, 0)), said(&[("nak", 1)]));
        paper.add(&chit);
        assert_eq!(play.hears(&paper.upd(1, 1, 0)), said(&[("ack", 1)]));
        assert!(play.half().talk.refused.is_empty() && play.half().talk.refused_at.is_none());
    }
}

#[test]
fn g3_a_match_draws_the_rest_only_where_it_was_never_sent_or_is_overdue() {
    for place in SIDES {
        let (mut play, mut paper) = Play::new(place);
        let chit = play.theirs();
        paper.add(&chit);
        play.hears(&paper.upd(1, 1, 0));
        play.ours();
        assert_eq!(play.hears(&paper.upd(1, 1, 1)), said(&[("ack", 1)]), "it went out a moment ago");
        play.net.sites[place].advance(3_001);
        let mut part = paper.upd(1, 1, 1);
        part["more"] = true.into();
        assert_eq!(play.hears(&part), said(&[("ack", 1)]), "a part that is not the last");
        assert_eq!(play.hears(&paper.upd(1, 1, 1)), said(&[("ack", 1), ("upd", 2)]));
        assert_eq!(play.hears(&paper.compare(1)), said(&[("ack", 1), ("upd", 2)]), "without chits always");
    }
}

#[test]
fn c68_another_core_under_a_known_uuid_ends_in_err_and_both_are_shown() {
    for place in SIDES {
        let (mut play, mut paper) = Play::new(place);
        let chit = play.theirs();
        let mut other = paper.clone();
        paper.add(&chit);
        play.hears(&paper.upd(1, 1, 0));
        other.add(&changed(&play, &chit));
        play.net.sites[place].take_notices();
        assert_eq!(play.hears(&other.upd(1, 1, 0)), said(&[("nak", 1)]));
        let notices = play.net.sites[place].take_notices();
        let notice = &notices.last().unwrap().1;
        assert_eq!((&notice["reason"], &notice["stat"]), (&json!("conflict"), &json!("err")));
        assert_eq!((&notice["ours"]["units"], &notice["theirs"]["units"]), (&json!(1), &json!(77)));
        assert_eq!((play.half().stat, play.chain()), (Stat::Broken, paper.names()));
        assert_eq!(play.hears(&other.upd(1, 1, 0)), said(&[]), "once for each uuid");
    }
}

#[test]
fn c68_in_err_only_req_and_a_match_are_answered_and_chits_are_loose_until_it_is_mended() {
    for place in SIDES {
        let (mut play, mut paper) = Play::new(place);
        let chit = play.theirs();
        let mut other = paper.clone();
        paper.add(&chit);
        play.hears(&paper.upd(1, 1, 0));
        other.add(&changed(&play, &chit));
        play.hears(&other.upd(1, 1, 0));
        let (ours, theirs) = (play.ours(), play.theirs());
        let mut longer = paper.clone();
        longer.add(&theirs);
        assert_eq!(play.hears(&longer.upd(2, 2, 1)), said(&[]));
        assert_eq!(play.hears(&nak(1, Some("x"))), said(&[]));
        assert_eq!((play.half().end, play.half().loose, play.half().net.abs()), (1, 2, 1));
        assert_eq!(play.hears(&paper.compare(1)), said(&[("ack", 1)]));
        assert_eq!(play.hears(&req(1)), said(&[("upd", 1)]));
        play.wait(400);
        assert_eq!(play.sent(), Vec::<Value>::new(), "no checkpoints");
        play.net.sites[place].command("chain.mend", json!({ "user": USERS[place] })).unwrap();
        assert_eq!(play.half().loose, 0);
        assert!(play.chain().contains(&name(&ours)) && play.chain().contains(&name(&theirs)));
        assert_eq!(play.sent().len(), 1);
    }
}

/// The partner's chit and the same signed once more: P-521 signatures differ each time.
fn resigned(play: &mut Play) -> (Value, Value) {
    for site in &mut play.net.sites {
        for user in USERS {
            if site.certificate_of(user) {
                site.add_user_p521(user);
            }
        }
    }
    open(&mut play.net, Some(0), Some(0));
    let uuid = kit::chits::uuid(5);
    let given = json!({ "offline": true, "chit": uuid, "date": "2021-11-05T12:00:01.000Z" });
    let one = make_one(&mut play.net, 1 - play.place, given.clone());
    let two = make_one(&mut play.net, 1 - play.place, given);
    assert!(one["sign"] != two["sign"] && one["hash"] == two["hash"]);
    (one, two)
}

trait Known {
    fn certificate_of(&self, user: &str) -> bool;
}

impl Known for tallyho_plugin::testkit::Site {
    fn certificate_of(&self, user: &str) -> bool {
        (user == USERS[STOCK]) == self.relations().iter().any(|relation| relation.user == USERS[STOCK])
    }
}

/// A play with P-521 users, whose paper begins at the tally's new hash.
fn with_p521(place: usize) -> (Play, Paper, Value, Value) {
    let (mut play, _) = Play::new(place);
    let (one, two) = resigned(&mut play);
    let paper = play.blank();
    (play, paper, one, two)
}

#[test]
fn c68_the_stock_takes_the_foils_copy_of_a_signature_if_the_hashes_meet_that_way() {
    let (mut play, mut paper, one, two) = with_p521(STOCK);
    let mut other = paper.clone();
    assert_eq!(play.hears(&paper.add(&one).upd(1, 1, 0)), said(&[("ack", 1)]));
    assert_eq!(play.hears(&other.add(&two).upd(1, 1, 0)), said(&[("ack", 1)]));
    let entry = entries(&play.net.sites[STOCK]).remove(&name(&one)).unwrap();
    assert_eq!(entry.sign.as_deref(), two["sign"].as_str());
    assert_eq!((play.half().end, play.half().net, play.half().stat), (1, 1, Stat::Consented));
}

#[test]
fn c68_the_foil_keeps_its_copy_of_a_signature_and_sends_it() {
    let (mut play, mut paper, one, two) = with_p521(FOIL);
    let mut other = paper.clone();
    play.hears(&paper.add(&one).upd(1, 1, 0));
    play.net.sites[FOIL].advance(4_000);
    assert_eq!(play.hears(&other.add(&two).upd(1, 1, 0)), said(&[("upd", 1)]));
    let entry = entries(&play.net.sites[FOIL]).remove(&name(&one)).unwrap();
    assert_eq!((entry.sign.as_deref(), play.half().end), (one["sign"].as_str(), 1));
}

#[test]
fn c68_a_uuid_twice_in_one_chain_counts_once() {
    for place in SIDES {
        let (mut play, mut paper) = Play::new(place);
        let (chit, next) = (play.theirs(), play.theirs());
        paper.add(&chit).add(&chit).add(&next);
        play.hears(&paper.upd(1, 3, 0));
        assert_eq!(play.half().net.abs(), 2);
        assert_eq!(play.chain().iter().filter(|link| **link == name(&chit)).count(), 1);
        assert_ne!(play.half().stat, Stat::Broken);
    }
}

#[test]
fn s2_a_long_list_goes_in_parts_that_fit_a_message_and_stops_for_an_ack() {
    let (mut play, _) = Play::new(FOIL);
    // Eight parts of sixty thousand bytes hold some sixty of these.
    for _ in 0..100 {
        make_one(&mut play.net, FOIL, json!({ "memo": "x".repeat(7_000) }));
    }
    play.sent();
    kit::chain::tell(&mut play.net, FOIL, "chain", &req(1));
    let parts = play.sent();
    assert_eq!(parts.len(), 8);
    let (last, others) = parts.split_last().unwrap();
    assert!(others.iter().all(|part| part["more"] == true) && last.get("more").is_none());
    assert!(parts.iter().all(|part| part.to_string().len() < 63_000));
    let mut next = 1;
    for entry in parts.iter().flat_map(|part| part["chits"].as_array().unwrap()) {
        assert_eq!(entry["chain"]["index"], next);
        next += 1;
    }
    assert!((60..100).contains(&next));
    assert_eq!((play.half().sent, play.half().conf), (next - 1, Some(0)));
    let ack = json!({ "cmd": "ack", "tally": TALLY, "index": next - 1, "hash": last["hash"] });
    kit::chain::tell(&mut play.net, FOIL, "chain", &ack);
    let rest = play.sent();
    assert_eq!((&rest[0]["chits"][0]["chain"]["index"], &rest.last().unwrap()["index"]), (&json!(next), &json!(100)));
}

#[test]
fn s3_checkpoints_come_later_and_later_and_any_message_begins_afresh() {
    let (mut play, mut paper) = Play::new(STOCK);
    let chit = play.ours();
    paper.add(&chit);
    let mut at = Vec::new();
    for second in 1..=100 {
        play.wait(1);
        if !play.sent().is_empty() {
            at.push(second);
        }
    }
    // 5, 10, 15, 20 and 25 seconds apart, each a fifth more or less.
    assert!((4..=7).contains(&at[0]) && (4..=6).contains(&at.len()), "{at:?}");
    assert!(at.windows(2).all(|two| two[1] - two[0] >= 8), "{at:?}");
    play.hears(&req(2));
    play.wait(7);
    assert_eq!(play.sent().len(), 1, "heard from, so soon again");
    assert_eq!(play.hears(&paper.ack(1)), said(&[]));
    play.wait(400);
    assert_eq!(play.sent(), Vec::<Value>::new(), "settled");
}

#[test]
fn s3_after_a_start_unsettled_halves_are_raised_and_settled_ones_compare_ends() {
    for place in SIDES {
        let (mut play, mut paper) = Play::new(place);
        let chit = play.ours();
        let upd = |play: &mut Play| play.sent().iter().map(kit::chain::said).collect::<Vec<_>>();
        play.net.sites[place].restart();
        assert_eq!(upd(&mut play), said(&[]), "behind since a moment ago: a swap must not make it talk again");
        play.wait(7);
        assert_eq!(upd(&mut play), said(&[("upd", 1)]), "its checkpoint comes all the same");
        play.net.sites[place].restart();
        assert_eq!(upd(&mut play), said(&[("upd", 1)]), "behind for longer than that");
        paper.add(&chit);
        play.hears(&paper.ack(1));
        play.net.sites[place].restart();
        play.wait(2);
        let sent = play.sent();
        assert_eq!((sent.len(), &sent[0]["index"], sent[0].get("chits")), (1, &json!(1), None));
    }
}

#[test]
fn nothing_is_sent_before_index_0_is_confirmed_and_a_match_confirms_it() {
    for place in SIDES {
        let (mut play, _) = Play::new(place);
        let conf = |of| (of != place).then_some(0);
        open(&mut play.net, conf(STOCK), conf(FOIL));
        let mut paper = play.blank();
        let mut chits = Vec::new();
        for _ in 0..2 {
            chits.push(play.theirs());
            paper.add(chits.last().unwrap());
        }
        assert_eq!(play.hears(&paper.upd(2, 2, 0)), said(&[]), "kept, not answered");
        assert_eq!((play.half().net.abs(), play.half().conf), (1, None));
        assert_eq!(play.hears(&json!({ "cmd": "ack", "tally": TALLY, "index": 0, "hash": "x" })), said(&[]));
        assert_eq!(play.half().conf, None);
        let upd = paper.upd(1, 2, 0);
        let answer = play.hears(&if place == STOCK { upd } else { paper.ack(0) });
        assert!(play.half().conf.is_some() && !answer.is_empty(), "{answer:?}");
        let told = play.net.sites[place].call("tally", "get", json!({ "user": USERS[place], "uuid": TALLY })).unwrap();
        assert_eq!(told["conf"], 0);
    }
}

#[test]
fn what_does_not_fit_has_no_effect() {
    let (mut play, mut paper) = Play::new(STOCK);
    let chit = play.theirs();
    play.hears(&paper.compare(0));
    paper.add(&chit);
    let before = play.half();
    let upd = paper.upd(1, 1, 0);
    let with = |name: &str, value: Value| {
        let mut upd = upd.clone();
        upd[name] = value;
        upd
    };
    let mut many = upd.clone();
    many["chits"] = vec![upd["chits"][0].clone(); 401].into();
    let mut nameless = upd.clone();
    nameless["chits"][0]["uuid"] = Value::Null;
    let mut unplaced = upd.clone();
    unplaced["chits"][0]["chain"] = Value::Null;
    for object in [
        with("cmd", "dance".into()),
        with("cmd", Value::Null),
        with("index", (-1).into()),
        with("index", 1.5.into()),
        with("index", "1".into()),
        with("index", 2.into()),
        with("hash", 5.into()),
        with("hash", "x".repeat(65).into()),
        with("conf", "all".into()),
        with("chits", json!({})),
        with("chits", json!([1])),
        json!({ "cmd": "upd", "tally": TALLY }),
        json!({ "cmd": "ack", "tally": TALLY, "index": 0 }),
        json!({ "cmd": "req", "tally": TALLY }),
        json!({ "cmd": "nak", "tally": TALLY, "hash": "x" }),
        many,
        nameless,
        unplaced,
    ] {
        assert_eq!(play.hears(&object), said(&[]), "{object}");
        assert_eq!(play.half(), before, "{object}");
    }
    let mut plain = upd;
    // HEAD leaves out where to compare, and others say `sub`.
    (plain["index"], plain["hash"], plain["sub"], plain["cmd"]) = (Value::Null, Value::Null, "upd".into(), Value::Null);
    assert_eq!(play.hears(&plain), said(&[("ack", 1)]));
}
