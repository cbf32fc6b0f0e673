//! What storms have brought to light, each told as briefly as it goes.

use super::told;
use tallyho_tests::sim::World;
use tallyho_tests::sim::chits::deals::{self, Like, REST, Shape};
use tallyho_tests::sim::chits::people::Act;
use tallyho_tests::sim::chits::quiet::{pay, settled};
use tallyho_tests::sim::chits::{People, wrong};

/// Both modes, either site: the world, who remembers, and the site.
fn everywhere(story: impl Fn(&mut World, &mut People, usize)) {
    for (receipts, site) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let (mut world, mut people) = settled(0, receipts, 1);
        told(&format!("receipts {receipts}, site {site}"), &mut world, |world| {
            story(world, &mut people, site);
            world.heal();
            people.settle(world);
            world.calm(REST);
            assert_eq!(wrong(world, &people, !receipts), Vec::<String>::new());
        });
    }
}

#[test]
fn a_site_restored_from_before_the_first_chit_gets_it_back() {
    everywhere(|world, people, site| {
        let copy = world.sites[site].disk.copy();
        pay(world, people, 0, 5);
        pay(world, people, 1, 7);
        world.calm(REST);
        people.restore(world, site, &copy);
    });
}

#[test]
fn a_restored_site_gets_back_what_it_lost_though_its_partner_cannot_be_reached_at_first() {
    everywhere(|world, people, site| {
        pay(world, people, 0, 5);
        world.calm(REST);
        let copy = world.sites[site].disk.copy();
        pay(world, people, 1, 7);
        world.calm(REST);
        world.cut(0, 1, true);
        people.restore(world, site, &copy);
        world.calm(REST);
    });
}

#[test]
fn a_tally_on_which_nothing_was_paid_can_be_closed() {
    everywhere(|world, people, site| {
        people.perform(world, 0, site, &Act::Close).unwrap();
    });
}

#[test]
fn an_invoice_paid_once_more_after_a_restore_with_another_signature_is_one_chit() {
    for (receipts, payer) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let like = Like { elliptic: true, ..Shape::Pair.into() };
        let (mut world, deals) = deals::opened(like, receipts, 1);
        let mut people = People::new(deals);
        told(&format!("receipts {receipts}, end {payer} pays"), &mut world, |world| {
            let asked = people.perform(world, 0, 1 - payer, &Act::Ask(9)).unwrap();
            let invoice = asked["uuid"].as_str().unwrap().to_owned();
            world.calm(REST);
            let copy = world.sites[payer].disk.copy();
            people.perform(world, 0, payer, &Act::Accept(invoice.clone())).unwrap();
            world.calm(REST);
            world.cut(0, 1, true);
            people.restore(world, payer, &copy);
            world.calm(1_000);
            people.perform(world, 0, payer, &Act::Accept(invoice)).unwrap();
            pay(world, &mut people, 0, 11);
            pay(world, &mut people, 1, 13);
            world.heal();
            people.settle(world);
            world.calm(REST);
            assert_eq!(wrong(world, &people, !receipts), Vec::<String>::new());
        });
    }
}
