//! From a ticket to an open tally, between real processes on loopback.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::net::TcpStream;
use tallyho_tests::flows::{both_open, offer, offered, tally_in, ticket};
use tallyho_tests::site::{Site, until};

fn two() -> (Site, Site) {
    (Site::with_users(&["alice"]), Site::with_users(&["bob"]))
}

#[test]
fn a_ticket_leads_to_an_open_tally_on_both_sites() {
    let (stock, foil) = two();
    let uuid = offered(&stock, "alice", &foil, "bob");
    let accepted = foil.command(&["tally", "accept", &uuid, "--wait", "confirmed"]);
    assert_eq!(accepted["uuid"], uuid.as_str());
    both_open(&stock, "alice", &foil, "bob", &uuid);
}

#[test]
fn a_counter_offer_is_accepted_by_the_first_offerer() {
    let (stock, foil) = two();
    let uuid = offered(&stock, "alice", &foil, "bob");
    foil.command(&["tally", "revise", &uuid, "--wait", "P.draft"]);
    foil.command(&["tally", "edit", &uuid, "--memo", "Bread and cake"]);
    offer(&foil, "bob", &uuid);
    stock.until(&["tally", "show", &uuid], |show| show["state"] == "P.offer" && show["record"]["revision"] == 2);
    stock.command(&["tally", "accept", &uuid]);
    both_open(&stock, "alice", &foil, "bob", &uuid);
    assert_eq!(stock.command(&["tally", "show", &uuid])["record"]["memo"], "Bread and cake");
}

#[test]
fn a_refused_offer_is_void_on_both_sites() {
    let (stock, foil) = two();
    let uuid = offered(&stock, "alice", &foil, "bob");
    foil.command(&["tally", "refuse", &uuid, "--wait", "void"]);
    stock.until(&["tally", "show", &uuid], |show| show["state"] == "void");
}

#[test]
fn a_withdrawal_that_crosses_an_acceptance_leaves_both_sides_void() {
    let (mut stock, mut foil) = two();
    let uuid = offered(&stock, "alice", &foil, "bob");
    // Neither hears of the other's act before having done its own.
    stock.kill();
    foil.command(&["tally", "accept", &uuid]);
    foil.kill();
    stock.start();
    stock.command(&["tally", "withdraw", &uuid]);
    foil.start();
    let settled = |show: &Value| show["state"] == "void";
    stock.until(&["tally", "show", &uuid], settled);
    foil.until(&["tally", "show", &uuid], settled);
}

#[test]
fn a_decal_serves_three_subjects_each_with_a_tally_of_its_own() {
    let stock = Site::with_users(&["alice"]);
    let decal = stock.command(&["ticket", "new", "--user", "alice", "--reuse", "--agree", "bread"]);
    let link = decal["link"].as_str().expect("a ticket has a link").to_owned();
    let mut uuids = std::collections::BTreeSet::new();
    for user in ["bob", "carol", "dave"] {
        let foil = Site::with_users(&[user]);
        assert_eq!(foil.command(&["ticket", "use", &link, "--user", user])["accepted"], true);
        let draft = tally_in(&stock, "alice", "P.draft");
        let uuid = offer(&stock, "alice", &draft);
        foil.until(&["tally", "list"], |list| list[0]["state"] == "P.offer");
        foil.command(&["tally", "accept", &uuid]);
        both_open(&stock, "alice", &foil, user, &uuid);
        uuids.insert(uuid);
    }
    assert_eq!(uuids.len(), 3);
}

#[test]
fn two_users_of_one_site_present_one_decal_and_have_a_tally_each() {
    let (stock, foil) = (Site::with_users(&["alice"]), Site::with_users(&["bob", "carol"]));
    let decal = stock.command(&["ticket", "new", "--user", "alice", "--reuse", "--agree", "bread"]);
    let (link, token) = (decal["link"].as_str().unwrap(), decal["token"].as_str().unwrap());
    for user in ["bob", "carol"] {
        assert_eq!(foil.command(&["ticket", "use", link, "--user", user])["user"], user);
        let uuid = offer(&stock, "alice", &tally_in(&stock, "alice", "P.draft"));
        let line = ["tally", "list", "--user", user];
        foil.until(&line, |list| list[0]["uuid"] == uuid.as_str() && list[0]["state"] == "P.offer");
        foil.command(&["tally", "accept", &uuid]);
        both_open(&stock, "alice", &foil, user, &uuid);
    }
    let whose = foil.call("tally", "ticket.status", &json!({ "token": token })).unwrap_err();
    assert_eq!(whose.code, "whose");
    let bobs = foil.call("tally", "ticket.status", &json!({ "token": token, "user": "bob" })).unwrap();
    assert_eq!(bobs["state"], "accepted");
}

#[test]
fn forty_tickets_in_a_row_are_accepted_and_leave_one_channel() {
    let (stock, foil) = two();
    for n in 0..40 {
        let ticket = json!({ "user": "alice", "agree": "bread" });
        let ticket = stock.call("tally", "ticket.new", &ticket).unwrap();
        let used = json!({ "ticket": ticket["link"], "user": "bob" });
        let used = foil.call("tally", "ticket.use", &used).unwrap();
        let state =
            || foil.call("tally", "ticket.status", &json!({ "token": used["token"] })).unwrap()["state"].clone();
        until(|| state() != "pending");
        assert_eq!(state(), "accepted", "ticket {n}: {}", foil.log());
    }
    for site in [&stock, &foil] {
        site.until(&["status"], |status| status["connections"] == 1);
    }
}

#[test]
fn an_issuer_without_room_is_out_of_reach_and_not_one_that_refuses() {
    let stock = Site::configured("limits.connections_per_address = 1", &["alice"]);
    let foil = Site::with_users(&["bob"]);
    // Somebody else behind the same address has the only place.
    let crowd = TcpStream::connect(("127.0.0.1", stock.port())).unwrap();
    let link = ticket(&stock, "alice");
    stock.until(&["status"], |status| status["connections"] == 1);
    let present = || foil.call("tally", "ticket.use", &json!({ "ticket": link, "user": "bob" })).unwrap();
    let used = present();
    until(|| foil.log().contains("came to nothing"));
    let state = || foil.call("tally", "ticket.status", &json!({ "token": used["token"] })).unwrap()["state"].clone();
    assert_eq!(state(), "pending");
    // It will be tried again in ten seconds; the user tries at once, when there is room.
    drop(crowd);
    stock.until(&["status"], |status| status["connections"] == 0);
    present();
    until(|| state() != "pending");
    assert_eq!(state(), "accepted");
}

#[test]
fn two_users_of_one_site_open_a_tally_without_a_socket() {
    let site = Site::with_users(&["alice", "bob"]);
    let uuid = offered(&site, "alice", &site, "bob");
    site.command(&["tally", "accept", &uuid, "--user", "bob"]);
    both_open(&site, "alice", &site, "bob", &uuid);
    let status = site.command(&["status"]);
    assert_eq!(status["connections"], 0, "{status}");
}

#[test]
fn users_with_the_networks_own_keys_open_a_tally() {
    let (stock, foil) = (Site::with_users(&[]), Site::with_users(&[]));
    stock.command(&["user", "add", "alice"]);
    foil.command(&["user", "add", "bob"]);
    let uuid = offered(&stock, "alice", &foil, "bob");
    foil.command(&["tally", "accept", &uuid]);
    both_open(&stock, "alice", &foil, "bob", &uuid);
    assert_eq!(stock.command(&["tally", "show", &uuid])["record"]["stock"]["cert"]["public"]["crv"], "P-521");
}

#[test]
fn a_site_that_was_ended_by_its_operator_goes_on_where_it_was() {
    let (mut stock, foil) = two();
    let link = ticket(&stock, "alice");
    assert_eq!(foil.command(&["ticket", "use", &link, "--user", "bob"])["accepted"], true);
    assert_eq!(stock.stop(), Some(0));
    stock.start();
    let uuid = offer(&stock, "alice", &tally_in(&stock, "alice", "P.draft"));
    foil.until(&["tally", "show", &uuid], |show| show["state"] == "P.offer");
    foil.command(&["tally", "accept", &uuid]);
    both_open(&stock, "alice", &foil, "bob", &uuid);
}

#[test]
fn a_site_that_lost_its_store_says_so_and_gets_its_tally_back_from_a_partner_that_it_names() {
    let (stock, mut foil) = two();
    let uuid = offered(&stock, "alice", &foil, "bob");
    foil.command(&["tally", "accept", &uuid, "--wait", "confirmed"]);
    foil.kill();
    for file in ["site.db", "site.db-wal", "site.db-shm"] {
        let _ = std::fs::remove_file(foil.home().join(file));
    }
    assert!(!foil.try_start());
    let told = foil.attempt(&["tally", "list"]);
    assert!(told.code == Some(1) && told.errors.contains("site.db is missing"), "{told:?}");
    foil.command(&["init"]);
    foil.start();
    // The key is still there, and the account takes it.
    foil.command(&["user", "add", "bob"]);
    let agent = stock.command(&["status"])["agent"].as_str().expect("a site has an agent").to_owned();
    let port = stock.port().to_string();
    foil.command(&["peer", "set", &agent, "--host", "127.0.0.1", "--port", &port]);
    stock.command(&["tally", "resend", &uuid]);
    both_open(&stock, "alice", &foil, "bob", &uuid);
}

#[test]
fn where_a_subject_says_it_is_now_holds_from_its_next_ticket_on() {
    let (stock, mut foil) = two();
    let present = |foil: &Site| {
        let link = ticket(&stock, "alice");
        assert_eq!(foil.command(&["ticket", "use", &link, "--user", "bob"])["accepted"], true);
    };
    present(&foil);
    let agent = foil.command(&["status"])["agent"].clone();
    assert_eq!(foil.stop(), Some(0));
    let config = foil.home().join("tallyho.toml");
    let text = std::fs::read_to_string(&config).expect("a home has its configuration");
    let moved = format!("{text}\n[advertise]\nhost = \"127.0.0.1\"\nport = 4567\n");
    std::fs::write(&config, moved).expect("it can be written");
    foil.start();
    present(&foil);
    stock.until(&["peer", "list"], |list| {
        let peers = list.as_array().expect("a list");
        peers.iter().any(|peer| peer["agent"] == agent && peer["port"] == 4567)
    });
}

#[test]
fn the_demo_ends_well_with_every_site_agreeing() {
    let demo = |words: &[&str]| {
        let output = std::process::Command::new(tallyho_tests::site::program()).args(words).output();
        output.expect("the program runs")
    };
    // For people and for scripts, at the same time.
    let (plain, json) = std::thread::scope(|scope| {
        let json = scope.spawn(|| demo(&["--json", "demo"]));
        (demo(&["demo"]), json.join().expect("it is run"))
    });
    let told: Value = serde_json::from_slice(&json.stdout).expect("one JSON value");
    assert_eq!(told["ok"], true, "{told} {}", String::from_utf8_lossy(&json.stderr));
    assert_eq!(json.status.code(), Some(0));
    let names: Vec<&str> = told["steps"].as_array().unwrap().iter().filter_map(|step| step["name"].as_str()).collect();
    let lifts = ["five", "credit", "lift", "ring", "clear", "cut-off", "expire", "close", "stop"];
    assert_eq!(names[names.len() - lifts.len()..], lifts);

    let text = String::from_utf8(plain.stdout).unwrap();
    assert_eq!(plain.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&plain.stderr));
    let rows: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows.iter().filter(|row| row.starts_with('✓')).count(), names.len(), "{text}");
    let with = |word: &str| rows.iter().position(|row| row.starts_with('✓') && row.contains(word)).expect(word) + 1;
    // Who pays has less, who is paid more, those in between what they had.
    let paid = [
        "debts in milli-CHIPs before after",
        "bob owes alice 15000 12000",
        "carol owes bob 12000 9000",
        "dave owes carol 11000 8000",
        "erin owes dave 10000 7000",
        "alice has in all 15000 12000",
        "bob has in all -3000 -3000",
        "carol has in all -1000 -1000",
        "dave has in all -1000 -1000",
        "erin has in all -10000 -7000",
    ];
    assert_eq!(rows[with("alice has paid erin")..][..paid.len()], paid, "{text}");
    let debts = |word: &str| -> Vec<&str> {
        let debts = rows[with(word)..].iter().skip(1).take(5);
        debts.map(|row| row.rsplit(' ').next().unwrap_or_default()).collect()
    };
    assert_eq!(debts("the ring is cleared"), ["6000", "3000", "2000", "1000", "0"]);
    assert_eq!(debts("in the middle of a payment"), ["5500", "2500", "1500", "500", "0"]);
    assert_eq!(debts("the referee has ruled it void"), ["5500", "2500", "1500", "500", "0"]);
}
