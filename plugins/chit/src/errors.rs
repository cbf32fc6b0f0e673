//! Why a user's act was refused, or a message ignored.

use crate::limits;
use crate::state::State;
use crate::table::{Guard, Happening, RULES};
use crate::variables::Wrong;
use tallyho_plugin::record::RecordError;
use tallyho_plugin::record::limits::MAX_INTEGER;
use tallyho_plugin::{Fault, FaultKind};

/// Why an act was refused. All are the operator's to mend; none is counted against the plugin.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// No such tally.
    #[error("no tally here has a uuid that begins with {0}")]
    NoTally(String),
    /// A prefix of several.
    #[error("{count} tallies here have a uuid that begins with {prefix}")]
    Ambiguous {
        /// As given.
        prefix: String,
        /// How many, at least.
        count: usize,
    },
    /// Both halves are ours.
    #[error("both halves of tally {tally} belong to users of this site: {holders}")]
    WhoseHalf {
        /// The tally.
        tally: String,
        /// Their names.
        holders: String,
    },
    /// A draft, an offer, void.
    #[error("tally {0} is not open: it takes no chits")]
    NotOpen(String),
    /// No such chit.
    #[error("tally {tally} has no chit whose uuid begins with {chit}")]
    NoChit {
        /// The tally.
        tally: String,
        /// As given.
        chit: String,
    },
    /// A prefix of several.
    #[error("several chits of tally {tally} have a uuid that begins with {chit}")]
    SeveralChits {
        /// The tally.
        tally: String,
        /// As given.
        chit: String,
    },
    /// Not in this state.
    #[error("chit {chit} is in state {}; {act} is possible in {possible}", .state.code())]
    State {
        /// The chit.
        chit: String,
        /// The state.
        state: State,
        /// The act.
        act: &'static str,
        /// States, in words.
        possible: String,
    },
    /// Somebody else's to sign (PROTOCOL 5.6, C11).
    #[error("chit {chit} is not {holder}'s to sign or to send: it is by the other side of the tally")]
    OtherSide {
        /// The chit.
        chit: String,
        /// Whose half it is.
        holder: String,
    },
    /// `close`.
    #[error("tally {0} is closed")]
    Closed(String),
    /// Settling.
    #[error("tally {0} is closing: it takes what settles it, and no lifts")]
    Closing(String),
    /// Index 0 is not acknowledged.
    #[error("tally {0} is not confirmed by the partner yet")]
    Unconfirmed(String),
    /// Chain in `err`.
    #[error("the two halves of tally {0} disagree, which a person has to settle first")]
    Broken(String),
    /// Not an amount.
    #[error("units {0}: expected a whole number of milli-CHIPs from 1 to {MAX_INTEGER}")]
    Units(String),
    /// Too far from zero.
    #[error("tally {tally} has a balance of {net}; it must stay within {} either way", limits::BALANCE)]
    Range {
        /// The tally.
        tally: String,
        /// Its balance.
        net: i64,
    },
    /// Beyond what the sums hold.
    #[error("the balance of tally {0} would leave the range of 64 bits")]
    Overflow(String),
    /// Too many invoices.
    #[error("{invoices} invoices of the partner wait on tally {tally} already")]
    Crowded {
        /// The tally.
        tally: String,
        /// How many.
        invoices: u64,
    },
    /// C12 at once.
    #[error("the signature of {holder} does not stand over chit {chit}")]
    BadSignature {
        /// Whose.
        holder: String,
        /// The chit.
        chit: String,
    },
    /// PROTOCOL 5.3.
    #[error("{0}")]
    Invalid(String),
    /// The record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Trading variables out of bounds.
    #[error(transparent)]
    Variable(#[from] Wrong),
    /// Settings that are none.
    #[error("settings: {0}")]
    Settings(String),
    /// A lift names a half twice.
    #[error("tally {0} is named twice for one holder")]
    Twice(String),
    /// Nothing to mend.
    #[error("the halves of tally {0} are not in disagreement")]
    NotBroken(String),
    /// Another guard.
    #[error("it does not fit what is here ({0:?})")]
    Guard(Guard),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        use Refusal::*;
        let text = refusal.to_string();
        let (kind, code, fix) = match refusal {
            NoTally(_) => (FaultKind::NotFound, "no-such-tally", "see `tally list`".to_owned()),
            Ambiguous { .. } => (FaultKind::Usage, "ambiguous", "give more of it; see `tally list`".to_owned()),
            WhoseHalf { .. } => (FaultKind::Usage, "whose", "say which with --user CUID".to_owned()),
            NotOpen(tally) => (FaultKind::Refused, "state", format!("see `tally show {tally}`")),
            NoChit { tally, .. } => (FaultKind::NotFound, "no-such-chit", format!("see `chit list {tally}`")),
            SeveralChits { tally, .. } => {
                (FaultKind::Usage, "ambiguous", format!("give more of it; see `chit list {tally}`"))
            }
            State { state, chit, .. } => (FaultKind::Refused, "state", next_step(state, &chit)),
            // The reference's code for it.
            OtherSide { .. } => {
                (FaultKind::Refused, "ILI", "only the partner can; `chit ask` asks for a payment".to_owned())
            }
            Closed(_) => (FaultKind::Refused, "closed", "begin a new tally with `ticket new`".to_owned()),
            Closing(_) => (FaultKind::Refused, "closing", "use another tally".to_owned()),
            Unconfirmed(tally) => {
                let fix = format!("wait until the partner's site has answered, or `tally resend {tally}`");
                (FaultKind::Refused, "unconfirmed", fix)
            }
            Broken(tally) => {
                let fix = format!("see `tally show {tally}`, agree with the partner, then `chit mend {tally}`");
                (FaultKind::Refused, "err", fix)
            }
            Units(_) => (FaultKind::Usage, "units", "for example 1234500 for 1,234.5 CHIPs".to_owned()),
            Range { .. } | Overflow(_) => (FaultKind::Refused, "range", "settle some of it first".to_owned()),
            Crowded { tally, .. } => {
                (FaultKind::Refused, "crowded", format!("accept or refuse some; see `chit list {tally}`"))
            }
            BadSignature { chit, .. } => {
                let fix = format!("sign exactly what `chit text TALLY {chit}` prints, with the key named in the tally");
                (FaultKind::Refused, "signature", fix)
            }
            Invalid(_) => (FaultKind::Refused, "invalid", "see PROTOCOL 5.3 and 9.6".to_owned()),
            Record(_) => (FaultKind::Usage, "record", "change what is named here".to_owned()),
            Variable(_) | Settings(_) => {
                let example = "for example '{\"target\":10000,\"bound\":50000,\"reward\":0.02,\"clutch\":0.001}'";
                (FaultKind::Usage, "settings", example.to_owned())
            }
            Twice(_) => (FaultKind::Usage, "twice", "a path uses a tally once (PROTOCOL 7.3)".to_owned()),
            NotBroken(tally) => (FaultKind::Refused, "state", format!("see `tally show {tally}`")),
            Guard(_) => (FaultKind::Refused, "state", "see `chit show`".to_owned()),
        };
        Fault::new(kind, text).code(code).fix(fix)
    }
}

/// The refusal of an act for which no row of the table applies, `why` being what guards have said.
pub fn refused(chit: &str, state: State, on: Happening, why: Vec<Refusal>) -> Refusal {
    match why.into_iter().next_back() {
        Some(refusal) => refusal,
        None => Refusal::State { chit: chit.to_owned(), state, act: act(on), possible: possible(on) },
    }
}

/// The states in which an act is possible, from the table itself.
fn possible(on: Happening) -> String {
    let states = RULES.iter().filter(|rule| rule.on == on).flat_map(|rule| rule.from);
    let mut codes: Vec<&str> = states.map(|state| state.code()).collect();
    codes.dedup();
    codes.join(", ")
}

fn act(on: Happening) -> &'static str {
    match on {
        Happening::UserAsk => "asking for it",
        Happening::UserDraft => "drafting it",
        Happening::UserPay => "signing it",
        Happening::UserRefuse => "refusing it",
        Happening::UserResend => "sending it again",
        Happening::LiftReserved => "reserving it for a lift",
        Happening::LiftGood => "completing it",
        Happening::LiftVoid => "giving it back",
        _ => "this",
    }
}

/// What a user can do in this state.
fn next_step(state: State, chit: &str) -> String {
    match state {
        State::None => "begin with `chit pay` or `chit ask`".to_owned(),
        State::LDraft => format!("`chit accept TALLY {chit} --signature ...` or `chit refuse TALLY {chit}`"),
        State::LPend => format!("`chit accept TALLY {chit}` or `chit refuse TALLY {chit}`"),
        State::APend => format!("wait for the partner, or `chit resend TALLY {chit}`"),
        State::AVoid => format!("ask again with `chit ask TALLY UNITS --again {chit}`"),
        State::ADraftPend | State::LPendVoid => {
            format!("wait until it has been sent, or try again with `chit resend TALLY {chit}`")
        }
        State::LGood | State::LGoodGood => "it is signed, and binds: pay or ask to set it right".to_owned(),
        State::AGood => "it is the partner's, and binds".to_owned(),
        State::LVoid => format!("`chit resend TALLY {chit}` sends the refusal again; otherwise wait to be asked anew"),
        State::LPendGood | State::LiftPend | State::LiftVoid => "nothing: it is under way by itself".to_owned(),
    }
}
