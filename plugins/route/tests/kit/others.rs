//! Stand-ins for the handlers that the route handler has to do with.

use serde_json::{Value, json};
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::Chad;
use tallyho_plugin::services::Relation;

/// In place of the tally handler: lets partners in.
pub struct Tallies;

impl Handler for Tallies {
    fn manifest() -> Manifest {
        Manifest::new("tally", "0.0.0")
            .tables(&["tallies", "partners"])
            .command(CommandSpec::new("relate", "lets a partner in"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Tallies)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let given: Value = command.arguments()?;
        let partner = Chad::from_value(&given["partner"]).unwrap();
        context.relate(&Relation {
            user: given["user"].as_str().unwrap().to_owned(),
            subject: given["tally"].as_str().unwrap().to_owned(),
            partner: partner.cuid.unwrap(),
            agent: partner.agent,
            host: None,
            port: None,
            until: None,
        })?;
        Ok(Value::Null)
    }
}

/// In place of the lift handler: notes what it is told, and passes its own commands on to the route handler.
pub struct Lifts;

/// What the stand-in has been told, in order.
pub const TOLD: &str = "lift.told";

impl Handler for Lifts {
    fn manifest() -> Manifest {
        Manifest::new("lift", "0.0.0")
            .tables(&["told"])
            .command(CommandSpec::new("route.told", "what became of a route").invocable())
            .command(CommandSpec::new("ask", "calls the route handler"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Lifts)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let given: Value = command.arguments()?;
        if command.name == "ask" {
            return context.invoke("route", given["command"].as_str().unwrap(), &given["argument"]);
        }
        let told: Vec<(Vec<u8>, Value)> =
            context.scan("told", &tallyho_plugin::context::Scan { limit: 1_000, ..Default::default() })?;
        context.put("told", format!("{:05}", told.len()), &given)?;
        Ok(json!({}))
    }
}
