//! The chit handler with its inner doors open: a test admits, links and unlinks chits by command, without
//! a partner and without the chain's own rules.

use super::TALLY;
use serde_json::{Value, json};
use tallyho_chit::admit::{Admitted, admit};
use tallyho_chit::desk::Desk;
use tallyho_chit::{Chit, settings};
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::ChitRecord;

const DOORS: [&str; 4] = ["admit", "put.link", "unlink", "sign.agent"];

/// See the module.
pub struct Bench(Chit);

impl Handler for Bench {
    fn manifest() -> Manifest {
        DOORS.iter().fold(Chit::manifest(), |manifest, name| manifest.command(CommandSpec::new(*name, *name)))
    }

    fn create() -> Result<Self, Fault> {
        Chit::create().map(Bench)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        self.0.message(message, context)
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        self.0.timer(timer, context)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        if !DOORS.contains(&command.name.as_str()) {
            return self.0.command(command, context);
        }
        let given: Value = command.arguments()?;
        if command.name == "sign.agent" {
            return Ok(context.sign_agent(given["text"].as_str().unwrap().as_bytes())?.into());
        }
        let user = given["user"].as_str().unwrap();
        let mut desk = Desk::open(context, user, TALLY)?.unwrap();
        let answer = match command.name.as_str() {
            "admit" => match ChitRecord::parse(given["chit"].clone()) {
                Err(error) => json!(["unreadable", error.to_string()]),
                Ok(chit) => told(admit(&mut desk, &chit)?),
            },
            "put.link" => {
                let (uuid, index) = (given["uuid"].as_str().unwrap(), given["index"].as_u64().unwrap());
                let mut entry = desk.entry(uuid)?.unwrap();
                entry.index = Some(index);
                desk.put_entry(uuid, &entry)?;
                let link = tallyho_chit::entry::Link { chit: uuid.to_owned(), hash: format!("hash {index}") };
                desk.context.put("links", tallyho_chit::store::numbered(&desk.key, index), &link)?;
                (desk.half.end, desk.half.tip) = (index, link.hash);
                settings::linked(&mut desk, &entry, index)?;
                settings::both(&mut desk)?
            }
            _ => {
                settings::unlinked(&mut desk, given["index"].as_u64().unwrap())?;
                settings::both(&mut desk)?
            }
        };
        desk.close()?;
        Ok(answer)
    }
}

fn told(admitted: Admitted) -> Value {
    match admitted {
        Admitted::New(entry) => json!(["new", entry]),
        Admitted::Known(entry) => json!(["known", entry]),
        Admitted::Resigned(entry, theirs) => json!(["resigned", entry, theirs]),
        Admitted::Conflicting(entry) => json!(["conflicting", entry]),
        Admitted::Invalid(why) => json!(["invalid", why]),
    }
}
