//! What a search goes over next.

use crate::links::Link;
use std::cmp::{Ordering, Reverse};
use std::rc::Rc;

/// A tally to go over, and what is known of the way up to it: the cheapest first, then
/// one that completes a path, then the shortest, then the widest.
pub struct Step {
    /// Margin of the way so far.
    pub margin: f64,
    /// Whoever is at its other side was reached from the other end: going over it completes a path.
    pub meets: bool,
    /// Edges with this one.
    pub edges: usize,
    /// What the way so far carries free of reward.
    pub min: i64,
    /// Of equal ones the first comes first.
    pub turn: u64,
    /// The way so far.
    pub label: usize,
    /// The tally.
    pub tally: Rc<str>,
    /// Its half, from where the way has come.
    pub link: Link,
}

impl Step {
    fn rank(&self) -> (bool, usize, Reverse<i64>, u64) {
        (!self.meets, self.edges, Reverse(self.min), self.turn)
    }
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives out its greatest first.
        other.margin.total_cmp(&self.margin).then_with(|| other.rank().cmp(&self.rank()))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BinaryHeap;
    use tallyho_plugin::record::Side;

    #[test]
    fn the_cheapest_goes_first_then_what_completes_a_path_then_the_shortest_then_the_widest() {
        let order = [(-0.1, 9, 1, 9), (0.0, 7, 1, 8), (0.0, 1, 5, 3), (0.0, 2, 9, 1), (0.0, 2, 5, 2), (0.1, 1, 9, 0)];
        let step = |(margin, edges, min, turn): &(f64, usize, i64, u64)| Step {
            margin: *margin,
            meets: *edges == 7,
            edges: *edges,
            min: *min,
            turn: *turn,
            label: 0,
            tally: Rc::from("t"),
            link: Link { side: Side::Stock, cuid: String::new(), agent: None },
        };
        let mut heap: BinaryHeap<Step> = order.iter().rev().map(step).collect();
        for expected in order {
            let next = heap.pop().map(|step| (step.margin, step.edges, step.min, step.turn));
            assert_eq!(next, Some(expected));
        }
    }
}
