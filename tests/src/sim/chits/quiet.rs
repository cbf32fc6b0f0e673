//! What one disturbance costs: how many messages it takes until both halves agree again, and whether
//! the talk then ends by itself.

use super::checks::wrong;
use super::deals::{Deal, REST, Shape, account, opened};
use super::people::{Act, People, Pledge};
use crate::sim::World;
use serde_json::Value;
use tallyho_chit::entry::{Entry, Link, Status};
use tallyho_chit::half::Half;
use tallyho_chit::store;
use tallyho_plugin::record::{ChitDraft, ChitRecord, ChitType};

/// Six hours, in milliseconds.
pub const WATCHED: i64 = 21_600_000;

/// A tally between alice (stock, site 0) and bob (foil, site 1) with so many chits, settled, and a
/// channel open.
///
/// # Panics
/// When that does not come about.
pub fn settled(chits: usize, receipts: bool, seed: u64) -> (World, People) {
    let (mut world, deals) = opened(Shape::Pair.into(), receipts, seed);
    let mut people = People::new(deals);
    for number in 0..chits {
        pay(&mut world, &mut people, number % 2, 10 + i64::try_from(number).unwrap_or(0));
        world.calm(10);
    }
    world.calm(REST);
    assert_eq!(wrong(&world, &people, false), Vec::<String>::new());
    (world, people)
}

/// The user of this end pays.
///
/// # Panics
/// When that is refused.
pub fn pay(world: &mut World, people: &mut People, end: usize, units: i64) -> String {
    let answer = people.perform(world, 0, end, &Act::Pay(units)).unwrap_or_else(|fault| panic!("{fault}"));
    answer["uuid"].as_str().expect("an answer names the chit").to_owned()
}

/// Messages about chits since the first `before`.
pub fn messages(world: &World, before: usize) -> usize {
    world.said[before..].iter().filter(|(_, row)| row.message.target == "chit").count()
}

/// Has it happen and everything come to rest: the messages that took within [`REST`], and those in the hours
/// after ([`WATCHED`]).
pub fn cost(world: &mut World, people: &mut People, trouble: impl FnOnce(&mut World, &mut People)) -> [usize; 2] {
    let before = world.said.len();
    trouble(world, people);
    world.heal();
    people.settle(world);
    world.calm(REST);
    let (spent, after) = (messages(world, before), world.said.len());
    world.calm(WATCHED);
    [spent, messages(world, after)]
}

/// Puts another content for a chit into a half behind the handler's back, with the user's own signature and
/// a chain that holds: the two halves can never agree about it.
///
/// # Panics
/// When there is no such link.
pub fn alter(world: &World, deal: &Deal, end: usize, index: u64) {
    let (site, user) = deal.ends[end];
    let disk = &world.sites[site].disk;
    let held = account(disk, deal, end).expect("there is an account");
    let chit = &held.links[usize::try_from(index).unwrap_or(0) - 1].chit;
    let mut entry: Entry = held.entries[chit].clone();
    // Whoever pledged signs the other content too.
    let by = if entry.by == Deal::side(end) { (site, user) } else { deal.ends[1 - end] };
    let mut core: Value = serde_json::from_str(&entry.core).expect("a core is JSON");
    core["memo"] = "something else".into();
    entry.core = ChitRecord::parse(core).expect("it is a chit").core_canonical().to_owned();
    entry.sign = Some(world.sites[by.0].sign(by.1, &entry.core));
    disk.tamper("chit.chits", &chit_key(deal, end, chit), &entry);
    relink(world, deal, end, index);
}

/// Takes the signature off a chit of a half, so that nobody else can take it.
///
/// # Panics
/// When there is no such link.
pub fn spoil(world: &World, deal: &Deal, end: usize, index: u64) {
    let disk = &world.sites[deal.ends[end].0].disk;
    let held = account(disk, deal, end).expect("there is an account");
    let chit = &held.links[usize::try_from(index).unwrap_or(0) - 1].chit;
    let mut entry: Entry = held.entries[chit].clone();
    entry.sign = Some(world.sites[deal.ends[end].0].sign(deal.ends[end].1, "something else"));
    disk.tamper("chit.chits", &chit_key(deal, end, chit), &entry);
    relink(world, deal, end, index);
}

/// So many chits by both sides in turn, as they would follow the one chit of a tally.
///
/// # Panics
/// When the half has another number of chits.
pub fn chain(world: &World, deal: &Deal, count: usize) -> Vec<ChitRecord> {
    let held = account(&world.sites[deal.ends[0].0].disk, deal, 0).expect("there is an account");
    assert_eq!(held.half.end, 1, "it has one chit");
    let record = |number: usize| {
        let end = number % 2;
        let (site, user) = deal.ends[end];
        let draft = ChitDraft {
            tally: deal.uuid.clone(),
            by: Deal::side(end),
            kind: ChitType::Tran,
            uuid: format!("00000000-0000-4000-8000-{number:012x}"),
            date: world.now.plus(i64::try_from(number).unwrap_or(0)),
            units: Some(1_000 + i64::try_from(number).unwrap_or(0)),
            reference: None,
            memo: None,
        };
        let record = draft.finish().expect("it is a chit");
        let signature = world.sites[site].sign(user, record.core_canonical());
        record.signed(signature)
    };
    (0..count).map(record).collect()
}

/// Puts these chits behind the one chit of a half, as agreed with the other up to `conf`.
///
/// # Panics
/// When there is no account.
pub fn lengthen(world: &World, people: &mut People, end: usize, chain: &[ChitRecord], conf: u64) {
    let deal = &people.deals[0];
    let disk = &world.sites[deal.ends[end].0].disk;
    let mut half: Half = disk.row("chit.halves", &deal.key(end)).expect("there is an account");
    let (mut entries, mut links) = (Vec::new(), Vec::new());
    for record in chain {
        (half.tip, half.end) = (record.link_hash(half.end + 1, &half.tip).expect("it has a hash"), half.end + 1);
        let mut entry = Entry::new(record, Status::Good, None, world.now);
        entry.index = Some(half.end);
        half.net += entry.contribution(Deal::side(end));
        entries.push((chit_key(deal, end, record.uuid()), entry));
        let link = Link { chit: record.uuid().to_owned(), hash: half.tip.clone() };
        links.push((store::numbered(&deal.key(end), half.end), link));
        let pledge = Pledge { deal: 0, core: record.core_canonical().to_owned(), must: true };
        people.pledges.insert(record.uuid().to_owned(), pledge);
    }
    (half.conf, half.sent) = (Some(conf), half.end);
    disk.tamper_all("chit.chits", &entries);
    disk.tamper_all("chit.links", &links);
    disk.tamper("chit.halves", &people.deals[0].key(end), &half);
}

fn chit_key(deal: &Deal, end: usize, chit: &str) -> Vec<u8> {
    [deal.key(end).as_slice(), b"\0", chit.as_bytes()].concat()
}

/// Computes the links from `index` on anew.
fn relink(world: &World, deal: &Deal, end: usize, index: u64) {
    let disk = &world.sites[deal.ends[end].0].disk;
    let held = account(disk, deal, end).expect("there is an account");
    let at = |index: u64| usize::try_from(index).unwrap_or(0) - 1;
    let mut hash = match index {
        1 => {
            let tally: tallyho_chit::party::Party = disk.row("chit.parties", &deal.key(end)).expect("parties are kept");
            tally.hash
        }
        _ => held.links[at(index - 1)].hash.clone(),
    };
    for index in index..=held.half.end {
        let chit = held.links[at(index)].chit.clone();
        let record = held.entries[&chit].record().expect("a row that was written can be read");
        hash = record.link_hash(index, &hash).expect("it has a hash");
        let link = Link { chit, hash: hash.clone() };
        disk.tamper("chit.links", &store::numbered(&deal.key(end), index), &link);
    }
    let half = Half { tip: hash, conf: Some(index - 1), ..held.half };
    disk.tamper("chit.halves", &deal.key(end), &half);
}
