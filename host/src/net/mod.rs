//! The async shell round [`wire`](crate::wire): sockets, deadlines, limits.
//!
//! [`Net`] joins the three parts that have to agree: open channels ([`channels`]), the outbox's
//! schedule ([`courier`]) and the ledger, which hears of every message and says what may leave.

mod accept;
#[cfg(test)]
mod bare;
pub mod channel;
pub mod channels;
mod connection;
pub mod courier;
mod dial;
mod handshake_io;
pub mod limits;
mod receive;
mod release;
pub mod runtime;
mod writing;

use crate::ledger::Ledger;
use crate::ledger::input::{Input, Outcome};
use crate::ledger::line::Line;
use crate::ledger::outbox::OutboxRow;
use crate::ledger::queue::Tell;
use crate::ledger::thread::Clock;
use crate::site::bans::{Bans, Network};
use crate::site::books::{AddressBook, UserBook};
use crate::site::relations::RelationRegistry;
use crate::wire::envelope::Envelope;
use crate::wire::error::WireError;
use crate::wire::ext::{self, Extensions};
use crate::wire::handshake::ReplayMemory;
use crate::wire::keys::Identity;
use async_std::net::TcpListener;
use async_std::task;
use channel::{Channel, Out};
use channels::{Bounds, Channels};
use connection::Connection;
use courier::{ChannelId, Courier, Order};
use limits::{DIALS, STRANGERS_DIALS};
use release::Given;
pub use release::ToNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};

/// What the network is made of.
pub struct NetParts {
    /// The agent's key for Noise.
    pub identity: Identity,
    /// The site's own address, as it is told to others.
    pub own: Chad,
    /// Who may talk to whom.
    pub relations: Arc<RelationRegistry>,
    /// Where agents can be reached.
    pub addresses: Arc<AddressBook>,
    /// Who lives here.
    pub users: Arc<UserBook>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How many connections there may be.
    pub bounds: Bounds,
    /// Whether others are called and the outbox delivered. Known from the beginning: the ledger speaks
    /// before [`Net::serve`] is reached, and a call that is dropped is not made again.
    pub online: bool,
}

/// Dials under way, as many as it holds: a channel as a semaphore.
type Dials = (async_std::channel::Sender<()>, async_std::channel::Receiver<()>);

/// Told every notice.
type Hears = Box<dyn Fn(&serde_json::Value) + Send>;

/// The network of a running site; see the module.
pub struct Net {
    parts: NetParts,
    this: Weak<Net>,
    ledger: OnceLock<Arc<Ledger>>,
    stopping: AtomicBool,
    channels: Arc<Channels>,
    courier: Mutex<Courier>,
    bans: Mutex<Bans>,
    replay: Mutex<ReplayMemory>,
    public: Mutex<HashMap<Network, (Timestamp, u32)>>,
    dials: Dials,
    strangers_dials: Dials,
    notices: Mutex<Vec<Hears>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    /// A network that does nothing yet.
    pub fn new(parts: NetParts, seed: u64) -> Arc<Self> {
        Arc::new_cyclic(|this| Net {
            channels: Channels::new(parts.bounds),
            replay: Mutex::new(ReplayMemory::with_limit(parts.bounds.openings)),
            parts,
            this: Weak::clone(this),
            ledger: OnceLock::new(),
            stopping: AtomicBool::new(false),
            courier: Mutex::new(Courier::new(seed)),
            bans: Mutex::new(Bans::new()),
            public: Mutex::default(),
            dials: async_std::channel::bounded(DIALS),
            strangers_dials: async_std::channel::bounded(STRANGERS_DIALS),
            notices: Mutex::default(),
        })
    }

    /// Begins to serve: takes connections, if there is a listener.
    pub fn serve(self: &Arc<Self>, ledger: Arc<Ledger>, listener: Option<TcpListener>) {
        assert!(self.ledger.set(ledger).is_ok(), "a network serves one ledger");
        if let Some(listener) = listener {
            task::spawn(accept::listen(Arc::clone(self), listener));
        }
        task::spawn(tick(Weak::clone(&self.this)));
    }

    /// Takes no more connections, makes none, and has every channel closed.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for channel in self.channels.all() {
            channel.close("the site is stopping");
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The ledger; there is one from [`Net::serve`] on, before any connection.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        // The ledger may speak before `serve` has been told of it: a moment at start.
        self.ledger.wait()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.parts.identity
    }

    /// The site's own address.
    pub fn own(&self) -> &Chad {
        &self.parts.own
    }

    pub(crate) fn relations(&self) -> &RelationRegistry {
        &self.parts.relations
    }

    pub(crate) fn addresses(&self) -> &AddressBook {
        &self.parts.addresses
    }

    pub(crate) fn users(&self) -> &UserBook {
        &self.parts.users
    }

    /// All connections.
    pub fn channels(&self) -> &Arc<Channels> {
        &self.channels
    }

    /// Strikes and bans.
    pub fn bans(&self) -> MutexGuard<'_, Bans> {
        locked(&self.bans)
    }

    /// Rows in memory that wait for this agent.
    pub fn queued(&self, agent: &AgentId) -> usize {
        locked(&self.courier).queued(&agent.into())
    }

    /// Has every notice told to `hear`, from now on.
    pub fn on_notice(&self, hear: impl Fn(&serde_json::Value) + Send + 'static) {
        locked(&self.notices).push(Box::new(hear));
    }

    /// How long a step of a handshake may take.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.parts.bounds.handshake_ms)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn banned(&self, address: IpAddr) -> bool {
        locked(&self.bans).banned(address, self.now()).is_some()
    }

    /// The peer at this address has misbehaved (PROTOCOL 2.5).
    pub(crate) fn strike(&self, address: IpAddr, reason: &str) {
        let now = self.now();
        locked(&self.bans).strike(address, reason, now);
    }

    pub(crate) fn strike_if_refused(&self, address: IpAddr) -> Tell {
        let this = Weak::clone(&self.this);
        Box::new(move |outcome| {
            let refused = matches!(&outcome, Outcome::Fault(fault) if fault.code == "ticket");
            if let (true, Some(net)) = (refused, this.upgrade()) {
                net.strike(address, "ticket");
            }
        })
    }

    /// Whether an opening packet with this ephemeral key has been let in before.
    pub(crate) fn has_seen(&self, ephemeral: &[u8; 32]) -> bool {
        locked(&self.replay).knows(ephemeral)
    }

    /// Remembers the ephemeral key of an opening packet that opened; whether it is new.
    pub(crate) fn remember(&self, ephemeral: [u8; 32]) -> bool {
        locked(&self.replay).remember(ephemeral)
    }

    /// Whether any plugin serves strangers.
    pub(crate) fn serves_public(&self) -> bool {
        let table = self.ledger().table();
        table.all().iter().any(|serving| serving.manifest().targets.iter().any(|target| !target.restricted.is_empty()))
    }

    /// Counts a request on a public channel; whether it is within the limit (PROTOCOL 10.2).
    pub(crate) fn public_request(&self, address: IpAddr) -> bool {
        let (now, network) = (self.now(), Network::of(address));
        let mut public = locked(&self.public);
        // A clock set back must not lengthen the minute to hours.
        public.retain(|_, (since, _)| (0..60_000).contains(&now.0.saturating_sub(since.0)));
        if public.len() >= self.parts.bounds.connections && !public.contains_key(&network) {
            return false;
        }
        let (_, count) = public.entry(network).or_insert((now, 0));
        *count += 1;
        *count <= self.parts.bounds.public_per_minute
    }

    /// A responder's channel is open; `ticket`: by one that was presented.
    pub(crate) fn opened(&self, channel: &Arc<Channel>, ticket: bool) {
        self.channels.add(channel);
        let (id, receipts) = (channel.id, channel.extensions.receipt);
        if let Some(line) = &channel.line {
            self.deliver(|courier, now| {
                if ticket {
                    return courier.opened(line, id, receipts, now);
                }
                if receipts {
                    let older = self.channels.with(line);
                    older.iter().filter(|older| older.id != id).for_each(|older| older.take_back());
                }
                courier.called_us(line, id, receipts, now)
            });
        }
    }

    pub(crate) fn closed(&self, channel: &Channel) {
        self.channels.remove(channel.id);
        if let Some(line) = &channel.line {
            self.deliver(|courier, now| courier.closed(line, channel.id, now));
        }
    }

    pub(crate) fn handed(&self, channel: &Channel, mid: u64) {
        if let Some(line) = &channel.line {
            self.deliver(|courier, now| courier.handed(line, channel.id, mid, now));
        }
    }

    /// A dial has ended: with a channel, its receipts, and whether the row went with the opening
    /// packet; or closed without answer, unsent, and why.
    pub(crate) fn dialled(&self, line: &Line, mid: u64, result: Result<(ChannelId, bool, bool), (bool, bool, String)>) {
        self.deliver(|courier, now| match &result {
            Ok((channel, receipts, carried)) => courier.answered(line, *channel, mid, *carried, *receipts, now),
            Err((closed, unsent, why)) => courier.failed(line, mid, *closed, *unsent, why, now),
        });
    }

    /// A dial has ended with a ticket accepted, and its channel is closed again: there is another.
    pub(crate) fn accepted(&self, line: &Line, mid: u64) {
        self.deliver(|courier, now| courier.accepted(line, mid, now));
    }

    /// Has the courier do something and carries out its orders before anybody else can ask it: two
    /// threads that each carried out their own would let a message overtake an earlier one.
    fn deliver(&self, act: impl FnOnce(&mut Courier, Timestamp) -> Vec<Order>) {
        let mut given = Given::default();
        self.deliver_to(&mut given, act);
        given.wake();
    }

    /// The same, where the channels are woken later.
    fn deliver_to(&self, given: &mut Given, act: impl FnOnce(&mut Courier, Timestamp) -> Vec<Order>) {
        let mut courier = locked(&self.courier);
        let orders = act(&mut courier, self.now());
        self.carry_out(orders, given);
    }

    /// Nothing here waits or asks the courier again.
    fn carry_out(&self, orders: Vec<Order>, given: &mut Given) {
        for order in orders {
            match order {
                Order::Send { channel, mid, row, attempt } => {
                    // A channel that has gone meanwhile says so itself.
                    if let Some(channel) = self.channels.get(channel) {
                        given.put(&channel, Out::Row { mid, row, attempt });
                    }
                }
                Order::Report { line, mid, fate, receipts } => {
                    self.ledger().report(Input::Delivery { line, mid, fate, receipts });
                }
                Order::Refill { line, after } => self.refill(line, after),
                Order::Dial { .. } if self.is_stopping() => {}
                // Without network every dial waits for the next start.
                Order::Dial { .. } if !self.parts.online => {}
                Order::Dial { to, mid, row, attempt } => {
                    let Some(net) = self.this.upgrade() else { return };
                    let line = Line::of(&row.message);
                    let (begin, done) = if line.is_strangers() { &self.strangers_dials } else { &self.dials }.clone();
                    task::spawn(async move {
                        // At most so many dials at a time.
                        let _ = begin.send(()).await;
                        if !net.called_off(&line, mid) {
                            dial::dial(net, line, dial::Errand { to, mid, row, attempt }).await;
                        }
                        let _ = done.recv().await;
                    });
                }
            }
        }
    }

    /// Whether a dial that has waited for its turn is not wanted any more.
    fn called_off(&self, line: &Line, mid: u64) -> bool {
        let mut off = false;
        self.deliver(|courier, now| {
            let orders = courier.called_off(line, mid, now);
            off = orders.is_some();
            orders.unwrap_or_default()
        });
        off
    }

    fn refill(&self, line: Line, after: u64) {
        let this = Weak::clone(&self.this);
        self.ledger().ask_urgently(move |core| {
            let Some(net) = this.upgrade() else { return };
            match core.refill(&line, after) {
                Ok(posts) => net.deliver(|courier, now| courier.refill(&line, posts, now)),
                Err(error) => log::error!("the outbox of {line} cannot be read: {error}"),
            }
        });
    }

    /// A row as it goes over the wire.
    pub(crate) fn envelope(&self, row: &OutboxRow, attempt: u32) -> Envelope {
        let message = &row.message;
        let from = Some(message.from.clone()).filter(|cuid| !cuid.is_empty());
        let from = Chad { cuid: from, ..self.own().clone() };
        Envelope {
            object: Some(message.object.clone()).filter(|object| !object.is_empty()),
            tally: message.tally.clone(),
            ticket: message.ticket.clone(),
            attempt: Some(u64::from(attempt)),
            last: Some(self.now().to_string()),
            ..Envelope::new(&message.target, &message.action, message.to.clone(), from)
        }
    }

    /// A message that only offers extensions.
    pub(crate) fn greeting(&self, to: &Chad) -> Envelope {
        let to = Chad { cuid: None, ..to.clone() };
        let ext = Extensions::ALL.names();
        Envelope { ext, ..Envelope::new(ext::HOST, "open", to, self.own().clone()) }
    }

    /// Something to be sent, as this channel wants it.
    pub(crate) fn encode(&self, channel: &Channel, out: &Out) -> Result<Vec<u8>, WireError> {
        let envelope = match out {
            Out::Row { mid, row, attempt } => {
                let mut envelope = self.envelope(row, *attempt);
                envelope.mid = Some(*mid).filter(|_| channel.extensions.receipt);
                envelope
            }
            Out::Answer(row) => self.envelope(row, 1),
            Out::Receipt(receipt) => {
                let agent = channel.agent.clone().unwrap_or_else(|| self.own().agent.clone());
                receipt.message(Chad { cuid: None, agent, host: None, port: None }, self.own().clone())
            }
        };
        let mut message = Vec::new();
        envelope.encode(channel.extensions.encoding(), &mut message)?;
        Ok(message)
    }
}

impl Connection {
    fn spawn(self) {
        task::spawn(async move {
            let address = self.address();
            let why = self.await;
            log::debug!("the channel with {address} is closed: {why}");
        });
    }
}

/// Four times a second: resends, silent channels.
async fn tick(net: Weak<Net>) {
    loop {
        task::sleep(Duration::from_millis(250)).await;
        let Some(net) = net.upgrade() else { return };
        let now = net.now();
        net.channels.sweep(now);
        net.deliver(|courier, now| courier.tick(now));
    }
}
