//! What chits add to the sums of a half (PROTOCOL 5.2), kept with each change of a row.

use crate::entry::{Entry, Status};
use crate::half::Half;
use tallyho_plugin::record::{ChitType, Side};

/// What one row adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    net: i64,
    pend: i64,
    lift_in: i64,
    lift_out: i64,
    invoices: u64,
}

impl Share {
    fn of(entry: Option<&Entry>, holder: Side) -> Self {
        let Some(entry) = entry else { return Share::default() };
        let worth = entry.contribution(holder);
        match (entry.status, entry.kind) {
            (Status::Good, _) => Share { net: worth, ..Share::default() },
            (Status::Pend, ChitType::Lift) => {
                Share { pend: worth, lift_in: worth.max(0), lift_out: (-worth).max(0), ..Share::default() }
            }
            (Status::Pend, _) => Share { pend: worth, invoices: u64::from(entry.by == holder), ..Share::default() },
            (Status::Draft | Status::Void, _) => Share::default(),
        }
    }
}

/// The account after a row has changed from `before` to `after`; `None` where a sum would leave the range
/// of 64 bits, which takes a thousand chits of the largest amount.
pub fn counted(half: &Half, holder: Side, before: Option<&Entry>, after: Option<&Entry>) -> Option<Half> {
    let (old, new) = (Share::of(before, holder), Share::of(after, holder));
    let moved = |sum: i64, old: i64, new: i64| sum.checked_add(new.checked_sub(old)?);
    let half = Half {
        net: moved(half.net, old.net, new.net)?,
        pend: moved(half.pend, old.pend, new.pend)?,
        lift_in: moved(half.lift_in, old.lift_in, new.lift_in)?,
        lift_out: moved(half.lift_out, old.lift_out, new.lift_out)?,
        invoices: (half.invoices + new.invoices).saturating_sub(old.invoices),
        ..half.clone()
    };
    // net_p is shown to people, so it must fit too.
    half.net.checked_add(half.pend).map(|_| half)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallyho_plugin::record::Timestamp;

    fn entry(by: Side, kind: ChitType, units: i64, status: Status) -> Entry {
        Entry {
            core: String::new(),
            sign: None,
            by,
            kind,
            units,
            status,
            request: None,
            index: None,
            since: Timestamp(0),
            loose: None,
            stalled: None,
        }
    }

    #[test]
    fn each_row_counts_where_its_state_says() {
        use {ChitType::*, Side::*, Status::*};
        let sums = |entry: &Entry| {
            let half = counted(&Half::new("", None), Stock, None, Some(entry)).unwrap();
            (half.net, half.pend, half.lift_in, half.lift_out, half.invoices)
        };
        for (by, kind, status, expected) in [
            (Foil, Tran, Good, (7, 0, 0, 0, 0)),
            (Stock, Tran, Good, (-7, 0, 0, 0, 0)),
            (Foil, Tran, Pend, (0, 7, 0, 0, 0)),
            (Stock, Tran, Pend, (0, -7, 0, 0, 1)),
            (Foil, Lift, Pend, (0, 7, 7, 0, 0)),
            (Stock, Lift, Pend, (0, -7, 0, 7, 0)),
            (Stock, Lift, Good, (-7, 0, 0, 0, 0)),
            (Stock, Tran, Void, (0, 0, 0, 0, 0)),
            (Stock, Lift, Void, (0, 0, 0, 0, 0)),
            (Stock, Tran, Draft, (0, 0, 0, 0, 0)),
        ] {
            assert_eq!(sums(&entry(by, kind, 7, status)), expected, "{by:?} {kind:?} {status:?}");
        }
        assert_eq!(sums(&entry(Foil, Set, 0, Good)), (0, 0, 0, 0, 0));
    }

    #[test]
    fn what_a_row_added_before_is_taken_off() {
        let (asked, paid) =
            (entry(Side::Foil, ChitType::Tran, 5, Status::Pend), entry(Side::Foil, ChitType::Tran, 3, Status::Good));
        let half = counted(&Half::new("", None), Side::Stock, None, Some(&asked)).unwrap();
        let half = counted(&half, Side::Stock, Some(&asked), Some(&paid)).unwrap();
        assert_eq!((half.net, half.pend), (3, 0));
        assert_eq!(counted(&half, Side::Stock, Some(&paid), None).unwrap(), Half::new("", None));
    }

    #[test]
    fn a_sum_that_does_not_fit_is_found_out() {
        let most = entry(Side::Foil, ChitType::Tran, crate::limits::BALANCE, Status::Good);
        let mut half = Half::new("", None);
        let mut counts = 0;
        while let Some(next) = counted(&half, Side::Stock, None, Some(&most)) {
            (half, counts) = (next, counts + 1);
        }
        assert_eq!(counts, 1024);
    }
}
