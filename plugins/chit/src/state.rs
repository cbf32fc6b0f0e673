//! Where a chit stands, as its rules speak of it (PROTOCOL 5.4).

use crate::entry::{Entry, Request, Status};
use tallyho_plugin::record::{ChitType, Side};

/// A chit's state at one half. `A`: the partner pledges, `L`: the holder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No such chit here.
    None,
    /// An invoice of ours that is to leave.
    ADraftPend,
    /// An invoice of ours that the partner has.
    APend,
    /// An invoice of ours that was refused.
    AVoid,
    /// The partner's pledge or settings.
    AGood,
    /// Written for a user whose key is kept elsewhere, to be signed there.
    LDraft,
    /// An invoice of the partner's.
    LPend,
    /// An invoice of the partner's, refused, the partner not told yet.
    LPendVoid,
    /// Signed, the signature not looked at yet. Passes within one event.
    LPendGood,
    /// An invoice of the partner's that was refused.
    LVoid,
    /// Our pledge or settings.
    LGood,
    /// Our pledge, to be sent once more. Passes within one event.
    LGoodGood,
    /// A lift's reservation, `L.pend` or `A.pend`.
    LiftPend,
    /// A lift's reservation that came to nothing, `L.void` or `A.void`.
    LiftVoid,
}

impl State {
    /// All of them.
    pub const ALL: [State; 14] = [
        State::None,
        State::ADraftPend,
        State::APend,
        State::AVoid,
        State::AGood,
        State::LDraft,
        State::LPend,
        State::LPendVoid,
        State::LPendGood,
        State::LVoid,
        State::LGood,
        State::LGoodGood,
        State::LiftPend,
        State::LiftVoid,
    ];

    /// The state of a row at the half of this side.
    pub fn of(entry: Option<&Entry>, holder: Side) -> Self {
        let Some(entry) = entry else { return State::None };
        match (entry.by == holder, entry.status, entry.request) {
            (_, Status::Pend, _) if entry.kind == ChitType::Lift => State::LiftPend,
            (_, Status::Void, _) if entry.kind == ChitType::Lift => State::LiftVoid,
            (false, Status::Draft, _) => State::ADraftPend,
            (false, Status::Pend, _) => State::APend,
            (false, Status::Void, _) => State::AVoid,
            (false, Status::Good, _) => State::AGood,
            (true, Status::Draft, _) => State::LDraft,
            (true, Status::Pend, None | Some(Request::Pend)) => State::LPend,
            (true, Status::Pend, Some(Request::Void)) => State::LPendVoid,
            (true, Status::Pend, Some(Request::Good)) => State::LPendGood,
            (true, Status::Void, _) => State::LVoid,
            (true, Status::Good, Some(Request::Good)) => State::LGoodGood,
            (true, Status::Good, _) => State::LGood,
        }
    }

    /// Status and request stored in this state; nothing is stored in `None`.
    pub fn stored(self) -> Option<(Status, Option<Request>)> {
        Some(match self {
            State::None => return None,
            State::ADraftPend => (Status::Draft, Some(Request::Pend)),
            State::LDraft => (Status::Draft, None),
            State::APend | State::LPend | State::LiftPend => (Status::Pend, None),
            State::LPendVoid => (Status::Pend, Some(Request::Void)),
            State::LPendGood => (Status::Pend, Some(Request::Good)),
            State::AGood | State::LGood => (Status::Good, None),
            State::LGoodGood => (Status::Good, Some(Request::Good)),
            State::AVoid | State::LVoid | State::LiftVoid => (Status::Void, None),
        })
    }

    /// The state code of PROTOCOL 5.4. Both signs of a lift's reservation share one name here.
    pub fn code(self) -> &'static str {
        match self {
            State::None => "none",
            State::ADraftPend => "A.draft.pend",
            State::APend => "A.pend",
            State::AVoid => "A.void",
            State::AGood => "A.good",
            State::LDraft => "L.draft",
            State::LPend => "L.pend",
            State::LPendVoid => "L.pend.void",
            State::LPendGood => "L.pend.good",
            State::LVoid => "L.void",
            State::LGood => "L.good",
            State::LGoodGood => "L.good.good",
            State::LiftPend => "lift pend",
            State::LiftVoid => "lift void",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallyho_plugin::record::Timestamp;

    #[test]
    fn every_state_is_read_back_from_what_it_stores() {
        for state in State::ALL {
            let Some((status, request)) = state.stored() else { continue };
            let lift = matches!(state, State::LiftPend | State::LiftVoid);
            let entry = Entry {
                core: String::new(),
                sign: None,
                by: if state.code().starts_with('A') { Side::Foil } else { Side::Stock },
                kind: if lift { ChitType::Lift } else { ChitType::Tran },
                units: 1,
                status,
                request,
                index: None,
                loose: None,
                since: Timestamp(0),
                stalled: None,
            };
            assert_eq!(State::of(Some(&entry), Side::Stock), state);
            if !lift {
                assert_eq!(entry.code(Side::Stock), state.code());
            }
        }
        assert_eq!(State::of(None, Side::Stock), State::None);
    }
}
