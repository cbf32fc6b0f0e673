//! The side that is called: from `accept` to an open channel, or to silence (PROTOCOL 2.4, 2.5, A.3).

use super::Net;
use super::channel::{Channel, Role};
use super::channels::Place;
use super::connection::{Begun, Connection};
use super::handshake_io::{HandshakeError, packet};
use super::receive::{Received, Way};
use crate::crash::crash_point;
use crate::ledger::input::{Input, Outcome};
use crate::ledger::queue::Tell;
use crate::wire::envelope::{Envelope, authenticate};
use crate::wire::error::WireError;
use crate::wire::ext::Extensions;
use crate::wire::frame::{FrameReader, Kind};
use crate::wire::handshake::{KnownOffered, Listening, Opening, PublicOffered, TicketOffered, opening_ephemeral};
use crate::wire::transport::{KeyOrder, Open};
use async_std::future::timeout;
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use rustix::net::sockopt::set_socket_linger;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tallyho_plugin::record::AgentId;

/// Why a caller is left without an answer. The caller cannot tell one from another.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("the opening packet has been seen before")]
    Replay,
    #[error("no relation with agent {}", .0.0)]
    Stranger(AgentId),
    #[error("ticket: {0}")]
    Ticket(String),
    #[error("nothing here is served to strangers")]
    NotPublic,
    #[error("the site could not say")]
    Unable,
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Refusal::Handshake(HandshakeError::Wire(error))
    }
}

impl Refusal {
    /// The reason of the strike; `None` where the caller has done nothing wrong.
    fn strike(&self) -> Option<&'static str> {
        match self {
            // A scanner, or a peer whose network failed; and PROTOCOL 2.5 has no strike for silence.
            Refusal::Handshake(HandshakeError::Gone | HandshakeError::Broken | HandshakeError::Late)
            | Refusal::Unable => None,
            Refusal::Handshake(HandshakeError::Wire(error)) => error.is_peers_fault().then(|| error.name()),
            Refusal::Replay => Some("replay"),
            Refusal::Stranger(_) => Some("stranger"),
            Refusal::Ticket(_) => Some("ticket"),
            Refusal::NotPublic => Some("not-public"),
        }
    }
}

/// Takes connections until the site stops.
pub async fn listen(net: Arc<Net>, listener: TcpListener) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of file descriptors, or the caller is gone already: others must not be starved.
            Err(error) => {
                log::warn!("a connection could not be accepted: {error}");
                task::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if net.is_stopping() {
            return;
        }
        if net.banned(address.ip()) {
            turn_away(&stream);
            continue;
        }
        match net.channels().place(address.ip()) {
            Ok(place) => drop(task::spawn(answer(Arc::clone(&net), stream, address, place))),
            Err(crowded) => {
                log::debug!("a connection from {address} is turned away: {crowded}");
                turn_away(&stream);
            }
        }
    }
}

/// Has the connection reset when it is closed, so that the caller takes a site without room, which has not
/// read a byte and says nothing of any ticket, for out of reach and not for one that refuses (PROTOCOL 2.5).
fn turn_away(stream: &TcpStream) {
    // Where it fails the caller is gone already.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}

async fn answer(net: Arc<Net>, mut stream: TcpStream, address: SocketAddr, mut place: Place) {
    let _ = stream.set_nodelay(true);
    let mut reader = FrameReader::new();
    match handshake(&net, &mut stream, &mut reader, address).await {
        Ok(Answer { open, agent, extensions, first, received }) => {
            crash_point("channel-opening");
            place.established();
            if agent.is_none() && place.strangers().is_err() {
                return turn_away(&stream);
            }
            let id = net.channels().name();
            let channel = Channel::new(id, agent, address, Role::Responder, extensions, net.now());
            let ticket = matches!(received, First::Ticket);
            let inputs = match received {
                // Now that the channel has its name, what came with the opening counts as its first message.
                First::Message(agent, envelope) => match net.authenticated(&channel, &agent, *envelope) {
                    Received::Inputs(inputs) => inputs.into(),
                    _ => VecDeque::new(),
                },
                First::Public(payload) => match net.opened_with(&channel, &payload) {
                    Received::Inputs(inputs) => inputs.into(),
                    _ => return,
                },
                First::Nothing | First::Ticket => VecDeque::new(),
            };
            net.opened(&channel, ticket);
            Connection::new(net, channel, Begun { stream, open, reader, first, inputs, place }).spawn();
        }
        Err(refusal) => {
            log::debug!("a connection from {address} is closed without an answer: {refusal}");
            if let Some(reason) = refusal.strike() {
                net.strike(address.ip(), reason);
            }
        }
    }
}

/// An opening that gets an answer.
struct Answer {
    open: Open,
    agent: Option<AgentId>,
    extensions: Extensions,
    /// The `A` packet.
    first: Vec<u8>,
    received: First,
}

/// What an opening packet carried beside the handshake.
enum First {
    Nothing,
    /// A ticket, judged before the answer.
    Ticket,
    Message(AgentId, Box<Envelope>),
    Public(Vec<u8>),
}

async fn handshake(
    net: &Arc<Net>,
    stream: &mut TcpStream,
    reader: &mut FrameReader,
    address: SocketAddr,
) -> Result<Answer, Refusal> {
    let (kind, body) = packet(stream, reader, net.patience()).await?;
    let ephemeral = unseen(net, kind, &body)?;
    match Listening::new().receive(net.identity(), kind, &body)? {
        Opening::Ticket(offered) => {
            let answer = ticket(net, offered).await?;
            remember(net, ephemeral)?;
            Ok(answer)
        }
        Opening::Claim(awaiting) => {
            // An agent unknown here gets no further; its K would only cost time.
            let claimed = awaiting.claimed().clone();
            let (kind, body) = packet(stream, reader, net.patience()).await?;
            if !net.admits(&claimed) {
                return Err(Refusal::Stranger(claimed));
            }
            let ephemeral = unseen(net, kind, &body)?;
            let offered = awaiting.receive(net.identity(), kind, &body)?;
            remember(net, ephemeral)?;
            known(net, offered)
        }
        Opening::Public(offered) => {
            remember(net, ephemeral)?;
            public(net, offered, address)
        }
    }
}

/// A recorded opening packet can be sent again by anyone who saw it (PROTOCOL A.3).
fn unseen(net: &Net, kind: Kind, body: &[u8]) -> Result<Option<[u8; 32]>, Refusal> {
    match opening_ephemeral(kind, body) {
        Some(ephemeral) if net.has_seen(&ephemeral) => Err(Refusal::Replay),
        ephemeral => Ok(ephemeral),
    }
}

/// Only what has opened is remembered: garbage must not push it out of the memory.
fn remember(net: &Net, ephemeral: Option<[u8; 32]>) -> Result<(), Refusal> {
    match ephemeral {
        Some(ephemeral) if !net.remember(ephemeral) => Err(Refusal::Replay),
        _ => Ok(()),
    }
}

/// PROTOCOL 2.4: nothing is answered before the ticket's consumption is durable.
async fn ticket(net: &Arc<Net>, offered: TicketOffered) -> Result<Answer, Refusal> {
    let envelope = Envelope::parse(offered.payload())?;
    let from = envelope.from.clone();
    let agent = from.agent.clone();
    if !offered.proves(&agent) {
        return Err(Refusal::Ticket("from.agent is not the connecting key".to_owned()));
    }
    let envelope = authenticate(envelope, &agent, &net.own().agent)?.into_inner();
    if (envelope.target.as_str(), envelope.action.as_str()) != ("tally", "ticket") || envelope.ticket.is_none() {
        return Err(Refusal::Ticket("an I packet carries tally/ticket".to_owned()));
    }
    let (extensions, answer) = net.agree(&agent, Extensions::offered(&envelope));
    let inbound = net.inbound(envelope, &Way::Ticket).map_err(Refusal::Ticket)?;
    let (tell, told) = async_std::channel::bounded(1);
    let tell: Tell = Box::new(move |outcome| drop(tell.try_send(outcome)));
    net.ledger().submit(Input::Peer(inbound), Some(tell)).await.map_err(|_| Refusal::Unable)?;
    let outcome = timeout(net.patience(), told.recv()).await.map_err(|_| Refusal::Unable)?;
    match outcome.map_err(|_| Refusal::Unable)? {
        Outcome::Done(_) => {}
        Outcome::Fault(fault) if fault.kind == tallyho_plugin::FaultKind::Refused => {
            return Err(Refusal::Ticket(fault.text));
        }
        Outcome::Fault(_) => return Err(Refusal::Unable),
    }
    // A ticket taken: where its subject says it is now holds (PROTOCOL 1.1).
    if let (Some(host), Some(port)) = (&from.host, from.port)
        && !net.addresses().has_learnt(&agent, host, port)
    {
        net.ledger().submit(Input::Learn { from }, None).await.map_err(|_| Refusal::Unable)?;
    }
    crash_point("before-answer");
    let (first, mut open) = offered.accept(&answer)?;
    net.settle(&mut open, &agent, extensions);
    Ok(Answer { open, agent: Some(agent), extensions, first, received: First::Ticket })
}

fn known(net: &Net, offered: KnownOffered) -> Result<Answer, Refusal> {
    let agent = offered.agent().clone();
    let envelope = match offered.payload() {
        [] => None,
        payload => Some(Envelope::parse(payload)?),
    };
    let offer = envelope.as_ref().map_or(Extensions::NONE, Extensions::offered);
    let (extensions, answer) = net.agree(&agent, offer);
    let (first, mut open) = offered.accept(&answer)?;
    net.settle(&mut open, &agent, extensions);
    let received = envelope.map_or(First::Nothing, |envelope| First::Message(agent.clone(), Box::new(envelope)));
    Ok(Answer { open, agent: Some(agent), extensions, first, received })
}

fn public(net: &Net, offered: PublicOffered, address: SocketAddr) -> Result<Answer, Refusal> {
    if !net.serves_public() {
        return Err(Refusal::NotPublic);
    }
    // No strike: whoever has much to ask, or shares an address with others, has done nothing wrong.
    if !net.public_request(address.ip()) {
        return Err(Refusal::Unable);
    }
    let payload = offered.payload().to_vec();
    let (first, open) = offered.accept(&[])?;
    let received = if payload.is_empty() { First::Nothing } else { First::Public(payload) };
    Ok(Answer { open, agent: None, extensions: Extensions::NONE, first, received })
}

impl Net {
    /// Whether an agent may open a channel (PROTOCOL 1.5). A site that has lost its store knows no relations; so
    /// that partners can give it back their tallies (T33), those whom its operator has named come in
    /// too. Whatever they say there is checked as ever.
    fn admits(&self, agent: &AgentId) -> bool {
        self.relations().admits(agent, self.now()) || self.addresses().is_named(agent)
    }

    /// What an opening message offers that this host uses too, and the answer that says so.
    fn agree(&self, agent: &AgentId, offered: Extensions) -> (Extensions, Vec<u8>) {
        let own = if self.addresses().is_reference(agent) { Extensions::NONE } else { Extensions::ALL };
        let agreed = offered.and(own);
        (agreed, agreed.answer())
    }

    /// Whose transport keys are which is known of hosts like this one and of peers marked; of others
    /// the first message tells, or they get the standard order (PROTOCOL A.3, O-63).
    fn settle(&self, open: &mut Open, agent: &AgentId, extensions: Extensions) {
        if self.addresses().is_reference(agent) {
            open.settle(KeyOrder::Exchanged);
        } else if extensions != Extensions::NONE {
            open.settle(KeyOrder::Noise);
        }
    }
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;
