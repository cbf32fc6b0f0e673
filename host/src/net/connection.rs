//! The task of one open channel: the socket on one side, [`Channel`] on the other.
//!
//! It is a hand-written future and not an `async fn` for the sake of memory: an idle channel holds
//! no buffer at all. Bytes are read into a scratch buffer shared by all channels of a thread and
//! decrypted there; only what a torn frame leaves over, or what the ledger has no room for, is kept.

use super::Net;
use super::channel::{Channel, Role};
use super::channels::Place;
use super::receive::Received;
use super::writing::Writing;
use crate::crash::crash_point;
use crate::ledger::input::Input;
use crate::ledger::queue::Tell;
use crate::site::config::Compat;
use crate::wire::error::WireError;
use crate::wire::ext::Extensions;
use crate::wire::frame::{FrameReader, Kind};
use crate::wire::transport::{KeyOrder, Open, Opener};
use async_std::io::Read;
use async_std::net::TcpStream;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Bytes read at once: two frames of the largest size, hundreds of ordinary ones.
const SCRATCH: usize = 128 * 1_024;

/// Inputs handed to the ledger together: waking it costs as much as a message does.
const TOGETHER: usize = 64;

/// Reads in a row before other tasks of the thread get their turn.
const READS: usize = 4;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// The task of one open channel; ends with the reason why it closed.
pub struct Connection {
    net: Arc<Net>,
    channel: Arc<Channel>,
    stream: TcpStream,
    opener: Opener,
    reader: FrameReader,
    /// Whether the first message will show how the peer speaks.
    learning: bool,
    /// Inputs that the ledger has no room for yet; nothing is read meanwhile.
    inputs: VecDeque<(Input, Option<Tell>)>,
    /// Why it closes once `inputs` are handed in.
    broken: Option<&'static str>,
    /// Given back when the task ends.
    _place: Place,
}

/// What a handshake leaves to the task of its channel.
pub struct Begun {
    /// The socket.
    pub stream: TcpStream,
    /// The keys.
    pub open: Open,
    /// Holds what came after the handshake.
    pub reader: FrameReader,
    /// Bytes to be written before all others (the `A` packet).
    pub first: Vec<u8>,
    /// What the opening message means.
    pub inputs: VecDeque<(Input, Option<Tell>)>,
    /// The connection's place among all.
    pub place: Place,
}

impl Connection {
    /// The task of a channel whose handshake is done.
    pub fn new(net: Arc<Net>, channel: Arc<Channel>, begun: Begun) -> Self {
        let Begun { stream, open, reader, first, inputs, place } = begun;
        let (sealer, opener) = open.split();
        channel.begin_writing(Writing::new(stream.clone(), sealer, first));
        // Hosts of ours say who they are; whom this site has dialled has been spoken to already.
        let learning = channel.role == Role::Responder && channel.extensions == Extensions::NONE;
        Connection { net, channel, stream, opener, reader, learning, inputs, broken: None, _place: place }
    }

    /// Where the other end is.
    pub fn address(&self) -> std::net::SocketAddr {
        self.channel.address
    }

    /// Hands to the ledger what came before; ready when that is done.
    fn hand_in(&mut self, context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.inputs.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.net.ledger().poll_submit(context, &mut self.inputs).map_err(|_| "the site is stopping")
    }

    /// Takes whole frames out of `received` and of what was kept before, until the ledger is full.
    fn frames(&mut self, context: &mut Context<'_>, received: &mut [u8]) -> Poll<Result<(), &'static str>> {
        let now = self.net.now();
        let mut reader = std::mem::take(&mut self.reader);
        let mut packets = reader.packets(received);
        let result = loop {
            if let Some(why) = self.broken {
                // What came before it counts.
                break self.hand_in(context).map(|handed| handed.and(Err(why)));
            }
            if self.inputs.len() >= TOGETHER {
                match self.hand_in(context) {
                    Poll::Ready(Ok(())) => {}
                    other => break other,
                }
            }
            let packet = match packets.next() {
                Ok(Some(packet)) => packet,
                Ok(None) => break self.hand_in(context),
                Err(error) => {
                    self.broken = Some(self.fault(error));
                    continue;
                }
            };
            self.channel.heard(now);
            if packet.kind != Kind::T {
                if self.channel.is_restricted() {
                    self.broken = Some("a stranger asks for something else");
                }
                continue; // PROTOCOL A.3: a wrong kind is ignored in open
            }
            let first = std::mem::take(&mut self.learning).then(|| packet.body.to_vec());
            let message = match self.opener.open_in_place(packet.body) {
                Ok(message) => message,
                Err(error) => {
                    self.broken = Some(match first.and_then(|first| self.opener.other_order(&first)) {
                        Some(order) => {
                            self.speaks(order);
                            "its keys are in another order than was thought"
                        }
                        None => self.fault(error),
                    });
                    continue;
                }
            };
            if first.is_some() && self.opener.order() == Some(KeyOrder::Exchanged) {
                self.speaks(KeyOrder::Exchanged);
            }
            crash_point("frame-received");
            match self.net.receive(&self.channel, message) {
                Received::Nothing => {}
                Received::Inputs(inputs) => self.inputs.extend(inputs),
                Received::Close(why) => self.broken = Some(why),
            }
        };
        drop(packets);
        self.reader = reader;
        result
    }

    /// The peer's first message has shown the order of its keys (PROTOCOL A.3).
    fn speaks(&self, order: KeyOrder) {
        let Some(agent) = self.channel.agent.clone() else { return };
        let compat = (order == KeyOrder::Exchanged).then_some(Compat::MychipsJs);
        if self.net.addresses().is_reference(&agent) != compat.is_some() {
            self.net.ledger().report(Input::Speaks { agent, compat });
        }
    }

    fn fault(&self, error: WireError) -> &'static str {
        if error.is_peers_fault() {
            self.net.strike(self.channel.address.ip(), error.name());
        }
        error.name()
    }

    /// Reads until there is nothing more to read; ready only with a reason to close.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<&'static str> {
        if (self.reader.held() > 0 || !self.inputs.is_empty() || self.broken.is_some())
            && let Err(why) = ready!(self.frames(context, &mut []))
        {
            return Poll::Ready(why);
        }
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            for _ in 0..READS {
                let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, scratch) else {
                    self.inputs.shrink_to_fit(); // an idle channel holds no buffer
                    return Poll::Pending;
                };
                match read {
                    Ok(0) => return Poll::Ready("the other side closed"),
                    Err(_) => return Poll::Ready("it broke off"),
                    Ok(length) => {
                        if let Err(why) = ready!(self.frames(context, &mut scratch[..length])) {
                            return Poll::Ready(why);
                        }
                    }
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

impl Future for Connection {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // First of all: a channel whose socket takes nothing has to hear it too.
        if let Some(why) = this.channel.watch(context.waker()) {
            return Poll::Ready(why);
        }
        if let Poll::Ready(why) = this.channel.poll_write(&this.net, context) {
            return Poll::Ready(why);
        }
        this.read(context)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // First: what is written from now on counts as not sent.
        self.channel.end_writing();
        self.net.closed(&self.channel);
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
