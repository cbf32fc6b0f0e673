//! What must be true once all is mended and everything has come to rest.

use super::nets::Net;
use crate::sim::chits::checks::{alone, kept, together};
use crate::sim::chits::deals::{Account, Deal, accounts};
use crate::sim::tallies;
use std::collections::{BTreeMap, BTreeSet};
use tallyho_chit::entry::Status;
use tallyho_lift::record::{Lift, Role};
use tallyho_lift::state::State;
use tallyho_plugin::record::ChitType;
use tallyho_referee::store::Ruling;

/// Every account, by deal and end.
type Accounts = Vec<[Option<Account>; 2]>;

fn all(net: &Net) -> Accounts {
    net.deals.iter().map(|deal| accounts(&net.world, deal)).collect()
}

/// A half before anything happens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before {
    net: i64,
    target: i64,
    paid: i64,
}

/// All halves, by deal and end.
pub fn before(net: &Net) -> Vec<[Before; 2]> {
    let half = |account: Account, end: usize| Before {
        net: account.half.net,
        target: target(&account, end),
        paid: paid(&account, end),
    };
    let all = all(net).into_iter();
    all.map(|[stock, foil]| {
        [(stock, 0), (foil, 1)].map(|(at, end)| at.map_or_else(Before::default, |at| half(at, end)))
    })
    .collect()
}

/// What its holder would like to have on it.
fn target(account: &Account, end: usize) -> i64 {
    account.settings[Deal::side(end).as_str()]["target"].as_i64().unwrap_or(0)
}

/// What its holder was paid by the partner.
fn paid(account: &Account, end: usize) -> i64 {
    let chits = account.good().filter(|(_, entry)| entry.kind == ChitType::Tran);
    chits.map(|(_, entry)| entry.contribution(Deal::side(end)).max(0)).sum()
}

/// Halves that lifts have brought, or may still bring, more than their holders take (PROTOCOL 7.5).
pub fn overfull(net: &Net, faithless: &BTreeSet<usize>, before: &[[Before; 2]]) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((deal, held), before) in net.deals.iter().zip(all(net)).zip(before) {
        for (end, account) in held.iter().enumerate() {
            let (Some(account), before, (site, user)) = (account, before[end], deal.ends[end]) else { continue };
            let most = before.net.max(before.target).max(target(account, end)) + paid(account, end) - before.paid;
            let (net, coming) = (account.half.net, account.half.lift_in);
            if net + coming > most && !faithless.contains(&site) {
                let tally = &deal.uuid[..6];
                wrong.push(format!("{user}@{site} has {net} and gets {coming} on {tally}, takes {most} ({before:?})"));
            }
        }
    }
    wrong
}

fn lifts(net: &Net, site: usize) -> Vec<Lift> {
    net.world.sites[site].look("lift.lifts")
}

/// Lifts that have not come to an end at some site, but at those that are away.
pub fn unended(net: &Net, away: &BTreeSet<usize>) -> Vec<String> {
    let mut wrong = Vec::new();
    for site in (0..net.size).filter(|site| !away.contains(site)) {
        let open = lifts(net, site).into_iter().filter(|lift| !lift.state.is_final());
        wrong.extend(open.map(|lift| format!("site {site} has lift {} in {}", name(&lift), lift.state)));
    }
    wrong
}

/// Everything that is wrong, but at sites that do not keep to the rules. `before`: all halves to begin with.
pub fn wrong(net: &Net, faithless: &BTreeSet<usize>, before: &[[Before; 2]]) -> Vec<String> {
    let mut wrong = unended(net, &BTreeSet::new());
    // What a liar keeps back nobody acknowledges.
    let honest = (0..net.world.sites.len()).filter(|site| !faithless.contains(site));
    wrong.extend(honest.flat_map(|site| tallies::left_at(&net.world, site)));
    let held = all(net);
    wrong.extend(rulings(net, faithless));
    for (number, deal) in net.deals.iter().enumerate() {
        let told = tally(deal, &held[number], faithless);
        wrong.extend(told.into_iter().map(|what| format!("tally {} of {:?}: {what}", &deal.uuid[..6], deal.ends)));
    }
    wrong.extend(overfull(net, faithless, before));
    wrong.extend(totals(net, faithless, &held));
    wrong
}

fn name(lift: &Lift) -> String {
    let uuid = lift.core.uuid();
    format!("{} ({:?} over {:?})", &uuid[uuid.len() - 6..], lift.role, lift.bottom.as_ref().map(|at| &at.tally[..6]))
}

/// What is wrong with one tally: reservations left, halves that differ.
fn tally(deal: &Deal, held: &[Option<Account>; 2], faithless: &BTreeSet<usize>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (end, account) in held.iter().enumerate() {
        let (Some(account), side) = (account, Deal::side(end)) else { continue };
        let half = &account.half;
        wrong.extend(kept(account, side));
        if faithless.contains(&deal.ends[end].0) {
            continue;
        }
        if (half.lift_in, half.lift_out) != (0, 0) {
            wrong.push(format!("{side:?} keeps {} and {} reserved", half.lift_in, half.lift_out));
        }
    }
    if let [Some(stock), Some(foil)] = held
        && !deal.ends.iter().any(|(site, _)| faithless.contains(site))
    {
        wrong.extend(alone(stock, Deal::side(0)));
        wrong.extend(alone(foil, Deal::side(1)));
        wrong.extend(together(stock, foil));
    }
    wrong
}

/// What is wrong with rulings: each lift has one, the same everywhere.
fn rulings(net: &Net, faithless: &BTreeSet<usize>) -> Vec<String> {
    let mut ruled: BTreeMap<String, bool> = BTreeMap::new();
    for place in net.referees() {
        let rows: Vec<(Vec<u8>, Ruling)> = net.world.sites[place].disk.rows("referee.rulings");
        ruled
            .extend(rows.into_iter().map(|(hash, ruling)| (String::from_utf8_lossy(&hash).into_owned(), ruling.valid)));
    }
    let mut wrong = Vec::new();
    for site in (0..net.size).filter(|site| !faithless.contains(site)) {
        for lift in lifts(net, site) {
            if lift.evidence.is_some() {
                wrong.push(format!("site {site} has two rulings on {}", name(&lift)));
            }
            let inside =
                lift.core.find().agent == lift.core.org().agent && lift.core.referee().agent == lift.core.org().agent;
            let known = ruled.get(&lift.core.hash()).copied();
            match lift.state {
                _ if inside => {}
                State::Good if known != Some(true) => {
                    wrong.push(format!("site {site} takes {} for good, and it is {known:?}", name(&lift)));
                }
                State::Void if known == Some(true) => {
                    wrong.push(format!("site {site} takes {} for void, and it is good", name(&lift)));
                }
                _ => {}
            }
        }
    }
    wrong
}

/// What lifts have brought each site, by the lift's uuid.
fn brought(net: &Net, held: &Accounts) -> BTreeMap<(usize, String), i64> {
    let mut brought = BTreeMap::new();
    for (deal, held) in net.deals.iter().zip(held) {
        for (end, account) in held.iter().enumerate() {
            for (uuid, entry) in account.iter().flat_map(Account::good) {
                if entry.kind == ChitType::Lift && entry.status == Status::Good {
                    *brought.entry((deal.ends[end].0, uuid.clone())).or_default() +=
                        entry.contribution(Deal::side(end));
                }
            }
        }
    }
    brought
}

/// What is wrong with what lifts have brought: they move value from payor to payee, and leave all others as they
/// were, all of it or none. Next to sites that do not keep to the rules a relay may gain.
fn totals(net: &Net, faithless: &BTreeSet<usize>, held: &Accounts) -> Vec<String> {
    let mut wrong = Vec::new();
    let brought = brought(net, held);
    let mut expected: BTreeMap<(usize, String), i64> = BTreeMap::new();
    for site in (0..net.size).filter(|site| !faithless.contains(site)) {
        for lift in lifts(net, site) {
            let own = net.world.sites[site].agent();
            let (uuid, good) = (lift.core.uuid().to_owned(), lift.state == State::Good);
            let units = if good { lift.core.units() } else { 0 };
            let adds = match lift.role {
                Role::Originator if lift.bottom.is_none() && lift.core.find().agent != *own => -units,
                Role::Terminus if lift.core.find().agent == *own && lift.top.is_none() => units,
                _ => 0,
            };
            *expected.entry((site, uuid)).or_default() += adds;
            if lift.role == Role::Originator && good {
                wrong.extend(arrived(net, faithless, site, &lift));
            }
        }
    }
    // Good somewhere is good at the originator's; everything that moves belongs to such a lift.
    let begun: BTreeSet<String> = (0..net.size)
        .flat_map(|site| lifts(net, site))
        .filter(|lift| lift.role == Role::Originator && lift.state == State::Good)
        .map(|lift| lift.core.uuid().to_owned())
        .collect();
    if faithless.is_empty() {
        let stray = brought.keys().filter(|(_, uuid)| !begun.contains(uuid));
        wrong.extend(stray.map(|(site, uuid)| format!("site {site} has chits of {uuid}, which nobody calls good")));
    }
    let sites: BTreeSet<&(usize, String)> = brought.keys().chain(expected.keys()).collect();
    for at in sites.into_iter().filter(|(site, _)| !faithless.contains(site)) {
        let (is, should) = (brought.get(at).copied().unwrap_or(0), expected.get(at).copied().unwrap_or(0));
        if is != should && (is < should || faithless.is_empty()) {
            let uuid = &at.1[at.1.len() - 6..];
            wrong.push(format!("lift {uuid} brings site {} {is}, and should bring {should}", at.0));
        }
    }
    wrong
}

/// A lift that is good at its originator is so at its destination.
fn arrived(net: &Net, faithless: &BTreeSet<usize>, from: usize, lift: &Lift) -> Option<String> {
    let agent = &lift.core.find().agent;
    let to = (0..net.size).find(|site| net.world.sites[*site].agent() == agent)?;
    if to == from || faithless.contains(&to) {
        return None;
    }
    let hash = lift.core.hash();
    let there = lifts(net, to).into_iter().filter(|other| other.core.hash() == hash && other.role == Role::Terminus);
    let states: Vec<State> = there.map(|other| other.state).collect();
    (!states.contains(&State::Good)).then(|| format!("{} is good at site {from} and {states:?} at {to}", name(lift)))
}
