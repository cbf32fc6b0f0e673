//! Messages that carry out a request, `pend` and `void` (PROTOCOL 5.5, 11.2).

use crate::desk::Desk;
use crate::entry::Request;
use serde_json::{Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::record::ChitRecord;
use tallyho_plugin::services::Outgoing;

/// The action of a message that carries out a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Please pay.
    Pend,
    /// Will not pay.
    Void,
}

/// A message on its way, by what it is about: its name in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// What it says.
    pub verb: Verb,
    /// For whom.
    pub holder: String,
    /// On which tally.
    pub tally: String,
    /// About which chit.
    pub chit: String,
}

impl Verb {
    const ALL: [Verb; 2] = [Verb::Pend, Verb::Void];

    fn name(self) -> &'static str {
        match self {
            Verb::Pend => "pend",
            Verb::Void => "void",
        }
    }

    /// The request that it carries out.
    pub fn request(self) -> Request {
        match self {
            Verb::Pend => Request::Pend,
            Verb::Void => Request::Void,
        }
    }
}

impl Errand {
    /// `pend/HOLDER/TALLY/CHIT`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}/{}", self.verb.name(), self.holder, self.tally, self.chit)
    }

    /// Reads a key back; `None` for other keys.
    pub fn parse(key: &str) -> Option<Self> {
        // None of the parts holds a slash (PROTOCOL 1.1).
        let mut parts = key.split('/');
        let verb = parts.next()?;
        let verb = Verb::ALL.into_iter().find(|known| known.name() == verb)?;
        let mut part = || parts.next().map(str::to_owned);
        let errand = Errand { verb, holder: part()?, tally: part()?, chit: part()? };
        parts.next().is_none().then_some(errand)
    }
}

/// Sends the partner a message about this chit. One that waits under the same key is replaced.
///
/// # Errors
/// The host's faults.
pub fn send(desk: &mut Desk<'_, '_>, verb: Verb, chit: &ChitRecord) -> Result<(), Fault> {
    let object = match verb {
        Verb::Pend => unsigned(chit),
        Verb::Void => json!({ "tally": chit.tally(), "uuid": chit.uuid() }),
    };
    let (partner, holder) = (desk.party.partner.clone(), desk.party.holder.clone());
    let mut message = Outgoing::new(partner, holder, "chit", verb.name(), &object)?;
    message.key = errand(desk, verb, chit.uuid()).key();
    message.report = true;
    desk.context.send(&message)
}

/// Takes back a message not yet received.
///
/// # Errors
/// The host's faults.
pub fn withdraw(desk: &mut Desk<'_, '_>, verb: Verb, chit: &str) -> Result<(), Fault> {
    let key = errand(desk, verb, chit).key();
    desk.context.withdraw(&desk.party.partner.agent, &key).map(drop)
}

fn errand(desk: &Desk<'_, '_>, verb: Verb, chit: &str) -> Errand {
    let party = &desk.party;
    Errand { verb, holder: party.holder.clone(), tally: party.tally.clone(), chit: chit.to_owned() }
}

/// Core and `hash`: an invoice carries no signature.
fn unsigned(chit: &ChitRecord) -> Value {
    let mut record = chit.to_record();
    if let Some(members) = record.as_object_mut() {
        members.remove("sign");
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_and_others_are_not() {
        let errand = Errand { verb: Verb::Void, holder: "alice".into(), tally: "t".into(), chit: "c".into() };
        assert_eq!(errand.key(), "void/alice/t/c");
        assert_eq!(Errand::parse(&errand.key()), Some(errand));
        for other in ["good/alice/t/c", "void/alice/t", "void/alice/t/c/d", "ack/alice/t", "again"] {
            assert_eq!(Errand::parse(other), None);
        }
    }
}
