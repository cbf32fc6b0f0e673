//! Writes envelopes, in JSON and CBOR, and CBOR as JSON.

use super::Envelope;
use super::cbor::{Cursor, Length, check_float, check_level};
use crate::wire::error::Malformed;
use crate::wire::limits::MAX_INTEGER;
use ciborium_ll::{Encoder, Header, simple};
use tallyho_plugin::record::Chad;

/// CBOR's major types that are written here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Major {
    Positive = 0,
    Negative = 1,
    Text = 3,
    Array = 4,
    Map = 5,
}

/// Appends an item's head in the shortest form.
#[inline]
pub(super) fn put_head(out: &mut Vec<u8>, major: Major, argument: u64) {
    let major = (major as u8) << 5;
    // Each cast is of a value just bounded.
    match argument {
        0..24 => out.push(major | argument as u8),
        24..0x100 => out.extend_from_slice(&[major | 24, argument as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

/// Appends a text.
#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_head(out, Major::Text, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a float in the shortest form of the same value.
pub(super) fn put_float(out: &mut Vec<u8>, number: f64) {
    let Ok(()) = Encoder::from(out).push(Header::Float(number)) else { unreachable!("a vector takes every write") };
}

/// Appends an envelope as CBOR.
pub(super) fn cbor(envelope: &Envelope, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let Envelope { target, action, to, from, object, tally, ticket, attempt, last, ext, mid } = envelope;
    out.reserve(256 + object.as_ref().map_or(0, Vec::len));
    let members = 4
        + u64::from(object.is_some())
        + u64::from(tally.is_some())
        + u64::from(ticket.is_some())
        + u64::from(attempt.is_some())
        + u64::from(last.is_some())
        + u64::from(!ext.is_empty())
        + u64::from(mid.is_some());
    put_head(out, Major::Map, members);
    put_text(out, "target");
    put_text(out, target);
    put_text(out, "action");
    put_text(out, action);
    put_text(out, "to");
    cbor_chad(to, out);
    put_text(out, "from");
    cbor_chad(from, out);
    if let Some(object) = object {
        put_text(out, "object");
        out.extend_from_slice(object);
    }
    if let Some(tally) = tally {
        put_text(out, "tally");
        put_text(out, tally);
    }
    if let Some(ticket) = ticket {
        put_text(out, "ticket");
        ciborium::into_writer(ticket, &mut *out).map_err(|_| Malformed::Member("ticket"))?;
    }
    if let Some(attempt) = attempt {
        put_text(out, "try");
        put_head(out, Major::Positive, *attempt);
    }
    if let Some(last) = last {
        put_text(out, "last");
        put_text(out, last);
    }
    if !ext.is_empty() {
        put_text(out, "ext");
        put_head(out, Major::Array, ext.len() as u64);
        ext.iter().for_each(|name| put_text(out, name));
    }
    if let Some(mid) = mid {
        put_text(out, "mid");
        put_head(out, Major::Positive, *mid);
    }
    Ok(())
}

fn cbor_chad(chad: &Chad, out: &mut Vec<u8>) {
    let Chad { cuid, agent, host, port } = chad;
    let members = 1 + u64::from(cuid.is_some()) + u64::from(host.is_some()) + u64::from(port.is_some());
    put_head(out, Major::Map, members);
    if let Some(cuid) = cuid {
        put_text(out, "cuid");
        put_text(out, cuid);
    }
    put_text(out, "agent");
    put_text(out, &agent.0);
    if let Some(host) = host {
        put_text(out, "host");
        put_text(out, host);
    }
    if let Some(port) = port {
        put_text(out, "port");
        put_head(out, Major::Positive, u64::from(*port));
    }
}

/// Appends an envelope as JSON.
pub(super) fn json(envelope: &Envelope, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let Envelope { target, action, to, from, object, tally, ticket, attempt, last, ext, mid } = envelope;
    out.reserve(512 + object.as_ref().map_or(0, |object| object.len() * 2));
    out.extend_from_slice(b"{\"target\":");
    json_text(target, out);
    out.extend_from_slice(b",\"action\":");
    json_text(action, out);
    out.extend_from_slice(b",\"to\":");
    json_chad(to, out);
    out.extend_from_slice(b",\"from\":");
    json_chad(from, out);
    if let Some(object) = object {
        out.extend_from_slice(b",\"object\":");
        json_object(object, out)?;
    }
    if let Some(tally) = tally {
        out.extend_from_slice(b",\"tally\":");
        json_text(tally, out);
    }
    if let Some(ticket) = ticket {
        out.extend_from_slice(b",\"ticket\":");
        json_value(ticket, out);
    }
    if let Some(attempt) = attempt {
        out.extend_from_slice(b",\"try\":");
        out.extend_from_slice(attempt.to_string().as_bytes());
    }
    if let Some(last) = last {
        out.extend_from_slice(b",\"last\":");
        json_text(last, out);
    }
    if !ext.is_empty() {
        out.extend_from_slice(b",\"ext\":");
        json_value(ext, out);
    }
    if let Some(mid) = mid {
        out.extend_from_slice(b",\"mid\":");
        out.extend_from_slice(mid.to_string().as_bytes());
    }
    out.push(b'}');
    Ok(())
}

fn json_chad(chad: &Chad, out: &mut Vec<u8>) {
    json_value(chad, out);
}

fn json_text(text: &str, out: &mut Vec<u8>) {
    json_value(text, out);
}

fn json_value<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let Ok(()) = serde_json::to_writer(out, value) else {
        unreachable!("texts and JSON values can be written, and a vector takes every write")
    };
}

/// Appends a CBOR map as JSON, members in their order; checks it like a message received.
fn json_object(object: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(object);
    match cursor.header()? {
        header @ Header::Map(_) => json_item(&mut cursor, header, 1, out)?,
        _ => return Err(Malformed::Member("object")),
    }
    cursor.finish()
}

fn json_item(cursor: &mut Cursor<'_>, header: Header, level: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    match header {
        Header::Text(length) => json_text(cursor.text(length)?, out),
        Header::Map(length) => {
            check_level(level + 1)?;
            json_map(cursor, length, level + 1, out)?;
        }
        Header::Array(length) => {
            check_level(level + 1)?;
            out.push(b'[');
            let start = out.len();
            cursor.array(length, |cursor, header| {
                if out.len() > start {
                    out.push(b',');
                }
                json_item(cursor, header, level + 1, out)
            })?;
            out.push(b']');
        }
        Header::Simple(simple::NULL) => out.extend_from_slice(b"null"),
        Header::Simple(simple::TRUE) => out.extend_from_slice(b"true"),
        Header::Simple(simple::FALSE) => out.extend_from_slice(b"false"),
        Header::Positive(value) if value <= MAX_INTEGER => json_value(&value, out),
        // At least -(2^53 - 1), so it fits an i64.
        Header::Negative(n) if n < MAX_INTEGER => json_value(&(-1 - n as i64), out),
        Header::Float(number) => {
            check_float(number)?;
            // Integral floats in the form of integers, as the canonical string has them.
            if number.fract() == 0.0 { json_value(&(number as i64), out) } else { json_value(&number, out) }
        }
        Header::Positive(_) | Header::Negative(_) => return Err(Malformed::Number),
        Header::Break => return Err(Malformed::Syntax),
        _ => return Err(Malformed::Foreign),
    }
    Ok(())
}

fn json_map(cursor: &mut Cursor<'_>, length: Length, level: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.push(b'{');
    let start = out.len();
    cursor.map(length, level, |cursor, name| {
        if out.len() > start {
            out.push(b',');
        }
        json_text(name, out);
        out.push(b':');
        let header = cursor.header()?;
        json_item(cursor, header, level, out)
    })?;
    out.push(b'}');
    Ok(())
}
