//! The host's checks of a message that arrives (PROTOCOL 2.4, 3.1).

use super::Envelope;
use super::site::{Site, in_force};
use super::tickets::Issued;
use crate::event::{Message, Presented};
use crate::manifest::{RelationMember, Target};
use crate::record::Chad;
use crate::record::cert::chad_of;
use crate::{Event, Fault};
use serde_json::Value;

/// The code of a fault by which the host itself drops a message; its handler has not seen it.
pub const DROPPED: &str = "dropped";

impl Site {
    /// Delivers a message from the agent that its `from` names, after the checks that a host makes. A
    /// valid ticket is marked used if the handler succeeds. An agent that no relation lets in comes as a
    /// stranger (PROTOCOL 1.5, `R`), as does a message sent by a restricted channel: `from` proves nothing
    /// then, unless it answers, and only what the target serves to strangers gets through.
    ///
    /// # Errors
    /// A fault of code [`DROPPED`] where the host would drop it, saying why; otherwise the handler's.
    pub fn deliver(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let manifest = self.plugin_for(&envelope.target).ok_or_else(|| dropped("no handler claims the target"))?;
        let name = manifest.name.clone();
        let target = manifest.targets.iter().find(|target| target.name == envelope.target).cloned();
        let target = target.ok_or_else(|| dropped("no handler claims the target"))?;
        if !target.actions.contains(&envelope.action) {
            return Err(dropped("the action is unknown"));
        }
        if envelope.to.agent != self.agent() {
            return Err(dropped("it is for another agent"));
        }
        if envelope.to.cuid.as_ref().is_some_and(|cuid| !self.keys.users.contains_key(cuid)) {
            return Err(dropped("it is for no user of ours"));
        }
        let mut message = envelope.message();
        if envelope.ticket.is_some() {
            let presented = self.presented(envelope)?;
            let (token, now) = (presented.token.clone(), self.now());
            let consumes = !presented.repeat && !presented.reuse;
            message.ticket = Some(presented);
            self.run(&name, &Event::Message(message))?;
            if let Some(issued) = self.state.tickets.get_mut(&token)
                && consumes
            {
                (issued.used, issued.by) = (Some(now), Some(envelope.from.clone()));
            }
            return Ok(());
        }
        let serves = target.restricted.contains(&message.action);
        if message.restricted && !serves && !(message.asked && target.answers.contains(&message.action)) {
            return Err(dropped("the action is not served on restricted channels"));
        }
        if message.restricted || serves && !self.is_related(&message.from) {
            message.restricted = true;
            return self.run(&name, &Event::Message(message)).map(drop);
        }
        self.may_talk(&target, &message, &envelope.json())?;
        self.run(&name, &Event::Message(message)).map(drop)
    }

    /// PROTOCOL 2.4 steps 1 to 4.
    fn presented(&self, envelope: &Envelope) -> Result<Presented, Fault> {
        let ticket = envelope.ticket.as_ref().unwrap_or(&Value::Null);
        let party: Option<Chad> = chad_of(&ticket["cert"]).ok();
        let party = party.filter(|party| party.same_party(&envelope.from));
        let party = party.ok_or_else(|| dropped("the certificate is not the sender's"))?;
        let token = ticket["token"].as_str().unwrap_or_default();
        let issued: &Issued = self.state.tickets.get(token).ok_or_else(|| dropped("the token is unknown"))?;
        issued.check(&ticket["cert"], &party, self.now()).map_err(dropped)
    }

    /// PROTOCOL 1.5: whether a relation lets the agent in, or it is ours.
    fn is_related(&self, from: &Chad) -> bool {
        let mut relations = self.state.relations.values().filter(|relation| relation.agent == from.agent);
        from.agent == self.agent() || relations.any(|relation| in_force(relation, self.now()))
    }

    /// PROTOCOL 1.5 and 3.1 item 5.
    fn may_talk(&self, target: &Target, message: &Message, object: &Value) -> Result<(), Fault> {
        let from = &message.from;
        let joins = |relation: &&crate::services::Relation| {
            in_force(relation, self.now())
                && relation.agent == from.agent
                && (relation.partner.is_empty() || Some(&relation.partner) == from.cuid.as_ref())
        };
        if !self.is_related(from) {
            return Err(dropped("no relation lets that agent connect"));
        }
        let subject = match &target.relation {
            _ if target.unrelated.contains(&message.action) => return Ok(()),
            None => return Ok(()),
            Some(RelationMember::Envelope) if message.tally.is_none() => return Ok(()),
            Some(RelationMember::Envelope) => message.tally.as_deref(),
            Some(RelationMember::Object(member)) => object[member].as_str(),
        };
        let found = self.state.relations.values().filter(joins).any(|relation| {
            Some(relation.subject.as_str()) == subject && Some(&relation.user) == message.to.cuid.as_ref()
        });
        if found { Ok(()) } else { Err(dropped("no relation joins sender and recipient in what it is about")) }
    }
}

fn dropped(why: &str) -> Fault {
    Fault::refused(format!("the host drops the message: {why}")).code(DROPPED)
}
