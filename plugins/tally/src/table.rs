//! The rules of a tally as data (PROTOCOL 4.5): what may happen in which state, under which guards,
//! with which effects. Everything not listed is ignored (a message) or refused (a user's act).

use crate::state::State;
use State::{
    COpen, Draft, DraftOffer, HOffer, None as Nothing, OfferDraft, OfferOpen, OfferVoid, Open, OpenOpen, PDraft,
    POffer, Unconfirmed, Void,
};

/// What can happen to a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Happening {
    /// U: begin a draft.
    UserDraft,
    /// U: change the draft.
    UserEdit,
    /// U: delete the draft.
    UserDelete,
    /// U: offer it, signed.
    UserOffer,
    /// U: refuse the partner's offer.
    UserRefuse,
    /// U: withdraw our offer.
    UserWithdraw,
    /// U: revise the partner's offer.
    UserRevise,
    /// U: accept the partner's offer, signed.
    UserAccept,
    /// U: send it again.
    UserResend,
    /// P: a ticket that leads here.
    PeerTicket,
    /// P: `offer`.
    PeerOffer,
    /// P: `draft`.
    PeerDraft,
    /// P: `void`.
    PeerVoid,
    /// P: `open`.
    PeerOpen,
    /// P: `chit/chain` `ack` of index 0.
    PeerAck,
    /// A: a signature of ours turned out bad.
    SignatureBad,
    /// A: the transport took the message that carries out the request.
    HandedOver,
    /// A: the transport has given that message up.
    TransportFailed,
    /// I: a `set` chit with `close` got linked.
    CloseLinked,
    /// I: balance zero, nothing pending, nothing unlinked.
    Settled,
    /// I: after that, a valid chit of the partner's got linked.
    Reopened,
}

/// What must hold for a rule to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The ticket presented is valid for one use.
    OneTimeToken,
    /// The ticket presented is a decal.
    ReusableToken,
    /// The ticket was consumed by the same party before (PROTOCOL 2.4, repeat rule).
    Repeat,
    /// Partner certificate and `agree` are present.
    PartnerAndAgree,
    /// Both signatures are stored once the user's own is.
    BothStored,
    /// `ok` of PROTOCOL 4.4.
    Acceptable,
    /// Our user presented a ticket to that party, or shares a tally with it (O-27).
    Invited,
    /// The revision is higher than ours.
    HigherRevision,
    /// The revision is ours or higher.
    SameOrHigherRevision,
    /// It is neither what was turned down nor a late copy of anything before that (11.3, O-20): the
    /// revision is higher than ours, or the same with another core.
    NewProposal,
    /// It is what was turned down, word for word: the partner has not heard of that.
    TurnedDown,
    /// The partner has not said before that it revises this offer (11.3).
    FirstWord,
    /// The core is the one we offered.
    CoreAsOffered,
    /// The hash is that of our core.
    HashAsOurs,
    /// Index 0 is not confirmed yet.
    NotConfirmed,
    /// There are no chits.
    NoChits,
    /// A setting has begun the closing.
    Closing,
    /// None has.
    NotClosing,
    /// Both signatures stand over what was received.
    BothVerify,
    /// Same core hash as ours.
    SameCore,
    /// Another core hash than ours.
    OtherCore,
    /// The site accepts lost tallies from its partners (O-46).
    RecoveryAllowed,
}

/// What a rule does, in this order, before the next state is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Random uuid, revision 1, own certificate.
    MakeDraft,
    /// What the user changes is changed.
    ApplyEdit,
    /// Own signature removed.
    ClearOwnSignature,
    /// The row goes, its tokens die.
    Remove,
    /// The presented certificate becomes the partner's.
    SetPartner,
    /// A copy of the template for the presenting party.
    CloneTemplate,
    /// Own signature stored.
    StoreOwnSignature,
    /// The message that carries out the request is sent, once our own signatures are found good.
    Raise,
    /// It is shown as stalled until the next act or restart.
    Stall,
    /// The offer received becomes the content, with the partner's signature alone.
    StoreOffer,
    /// Revision + 1, both signatures removed.
    TakeBack,
    /// The partner's signature stored.
    StorePartnerSignature,
    /// Hash and settings as of now; the core is frozen.
    Freeze,
    /// `conf` := null, and `open` will be repeated until confirmed.
    Unconfirm,
    /// `conf` := 0.
    Confirm,
    /// The tally received becomes ours, both signatures with it.
    StoreLost,
    /// `chit/chain` `ack` of index 0.
    SendAck,
    /// `void` as the answer to one message.
    AnswerVoid,
    /// The offer is sent again as it was.
    OfferAgain,
    /// Both logs.
    Alarm,
    /// The partner is at work on a counter-offer.
    MarkRevised,
    /// No new chits but those that settle.
    MarkClosing,
    /// The user is told, with a reason where the rule gives one.
    Notify(&'static str),
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Number in PROTOCOL 4.5, or the section that the row comes from.
    pub id: &'static str,
    /// States it applies in.
    pub from: &'static [State],
    /// What happens.
    pub on: Happening,
    /// All must hold.
    pub guards: &'static [Guard],
    /// What is done.
    pub effects: &'static [Effect],
    /// The state afterwards; `None`: the same. `Open` stands for whichever of `Unconfirmed`, `Open` and
    /// `C.open` the stored flags say.
    pub next: Option<State>,
}

macro_rules! rule {
    ($id:literal, [$($from:expr),*], $on:ident, [$($guard:ident),*], [$($effect:expr),*]) => {
        Rule { id: $id, from: &[$($from),*], on: Happening::$on, guards: &[$(Guard::$guard),*],
            effects: { #[allow(unused_imports)] use Effect::*; &[$($effect),*] }, next: None }
    };
    ($id:literal, [$($from:expr),*], $on:ident, [$($guard:ident),*], [$($effect:expr),*], $next:expr) => {
        Rule { id: $id, from: &[$($from),*], on: Happening::$on, guards: &[$(Guard::$guard),*],
            effects: { #[allow(unused_imports)] use Effect::*; &[$($effect),*] }, next: Some($next) }
    };
}

/// The table. Where several rows fit state and happening, the first whose guards hold applies.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    rule!("T1",  [Nothing],       UserDraft,   [], [MakeDraft], Draft),
    rule!("T2",  [Draft, PDraft], UserEdit,    [], [ApplyEdit, ClearOwnSignature]),
    rule!("T3",  [Draft, PDraft], UserDelete,  [], [Remove], Nothing),
    rule!("T4",  [Draft],         PeerTicket,  [OneTimeToken], [SetPartner, Notify("ticket")], PDraft),
    rule!("T5",  [Draft],         PeerTicket,  [ReusableToken], [CloneTemplate]),
    rule!("T6",  [PDraft],        PeerTicket,  [OneTimeToken], [SetPartner, ClearOwnSignature, Notify("ticket")]),
    rule!("T7",  [Draft, PDraft], UserOffer,   [PartnerAndAgree], [StoreOwnSignature, Raise], DraftOffer),
    rule!("T8",  [DraftOffer],    SignatureBad, [], [ClearOwnSignature, Notify("offer")], PDraft),
    rule!("T9",  [DraftOffer],    HandedOver,  [], [], HOffer),
    rule!("T10", [DraftOffer, OfferVoid, OfferDraft, OfferOpen, OpenOpen, Unconfirmed, COpen], TransportFailed, [],
                                               [Stall, Notify("stalled")]),
    rule!("T11", [Nothing],       PeerOffer,   [Invited, Acceptable], [StoreOffer, Notify("offer")], POffer),
    rule!("T11", [Void],          PeerOffer,   [NewProposal, Acceptable], [StoreOffer, Notify("offer")], POffer),
    rule!("T12", [HOffer],        PeerOffer,   [HigherRevision, Acceptable], [StoreOffer, Notify("offer")], POffer),
    rule!("T13", [POffer],        PeerOffer,   [SameOrHigherRevision, Acceptable], [StoreOffer, Notify("offer")]),
    rule!("T14", [POffer],        UserRefuse,  [], [Raise], OfferVoid),
    rule!("T15", [HOffer],        UserWithdraw, [], [Raise], OfferVoid),
    rule!("T16", [OfferVoid],     HandedOver,  [], [], Void),
    rule!("T17", [POffer],        UserRevise,  [], [Raise], OfferDraft),
    rule!("T18", [OfferDraft],    HandedOver,  [], [TakeBack], PDraft),
    rule!("T19", [POffer],        UserAccept,  [BothStored], [StoreOwnSignature, Raise], OfferOpen),
    rule!("T20", [OfferOpen],     SignatureBad, [], [ClearOwnSignature, Notify("open")], POffer),
    rule!("T21", [OfferOpen],     HandedOver,  [], [Freeze, Unconfirm], Unconfirmed),
    rule!("T22", [HOffer],        PeerOpen,    [CoreAsOffered, Acceptable],
                                               [StorePartnerSignature, Freeze, Confirm, SendAck, Notify("open")], Open),
    rule!("T23", [HOffer],        PeerVoid,    [], [Notify("void")], Void),
    rule!("T24", [HOffer],        PeerDraft,   [FirstWord], [MarkRevised, Notify("draft")]),
    rule!("T25", [POffer],        PeerVoid,    [], [Notify("void")], Void),
    rule!("T26", [Unconfirmed, OpenOpen, COpen], PeerAck, [NotConfirmed, HashAsOurs],
                                               [Confirm, Notify("confirmed")]),
    rule!("T27", [Unconfirmed],   PeerVoid,    [NoChits], [Notify("withdrawn")], Void),
    rule!("T28", [Void],          PeerOpen,    [BothVerify], [AnswerVoid]),
    rule!("T29", [Unconfirmed, Open, OpenOpen, COpen], PeerOpen, [SameCore], [SendAck]),
    rule!("T30", [Unconfirmed, Open, OpenOpen, COpen], PeerOpen, [OtherCore], [Alarm, Notify("conflict")]),
    rule!("T31", [Unconfirmed, Open, COpen], UserResend, [], [Raise], OpenOpen),
    rule!("T32", [OpenOpen],      HandedOver,  [], [], Open),
    rule!("T33", [Nothing],       PeerOpen,    [RecoveryAllowed, Acceptable],
                                               [StoreLost, Freeze, Confirm, SendAck, Notify("recovered")], Open),
    rule!("T34", [Unconfirmed, Open], CloseLinked, [NotClosing], [MarkClosing, Notify("closing")], COpen),
    // The request stays; once it is carried out the state is C.open (4.2).
    rule!("T34", [OpenOpen],      CloseLinked, [NotClosing], [MarkClosing, Notify("closing")]),
    rule!("T35", [COpen, OpenOpen], Settled,   [Closing], [Notify("close")], State::Close),
    rule!("T36", [State::Close],  Reopened,    [], [Notify("reopened")], COpen),
    // A consumed ticket presented again by the same party (PROTOCOL 2.4).
    rule!("2.4", [HOffer],        PeerTicket,  [Repeat], [OfferAgain]),
    // The user's next act repeats what was lost or has stalled (PROTOCOL 4.6, 11.2, 11.3).
    rule!("11.3", [HOffer],       UserResend,  [], [OfferAgain]),
    // The offer that was turned down, repeated: the `void` has not got there, or the copy is late.
    rule!("11.3", [Void],         PeerOffer,   [TurnedDown], [AnswerVoid]),
    rule!("11.2", [DraftOffer],   UserOffer,   [], [Raise]),
    rule!("11.2", [OfferVoid],    UserRefuse,  [], [Raise]),
    rule!("11.2", [OfferVoid],    UserWithdraw, [], [Raise]),
    rule!("11.2", [OfferDraft],   UserRevise,  [], [Raise]),
    rule!("11.2", [OfferOpen],    UserAccept,  [], [Raise]),
    rule!("11.2", [DraftOffer, OfferVoid, OfferDraft, OfferOpen, OpenOpen], UserResend, [], [Raise]),
];

impl Happening {
    /// All of them.
    pub const ALL: [Happening; 21] = [
        Happening::UserDraft,
        Happening::UserEdit,
        Happening::UserDelete,
        Happening::UserOffer,
        Happening::UserRefuse,
        Happening::UserWithdraw,
        Happening::UserRevise,
        Happening::UserAccept,
        Happening::UserResend,
        Happening::PeerTicket,
        Happening::PeerOffer,
        Happening::PeerDraft,
        Happening::PeerVoid,
        Happening::PeerOpen,
        Happening::PeerAck,
        Happening::SignatureBad,
        Happening::HandedOver,
        Happening::TransportFailed,
        Happening::CloseLinked,
        Happening::Settled,
        Happening::Reopened,
    ];
}

/// The rows that may apply, in order.
pub fn rows(state: State, on: Happening) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.on == on && rule.from.contains(&state))
}

#[cfg(test)]
mod tests;
