//! What one disturbance costs in messages, counted until nothing is said any more (PROTOCOL 6.4, 6.5).

use super::told;
use tallyho_tests::sim::World;
use tallyho_tests::sim::chits::quiet::{alter, chain, cost, lengthen, pay, settled, spoil};
use tallyho_tests::sim::chits::wrong;
use tallyho_tests::sim::chits::{Deal, People};

/// A payment and its acknowledgement.
const PAYMENT: usize = 2;

/// Messages that both users' payments at the same moment may take.
const BOTH: usize = 8;

/// Messages that a message lost, or a site that crashed, may add to that.
const MISHAP: usize = 6;

/// Messages that a site's return from an older copy may take, whoever pays meanwhile.
const RETURN: usize = 16;

/// Messages in the first quarter of an hour between halves that cannot agree: 21 checkpoints of each (5 s × n
/// less 20 %, PROTOCOL 11.2), answers to those of one half, and the payments.
const QUARREL: usize = 3 * 21 + 2 * BOTH;

/// Messages in six hours between halves that cannot agree: neither gives up, and each sends a checkpoint
/// every 5 min less 20 % (PROTOCOL 11.2), of which one half's may be answered.
const CHECKPOINTS: usize = 3 * (6 * 60 / 4);

/// Chits of a long chain, and the parts it takes (60,000 bytes each).
const LONG: usize = 3_000;

/// Puts something into a half behind its handler's back.
type Lie = fn(&World, &Deal, usize, u64);

/// Who pays: nobody, the stock, the foil, or both at once.
const PAYERS: [&[usize]; 4] = [&[], &[0], &[1], &[0, 1]];

fn all_pay(world: &mut World, people: &mut People, payers: &[usize]) {
    for end in payers {
        pay(world, people, *end, 7);
    }
}

/// Runs what is disturbed once in a copy of this world; what it cost. In the end both halves agree.
fn try_once(
    which: &str,
    base: &(World, People),
    receipts: bool,
    trouble: impl FnOnce(&mut World, &mut People),
) -> usize {
    let (mut world, mut people) = (base.0.fork(3, receipts), base.1.clone());
    told(which, &mut world, |world| {
        world.calm(60_000);
        let [cost, later] = cost(world, &mut people, trouble);
        assert_eq!(later, 0, "{which}: the talk goes on");
        assert_eq!(wrong(world, &people, !receipts), Vec::<String>::new(), "{which}");
        cost
    })
}

#[test]
fn without_disturbance_a_payment_is_a_message_and_its_acknowledgement() {
    for receipts in [true, false] {
        let base = settled(3, receipts, 1);
        for payers in PAYERS {
            let which = format!("receipts {receipts}, {payers:?} pay");
            let cost = try_once(&which, &base, receipts, |world, people| all_pay(world, people, payers));
            eprintln!("{which}: {cost} messages");
            match payers.len() {
                2 => assert!((2 * PAYMENT..=BOTH).contains(&cost), "{which}: {cost} messages"),
                payments => assert_eq!(cost, payments * PAYMENT, "{which}"),
            }
        }
    }
}

#[test]
fn a_lost_message_costs_a_few_more() {
    let base = settled(3, false, 1);
    let mut worst = (0, String::new());
    for payers in &PAYERS[1..] {
        for nth in 0..BOTH as u64 {
            let which = format!("{payers:?} pay, message {nth} is lost");
            let cost = try_once(&which, &base, false, |world, people| {
                world.swallow = Some(nth);
                all_pay(world, people, payers);
            });
            worst = worst.max((cost, which));
        }
    }
    eprintln!("at most {worst:?}");
    assert!(worst.0 <= BOTH + MISHAP, "{worst:?}");
}

#[test]
fn a_crash_costs_a_few_more() {
    let mut worst = (0, String::new());
    for receipts in [true, false] {
        let base = settled(3, receipts, 1);
        for payers in &PAYERS[1..] {
            for (at, site) in (0..20).flat_map(|at| [(at, 0), (at, 1)]) {
                let which = format!("receipts {receipts}, {payers:?} pay, site {site} crashes before step {at}");
                let cost = try_once(&which, &base, receipts, |world, people| {
                    all_pay(world, people, payers);
                    for _ in 0..at {
                        if let Some(step) = world.steps().first().copied() {
                            world.step(step);
                        }
                    }
                    world.crash(site);
                });
                worst = worst.max((cost, which));
            }
        }
    }
    eprintln!("at most {worst:?}");
    assert!(worst.0 <= BOTH + MISHAP, "{worst:?}");
}

#[test]
fn a_store_that_comes_back_from_an_older_copy_costs_a_bounded_number() {
    const CHITS: usize = 12;
    let mut worst = (0, String::new());
    for receipts in [true, false] {
        let (mut world, mut people) = settled(0, receipts, 1);
        let mut copies = Vec::new();
        for number in 0..CHITS {
            copies.push([0, 1].map(|site| world.sites[site].disk.copy()));
            pay(&mut world, &mut people, number % 2, 5);
            world.calm(1_000);
        }
        world.calm(60_000);
        let base = (world, people);
        for (lost, copies) in copies.iter().rev().enumerate() {
            for (site, payers) in PAYERS.into_iter().flat_map(|payers| [(0, payers), (1, payers)]) {
                let which = format!("receipts {receipts}, site {site} loses {} chits, {payers:?} pay", lost + 1);
                let cost = try_once(&which, &base, receipts, |world, people| {
                    people.restore(world, site, &copies[site]);
                    world.start(site, None);
                    all_pay(world, people, payers);
                });
                worst = worst.max((cost, which));
            }
        }
    }
    eprintln!("at most {worst:?}");
    assert!(worst.0 <= RETURN, "{worst:?}");
}

#[test]
fn halves_that_cannot_agree_about_a_chit_do_not_talk_about_it_for_ever() {
    let mut worst = (0, String::new());
    for receipts in [true, false] {
        let base = settled(6, receipts, 1);
        let (lies, places): ([Lie; 2], _) = ([alter, spoil], [1, 6]);
        for (lie, end, index) in (0..2)
            .flat_map(|lie| [0, 1].map(|end| (lie, end)))
            .flat_map(|(lie, end)| places.map(|index| (lie, end, index)))
        {
            for payers in &PAYERS[1..] {
                let which = format!("receipts {receipts}, lie {lie} of site {end} at link {index}, {payers:?} pay");
                let (mut world, mut people) = (base.0.fork(3, receipts), base.1.clone());
                told(&which, &mut world, |world| {
                    world.calm(60_000);
                    lies[lie](world, &people.deals[0], end, index);
                    // The quarrel breaks out at the first payment; each further one may cost as much again.
                    for round in 0..3 {
                        let [cost, later] = cost(world, &mut people, |world, people| all_pay(world, people, payers));
                        assert!(later <= CHECKPOINTS, "{which}: {later} messages in six hours");
                        worst = worst.clone().max((cost, format!("{which}, round {round}")));
                    }
                });
            }
        }
    }
    eprintln!("at most {worst:?}");
    assert!(worst.0 <= QUARREL, "{worst:?}");
}

#[test]
fn a_long_chain_goes_over_in_parts_and_draws_no_flood_of_answers() {
    let mut worst = (0, String::new());
    let mut receipts = false;
    {
        let (world, people) = settled(1, true, 1);
        let records = chain(&world, &people.deals[0], LONG);
        let bytes: usize = records.iter().map(|record| record.to_record().to_string().len() + 150).sum();
        let parts = bytes.div_ceil(60_000) + 1;
        for (end, held) in [0, LONG / 2, LONG].into_iter().flat_map(|held| [(0, held), (1, held)]) {
            for payers in &PAYERS[1..] {
                receipts = !receipts;
                let which = format!("receipts {receipts}, end {end} has {held} of {LONG}, {payers:?} pay");
                let (mut world, mut people) = (world.fork(3, receipts), people.clone());
                told(&which, &mut world, |world| {
                    world.calm(60_000);
                    lengthen(world, &mut people, end, &records[..held], 1);
                    lengthen(world, &mut people, 1 - end, &records, 1);
                    let [cost, later] = cost(world, &mut people, |world, people| all_pay(world, people, payers));
                    assert_eq!(later, 0, "{which}: the talk goes on");
                    assert_eq!(wrong(world, &people, !receipts), Vec::<String>::new(), "{which}");
                    eprintln!("{which}: {cost} messages");
                    worst = worst.clone().max((cost, which.clone()));
                });
            }
        }
        // Each part once, an acknowledgement for every eight, and the talk about who has what.
        assert!(worst.0 <= 2 * parts + BOTH + MISHAP, "{parts} parts: {worst:?}");
    }
}
