//! The search for paths (PROTOCOL 7.3): from both ends at once, the cheapest and then the shortest way first,
//! until enough paths are found or a bound is reached.
//!
//! Whom a user has open tallies with is one scan. What such a tally lets through is read when the search goes
//! over it, not when it is first seen: of all tallies at the rim of what is explored, most are never gone over, and
//! those that lead to somebody reached from the other end go first.
//! A user who was reached in a better way than before is gone on from once more. So a small site is searched
//! in whole, and of a large one no more than it takes for the two ends to meet.

use crate::edges;
use crate::lading::Lading;
use crate::limits;
use crate::links::{self, Link};
use crate::path::{Hop, Path, Root, Wanted};
use crate::step::Step;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use tallyho_chit::capacity::Edge;
use tallyho_plugin::record::Side;
use tallyho_plugin::{Context, Fault};

/// From which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Downstream, where value comes from.
    Bottom,
    /// Upstream, where it goes.
    Top,
}

/// A way by which a user was reached from one end.
struct Label {
    node: usize,
    parent: Option<usize>,
    hop: Option<Hop>,
    /// `None`: nothing has been gone over yet.
    lading: Option<Lading>,
    edges: usize,
    root: usize,
}

/// Whom a user has open tallies with, by tally.
type Links = Rc<Vec<(Rc<str>, Link)>>;

/// A local user as one search knows them.
struct Node {
    name: String,
    links: Option<Links>,
    /// From the bottom and from the top, the best label of those with min 0, and of the others. What has min 0 can
    /// only go on where min is above it (PROTOCOL 7.3), so a dearer way may lead further.
    best: [[Option<usize>; 2]; 2],
}

/// One search.
pub struct Search<'a, 'c, 'w> {
    context: &'a mut Context<'c>,
    wanted: Wanted<'w>,
    names: BTreeMap<String, usize>,
    nodes: Vec<Node>,
    labels: Vec<Label>,
    steps: [BinaryHeap<Step>; 2],
    /// Tallies looked at, by tally and receiver.
    known: BTreeMap<(Rc<str>, usize), Option<Edge>>,
    turns: u64,
    tried: usize,
    found: Vec<Path>,
    /// Boundary tallies come upon, where these are what is looked for.
    exits: Option<Vec<Path>>,
}

/// Paths from any of the roots at the bottom to any at the top, the best first, at most `limit`.
///
/// # Errors
/// The host's faults.
pub fn paths(
    context: &mut Context<'_>,
    wanted: Wanted<'_>,
    bottom: &[Root],
    top: &[Root],
    limit: usize,
) -> Result<Vec<Path>, Fault> {
    let mut search = Search::new(context, wanted);
    for (index, root) in bottom.iter().enumerate() {
        search.begin(End::Bottom, index, root)?;
    }
    for (index, root) in top.iter().enumerate() {
        search.begin(End::Top, index, root)?;
    }
    let mut enough = limits::TRIED;
    while search.tried < enough {
        let [bottom, top] = &search.steps;
        // Where all that can be reached from one end is known, so is every meeting.
        let (Some(low), Some(high)) = (bottom.peek(), top.peek()) else { break };
        let end = match (low.meets, high.meets) {
            (true, false) if low.margin <= high.margin => End::Bottom,
            (false, true) if high.margin <= low.margin => End::Top,
            _ if bottom.len() <= top.len() => End::Bottom,
            _ => End::Top,
        };
        search.go(end)?;
        if enough == limits::TRIED && !search.found.is_empty() {
            enough = limits::TRIED.min(search.tried + limits::TRIED_MORE) - 1;
        }
        if search.found.len() >= limits::FOUND.max(limit) {
            break;
        }
    }
    Ok(search.sorted(limit))
}

/// Boundary tallies that can be reached from the bottom, each as a path that ends with it, the best first.
///
/// # Errors
/// The host's faults.
pub fn exits(context: &mut Context<'_>, wanted: Wanted<'_>, bottom: &Root) -> Result<Vec<Path>, Fault> {
    let mut search = Search::new(context, wanted);
    search.exits = Some(Vec::new());
    search.begin(End::Bottom, 0, bottom)?;
    while search.tried < limits::TRIED_EXITS && search.exits.as_ref().is_some_and(|exits| exits.len() < limits::EXITS) {
        if search.steps[0].is_empty() {
            break;
        }
        search.go(End::Bottom)?;
    }
    search.found = search.exits.take().unwrap_or_default();
    Ok(search.sorted(limits::EXITS))
}

impl<'a, 'c, 'w> Search<'a, 'c, 'w> {
    fn new(context: &'a mut Context<'c>, wanted: Wanted<'w>) -> Self {
        Search {
            context,
            wanted,
            names: BTreeMap::new(),
            nodes: Vec::new(),
            labels: Vec::new(),
            steps: [BinaryHeap::new(), BinaryHeap::new()],
            known: BTreeMap::new(),
            turns: 0,
            tried: 0,
            found: Vec::new(),
            exits: None,
        }
    }

    fn begin(&mut self, end: End, root: usize, from: &Root) -> Result<(), Fault> {
        let lading = from.hop.as_ref().map(|hop| {
            let lading = Lading::of(&hop.edge);
            from.beyond.map_or(lading, |beyond| lading.then(beyond))
        });
        if from.hop.as_ref().is_some_and(|hop| self.wanted.avoid.contains(&*hop.tally))
            || lading.is_some_and(|lading| !self.wanted.allows(&lading))
        {
            return Ok(());
        }
        let node = self.node(&from.user);
        let edges = usize::from(from.hop.is_some());
        self.reach(end, Label { node, parent: None, hop: from.hop.clone(), lading, edges, root })
    }

    /// Goes over the next tally from this end.
    fn go(&mut self, end: End) -> Result<(), Fault> {
        let Some(step) = self.steps[end as usize].pop() else { return Ok(()) };
        self.tried += 1;
        let (from, edges) = (self.labels[step.label].node, step.edges);
        if step.link.agent.is_some() {
            return self.leave(&step);
        }
        let to = self.node(&step.link.cuid);
        if self.passes(step.label, to) {
            return Ok(());
        }
        let (issuer, receiver) = if end == End::Bottom { (from, to) } else { (to, from) };
        // `side` is that of `from`; the receiver's half tells.
        let side = if receiver == from { step.link.side } else { step.link.side.other() };
        let Some(edge) = self.edge(&step.tally, receiver, side)? else { return Ok(()) };
        let lading = self.lading_with(end, step.label, &edge);
        if !self.wanted.allows(&lading) {
            return Ok(());
        }
        let halves = vec![self.nodes[issuer].name.clone(), self.nodes[receiver].name.clone()];
        let hop = Hop { tally: step.tally, edge, halves, leaves: false };
        let root = self.labels[step.label].root;
        let parent = Some(step.label);
        self.reach(end, Label { node: to, parent, hop: Some(hop), lading: Some(lading), edges, root })
    }

    /// A step out of the site.
    fn leave(&mut self, step: &Step) -> Result<(), Fault> {
        let user = self.nodes[self.labels[step.label].node].name.clone();
        if self.uses(step.label, &step.tally) {
            return Ok(());
        }
        let edge = edges::edge(self.context, &user, &step.tally, step.link.side, false)?;
        let Some(edge) = edge else { return Ok(()) };
        let lading = self.lading_with(End::Bottom, step.label, &edge);
        if self.wanted.allows(&lading) {
            let mut hops = self.hops(step.label);
            hops.push(Hop { tally: Rc::clone(&step.tally), edge, halves: vec![user], leaves: true });
            self.exits.get_or_insert_default().push(Path { hops, lading, top: 0 });
        }
        Ok(())
    }

    /// A user was reached: is it a better way than before, and does it meet one from the other end?
    fn reach(&mut self, end: End, label: Label) -> Result<(), Fault> {
        let (node, index) = (label.node, self.labels.len());
        let class = usize::from(label.lading.is_none_or(|lading| lading.min > 0));
        let best = self.nodes[node].best[end as usize];
        // One with room is compared with its like alone, one without with all.
        let better = best[class..].iter().flatten().all(|best| is_better(&label, &self.labels[*best]));
        self.labels.push(label);
        for other in self.nodes[node].best[1 - end as usize].into_iter().flatten() {
            let (bottom, top) = if end == End::Bottom { (index, other) } else { (other, index) };
            self.meet(bottom, top)?;
        }
        if better {
            self.nodes[node].best[end as usize][class] = Some(index);
            self.go_on(end, index)?;
        }
        Ok(())
    }

    /// Puts the tallies of whoever was reached among those to go over.
    fn go_on(&mut self, end: End, index: usize) -> Result<(), Fault> {
        let Label { node, lading, edges, .. } = self.labels[index];
        if edges > limits::MAXLEN {
            return Ok(());
        }
        let links = self.links(node)?;
        let (margin, min) = lading.map_or((0.0, i64::MAX), |lading| (lading.margin, lading.min));
        for (tally, link) in links.iter() {
            // Out of the site only where exits are looked for.
            let leads_out = link.agent.is_some();
            let full = self.steps[end as usize].len() >= limits::STEPS;
            if leads_out && self.exits.is_none() || full || self.wanted.avoid.contains(&**tally) {
                continue;
            }
            self.turns += 1;
            let other = self.names.get(&link.cuid).filter(|_| !leads_out);
            let meets = other.is_some_and(|other| self.nodes[*other].best[1 - end as usize] != [None; 2]);
            let (tally, link, turn) = (Rc::clone(tally), link.clone(), self.turns);
            let step = Step { margin, meets, edges: edges + 1, min, turn, label: index, tally, link };
            self.steps[end as usize].push(step);
        }
        Ok(())
    }

    /// The two ends have met at a user.
    fn meet(&mut self, bottom: usize, top: usize) -> Result<(), Fault> {
        let (lower, upper) = (&self.labels[bottom], &self.labels[top]);
        let edges = lower.edges + upper.edges;
        let lading = match (lower.lading, upper.lading) {
            (Some(lower), Some(upper)) => lower.then(upper),
            (Some(lading), None) | (None, Some(lading)) => lading,
            (None, None) => return Ok(()),
        };
        if edges > limits::MAXLEN + 1 || !self.wanted.allows(&lading) || !self.is_simple(bottom, top) {
            return Ok(());
        }
        let root = upper.root;
        let mut hops = self.hops(bottom);
        hops.extend(self.hops(top).into_iter().rev());
        if self.found.iter().any(|path| path.top == root && path.tallies().eq(hops.iter().map(|hop| &*hop.tally))) {
            return Ok(());
        }
        for hop in hops.iter().filter(|hop| hop.halves.len() == 2) {
            // What it lets through was read from the receiver's half.
            if !edges::usable(self.context, &hop.halves[0], &hop.tally)? {
                return Ok(());
            }
        }
        self.found.push(Path { hops, lading, top: root });
        Ok(())
    }

    /// Whether two ways that meet have no other user, and no tally, in common (PROTOCOL 7.3, O-31).
    fn is_simple(&self, bottom: usize, top: usize) -> bool {
        let lower: Vec<usize> = self.way(bottom).collect();
        let mut upper = self.way(top);
        let meeting = upper.next();
        let users: Vec<usize> = lower.iter().map(|label| self.labels[*label].node).collect();
        let tallies: Vec<&str> = lower.iter().filter_map(|label| self.tally(*label)).collect();
        meeting.and_then(|label| self.tally(label)).is_none_or(|tally| !tallies.contains(&tally))
            && upper.all(|label| {
                !users.contains(&self.labels[label].node)
                    && self.tally(label).is_none_or(|tally| !tallies.contains(&tally))
            })
    }

    fn tally(&self, label: usize) -> Option<&str> {
        self.labels[label].hop.as_ref().map(|hop| &*hop.tally)
    }

    /// A label and those it came by, back to its root.
    fn way(&self, label: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(label), |label| self.labels[*label].parent)
    }

    fn passes(&self, label: usize, node: usize) -> bool {
        self.way(label).any(|label| self.labels[label].node == node)
    }

    fn uses(&self, label: usize, tally: &str) -> bool {
        self.way(label).any(|label| self.tally(label) == Some(tally))
    }

    /// The tallies from the root to this label.
    fn hops(&self, label: usize) -> Vec<Hop> {
        let mut hops: Vec<Hop> = self.way(label).filter_map(|label| self.labels[label].hop.clone()).collect();
        hops.reverse();
        hops
    }

    fn lading_with(&self, end: End, label: usize, edge: &Edge) -> Lading {
        let edge = Lading::of(edge);
        match (end, self.labels[label].lading) {
            (_, None) => edge,
            (End::Bottom, Some(below)) => below.then(edge),
            (End::Top, Some(above)) => edge.then(above),
        }
    }

    /// The edge into this user over a tally of theirs.
    fn edge(&mut self, tally: &Rc<str>, receiver: usize, side: Side) -> Result<Option<Edge>, Fault> {
        let key = (Rc::clone(tally), receiver);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let edge = edges::edge(self.context, &self.nodes[receiver].name, tally, side, true)?;
        self.known.insert(key, edge);
        Ok(edge)
    }

    fn node(&mut self, name: &str) -> usize {
        if let Some(node) = self.names.get(name) {
            return *node;
        }
        let node = self.nodes.len();
        self.nodes.push(Node { name: name.to_owned(), links: None, best: [[None; 2]; 2] });
        self.names.insert(name.to_owned(), node);
        node
    }

    fn links(&mut self, node: usize) -> Result<Links, Fault> {
        if let Some(links) = &self.nodes[node].links {
            return Ok(Rc::clone(links));
        }
        let links = links::of_user(self.context, &self.nodes[node].name)?;
        let links = Rc::new(links.into_iter().map(|(tally, link)| (Rc::from(tally), link)).collect::<Vec<_>>());
        self.nodes[node].links = Some(Rc::clone(&links));
        Ok(links)
    }

    fn sorted(mut self, limit: usize) -> Vec<Path> {
        self.found.sort_by(|one, other| one.lading.order(one.hops.len(), &other.lading, other.hops.len()));
        self.found.truncate(limit);
        self.found
    }
}

fn is_better(label: &Label, best: &Label) -> bool {
    match (&label.lading, &best.lading) {
        (Some(lading), Some(other)) => lading.order(label.edges, other, best.edges) == Ordering::Less,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}
