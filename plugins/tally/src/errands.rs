//! Messages that carry out a request, and their repeats (PROTOCOL 4.3, 11.2).

use crate::half::Half;
use crate::limits;
use crate::state::Request;
use serde_json::json;
use tallyho_plugin::record::canonical;
use tallyho_plugin::services::Outgoing;
use tallyho_plugin::{Context, Fault};

/// The action of a message that carries out a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Signed proposal.
    Offer,
    /// Being revised.
    Draft,
    /// No.
    Void,
    /// Accepted.
    Open,
}

/// A message on its way, by what it is about: its name in the outbox and, for repeats of `open`, the
/// name of the timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// What it says.
    pub verb: Verb,
    /// For whom.
    pub holder: String,
    /// About which tally.
    pub uuid: String,
    /// About which revision of it.
    pub revision: i64,
}

impl Verb {
    const ALL: [Verb; 4] = [Verb::Offer, Verb::Draft, Verb::Void, Verb::Open];

    fn name(self) -> &'static str {
        match self {
            Verb::Offer => "offer",
            Verb::Draft => "draft",
            Verb::Void => "void",
            Verb::Open => "open",
        }
    }

    /// The message that carries out a request.
    pub fn of(request: Request) -> Verb {
        match request {
            Request::Offer => Verb::Offer,
            Request::Draft => Verb::Draft,
            Request::Void => Verb::Void,
            Request::Open => Verb::Open,
        }
    }
}

impl Errand {
    /// The errand of this half.
    pub fn of(half: &Half, verb: Verb) -> Self {
        Errand { verb, holder: half.holder.clone(), uuid: half.uuid.clone(), revision: half.revision() }
    }

    /// `offer/HOLDER/UUID/REVISION`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}/{}", self.verb.name(), self.holder, self.uuid, self.revision)
    }

    /// Reads a key back; `None` for other keys.
    pub fn parse(key: &str) -> Option<Self> {
        // None of the parts holds a slash (PROTOCOL 1.1).
        let mut parts = key.split('/');
        let verb = parts.next()?;
        let verb = Verb::ALL.into_iter().find(|known| known.name() == verb)?;
        let (holder, uuid) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let revision = parts.next()?.parse().ok()?;
        Some(Errand { verb, holder, uuid, revision })
    }
}

/// Sends the message that carries out a half's request, once our own signatures are found good. False
/// where one is bad: nothing is sent then (T8, T20).
///
/// # Errors
/// The host's faults.
pub fn raise(context: &mut Context<'_>, half: &Half) -> Result<bool, Fault> {
    let Some(request) = half.request else { return Ok(true) };
    let verb = Verb::of(request);
    let good = match verb {
        Verb::Offer => own_stands(context, half),
        Verb::Open => own_stands(context, half) && partner_stands(context, half),
        Verb::Draft | Verb::Void => true,
    };
    if good {
        send(context, half, verb)?;
    }
    Ok(good)
}

/// Sends a message about this half to its partner. One that waits under the same key is replaced.
///
/// # Errors
/// The host's faults.
pub fn send(context: &mut Context<'_>, half: &Half, verb: Verb) -> Result<(), Fault> {
    let Some(partner) = half.partner() else {
        return Err(Fault::failed(format!("tally {} has no partner to send {} to", half.name(), verb.name())));
    };
    let object = match verb {
        Verb::Offer | Verb::Open => half.record(),
        Verb::Draft | Verb::Void => json!({ "uuid": half.uuid }),
    };
    let mut message = Outgoing::new(partner, &half.holder, "tally", verb.name(), &object)?;
    message.key = Errand::of(half, verb).key();
    message.report = true;
    context.send(&message)
}

/// Sets the timer for the next copy of `open` (PROTOCOL 11.2).
///
/// # Errors
/// The host's faults.
pub fn repeat_later(context: &mut Context<'_>, half: &Half) -> Result<(), Fault> {
    let at = context.now().plus(delay(half.copies, u32::from_le_bytes(context.random())));
    context.set_timer(&Errand::of(half, Verb::Open).key(), at)
}

/// Milliseconds before the attempt after the n-th: min(5 s x n, 5 min), 20 % more or less.
fn delay(copies: u32, random: u32) -> i64 {
    let middle = (limits::REPEAT_STEP * i64::from(copies.max(1))).min(limits::REPEAT_MOST);
    let fifth = middle / 5;
    middle - fifth + i64::from(random) % (2 * fifth + 1)
}

fn own_stands(context: &mut Context<'_>, half: &Half) -> bool {
    stands(context, half, &half.own_cert()["public"].clone(), half.own_sign.as_deref())
}

fn partner_stands(context: &mut Context<'_>, half: &Half) -> bool {
    stands(context, half, &half.partner_cert()["public"].clone(), half.partner_sign.as_deref())
}

fn stands(context: &mut Context<'_>, half: &Half, public: &serde_json::Value, signature: Option<&str>) -> bool {
    let (Some(signature), Ok(text)) = (signature, canonical(&half.core)) else { return false };
    context.verify_user(public, text.as_bytes(), signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_follow_the_schedule_within_a_fifth() {
        for (copies, seconds) in [(0, 5), (1, 5), (2, 10), (59, 295), (60, 300), (99, 300)] {
            for random in [0, 1, 12_345, u32::MAX] {
                let delay = delay(copies, random);
                assert!((seconds * 800..=seconds * 1200).contains(&delay), "{copies}: {delay}");
            }
        }
    }

    #[test]
    fn a_key_is_read_back_and_others_are_not() {
        let errand = Errand { verb: Verb::Void, holder: "alice".into(), uuid: "u".into(), revision: 3 };
        assert_eq!(Errand::parse(&errand.key()), Some(errand));
        assert_eq!(Errand::parse("ticket:abc"), None);
        assert_eq!(Errand::parse("offer/alice/u"), None);
    }
}
