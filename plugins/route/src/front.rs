//! One end of a search: its steps that are still to be done, and which comes next.

use crate::limits;
use crate::step::{Rank, Step, Turn};
use std::collections::BinaryHeap;

/// See the module.
#[derive(Debug, Default)]
pub struct Front {
    /// By number; `None` once done.
    steps: Vec<Option<Step>>,
    /// At least one for each step to be done; several where its rank has changed meanwhile.
    turns: BinaryHeap<Turn>,
    waiting: usize,
}

impl Front {
    /// Whether it takes no more steps.
    pub fn is_full(&self) -> bool {
        self.steps.len() >= limits::STEPS
    }

    /// Steps to be done.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether one of these is still to be done.
    pub fn has_any(&self, steps: &[usize]) -> bool {
        steps.iter().any(|step| self.steps[*step].is_some())
    }

    /// Adds a step; its number.
    pub fn add(&mut self, step: Step, rank: Rank) -> usize {
        let number = self.steps.len();
        self.turns.push(Turn { margin: step.margin, rank, edges: step.edges, min: step.min, step: number });
        self.steps.push(Some(step));
        self.waiting += 1;
        number
    }

    /// Gives a step that is still to be done another place.
    pub fn rank(&mut self, number: usize, rank: Rank) {
        if let Some(step) = &self.steps[number] {
            self.turns.push(Turn { margin: step.margin, rank, edges: step.edges, min: step.min, step: number });
        }
    }

    /// Which comes first: its margin, and its rank when that was last looked at.
    pub fn first(&mut self) -> Option<(f64, Rank)> {
        while let Some(turn) = self.turns.peek() {
            if self.steps[turn.step].is_some() {
                return Some((turn.margin, turn.rank));
            }
            self.turns.pop();
        }
        None
    }

    /// Takes out the next one whose rank, looked at once more, is no worse than it was.
    pub fn take(&mut self, rank: impl Fn(&Step) -> Rank) -> Option<Step> {
        while let Some(turn) = self.turns.pop() {
            let Some(step) = &self.steps[turn.step] else { continue };
            let now = rank(step);
            if now > turn.rank {
                self.turns.push(Turn { rank: now, ..turn });
                continue;
            }
            self.waiting -= 1;
            return self.steps[turn.step].take();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::step::Task;

    fn step(way: usize) -> Step {
        Step { margin: 0.0, edges: 1, min: 5, way, task: Task::Look }
    }

    fn taken(front: &mut Front, now: impl Fn(usize) -> Rank) -> Vec<usize> {
        std::iter::from_fn(|| front.take(|step| now(step.way)).map(|step| step.way)).collect()
    }

    #[test]
    fn a_step_that_has_become_more_promising_goes_before_others_and_once_only() {
        let mut front = Front::default();
        let steps: Vec<usize> = (0..3).map(|way| front.add(step(way), Rank::New)).collect();
        front.rank(steps[2], Rank::Touches);
        front.rank(steps[1], Rank::Completes);
        front.rank(steps[2], Rank::Completes);
        assert_eq!((front.first(), front.waiting()), (Some((0.0, Rank::Completes)), 3));
        let now = |way| if way == 0 { Rank::New } else { Rank::Completes };
        assert_eq!(taken(&mut front, now), [1, 2, 0]);
        assert_eq!((front.first(), front.waiting(), front.has_any(&steps)), (None, 0, false));
        front.rank(steps[2], Rank::Completes);
        assert_eq!(front.first(), None, "what is done stays done");
    }

    #[test]
    fn a_step_that_promises_less_by_now_waits_for_others_and_is_not_lost() {
        let mut front = Front::default();
        for way in 0..3 {
            front.add(step(way), Rank::Touches);
        }
        let now = |way| [Rank::Again, Rank::New, Rank::Touches][way];
        assert_eq!(taken(&mut front, now), [2, 1, 0]);
    }
}
