//! What a long history costs: the next chit, a start, a page of the list, the room on disk.

use super::pair::{FOIL, Pair, STOCK};
use crate::figures::{Duel, Effort, Wanted, line, median, timed};
use serde_json::json;
use std::time::Duration;
use tallyho::control::Operator;
use tallyho_tests::site::Site;

/// Long and short history.
const LONG: usize = 100_000;
const SHORT: usize = 1_000;

/// Compares a tally of many chits with one of few, each between two sites of its own.
pub fn measure(effort: Effort) {
    let (many, few, more, rounds) = effort.choose((60, 10, 10, 1), (LONG, SHORT, 500, 9));
    let (mut long, mut short) = (Pair::new("ed25519", 1), Pair::new("ed25519", 1));
    let empty = [&mut long.stock, &mut long.foil].map(|site| {
        let empty = stopped(site);
        started(site);
        empty
    });
    short.pay(few, 1);
    long.pay(many, 1);
    // Less is better, so the short one's rate is the bare thing's.
    let rate = |pair: &mut Pair| more as f64 / pair.pay(more, 1).as_secs_f64();
    let duel = Duel::fight(rounds, || rate(&mut long), || rate(&mut short));
    let name = format!("chits, {many} there already");
    // A ratio of times of at most 1.2 is one of rates of at least this.
    duel.report(effort, &name, "/s", Wanted::AtLeast(1.0 / 1.2));

    page(effort, &long, many);
    let paid = (many + more * (rounds + 1)) as f64;
    let mut starts = Vec::new();
    for site in [&mut long.stock, &mut long.foil] {
        for _ in 0..effort.choose(1, 3) {
            site.stop();
            starts.push(started(site));
            // As after a crash, with the log as it was left.
            site.kill();
            starts.push(started(site));
        }
    }
    let worst = starts.into_iter().max().unwrap_or_default().as_secs_f64() * 1e3;
    let against = format!("the slowest, {many} chits");
    line(effort, "start", &format!("{worst:.0} ms"), &against, worst, Wanted::AtMost(1_000.0));

    for (user, site, empty) in [(STOCK, &mut long.stock, empty[0]), (FOIL, &mut long.foil, empty[1])] {
        let each = (stopped(site) - empty) / paid;
        let against = format!("{user}'s site.db, {paid:.0} chits");
        line(effort, "store, one chit", &format!("{each:.0} B"), &against, each, Wanted::Told);
    }
}

fn started(site: &mut Site) -> Duration {
    site.environment("RUST_LOG", "warn");
    timed(|| site.start())
}

/// Bytes of a site's store once its log has been written back.
fn stopped(site: &mut Site) -> f64 {
    site.stop();
    std::fs::metadata(site.home().join("site.db")).expect("a site has a store").len() as f64
}

/// A page out of the middle of the list.
fn page(effort: Effort, pair: &Pair, many: usize) {
    let client = pair.client(STOCK);
    let rows = effort.choose(5, 100);
    let argument = json!({ "tally": pair.tallies()[0], "user": STOCK, "from": many / 2, "limit": rows });
    let once = || {
        let mut listed = 0;
        let time = timed(|| {
            let list = client.call("chit", "list", &argument).expect("chits are listed");
            listed = list.as_array().map_or(0, Vec::len);
        });
        assert_eq!(listed, rows, "the page is full");
        time.as_secs_f64() * 1e3
    };
    let time = median((0..effort.choose(1, 25)).map(|_| once()).collect());
    let against = format!("{rows} of {many} chits");
    line(effort, "chit list, a page", &format!("{time:.2} ms"), &against, time, Wanted::Told);
}
