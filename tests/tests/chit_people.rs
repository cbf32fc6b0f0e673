//! What people have round their chits: keys kept elsewhere, invoices as links, `watch`, `doctor`.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tallyho::control::Client;
use tallyho::store::Store;
use tallyho::store::sqlite::SqliteStore;
use tallyho_plugin::record::base64v;
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::record::signing::UserKey;
use tallyho_tests::chits::{chits, partners, settled, until_chit, until_half};
use tallyho_tests::flows::{both_open, tally_in, ticket};
use tallyho_tests::site::Site;
use tallyho_tests::watch::Watch;

fn two() -> (Site, Site, String) {
    let (stock, foil) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
    let tally = partners(&stock, "alice", &foil, "bob");
    (stock, foil, tally)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn whoever_keeps_the_key_elsewhere_agrees_pays_sets_and_closes_by_signatures_handed_in() {
    for kind in [KeyKind::P521, KeyKind::Ed25519] {
        let key = UserKey::generate(kind).unwrap();
        let sign = |answer: &Value| base64v::encode(key.sign(text(&answer["text"]).as_bytes()).unwrap());
        let (stock, foil) = (Site::with_users(&["alice"]), Site::with_users(&[]));
        let file = foil.home().join("bob.jwk");
        std::fs::write(&file, key.public_jwk().to_string()).unwrap();
        foil.command(&["user", "add", "bob", "--public", file.to_str().unwrap()]);

        // The tally.
        assert_eq!(foil.command(&["ticket", "use", &ticket(&stock, "alice"), "--user", "bob"])["accepted"], true);
        stock.command(&["tally", "offer", &tally_in(&stock, "alice", "P.draft")]);
        let tally = tally_in(&foil, "bob", "P.offer");
        let signature = sign(&foil.command(&["tally", "text", &tally]));
        foil.command(&["tally", "accept", &tally, "--signature", &signature]);
        both_open(&stock, "alice", &foil, "bob", &tally);

        // A payment: drafted, signed, handed in.
        let refused = foil.attempt(&["chit", "pay", &tally, "100"]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.errors.contains("chit draft"), "what to do is said: {}", refused.errors);
        let draft = foil.command(&["chit", "draft", &tally, "100", "--memo", "by a phone"]);
        let chit = text(&draft["uuid"]).to_owned();
        assert_eq!(foil.command(&["chit", "text", &tally, &chit])["text"], draft["text"]);
        let wrong = base64v::encode(key.sign(b"something else").unwrap());
        let refused = foil.attempt(&["chit", "accept", &tally, &chit, "--signature", &wrong]);
        assert!(refused.code == Some(1) && refused.errors.contains("does not stand"), "{refused:?}");
        let hand_in = |chit: &str, signature: &str| {
            foil.command(&["chit", "accept", &tally, chit, "--signature", signature, "--wait", "confirmed"])
        };
        hand_in(&chit, &sign(&draft));
        // An invoice.
        let asked = stock.command(&["chit", "ask", &tally, "20"]);
        let invoice = text(&asked["uuid"]);
        until_chit(&foil, "bob", &tally, invoice, "L.pend");
        hand_in(invoice, &sign(&foil.command(&["chit", "text", &tally, invoice])));
        // Settings.
        let settings = foil.command(&["chit", "draft", &tally, "--set", "{\"target\": 7}"]);
        hand_in(text(&settings["uuid"]), &sign(&settings));
        assert_eq!(settled((&stock, "alice"), (&foil, "bob"), &tally, 3), 120);
        // A draft that is not signed binds nobody.
        let dropped = foil.command(&["chit", "draft", &tally, "1"]);
        foil.command(&["chit", "refuse", &tally, text(&dropped["uuid"])]);
        // The end.
        stock.command(&["chit", "pay", &tally, "120"]);
        until_half(&foil, "bob", &tally, |half| half["net"] == 0);
        let close = foil.command(&["chit", "draft", &tally, "--set", "{\"close\": true}"]);
        hand_in(text(&close["uuid"]), &sign(&close));
        for (site, user) in [(&stock, "alice"), (&foil, "bob")] {
            until_half(site, user, &tally, |half| half["state"] == "close");
        }
    }
}

#[test]
fn an_invoice_out_of_band_is_made_read_and_paid() {
    let (stock, foil, tally) = two();
    let line = ["invoice", "new", "--user", "alice", "3500", "--memo", "Rye & butter", "--ref", "{\"inv\": 17}"];
    let made = stock.command(&line);
    assert_eq!(made["units"], 3_500, "{made}");
    let json = made["json"].to_string();
    for form in [text(&made["link"]), json.as_str()] {
        let shown = foil.command(&["invoice", "show", form, "--user", "bob"]);
        let members = (&shown["units"], &shown["memo"], &shown["ref"]["inv"], &shown["chad"]["cuid"]);
        assert_eq!(members, (&3_500.into(), &"Rye & butter".into(), &17.into(), &"alice".into()), "{shown}");
        assert_eq!(shown["tallies"][0]["uuid"], tally.as_str(), "{shown}");
    }
    let paid = foil.command(&["invoice", "pay", text(&made["link"]), "--user", "bob", "--wait", "confirmed"]);
    assert_eq!(settled((&stock, "alice"), (&foil, "bob"), &tally, 1), 3_500);
    let chit = until_chit(&stock, "alice", &tally, text(&paid["uuid"]), "A.good");
    assert_eq!((&chit["memo"], &chit["units"]), (&"Rye & butter".into(), &3_500.into()));
    // One that names no amount is paid by what the payer says.
    let decal = stock.command(&["invoice", "new", "--user", "alice"]);
    let missing = foil.attempt(&["invoice", "pay", text(&decal["link"]), "--user", "bob"]);
    assert!(missing.code == Some(2) && missing.errors.contains("--units"), "{missing:?}");
    foil.command(&["invoice", "pay", text(&decal["link"]), "--user", "bob", "--units", "40", "--wait", "confirmed"]);
    assert_eq!(settled((&stock, "alice"), (&foil, "bob"), &tally, 2), 3_540);
}

#[test]
fn an_invoice_is_paid_over_the_one_tally_with_the_payee_and_over_no_other() {
    let (stock, foil, _) = two();
    foil.add_user("carol");
    let link = |user: &str| text(&stock.command(&["invoice", "new", "--user", user, "5"])["link"]).to_owned();
    let refused = |words: &[&str], code: i32, named: &str| {
        let answer = foil.attempt(words);
        assert!(answer.code == Some(code) && answer.errors.contains(named), "{words:?}: {answer:?}");
    };
    let alices = link("alice");
    refused(&["invoice", "pay", &alices, "--user", "carol"], 1, "no-tally");
    refused(&["invoice", "pay", &alices, "--user", "nobody"], 1, "nobody");
    stock.add_user("dave");
    refused(&["invoice", "pay", &link("dave"), "--user", "bob"], 1, "no-tally");
    partners(&stock, "alice", &foil, "bob");
    refused(&["invoice", "pay", &alices, "--user", "bob"], 1, "chit pay");
    // What is no invoice is called by its name, and nothing is repeated of it.
    refused(&["invoice", "pay", &ticket(&stock, "alice"), "--user", "bob"], 2, "a ticket");
    refused(&["invoice", "show", "five"], 2, "an invoice");
    for units in ["0", "-1", "1.5"] {
        assert_eq!(stock.attempt(&["invoice", "new", "--user", "alice", units]).code, Some(2), "{units}");
    }
    assert_eq!(stock.attempt(&["invoice", "new", "--user", "nobody"]).code, Some(1));
    let long = stock.attempt(&["invoice", "new", "--user", "alice", "--memo", &"x".repeat(66_000)]);
    assert!(long.code == Some(1) && long.errors.contains("too-large"), "{}", long.errors);
}

#[test]
fn a_watch_shows_each_notice_as_it_happens() {
    let (stock, foil, tally) = two();
    let (lines, objects) = (Watch::open(&stock, &[]), Watch::open(&stock, &["--json"]));
    let opened = |line: &str| line.contains("tally open");
    lines.line(opened);
    let paid = foil.command(&["chit", "pay", &tally, "12000", "--memo", "Rye\u{1b}[2J loaf"]);
    let uuid = text(&paid["uuid"]);
    let notice = objects.notice(|notice| notice["about"] == "chit" && notice["uuid"] == uuid);
    assert_eq!((&notice["user"], &notice["tally"]), (&"alice".into(), &tally.as_str().into()), "{notice}");
    assert_eq!((&notice["state"], &notice["units"]), (&"A.good".into(), &12_000.into()), "{notice}");
    let line = lines.line(|line| line.contains(uuid));
    assert!(line.contains("  chit ") && line.contains("user=alice") && line.contains("units=12000 mCHIP"), "{line}");
    assert!(!line.contains('\u{1b}'), "{line:?}");
    let asked = foil.command(&["chit", "ask", &tally, "500", "--memo", "please"]);
    let line = lines.line(|line| line.contains(text(&asked["uuid"])));
    assert!(line.contains("state=L.pend") && line.contains("memo=please"), "{line}");
}

/// What the doctor found about the subject.
fn found(site: &Site, subject: &str) -> (Option<i32>, Value) {
    let answer = site.attempt(&["doctor"]);
    let checks = answer.json["checks"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let check = checks.iter().find(|check| check["name"] == subject);
    (answer.code, check.unwrap_or_else(|| panic!("nothing of {subject}: {answer:?}")).clone())
}

#[test]
fn the_doctor_checks_every_chit_of_a_running_site_and_of_one_at_rest() {
    let (mut stock, foil, tally) = two();
    for _ in 0..3 {
        foil.command(&["chit", "pay", &tally, "100", "--wait", "confirmed"]);
    }
    settled((&stock, "alice"), (&foil, "bob"), &tally, 3);
    let config = stock.home().join("tallyho.toml");
    std::fs::write(&config, "listen = '127.0.0.1:0'\n").unwrap();
    let (code, check) = found(&stock, "chits");
    assert!(code == Some(0) && check["ok"] == true, "{check}");
    assert!(text(&check["detail"]).starts_with('3'), "{check}");
    assert_eq!(stock.stop(), Some(0));
    assert_eq!(found(&stock, "chits"), (Some(0), check));
    // A balance that the chits do not add up to.
    let mut store = SqliteStore::open_existing(&stock.home().join("site.db")).unwrap();
    let mut rows = store.begin().unwrap();
    let key = format!("{tally}\0alice").into_bytes();
    let bytes = rows.get("chit.halves", &key).unwrap().expect("a half with chits has a row");
    let mut half: Value = ciborium::from_reader(bytes.as_slice()).unwrap();
    assert_eq!(half["net"], 300, "{half}");
    half["net"] = json!(900);
    let mut bytes = Vec::new();
    ciborium::into_writer(&half, &mut bytes).unwrap();
    rows.put("chit.halves", &key, &bytes).unwrap();
    rows.commit().unwrap();
    drop(store);
    for start in [false, true] {
        if start {
            stock.start();
        }
        let (code, check) = found(&stock, "chits");
        assert!(code == Some(1) && check["ok"] == false && check["fix"].is_string(), "{check}");
        assert!(text(&check["detail"]).contains(&tally), "{check}");
    }
}

#[test]
fn a_state_that_there_is_not_is_told_before_anything_is_paid_and_every_one_told_can_be_waited_for() {
    let (stock, foil, tally) = two();
    let refused = foil.attempt(&["chit", "pay", &tally, "100", "--wait", "confimed"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.errors.contains("'confimed'") && refused.errors.contains("linked, confirmed"), "{refused:?}");
    assert!(chits(&foil, "bob", &tally).is_empty());

    let manifests = Client::connect(&foil.home().join("control.sock")).unwrap().ask_manifests().unwrap();
    let states = |plugin: &str, command: &str| {
        let manifest = manifests.iter().find(|manifest| manifest.name == plugin).unwrap();
        let spec = manifest.commands.iter().find(|spec| spec.name == command).unwrap();
        spec.wait.clone().unwrap().states
    };
    let (of_chits, of_tallies) = (states("chit", "pay"), states("tally", "offer"));
    let known = |site: &Site, user: &str| {
        for chit in chits(site, user, &tally) {
            let of = json!({ "chit": format!("{user}/{tally}/{}", text(&chit["uuid"])) });
            let told = site.call("chit", "state", &of).unwrap()["wait"].clone();
            let unknown = told.as_array().unwrap().iter().find(|word| !of_chits.contains(&text(word).to_owned()));
            assert_eq!(unknown, None, "{told}");
        }
        let told = site.call("tally", "state", &json!({ "half": format!("{user}/{tally}") })).unwrap()["wait"].clone();
        assert!(told.as_array().unwrap().iter().all(|word| of_tallies.contains(&text(word).to_owned())), "{told}");
    };
    foil.command(&["chit", "pay", &tally, "100", "--wait", "confirmed"]);
    let asked = stock.command(&["chit", "ask", &tally, "20", "--wait", "pend"]);
    until_chit(&foil, "bob", &tally, text(&asked["uuid"]), "L.pend");
    foil.command(&["chit", "draft", &tally, "7"]);
    known(&foil, "bob");
    known(&stock, "alice");
    foil.command(&["chit", "refuse", &tally, text(&asked["uuid"]), "--wait", "L.void"]);
    until_chit(&stock, "alice", &tally, text(&asked["uuid"]), "A.void");
    known(&foil, "bob");
    known(&stock, "alice");
}
