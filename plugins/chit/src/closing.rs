//! Settling and closing (PROTOCOL 4.5 T34, T35), and coming back from it: what the tally handler is told.

use crate::desk::Desk;
use crate::half::{Half, Phase};
use serde_json::{Value, json};
use tallyho_plugin::Fault;

/// T34: a `set` chit with `close` was linked.
pub fn begin(desk: &mut Desk<'_, '_>) {
    if desk.half.phase == Phase::Open {
        desk.half.phase = Phase::Closing;
    }
}

/// T35, and the way back: the phase in which this event leaves the half. `found` is the account as the
/// event found it.
///
/// A signed pledge binds whenever it comes, and the halves do not come to their end at the same moment:
/// where a chit gets linked to a closed half all the same, it has to settle once more. It closes when the
/// partner has the whole chain too, for otherwise the partner could not.
pub fn settle(half: &mut Half, found: Option<&Half>) {
    let linked = found.is_none_or(|found| found.tip != half.tip);
    if half.phase == Phase::Closed && linked {
        half.phase = Phase::Closing;
    }
    if half.phase == Phase::Closing && is_settled(half) {
        half.phase = Phase::Closed;
    }
}

/// Tells the tally handler what has become of the half since it was found in phase `from`.
///
/// # Errors
/// The tally handler's.
pub fn tell(desk: &mut Desk<'_, '_>, from: Phase) -> Result<(), Fault> {
    let events: &[&str] = match (from, desk.half.phase) {
        (Phase::Open, Phase::Closing) => &["closing"],
        (Phase::Open, Phase::Closed) => &["closing", "settled"],
        (Phase::Closing, Phase::Closed) => &["settled"],
        (Phase::Closed, Phase::Closing | Phase::Open) => &["reopened"],
        _ => &[],
    };
    for event in events {
        let about = json!({ "uuid": desk.party.tally, "user": desk.party.holder, "event": event });
        desk.context.invoke::<Value>("tally", "chain", &about)?;
    }
    Ok(())
}

/// Nothing owed, nothing pending, nothing that the other side lacks.
fn is_settled(half: &Half) -> bool {
    half.net == 0 && half.lift_in == 0 && half.lift_out == 0 && half.is_settled()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing() -> Half {
        Half { phase: Phase::Closing, end: 2, conf: Some(2), tip: "t".to_owned(), ..Half::new("t", Some(2)) }
    }

    fn settled(half: &Half) -> Phase {
        let mut after = half.clone();
        settle(&mut after, Some(half));
        after.phase
    }

    #[test]
    fn a_half_closes_when_nothing_is_owed_pending_loose_or_unconfirmed() {
        assert_eq!(settled(&closing()), Phase::Closed);
        for open in [
            Half { net: 1, ..closing() },
            Half { net: -1, ..closing() },
            Half { lift_in: 1, ..closing() },
            Half { lift_out: 1, ..closing() },
            Half { loose: 1, ..closing() },
            Half { conf: Some(1), ..closing() },
            Half { conf: None, ..closing() },
        ] {
            assert_eq!(settled(&open), Phase::Closing, "{open:?}");
        }
        assert_eq!(settled(&Half { phase: Phase::Open, ..closing() }), Phase::Open);
    }

    #[test]
    fn an_invoice_does_not_keep_a_half_from_closing() {
        assert_eq!(settled(&Half { pend: 5, invoices: 1, ..closing() }), Phase::Closed);
    }

    #[test]
    fn a_chit_linked_to_a_closed_half_has_it_settle_once_more() {
        let closed = Half { phase: Phase::Closed, ..closing() };
        let mut half = Half { tip: "u".to_owned(), end: 3, net: 4, ..closed.clone() };
        settle(&mut half, Some(&closed));
        assert_eq!(half.phase, Phase::Closing);
        assert_eq!(settled(&closed), Phase::Closed, "and nothing else does");
    }
}
