//! What lies between sites: channels, calls, and wires that can be cut.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tallyho::ledger::line::Line as OutboxLine;
use tallyho::ledger::outbox::OutboxRow;
use tallyho::net::channel::{Channel, Out, Role};
use tallyho::wire::ext::Extensions;
use tallyho_plugin::record::{AgentId, Timestamp};

/// Something written.
#[derive(Clone)]
pub struct Frame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The message, where it is no receipt.
    pub row: Option<Arc<OutboxRow>>,
}

/// One end of a channel.
pub struct End {
    /// The site.
    pub site: usize,
    /// What the site hands things to.
    pub channel: Arc<Channel>,
    /// Taken from the channel, not written yet.
    pub sealed: Option<Out>,
    /// Written, on its way to the other end.
    pub flight: VecDeque<Frame>,
    /// The site's connection is there.
    pub open: bool,
}

/// A channel between two sites. What was written before it was lost may still arrive.
pub struct Line {
    /// The side that called, and the other.
    pub ends: [End; 2],
    /// It is no more; the ends find out.
    pub lost: bool,
    /// One without relation has opened it (PROTOCOL 1.5, `R`).
    pub asked: bool,
    /// When something was last written to it, or came.
    pub used: Timestamp,
}

/// How far a call has come.
pub enum Stage {
    /// Waits for its turn.
    Waiting,
    /// The opening packet is on its way.
    Opening(Vec<u8>),
    /// The other side's ledger has the ticket.
    Judged,
    /// `A` is on its way, over this line.
    Answering(usize),
}

/// A call.
pub struct Call {
    /// Who calls.
    pub from: usize,
    /// The agent called.
    pub agent: AgentId,
    /// For the messages of this line.
    pub line: OutboxLine,
    /// With which row.
    pub mid: u64,
    /// The row.
    pub row: Arc<OutboxRow>,
    /// How often it was sent, this time included.
    pub attempt: u32,
    /// How far it has come.
    pub stage: Stage,
}

impl Line {
    /// A line named `name`, with both ends; only the called one is open yet.
    pub fn new(name: u64, sites: [usize; 2], agents: [&AgentId; 2], receipts: bool, now: Timestamp) -> Self {
        let extensions = Extensions { cbor: receipts, receipt: receipts };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let end = |place: usize, role| {
            End::new(
                sites[place],
                place == 1,
                Channel::new(name, Some(agents[1 - place].clone()), address, role, extensions, now),
            )
        };
        Line { ends: [end(0, Role::Initiator), end(1, Role::Responder)], lost: false, asked: false, used: now }
    }

    /// One that proves nothing about who has opened it, for the messages of this line of the outbox.
    pub fn asked(name: u64, sites: [usize; 2], of: OutboxLine, now: Timestamp) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let asking = Channel::asking(name, of, address, now);
        let answering = Channel::new(name, None, address, Role::Responder, Extensions::NONE, now);
        let ends = [End::new(sites[0], false, asking), End::new(sites[1], true, answering)];
        Line { ends, lost: false, asked: true, used: now }
    }

    /// Whether it joins these two.
    pub fn joins(&self, one: usize, other: usize) -> bool {
        let sites = [self.ends[0].site, self.ends[1].site];
        sites == [one, other] || sites == [other, one]
    }

    /// Whether nothing will ever happen to it.
    pub fn is_over(&self) -> bool {
        self.lost && self.ends.iter().all(|end| !end.open)
    }
}

impl End {
    fn new(site: usize, open: bool, channel: Arc<Channel>) -> Self {
        End { site, channel, sealed: None, flight: VecDeque::new(), open }
    }

    /// Whether it has something to write.
    pub fn is_writing(&mut self) -> bool {
        if self.open && self.sealed.is_none() {
            self.sealed = self.channel.next();
        }
        self.open && self.sealed.is_some()
    }
}
