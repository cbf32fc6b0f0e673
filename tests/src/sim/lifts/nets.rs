//! Networks to lift in: sites in a ring with some tallies across, and two referees that are nobody's partner.

use crate::sim::chits::deals::{self, Deal};
use crate::sim::site::MakePlugin;
use crate::sim::tallies::{chit, tally};
use crate::sim::{Dice, Plan, World};
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallyho::plugin::{Plugin, StaticPlugin};
use tallyho_lift::Lifts;
use tallyho_plugin::record::Chad;
use tallyho_referee::{Referee, Standard};
use tallyho_route::Route;

/// The route handler.
///
/// # Panics
/// When it cannot be made.
pub fn route() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<Route>::create().expect("the route handler can be made"))
}

/// The lift handler.
///
/// # Panics
/// When it cannot be made.
pub fn lift() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<Lifts>::create().expect("the lift handler can be made"))
}

/// The referee handler.
///
/// # Panics
/// When it cannot be made.
pub fn referee() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<Referee<Standard>>::create().expect("the referee handler can be made"))
}

/// A user somewhere.
pub type Person = (usize, &'static str);

/// A network.
pub struct Net {
    /// Its sites; behind the partners stand the referees.
    pub world: World,
    /// Sites with users.
    pub size: usize,
    /// Its tallies.
    pub deals: Vec<Deal>,
    /// Who has looked for a way to whom.
    pub known: Vec<(Person, Person)>,
}

/// Referees, each a site of its own.
pub const REFEREES: usize = 2;

impl Net {
    /// The referees' sites.
    pub fn referees(&self) -> std::ops::Range<usize> {
        self.size..self.size + REFEREES
    }

    /// Somebody.
    pub fn anybody(&mut self) -> Person {
        let site = self.world.dice.below(self.size);
        let user = *self.world.dice.one_of(&self.world.sites[site].users.clone());
        (site, user)
    }

    /// A user's address.
    pub fn address(&self, (site, user): Person) -> Chad {
        Chad { cuid: Some(user.to_owned()), ..self.world.sites[site].own.clone() }
    }
}

/// Who lives at a site: some have a tally with each other.
fn users(site: usize) -> Vec<&'static str> {
    if site.is_multiple_of(3) { vec!["ann", "ben"] } else { vec!["ann"] }
}

thread_local! {
    static OPENED: RefCell<BTreeMap<(usize, u64), Net>> = RefCell::default();
}

/// A network of so many sites, of which there are several kinds, with chances of its own and clocks that are so
/// far ahead. Opening tallies is not what is looked at, so it is done once for each kind, and each network is a
/// copy of that one.
pub fn opened(size: usize, kind: u64, seed: u64, receipts: bool, skews: &[i64]) -> Net {
    OPENED.with_borrow_mut(|opened| {
        let net = opened.entry((size, kind)).or_insert_with(|| open(size, kind));
        let (deals, known) = (net.deals.clone(), net.known.clone());
        Net { world: net.world.fork_skewed(seed, receipts, skews), size, deals, known }
    })
}

fn open(size: usize, kind: u64) -> Net {
    let plugins: Vec<MakePlugin> = vec![tally, chit, route, lift, referee];
    let users = (0..size + REFEREES).map(|site| if site < size { users(site) } else { Vec::new() }).collect();
    let plan = Plan { seed: 1 + kind, users, plugins, receipts: true, files: false, elliptic: false };
    let mut net = Net { world: World::new(&plan), size, deals: Vec::new(), known: Vec::new() };
    net.world.calm(1_000);
    accept_referees(&mut net);
    for site in 0..size {
        let off = net.world.command(site, "route", "settings", &json!({ "autoquery": "off" }));
        off.expect("a setting of the route handler");
    }
    // Chances of their own: the world's depend on all that happens in between.
    let mut dice = Dice::new(size as u64 * 100 + kind);
    for ends in places(size, &mut dice) {
        let deal = deals::open(&mut net.world, ends);
        net.deals.push(deal);
    }
    settle(&mut net, &mut dice);
    look(&mut net, &mut dice);
    // Whatever a clock says later, it is later than all this.
    net.world.calm(120_000);
    net
}

/// Most sites accept both referees, some only the first.
fn accept_referees(net: &mut Net) {
    for referee in net.referees() {
        net.world.command(referee, "referee", "serve", &json!({ "whom": "all" })).expect("a referee serves");
    }
    for site in 0..net.size {
        for referee in net.referees().take(if site % 4 == 2 { 1 } else { REFEREES }) {
            let chad = net.world.sites[referee].own.to_string();
            net.world.command(site, "referee", "accept", &json!({ "chad": chad })).expect("a referee is accepted");
        }
    }
    net.world.calm(60_000);
}

/// Whose tallies there are, stock and foil of each: round the ring, across it, and between users of a site.
fn places(size: usize, dice: &mut Dice) -> Vec<[Person; 2]> {
    let at = |site: usize, dice: &mut Dice| (site, *dice.one_of(&users(site)));
    let mut pairs = Vec::new();
    for site in 0..size {
        pairs.push([at(site, dice), at((site + 1) % size, dice)]);
    }
    for _ in 0..1 + size / 3 {
        let one = dice.below(size);
        let other = (one + 1 + dice.below(size - 1)) % size;
        pairs.push([at(one, dice), at(other, dice)]);
    }
    pairs.extend((0..size).filter(|site| users(*site).len() > 1).map(|site| [(site, "ann"), (site, "ben")]));
    pairs.into_iter().map(|[one, other]| if dice.percent(50) { [one, other] } else { [other, one] }).collect()
}

/// Balances, and what each holder takes by lifts.
fn settle(net: &mut Net, dice: &mut Dice) {
    for deal in net.deals.clone() {
        for (site, user) in deal.ends {
            let argument = json!({ "tally": deal.uuid, "user": user });
            if dice.percent(30) {
                let mut pay = argument.clone();
                pay["units"] = (1 + dice.below(500)).into();
                net.world.command(site, "chit", "pay", &pay).expect("a payment");
                net.world.calm(1_000);
            }
            if dice.percent(88) {
                let (mut set, target) = (argument, 100 * (1 + dice.below(15)));
                set["settings"] = json!({ "target": target, "bound": target + 100 * dice.below(3) });
                if dice.percent(5) {
                    set["settings"]["clutch"] = json!(0.1);
                }
                net.world.command(site, "chit", "set", &set).expect("a setting");
                net.world.calm(1_000);
            }
        }
    }
}

/// Some look for ways to others, so that routes are known.
fn look(net: &mut Net, dice: &mut Dice) {
    for _ in 0..net.size {
        let mut person = || {
            let site = dice.below(net.size);
            (site, *dice.one_of(&users(site)))
        };
        let (from, to) = (person(), person());
        if from.0 == to.0 {
            continue;
        }
        let find = json!({ "chad": net.address(to).to_string(), "user": from.1 });
        // Some owe so much, or take so little, that there is no way out.
        if net.world.command(from.0, "route", "find", &find).is_ok() {
            net.world.calm(5_000);
            net.known.push((from, to));
        }
    }
}
