//! What both sides of the border do alike: guard their functions, and turn faults, events and rows
//! into bytes and back.

use crate::abi::AbiResult;
use crate::services::Row;
use crate::{Event, Fault};
use abi_stable::std_types::{RErr, ROk, RVec};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Longest fault text taken over the border, in bytes: a panic's text may hold a whole record, and
/// faults are logged and stored.
pub const MAX_FAULT_TEXT: usize = 2_000;

/// Runs one side's code so that neither a panic nor its payload leaves it.
///
/// # Errors
/// The code's own fault, or one of kind `Failed` with code `panic`.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    // Nothing the closure could leave half done is looked at again by this crate: the event fails.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(Fault::failed(format!("panic: {}", panic_text(payload))).code("panic")))
}

/// [`guarded`], as a function of the border returns it.
pub fn guarded_for_abi<T>(work: impl FnOnce() -> Result<T, Fault>) -> AbiResult<T> {
    match guarded(work) {
        Ok(value) => ROk(value),
        Err(fault) => RErr(fault_bytes(&fault)),
    }
}

/// The text of a panic. The payload is forgotten: dropping it may panic again, and it may have been
/// made by another library's allocator.
pub fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "no text".to_owned()
    };
    std::mem::forget(payload);
    text
}

/// A fault as it crosses the border.
pub fn fault_bytes(fault: &Fault) -> RVec<u8> {
    let mut bytes = Vec::new();
    // Writing plain texts to a vector does not fail; an empty fault still reads back as one.
    let _ = ciborium::into_writer(fault, &mut bytes);
    RVec::from(bytes)
}

/// A fault that came over the border; `unknown` makes one where the bytes are none (a newer side's
/// kind, for instance).
pub fn fault_from(bytes: &[u8], unknown: fn(String) -> Fault) -> Fault {
    let mut fault: Fault = ciborium::from_reader(bytes)
        .unwrap_or_else(|_| unknown("a fault of a kind unknown here was returned".to_owned()));
    shorten(&mut fault.text);
    shorten(&mut fault.code);
    if let Some(fix) = &mut fault.fix {
        shorten(fix);
    }
    fault
}

fn shorten(text: &mut String) {
    if text.len() > MAX_FAULT_TEXT {
        let end = (0..=MAX_FAULT_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// An event as it crosses the border: CBOR without the body, and the body.
///
/// # Errors
/// `Failed` where it cannot be expressed (never for events of this crate).
pub fn event_to_bytes(event: &Event) -> Result<(Vec<u8>, &[u8]), Fault> {
    let body = match event {
        Event::Message(message) => message.body.as_slice(),
        Event::Command(command) => command.body.as_slice(),
        Event::Timer(_) | Event::Delivery(_) | Event::Life(_) => &[],
    };
    Ok((crate::context::to_cbor(event)?, body))
}

/// The event again.
///
/// # Errors
/// `Failed` with code `unknown-event` where the bytes are no event known to this build.
pub fn event_from_bytes(header: &[u8], body: &[u8]) -> Result<Event, Fault> {
    let mut event: Event = ciborium::from_reader(header).map_err(|error| {
        Fault::failed(format!("this build cannot read the event: {error}"))
            .code("unknown-event")
            .fix("rebuild the plugin against the host's version")
    })?;
    match &mut event {
        Event::Message(message) => message.body = body.to_vec(),
        Event::Command(command) => command.body = body.to_vec(),
        Event::Timer(_) | Event::Delivery(_) | Event::Life(_) => {}
    }
    Ok(event)
}

/// Rows as they cross the border; see `ServicesTable::scan`.
///
/// # Errors
/// `Host` where a key or value is 4 GiB or longer.
pub fn rows_to_bytes(rows: &[Row]) -> Result<Vec<u8>, Fault> {
    let size = rows.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
    let mut bytes = Vec::with_capacity(size);
    for part in rows.iter().flat_map(|(key, value)| [key, value]) {
        let length = u32::try_from(part.len()).map_err(|_| Fault::host("a stored row has 4 GiB or more"))?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// The rows again.
///
/// # Errors
/// `Host` where the bytes end early.
pub fn rows_from_bytes(mut bytes: &[u8]) -> Result<Vec<Row>, Fault> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let key = take_part(&mut bytes)?;
        let value = take_part(&mut bytes)?;
        rows.push((key, value));
    }
    Ok(rows)
}

fn take_part(bytes: &mut &[u8]) -> Result<Vec<u8>, Fault> {
    let cut = || Fault::host("the rows returned by the host end early");
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
    *bytes = rest;
    Ok(part.to_vec())
}
