//! A handler in the place of the one for chits: it hears of index 0, and says of the chain what it is told
//! to say.

use serde_json::{Value, json};
use tallyho_plugin::prelude::*;

/// The handler. Its tables are those that the tally handler reads; tests write their rows.
pub struct Chit;

impl Handler for Chit {
    fn manifest() -> Manifest {
        Manifest::new("chit", "0.0.0")
            .target(Target::new("chit", &["pend", "void", "good", "chain"]).relation_in_object("tally"))
            .tables(&["halves", "settings"])
            .command(CommandSpec::new("chit.tell", "tells the tally handler of an event of the chain"))
            .command(CommandSpec::new("close", "makes the setting, if signed").invocable())
    }

    fn create() -> Result<Self, Fault> {
        Ok(Chit)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        let object: Value = message.object()?;
        let command = object.get("cmd").or_else(|| object.get("sub"));
        if command != Some(&json!("ack")) || object["index"] != 0 {
            return Ok(());
        }
        let told = json!({ "uuid": object["tally"], "user": message.to.cuid, "hash": object["hash"] });
        context.invoke::<Value>("tally", "confirm", &told).map(drop)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let order: Value = command.arguments()?;
        if command.name == "chit.tell" {
            return context.invoke("tally", "chain", &order);
        }
        let text = |member: &str| order[member].as_str().unwrap_or_default().to_owned();
        if !matches!(text("signature").as_str(), "" | "good") {
            return Err(Fault::refused("the signature does not stand over the setting").code("signature"));
        }
        // The setting is the next link; what is owed before it is what the test has written.
        let key = format!("{}\0{}", text("tally"), text("user"));
        let mut half: Value = context.get("halves", &key)?.unwrap_or_else(|| super::balance(0, 0, 0));
        half["end"] = (half["end"].as_u64().unwrap_or_default() + 1).into();
        context.put("halves", &key, &half)?;
        let settled = half["net"] == 0 && half["pend"] == 0;
        Ok(json!({ "uuid": context.uuid(), "index": half["end"], "hash": "h", "closing": true, "settled": settled }))
    }
}
