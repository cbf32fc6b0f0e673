//! Timers of plugins, durable, in the order in which they come due.

use super::buffer::Buffer;
use super::limits::TIMERS_PER_BATCH;
use crate::store::{StoreError, Transaction};
use serde_bytes::ByteBuf;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::Range;

/// Due instant, plugin and name, in this order.
const BY_DUE: &str = "host.timers";
/// From plugin and name to the instant, behind which stands how often its handler has failed it, where it has.
const BY_NAME: &str = "host.timer_names";

/// A timer as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub plugin: String,
    /// Its name.
    pub key: String,
    /// When.
    pub due: Timestamp,
}

fn name(plugin: &str, key: &str) -> Vec<u8> {
    [plugin, key].join("\0").into_bytes()
}

/// Instants before 1970 sort first, as byte keys too.
fn instant(at: Timestamp) -> [u8; 8] {
    (at.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn due_key(at: Timestamp, name: &[u8]) -> Vec<u8> {
    [instant(at).as_slice(), name].concat()
}

/// Sets or moves a timer.
///
/// # Errors
/// The store's.
pub fn set(buffer: &mut Buffer<'_>, plugin: &str, key: &str, at: Timestamp) -> Result<(), StoreError> {
    set_again(buffer, plugin, key, at, 0)
}

/// The same for one that its handler has failed so often in a row.
///
/// # Errors
/// The store's.
pub fn set_again(
    buffer: &mut Buffer<'_>,
    plugin: &str,
    key: &str,
    at: Timestamp,
    failed: u32,
) -> Result<(), StoreError> {
    cancel(buffer, plugin, key)?;
    let name = name(plugin, key);
    let failures = if failed > 0 { failed.to_be_bytes().to_vec() } else { Vec::new() };
    buffer.put(BY_NAME, &name, &[at.0.to_be_bytes().as_slice(), &failures].concat());
    buffer.put(BY_DUE, &due_key(at, &name), &[]);
    Ok(())
}

/// Removes a timer; whether it was set, and for when.
///
/// # Errors
/// The store's.
pub fn cancel(buffer: &mut Buffer<'_>, plugin: &str, key: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(take(buffer, plugin, key)?.map(|(at, _)| at))
}

/// The same, telling also how often its handler has failed it.
///
/// # Errors
/// The store's.
pub fn take(buffer: &mut Buffer<'_>, plugin: &str, key: &str) -> Result<Option<(Timestamp, u32)>, StoreError> {
    let name = name(plugin, key);
    let Some(bytes) = buffer.get(BY_NAME, &name)? else { return Ok(None) };
    let (at, failed) = set_for(&bytes).ok_or_else(|| StoreError::Engine("a timer of odd length".to_owned()))?;
    buffer.delete(BY_NAME, &name);
    buffer.delete(BY_DUE, &due_key(at, &name));
    Ok(Some((at, failed)))
}

/// What a row of [`BY_NAME`] says.
fn set_for(bytes: &[u8]) -> Option<(Timestamp, u32)> {
    let (at, failed) = bytes.split_first_chunk::<8>()?;
    let failed = if failed.is_empty() { 0 } else { u32::from_be_bytes(failed.try_into().ok()?) };
    Some((Timestamp(i64::from_be_bytes(*at)), failed))
}

/// Puts away a timer that was due, with its instant, until [`unpark`]: its plugin is held.
pub fn park(buffer: &mut Buffer<'_>, plugin: &str, key: &str, due: Timestamp) {
    buffer.put(BY_NAME, &name(plugin, key), &due.0.to_be_bytes());
}

/// Has the timers of a plugin come due that were put away.
///
/// # Errors
/// The store's.
pub fn unpark(buffer: &mut Buffer<'_>, plugin: &str) -> Result<(), StoreError> {
    let mut from = name(plugin, "");
    let to = Some(ByteBuf::from([plugin.as_bytes(), &[1]].concat()));
    loop {
        let rows = buffer.scan(BY_NAME, &Range { from, to: to.clone(), reverse: false, limit: 1_000 })?;
        for (name, at) in &rows {
            if let Some((at, _)) = set_for(at) {
                buffer.put(BY_DUE, &due_key(at, name), &[]);
            }
        }
        match rows.last() {
            Some((last, _)) => from = [last.as_slice(), &[0]].concat(),
            None => return Ok(()),
        }
    }
}

/// The timers due by `now`, earliest first, at most [`TIMERS_PER_BATCH`]; and the instant of the first
/// that is not.
///
/// # Errors
/// The store's.
pub fn due(transaction: &mut dyn Transaction, now: Timestamp) -> Result<(Vec<Due>, Option<Timestamp>), StoreError> {
    let range =
        |from: Vec<u8>, to: Option<Vec<u8>>, limit| Range { from, to: to.map(ByteBuf::from), reverse: false, limit };
    let edge = instant(now.plus(1)).to_vec();
    let rows = transaction.scan(BY_DUE, &range(Vec::new(), Some(edge.clone()), TIMERS_PER_BATCH))?;
    let due: Vec<Due> = rows.iter().filter_map(|(key, _)| parse(key)).collect();
    let next = transaction.scan(BY_DUE, &range(edge, None, 1))?;
    Ok((due, next.first().and_then(|(key, _)| parse(key)).map(|timer| timer.due)))
}

fn parse(key: &[u8]) -> Option<Due> {
    let (instant, name) = key.split_at_checked(8)?;
    let due = Timestamp((u64::from_be_bytes(instant.try_into().ok()?) ^ (1 << 63)).cast_signed());
    let (plugin, key) = std::str::from_utf8(name).ok()?.split_once('\0')?;
    Some(Due { plugin: plugin.to_owned(), key: key.to_owned(), due })
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
