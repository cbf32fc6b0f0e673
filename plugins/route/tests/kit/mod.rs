//! What the tests of the route handler share: sites whose tallies are written down as the tally and chit
//! handlers keep them.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod net;
pub mod others;

use serde_json::{Value, json};
use tallyho_chit::half::Half;
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::testkit::Site;
use tallyho_route::Route;

/// A tally as it stands.
#[derive(Clone)]
pub struct Tally {
    /// Its number.
    pub number: u32,
    /// Who holds the stock.
    pub stock: Chad,
    /// Who holds the foil.
    pub foil: Chad,
    /// What the foil owes the stock, milli-CHIPs.
    pub owed: i64,
    /// What each side has set.
    pub settings: Value,
}

/// A site with these users.
pub fn site(seed: u64, users: &[&str]) -> Site {
    users.iter().fold(Site::new(seed).with::<Route>(), |site, user| site.user(user))
}

/// A user of some agent that no test has a site for.
pub fn stranger(cuid: &str) -> Chad {
    Chad::user(cuid, AgentId::from_bytes(&[99; 32]))
}

/// The uuid of this number.
pub fn uuid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

impl Tally {
    /// `foil` owes `stock`; nothing is set.
    pub fn new(number: u32, stock: &Chad, foil: &Chad, owed: i64) -> Self {
        Tally { number, stock: stock.party(), foil: foil.party(), owed, settings: json!({}) }
    }

    /// The same with these settings of both sides.
    pub fn set(mut self, stock: Value, foil: Value) -> Self {
        self.settings = json!({ "stock": stock, "foil": foil });
        self
    }

    /// Its uuid.
    pub fn uuid(&self) -> String {
        uuid(self.number)
    }

    /// Writes the halves that users of this site hold, and has the handler told.
    pub fn open(&self, site: &mut Site) {
        self.write(site, "open", "open");
        self.tell(site);
    }

    /// The same, the tally being closed.
    pub fn close(&self, site: &mut Site) {
        self.write(site, "close", "closed");
        self.tell(site);
    }

    /// Writes the halves without a word.
    pub fn write(&self, site: &mut Site, status: &str, phase: &str) {
        for (side, holder, partner) in [("stock", &self.stock, &self.foil), ("foil", &self.foil, &self.stock)] {
            if holder.agent != site.agent() {
                continue;
            }
            let user = holder.cuid.clone().unwrap();
            let row = format!("{}\0{user}", self.uuid()).into_bytes();
            let cert = |chad: &Chad| json!({ "cert": { "chad": chad.to_value() } });
            let core = json!({ "stock": cert(&self.stock), "foil": cert(&self.foil) });
            site.write(
                "tally.tallies",
                &row,
                &json!({ "status": status, "closing": false, "side": side, "core": core }),
            );
            let partners = format!("{user}\0{}\0{}\0{}", partner.agent, partner.cuid.clone().unwrap(), self.uuid());
            site.write("tally.partners", partners.as_bytes(), &Value::Null);
            let mut half = Half::new("", Some(0));
            half.net = if side == "stock" { self.owed } else { -self.owed };
            let mut half = serde_json::to_value(half).unwrap();
            half["phase"] = phase.into();
            site.write("chit.halves", &row, &half);
            if self.settings != json!({}) {
                site.write("chit.settings", &row, &self.settings);
            }
        }
    }

    fn tell(&self, site: &mut Site) {
        for holder in [&self.stock, &self.foil] {
            if holder.agent == site.agent() {
                let half = json!({ "user": holder.cuid, "tally": self.uuid() });
                site.call("route", "tally.told", half).unwrap();
            }
        }
    }
}

/// Changes members of the half that `user` has of this tally, as the chit handler keeps it.
pub fn change(site: &mut Site, user: &str, number: u32, members: &Value) {
    let row = format!("{}\0{user}", uuid(number)).into_bytes();
    let mut half = site.rows("chit.halves")[&row].clone();
    for (name, value) in members.as_object().unwrap() {
        half[name] = value.clone();
    }
    site.write("chit.halves", &row, &half);
}

/// `path.find`.
pub fn find(site: &mut Site, argument: Value) -> Vec<Value> {
    let answer = site.call("route", "path.find", argument).unwrap();
    answer["paths"].as_array().unwrap().clone()
}

/// The numbers of the tallies that a path goes over.
pub fn over(path: &Value) -> Vec<u32> {
    let edges = path["edges"].as_array().unwrap().iter();
    edges.map(|edge| edge["tally"].as_str().unwrap()[24..].parse().unwrap()).collect()
}

/// The same of all paths.
pub fn ways(paths: &[Value]) -> Vec<Vec<u32>> {
    paths.iter().map(over).collect()
}
