//! Which plugin a message is for, and whether its sender may send it (PROTOCOL 3.1, checks 2 and 5).

use super::table::PluginTable;
use crate::site::relations::{RelationRegistry, Verdict};
use crate::wire::envelope::text_member;
use tallyho_plugin::manifest::RelationMember;
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

/// The plugin that the message is for.
///
/// # Errors
/// [`Dropped`].
pub fn route(
    table: &PluginTable,
    relations: &RelationRegistry,
    message: &Message,
    now: tallyho_plugin::record::Timestamp,
) -> Result<String, Dropped> {
    let (serving, target) = table.claiming(&message.target).ok_or(Dropped::UnknownTarget)?;
    if !target.actions.contains(&message.action) {
        return Err(Dropped::UnknownAction);
    }
    if message.restricted {
        return match target.restricted.contains(&message.action) {
            true => Ok(serving.manifest().name.clone()),
            false => Err(Dropped::NotPublic),
        };
    }
    joined(relations, target, message, now)?;
    Ok(serving.manifest().name.clone())
}

fn joined(
    relations: &RelationRegistry,
    target: &Target,
    message: &Message,
    now: tallyho_plugin::record::Timestamp,
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
    match relations.joins(user, &subject, partner, &message.from.agent, now) {
        Verdict::Joined => Ok(()),
        Verdict::OtherParties => Err(Dropped::OtherParties),
        Verdict::Unknown if unrelated => Ok(()),
        Verdict::Unknown => Err(Dropped::UnknownRelation),
    }
}
