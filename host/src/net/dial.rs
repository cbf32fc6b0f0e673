//! The side that calls.

use super::Net;
use super::channel::{Channel, Role};
use super::connection::{Begun, Connection};
use super::handshake_io::{HandshakeError, packet};
use crate::crash::crash_point;
use crate::ledger::line::Line;
use crate::ledger::outbox::OutboxRow;
use crate::site::endpoint::Endpoint;
use crate::wire::error::WireError;
use crate::wire::ext::Extensions;
use crate::wire::frame::FrameReader;
use crate::wire::handshake::{AwaitingA, dial_known, dial_public, dial_ticket};
use crate::wire::limits::MAX_OPENING_MESSAGE;
use crate::wire::transport::{KeyOrder, Open};
use async_std::future::timeout;
use async_std::io::WriteExt;
use async_std::net::TcpStream;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tallyho_plugin::record::Chad;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(
        "it is not known where agent {0} can be reached; tell with `tallyho peer set AGENT --host HOST --port PORT`"
    )]
    NoAddress(String),
    #[error("{place} cannot be reached: {why}")]
    Unreachable { place: String, why: String },
    #[error("{place} closed the connection without an answer")]
    Closed { place: String },
    #[error("{place}: {why}")]
    Odd { place: String, why: HandshakeError },
    #[error("the opening packet cannot be made: {0}")]
    Wire(#[from] WireError),
}

/// Calls the peer of this line with a row of the outbox as opening message, and serves the channel from then on.
pub async fn dial(net: Arc<Net>, line: Line, errand: Errand) {
    let (agent, mid, row) = (&errand.to.agent, errand.mid, &errand.row);
    let mut wrote = false;
    match call(&net, &line, &errand, &mut wrote).await {
        // The answer was all that was wanted of it (D-2), and the issuer has room for few connections. What
        // it may have put on this one already comes again on the other, as it has no receipt.
        Ok(Answered { extensions, .. })
            if row.message.ticket.is_some() && extensions.receipt && net.channels().has(&line) =>
        {
            net.accepted(&line, mid);
        }
        Ok(Answered { stream, address, open, reader, extensions, carried }) => {
            let id = net.channels().name();
            let channel = match line.is_strangers() {
                true => Channel::asking(id, line.clone(), address, net.now()),
                false => Channel::new(id, Some(agent.clone()), address, Role::Initiator, extensions, net.now()),
            };
            let place = match net.channels().place_dialled(address.ip()) {
                Ok(place) => place,
                Err(crowded) => return net.dialled(&line, mid, Err((false, false, crowded.to_string()))),
            };
            net.channels().add(&channel);
            let (inputs, first) = (VecDeque::new(), Vec::new());
            let begun = Begun { stream, open, reader, first, inputs, place };
            let connection = Connection::new(Arc::clone(&net), channel, begun);
            net.dialled(&line, mid, Ok((id, extensions.receipt, carried)));
            connection.spawn();
        }
        Err(error) => {
            log::info!("a call to agent {} came to nothing: {error}", agent.0);
            let closed = matches!(error, DialError::Closed { .. });
            net.dialled(&line, mid, Err((closed, !wrote, error.to_string())));
        }
    }
}

/// What a call is made for.
pub struct Errand {
    /// Whom to call, with hints where it may be found.
    pub to: Chad,
    /// The row that is its opening message.
    pub mid: u64,
    /// The row's message.
    pub row: Arc<OutboxRow>,
    /// How often it has been sent, this time included.
    pub attempt: u32,
}

struct Answered {
    stream: TcpStream,
    address: SocketAddr,
    open: Open,
    reader: FrameReader,
    extensions: Extensions,
    /// The row went with the opening packet.
    carried: bool,
}

async fn call(net: &Net, line: &Line, errand: &Errand, wrote: &mut bool) -> Result<Answered, DialError> {
    let to = &errand.to;
    let agent = &to.agent;
    // A stranger is asked where the message says, and nowhere else: others may say otherwise of the same agent.
    let named = to.host.clone().zip(to.port).map(|(host, port)| Endpoint { host, port });
    let endpoint = if line.is_strangers() { named } else { net.addresses().find(to) };
    let Endpoint { host, port } = endpoint.ok_or_else(|| DialError::NoAddress(agent.0.clone()))?;
    let place = format!("{host}:{port}");
    let reference = net.addresses().is_reference(agent);
    // Nothing is offered to strangers (PROTOCOL A.4 needs an agent that is proven on both sides).
    let offer = if reference || line.is_strangers() { Extensions::NONE } else { Extensions::ALL };
    let (packet_bytes, awaiting, carried) = opening(net, line, errand, offer)?;
    let unreachable = |why: String| DialError::Unreachable { place: place.clone(), why };
    let connecting = TcpStream::connect((host.as_str(), port));
    let mut stream = timeout(net.patience(), connecting)
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", net.patience().as_secs())))?
        .map_err(|error| unreachable(error.to_string()))?;
    let address = stream.peer_addr().map_err(|error| unreachable(error.to_string()))?;
    let _ = stream.set_nodelay(true);
    crash_point("before-opening");
    *wrote = true;
    let odd = |why| match why {
        HandshakeError::Gone => DialError::Closed { place: place.clone() },
        // Nobody has judged what was sent: it is no refusal (PROTOCOL 2.5).
        HandshakeError::Broken => unreachable(why.to_string()),
        why => DialError::Odd { place: place.clone(), why },
    };
    let writing = timeout(net.patience(), stream.write_all(&packet_bytes)).await;
    writing.map_err(|_| odd(HandshakeError::Late))?.map_err(|_| odd(HandshakeError::Broken))?;
    crash_point("opening-written");
    let mut reader = FrameReader::new();
    let (kind, body) = packet(&mut stream, &mut reader, net.patience()).await.map_err(odd)?;
    let (mut open, answer) = awaiting.receive(kind, &body).map_err(|error| odd(error.into()))?;
    if reference {
        open.settle(KeyOrder::Exchanged);
    }
    crash_point("answered");
    let extensions = offer.in_force(&answer);
    Ok(Answered { stream, address, open, reader, extensions, carried })
}

/// The opening packet: with the row in it, or, where that is too long for it, with a word to the
/// other host that only offers extensions.
fn opening(
    net: &Net,
    line: &Line,
    errand: &Errand,
    offer: Extensions,
) -> Result<(Vec<u8>, AwaitingA, bool), DialError> {
    let Errand { to, mid, row, attempt } = errand;
    let mut envelope = net.envelope(row, *attempt);
    envelope.ext = offer.names();
    // A ticket's answer is `A` itself.
    envelope.mid = Some(*mid).filter(|_| offer.receipt && row.message.ticket.is_none());
    let mut payload = Vec::new();
    envelope.encode_json(&mut payload)?;
    if row.message.ticket.is_some() {
        let (bytes, awaiting) = dial_ticket(net.identity(), &to.agent, &payload)?;
        return Ok((bytes, awaiting, true));
    }
    let carried = payload.len() <= MAX_OPENING_MESSAGE;
    if !carried {
        payload.clear();
        if offer != Extensions::NONE {
            net.greeting(to).encode_json(&mut payload)?;
        }
    }
    let (bytes, awaiting) = match line.is_strangers() {
        true => dial_public(&to.agent, &payload)?,
        false => dial_known(net.identity(), &to.agent, &payload)?,
    };
    Ok((bytes, awaiting, carried))
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
