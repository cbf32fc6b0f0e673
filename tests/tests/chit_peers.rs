//! Chits with peers of another make, which speak plain JSON, and with peers that lie (PROTOCOL 5, 6.4, 6.8).

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tallyho_plugin::record::{ChitRecord, Side, canonical};
use tallyho_tests::chits::{Book, chits, half, new_uuid, until_chit, until_half};
use tallyho_tests::flows::{offer, tally_in};
use tallyho_tests::peer::{Channel, Peer, own};
use tallyho_tests::site::Site;
use tallyho_tests::watch::Watch;

/// Alice's site, and bob's channel to it: an open tally joins them, alice's half the stock.
struct Scene {
    site: Site,
    alice: Value,
    tally: String,
    channel: Channel,
    record: Value,
}

impl Scene {
    fn of(bob: &Peer) -> Self {
        let site = Site::configured("limits.idle_seconds = 30", &["alice"]);
        let mut alice = own(&site);
        alice["cuid"] = "alice".into();
        let ticket = site.command(&["ticket", "new", "--user", "alice", "--agree", "bread"]);
        let mut channel = bob.uses(&site, &ticket);
        let tally = offer(&site, "alice", &tally_in(&site, "alice", "P.draft"));
        let mut record = channel.hears("tally", "offer")["object"].clone();
        bob.sign(&mut record, "foil");
        channel.says(&bob.message(&alice, "tally", "open", record));
        channel.hears("chit", "chain");
        let record = half(&site, "alice", &tally)["record"].clone();
        Scene { site, alice, tally, channel, record }
    }

    fn says(&mut self, bob: &Peer, action: &str, object: Value) {
        self.channel.says(&bob.message(&self.alice, "chit", action, object));
    }

    /// What bob signs is taken, linked, and acknowledged.
    fn is_paid(&mut self, bob: &Peer, book: &mut Book<'_>, units: i64) {
        let chit = book.sign(book.draft(units, "a payment like any other"));
        let net = half(&self.site, "alice", &self.tally)["net"].as_i64().unwrap();
        let good = book.good(&chit);
        self.says(bob, "good", good);
        book.hears_ack(&mut self.channel);
        let shown = half(&self.site, "alice", &self.tally);
        assert_eq!((&shown["net"], &shown["conf"]), (&(net + units).into(), &book.end.into()), "{shown}");
    }

    fn goods(&self) -> usize {
        let all = chits(&self.site, "alice", &self.tally);
        all.iter().filter(|chit| chit["state"].as_str().unwrap().ends_with(".good")).count()
    }
}

#[test]
fn a_peer_without_extensions_pays_and_is_paid() {
    let bob = Peer::at(1, "bob");
    let mut scene = Scene::of(&bob);
    let mut book = Book::of(&bob, &scene.record);
    assert_eq!(book.side, Side::Foil);
    scene.is_paid(&bob, &mut book, 1_200);
    let paid = scene.site.command(&["chit", "pay", &scene.tally, "200", "--memo", "change"]);
    let good = scene.channel.hears("chit", "good");
    assert!(good.get("mid").is_none(), "{good}");
    let ack = book.takes(&good);
    scene.says(&bob, "chain", ack);
    until_half(&scene.site, "alice", &scene.tally, |half| half["conf"] == 2 && half["net"] == 1_000);
    assert_eq!(good["object"]["uuid"], paid["uuid"]);
}

#[test]
fn a_peer_without_extensions_asks_and_is_asked() {
    let bob = Peer::at(1, "bob");
    let mut scene = Scene::of(&bob);
    let mut book = Book::of(&bob, &scene.record);
    // Bob asks alice: what she is to pledge is hers.
    let mut invoice = book.draft(30, "eggs").to_record();
    invoice["by"] = "stock".into();
    let core = ChitRecord::parse(without(&invoice, &["hash"])).unwrap();
    scene.says(&bob, "pend", core.to_record());
    until_chit(&scene.site, "alice", &scene.tally, core.uuid(), "L.pend");
    scene.site.command(&["chit", "accept", &scene.tally, core.uuid()]);
    let ack = book.takes(&scene.channel.hears("chit", "good"));
    scene.says(&bob, "chain", ack);
    until_half(&scene.site, "alice", &scene.tally, |half| half["conf"] == 1 && half["net"] == -30);
    // Alice asks bob, who will not, and who then pays something else for it (C3).
    let asked = scene.site.command(&["chit", "ask", &scene.tally, "50", "--memo", "bread"]);
    let pend = scene.channel.hears("chit", "pend")["object"].clone();
    assert_eq!((&pend["by"], &pend["uuid"], pend.get("sign")), (&"foil".into(), &asked["uuid"], None));
    scene.says(&bob, "void", json!({ "tally": scene.tally, "uuid": asked["uuid"] }));
    until_chit(&scene.site, "alice", &scene.tally, asked["uuid"].as_str().unwrap(), "A.void");
    let mut less = without(&pend, &["hash"]);
    less["units"] = 40.into();
    let less = book.sign(ChitRecord::parse(less).unwrap());
    let good = book.good(&less);
    scene.says(&bob, "good", good);
    book.hears_ack(&mut scene.channel);
    let chit = until_chit(&scene.site, "alice", &scene.tally, less.uuid(), "A.good");
    assert_eq!(chit["units"], 40, "what was signed replaces what was asked");
}

/// The same without these members.
fn without(record: &Value, names: &[&str]) -> Value {
    let mut record = record.clone();
    names.iter().for_each(|name| drop(record.as_object_mut().unwrap().remove(*name)));
    record
}

/// What a liar may send as signed chits, by the fault.
fn lies(bob: &Peer, book: &Book<'_>) -> Vec<(&'static str, Value)> {
    let mallory = Peer::at(3, "mallory");
    let honest = || book.sign(book.draft(70, "honest"));
    let resigned = |change: &dyn Fn(&mut Value)| {
        let mut record = without(&book.draft(70, "honest").to_record(), &["hash"]);
        change(&mut record);
        // What has no canonical form is signed as it stands: members of a value are in order anyway.
        let text = canonical(&record).unwrap_or_else(|_| record.to_string());
        record["sign"] = bob.sign_text(&text).into();
        record
    };
    let altered = |change: &dyn Fn(&mut Value)| {
        let mut record = without(&honest().to_record(), &["hash"]);
        change(&mut record);
        record
    };
    let forged = {
        let chit = book.draft(70, "forged");
        let signature = mallory.sign_text(chit.core_canonical());
        chit.signed(signature).to_record()
    };
    let mut wrong_hash = honest().to_record();
    wrong_hash["hash"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
    vec![
        ("forged by another", forged),
        ("altered after it was signed", altered(&|record| record["units"] = 7_000.into())),
        ("not signed", book.draft(70, "unsigned").to_record()),
        ("alice's own pledge, signed by bob", resigned(&|record| record["by"] = "stock".into())),
        ("zero", resigned(&|record| record["units"] = 0.into())),
        ("negative", resigned(&|record| record["units"] = (-70).into())),
        ("fractional", resigned(&|record| record["units"] = json!(0.5))),
        ("huge", resigned(&|record| record["units"] = json!(9_007_199_254_740_992_i64))),
        ("with a null", resigned(&|record| record["ref"] = Value::Null)),
        ("a setting with units", resigned(&|record| record["type"] = "set".into())),
        ("of an unknown type", resigned(&|record| record["type"] = "gift".into())),
        ("with a hash of something else", wrong_hash),
    ]
}

#[test]
fn no_lie_becomes_money_and_the_chain_lives() {
    let bob = Peer::at(1, "bob");
    let mut scene = Scene::of(&bob);
    let mut book = Book::of(&bob, &scene.record);
    scene.is_paid(&bob, &mut book, 10);
    let watch = Watch::open(&scene.site, &["--json"]);
    for (fault, record) in lies(&bob, &book) {
        let mut object = record.clone();
        object["chain"] = json!({ "cmd": "new", "index": book.end + 1, "hash": record["hash"], "conf": book.end });
        if object["chain"]["hash"].is_null() {
            object["chain"]["hash"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
        }
        scene.says(&bob, "good", object);
        // In a list likewise.
        let entry = json!({ "index": book.end + 1, "hash": "x", "conf": book.end });
        let mut listed = record;
        listed["chain"] = entry;
        let upd = json!({ "cmd": "upd", "tally": scene.tally, "index": book.end + 1, "hash": "x", "chits": [listed] });
        scene.says(&bob, "chain", upd);
        scene.is_paid_anew(&bob, &mut book, fault);
    }
    // The user is told of what was no chit, and why.
    for why in ["signature does not stand", "it has none", "found 0 ", "found -70", "found 0.5", "null", "hash"] {
        let invalid = |notice: &Value| notice["about"] == "chain" && notice["reason"] == "invalid";
        watch.notice(|notice| invalid(notice) && notice["why"].as_str().unwrap_or_default().contains(why));
    }
}

impl Scene {
    /// After a lie an honest payment is taken, whatever was answered to the lie meanwhile.
    fn is_paid_anew(&mut self, bob: &Peer, book: &mut Book<'_>, fault: &str) {
        let before = (self.goods(), half(&self.site, "alice", &self.tally)["net"].as_i64().unwrap());
        let chit = book.sign(book.draft(1, "honest"));
        let good = book.good(&chit);
        self.says(bob, "good", good);
        until_half(&self.site, "alice", &self.tally, |half| half["conf"] == book.end);
        let after = half(&self.site, "alice", &self.tally);
        assert_eq!((self.goods(), &after["net"]), (before.0 + 1, &(before.1 + 1).into()), "{fault}: {after}");
        assert_eq!(after["end"], book.end, "{fault}");
    }
}

#[test]
fn a_chit_of_another_tally_is_nothing_here() {
    let bob = Peer::at(1, "bob");
    let mut scene = Scene::of(&bob);
    let mut book = Book::of(&bob, &scene.record);
    let mut elsewhere = scene.record.clone();
    elsewhere["uuid"] = new_uuid().into();
    let mut other = Book::of(&bob, &elsewhere);
    let stray = other.sign(other.draft(500, "for another tally"));
    let good = other.good(&stray);
    scene.says(&bob, "good", good);
    let mut entry = stray.to_record();
    entry["chain"] = json!({ "index": 1, "hash": "x", "conf": 0 });
    let upd = json!({ "cmd": "upd", "tally": scene.tally, "index": 1, "hash": "x", "chits": [entry] });
    scene.says(&bob, "chain", upd);
    scene.is_paid_anew(&bob, &mut book, "another tally's chit");
    assert_eq!(scene.goods(), 1);
}

#[test]
fn the_same_chit_with_another_content_replaces_nothing_and_a_person_is_asked() {
    let bob = Peer::at(1, "bob");
    let mut scene = Scene::of(&bob);
    let mut book = Book::of(&bob, &scene.record);
    let chit = book.sign(book.draft(100, "the first"));
    let good = book.good(&chit);
    scene.says(&bob, "good", good);
    book.hears_ack(&mut scene.channel);
    let watch = Watch::open(&scene.site, &["--json"]);
    let mut second = without(&chit.to_record(), &["hash", "sign"]);
    second["units"] = 900.into();
    let second = book.sign(ChitRecord::parse(second).unwrap());
    let mut object = second.to_record();
    object["chain"] = json!({ "cmd": "new", "index": 2, "hash": second.hash(), "conf": 1 });
    scene.says(&bob, "good", object);
    let told = watch.notice(|notice| notice["about"] == "chain" && notice["stat"] == "err");
    let both = told.to_string();
    assert!(both.contains("100") && both.contains("900"), "both versions are told: {told}");
    let nak = scene.channel.hears("chit", "chain");
    assert_eq!(nak["object"]["cmd"], "nak", "{nak}");
    let shown = half(&scene.site, "alice", &scene.tally);
    assert_eq!((&shown["net"], &shown["chain"]["stat"]), (&100.into(), &"err".into()), "{shown}");
    scene.site.command(&["chit", "mend", &scene.tally]);
    scene.is_paid_anew(&bob, &mut book, "after it was mended");
}
