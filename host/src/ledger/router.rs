//! Which plugin a message is for, and whether its sender may send it (PROTOCOL 3.1, checks 2 and 5).

use super::table::{PluginTable, Serving};
use crate::site::relations::{Granted, RelationChange, RelationRegistry, Verdict};
use crate::wire::envelope::text_member;
use std::sync::Arc;
use tallyho_plugin::manifest::RelationMember;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::{Message, Target};

/// Why a message goes nowhere. Nothing is answered in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// No plugin claims the target.
    #[error("no plugin claims its target")]
    UnknownTarget,
    /// The target has no such action.
    #[error("its target knows no such action")]
    UnknownAction,
    /// The action is not for strangers.
    #[error("its action is not served on a public channel")]
    NotPublic,
    /// It does not name the tally it belongs to.
    #[error("it names no tally")]
    NoRelation,
    /// Its tally does not join its sender and its recipient.
    #[error("its tally does not join its two parties")]
    OtherParties,
    /// There is no such tally.
    #[error("no such tally")]
    UnknownRelation,
}

impl Dropped {
    /// Whether a message that came just before may change it.
    pub fn may_pass(self) -> bool {
        matches!(self, Dropped::OtherParties | Dropped::UnknownRelation)
    }
}

/// That a message may be sent by its sender, as was found before its turn came. It holds for as long as the same
/// generation serves and no relation has changed; that a relation has run out since does not undo it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleared {
    generation: u64,
    relations: u64,
}

/// Whether the message goes anywhere, as far as that is known now.
///
/// # Errors
/// [`Dropped`].
pub fn clear(
    table: &PluginTable,
    relations: &RelationRegistry,
    message: &Message,
    now: Timestamp,
) -> Result<Cleared, Dropped> {
    // Read first: what changes meanwhile makes it void.
    let version = relations.version();
    let (serving, target) = claimed(table, message)?;
    if !message.restricted {
        joined(relations, &[], target, message, now)?;
    }
    Ok(Cleared { generation: serving.generation(), relations: version })
}

/// The plugin that the message is for, inside a batch that has made these changes, of which the registry has not
/// been told yet.
///
/// # Errors
/// [`Dropped`].
pub fn route_within(
    table: &PluginTable,
    relations: &RelationRegistry,
    changes: &[RelationChange],
    message: &Message,
    cleared: Option<Cleared>,
    now: Timestamp,
) -> Result<String, Dropped> {
    let (serving, target) = claimed(table, message)?;
    let holds = |cleared: Cleared| {
        changes.is_empty() && cleared == Cleared { generation: serving.generation(), relations: relations.version() }
    };
    if !message.restricted && !cleared.is_some_and(holds) {
        joined(relations, changes, target, message, now)?;
    }
    Ok(serving.manifest().name.clone())
}

/// Who claims a message.
fn claimed<'t>(table: &'t PluginTable, message: &Message) -> Result<(&'t Arc<Serving>, &'t Target), Dropped> {
    let (serving, target) = table.claiming(&message.target).ok_or(Dropped::UnknownTarget)?;
    if !target.actions.contains(&message.action) {
        return Err(Dropped::UnknownAction);
    }
    let answers = message.asked && target.answers.contains(&message.action);
    if message.restricted && !answers && !target.restricted.contains(&message.action) {
        return Err(Dropped::NotPublic);
    }
    Ok((serving, target))
}

fn joined(
    relations: &RelationRegistry,
    changes: &[RelationChange],
    target: &Target,
    message: &Message,
    now: Timestamp,
) -> Result<(), Dropped> {
    let subject = match &target.relation {
        None => return Ok(()),
        Some(RelationMember::Envelope) => match &message.tally {
            // Messages of such a target that run over no tally prove themselves.
            None => return Ok(()),
            Some(tally) => Some(tally.clone()),
        },
        Some(RelationMember::Object(member)) => text_member(&message.body, member).map(str::to_owned),
    };
    let unrelated = target.unrelated.contains(&message.action);
    let (Some(user), Some(partner)) = (&message.to.cuid, &message.from.cuid) else {
        return Err(Dropped::OtherParties);
    };
    let Some(subject) = subject else {
        return if unrelated { Ok(()) } else { Err(Dropped::NoRelation) };
    };
    match joins(relations, changes, user, &subject, partner, &message.from.agent, now) {
        Verdict::Joined => Ok(()),
        Verdict::OtherParties => Err(Dropped::OtherParties),
        Verdict::Unknown if unrelated => Ok(()),
        Verdict::Unknown => Err(Dropped::UnknownRelation),
    }
}

/// [`RelationRegistry::joins`], as it will answer once it knows of the changes.
fn joins(
    relations: &RelationRegistry,
    changes: &[RelationChange],
    user: &str,
    subject: &str,
    partner: &str,
    agent: &AgentId,
    now: Timestamp,
) -> Verdict {
    let before = || relations.joins(user, subject, partner, agent, now);
    let about = |granted: &Granted| granted.relation.user == user && granted.relation.subject == subject;
    let mut changes = changes.iter().filter(|change| about(of(change))).peekable();
    if changes.peek().is_none() {
        return before();
    }
    let mut held = relations.of(agent, now);
    held.retain(about);
    let mut others = false;
    for change in changes {
        let granted = of(change);
        if &granted.relation.agent == agent {
            held.retain(|one| one.plugin != granted.plugin);
        }
        if matches!(change, RelationChange::Granted(_)) {
            others = true;
            held.extend(Some(granted.clone()).filter(|granted| &granted.relation.agent == agent));
        }
    }
    let runs = |one: &Granted| one.relation.until.is_none_or(|until| now < until);
    let fits = |one: &Granted| one.relation.partner.is_empty() || one.relation.partner == partner;
    if held.iter().any(|one| runs(one) && fits(one)) {
        Verdict::Joined
    } else if others || before() == Verdict::OtherParties {
        Verdict::OtherParties
    } else {
        Verdict::Unknown
    }
}

fn of(change: &RelationChange) -> &Granted {
    match change {
        RelationChange::Granted(granted) | RelationChange::Ended(granted) => granted,
    }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
