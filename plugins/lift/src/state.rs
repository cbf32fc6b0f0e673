//! The states of a lift at one site (PROTOCOL 9.5).

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a lift stands here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// Nothing is known of it.
    None,
    /// A promise of it was refused, and the same answer is kept (PROTOCOL 9.7 L23, I6).
    Tombstone,
    /// O: wanted; order and way to be looked at.
    DraftInit,
    /// O: reserved, promise to be handed over.
    InitSeek,
    /// O: promised, waiting for the arrival.
    Seek,
    /// O: overdue, asking.
    SeekCheck,
    /// O: arrived, to be decided.
    SeekCall,
    /// O: commit sent.
    Call,
    /// O: commit to be sent again.
    CallCall,
    /// Relay: reserved, promise to be handed on.
    DraftRelay,
    /// Terminus: reserved, plan to be read.
    DraftFound,
    /// Terminus: notice of arrival to be handed over.
    FoundTerm,
    /// Relay and terminus: waiting for a ruling.
    Pend,
    /// Relay and terminus: overdue, asking.
    PendCheck,
    /// Ruled valid.
    Good,
    /// Ruled void.
    Void,
    /// Void without a ruling: the pledge was given back, or has never left.
    Released,
}

use State::{
    Call, CallCall, DraftFound, DraftInit, DraftRelay, FoundTerm, Good, InitSeek, None as Nothing, Pend, PendCheck,
    Released, Seek, SeekCall, SeekCheck, Tombstone, Void,
};

impl State {
    /// All of them.
    pub const ALL: [State; 17] = [
        Nothing, Tombstone, DraftInit, InitSeek, Seek, SeekCheck, SeekCall, Call, CallCall, DraftRelay, DraftFound,
        FoundTerm, Pend, PendCheck, Good, Void, Released,
    ];

    /// The code of PROTOCOL 9.5; `none` where there is no record.
    pub fn code(self) -> &'static str {
        match self {
            Nothing | Tombstone => "none",
            DraftInit => "draft.init",
            InitSeek => "init.seek",
            Seek => "seek",
            SeekCheck => "seek.check",
            SeekCall => "seek.call",
            Call => "call",
            CallCall => "call.call",
            DraftRelay => "draft.relay",
            DraftFound => "draft.found",
            FoundTerm => "found.term",
            Pend => "pend",
            PendCheck => "pend.check",
            Good => "good",
            Void | Released => "void",
        }
    }

    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Good | Void | Released)
    }

    /// Whether it is one of the originator's alone.
    pub fn is_originators(self) -> bool {
        matches!(self, DraftInit | InitSeek | Seek | SeekCheck | SeekCall | Call | CallCall)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
