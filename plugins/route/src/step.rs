//! What a search does next, and which first.

use std::cmp::{Ordering, Reverse};
use std::rc::Rc;
use tallyho_plugin::record::Side;

/// What of equally dear steps goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Whoever is at the other side was reached from the other end: it completes a path.
    Completes,
    /// Somebody reached from the other end has a tally with whoever is at the other side: it and then that one
    /// make a path, and nobody's tallies need be read for it.
    Touches,
    /// It leads to somebody who was not reached yet.
    New,
    /// It leads to somebody who was reached from the same end: at most it is a better way, or another.
    Again,
}

/// What there is to be done.
#[derive(Debug, Clone)]
pub enum Task {
    /// To see whom the user has tallies with.
    Look,
    /// To go over a tally of theirs.
    Cross {
        /// The tally.
        tally: Rc<str>,
        /// The side of its half from where the way has come.
        side: Side,
        /// Who is at its other side; `None`: it leaves the site.
        to: Option<usize>,
    },
}

/// A step, and what is known of the way up to it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Margin of the way so far.
    pub margin: f64,
    /// Edges with this one.
    pub edges: usize,
    /// What the way so far carries free of reward.
    pub min: i64,
    /// The way so far.
    pub way: usize,
    /// The step itself.
    pub task: Task,
}

/// A step's place among others: the cheapest first, then by rank, then the shortest, then the widest.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Margin of the way so far.
    pub margin: f64,
    /// See [`Rank`].
    pub rank: Rank,
    /// Edges with this one.
    pub edges: usize,
    /// What the way so far carries free of reward.
    pub min: i64,
    /// Which step; of equal ones the first comes first.
    pub step: usize,
}

impl Turn {
    fn key(&self) -> (Rank, usize, Reverse<i64>, usize) {
        (self.rank, self.edges, Reverse(self.min), self.step)
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives out its greatest first.
        other.margin.total_cmp(&self.margin).then_with(|| other.key().cmp(&self.key()))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BinaryHeap;

    #[test]
    fn the_cheapest_goes_first_then_what_promises_most_then_the_shortest_then_the_widest() {
        let order = [
            (-0.1, Rank::Again, 9, 1, 9),
            (0.0, Rank::Completes, 7, 1, 8),
            (0.0, Rank::Touches, 6, 1, 7),
            (0.0, Rank::New, 1, 5, 3),
            (0.0, Rank::New, 2, 9, 1),
            (0.0, Rank::New, 2, 5, 2),
            (0.0, Rank::New, 2, 5, 4),
            (0.0, Rank::Again, 1, 9, 0),
            (0.1, Rank::Completes, 1, 9, 0),
        ];
        let turn = |(margin, rank, edges, min, step)| Turn { margin, rank, edges, min, step };
        let mut heap: BinaryHeap<Turn> = order.into_iter().rev().map(turn).collect();
        for expected in order {
            assert_eq!(heap.pop(), Some(turn(expected)));
        }
    }
}
