//! What state a half of a tally is in (PROTOCOL 4.2).

use serde::{Deserialize, Serialize};

/// The durable status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being drafted.
    Draft,
    /// On offer, signed by one side.
    Offer,
    /// In force.
    Open,
    /// Settled for good.
    Close,
    /// Refused or withdrawn.
    Void,
}

/// What the user has asked for and the agent has yet to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Take the partner's offer back for redrafting.
    Draft,
    /// Offer.
    Offer,
    /// Accept, or send the acceptance again.
    Open,
    /// Refuse or withdraw.
    Void,
}

/// The state that the rules speak of. `B.offer` is no member: both signatures and the request to open
/// are stored in the same event, so it is `offer.open` by the time anybody could see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// The site has no such tally for that holder.
    None,
    /// A draft whose partner is not known.
    Draft,
    /// A draft whose partner is known; it is our user's turn.
    PDraft,
    /// Our offer is on its way.
    DraftOffer,
    /// Our offer is with the partner.
    HOffer,
    /// The partner's offer is with us; it is our user's turn.
    POffer,
    /// Our refusal or withdrawal is on its way.
    OfferVoid,
    /// Our wish to revise the partner's offer is on its way.
    OfferDraft,
    /// Our acceptance is on its way.
    OfferOpen,
    /// Open here; whether it is open at the partner's is not known.
    Unconfirmed,
    /// Open here and there.
    Open,
    /// Open, our acceptance being sent again.
    OpenOpen,
    /// Open until the balance is zero.
    COpen,
    /// Settled for good.
    Close,
    /// Refused or withdrawn.
    Void,
}

impl State {
    /// All of them.
    pub const ALL: [State; 15] = [
        State::None,
        State::Draft,
        State::PDraft,
        State::DraftOffer,
        State::HOffer,
        State::POffer,
        State::OfferVoid,
        State::OfferDraft,
        State::OfferOpen,
        State::Unconfirmed,
        State::Open,
        State::OpenOpen,
        State::COpen,
        State::Close,
        State::Void,
    ];

    /// The state code of PROTOCOL 4.2.
    pub fn code(self) -> &'static str {
        match self {
            State::None => "none",
            State::Draft => "draft",
            State::PDraft => "P.draft",
            State::DraftOffer => "draft.offer",
            State::HOffer => "H.offer",
            State::POffer => "P.offer",
            State::OfferVoid => "offer.void",
            State::OfferDraft => "offer.draft",
            State::OfferOpen => "offer.open",
            State::Unconfirmed | State::Open => "open",
            State::OpenOpen => "open.open",
            State::COpen => "C.open",
            State::Close => "close",
            State::Void => "void",
        }
    }

    /// Status and request stored in this state; nothing is stored in `None`.
    pub fn stored(self) -> Option<(Status, Option<Request>)> {
        Some(match self {
            State::None => return None,
            State::Draft | State::PDraft => (Status::Draft, None),
            State::DraftOffer => (Status::Draft, Some(Request::Offer)),
            State::HOffer | State::POffer => (Status::Offer, None),
            State::OfferVoid => (Status::Offer, Some(Request::Void)),
            State::OfferDraft => (Status::Offer, Some(Request::Draft)),
            State::OfferOpen => (Status::Offer, Some(Request::Open)),
            State::Unconfirmed | State::Open | State::COpen => (Status::Open, None),
            State::OpenOpen => (Status::Open, Some(Request::Open)),
            State::Close => (Status::Close, None),
            State::Void => (Status::Void, None),
        })
    }
}
