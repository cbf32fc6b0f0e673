//! What a route handler hears of tallies.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_plugin::prelude::*;
use tallyho_plugin::testkit::Net;

/// In place of the route handler: counts what it is told of each half, and sees the half as it is then.
struct Routes;

impl Handler for Routes {
    fn manifest() -> Manifest {
        Manifest::new("route", "0.0.0")
            .tables(&["told"])
            .reads(&["tally.tallies"])
            .command(CommandSpec::new("tally.told", "a half has opened or closed").invocable())
    }

    fn create() -> Result<Self, Fault> {
        Ok(Routes)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let told: Value = command.arguments()?;
        let (user, tally) = (told["user"].as_str().unwrap(), told["tally"].as_str().unwrap());
        let half: Value = context.get("tally.tallies", format!("{tally}\0{user}"))?.unwrap();
        let key = format!("{user}/{tally}");
        let mut all: Vec<Value> = context.get("told", &key)?.unwrap_or_default();
        all.push(json!([half["status"], half["closing"]]));
        context.put("told", &key, &all)?;
        Ok(json!({}))
    }
}

fn told(net: &Net, user: &str, uuid: &str) -> Value {
    let place = if user == "alice" { 0 } else { bobs(net) };
    net.sites[place].rows("route.told").remove(format!("{user}/{uuid}").as_bytes()).unwrap_or_default()
}

#[test]
fn a_route_handler_hears_of_each_half_that_opens_or_closes() {
    for mut net in [pair(1), house(1)] {
        net.sites.iter_mut().for_each(|site| site.load::<Routes>());
        let uuid = offered(&mut net);
        assert_eq!(told(&net, "bob", &uuid), Value::Null, "an offer is nothing to go over");
        bob(&mut net, "accept", &uuid);
        net.settle();
        for user in ["alice", "bob"] {
            assert_eq!(told(&net, user, &uuid), json!([["open", false]]), "{user}");
        }
        alice(&mut net, "resend", &uuid);
        net.settle();
        let bobs = bobs(&net);
        kit::told(&mut net.sites[bobs], "bob", &uuid, "closing");
        kit::told(&mut net.sites[bobs], "bob", &uuid, "settled");
        assert_eq!(told(&net, "bob", &uuid), json!([["open", false], ["open", true]]));
        assert_eq!(told(&net, "alice", &uuid), json!([["open", false]]));
    }
}
