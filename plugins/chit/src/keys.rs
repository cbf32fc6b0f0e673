//! Keys at hand for checks made beforehand (`Handler::prepare`): a hint that saves time, never the truth.
//! Whatever is not here, or is out of date, is checked when the event asks for it.

use crate::limits::KEYS;
use crate::party::Party;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tallyho_plugin::record::{AgentId, ChitRecord, Side};
use tallyho_plugin::services::Check;
use tallyho_plugin::{Event, Message};

/// The keys of one half's two sides.
#[derive(Debug, Clone, PartialEq)]
struct Sides {
    stock: (String, AgentId),
    foil: (String, AgentId),
}

/// Keys by holder and tally, of those spoken about since the plugin began to serve.
#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<(String, String), Sides>>);

impl Keys {
    /// Remembers the keys of a half at work.
    pub fn keep(&self, party: &Party) {
        let of = |side: Side| (party.key(side).to_owned(), party.agent(side).clone());
        let sides = Sides { stock: of(Side::Stock), foil: of(Side::Foil) };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS {
            known.clear();
        }
        known.entry((party.holder.clone(), party.tally.clone())).or_insert(sides);
    }

    /// The checks that a message will ask for, where its tally's keys are at hand.
    pub fn checks(&self, event: &Event) -> Vec<Check> {
        let Event::Message(message) = event else { return Vec::new() };
        self.of_message(message).unwrap_or_default()
    }

    fn of_message(&self, message: &Message) -> Option<Vec<Check>> {
        let object: Value = message.object().ok()?;
        let name = (message.to.cuid.clone()?, object["tally"].as_str()?.to_owned());
        let sides = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()?;
        let records = match (message.action.as_str(), object) {
            ("good", object) => vec![object],
            ("chain", Value::Object(mut members)) => match members.remove("chits") {
                Some(Value::Array(chits)) => chits,
                _ => return None,
            },
            _ => return None,
        };
        let chits = records.into_iter().filter_map(|record| ChitRecord::parse(record).ok());
        Some(chits.filter_map(|chit| checks(&chit, &name.1, &sides)).flatten().collect())
    }
}

fn checks(chit: &ChitRecord, tally: &str, sides: &Sides) -> Option<Vec<Check>> {
    let (key, agent) = match chit.by() {
        Side::Stock => &sides.stock,
        Side::Foil => &sides.foil,
    };
    chit.checks_on(tally, key, agent).ok()
}
