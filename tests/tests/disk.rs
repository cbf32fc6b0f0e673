//! The disk refuses writes under a running site: clear errors, nothing half done, and on it goes.
//!
//! The refusal is the system's own: the process may write no file any more (`RLIMIT_FSIZE` set to 0 from
//! outside), until it may again.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;
use tallyho_tests::deal::Deal;
use tallyho_tests::full_disk::limit;
use tallyho_tests::site::{PATIENCE, Site, program};

fn wait(site: &Site, command: &str, argument: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = site.call("tally", command, argument).unwrap();
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{command} stays at {answer}\n{}", site.log());
        thread::sleep(Duration::from_millis(10)); // between two looks
    }
}

/// What people are told: that nothing was done, which file it is, and what to do.
fn assert_clear(refused: Result<Value, Fault>, file: &str) {
    let fault = refused.unwrap_err();
    assert!(fault.text.contains(file), "{fault}");
    assert!(fault.fix.is_some(), "{fault:?}");
}

/// Does `command` on a full disk, which is refused and changes nothing, then again with room.
fn refused_then_done(site: &Site, command: &str, argument: &Value) -> Value {
    let look = || {
        let all = ["list", "ticket.list"].map(|list| site.call("tally", list, &json!({})).unwrap());
        (all, site.call("host", "status", &json!({})).unwrap()["outbox"].clone())
    };
    let before = look();
    limit(site, Some(0));
    for _ in 0..2 {
        let refused = site.call("tally", command, argument);
        assert!(refused.as_ref().is_err_and(|fault| fault.code == "store"), "{refused:?}");
        assert!(refused.as_ref().unwrap_err().text.contains("nothing was changed"), "{refused:?}");
        assert_clear(refused, "site.db");
        assert_eq!(look(), before, "{command}");
    }
    limit(site, None);
    // At once: whoever has made room does not wait for the site to notice.
    site.call("tally", command, argument).unwrap()
}

#[test]
fn every_command_of_a_deal_is_refused_whole_while_the_disk_is_full_and_done_afterwards() {
    let (stock, foil) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
    let ticket = json!({ "user": "alice", "memo": "Bread account", "agree": "bread" });
    let ticket = refused_then_done(&stock, "ticket.new", &ticket);
    let used = refused_then_done(&foil, "ticket.use", &json!({ "ticket": ticket["link"], "user": "bob" }));
    wait(&foil, "ticket.status", &json!({ "token": used["token"] }), |status| status["state"] == "accepted");
    let tally = json!({ "uuid": ticket["tally"] });
    refused_then_done(&stock, "offer", &tally);
    wait(&foil, "list", &json!({}), |list| list[0]["state"] == "P.offer");
    refused_then_done(&foil, "accept", &tally);
    let confirmed = |show: &Value| show["state"] == "open" && show["conf"] == 0;
    let one = wait(&stock, "show", &tally, confirmed);
    let other = wait(&foil, "show", &tally, confirmed);
    assert_eq!(one["record"], other["record"]);
    assert!(one["record"]["sign"]["hash"].is_string());
}

/// How far the log is written: what comes behind is room, zeros.
fn end_of_log(site: &Site) -> u64 {
    let log = fs::read(site.home().join("site.db-wal")).unwrap();
    log.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

#[test]
fn a_deal_comes_to_the_same_end_wherever_in_it_the_disk_is_full() {
    const POINTS: u64 = 16;
    // A deal writes some 800 KiB of log on either side.
    const APART: u64 = 50 * 1_024;
    let sites = [Site::with_users(&["alice"]), Site::with_users(&["bob"])];
    let failures = |site: &Site| site.log().matches("nothing can be committed").count();
    let mut bitten = 0;
    for point in 0..POINTS {
        for site in &sites {
            let written = end_of_log(site);
            let before = failures(site);
            limit(site, Some(written + point * APART));
            let begun = Instant::now();
            let revive = || {
                if begun.elapsed() > Duration::from_millis(100) {
                    limit(site, None);
                }
            };
            let (stock, foil) = (sites[0].door(), sites[1].door());
            Deal { stock, alice: "alice", foil, bob: "bob", revive: &revive }.make();
            limit(site, None);
            bitten += usize::from(failures(site) > before);
        }
    }
    assert!(bitten >= 8, "the disk was full in {bitten} deals only");
}

#[test]
fn a_ticket_presented_while_the_issuers_disk_is_full_is_refused_and_stays_usable() {
    let (stock, foil) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
    let ticket = stock.call("tally", "ticket.new", &json!({ "user": "alice", "agree": "bread" })).unwrap();
    let present = || {
        let used = foil.call("tally", "ticket.use", &json!({ "ticket": ticket["link"], "user": "bob" })).unwrap();
        let which = json!({ "token": used["token"] });
        wait(&foil, "ticket.status", &which, |status| status["state"] != "pending")["state"].clone()
    };
    limit(&stock, Some(0));
    assert_eq!(present(), "refused");
    limit(&stock, None);
    let tally = json!({ "uuid": ticket["tally"] });
    // Who was refused has not come in meanwhile.
    assert_eq!(stock.call("tally", "show", &tally).unwrap()["state"], "draft");
    assert_eq!(present(), "accepted");
    assert_eq!(stock.call("tally", "show", &tally).unwrap()["state"], "P.draft");
}

#[test]
fn messages_that_come_while_the_disk_is_full_are_kept_and_taken_when_there_is_room() {
    let (stock, mut foil) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
    for killed in [false, true] {
        let ticket = stock.call("tally", "ticket.new", &json!({ "user": "alice", "agree": "bread" })).unwrap();
        let used = foil.call("tally", "ticket.use", &json!({ "ticket": ticket["link"], "user": "bob" })).unwrap();
        wait(&foil, "ticket.status", &json!({ "token": used["token"] }), |status| status["state"] == "accepted");
        let tally = json!({ "uuid": ticket["tally"] });
        let here = |list: &Value| list.as_array().unwrap().iter().any(|known| known["uuid"] == ticket["tally"]);
        limit(&foil, Some(0));
        stock.call("tally", "offer", &tally).unwrap();
        wait(&stock, "show", &tally, |show| show["state"] == "H.offer");
        // Written to the socket, and perhaps arrived: it is its sender who keeps it until there is a receipt.
        assert!(!here(&foil.call("tally", "list", &json!({})).unwrap()));
        assert_eq!(stock.call("host", "status", &json!({})).unwrap()["outbox"], 1);
        if killed {
            foil.kill();
            foil.start();
        } else {
            limit(&foil, None);
        }
        wait(&foil, "list", &json!({}), here);
        foil.call("tally", "accept", &tally).unwrap();
        let confirmed = |show: &Value| show["state"] == "open" && show["conf"] == 0;
        wait(&stock, "show", &tally, confirmed);
        wait(&foil, "show", &tally, confirmed);
    }
}

#[test]
fn a_user_cannot_be_added_to_a_full_disk_and_can_afterwards() {
    let site = Site::with_users(&[]);
    let user = json!({ "cuid": "alice", "key": "ed25519" });
    limit(&site, Some(0));
    assert_clear(site.call("host", "user.add", &user), "alice");
    assert_eq!(site.call("host", "user.list", &json!({})).unwrap(), json!([]));
    limit(&site, None);
    assert_eq!(site.call("host", "user.add", &user).unwrap()["cuid"], "alice");
}

#[test]
fn a_site_that_cannot_start_on_a_full_disk_says_so_and_starts_with_room() {
    let mut site = Site::with_users(&["alice"]);
    site.kill();
    let home = site.home().display().to_string();
    // Files may not grow beyond 0 blocks; standard error is a pipe.
    let output = Command::new("sh")
        .args(["-c", "ulimit -S -f 0; exec \"$0\" \"$@\""])
        .arg(program())
        .args(["--home", &home, "run", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&home), "the file is named: {said}");
    site.start();
    assert_eq!(site.call("host", "user.list", &json!({})).unwrap()[0]["cuid"], "alice");
}
