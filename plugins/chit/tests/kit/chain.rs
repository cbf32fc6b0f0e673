//! The chain without the rules of single chits: payments are signed, counted and linked at once, and
//! messages go straight to the chain.

use super::{TALLY, USERS, pair_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tallyho_chit::desk::Desk;
use tallyho_chit::entry::{Entry, Status};
use tallyho_chit::half::{Half, Stat};
use tallyho_chit::{Chit, book, chain};
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::{ChitDraft, ChitRecord, ChitType};
use tallyho_plugin::testkit::{Envelope, Net, Site};

/// Index of the stock's site.
pub const STOCK: usize = 0;
/// Index of the foil's site.
pub const FOIL: usize = 1;

const DOORS: [&str; 3] = ["chain.make", "chain.repeat", "chain.mend"];

/// See the module.
pub struct Chain(Chit);

impl Handler for Chain {
    fn manifest() -> Manifest {
        DOORS.iter().fold(Chit::manifest(), |manifest, name| manifest.command(CommandSpec::new(*name, *name)))
    }

    fn create() -> Result<Self, Fault> {
        Chit::create().map(Chain)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        let object: Value = message.object()?;
        let holder = message.to.cuid.clone().unwrap();
        let Some(mut desk) = Desk::open(context, &holder, object["tally"].as_str().unwrap())? else { return Ok(()) };
        assert!(desk.party.partner.same_party(&message.from));
        let kind = object["cmd"].as_str().or(object["chain"]["cmd"].as_str());
        if let Some(kind) = KINDS.iter().find(|known| kind == Some(**known)) {
            desk.context.metric(kind, 1);
        }
        match message.action.as_str() {
            "good" => match ChitRecord::parse(object.clone()) {
                Ok(chit) => chain::new(&mut desk, &chit, &object["chain"])?,
                Err(_) => return Ok(()),
            },
            _ => chain::message(&mut desk, &object)?,
        }
        desk.close()
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        if !DOORS.contains(&command.name.as_str()) {
            return self.0.command(command, context);
        }
        let given: Value = command.arguments()?;
        let user = given["user"].as_str().unwrap();
        let mut answer = json!({});
        match command.name.as_str() {
            "chain.make" => {
                for _ in 0..given["count"].as_u64().unwrap_or(1) {
                    let mut desk = Desk::open(context, user, TALLY)?.unwrap();
                    answer = make(&mut desk, &given)?;
                    desk.close()?;
                }
            }
            "chain.repeat" => {
                let mut desk = Desk::open(context, user, TALLY)?.unwrap();
                let entry = desk.entry(given["chit"].as_str().unwrap())?.unwrap();
                chain::repeat(&mut desk, &entry.record()?, &entry)?;
                desk.close()?;
            }
            _ => {
                let mut desk = Desk::open(context, user, TALLY)?.unwrap();
                chain::mend(&mut desk)?;
                desk.close()?;
            }
        }
        Ok(answer)
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        assert!(chain::timer(timer, context)?, "a timer nobody knows: {}", timer.key);
        Ok(())
    }

    fn life(&self, _: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        chain::started(context)
    }
}

/// A signed chit of the holder's; linked and sent unless `offline`.
fn make(desk: &mut Desk<'_, '_>, given: &Value) -> Result<Value, Fault> {
    let settings = given.get("settings").cloned();
    let draft = ChitDraft {
        tally: TALLY.to_owned(),
        by: desk.side(),
        kind: if settings.is_some() { ChitType::Set } else { ChitType::Tran },
        uuid: given["chit"].as_str().map_or_else(|| desk.context.uuid(), str::to_owned),
        date: given["date"].as_str().map_or_else(|| desk.context.now(), |date| Timestamp::parse(date).unwrap()),
        units: settings.is_none().then(|| given["units"].as_i64().unwrap_or(1)),
        reference: settings,
        memo: given["memo"].as_str().map(str::to_owned),
    };
    let chit = draft.finish().unwrap();
    let user = desk.party.holder.clone();
    let sign = desk.context.sign_user(&user, chit.core_canonical().as_bytes())?;
    let chit = chit.signed(sign);
    if given["offline"] != true {
        let mut entry = Entry::new(&chit, Status::Good, None, desk.context.now());
        assert!(book::write(desk, chit.uuid(), None, Some(&entry))?);
        chain::extend(desk, &chit, &mut entry)?;
    }
    Ok(chit.to_record())
}

/// Two sites with a confirmed tally and chains alone.
pub fn chains(seed: u64) -> Net {
    pair_of::<Chain>(seed)
}

/// One more chit at this site; its record.
pub fn pay(net: &mut Net, place: usize) -> Value {
    make_one(net, place, json!({}))
}

/// One more chit at this site, made as `given` says; its record.
pub fn make_one(net: &mut Net, place: usize, mut given: Value) -> Value {
    given["user"] = USERS[place].into();
    net.sites[place].command("chain.make", given).unwrap()
}

/// As many chits at this site, a hundred in one event. They wait in the outbox.
pub fn pay_many(net: &mut Net, place: usize, count: u64) {
    for made in (0..count).step_by(100) {
        make_one(net, place, json!({ "count": (count - made).min(100) }));
    }
}

/// The half at this site.
pub fn half(site: &Site) -> Half {
    let row = site.rows("chit.halves").into_values().next();
    // Where nothing has happened yet there is no row.
    let untouched = || Half { stat: Stat::Consented, ..Half::new("", Some(0)) };
    row.map_or_else(untouched, |row| serde_json::from_value(row).unwrap())
}

/// Both halves: stock, foil.
pub fn halves(net: &Net) -> (Half, Half) {
    (half(&net.sites[STOCK]), half(&net.sites[FOIL]))
}

/// Index and chit of every link, in order, checked against each other and the chits' rows.
pub fn chain_of(site: &Site) -> Vec<(String, String)> {
    let half = half(site);
    let rows = site.rows("chit.links");
    let links: Vec<(u64, Value)> =
        rows.into_iter().map(|(key, link)| (tallyho_chit::store::number(&key), link)).collect();
    let entries = entries(site);
    let linked = links.into_iter().filter(|(index, _)| *index <= half.end);
    let chain: Vec<(String, String)> = linked
        .enumerate()
        .map(|(at, (index, link))| {
            assert_eq!(index, at as u64 + 1, "the chain has a hole");
            let chit = link["chit"].as_str().unwrap().to_owned();
            assert_eq!(entries[&chit].index, Some(index), "chit {chit} does not know its place");
            (chit, link["hash"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(chain.len() as u64, half.end);
    chain
}

/// Every chit, by uuid.
pub fn entries(site: &Site) -> BTreeMap<String, Entry> {
    let rows = site.rows("chit.chits").into_iter();
    let name = |key: Vec<u8>| String::from_utf8_lossy(key.rsplit(|byte| *byte == 0).next().unwrap()).into_owned();
    rows.map(|(key, row)| (name(key), serde_json::from_value(row).unwrap())).collect()
}

/// Both chains are the same and known to be; nothing is loose, broken or left over.
pub fn assert_agreed(net: &Net) {
    let (stock, foil) = halves(net);
    assert_eq!(stock.end, foil.end);
    // Not by assert_eq: thousands of lines would tell nobody anything.
    assert!(chain_of(&net.sites[STOCK]) == chain_of(&net.sites[FOIL]));
    for (site, half) in net.sites.iter().zip([&stock, &foil]) {
        assert_eq!(half.stat, Stat::Consented, "{half:?}");
        assert_eq!((half.conf, half.loose), (Some(half.end), 0));
        assert_eq!(site.rows("chit.loose").len() + site.rows("chit.unsettled").len(), 0);
        assert_eq!(site.rows("chit.links").len() as u64, half.end, "displaced links are left over");
        assert_eq!(entries(site).len() as u64, half.end);
    }
    assert_eq!(stock.net, -foil.net);
    let sum: i64 = entries(&net.sites[STOCK]).values().map(|entry| entry.contribution(Side::Stock)).sum();
    assert_eq!(stock.net, sum);
}

/// Messages that wait at this site, as `action` or `cmd`, with their index.
pub fn waiting(net: &Net, place: usize) -> Vec<(String, u64)> {
    net.sites[place].sent().iter().map(|sent| said(&sent.object())).collect()
}

/// What a message says and where: `("upd", 3)`.
pub fn said(object: &Value) -> (String, u64) {
    let chain = if object["chain"].is_object() { &object["chain"] } else { object };
    (chain["cmd"].as_str().unwrap().to_owned(), chain["index"].as_u64().unwrap())
}

/// Messages by kind.
pub type Talk = BTreeMap<&'static str, i64>;

/// What both sites have heard so far, by kind.
pub fn spoken(net: &Net) -> Talk {
    let heard = |kind| net.sites.iter().map(|site| site.metric("chit", kind)).sum();
    KINDS.iter().map(|kind| (*kind, heard(kind))).filter(|(_, count)| *count > 0).collect()
}

/// Kinds of messages about the chain.
const KINDS: [&str; 5] = ["new", "upd", "req", "ack", "nak"];

/// The partner says this to a site: `action` of target `chit`.
pub fn tell(net: &mut Net, place: usize, action: &str, object: &Value) {
    let (to, from) = (net.sites[place].chad(USERS[place]), net.sites[1 - place].chad(USERS[1 - place]));
    let envelope = Envelope::new(&from, &to, &format!("chit/{action}"), object);
    net.sites[place].deliver(&envelope).unwrap();
}
