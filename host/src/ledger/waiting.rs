//! Events for a plugin that is held, kept until it serves again: messages of peers without receipts,
//! who would not send them again by themselves, and reports on messages sent. (A peer with receipts
//! keeps its messages itself, since they are not receipted.)

use super::buffer::Buffer;
use super::limits::{EVENTS_HELD, REPORTS_HELD};
use crate::store::{StoreError, Transaction};
use serde_bytes::ByteBuf;
use tallyho_plugin::Event;
use tallyho_plugin::abi_adapt::{event_from_bytes, event_to_bytes};
use tallyho_plugin::services::Range;

/// Plugin, a zero byte, number; behind each plugin's rows, under the plugin's name alone, how many there are
/// and the next number.
const TABLE: &str = "host.waiting";

fn key(plugin: &str, number: u64) -> Vec<u8> {
    [plugin.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    ciborium::from_reader(bytes).map_err(|error| StoreError::Engine(format!("an event that waits: {error}")))
}

fn encoded(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| StoreError::Engine(error.to_string()))?;
    Ok(bytes)
}

fn counts(buffer: &mut Buffer<'_>, plugin: &str) -> Result<(u64, u64), StoreError> {
    Ok(buffer.get(TABLE, plugin.as_bytes())?.map(|bytes| decoded(&bytes)).transpose()?.unwrap_or_default())
}

/// Keeps an event; whether there is room for it.
///
/// # Errors
/// The store's.
pub fn put(buffer: &mut Buffer<'_>, plugin: &str, event: &Event) -> Result<bool, StoreError> {
    let (rows, next) = counts(buffer, plugin)?;
    let most = if matches!(event, Event::Delivery(_)) { REPORTS_HELD } else { EVENTS_HELD };
    if rows >= most {
        return Ok(false);
    }
    let (header, body) = event_to_bytes(event).map_err(|fault| StoreError::Engine(fault.to_string()))?;
    let row = encoded(&(ByteBuf::from(header), ByteBuf::from(body)))?;
    buffer.put(TABLE, &key(plugin, next), &row);
    buffer.put(TABLE, plugin.as_bytes(), &encoded(&(rows + 1, next + 1))?);
    Ok(true)
}

/// An event that waits.
///
/// # Errors
/// The store's.
pub fn get(buffer: &mut Buffer<'_>, plugin: &str, number: u64) -> Result<Option<Event>, StoreError> {
    let Some(bytes) = buffer.get(TABLE, &key(plugin, number))? else { return Ok(None) };
    let (header, body): (ByteBuf, ByteBuf) = decoded(&bytes)?;
    event_from_bytes(&header, &body).map(Some).map_err(|fault| StoreError::Engine(fault.to_string()))
}

/// Forgets an event.
///
/// # Errors
/// The store's.
pub fn remove(buffer: &mut Buffer<'_>, plugin: &str, number: u64) -> Result<(), StoreError> {
    let (rows, next) = counts(buffer, plugin)?;
    buffer.delete(TABLE, &key(plugin, number));
    buffer.put(TABLE, plugin.as_bytes(), &encoded(&(rows.saturating_sub(1), next))?);
    Ok(())
}

/// The numbers of a plugin's events that wait, oldest first.
///
/// # Errors
/// The store's.
pub fn list(transaction: &mut dyn Transaction, plugin: &str) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    let mut from = key(plugin, 0);
    loop {
        let to = Some(ByteBuf::from([plugin.as_bytes(), &[1]].concat()));
        let rows = transaction.scan(TABLE, &Range { from, to, reverse: false, limit: 1_000 })?;
        let number = |key: &[u8]| key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
        numbers.extend(rows.iter().filter_map(|(key, _)| number(key)));
        match rows.last() {
            Some((last, _)) => from = [last.as_slice(), &[0]].concat(),
            None => return Ok(numbers),
        }
    }
}
