//! The chain between two halves (PROTOCOL 6) over the test kit's network: agreement, and how much talk it
//! takes.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::TALLY;
use kit::chain::*;
use kit::chits::{key_of, signed, tran};
use serde_json::json;
use tallyho_chit::chain::links;
use tallyho_chit::half::Stat;
use tallyho_plugin::testkit::{Net, UserKey, Weather};

fn total(talk: &Talk) -> i64 {
    talk.values().sum()
}

/// What was said since.
fn since(net: &Net, before: &Talk) -> Talk {
    let now = spoken(net).into_iter();
    now.map(|(kind, count)| (kind, count - before.get(kind).copied().unwrap_or(0))).collect()
}

#[test]
fn a_payment_by_either_side_is_confirmed_on_both_with_two_messages() {
    for place in [STOCK, FOIL] {
        let mut net = chains(1);
        let chit = pay(&mut net, place);
        assert_eq!(waiting(&net, place), [("new".to_owned(), 1)]);
        net.settle();
        assert_agreed(&net);
        assert_eq!(chain_of(&net.sites[0])[0].0, chit["uuid"].as_str().unwrap());
        assert_eq!(net.take_refusals(), []);
        assert_eq!(total(&spoken(&net)), 2);
    }
}

#[test]
fn with_both_sides_at_work_each_chit_takes_a_few_messages() {
    let mut net = chains(2);
    net.sites.iter_mut().for_each(|site| site.check_determinism(false));
    for round in 0..100 {
        pay_many(&mut net, STOCK, 2);
        pay_many(&mut net, FOIL, 2);
        // Messages cross: some land between the rounds.
        (0..round % 7).for_each(|_| net.storm());
    }
    net.calm(30_000);
    assert_agreed(&net);
    let said = total(&spoken(&net));
    assert!(said < 400 * 4, "{said} messages about 400 chits");
}

/// As hosts work: each takes all that has come as one batch, and what its events send leaves when they are done.
fn exchange(net: &mut Net) {
    let sent: Vec<_> = net.sites.iter_mut().map(|site| (site.address(), site.take_sent())).collect();
    for (place, (address, sent)) in sent.into_iter().enumerate() {
        sent.iter().for_each(|sent| net.sites[1 - place].deliver(&sent.envelope(&address)).unwrap());
    }
}

#[test]
fn with_both_sides_at_work_in_batches_the_chains_keep_up_without_a_checkpoint() {
    let mut net = chains(2);
    net.sites.iter_mut().for_each(|site| site.check_determinism(false));
    for round in 0..60 {
        [STOCK, FOIL].iter().for_each(|place| pay_many(&mut net, *place, 8));
        exchange(&mut net);
        let (stock, foil) = halves(&net);
        let behind = foil.end - stock.conf.unwrap().min(foil.conf.unwrap());
        assert!(behind <= 100, "round {round}: {behind} links are not confirmed");
    }
    (0..6).for_each(|_| exchange(&mut net));
    assert_agreed(&net);
    let talk = spoken(&net);
    assert!(total(&talk) < 960 * 4 && !talk.contains_key("req"), "{talk:?}");
}

#[test]
fn a_chit_binds_though_the_outbox_is_full_and_is_sent_when_there_is_room() {
    for place in [STOCK, FOIL] {
        let mut net = chains(4);
        pay(&mut net, place);
        net.settle();
        net.sites[place].fill_outbox(true);
        (0..3).for_each(|_| drop(pay(&mut net, place)));
        net.calm(60_000);
        assert_eq!((half(&net.sites[place]).end, half(&net.sites[1 - place]).end), (4, 1));
        net.sites[place].fill_outbox(false);
        net.calm(60_000);
        assert_agreed(&net);
    }
}

#[test]
fn chits_made_while_the_partner_is_away_go_in_parts_and_fill_no_outbox() {
    for place in [STOCK, FOIL] {
        let mut net = chains(3);
        net.sites.iter_mut().for_each(|site| site.check_determinism(false));
        pay_many(&mut net, place, 1_000);
        assert!(net.sites[place].sent().len() <= 129, "{}", net.sites[place].sent().len());
        net.calm(60_000);
        assert_agreed(&net);
        assert!(total(&spoken(&net)) <= 128 * 2 + 40, "{:?}", spoken(&net));
    }
}

#[test]
fn after_a_rough_time_the_halves_agree_and_the_talk_ends() {
    for seed in 0..20 {
        let mut net = chains(seed);
        net.sites.iter_mut().for_each(|site| site.check_determinism(false));
        net.weather = Weather::ROUGH;
        for _ in 0..40 {
            let place = net.dice().below(2);
            pay(&mut net, place);
            (0..6).for_each(|_| net.storm());
        }
        net.calm(900_000);
        assert_agreed(&net);
        let before = spoken(&net);
        net.calm(86_400_000);
        assert_eq!(total(&since(&net, &before)), 0);
    }
}

const LONG: u64 = 3_000;

/// A long chain goes in parts to a half that has all of it already, or half, or nothing.
fn a_long_list_to(place: usize) {
    let mut net = chains(4);
    net.sites.iter_mut().for_each(|site| site.check_determinism(false));
    pay(&mut net, FOIL);
    net.settle();
    let nothing = net.sites[place].backup();
    pay_many(&mut net, FOIL, LONG / 2);
    net.settle();
    let some = net.sites[place].backup();
    pay_many(&mut net, STOCK, LONG / 2);
    net.settle();
    net.calm(20_000);
    assert_agreed(&net);
    let all = net.sites[place].backup();
    for backup in [all, some, nothing] {
        net.sites[place].restore(&backup);
        let held = half(&net.sites[place]).end;
        let before = spoken(&net);
        tell(&mut net, 1 - place, "chain", &json!({ "cmd": "req", "tally": TALLY, "index": 1 }));
        net.settle();
        let said = since(&net, &before);
        assert_agreed(&net);
        // 3,000 chits of some 430 bytes, 60,000 bytes in a part.
        assert!(said["upd"] <= 26 && said["ack"] <= 26 && total(&said) <= 53, "{held}: {said:?}");
    }
}

#[test]
fn a_long_list_draws_an_ack_for_each_part_from_a_stock_that_has_it_or_half_or_nothing() {
    a_long_list_to(STOCK);
}

#[test]
fn a_long_list_draws_an_ack_for_each_part_from_a_foil_that_has_it_or_half_or_nothing() {
    a_long_list_to(FOIL);
}

/// A chit that this site believes in, and the partner will not: its signature was changed in the store.
fn believe(net: &mut Net, place: usize) {
    pay(net, place);
    net.sites[place].take_sent();
    let site = &mut net.sites[place];
    let half = half(site);
    let (key, mut row) = site.rows("chit.links").into_iter().next_back().unwrap();
    let chit = row["chit"].as_str().unwrap().to_owned();
    let prior = chain_of(site).iter().rev().nth(1).map(|(_, hash)| hash.clone()).unwrap();
    let sign = UserKey::of("mallory").sign("nothing");
    let hash = links::hash(&entries(site)[&chit].core, half.end, &prior, Some(&sign));
    row["hash"] = hash.clone().into();
    site.write("chit.links", &key, &row);
    let (key, mut row) = site.rows("chit.chits").into_iter().find(|(key, _)| key.ends_with(chit.as_bytes())).unwrap();
    row["sign"] = sign.into();
    site.write("chit.chits", &key, &row);
    let (key, mut row) = site.rows("chit.halves").into_iter().next().unwrap();
    row["tip"] = hash.into();
    site.write("chit.halves", &key, &row);
}

#[test]
fn one_chit_that_the_halves_cannot_agree_about_does_not_make_them_talk_without_end() {
    for place in [STOCK, FOIL] {
        let mut net = chains(5);
        net.sites.iter_mut().for_each(|site| site.check_determinism(false));
        pay_many(&mut net, STOCK, 50);
        pay_many(&mut net, FOIL, 50);
        net.calm(20_000);
        believe(&mut net, place);
        // Behind it, more than one lot of parts.
        pay_many(&mut net, place, 600);
        pay_many(&mut net, 1 - place, 10);
        let before = spoken(&net);
        net.settle();
        let at_once = since(&net, &before);
        // Each of the first 128 goes alone.
        assert!(total(&at_once) <= 480, "{place} {at_once:?}");
        net.calm(3_600_000);
        let first = since(&net, &before);
        let before = spoken(&net);
        net.calm(3_600_000);
        let second = since(&net, &before);
        assert!(total(&first) <= 800 && total(&second) <= 150, "{place} {first:?} {second:?}");
        // All other chits bind both, wherever they stand.
        let (stock, foil) = halves(&net);
        assert_eq!((stock.net + foil.net).abs(), 1, "{place}");
        assert!(stock.stat != Stat::Broken && foil.stat != Stat::Broken);
    }
}

#[test]
fn two_versions_of_one_chit_end_in_err_on_both_sides_and_in_silence() {
    let mut net = chains(6);
    let seen = signed(tran(1, "foil", 5), &key_of("bob", 13));
    let other = signed(tran(1, "foil", 6), &key_of("bob", 13));
    tell(&mut net, STOCK, "good", &seen);
    tell(&mut net, FOIL, "good", &other);
    net.calm(60_000);
    let before = spoken(&net);
    assert!(total(&before) <= 12, "{before:?}");
    let (stock, foil) = halves(&net);
    assert_eq!((stock.stat, foil.stat, stock.net, foil.net), (Stat::Broken, Stat::Broken, 5, -6));
    net.calm(86_400_000);
    assert_eq!(total(&since(&net, &before)), 0);
}
