//! Several sites with tallies between them, and what is said over these.

use super::others::{Lifts, TOLD, Tallies};
use super::{Tally, uuid};
use serde_json::{Value, json};
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::testkit::{Envelope, Net, Site};
use tallyho_route::Route;

/// A site for each of these users, by their place.
pub fn net(seed: u64, users: &[&str]) -> Net {
    let site = |(place, user): (u64, &&str)| {
        let mut site = Site::new(seed * 100 + place).with::<Tallies>().with::<Lifts>().with::<Route>().user(user);
        // What the site does of its own has tests of its own.
        site.call("route", "settings", json!({ "autoquery": "off" })).unwrap();
        site
    };
    Net::new(seed, (0..).zip(users).map(site).collect())
}

/// The user of the site at this place, by its only local name.
pub fn chad(net: &Net, place: usize, user: &str) -> Chad {
    net.sites[place].chad(user).party()
}

/// Opens a tally between users of two sites: `stock` is owed by `foil`. Lifts go from the stock to the foil.
pub fn join(net: &mut Net, number: u32, stock: (usize, &str), foil: (usize, &str), owed: i64) {
    let tally = Tally::new(number, &chad(net, stock.0, stock.1), &chad(net, foil.0, foil.1), owed);
    for place in [stock.0, foil.0] {
        relate(&mut net.sites[place], &tally);
        tally.open(&mut net.sites[place]);
    }
    net.settle();
}

/// Lets the partner of a tally in.
pub fn relate(site: &mut Site, tally: &Tally) {
    for (holder, partner) in [(&tally.stock, &tally.foil), (&tally.foil, &tally.stock)] {
        if holder.agent == site.agent() && partner.agent != site.agent() {
            let relation = json!({ "user": holder.cuid, "tally": tally.uuid(), "partner": partner.to_value() });
            site.call("tally", "relate", relation).unwrap();
        }
    }
}

/// The partner of this site's tally says something; the object gets `tally` and `find`.
pub fn says(site: &mut Site, from: &Chad, user: &str, number: u32, action: &str, find: &Chad, mut more: Value) {
    more["tally"] = uuid(number).into();
    more["find"] = find.to_value();
    let envelope = Envelope::new(from, &site.chad(user), &format!("route/{action}"), &more);
    site.deliver(&envelope).unwrap();
}

/// Messages that wait, taken out, as `ACTION NUMBER-OF-TALLY`; each is told to be handed over.
pub fn sent(site: &mut Site) -> Vec<String> {
    let sent = site.take_sent();
    for message in &sent {
        site.report(message, tallyho_plugin::Fate::HandedOver).unwrap();
    }
    sent.iter().map(|sent| format!("{} {}", sent.message.action, number(&sent.object()["tally"]))).collect()
}

/// The number of a tally.
pub fn number(tally: &Value) -> u32 {
    tally.as_str().unwrap()[24..].parse().unwrap()
}

/// The state of each route of this site, as `NUMBER-OF-TALLY CUID STATE`.
pub fn states(site: &mut Site) -> Vec<String> {
    let list = site.call("route", "list", json!({})).unwrap();
    let mut states: Vec<String> = list.as_array().unwrap().iter().map(brief).collect();
    states.sort();
    states
}

fn brief(row: &Value) -> String {
    let via = row["via"].as_str().unwrap().rsplit('/').next().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!("{} {} {}", number(&json!(via)), text(&row["dest"]["cuid"]), text(&row["status"]))
}

/// What the lift handler was told: statuses.
pub fn told(site: &Site) -> Vec<String> {
    site.rows(TOLD).values().map(|told| told["status"].as_str().unwrap().to_owned()).collect()
}

/// Reasons of notices about routes to this user since last asked.
pub fn notices(site: &mut Site, user: &str) -> Vec<String> {
    let all = site.take_notices().into_iter();
    let own = all.filter(|(whose, notice)| whose == user && notice["about"] == "route");
    own.map(|(_, notice)| notice["reason"].as_str().unwrap().to_owned()).collect()
}

/// `route find`, by command.
pub fn seek(site: &mut Site, user: &str, find: &Chad) -> Result<Value, tallyho_plugin::Fault> {
    site.call("route", "find", json!({ "user": user, "chad": find.to_value() }))
}

/// An agent that no test has a site for.
pub fn nowhere() -> AgentId {
    AgentId::from_bytes(&[98; 32])
}
