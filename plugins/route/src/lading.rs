//! What a path or a route can carry (PROTOCOL 7.3, 7.5).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cmp::Ordering;
use tallyho_chit::capacity::Edge;
use tallyho_plugin::record::integer;

/// Limits and fees of a way. Amounts are milli-CHIPs, fees fractions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Lading {
    /// Free of reward.
    pub min: i64,
    /// At most; 0 or less: nothing.
    pub max: i64,
    /// Fee of those who value is lifted away from.
    pub margin: f64,
    /// Fee between `min` and `max`, that of the tightest edge.
    pub reward: f64,
}

impl Lading {
    /// Of one edge.
    pub fn of(edge: &Edge) -> Self {
        Lading { min: edge.min, max: edge.max, margin: edge.margin, reward: edge.reward }
    }

    /// This way and then `upper`: the fold of PROTOCOL 7.3, and its join with a route, which are the same. How
    /// a way is cut into parts makes no difference.
    #[must_use]
    pub fn then(self, upper: Lading) -> Self {
        let tighter = upper.min < self.min;
        Lading {
            min: upper.min.min(self.min),
            max: if tighter { upper.max.min(self.min) } else { upper.min.min(self.max) },
            margin: self.margin + upper.margin * (1.0 - self.margin),
            reward: if tighter { upper.reward } else { self.reward },
        }
    }

    /// As it is sent: fees with six decimals.
    #[must_use]
    pub fn rounded(self) -> Self {
        // Adding 0 makes one zero of both.
        let six = |fee: f64| (fee * 1e6).round() / 1e6 + 0.0;
        Lading { margin: six(self.margin), reward: six(self.reward), ..self }
    }

    /// PROTOCOL 7.5: whether a lift may take so many milli-CHIPs this way, without a fee.
    pub fn carries(&self, units: i64) -> bool {
        units <= self.min && self.margin <= 0.0
    }

    /// The better one first: margin up, min down, fewest edges (PROTOCOL 9.3).
    pub fn order(&self, edges: usize, other: &Lading, others: usize) -> Ordering {
        self.margin.total_cmp(&other.margin).then(other.min.cmp(&self.min)).then(edges.cmp(&others))
    }

    /// Reads what a partner sent; `None` where it is no lading.
    pub fn read(value: &Value) -> Option<Self> {
        let amount = |name: &str| integer(&value[name]);
        // Margins below zero add up; none is above 1.
        let fee = |name: &str| value[name].as_f64().filter(|fee| (-FEES..=1.0).contains(fee));
        let lading =
            Lading { min: amount("min")?, max: amount("max")?, margin: fee("margin")?, reward: fee("reward")? };
        (lading.min >= 0).then_some(lading)
    }

    /// As members.
    pub fn shown(&self) -> Value {
        json!({ "min": self.min, "max": self.max, "margin": self.margin, "reward": self.reward })
    }
}

/// A margin this far below zero would take dozens of tallies whose holders pay all they can; no honest one is.
const FEES: f64 = 1e9;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lading(min: i64, max: i64, margin: f64, reward: f64) -> Lading {
        Lading { min, max, margin, reward }
    }

    /// PROTOCOL 7.4, from D up to U: min and max of each edge, and of the fold up to there.
    const EXAMPLE: [(i64, i64, i64, i64); 5] =
        [(13, 17, 13, 17), (9, 13, 9, 13), (7, 11, 7, 9), (5, 9, 5, 7), (8, 8, 5, 7)];

    fn edges() -> impl Iterator<Item = Lading> {
        EXAMPLE.iter().map(|(min, max, ..)| lading(*min, *max, 0.001, if *max == 8 { 0.0 } else { 0.02 }))
    }

    #[test]
    fn the_fold_of_the_worked_example_comes_out_step_by_step() {
        let mut sum: Option<Lading> = None;
        for (edge, (_, _, min, max)) in edges().zip(EXAMPLE) {
            sum = Some(sum.map_or(edge, |sum| sum.then(edge)));
            let sum = sum.unwrap();
            assert_eq!((sum.min, sum.max), (min, max));
        }
        assert_eq!(sum.unwrap().rounded(), lading(5, 7, 0.004990, 0.02));
    }

    #[test]
    fn the_join_of_the_worked_example_comes_out() {
        let path = edges().reduce(Lading::then).unwrap();
        assert_eq!(path.then(lading(4, 9, 0.001, 0.015)).rounded(), lading(4, 5, 0.005985, 0.015));
    }

    #[test]
    fn a_way_may_be_cut_anywhere() {
        let edges: Vec<Lading> = edges().collect();
        let whole = edges.iter().copied().reduce(Lading::then).unwrap().rounded();
        for cut in 1..edges.len() {
            let (lower, upper) = edges.split_at(cut);
            let part = |edges: &[Lading]| edges.iter().copied().reduce(Lading::then).unwrap();
            assert_eq!(part(lower).then(part(upper)).rounded(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn the_better_way_costs_less_then_carries_more_then_is_shorter() {
        let best = lading(5, 9, -0.1, 0.0);
        for (worse, edges) in [(lading(9, 9, 0.0, 0.0), 1), (lading(4, 9, -0.1, 0.0), 1), (best, 3)] {
            assert_eq!(best.order(2, &worse, edges), Ordering::Less, "{worse:?}");
            assert_eq!(worse.order(edges, &best, 2), Ordering::Greater, "{worse:?}");
        }
        assert_eq!(best.order(2, &best, 2), Ordering::Equal);
    }

    #[test]
    fn units_go_at_par_or_not_at_all() {
        assert!(lading(5, 9, 0.0, 0.5).carries(5));
        assert!(lading(5, 9, -0.1, 0.5).carries(5));
        assert!(!lading(5, 9, 0.0, 0.0).carries(6));
        assert!(!lading(5, 9, 0.000_000_1, 0.0).carries(5));
    }

    #[test]
    fn what_partners_send_is_read_or_refused() {
        let good = json!({ "min": 4, "max": 9, "margin": 0.001, "reward": 0.015 });
        assert_eq!(Lading::read(&good), Some(lading(4, 9, 0.001, 0.015)));
        assert_eq!(Lading::read(&good).unwrap().shown(), good);
        for (member, value) in [
            ("min", json!(-1)),
            ("min", json!(1.5)),
            ("max", json!("9")),
            ("max", json!(null)),
            ("margin", json!(1.01)),
            ("margin", json!(-1e300)),
            ("reward", json!("0.1")),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            assert_eq!(Lading::read(&bad), None, "{bad}");
        }
        assert_eq!(Lading::read(&json!(5)), None);
    }
}
