//! The search for paths (PROTOCOL 7.3): from both ends at once, the cheapest and then the shortest way first,
//! until enough paths are found or a bound is reached.
//!
//! Whom a user has open tallies with is one scan, which also tells with whom both ends have tallies: so the ends
//! meet without looking at the tallies of those between. What a tally lets through is read when the search goes
//! over it, not when it is first seen: of all tallies at the rim of what is explored, most are never gone over.
//! Those that lead to where the other end has been go first, and last those that lead to where this one has been.
//! A user who was reached in a better way than before is gone on from once more. So a small site is searched
//! in whole, and of a large one no more than it takes for the two ends to meet.

use crate::front::Front;
use crate::ground::Ground;
use crate::lading::Lading;
use crate::path::{Hop, Path, Root, Wanted};
use crate::step::{Rank, Step, Task};
use crate::ways::{Way, Ways};
use crate::{edges, limits};
use std::rc::Rc;
use tallyho_chit::capacity::Edge;
use tallyho_plugin::record::Side;
use tallyho_plugin::{Context, Fault};

/// From which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Downstream, where value comes from.
    Bottom,
    /// Upstream, where it goes.
    Top,
}

impl End {
    fn other(self) -> Self {
        if self == End::Bottom { End::Top } else { End::Bottom }
    }
}

/// One search.
struct Search<'a, 'c, 'w> {
    ground: Ground<'a, 'c>,
    wanted: Wanted<'w>,
    ways: Ways,
    fronts: [Front; 2],
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
        // Where all that can be reached from one end is known, so is every meeting.
        let Some(end) = search.turn() else { break };
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
        if search.fronts[0].first().is_none() {
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
            ground: Ground::new(context),
            wanted,
            ways: Ways::default(),
            fronts: [Front::default(), Front::default()],
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
        let user = self.ground.number(&from.user);
        let edges = usize::from(from.hop.is_some());
        self.reach(end, Way { user, parent: None, hop: from.hop.clone(), lading, edges, root })
    }

    /// Which end goes on; `None` where one has nothing more to do.
    fn turn(&mut self) -> Option<End> {
        let [bottom, top] = &mut self.fronts;
        let ((low, low_rank), (high, high_rank)) = (bottom.first()?, top.first()?);
        Some(match () {
            () if low_rank < high_rank && low <= high => End::Bottom,
            () if high_rank < low_rank && high <= low => End::Top,
            () if bottom.waiting() <= top.waiting() => End::Bottom,
            () => End::Top,
        })
    }

    /// Does the next step from this end.
    fn go(&mut self, end: End) -> Result<(), Fault> {
        let (ground, fronts) = (&self.ground, &mut self.fronts);
        let [bottom, top] = fronts;
        let (front, opposite) = if end == End::Bottom { (bottom, &*top) } else { (top, &*bottom) };
        let Some(step) = front.take(|step| rank(ground, opposite, &self.ways, end, step)) else { return Ok(()) };
        match step.task {
            Task::Look => self.look(end, step.way),
            Task::Cross { tally, side, to: Some(to) } => {
                self.tried += 1;
                self.cross(end, step.way, tally, side, to)
            }
            Task::Cross { tally, side, to: None } => {
                self.tried += 1;
                self.leave(step.way, tally, side)
            }
        }
    }

    /// Goes over a tally within the site.
    fn cross(&mut self, end: End, way: usize, tally: Rc<str>, side: Side, to: usize) -> Result<(), Fault> {
        if self.ways.passes(way, to) {
            return Ok(());
        }
        let &Way { user: from, edges, root, .. } = self.ways.get(way);
        let (issuer, receiver) = if end == End::Bottom { (from, to) } else { (to, from) };
        // `side` is that of `from`; the receiver's half tells.
        let side = if receiver == from { side } else { side.other() };
        let Some(edge) = self.ground.edge(&tally, receiver, side)? else { return Ok(()) };
        let lading = self.lading_with(end, way, &edge);
        if !self.wanted.allows(&lading) {
            return Ok(());
        }
        let halves = [issuer, receiver].map(|user| self.ground.user(user).name.to_string()).to_vec();
        let hop = Some(Hop { tally, edge, halves, leaves: false });
        self.reach(end, Way { user: to, parent: Some(way), hop, lading: Some(lading), edges: edges + 1, root })
    }

    /// Goes over a tally out of the site.
    fn leave(&mut self, way: usize, tally: Rc<str>, side: Side) -> Result<(), Fault> {
        if self.ways.uses(way, &tally) {
            return Ok(());
        }
        let user = self.ground.user(self.ways.get(way).user).name.to_string();
        let Some(edge) = edges::edge(self.ground.context(), &user, &tally, side, false)? else { return Ok(()) };
        let lading = self.lading_with(End::Bottom, way, &edge);
        if self.wanted.allows(&lading) {
            let mut hops = self.ways.hops(way);
            hops.push(Hop { tally, edge, halves: vec![user], leaves: true });
            self.exits.get_or_insert_default().push(Path { hops, lading, top: 0 });
        }
        Ok(())
    }

    /// A user was reached: is it a better way than before, and does it meet one from the other end?
    fn reach(&mut self, end: End, way: Way) -> Result<(), Fault> {
        let user = way.user;
        let class = usize::from(way.lading.is_none_or(|lading| lading.min > 0));
        let known = self.ground.user(user).best[end as usize];
        // One with room is compared with its like alone, one without with all.
        let better = known[class..].iter().flatten().all(|best| way.is_better(self.ways.get(*best)));
        let index = self.ways.add(way);
        for other in self.ground.user(user).best[end.other() as usize].into_iter().flatten() {
            let (bottom, top) = if end == End::Bottom { (index, other) } else { (other, index) };
            self.meet(bottom, top)?;
        }
        if better {
            self.ground.user_mut(user).best[end as usize][class] = Some(index);
            self.go_on(end, index);
        }
        if known == [None; 2] {
            self.rank_those_into(user, end.other(), Rank::Completes);
        }
        Ok(())
    }

    /// Whoever was reached is one to go on from.
    fn go_on(&mut self, end: End, way: usize) {
        let &Way { user, lading, edges, .. } = self.ways.get(way);
        if edges <= limits::MAXLEN {
            let rank = if self.ground.user(user).looked[end as usize] { Rank::Again } else { Rank::New };
            let (margin, min) = lading.map_or((0.0, i64::MAX), |lading| (lading.margin, lading.min));
            self.fronts[end as usize].add(Step { margin, edges, min, way, task: Task::Look }, rank);
        }
    }

    /// Puts a user's tallies among those to go over.
    fn look(&mut self, end: End, way: usize) -> Result<(), Fault> {
        let &Way { user, lading, edges, .. } = self.ways.get(way);
        self.ground.user_mut(user).looked[end as usize] = true;
        let (margin, min) = lading.map_or((0.0, i64::MAX), |lading| (lading.margin, lading.min));
        for open in self.ground.open(user)?.iter() {
            // Out of the site only where exits are looked for.
            let leads_nowhere = open.to.is_none() && self.exits.is_none();
            if leads_nowhere || self.fronts[end as usize].is_full() || self.wanted.avoid.contains(&*open.tally) {
                continue;
            }
            let task = Task::Cross { tally: Rc::clone(&open.tally), side: open.side, to: open.to };
            let step = Step { margin, edges: edges + 1, min, way, task };
            let rank = rank(&self.ground, &self.fronts[end.other() as usize], &self.ways, end, &step);
            let number = self.fronts[end as usize].add(step, rank);
            if let Some(to) = open.to {
                let rim = &mut self.ground.user_mut(to).rim[end as usize];
                // Where one was there before, those from the other end have their place already.
                let is_first = !self.fronts[end as usize].has_any(rim);
                rim.push(number);
                if is_first && rank == Rank::Touches {
                    self.rank_those_into(to, end.other(), Rank::Touches);
                }
            }
        }
        Ok(())
    }

    /// Steps from this end that lead to this user have become more promising.
    fn rank_those_into(&mut self, user: usize, end: End, rank: Rank) {
        for step in &self.ground.user(user).rim[end as usize] {
            self.fronts[end as usize].rank(*step, rank);
        }
    }

    /// The two ends have met at a user.
    fn meet(&mut self, bottom: usize, top: usize) -> Result<(), Fault> {
        let (lower, upper) = (self.ways.get(bottom), self.ways.get(top));
        let edges = lower.edges + upper.edges;
        let lading = match (lower.lading, upper.lading) {
            (Some(lower), Some(upper)) => lower.then(upper),
            (Some(lading), None) | (None, Some(lading)) => lading,
            (None, None) => return Ok(()),
        };
        if edges > limits::MAXLEN + 1 || !self.wanted.allows(&lading) || !self.ways.are_simple(bottom, top) {
            return Ok(());
        }
        let root = upper.root;
        let mut hops = self.ways.hops(bottom);
        hops.extend(self.ways.hops(top).into_iter().rev());
        if self.found.iter().any(|path| path.top == root && path.tallies().eq(hops.iter().map(|hop| &*hop.tally))) {
            return Ok(());
        }
        for hop in hops.iter().filter(|hop| hop.halves.len() == 2) {
            // What it lets through was read from the receiver's half.
            if !edges::usable(self.ground.context(), &hop.halves[0], &hop.tally)? {
                return Ok(());
            }
        }
        self.found.push(Path { hops, lading, top: root });
        Ok(())
    }

    fn lading_with(&self, end: End, way: usize, edge: &Edge) -> Lading {
        let edge = Lading::of(edge);
        match (end, self.ways.get(way).lading) {
            (_, None) => edge,
            (End::Bottom, Some(below)) => below.then(edge),
            (End::Top, Some(above)) => edge.then(above),
        }
    }

    fn sorted(mut self, limit: usize) -> Vec<Path> {
        self.found.sort_by(|one, other| one.lading.order(one.hops.len(), &other.lading, other.hops.len()));
        self.found.truncate(limit);
        self.found
    }
}

/// What a step from this end promises as things are now.
fn rank(ground: &Ground<'_, '_>, opposite: &Front, ways: &Ways, end: End, step: &Step) -> Rank {
    let Task::Cross { to, .. } = step.task else {
        let looked = ground.user(ways.get(step.way).user).looked[end as usize];
        return if looked { Rank::Again } else { Rank::New };
    };
    let Some(to) = to.map(|to| ground.user(to)) else { return Rank::New };
    let (own, other) = (end as usize, end.other() as usize);
    match () {
        () if to.is_reached(other) => Rank::Completes,
        () if to.is_reached(own) => Rank::Again,
        () if opposite.has_any(&to.rim[other]) => Rank::Touches,
        () => Rank::New,
    }
}
