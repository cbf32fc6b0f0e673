//! The chits of the one made-up tally, as either half sees them.

use serde_json::{Value, json};
use tallyho_plugin::manifest::Wait;
use tallyho_plugin::{Argument, ArgumentKind, CommandSpec, Fault, Manifest};

/// Its chits; alice holds the stock, bob the foil.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    chits: Vec<Chit>,
    settings: Value,
}

#[derive(Debug)]
struct Chit {
    /// Who pledges.
    by: &'static str,
    units: i64,
    /// `pend`, `good` or `void`.
    status: &'static str,
}

fn side(user: &str) -> &'static str {
    if user == "alice" { "stock" } else { "foil" }
}

/// What the chit handler declares, as far as the demo uses it.
pub(super) fn manifest() -> Manifest {
    let tally = || Argument::positional("tally", ArgumentKind::Text, "");
    let uuid = || Argument::positional("uuid", ArgumentKind::Text, "");
    let units = || Argument::positional("units", ArgumentKind::Integer, "");
    let memo = || Argument::option("memo", ArgumentKind::Text, "");
    let wait = || Wait::new("state", "chit", "wait");
    let spec = |name: &str| CommandSpec::new(name, "").words(&["chit", name]).argument(tally());
    Manifest::new("chit", "1")
        .command(spec("pay").argument(units()).argument(memo()).wait(wait()))
        .command(spec("ask").argument(units()).argument(memo()).wait(wait()))
        .command(spec("accept").argument(uuid()).wait(wait()))
        .command(spec("refuse").argument(uuid()).wait(wait()))
        .command(spec("set").argument(Argument::positional("settings", ArgumentKind::Json, "")).wait(wait()))
        .command(spec("list"))
        .command(spec("show").argument(uuid()))
        .command(CommandSpec::new("state", ""))
}

impl Ledger {
    /// A command of `user`'s.
    pub fn call(&mut self, user: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
        let units = argument["units"].as_i64().unwrap_or_default();
        let named = |name: &str| argument[name].as_str().and_then(|chit| chit.strip_prefix("chit-")?.parse().ok());
        let other = if user == "alice" { "foil" } else { "stock" };
        let at: usize = match command {
            "pay" => self.add(Chit { by: side(user), units, status: "good" }),
            "ask" => self.add(Chit { by: other, units, status: "pend" }),
            "set" => {
                self.settings[side(user)] = argument["settings"].clone();
                self.add(Chit { by: side(user), units: 0, status: "good" })
            }
            "accept" => self.become_of(named("uuid"), "good"),
            "refuse" => self.become_of(named("uuid"), "void"),
            "state" => named("chit").unwrap(),
            "show" => named("uuid").unwrap(),
            "list" => return Ok((0..self.chits.len()).map(|at| self.view(user, at)).collect()),
            other => return Err(Fault::not_found(format!("no command {other}"))),
        };
        Ok(self.view(user, at))
    }

    /// What the tally handler shows of it.
    pub fn summary(&self, user: &str) -> Value {
        let good = self.chits.iter().filter(|chit| chit.status == "good");
        let net: i64 = good.clone().map(|chit| if chit.by == side(user) { -chit.units } else { chit.units }).sum();
        json!({ "net": net, "end": good.count(), "settings": self.settings })
    }

    fn add(&mut self, chit: Chit) -> usize {
        self.chits.push(chit);
        self.chits.len() - 1
    }

    fn become_of(&mut self, at: Option<usize>, status: &'static str) -> usize {
        self.chits[at.unwrap()].status = status;
        at.unwrap()
    }

    fn view(&self, user: &str, at: usize) -> Value {
        let chit = &self.chits[at];
        let name = format!("chit-{at}");
        let letter = if chit.by == side(user) { "L" } else { "A" };
        let index = (chit.status == "good").then_some(at);
        json!({
            "uuid": name, "chit": name, "by": chit.by, "units": chit.units, "state": format!("{letter}.{}", chit.status),
            "index": index, "link": format!("hash-{at}"), "wait": [chit.status, "confirmed"],
        })
    }
}
