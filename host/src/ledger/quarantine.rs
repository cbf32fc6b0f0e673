//! Events set aside: their plugin has failed them for good, and they wait for the operator, who has a mended build
//! try them again or drops them. So nothing is lost, and nothing is tried for ever.

use super::buffer::Buffer;
use super::limits::QUARANTINE_ROWS;
use crate::store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;
use tallyho_plugin::Event;
use tallyho_plugin::abi_adapt::{event_from_bytes, event_to_bytes};
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::Range;

/// By number; under [`COUNTS`], how many there are of each plugin, and the next number.
const TABLE: &str = "host.aside";
/// Behind all numbers, which have eight bytes.
const COUNTS: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xffcounts";
/// Rows read at a time: a row may have 64 KiB.
const PAGE: u32 = 64;

/// An event set aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aside {
    /// Whose.
    pub plugin: String,
    /// What it is, for people.
    pub what: String,
    /// Since when.
    pub at: Timestamp,
    /// How often its plugin has failed it.
    pub tries: u32,
    /// How, the last time.
    pub fault: String,
    /// The event without its body.
    header: ByteBuf,
    /// The body of its message.
    body: ByteBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counts {
    rows: BTreeMap<String, u64>,
    next: u64,
}

impl Aside {
    /// An event that `plugin` has failed so often, the last time by this fault.
    ///
    /// # Errors
    /// Where it cannot be expressed (never for events that came from somewhere).
    pub fn new(
        plugin: &str,
        (event, what): (&Event, String),
        tries: u32,
        fault: String,
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let (header, body) = event_to_bytes(event).map_err(|fault| StoreError::Engine(fault.to_string()))?;
        let (header, body) = (ByteBuf::from(header), ByteBuf::from(body));
        Ok(Aside { plugin: plugin.to_owned(), what, at, tries, fault, header, body })
    }

    /// The event.
    ///
    /// # Errors
    /// Where the row is damaged.
    pub fn event(&self) -> Result<Event, StoreError> {
        event_from_bytes(&self.header, &self.body).map_err(|fault| StoreError::Engine(fault.to_string()))
    }

    /// Bytes of the event.
    pub fn bytes(&self) -> usize {
        self.header.len() + self.body.len()
    }
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    ciborium::from_reader(bytes).map_err(|error| StoreError::Engine(format!("an event set aside: {error}")))
}

fn encoded(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| StoreError::Engine(error.to_string()))?;
    Ok(bytes)
}

fn counts(buffer: &mut Buffer<'_>) -> Result<Counts, StoreError> {
    Ok(buffer.get(TABLE, COUNTS)?.map(|bytes| decoded(&bytes)).transpose()?.unwrap_or_default())
}

/// Sets an event aside; its number, or `None` where there are too many of its plugin already.
///
/// # Errors
/// The store's.
pub fn put(buffer: &mut Buffer<'_>, aside: &Aside) -> Result<Option<u64>, StoreError> {
    let mut counts = counts(buffer)?;
    let rows = counts.rows.entry(aside.plugin.clone()).or_default();
    if *rows >= QUARANTINE_ROWS {
        return Ok(None);
    }
    *rows += 1;
    counts.next += 1;
    buffer.put(TABLE, COUNTS, &encoded(&counts)?);
    buffer.put(TABLE, &counts.next.to_be_bytes(), &encoded(aside)?);
    Ok(Some(counts.next))
}

/// An event set aside.
///
/// # Errors
/// The store's.
pub fn get(buffer: &mut Buffer<'_>, number: u64) -> Result<Option<Aside>, StoreError> {
    buffer.get(TABLE, &number.to_be_bytes())?.map(|bytes| decoded(&bytes)).transpose()
}

/// It was tried once more, in vain.
///
/// # Errors
/// The store's.
pub fn tried(buffer: &mut Buffer<'_>, number: u64, aside: Aside, fault: String) -> Result<(), StoreError> {
    let aside = Aside { tries: aside.tries.saturating_add(1), fault, ..aside };
    buffer.put(TABLE, &number.to_be_bytes(), &encoded(&aside)?);
    Ok(())
}

/// Forgets one; whether it was there.
///
/// # Errors
/// The store's.
pub fn remove(buffer: &mut Buffer<'_>, number: u64) -> Result<bool, StoreError> {
    let Some(aside) = get(buffer, number)? else { return Ok(false) };
    let mut counts = counts(buffer)?;
    match counts.rows.get_mut(&aside.plugin) {
        Some(rows) if *rows > 1 => *rows -= 1,
        _ => drop(counts.rows.remove(&aside.plugin)),
    }
    buffer.put(TABLE, COUNTS, &encoded(&counts)?);
    buffer.delete(TABLE, &number.to_be_bytes());
    Ok(true)
}

/// How many there are, by plugin.
///
/// # Errors
/// The store's.
pub fn count(buffer: &mut Buffer<'_>) -> Result<BTreeMap<String, u64>, StoreError> {
    Ok(counts(buffer)?.rows)
}

/// All of them, or those of one plugin, oldest first, without their bodies being kept in memory together.
///
/// # Errors
/// The store's.
pub fn each(
    transaction: &mut dyn Transaction,
    plugin: Option<&str>,
    mut take: impl FnMut(u64, Aside),
) -> Result<(), StoreError> {
    let mut from = Vec::new();
    loop {
        let range = Range { from, to: Some(ByteBuf::from(COUNTS)), reverse: false, limit: PAGE };
        let rows = transaction.scan(TABLE, &range)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = [last.as_slice(), &[0]].concat();
        for (key, bytes) in &rows {
            let aside: Aside = decoded(bytes)?;
            if let Some(number) = key.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
                && plugin.is_none_or(|plugin| plugin == aside.plugin)
            {
                take(number, aside);
            }
        }
    }
}
