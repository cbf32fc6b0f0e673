//! Paths over tallies of this site's users, and what they must be like.

use crate::lading::Lading;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;
use tallyho_chit::capacity::Edge;

/// One tally of a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// The tally.
    pub tally: Rc<str>,
    /// What it lets through.
    pub edge: Edge,
    /// Local users who hold a half of it, the issuer first.
    pub halves: Vec<String>,
    /// It leaves the site: the path's last one, towards the partner.
    pub leaves: bool,
}

/// Where a search begins: a local user, beyond whom there may be a boundary tally and more.
#[derive(Debug, Clone, PartialEq)]
pub struct Root {
    /// The user.
    pub user: String,
    /// The boundary tally between the user and the outside.
    pub hop: Option<Hop>,
    /// What is beyond that tally: a route.
    pub beyond: Option<Lading>,
}

/// A path found.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Its tallies from the bottom to the top.
    pub hops: Vec<Hop>,
    /// What it can carry, routes included.
    pub lading: Lading,
    /// At which of the roots at the top it ends.
    pub top: usize,
}

/// What a path must be like.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Milli-CHIPs that every edge must carry at par (PROTOCOL 7.5), if any.
    pub units: Option<i64>,
    /// Tallies not to be used.
    pub avoid: &'a BTreeSet<String>,
}

impl Wanted<'_> {
    /// Whether a way with this lading may be used.
    pub fn allows(&self, lading: &Lading) -> bool {
        lading.max > 0 && self.units.is_none_or(|units| lading.carries(units))
    }
}

impl Path {
    /// The tallies it goes over.
    pub fn tallies(&self) -> impl Iterator<Item = &str> {
        self.hops.iter().map(|hop| &*hop.tally)
    }

    /// The exit it ends with, as (holder, tally): its last tally, where that leaves the site.
    pub fn exit(&self) -> Option<(&str, &str)> {
        let last = self.hops.last().filter(|hop| hop.leaves)?;
        last.halves.first().map(|holder| (holder.as_str(), &*last.tally))
    }

    /// Its tallies as lift handlers have them.
    pub fn shown(&self) -> Value {
        let shown =
            |hop: &Hop| json!({ "tally": &*hop.tally, "by": hop.edge.by, "sign": hop.edge.sign, "halves": hop.halves });
        self.hops.iter().map(shown).collect()
    }
}
