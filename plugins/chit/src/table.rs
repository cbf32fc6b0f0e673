//! The rules of a single chit as data (PROTOCOL 5.6): what may happen in which state, under which guards,
//! with which effects. Everything not listed is ignored (a message) or refused (a user's act).

use crate::state::State;
use State::{
    ADraftPend, AGood, APend, AVoid, LDraft, LGood, LGoodGood, LPend, LPendGood, LPendVoid, LVoid, LiftPend, LiftVoid,
    None as Nothing,
};

/// What can happen to a chit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Happening {
    /// U: ask the partner for a payment.
    UserAsk,
    /// U: write a pledge or settings, to be signed elsewhere.
    UserDraft,
    /// U: pay or set, signed; also an invoice or a draft as it stands.
    UserPay,
    /// U: refuse an invoice, drop a draft.
    UserRefuse,
    /// U: send it again.
    UserResend,
    /// P: `pend`.
    PeerPend,
    /// P: `void`.
    PeerVoid,
    /// P: `good`, or an entry of an `upd`.
    PeerGood,
    /// A: our user's signature does not stand.
    SignatureBad,
    /// A: our user's signature stands.
    SignatureGood,
    /// A: the transport took the message that carries out the request.
    HandedOver,
    /// A: the transport has given that message up.
    TransportFailed,
    /// I: a lift reserves.
    LiftReserved,
    /// I: a lift was ruled good.
    LiftGood,
    /// I: a lift was ruled void, or its pledge given back.
    LiftVoid,
}

/// What must hold for a rule to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The tally is open or C.open.
    Takes,
    /// Index 0 is confirmed: we may speak (O-21).
    Confirmed,
    /// The balance stays within what every reader keeps exact.
    InRange,
    /// The chit is by the partner's side.
    ByPartner,
    /// The chit is by our side.
    ByUs,
    /// An unsigned `tran` by our side.
    Invoice,
    /// The partner has not left too many invoices here already.
    Room,
    /// PROTOCOL 5.3.
    Valid,
    /// The core is the one stored.
    SameCore,
    /// It is of the lift of which the one stored is, by the same side, whatever words either has besides.
    SameLift,
    /// The core is another than the one stored.
    OtherCore,
    /// The signature is the one stored.
    SameSign,
    /// The tally takes lifts: open, not closing, not in `err` (O-60).
    Lifts,
}

/// What a rule does beside entering its next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What came with it becomes the content.
    Store,
    /// The row goes.
    Remove,
    /// The message that carries out the request is sent.
    Send,
    /// The invoice is sent again as it is.
    PendAgain,
    /// The refusal is sent again.
    VoidAgain,
    /// What waits to be sent of the former request is taken back.
    Withdraw,
    /// It is shown as stalled until the next act or restart.
    Stall,
    /// Our user's signature is checked at once: `SignatureGood` or `SignatureBad` follows.
    Judge,
    /// Linked at the own end and sent (PROTOCOL 6.3, S1).
    Link,
    /// Sent with its chain data as they are now; what the host keeps for the partner counts as handed over.
    Repeat,
    /// The user is told, with this reason.
    Notify(&'static str),
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Number in PROTOCOL 5.6, or the section that the row comes from.
    pub id: &'static str,
    /// States it applies in.
    pub from: &'static [State],
    /// What happens.
    pub on: Happening,
    /// All must hold.
    pub guards: &'static [Guard],
    /// What is done.
    pub effects: &'static [Effect],
    /// The state afterwards; `None`: the same.
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
    rule!("C1",  [Nothing],       UserAsk,     [Takes, Confirmed, ByPartner, InRange], [Store, Send], ADraftPend),
    rule!("C2",  [ADraftPend],    HandedOver,  [], [], APend),
    rule!("C3",  [Nothing, APend, AVoid], PeerGood, [ByPartner, Valid], [Store, Notify("good")], AGood),
    rule!("C3b", [Nothing, LPend, LVoid], PeerGood, [ByUs, Valid], [Store, Notify("own")], LGood),
    rule!("C4",  [APend],         PeerVoid,    [], [Notify("void")], AVoid),
    // The answer came before the transport's word that the question had arrived; by its content it is told
    // from a late copy that refuses what was asked before (C5).
    rule!("C4",  [ADraftPend],    PeerVoid,    [SameCore], [Withdraw, Notify("void")], AVoid),
    rule!("C5",  [AVoid],         UserAsk,     [Takes, Confirmed, ByPartner, InRange], [Store, Send], ADraftPend),
    rule!("C6",  [Nothing],       PeerPend,    [Takes, Invoice, Room], [Store, Notify("pend")], LPend),
    rule!("C7",  [LVoid],         PeerPend,    [OtherCore, Takes, Invoice, Room], [Store, Notify("pend")], LPend),
    rule!("C8",  [LPend],         UserRefuse,  [Takes, Confirmed], [Send], LPendVoid),
    rule!("C9",  [LPendVoid],     HandedOver,  [], [], LVoid),
    rule!("C10", [LPend],         UserPay,     [Takes, Confirmed, ByUs, InRange], [Store, Judge], LPendGood),
    rule!("C11", [Nothing, LDraft], UserPay,   [Takes, Confirmed, ByUs, InRange], [Store, Judge], LPendGood),
    rule!("C12", [LPendGood],     SignatureBad, [], [Notify("signature")], LPend),
    rule!("C13", [LPendGood],     SignatureGood, [Confirmed], [Link], LGood),
    rule!("C14", [LGood],         UserResend,  [Confirmed], [Repeat], LGoodGood),
    rule!("C15", [LGoodGood],     HandedOver,  [], [], LGood),
    rule!("C16", [AGood, LGood],  PeerGood,    [SameCore, SameSign], []),
    rule!("C16", [AGood, LGood],  PeerPend,    [SameCore], []),
    rule!("C17", [AGood, LGood],  PeerGood,    [OtherCore, Valid], []),
    rule!("C18", [Nothing],       LiftReserved, [Confirmed, Lifts, InRange], [Store], LiftPend),
    rule!("C19", [LiftPend],      LiftGood,    [ByPartner, Valid], [Store, Link, Notify("good")], AGood),
    rule!("C19", [LiftPend],      LiftGood,    [ByUs, Valid], [Store, Link, Notify("good")], LGood),
    rule!("C20", [LiftPend],      LiftVoid,    [], [], LiftVoid),
    // A signed chit binds, whatever unsigned stood under its uuid (PROTOCOL 5.3).
    rule!("5.3", [ADraftPend, LDraft, LPend, LPendVoid, LVoid], PeerGood, [ByPartner, Valid],
                                               [Store, Withdraw, Notify("good")], AGood),
    rule!("5.3", [ADraftPend, APend, AVoid, LDraft, LPendVoid], PeerGood, [ByUs, Valid],
                                               [Store, Withdraw, Notify("own")], LGood),
    // A good lift chit is itself a ruling; its receiver takes it also after giving the pledge back, or where
    // the lift was ruled void here.
    rule!("9.6", [LiftPend, LiftVoid], PeerGood, [ByPartner, Valid], [Store, Notify("good")], AGood),
    rule!("9.6", [LiftPend, LiftVoid], PeerGood, [ByUs, Valid], [Store, Notify("good")], LGood),
    rule!("9.6", [LiftVoid],      LiftGood,    [ByPartner, Valid], [Store, Link, Notify("good")], AGood),
    // The chain has brought it before the lift handler did, or the lift handler says it again.
    // Its words bind as ours would: a memo beside them must not keep the rest of the lift from being completed.
    rule!("9.6", [AGood, LGood],  LiftGood,    [SameLift], []),
    rule!("9.6", [LiftVoid],      LiftVoid,    [], []),
    // The same core signed anew (O-30).
    rule!("6.8", [AGood, LGood],  PeerGood,    [SameCore, Valid], []),
    // A draft for a user whose key is kept elsewhere, and dropping it.
    rule!("5.4", [Nothing],       UserDraft,   [Takes, ByUs], [Store], LDraft),
    rule!("5.4", [LDraft],        UserRefuse,  [], [Remove], Nothing),
    // The user's next act repeats what was lost or has stalled (PROTOCOL 11.2, 11.3).
    rule!("11.2", [ADraftPend, LPendVoid], TransportFailed, [], [Stall, Notify("stalled")]),
    rule!("11.2", [ADraftPend, LPendVoid], UserResend, [Confirmed], [Send]),
    rule!("11.2", [LPendVoid],    UserRefuse,  [Confirmed], [Send]),
    rule!("11.3", [APend],        UserResend,  [Takes, Confirmed], [PendAgain]),
    rule!("11.3", [LVoid],        UserResend,  [Confirmed], [VoidAgain]),
    // The invoice that was refused, repeated: the `void` has not got there, or the copy is late.
    rule!("11.3", [LVoid],        PeerPend,    [SameCore, Confirmed], [VoidAgain]),
];

impl Happening {
    /// All of them.
    pub const ALL: [Happening; 15] = [
        Happening::UserAsk,
        Happening::UserDraft,
        Happening::UserPay,
        Happening::UserRefuse,
        Happening::UserResend,
        Happening::PeerPend,
        Happening::PeerVoid,
        Happening::PeerGood,
        Happening::SignatureBad,
        Happening::SignatureGood,
        Happening::HandedOver,
        Happening::TransportFailed,
        Happening::LiftReserved,
        Happening::LiftGood,
        Happening::LiftVoid,
    ];
}

/// The rows that may apply, in order.
pub fn rows(state: State, on: Happening) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.on == on && rule.from.contains(&state))
}

#[cfg(test)]
mod tests;
