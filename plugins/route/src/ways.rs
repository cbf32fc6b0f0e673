//! The ways by which a search has reached users, from both ends.

use crate::lading::Lading;
use crate::path::Hop;
use std::cmp::Ordering;

/// A way by which a user was reached from one end.
#[derive(Debug)]
pub struct Way {
    /// The user.
    pub user: usize,
    /// The way it goes on from.
    pub parent: Option<usize>,
    /// Its last tally.
    pub hop: Option<Hop>,
    /// `None`: nothing has been gone over yet.
    pub lading: Option<Lading>,
    /// How many tallies.
    pub edges: usize,
    /// At which of the roots of its end it begins.
    pub root: usize,
}

impl Way {
    /// Whether it is to be preferred to another way to the same user.
    pub fn is_better(&self, best: &Way) -> bool {
        match (&self.lading, &best.lading) {
            (Some(lading), Some(other)) => lading.order(self.edges, other, best.edges) == Ordering::Less,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    fn tally(&self) -> Option<&str> {
        self.hop.as_ref().map(|hop| &*hop.tally)
    }
}

/// All of them, by number.
#[derive(Debug, Default)]
pub struct Ways {
    ways: Vec<Way>,
}

impl Ways {
    /// Adds one; its number.
    pub fn add(&mut self, way: Way) -> usize {
        self.ways.push(way);
        self.ways.len() - 1
    }

    /// One of them.
    pub fn get(&self, way: usize) -> &Way {
        &self.ways[way]
    }

    /// A way and those it goes on from, back to its root.
    fn back(&self, way: usize) -> impl Iterator<Item = &Way> {
        std::iter::successors(self.ways.get(way), |way| way.parent.and_then(|parent| self.ways.get(parent)))
    }

    /// Whether it passes this user.
    pub fn passes(&self, way: usize, user: usize) -> bool {
        self.back(way).any(|way| way.user == user)
    }

    /// Whether it uses this tally.
    pub fn uses(&self, way: usize, tally: &str) -> bool {
        self.back(way).any(|way| way.tally() == Some(tally))
    }

    /// Its tallies from the root on.
    pub fn hops(&self, way: usize) -> Vec<Hop> {
        let mut hops: Vec<Hop> = self.back(way).filter_map(|way| way.hop.clone()).collect();
        hops.reverse();
        hops
    }

    /// Whether two ways that meet have no other user, and no tally, in common (PROTOCOL 7.3, O-31).
    pub fn are_simple(&self, bottom: usize, top: usize) -> bool {
        let lower: Vec<&Way> = self.back(bottom).collect();
        let shares = |way: &Way| way.tally().is_some_and(|tally| lower.iter().any(|own| own.tally() == Some(tally)));
        let mut upper = self.back(top);
        // That is where they meet.
        !upper.next().is_some_and(shares)
            && upper.all(|way| !shares(way) && lower.iter().all(|own| own.user != way.user))
    }
}
