//! Tallies between users of a world, and their accounts as the handlers keep them.

use crate::sim::site::MakePlugin;
use crate::sim::tallies::tally;
use crate::sim::{Disk, Plan, World};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallyho::plugin::{Plugin, StaticPlugin};
use tallyho_chit::Chit;
use tallyho_chit::entry::{Entry, Link, Status};
use tallyho_chit::half::Half;
use tallyho_chit::store;
use tallyho_plugin::record::Side;

/// Milliseconds in which everything comes to rest once nothing fails any more: the longest delay of the
/// schedule (PROTOCOL 11.2) and some more.
pub const REST: i64 = 900_000;

/// The chit handler.
///
/// # Panics
/// When it cannot be made.
pub fn chit() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<Chit>::create().expect("the chit handler can be made"))
}

/// A tally and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    /// The tally.
    pub uuid: String,
    /// Site and user of the stock, and of the foil.
    pub ends: [(usize, &'static str); 2],
}

impl Deal {
    /// The key of a half in the handler's tables.
    pub fn key(&self, end: usize) -> Vec<u8> {
        store::key(&[&self.uuid, self.ends[end].1])
    }

    /// The side of an end.
    pub fn side(end: usize) -> Side {
        [Side::Stock, Side::Foil][end]
    }

    /// Whether both ends are of one site.
    pub fn is_local(&self) -> bool {
        self.ends[0].0 == self.ends[1].0
    }
}

/// Who lives where, and who has tallies with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Two sites, one tally.
    Pair,
    /// Two sites, a tally each way.
    Both,
    /// Two users of one site with a tally to the same user of another, and one between them.
    House,
    /// Three sites in a row.
    Row,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 4] = [Shape::Pair, Shape::Both, Shape::House, Shape::Row];

    fn users(self) -> Vec<Vec<&'static str>> {
        match self {
            Shape::Pair | Shape::Both => vec![vec!["alice"], vec!["bob"]],
            Shape::House => vec![vec!["alice", "dave"], vec!["bob"]],
            Shape::Row => vec![vec!["alice"], vec!["bob"], vec!["carol"]],
        }
    }

    /// Stock and foil of each tally.
    fn ends(self) -> Vec<[(usize, &'static str); 2]> {
        let (alice, bob, carol, dave) = ((0, "alice"), (1, "bob"), (2, "carol"), (0, "dave"));
        match self {
            Shape::Pair => vec![[alice, bob]],
            Shape::Both => vec![[alice, bob], [bob, alice]],
            Shape::House => vec![[alice, bob], [bob, dave], [dave, alice]],
            Shape::Row => vec![[alice, bob], [carol, bob]],
        }
    }
}

/// Worlds with open tallies, by what they are like.
type Opened = BTreeMap<Like, (World, Vec<Deal>)>;

/// What a world is like before anybody deals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Like {
    /// Who lives where.
    pub shape: Shape,
    /// Stores are files.
    pub files: bool,
    /// See [`Plan::elliptic`].
    pub elliptic: bool,
}

impl From<Shape> for Like {
    fn from(shape: Shape) -> Self {
        Like { shape, files: false, elliptic: false }
    }
}

thread_local! {
    static OPENED: RefCell<Opened> = RefCell::default();
}

/// A world like this with its tallies open and confirmed. Opening them is not what is looked at, so
/// it is done once, and each world is a copy of that one with chances of its own.
pub fn opened(like: Like, receipts: bool, seed: u64) -> (World, Vec<Deal>) {
    OPENED.with_borrow_mut(|opened| {
        let (world, deals) = opened.entry(like).or_insert_with(|| {
            let Like { shape, files, elliptic } = like;
            let (users, plugins) = (shape.users(), vec![tally as MakePlugin, chit]);
            let plan = Plan { seed: 1, users, plugins, receipts: true, files, elliptic };
            let mut world = World::new(&plan);
            let deals = shape.ends().into_iter().map(|ends| open(&mut world, ends)).collect();
            (world, deals)
        });
        (world.fork(seed, receipts), deals.clone())
    })
}

/// Opens a tally between the two; nothing may fail.
///
/// # Panics
/// When it does not become open and confirmed.
pub fn open(world: &mut World, ends: [(usize, &'static str); 2]) -> Deal {
    let [(stock, alice), (foil, bob)] = ends;
    let done = |world: &mut World, site: usize, name: &str, argument: &Value| {
        let answer = world.command(site, "tally", name, argument).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        world.calm(60_000);
        answer
    };
    let ticket = done(world, stock, "ticket.new", &json!({ "user": alice, "memo": "bread", "terms": { "limit": 9 } }));
    let uuid = ticket["tally"].as_str().expect("a ticket leads to a tally").to_owned();
    done(world, foil, "ticket.use", &json!({ "user": bob, "ticket": ticket["link"] }));
    done(world, stock, "offer", &json!({ "user": alice, "uuid": uuid }));
    done(world, foil, "accept", &json!({ "user": bob, "uuid": uuid }));
    for (site, user) in ends {
        let half = done(world, site, "get", &json!({ "user": user, "uuid": uuid }));
        assert_eq!((&half["state"], &half["conf"]), (&json!("open"), &json!(0)), "{half}");
    }
    Deal { uuid, ends }
}

/// One half's account, as its site keeps it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its running sums.
    pub half: Half,
    /// Every chit.
    pub entries: BTreeMap<String, Entry>,
    /// The chain, from index 1.
    pub links: Vec<Link>,
    /// Rows of links above the end: displaced ones that were not moved.
    pub displaced: usize,
    /// Both sides' settings.
    pub settings: Value,
}

impl Account {
    /// The good ones.
    pub fn good(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.status == Status::Good)
    }
}

/// The account of an end; `None` while it has no row.
///
/// # Panics
/// When rows are there that do not belong together.
pub fn account(disk: &Disk, deal: &Deal, end: usize) -> Option<Account> {
    let key = deal.key(end);
    let half: Half = disk.row("chit.halves", &key)?;
    let under = [key.as_slice(), b"\0"].concat();
    let name = |key: &[u8]| String::from_utf8_lossy(&key[under.len()..]).into_owned();
    let mut links: Vec<(Vec<u8>, Link)> = disk.under("chit.links", &under);
    let above = links.iter().position(|(key, _)| store::number(key) > half.end).unwrap_or(links.len());
    let displaced = links.split_off(above).len();
    for (index, (key, _)) in links.iter().enumerate() {
        assert_eq!(store::number(key), index as u64 + 1, "a hole in the links of {deal:?}");
    }
    Some(Account {
        half,
        entries: disk.under("chit.chits", &under).into_iter().map(|(key, entry)| (name(&key), entry)).collect(),
        links: links.into_iter().map(|(_, link)| link).collect(),
        displaced,
        settings: disk.row("chit.settings", &key).unwrap_or_default(),
    })
}

/// Both halves' accounts.
pub fn accounts(world: &World, deal: &Deal) -> [Option<Account>; 2] {
    [0, 1].map(|end| account(&world.sites[deal.ends[end].0].disk, deal, end))
}
