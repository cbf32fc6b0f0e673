//! Messages waiting to be received, in order for each peer.
//!
//! A row's key is its line's name, an agent id mostly, and the message's id (`mid`), so that a scan gives them in the
//! order of sending. Ids rise for ever and are never used twice, not even by a site whose store was
//! restored from an older copy: each is at least the present time in microseconds. (A counter would
//! give ids again that the peer has already received, and the peer would drop what they carry.)

use super::buffer::Buffer;
use super::limits::{OUTBOX_PAGE, OUTBOX_ROWS_FOR_STRANGERS, OUTBOX_ROWS_PER_PEER, OUTBOX_WINDOW, OUTBOX_WINDOW_BYTES};
use super::line::Line;
use crate::store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::{Outgoing, Range};

/// Rows by line and id.
const ROWS: &str = "host.outbox";
/// From a handler's own name for a message to its id, followed by the name of its line where that is a
/// stranger's.
const NAMES: &str = "host.outbox_names";
/// For each agent, and for all strangers together, the last id given and how many rows there are; for each
/// line of a stranger how many.
const PEERS: &str = "host.outbox_peers";

/// A message as it waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// The plugin that sends it.
    pub plugin: String,
    /// The message.
    pub message: Outgoing,
    /// When it was sent first.
    pub created: Timestamp,
    /// Its sender has been told that it was handed over; a resend is not told again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handed: bool,
}

impl OutboxRow {
    /// What it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let ticket = self.message.ticket.as_ref().map_or(0, |ticket| ticket.to_string().len());
        self.message.object.len() + ticket + size_of::<Self>()
    }
}

/// A row that a receipt has removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its id.
    pub mid: u64,
    /// Its plugin and the plugin's name for it, where its sender has asked for reports and has not
    /// been told yet that it was handed over: the receipt may come before that report does.
    pub untold: Option<(String, String)>,
}

/// Why a message could not be put into the outbox.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The peer has not received anything for long.
    #[error(
        "{rows} messages wait already where one for agent {agent} would; withdraw some, or wait until they can be \
         handed over"
    )]
    Full {
        /// As many as there may be.
        rows: u64,
        /// The peer.
        agent: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row that this program wrote cannot be read.
    #[error("an outbox row cannot be read: {0}")]
    Unreadable(String),
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Peer {
    last: u64,
    rows: u64,
}

fn row_key(line: &Line, mid: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(line.as_str().len() + 9);
    key.extend_from_slice(line.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(&mid.to_be_bytes());
    key
}

fn name_key(plugin: &str, agent: &AgentId, name: &str) -> Vec<u8> {
    [plugin, &agent.0, name].join("\0").into_bytes()
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, OutboxError> {
    ciborium::from_reader(bytes).map_err(|error| OutboxError::Unreadable(error.to_string()))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("a row of strings and numbers can be written to memory");
    bytes
}

fn peer(buffer: &mut Buffer<'_>, line: &Line) -> Result<Peer, OutboxError> {
    buffer.get(PEERS, line.as_str().as_bytes())?.map_or(Ok(Peer::default()), |bytes| decode(&bytes))
}

fn put_peer(buffer: &mut Buffer<'_>, line: &Line, peer: Peer) {
    buffer.put(PEERS, line.as_str().as_bytes(), &encode(&peer));
}

/// Room for one more row of this line; its id.
fn enter(buffer: &mut Buffer<'_>, line: &Line, now: Timestamp) -> Result<u64, OutboxError> {
    let counted = line.counted();
    let mut peer = peer(buffer, &counted)?;
    let most = if line.is_strangers() { OUTBOX_ROWS_FOR_STRANGERS } else { OUTBOX_ROWS_PER_PEER };
    if peer.rows >= most {
        return Err(OutboxError::Full { rows: most, agent: line.to_string() });
    }
    let micros = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000);
    peer.last = peer.last.saturating_add(1).max(micros);
    peer.rows += 1;
    put_peer(buffer, &counted, peer);
    if line.is_strangers() {
        let mut own = self::peer(buffer, line)?;
        own.rows += 1;
        put_peer(buffer, line, own);
    }
    Ok(peer.last)
}

/// A row of this line is gone.
fn leave(buffer: &mut Buffer<'_>, line: &Line) -> Result<(), OutboxError> {
    let counted = line.counted();
    let mut peer = peer(buffer, &counted)?;
    peer.rows = peer.rows.saturating_sub(1);
    put_peer(buffer, &counted, peer);
    if line.is_strangers() {
        let mut own = self::peer(buffer, line)?;
        own.rows = own.rows.saturating_sub(1);
        match own.rows {
            // Addresses of strangers come and go: nothing is kept of them. Ids rise over all of them together.
            0 => buffer.delete(PEERS, line.as_str().as_bytes()),
            _ => put_peer(buffer, line, own),
        }
    }
    Ok(())
}

/// A row that is in the outbox.
pub type Placed = (Line, u64);

/// Puts a message into the outbox, replacing one of the same name to the same agent: what was replaced, and
/// the new row with its id.
///
/// # Errors
/// [`OutboxError`].
pub fn send(
    buffer: &mut Buffer<'_>,
    plugin: &str,
    message: &Outgoing,
    now: Timestamp,
) -> Result<(Option<Placed>, u64, Arc<OutboxRow>), OutboxError> {
    let (agent, line) = (&message.to.agent, Line::of(message));
    let replaced = withdraw(buffer, plugin, agent, &message.key)?;
    let mid = enter(buffer, &line, now)?;
    let row = OutboxRow { plugin: plugin.to_owned(), message: message.clone(), created: now, handed: false };
    buffer.put(ROWS, &row_key(&line, mid), &encode(&row));
    if !message.key.is_empty() {
        let mut place = mid.to_be_bytes().to_vec();
        if line.is_strangers() {
            place.extend_from_slice(line.as_str().as_bytes());
        }
        buffer.put(NAMES, &name_key(plugin, agent, &message.key), &place);
    }
    Ok((replaced, mid, Arc::new(row)))
}

/// Takes back the message of this name to this agent, in whichever of its lines; where it was.
///
/// # Errors
/// [`OutboxError`].
pub fn withdraw(
    buffer: &mut Buffer<'_>,
    plugin: &str,
    agent: &AgentId,
    name: &str,
) -> Result<Option<Placed>, OutboxError> {
    if name.is_empty() {
        return Ok(None);
    }
    let Some(bytes) = buffer.get(NAMES, &name_key(plugin, agent, name))? else { return Ok(None) };
    let Some((mid, line)) = bytes.split_first_chunk::<8>() else {
        return Err(OutboxError::Unreadable("a message id of odd length".to_owned()));
    };
    let line = match line {
        [] => Line::from(agent),
        line => Line::named(String::from_utf8_lossy(line)),
    };
    let mid = u64::from_be_bytes(*mid);
    remove(buffer, &line, mid)?;
    Ok(Some((line, mid)))
}

/// A row.
///
/// # Errors
/// [`OutboxError`].
pub fn get(buffer: &mut Buffer<'_>, line: &Line, mid: u64) -> Result<Option<OutboxRow>, OutboxError> {
    buffer.get(ROWS, &row_key(line, mid))?.map(|bytes| decode(&bytes)).transpose()
}

/// Removes a row, if there; the row.
///
/// # Errors
/// [`OutboxError`].
pub fn remove(buffer: &mut Buffer<'_>, line: &Line, mid: u64) -> Result<Option<OutboxRow>, OutboxError> {
    let Some(row) = get(buffer, line, mid)? else { return Ok(None) };
    delete(buffer, line, mid, &row)?;
    Ok(Some(row))
}

/// The sender of a row has been told that it was handed over.
///
/// # Errors
/// [`OutboxError`].
pub fn mark_handed(buffer: &mut Buffer<'_>, line: &Line, mid: u64) -> Result<(), OutboxError> {
    if let Some(row) = get(buffer, line, mid)? {
        buffer.put(ROWS, &row_key(line, mid), &encode(&OutboxRow { handed: true, ..row }));
    }
    Ok(())
}

fn delete(buffer: &mut Buffer<'_>, line: &Line, mid: u64, row: &OutboxRow) -> Result<(), OutboxError> {
    buffer.delete(ROWS, &row_key(line, mid));
    if !row.message.key.is_empty() {
        let name = name_key(&row.plugin, &row.message.to.agent, &row.message.key);
        // The name may belong to a later message by now.
        if buffer.get(NAMES, &name)?.is_some_and(|place| place.starts_with(&mid.to_be_bytes())) {
            buffer.delete(NAMES, &name);
        }
    }
    leave(buffer, line)
}

/// Removes the rows a receipt names. Tickets are not among them: they are presented apart and carry
/// no id, so no receipt speaks of them (PROTOCOL A.4).
///
/// # Errors
/// [`OutboxError`].
pub fn receive(
    buffer: &mut Buffer<'_>,
    agent: &AgentId,
    upto: u64,
    also: &[u64],
) -> Result<Vec<Received>, OutboxError> {
    let mut received = Vec::new();
    let line = &Line::from(agent);
    let end = row_key(line, upto.saturating_add(1));
    let mut from = row_key(line, 0);
    loop {
        // A page at a time: all rows of a peer may be more than memory should hold.
        let to = Some(ByteBuf::from(end.clone()));
        let limit = u32::try_from(OUTBOX_WINDOW).unwrap_or(u32::MAX);
        let rows = buffer.scan(ROWS, &Range { from, to, reverse: false, limit })?;
        for (key, value) in &rows {
            let Some(mid) = mid_of(key) else { continue };
            take_received(buffer, line, mid, &decode(value)?, &mut received)?;
        }
        match rows.last() {
            Some((last, _)) if rows.len() == OUTBOX_WINDOW => from = [last.as_slice(), &[0]].concat(),
            _ => break,
        }
    }
    for mid in also {
        if let Some(row) = get(buffer, line, *mid)? {
            take_received(buffer, line, *mid, &row, &mut received)?;
        }
    }
    Ok(received)
}

fn take_received(
    buffer: &mut Buffer<'_>,
    line: &Line,
    mid: u64,
    row: &OutboxRow,
    received: &mut Vec<Received>,
) -> Result<(), OutboxError> {
    if row.message.ticket.is_some() {
        return Ok(());
    }
    delete(buffer, line, mid, row)?;
    let untold = row.message.report && !row.handed;
    let untold = untold.then(|| (row.plugin.clone(), row.message.key.clone()));
    received.push(Received { mid, untold });
    Ok(())
}

fn mid_of(key: &[u8]) -> Option<u64> {
    let tail = key.len().checked_sub(8)?;
    Some(u64::from_be_bytes(key[tail..].try_into().ok()?))
}

/// The rows of a line above `after`, at most one window of them, by number and by bytes.
///
/// # Errors
/// [`OutboxError`].
pub fn window(
    transaction: &mut dyn Transaction,
    line: &Line,
    after: u64,
) -> Result<Vec<(u64, OutboxRow)>, OutboxError> {
    let (mut window, mut bytes) = (Vec::new(), 0);
    let mut from = row_key(line, after.saturating_add(1));
    loop {
        let to = Some(ByteBuf::from(row_key(line, u64::MAX)));
        let page = transaction.scan(ROWS, &Range { from, to, reverse: false, limit: OUTBOX_PAGE })?;
        for (key, value) in &page {
            if window.len() >= OUTBOX_WINDOW || bytes >= OUTBOX_WINDOW_BYTES {
                return Ok(window);
            }
            let Some(mid) = mid_of(key) else { continue };
            let row: OutboxRow = decode(value)?;
            bytes += row.bytes();
            window.push((mid, row));
        }
        match page.last() {
            Some((last, _)) if page.len() == OUTBOX_PAGE as usize => from = [last.as_slice(), &[0]].concat(),
            _ => return Ok(window),
        }
    }
}

/// Every line that rows wait in, with how many.
///
/// # Errors
/// [`OutboxError`].
pub fn lines(transaction: &mut dyn Transaction) -> Result<Vec<(Line, u64)>, OutboxError> {
    let mut lines = Vec::new();
    let mut from = Vec::new();
    loop {
        let range = Range { from: from.clone(), to: None, reverse: false, limit: 1_000 };
        let rows = transaction.scan(PEERS, &range)?;
        let Some((last, _)) = rows.last() else { return Ok(lines) };
        from = [last.as_slice(), &[0]].concat();
        for (key, value) in rows {
            let peer: Peer = decode(&value)?;
            let line = Line::named(String::from_utf8_lossy(&key));
            if peer.rows > 0 && !line.is_count() {
                lines.push((line, peer.rows));
            }
        }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
