//! Stand-ins for the tally and route handlers.

use serde_json::{Value, json};
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::Chad;
use tallyho_plugin::services::{NOT_SERVED, Relation};

/// Keeps halves as they are given.
pub struct Tally;

impl Handler for Tally {
    fn manifest() -> Manifest {
        let command = |name: &str| CommandSpec::new(name, name).invocable();
        let commands = ["put", "confirm", "chain"].map(command);
        commands.into_iter().fold(Manifest::new("tally", "0.0.0").tables(&["tallies", "partners"]), Manifest::command)
    }

    fn create() -> Result<Self, Fault> {
        Ok(Tally)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        if command.name != "put" {
            return Ok(json!({ "done": true, "state": "open" }));
        }
        let given: Value = command.arguments()?;
        let (user, uuid) = (given["user"].as_str().unwrap(), given["uuid"].as_str().unwrap());
        let half = &given["half"];
        let partner: Chad = serde_json::from_value(half["partner"].clone()).unwrap();
        context.relate(&Relation {
            user: user.to_owned(),
            subject: uuid.to_owned(),
            partner: partner.cuid.unwrap(),
            agent: partner.agent,
            host: None,
            port: None,
            until: None,
        })?;
        let (cuid, agent) = (half["partner"]["cuid"].as_str().unwrap(), half["partner"]["agent"].as_str().unwrap());
        context.put("partners", format!("{user}\0{agent}\0{cuid}\0{uuid}"), &())?;
        context.put("tallies", format!("{uuid}\0{user}"), half)?;
        match context.invoke::<Value>("route", "tally.told", &json!({ "user": user, "tally": uuid })) {
            Err(fault) if fault.code != NOT_SERVED => Err(fault),
            _ => Ok(json!({})),
        }
    }
}

/// Knows the ways that a test has told it, and asks the chit handler what they carry.
pub struct Route;

impl Handler for Route {
    fn manifest() -> Manifest {
        let command = |name: &str| CommandSpec::new(name, name).invocable();
        let names = ["add", "tell", "unseal", "sign", "path.find", "route.want", "route.good", "route.fail"];
        let manifest = Manifest::new("route", "0.0.0").tables(&["ways", "told", "lost"]);
        names.into_iter().map(command).fold(manifest, Manifest::command)
    }

    fn create() -> Result<Self, Fault> {
        Ok(Route)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let given: Value = command.arguments()?;
        match command.name.as_str() {
            "add" => {
                let count = context.scan::<Value>("ways", &Scan { limit: 1000, ..Scan::default() })?.len();
                context.put("ways", (count as u32).to_be_bytes(), &given)?;
                Ok(json!({}))
            }
            "unseal" => context.invoke("host", "unseal", &given),
            "sign" => Ok(context.sign_agent(given["text"].as_str().unwrap().as_bytes())?.into()),
            "tell" => {
                if given["status"] == "none" {
                    context.put("lost", given["find"]["cuid"].as_str().unwrap(), &())?;
                }
                context.invoke("lift", "route.told", &given)
            }
            "path.find" => find(context, &given),
            "route.want" => {
                note(context, "want", &given)?;
                let cuid = given["find"]["cuid"].as_str().unwrap_or("nobody");
                let lost = cuid == "nobody" || context.get::<()>("lost", cuid)?.is_some();
                Ok(json!({ "status": if lost { "none" } else { "pend" } }))
            }
            other => note(context, other, &given),
        }
    }
}

fn note(context: &mut Context<'_>, what: &str, given: &Value) -> Result<Value, Fault> {
    let count = context.scan::<Value>("told", &Scan { limit: 1000, ..Scan::default() })?.len();
    context.put("told", (count as u32).to_be_bytes(), &json!([what, given]))?;
    Ok(json!({ "done": true }))
}

/// Ways between the same ends that avoid what is to be avoided and carry the units.
fn find(context: &mut Context<'_>, given: &Value) -> Result<Value, Fault> {
    let ways = context.scan::<Value>("ways", &Scan { limit: 1000, ..Scan::default() })?;
    let units = given["units"].as_i64();
    let mut paths = Vec::new();
    for (_, way) in ways {
        let avoided = |edge: &Value| given["avoid"].as_array().is_some_and(|avoid| avoid.contains(&edge["tally"]));
        let edges = way["edges"].as_array().unwrap();
        if way["from"] != given["from"] || way["to"] != given["to"] || edges.iter().any(avoided) {
            continue;
        }
        let mut least = i64::MAX;
        for edge in edges {
            least = least.min(carries(context, edge)?);
        }
        if least >= units.unwrap_or(1) {
            let lading = json!({ "min": least, "max": least, "margin": 0.0, "reward": 0.0 });
            paths.push(json!({ "edges": edges, "lading": lading, "via": way["via"] }));
        }
    }
    Ok(json!({ "paths": paths }))
}

/// PROTOCOL 7.5: what an edge carries at par.
fn carries(context: &mut Context<'_>, edge: &Value) -> Result<i64, Fault> {
    let user = &edge["halves"][0];
    let capacity: Value = context.invoke("chit", "capacity", &json!({ "user": user, "tally": edge["tally"] }))?;
    let inward = capacity["in"]["by"] == edge["by"];
    let flow = &capacity[if inward { "in" } else { "out" }];
    let usable = capacity["usable"] == true && flow["margin"].as_f64().is_some_and(|margin| margin <= 0.0);
    Ok(if usable { flow["min"].as_i64().unwrap_or(0) } else { 0 })
}
