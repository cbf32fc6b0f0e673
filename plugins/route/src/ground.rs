//! What one search knows of the site: users, their open tallies, and what these let through.

use crate::{edges, links};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use tallyho_chit::capacity::Edge;
use tallyho_plugin::record::Side;
use tallyho_plugin::{Context, Fault};

/// An open tally of a user.
#[derive(Debug)]
pub struct Open {
    /// Which.
    pub tally: Rc<str>,
    /// The user's side.
    pub side: Side,
    /// Who is at its other side; `None`: it leaves the site.
    pub to: Option<usize>,
}

/// A local user.
#[derive(Debug)]
pub struct User {
    /// Name at this agent.
    pub name: Rc<str>,
    open: Option<Rc<[Open]>>,
    /// From the bottom and from the top, the best way with min 0, and the best of the others. What has min 0 can
    /// only go on where min is above it (PROTOCOL 7.3), so a dearer way may lead further.
    pub best: [[Option<usize>; 2]; 2],
    /// Steps from the bottom and from the top that lead here.
    pub rim: [Vec<usize>; 2],
    /// Whether somebody looked whom they have tallies with, from the bottom and from the top.
    pub looked: [bool; 2],
}

impl User {
    /// Whether they were reached from this end.
    pub fn is_reached(&self, end: usize) -> bool {
        self.best[end] != [None; 2]
    }
}

/// See the module.
pub struct Ground<'a, 'c> {
    context: &'a mut Context<'c>,
    numbers: HashMap<Rc<str>, usize>,
    users: Vec<User>,
    /// Tallies looked at, by tally and receiver.
    edges: BTreeMap<(Rc<str>, usize), Option<Edge>>,
}

impl<'a, 'c> Ground<'a, 'c> {
    /// Nothing is known yet.
    pub fn new(context: &'a mut Context<'c>) -> Self {
        Ground { context, numbers: HashMap::new(), users: Vec::new(), edges: BTreeMap::new() }
    }

    /// The services of the host.
    pub fn context(&mut self) -> &mut Context<'c> {
        self.context
    }

    /// A user's number.
    pub fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let (number, name) = (self.users.len(), Rc::from(name));
        self.numbers.insert(Rc::clone(&name), number);
        self.users.push(User {
            name,
            open: None,
            best: [[None; 2]; 2],
            rim: [Vec::new(), Vec::new()],
            looked: [false; 2],
        });
        number
    }

    /// A user.
    pub fn user(&self, number: usize) -> &User {
        &self.users[number]
    }

    /// A user, to be changed.
    pub fn user_mut(&mut self, number: usize) -> &mut User {
        &mut self.users[number]
    }

    /// A user's open tallies.
    ///
    /// # Errors
    /// The host's faults.
    pub fn open(&mut self, number: usize) -> Result<Rc<[Open]>, Fault> {
        if let Some(open) = &self.users[number].open {
            return Ok(Rc::clone(open));
        }
        let links = links::of_user(self.context, &self.users[number].name)?;
        let open: Rc<[Open]> = links
            .into_iter()
            .map(|(tally, link)| {
                let to = link.agent.is_none().then(|| self.number(&link.cuid));
                Open { tally, side: link.side, to }
            })
            .collect();
        self.users[number].open = Some(Rc::clone(&open));
        Ok(open)
    }

    /// The edge into this user over a tally of theirs.
    ///
    /// # Errors
    /// The host's faults.
    pub fn edge(&mut self, tally: &Rc<str>, receiver: usize, side: Side) -> Result<Option<Edge>, Fault> {
        let key = (Rc::clone(tally), receiver);
        if let Some(known) = self.edges.get(&key) {
            return Ok(*known);
        }
        let edge = edges::edge(self.context, &self.users[receiver].name, tally, side, true)?;
        self.edges.insert(key, edge);
        Ok(edge)
    }
}
