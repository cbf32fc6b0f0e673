//! What must be true once all is mended and everything has come to rest.

use super::deals::{Account, Deal, account, accounts};
use super::people::{Invoice, People};
use crate::sim::{World, tallies};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tallyho_chit::entry::Status;
use tallyho_chit::half::{Phase, Stat};
use tallyho_plugin::record::{ChitType, Side};

/// Everything that is wrong. `lossy`: messages that were handed over may have been lost, and those that
/// nothing answers are repaired by a person only (PROTOCOL 11.1).
pub fn wrong(world: &World, people: &People, lossy: bool) -> Vec<String> {
    let mut wrong = tallies::left(world);
    let halves = tallies::halves(world);
    for (number, deal) in people.deals.iter().enumerate() {
        let mut told = Vec::new();
        let held = accounts(world, deal);
        for (end, account) in held.iter().enumerate() {
            match account {
                Some(account) => told.extend(alone(account, Deal::side(end))),
                None => {
                    told.extend(
                        people.pledges.values().find(|pledge| pledge.must && pledge.deal == number).map(|pledge| {
                            format!("{} has no account, though there is {}", deal.ends[end].1, pledge.core)
                        }),
                    )
                }
            }
        }
        if let [Some(stock), Some(foil)] = &held {
            told.extend(together(stock, foil));
        }
        told.extend(closing(&halves, deal, &held));
        told.extend(pledged(people, number, &held));
        // A closed half takes no invoice, and says nothing to that.
        let closing = held.iter().flatten().any(|account| account.half.phase != Phase::Open);
        let loose = |end: usize| lossy || closing || people.restored.contains(&deal.ends[end].0);
        for (uuid, invoice) in people.invoices.iter().filter(|(_, invoice)| invoice.deal == number) {
            told.extend(asked(uuid, invoice, &held, [loose(0), loose(1)]));
        }
        wrong.extend(told.into_iter().map(|what| format!("tally {}: {what}", &deal.uuid[..6])));
    }
    for (place, site) in world.sites.iter().enumerate() {
        let unsettled: Vec<serde::de::IgnoredAny> = site.look("chit.unsettled");
        if !unsettled.is_empty() {
            wrong.push(format!("site {place} takes {} halves for unsettled", unsettled.len()));
        }
    }
    wrong
}

/// What is wrong with one account by itself.
pub fn alone(account: &Account, side: Side) -> Vec<String> {
    let mut wrong = Vec::new();
    let half = &account.half;
    if half.stat == Stat::Broken || half.end > 0 && half.stat != Stat::Consented {
        wrong.push(format!("{side:?} is {:?}", half.stat));
    }
    if half.conf != Some(half.end) || half.loose != 0 || account.displaced != 0 {
        let (conf, end, displaced) = (half.conf, half.end, account.displaced);
        wrong.push(format!("{side:?} has conf {conf:?} of {end}, loose {}, displaced rows {displaced}", half.loose));
    }
    wrong.extend(kept(account, side));
    let stirred = account.entries.iter().filter(|(_, entry)| entry.request.is_some() || entry.stalled.is_some());
    wrong
        .extend(stirred.map(|(uuid, entry)| {
            format!("{side:?} is not done with {uuid}: {} {:?}", entry.code(side), entry.stalled)
        }));
    wrong
}

/// What is wrong with one account at any moment: its rows must always fit each other.
pub fn kept(account: &Account, side: Side) -> Vec<String> {
    let mut wrong = Vec::new();
    let half = &account.half;
    let sum = |status: Status, fit: &dyn Fn(ChitType, i64) -> bool| -> i64 {
        let entries = account.entries.values().filter(|entry| entry.status == status);
        entries
            .map(|entry| (entry.kind, entry.contribution(side)))
            .filter(|(kind, adds)| fit(*kind, *adds))
            .map(|(_, adds)| adds)
            .sum()
    };
    let kept = (half.net, half.pend, half.lift_in, half.lift_out);
    let counted = (
        sum(Status::Good, &|_, _| true),
        sum(Status::Pend, &|_, _| true),
        sum(Status::Pend, &|kind, adds| kind == ChitType::Lift && adds > 0),
        -sum(Status::Pend, &|kind, adds| kind == ChitType::Lift && adds < 0),
    );
    if kept != counted {
        wrong.push(format!("{side:?} keeps the sums {kept:?}, and they are {counted:?}"));
    }
    if half.end != account.links.len() as u64 || account.links.last().is_some_and(|last| last.hash != half.tip) {
        wrong.push(format!("{side:?} has end {} of {} links", half.end, account.links.len()));
    }
    let mut linked = BTreeSet::new();
    for (index, link) in account.links.iter().enumerate() {
        let place = account.entries.get(&link.chit).and_then(|entry| entry.index);
        if !linked.insert(&link.chit) || place != Some(index as u64 + 1) {
            wrong.push(format!("{side:?} links {} at {}, and keeps {place:?} for it", link.chit, index + 1));
        }
    }
    let waiting = account.good().filter(|(_, entry)| half.place(entry).is_none()).count() as u64;
    if waiting != half.loose {
        wrong.push(format!("{side:?} counts {} loose chits, and there are {waiting}", half.loose));
    }
    wrong
}

/// What is wrong between the two accounts of a tally.
pub fn together(stock: &Account, foil: &Account) -> Vec<String> {
    let mut wrong = Vec::new();
    let first = stock.links.iter().zip(&foil.links).position(|(one, other)| one != other);
    if let Some(first) = first {
        wrong.push(format!("link {} is {:?} and {:?}", first + 1, stock.links[first], foil.links[first]));
    } else if stock.links.len() != foil.links.len() {
        wrong.push(format!("the chains have {} and {} links", stock.links.len(), foil.links.len()));
    }
    if stock.half.net != -foil.half.net {
        wrong.push(format!("the balances are {} and {}", stock.half.net, foil.half.net));
    }
    if stock.settings != foil.settings {
        wrong.push(format!("the settings are {} and {}", stock.settings, foil.settings));
    }
    for side in [Side::Stock, Side::Foil] {
        for (member, value) in set(stock, side) {
            if stock.settings[side.as_str()][&member] != value {
                wrong.push(format!("{member} of the {side:?} was last set to {value}: {}", stock.settings));
            }
        }
    }
    wrong
}

/// What a side has set, in the order of the chain (PROTOCOL 5.7). All sets here are lawful.
fn set(account: &Account, side: Side) -> Map<String, Value> {
    let mut all = Map::new();
    for link in &account.links {
        let Some(entry) = account.entries.get(&link.chit) else { continue };
        if entry.kind == ChitType::Set && entry.by == side {
            let core: Value = serde_json::from_str(&entry.core).expect("a core is JSON");
            all.extend(core["ref"].as_object().cloned().unwrap_or_default());
        }
    }
    // A number may come as a string and is kept as a number.
    for value in all.values_mut() {
        if let Some(number) = value.as_str().and_then(|text| text.parse::<i64>().ok()) {
            *value = number.into();
        }
    }
    all
}

/// A tally whose chain says so is closing, and one that is closing with nothing owed is closed, on both sides.
fn closing(halves: &[tallies::Half], deal: &Deal, held: &[Option<Account>; 2]) -> Vec<String> {
    let mut wrong = Vec::new();
    let states: Vec<(usize, &str)> = halves
        .iter()
        .filter(|half| half.half.uuid == deal.uuid)
        .map(|half| (usize::from(half.half.holder != deal.ends[0].1), half.state()))
        .collect();
    for (end, account) in held.iter().enumerate() {
        let Some(account) = account else { continue };
        let side = Deal::side(end);
        let closing = [Side::Stock, Side::Foil].iter().any(|side| set(account, *side).contains_key("close"));
        let wanted = match (closing, account.half.net) {
            (false, _) => Phase::Open,
            (true, 0) => Phase::Closed,
            (true, _) => Phase::Closing,
        };
        if account.half.phase != wanted {
            wrong.push(format!("{side:?} is {:?} with balance {}", account.half.phase, account.half.net));
        }
        let word = match wanted {
            Phase::Open => "open",
            Phase::Closing => "C.open",
            Phase::Closed => "close",
        };
        if !states.contains(&(end, word)) {
            wrong.push(format!("{side:?} should be {word}, and the tally handler says {states:?}"));
        }
    }
    wrong
}

/// What was reported as done is there, once, as it was signed; and nothing else.
fn pledged(people: &People, deal: usize, held: &[Option<Account>; 2]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (end, account) in held.iter().enumerate() {
        let Some(account) = account else { continue };
        let side = Deal::side(end);
        let there: BTreeMap<&String, &String> = account.good().map(|(uuid, entry)| (uuid, &entry.core)).collect();
        for (uuid, pledge) in people.pledges.iter().filter(|(_, pledge)| pledge.deal == deal) {
            match there.get(uuid) {
                Some(core) if **core != pledge.core => {
                    wrong.push(format!("{side:?} has {core}, and {} was signed", pledge.core));
                }
                None if pledge.must => wrong.push(format!("{side:?} has LOST {}", pledge.core)),
                _ => {}
            }
        }
        let invented = there.iter().filter(|(uuid, _)| !people.pledges.contains_key(**uuid));
        wrong.extend(invented.map(|(_, core)| format!("{side:?} has {core}, which nobody pledged")));
    }
    wrong
}

/// Whether an invoice means the same to both. `loose`, by end: it may have forgotten, or not have heard.
fn asked(uuid: &str, invoice: &Invoice, held: &[Option<Account>; 2], loose: [bool; 2]) -> Option<String> {
    let code = |end: usize| {
        let entry = held[end].as_ref().and_then(|account| account.entries.get(uuid));
        entry.map_or_else(|| "none".to_owned(), |entry| entry.code(Deal::side(end)))
    };
    let (payee, payer) = (invoice.by, 1 - invoice.by);
    let (asking, owing) = (code(payee), code(payer));
    let same = match asking.as_str() {
        "A.pend" => owing == "L.pend",
        "A.void" => owing == "L.void",
        "A.good" => owing == "L.good",
        "none" => owing == "none",
        _ => false,
    };
    let good = asking == "A.good" || owing == "L.good";
    let known = matches!(asking.as_str(), "none" | "A.pend" | "A.void")
        && matches!(owing.as_str(), "none" | "L.pend" | "L.void");
    let any = loose[payee] || loose[payer];
    (!same && (good || !any || !known)).then(|| format!("invoice {uuid} is {asking} and {owing}"))
}

/// What is wrong with any account at this moment.
pub fn unkept(world: &World, people: &People) -> Vec<String> {
    let mut wrong = Vec::new();
    for deal in &people.deals {
        for end in 0..2 {
            let account = account(&world.sites[deal.ends[end].0].disk, deal, end);
            wrong.extend(account.iter().flat_map(|account| kept(account, Deal::side(end))));
        }
    }
    wrong
}
