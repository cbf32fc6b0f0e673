//! What lifts may move over one tally, in both directions (PROTOCOL 7.2).

use crate::desk::Desk;
use crate::half::{Half, Phase, Stat};
use crate::settings;
use crate::variables::Variables;
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::record::Side;
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct On {
    user: String,
    tally: String,
}

/// One tally, one direction: value would move from the issuer to the receiver. Amounts are milli-CHIPs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// The receiver's projected balance, the careful one.
    pub n: i64,
    /// Free of reward.
    pub min: i64,
    /// At most; 0 or less: cannot be used.
    pub max: i64,
    /// The issuer's clutch.
    pub margin: f64,
    /// The receiver's reward.
    pub reward: f64,
    /// -1 for a lift (the receiver holds the foil), 1 for a drop.
    pub sign: i64,
    /// The issuer's side.
    pub by: Side,
}

impl Edge {
    /// The edge into the holder of side `receiver`, of balance `n`.
    pub fn new(receiver: Side, n: i64, receives: &Variables, issues: &Variables) -> Self {
        Edge {
            n,
            min: receives.target.saturating_sub(n).max(0),
            max: receives.ceiling().saturating_sub(n),
            margin: issues.clutch,
            reward: receives.reward,
            sign: if receiver == Side::Foil { -1 } else { 1 },
            by: receiver.other(),
        }
    }

    fn shown(&self) -> Value {
        json!({
            "n": self.n, "min": self.min, "max": self.max, "margin": self.margin, "reward": self.reward,
            "sign": self.sign, "by": self.by,
        })
    }
}

/// The careful balance of the receiver of an edge (O-25): good chits, and of pending lift chits those alone
/// that fill it up. Those that would empty it may still come to nothing. Invoices never count.
pub fn careful(half: &Half, into_holder: bool) -> i64 {
    match into_holder {
        true => half.net.saturating_add(half.lift_in),
        false => half.net.saturating_neg().saturating_add(half.lift_out),
    }
}

/// `capacity {user, tally}` → `{user, tally, usable, why?, in: edge, out: edge}`: `in` is the edge into our
/// user, `out` the one into the partner.
///
/// # Errors
/// The host's faults.
pub fn capacity(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let On { user, tally } = command.arguments()?;
    let why = |why: &str| json!({ "user": user, "tally": tally, "usable": false, "why": why });
    let Some(mut desk) = Desk::open(context, &user, &tally)? else { return Ok(why("state")) };
    let both = settings::both(&mut desk)?;
    let side = desk.side();
    // Linked settings keep their constraints, so nothing is lost by the default here.
    let of = |side: Side| Variables::read(&both[side.as_str()]).unwrap_or_default();
    let (own, partners) = (of(side), of(side.other()));
    let mut answer = match unusable(&desk.half) {
        Some(word) => why(word),
        None => json!({ "user": user, "tally": tally, "usable": true }),
    };
    answer["in"] = Edge::new(side, careful(&desk.half, true), &own, &partners).shown();
    answer["out"] = Edge::new(side.other(), careful(&desk.half, false), &partners, &own).shown();
    Ok(answer)
}

/// O-60: why no lift may use a half, in the word that `lift.reserve` refuses it with.
fn unusable(half: &Half) -> Option<&'static str> {
    match half {
        Half { conf: None, .. } => Some("unconfirmed"),
        Half { phase: Phase::Open, stat: Stat::Broken, .. } => Some("err"),
        Half { phase: Phase::Open, .. } => None,
        _ => Some("closing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PROTOCOL 7.4: the stock's balance, and whether the receiver has published its variables.
    const EXAMPLE: [(i64, bool, i64, i64); 5] =
        [(10, true, 13, 17), (6, true, 9, 13), (4, true, 7, 11), (2, true, 5, 9), (8, false, 8, 8)];

    #[test]
    fn the_edges_of_the_worked_example_come_out() {
        let stock = Variables { target: 3, bound: 7, clutch: 0.001, ..Variables::default() };
        let foil = Variables { target: 3, bound: 7, reward: 0.02, ..Variables::default() };
        for (balance, published, min, max) in EXAMPLE {
            let receives = if published { foil } else { Variables::default() };
            let edge = Edge::new(Side::Foil, -balance, &receives, &stock);
            assert_eq!((edge.min, edge.max, edge.margin, edge.n), (min, max, 0.001, -balance));
            assert_eq!((edge.sign, edge.by), (-1, Side::Stock));
            assert_eq!(edge.reward, if published { 0.02 } else { 0.0 });
        }
    }

    #[test]
    fn a_full_edge_cannot_be_used_and_a_drop_has_the_other_sign() {
        let edge = Edge::new(
            Side::Stock,
            7,
            &Variables { target: 3, bound: 7, ..Variables::default() },
            &Variables::default(),
        );
        assert_eq!((edge.min, edge.max, edge.sign, edge.by), (0, 0, 1, Side::Foil));
    }

    #[test]
    fn pending_lift_chits_count_where_they_leave_less_room() {
        let half = Half { net: 10, pend: 99, lift_in: 3, lift_out: 4, ..Half::new("", None) };
        assert_eq!((careful(&half, true), careful(&half, false)), (13, -6));
    }
}
