//! What partners do on an open tally, and what must be true of it then.

use crate::flows::{both_open, offered};
use crate::peer::{Channel, Peer};
use crate::site::{PATIENCE, Site};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tallyho_plugin::record::{ChitDraft, ChitRecord, ChitType, Side, Timestamp};

/// An open tally, confirmed on both sites; its uuid.
pub fn partners(stock: &Site, alice: &str, foil: &Site, bob: &str) -> String {
    let uuid = offered(stock, alice, foil, bob);
    foil.command(&["tally", "accept", &uuid, "--user", bob]);
    both_open(stock, alice, foil, bob, &uuid);
    uuid
}

/// A half as `tally show` tells it.
///
/// # Panics
/// When there is none.
pub fn half(site: &Site, user: &str, tally: &str) -> Value {
    site.call("tally", "show", &json!({ "uuid": tally, "user": user })).unwrap_or_else(|fault| panic!("{fault}"))
}

/// All chits of a half: those with a link in the order of the chain, then the others.
///
/// # Panics
/// When they cannot be listed.
pub fn chits(site: &Site, user: &str, tally: &str) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), 1);
    loop {
        let listed = site.call("chit", "list", &json!({ "tally": tally, "user": user, "from": from }));
        let page = listed.unwrap_or_else(|fault| panic!("{fault}")).as_array().expect("a list").clone();
        let last = page.iter().filter_map(|chit| chit["index"].as_u64()).max();
        let whole = page.iter().any(|chit| chit["index"].is_null());
        all.extend(page);
        match last {
            Some(last) if !whole => from = last + 1,
            _ => return all,
        }
    }
}

/// Waits for a half to be so.
///
/// # Panics
/// When it never is.
#[track_caller]
pub fn until_half(site: &Site, user: &str, tally: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let half = half(site, user, tally);
        if wanted(&half) {
            return half;
        }
        let chits = chits(site, user, tally);
        assert!(begun.elapsed() < PATIENCE, "{user}'s half stays {half}\n{chits:#?}\n{}", site.log());
        std::thread::sleep(std::time::Duration::from_millis(10)); // between two looks; no result hangs on it
    }
}

/// Waits until a half has a chit in this state; the chit.
///
/// # Panics
/// When it never has.
#[track_caller]
pub fn until_chit(site: &Site, user: &str, tally: &str, uuid: &str, state: &str) -> Value {
    let is = |chit: &Value| chit["uuid"] == uuid && chit["state"] == state;
    until_half(site, user, tally, |_| chits(site, user, tally).iter().any(is));
    chits(site, user, tally).into_iter().find(is).expect("it was just there")
}

/// Both halves have the same chain of so many links, all confirmed, and opposite balances; the stock's.
///
/// # Panics
/// When they never have.
#[track_caller]
pub fn settled(stock: (&Site, &str), foil: (&Site, &str), tally: &str, links: u64) -> i64 {
    let whole = |half: &Value| half["end"] == links && half["conf"] == links;
    let one = until_half(stock.0, stock.1, tally, whole);
    let other = until_half(foil.0, foil.1, tally, whole);
    let linked = |(site, user): (&Site, &str)| -> Vec<Value> {
        let all = chits(site, user, tally).into_iter().filter(|chit| chit["index"].is_u64());
        all.map(|chit| json!([chit["index"], chit["uuid"], chit["by"], chit["units"], chit["link"]])).collect()
    };
    assert_eq!(linked(stock), linked(foil));
    assert_eq!(linked(stock).len() as u64, links);
    assert_eq!((&one["chain"]["stat"], &other["chain"]["stat"]), (&"con".into(), &"con".into()));
    let (net, opposite) = (one["net"].as_i64().expect("a balance"), other["net"].as_i64().expect("a balance"));
    assert_eq!(net, -opposite);
    net
}

/// The chain as a hand-made partner keeps it: it only ever extends, so it fits partners that take turns.
pub struct Book<'a> {
    peer: &'a Peer,
    tally: String,
    /// The peer's side.
    pub side: Side,
    /// How many links there are.
    pub end: u64,
    tip: String,
}

impl<'a> Book<'a> {
    /// The book of a confirmed tally, as its record on the site says.
    ///
    /// # Panics
    /// When the record is no open tally of this peer.
    pub fn of(peer: &'a Peer, record: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let side = if record["foil"]["cert"] == peer.cert() { Side::Foil } else { Side::Stock };
        Book { peer, tally: text(&record["uuid"]), side, end: 0, tip: text(&record["sign"]["hash"]) }
    }

    /// A payment of the peer's, not signed.
    ///
    /// # Panics
    /// When it is none.
    pub fn draft(&self, units: i64, memo: &str) -> ChitRecord {
        let draft = ChitDraft {
            tally: self.tally.clone(),
            by: self.side,
            kind: ChitType::Tran,
            uuid: new_uuid(),
            date: Timestamp(1_700_000_000_000),
            units: Some(units),
            reference: None,
            memo: Some(memo.to_owned()),
        };
        draft.finish().expect("a chit")
    }

    /// Signed by the peer.
    pub fn sign(&self, chit: ChitRecord) -> ChitRecord {
        let signature = self.peer.sign_text(chit.core_canonical());
        chit.signed(signature)
    }

    /// The object of a `good` message of a chit that is linked with it.
    ///
    /// # Panics
    /// When it cannot be linked.
    pub fn good(&mut self, chit: &ChitRecord) -> Value {
        let conf = self.end;
        self.link(chit);
        let mut object = chit.to_record();
        object["chain"] = json!({ "cmd": "new", "index": self.end, "hash": self.tip, "conf": conf });
        object
    }

    /// Takes a `good` message of the site's, which must go on where this book ends; the object of the answer.
    ///
    /// # Panics
    /// When the message is not right.
    pub fn takes(&mut self, message: &Value) -> Value {
        let chit = ChitRecord::parse(message["object"].clone()).expect("a chit");
        self.link(&chit);
        let chain = &message["object"]["chain"];
        assert_eq!((&chain["index"], &chain["hash"]), (&self.end.into(), &self.tip.as_str().into()), "{message}");
        json!({ "cmd": "ack", "tally": self.tally, "index": self.end, "hash": self.tip })
    }

    fn link(&mut self, chit: &ChitRecord) {
        self.end += 1;
        self.tip = chit.link_hash(self.end, &self.tip).expect("a chit can be linked");
    }

    /// Hears that the site has this book's end.
    ///
    /// # Panics
    /// When it says something else.
    pub fn hears_ack(&self, channel: &mut Channel) {
        let ack = channel.hears("chit", "chain");
        let (cmd, index, hash) = (&ack["object"]["cmd"], &ack["object"]["index"], &ack["object"]["hash"]);
        assert_eq!((cmd, index, hash), (&"ack".into(), &self.end.into(), &self.tip.as_str().into()), "{ack}");
    }
}

/// A uuid that no chit of this process has had.
pub fn new_uuid() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}
