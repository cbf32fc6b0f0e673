//! Why a user's act was refused.

use crate::half::Half;
use crate::state::State;
use crate::table::{Guard, Happening, RULES};
use tallyho_plugin::{Fault, FaultKind};

/// Why a user's act was refused. All are the operator's to mend; none is counted against the plugin.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such tally.
    #[error("no tally here has a uuid that begins with {0}")]
    Unknown(String),
    /// A prefix of several.
    #[error("{count} tallies here have a uuid that begins with {prefix}")]
    Ambiguous {
        /// As given.
        prefix: String,
        /// How many.
        count: usize,
    },
    /// Both halves are ours.
    #[error("both halves of tally {uuid} belong to users of this site: {holders}")]
    WhoseHalf {
        /// The tally.
        uuid: String,
        /// Their names.
        holders: String,
    },
    /// Not in this state.
    #[error("tally {uuid} of {holder} is in state {}; {act} is possible in {possible}", .state.code())]
    State {
        /// The tally.
        uuid: String,
        /// Whose.
        holder: String,
        /// The state.
        state: State,
        /// The act.
        act: &'static str,
        /// States, in words.
        possible: String,
    },
    /// T7 without a partner.
    #[error("tally {0} has no partner yet")]
    NoPartner(String),
    /// T7 without `agree`.
    #[error("tally {0} names no agreement")]
    NoAgreement(String),
    /// T19 without both signatures.
    #[error("tally {0} does not carry both signatures")]
    Signatures(String),
    /// `C.open` already.
    #[error("tally {0} is closing already; it is in state C.open")]
    Closing(String),
    /// No setting before index 0 is acknowledged (O-21).
    #[error("tally {0} is in state open, but the partner has not confirmed it yet")]
    Unconfirmed(String),
    /// Closing is a setting, and settings are a chit handler's.
    #[error("tally {0} cannot be closed: closing is a setting, and no handler for settings is loaded")]
    NoSettings(String),
    /// More than a message holds.
    #[error("tally {uuid} has {bytes} bytes, and at most {most} fit a message")]
    TooLarge {
        /// The tally.
        uuid: String,
        /// Of its canonical core.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// T8, T20 at once.
    #[error("the signature of {holder} does not stand over tally {uuid}")]
    BadSignature {
        /// Whose.
        holder: String,
        /// The tally.
        uuid: String,
    },
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        use Refusal::*;
        let text = refusal.to_string();
        let (kind, code, fix) = match refusal {
            Unknown(_) => (FaultKind::NotFound, "no-such-tally", "see `tally list`".to_owned()),
            Ambiguous { .. } => (FaultKind::Usage, "ambiguous", "give more of it; see `tally list`".to_owned()),
            WhoseHalf { .. } => (FaultKind::Usage, "whose", "say which with --user CUID".to_owned()),
            State { state, uuid, .. } => (FaultKind::Refused, "state", next_step(state, &uuid)),
            NoPartner(uuid) => {
                let fix = format!("make a ticket with `ticket new --tally {uuid}` and let the partner use it");
                (FaultKind::Refused, "no-partner", fix)
            }
            NoAgreement(uuid) => (FaultKind::Refused, "no-agree", format!("`tally edit {uuid} --agree TEXT-or-JSON`")),
            // The reference's code for it.
            Signatures(uuid) => (FaultKind::Refused, "ISR", format!("sign what `tally text {uuid}` prints")),
            Closing(uuid) => {
                let fix = format!("settle what `tally show {uuid}` has as its balance: at zero the tally closes");
                (FaultKind::Refused, "state", fix)
            }
            Unconfirmed(uuid) => {
                let fix = format!("wait for it, or try again: `tally resend {uuid} --wait confirmed`");
                (FaultKind::Refused, "state", fix)
            }
            NoSettings(_) => {
                (FaultKind::Refused, "no-settings", "load a plugin for chits, which carries settings".to_owned())
            }
            TooLarge { uuid, .. } => {
                let fix = format!("shorten memo, terms or agreement with `tally edit {uuid}`, or the certificates");
                (FaultKind::Refused, "too-large", fix)
            }
            BadSignature { uuid, .. } => {
                let fix =
                    format!("sign exactly what `tally text {uuid}` prints, with the key of the certificate in it");
                (FaultKind::Refused, "signature", fix)
            }
        };
        Fault::new(kind, text).code(code).fix(fix)
    }
}

/// The refusal of an act for which no row of the table applies.
pub fn refused(half: &Half, on: Happening) -> Refusal {
    let (state, uuid) = (half.state(), half.uuid.clone());
    let mut rows = RULES.iter().filter(|rule| rule.on == on);
    match rows.find(|rule| rule.from.contains(&state)) {
        Some(rule) if rule.guards.contains(&Guard::PartnerAndAgree) && half.partner().is_none() => {
            Refusal::NoPartner(uuid)
        }
        Some(rule) if rule.guards.contains(&Guard::PartnerAndAgree) => Refusal::NoAgreement(uuid),
        Some(_) => Refusal::Signatures(uuid),
        None => Refusal::State { uuid, holder: half.holder.clone(), state, act: act(on), possible: possible(on) },
    }
}

/// Why a tally cannot be closed now.
pub fn not_closable(half: &Half) -> Refusal {
    let (state, uuid) = (half.state(), half.uuid.clone());
    match state {
        State::COpen => Refusal::Closing(uuid),
        State::OpenOpen if half.closing => Refusal::Closing(uuid),
        State::Unconfirmed => Refusal::Unconfirmed(uuid),
        _ => {
            Refusal::State { uuid, holder: half.holder.clone(), state, act: "closing it", possible: "open".to_owned() }
        }
    }
}

/// The states in which an act is possible, from the table itself.
fn possible(on: Happening) -> String {
    let states = RULES
        .iter()
        .filter(|rule| rule.on == on && (on == Happening::UserResend || !rule.id.starts_with("11")))
        .flat_map(|rule| rule.from);
    let mut codes: Vec<&str> = states.map(|state| state.code()).collect();
    codes.dedup();
    codes.join(", ")
}

fn act(on: Happening) -> &'static str {
    match on {
        Happening::UserEdit => "editing it",
        Happening::UserDelete => "deleting it",
        Happening::UserOffer => "offering it",
        Happening::UserRefuse => "refusing it",
        Happening::UserWithdraw => "withdrawing it",
        Happening::UserRevise => "revising it",
        Happening::UserAccept => "accepting it",
        Happening::UserResend => "sending it again",
        _ => "this",
    }
}

/// What a user can do in this state.
fn next_step(state: State, uuid: &str) -> String {
    match state {
        State::Draft => format!("make a ticket for it with `ticket new --tally {uuid}`"),
        State::PDraft => format!("edit it, or offer it with `tally offer {uuid}`"),
        State::HOffer => format!("wait for the partner, or `tally withdraw {uuid}`"),
        // O-19: an offer is answered, not countered directly.
        State::POffer => {
            format!("`tally accept {uuid}`, `tally refuse {uuid}`, or `tally revise {uuid}` and then offer")
        }
        State::Void | State::Close => "begin a new one with `ticket new`".to_owned(),
        State::Unconfirmed | State::Open | State::COpen => format!("`tally resend {uuid}` sends the acceptance again"),
        _ => format!("wait until what is under way has been sent, or try it again with `tally resend {uuid}`"),
    }
}
