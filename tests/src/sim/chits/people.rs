//! People who pay, ask, accept, refuse, set, resend and close, and who remember what was reported as done.

use super::deals::{Account, Deal, account};
use crate::sim::{Disk, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tallyho_chit::entry::{Entry, Request, Status};
use tallyho_chit::half::Phase;
use tallyho_plugin::{Fault, FaultKind};

/// A chit that a command reported as pledged or set.
#[derive(Debug, Clone)]
pub struct Pledge {
    /// Which of the deals.
    pub deal: usize,
    /// Its core, as its maker signed it.
    pub core: String,
    /// It must be there in the end. One that only a site had which then came back from an older copy may be
    /// lost; it may also still arrive.
    pub must: bool,
}

/// An invoice that a command reported as asked.
#[derive(Debug, Clone)]
pub struct Invoice {
    /// Which of the deals.
    pub deal: usize,
    /// The end that asked.
    pub by: usize,
}

/// People and what they remember.
#[derive(Debug, Clone, Default)]
pub struct People {
    /// The tallies they deal on.
    pub deals: Vec<Deal>,
    /// By the chit's uuid.
    pub pledges: BTreeMap<String, Pledge>,
    /// By the chit's uuid.
    pub invoices: BTreeMap<String, Invoice>,
    /// Chance in percent that an act is a closing.
    pub closing: u64,
    /// Sites that came back from an older copy.
    pub restored: Vec<usize>,
}

/// What somebody wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Pay so much.
    Pay(i64),
    /// Ask for so much.
    Ask(i64),
    /// Ask anew for what was refused.
    Again(String, i64),
    /// Pay what was asked for.
    Accept(String),
    /// Turn it down.
    Refuse(String),
    /// Set trading variables.
    Set(Value),
    /// Send a chit again.
    Resend(String),
    /// Look at the list.
    List,
    /// Close the tally.
    Close,
}

impl People {
    /// People who deal on these tallies and remember nothing yet.
    pub fn new(deals: Vec<Deal>) -> Self {
        People { deals, ..Self::default() }
    }

    /// Somebody does something that comes to mind.
    ///
    /// # Panics
    /// When a handler fails, misunderstands a command, or makes something else of it.
    pub fn act(&mut self, world: &mut World) {
        let (deal, end) = (world.dice.below(self.deals.len()), world.dice.below(2));
        let act = self.idea(world, deal, end);
        match self.perform(world, deal, end, &act) {
            Ok(_) => {}
            // What does not fit the state is refused and changes nothing.
            Err(fault) if matches!(fault.kind, FaultKind::Refused | FaultKind::NotFound | FaultKind::Host) => {}
            Err(fault) => panic!("{act:?}: {fault:?}"),
        }
    }

    fn idea(&self, world: &mut World, deal: usize, end: usize) -> Act {
        let amount = 1 + i64::try_from(world.dice.below(5_000)).unwrap_or(0);
        let roll = world.dice.number() % 100;
        if roll < self.closing {
            return Act::Close;
        }
        match roll {
            0..45 => return Act::Pay(amount),
            45..58 => return Act::Ask(amount),
            58..68 => return Act::Set(setting(world)),
            68..70 => return Act::List,
            _ => {}
        }
        let account = self.account(world, deal, end);
        let side = Deal::side(end);
        let of = |fit: &dyn Fn(&Entry) -> bool| -> Vec<String> {
            let entries = account.iter().flat_map(|account| &account.entries);
            entries.filter(|(_, entry)| entry.by == side && fit(entry)).map(|(uuid, _)| uuid.clone()).collect()
        };
        let asked = of(&|entry| entry.status == Status::Pend && entry.request.is_none());
        let good = of(&|entry| entry.status == Status::Good);
        let refused = self.invoices.iter().filter(|(uuid, invoice)| {
            let entry = account.as_ref().and_then(|account| account.entries.get(*uuid));
            (invoice.deal, invoice.by) == (deal, end) && entry.is_some_and(|entry| entry.status == Status::Void)
        });
        let refused: Vec<String> = refused.map(|(uuid, _)| uuid.clone()).collect();
        match roll {
            70..82 if !asked.is_empty() => Act::Accept(world.dice.one_of(&asked).clone()),
            82..89 if !asked.is_empty() => Act::Refuse(world.dice.one_of(&asked).clone()),
            89..92 if !refused.is_empty() => Act::Again(world.dice.one_of(&refused).clone(), amount),
            92..96 if !good.is_empty() => Act::Resend(world.dice.one_of(&good).clone()),
            _ => Act::Pay(amount),
        }
    }

    /// Has the user of this end do it, and remembers what came of it.
    ///
    /// # Errors
    /// The command's fault.
    ///
    /// # Panics
    /// When the account afterwards is not what was reported.
    pub fn perform(&mut self, world: &mut World, deal: usize, end: usize, act: &Act) -> Result<Value, Fault> {
        let of = self.deals[deal].clone();
        let (site, user) = of.ends[end];
        let memo = format!("memo {}", world.dice.below(100));
        let (plugin, name, mut argument) = match act {
            Act::Pay(units) => ("chit", "pay", json!({ "units": units, "memo": memo })),
            Act::Ask(units) => ("chit", "ask", json!({ "units": units, "memo": memo })),
            Act::Again(chit, units) => ("chit", "ask", json!({ "units": units, "memo": memo, "again": chit })),
            Act::Accept(chit) => ("chit", "accept", json!({ "uuid": chit })),
            Act::Refuse(chit) => ("chit", "refuse", json!({ "uuid": chit })),
            Act::Resend(chit) => ("chit", "resend", json!({ "uuid": chit })),
            Act::Set(settings) => ("chit", "set", json!({ "settings": settings })),
            Act::List => ("chit", "list", json!({})),
            Act::Close => ("tally", "close", json!({})),
        };
        argument[if plugin == "chit" { "tally" } else { "uuid" }] = of.uuid.as_str().into();
        argument["user"] = user.into();
        let answer = world.command(site, plugin, name, &argument)?;
        let account = self.account(world, deal, end);
        let entries = account.map(|account| account.entries).unwrap_or_default();
        let side = Deal::side(end);
        // Somebody whose site has forgotten it may pay the same invoice once more.
        let again = |uuid: &String| matches!(act, Act::Accept(accepted) if accepted == uuid);
        let made = |(uuid, entry): &(&String, &Entry)| {
            entry.by == side && entry.status == Status::Good && (again(uuid) || !self.pledges.contains_key(*uuid))
        };
        let made: Vec<(&String, &Entry)> = entries.iter().filter(made).collect();
        let word = |uuid: &str| entries.get(uuid).map(|entry| entry.code(side)).unwrap_or_default();
        let expected = match act {
            Act::Pay(_) | Act::Accept(_) | Act::Set(_) | Act::Close => 1,
            Act::Ask(units) | Act::Again(_, units) => {
                let uuid = answer["uuid"].as_str().expect("an answer names the chit").to_owned();
                assert!(matches!(word(&uuid).as_str(), "A.draft.pend" | "A.pend"), "asked, and is {}", word(&uuid));
                assert_eq!(entries[&uuid].units, *units, "asked for something else");
                self.invoices.insert(uuid, Invoice { deal, by: end });
                0
            }
            Act::Refuse(uuid) => {
                assert!(matches!(word(uuid).as_str(), "L.pend.void" | "L.void"), "refused, and is {}", word(uuid));
                0
            }
            Act::Resend(_) | Act::List => 0,
        };
        assert_eq!(made.len(), expected, "{act:?} reported success and made {made:?}");
        for (uuid, entry) in made {
            fits(act, uuid, entry);
            let pledge = Pledge { deal, core: entry.core.clone(), must: true };
            let before = self.pledges.insert(uuid.clone(), pledge);
            assert!(before.is_none_or(|before| before.core == entry.core), "{uuid} was signed with two contents");
        }
        Ok(answer)
    }

    /// The account of an end.
    pub fn account(&self, world: &World, deal: usize, end: usize) -> Option<Account> {
        let deal = &self.deals[deal];
        account(&world.sites[deal.ends[end].0].disk, deal, end)
    }

    /// A site crashes and comes back from an older copy: what it alone had may be lost, all else must not.
    pub fn restore(&mut self, world: &mut World, site: usize, copy: &Disk) {
        self.remember(world, |place| (place == site).then(|| copy.clone()));
        self.restored.push(site);
        world.restore(site, copy);
    }

    /// What some site has must be there in the end, nothing else must.
    fn remember(&mut self, world: &World, instead: impl Fn(usize) -> Option<Disk>) {
        let mut held = Vec::new();
        for deal in &self.deals {
            for end in 0..2 {
                let site = deal.ends[end].0;
                let disk = instead(site).unwrap_or_else(|| world.sites[site].disk.clone());
                held.extend(account(&disk, deal, end));
            }
        }
        let held: BTreeSet<&String> = held.iter().flat_map(Account::good).map(|(uuid, _)| uuid).collect();
        for (uuid, pledge) in &mut self.pledges {
            pledge.must = held.contains(uuid);
        }
    }

    /// From here on nothing is lost any more: what any site has must be everywhere in the end.
    pub fn settle(&mut self, world: &World) {
        if !self.restored.is_empty() {
            self.remember(world, |_| None);
        }
    }

    /// Whoever is owed on a tally that is closing gives it back; whether anybody did.
    ///
    /// # Panics
    /// When the payment is refused.
    pub fn pay_off(&mut self, world: &mut World) -> bool {
        let mut paid = false;
        for deal in 0..self.deals.len() {
            for end in 0..2 {
                let Some(account) = self.account(world, deal, end) else { continue };
                let owed = account.half.net;
                if account.half.phase == Phase::Closing && owed > 0 {
                    self.perform(world, deal, end, &Act::Pay(owed)).expect("a debt can be given back");
                    paid = true;
                }
            }
        }
        paid
    }
}

/// Whether the chit is what was wanted.
fn fits(act: &Act, uuid: &str, entry: &Entry) {
    let core: Value = serde_json::from_str(&entry.core).expect("a core is JSON");
    let fine = match act {
        Act::Pay(units) => entry.units == *units && core["type"] == "tran",
        Act::Accept(wanted) => wanted == uuid && core["type"] == "tran",
        Act::Set(settings) => core["ref"] == *settings && core["type"] == "set",
        Act::Close => core["ref"]["close"] == true && core["type"] == "set",
        _ => false,
    };
    assert!(fine && entry.request.is_none_or(|request| request == Request::Good), "{act:?} made {uuid}: {entry:?}");
    assert!(entry.sign.is_some(), "{act:?} made a pledge without a signature: {entry:?}");
}

/// Some lawful setting.
fn setting(world: &mut World) -> Value {
    let number = i64::try_from(world.dice.below(1_000)).unwrap_or(0);
    match world.dice.below(4) {
        0 => json!({ "target": number, "bound": number + 500 }),
        1 => json!({ "limit": number }),
        2 => json!({ "reward": 0.25, "clutch": 0.125 }),
        _ => json!({ "target": number.to_string(), "bound": "2000", "note": format!("note {number}") }),
    }
}
