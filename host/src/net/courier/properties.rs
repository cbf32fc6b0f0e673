//! Random sequences: the courier against what a peer and its ledger would see.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::tests::row;
use super::*;
use crate::ledger::limits::OUTBOX_WINDOW;
use proptest::prelude::*;

const PEER: &str = "peer";

/// What may happen next; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    Post {
        keep: bool,
        schedule: u8,
        ticket: bool,
    },
    /// The peer calls, or presents a ticket.
    Open {
        ticket: bool,
    },
    Close(usize),
    /// The channel writes the next of its rows.
    Write(usize),
    /// A dial comes to an end.
    Answer {
        carried: bool,
    },
    Fail {
        closed: bool,
        unsent: bool,
    },
    CallOff,
    /// The peer has committed what has arrived; its receipt comes.
    Receipt,
    Withdraw(usize),
    Wait(i64),
    /// The program starts anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0..4u8, prop::bool::weighted(0.1))
            .prop_map(|(keep, schedule, ticket)| Step::Post { keep, schedule, ticket }),
        2 => any::<bool>().prop_map(|ticket| Step::Open { ticket }),
        2 => (0..3usize).prop_map(Step::Close),
        8 => (0..3usize).prop_map(Step::Write),
        3 => any::<bool>().prop_map(|carried| Step::Answer { carried }),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(closed, unsent)| Step::Fail { closed, unsent }),
        1 => Just(Step::CallOff),
        4 => Just(Step::Receipt),
        1 => (0..8usize).prop_map(Step::Withdraw),
        3 => (0..400_000i64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// A courier, the ledger's rows, and the peer at the other end.
struct Model {
    courier: Courier,
    line: Line,
    now: Timestamp,
    receipts: bool,
    store: BTreeMap<u64, Arc<OutboxRow>>,
    tickets: BTreeSet<u64>,
    last: u64,
    names: u64,
    /// What each open channel has been given and has not written.
    channels: BTreeMap<ChannelId, Vec<u64>>,
    dial: Option<u64>,
    /// The highest id the peer has seen, and all it has applied.
    high: u64,
    applied: BTreeSet<u64>,
    /// Withdrawn or over: need not arrive.
    excused: BTreeSet<u64>,
}

impl Model {
    fn new(receipts: bool) -> Self {
        Model {
            courier: Courier::new(3),
            line: Line::named(PEER),
            now: Timestamp(1_700_000_000_000),
            receipts,
            store: BTreeMap::new(),
            tickets: BTreeSet::new(),
            last: 0,
            names: 0,
            channels: BTreeMap::new(),
            dial: None,
            high: 0,
            applied: BTreeSet::new(),
            excused: BTreeSet::new(),
        }
    }

    fn posts(&self, after: u64) -> Vec<Post> {
        let rows = self.store.range(after + 1..).take(OUTBOX_WINDOW);
        rows.map(|(mid, row)| Post { line: self.line.clone(), mid: *mid, row: Arc::clone(row) }).collect()
    }

    /// A message arrives at the peer, which applies ids as PROTOCOL A.4 says.
    fn arrive(&mut self, mid: u64) {
        if !self.receipts || self.tickets.contains(&mid) {
            self.applied.insert(mid);
        } else if mid > self.high {
            self.high = mid;
            self.applied.insert(mid);
        }
    }

    fn obey(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Send { channel, mid, .. } => {
                    // A second copy is known by its id, or would be news.
                    let doubled = self.dial == Some(mid) && !self.receipts;
                    assert!(!doubled, "row {mid} is with a dial and with channel {channel}");
                    for (other, rows) in &self.channels {
                        assert!(!rows.contains(&mid), "row {mid} is given to {channel}, and {other} has it");
                    }
                    let rows = self.channels.get_mut(&channel).expect("rows go to open channels");
                    rows.push(mid);
                    // Without receipts a repeat comes late, and harms nobody.
                    assert!(!self.receipts || rows.is_sorted(), "channel {channel} gets {rows:?}");
                }
                Order::Dial { mid, row, .. } => {
                    assert_eq!(self.dial.replace(mid), None, "one dial at a time");
                    let open = !self.channels.is_empty();
                    assert!(row.message.ticket.is_some() || !open, "a dial though a channel is open");
                    assert!(
                        !self.channels.values().flatten().any(|with| *with == mid),
                        "row {mid} is given away twice"
                    );
                }
                Order::Report { mid, fate, receipts, .. } => {
                    let handed = fate == Fate::HandedOver && !receipts;
                    let kept = self.store.get(&mid).map(|row| row.message.keep);
                    let gone = matches!(fate, Fate::Accepted | Fate::Refused)
                        || handed && kept == Some(Keep::HandedOver)
                        || matches!(fate, Fate::Stalled { .. }) && self.ends(mid);
                    if matches!(fate, Fate::Refused | Fate::Stalled { .. }) {
                        self.excused.insert(mid);
                    }
                    if gone {
                        self.drop_rows(&[mid]);
                    }
                }
                Order::Refill { after, .. } => {
                    let posts = self.posts(after);
                    let orders = self.courier.refill(&self.line.clone(), posts, self.now);
                    self.obey(orders);
                }
            }
        }
    }

    fn ends(&self, mid: u64) -> bool {
        let schedule = self.store.get(&mid).map(|row| row.message.schedule);
        matches!(schedule, Some(Schedule::Once | Schedule::Until(_) | Schedule::Ticket))
    }

    fn drop_rows(&mut self, mids: &[u64]) {
        for mid in mids {
            self.store.remove(mid);
            self.channels.values_mut().for_each(|rows| rows.retain(|with| with != mid));
        }
        let orders = self.courier.remove(&self.line.clone(), mids, self.now);
        self.obey(orders);
    }

    fn nth(&self, n: usize) -> Option<ChannelId> {
        self.channels.keys().nth(n).copied()
    }

    fn step(&mut self, step: &Step) {
        let (line, now) = (self.line.clone(), self.now);
        match *step {
            Step::Post { keep, schedule, ticket } => {
                let schedule = match (ticket, schedule) {
                    (true, _) => Schedule::Ticket,
                    (_, 0) => Schedule::Once,
                    (_, 1) => Schedule::Until(now.plus(60_000)),
                    _ => Schedule::Request,
                };
                let keep = if keep { Keep::HandedOver } else { Keep::Withdrawn };
                self.last += 1;
                self.tickets.extend(ticket.then_some(self.last));
                let row = row(schedule, keep, ticket);
                self.store.insert(self.last, Arc::clone(&row));
                let orders = self.courier.post(vec![Post { line, mid: self.last, row }], true, now);
                self.obey(orders);
            }
            Step::Open { ticket } if self.channels.len() < 3 => {
                self.names += 1;
                if self.receipts && !ticket {
                    self.channels.values_mut().for_each(Vec::clear);
                }
                self.channels.insert(self.names, Vec::new());
                let orders = match ticket {
                    true => self.courier.opened(&line, self.names, self.receipts, now),
                    false => self.courier.called_us(&line, self.names, self.receipts, now),
                };
                self.obey(orders);
            }
            Step::Close(n) => {
                let Some(channel) = self.nth(n) else { return };
                self.channels.remove(&channel);
                let orders = self.courier.closed(&line, channel, now);
                self.obey(orders);
            }
            Step::Write(n) => {
                let Some(channel) = self.nth(n).filter(|channel| !self.channels[channel].is_empty()) else { return };
                let mid = self.channels.get_mut(&channel).map_or(0, |rows| rows.remove(0));
                self.arrive(mid);
                let orders = self.courier.handed(&line, channel, mid, now);
                self.obey(orders);
            }
            Step::Answer { carried } => {
                let Some(mid) = self.dial.take() else { return };
                // An opening packet may be too small for a row, never for a ticket.
                let carried = carried || self.tickets.contains(&mid);
                if carried {
                    self.arrive(mid);
                }
                self.names += 1;
                self.channels.insert(self.names, Vec::new());
                let orders = self.courier.answered(&line, self.names, mid, carried, self.receipts, now);
                self.obey(orders);
            }
            Step::Fail { closed, unsent } => {
                let Some(mid) = self.dial.take() else { return };
                let orders = self.courier.failed(&line, mid, closed, unsent, "why", now);
                self.obey(orders);
            }
            Step::CallOff => {
                let Some(mid) = self.dial else { return };
                if let Some(orders) = self.courier.called_off(&line, mid, now) {
                    self.dial = None;
                    self.obey(orders);
                }
            }
            Step::Receipt if self.receipts => {
                let upto: Vec<u64> = self.store.range(..=self.high).map(|(mid, _)| *mid).collect();
                let plain: Vec<u64> = upto.into_iter().filter(|mid| self.store[mid].message.ticket.is_none()).collect();
                for mid in &plain {
                    let fine = self.applied.contains(mid) || self.excused.contains(mid);
                    assert!(fine, "row {mid} is taken for received and never arrived");
                }
                self.drop_rows(&plain);
            }
            Step::Withdraw(n) => {
                let Some(mid) = self.store.keys().nth(n).copied() else { return };
                self.excused.insert(mid);
                self.drop_rows(&[mid]);
            }
            Step::Wait(milliseconds) => {
                self.now = now.plus(milliseconds);
                let orders = self.courier.tick(self.now);
                self.obey(orders);
            }
            Step::Restart => {
                self.courier = Courier::new(5);
                self.channels.clear();
                self.dial = None;
                let orders = self.courier.post(self.posts(0), false, now);
                self.obey(orders);
            }
            Step::Open { .. } | Step::Receipt => {}
        }
    }

    /// The network works: everything arrives, and nothing is left.
    fn heal(&mut self) {
        for _ in 0..10_000 {
            if self.store.is_empty() && self.dial.is_none() {
                break;
            }
            self.step(&Step::Answer { carried: true });
            for n in 0..self.channels.len() {
                self.step(&Step::Write(n));
            }
            self.step(&Step::Receipt);
            let stuck = self.store.keys().copied().find(|mid| self.kept_until_withdrawn(*mid));
            if let Some(mid) = stuck {
                self.drop_rows(&[mid]);
            }
            if self.dial.is_none() && self.channels.values().all(Vec::is_empty) {
                let pause = self.courier.next().map_or(1_000, |next| (next.0 - self.now.0).max(1));
                // What was given up leaves when the peer calls.
                if self.courier.next().is_none() && self.channels.is_empty() {
                    self.step(&Step::Open { ticket: false });
                }
                self.step(&Step::Wait(pause));
            }
        }
        assert!(self.store.is_empty(), "left: {:?}", self.store.keys());
        while let Some(channel) = self.nth(0) {
            self.channels.remove(&channel);
            let orders = self.courier.closed(&self.line.clone(), channel, self.now);
            self.obey(orders);
        }
        assert_eq!(self.courier.peers(), 0, "something is left behind");
    }

    /// Its handler would withdraw it once it has its answer.
    fn kept_until_withdrawn(&self, mid: u64) -> bool {
        let kept = self.store.get(&mid).is_some_and(|row| row.message.keep == Keep::Withdrawn);
        kept && !self.receipts && self.applied.contains(&mid)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_row_is_lost_overtaken_or_given_away_twice(
        receipts in prop::bool::weighted(0.7),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut model = Model::new(receipts);
        for step in &steps {
            model.step(step);
        }
        model.heal();
        if receipts {
            for mid in 1..=model.last {
                prop_assert!(model.applied.contains(&mid) || model.excused.contains(&mid), "row {mid} never arrived");
            }
        }
    }
}
