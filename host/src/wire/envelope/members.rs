//! Reads the members of an envelope from CBOR, in one pass.

use super::Envelope;
use super::address::{is_agent_id, is_cuid, is_host};
use super::cbor::Cursor;
use crate::wire::error::Malformed;
use crate::wire::limits::{MAX_ACTION, MAX_EXTENSIONS, MAX_INTEGER, MAX_TARGET};
use ciborium_ll::{Header, simple};
use serde_json::Value;
use tallyho_plugin::record::{AgentId, Chad};

/// The level of the message itself.
const MESSAGE: usize = 1;

/// Reads one envelope.
pub(super) fn read(message: &[u8]) -> Result<Envelope, Malformed> {
    let mut cursor = Cursor::new(message);
    let length = cursor.map_header(MESSAGE)?.ok_or(Malformed::Syntax)?;
    let (mut target, mut action, mut to, mut from) = (None, None, None, None);
    let (mut object, mut tally, mut ticket) = (None, None, None);
    let (mut attempt, mut last, mut ext, mut mid) = (None, None, Vec::new(), None);
    cursor.map(length, MESSAGE, |cursor, name| {
        match name {
            "target" => target = text(cursor, "target")?,
            "action" => action = text(cursor, "action")?,
            "to" => to = chad(cursor, "to")?,
            "from" => from = chad(cursor, "from")?,
            "object" => object = map(cursor, "object")?,
            "tally" => tally = text(cursor, "tally")?,
            "ticket" => ticket = map(cursor, "ticket")?,
            "try" => attempt = integer(cursor)?.filter(|attempt| *attempt > 0),
            "last" => last = lenient_text(cursor)?,
            "ext" => ext = names(cursor)?,
            "mid" => mid = integer(cursor)?,
            _ => cursor.skip(MESSAGE)?,
        }
        Ok(())
    })?;
    cursor.finish()?;

    let target = target.ok_or(Malformed::Missing("target"))?;
    let action = action.ok_or(Malformed::Missing("action"))?;
    if !is_target(target) {
        return Err(Malformed::Member("target"));
    }
    if !(1..=MAX_ACTION).contains(&action.len()) {
        return Err(Malformed::Member("action"));
    }
    Ok(Envelope {
        target: target.to_owned(),
        action: action.to_owned(),
        to: to.ok_or(Malformed::Missing("to"))?,
        from: from.ok_or(Malformed::Missing("from"))?,
        object: object.map(<[u8]>::to_vec),
        tally: tally.map(str::to_owned),
        ticket: ticket.map(value).transpose()?,
        attempt,
        last: last.map(str::to_owned),
        ext,
        mid,
    })
}

/// PROTOCOL 3.1: 1-64 bytes `[a-z0-9.-]`.
fn is_target(text: &str) -> bool {
    (1..=MAX_TARGET).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
}

fn is_null(header: Header) -> bool {
    header == Header::Simple(simple::NULL)
}

/// Text, or null.
fn text<'a>(cursor: &mut Cursor<'a>, name: &'static str) -> Result<Option<&'a str>, Malformed> {
    match cursor.header()? {
        Header::Text(length) => cursor.text(length).map(Some),
        header if is_null(header) => Ok(None),
        _ => Err(Malformed::Member(name)),
    }
}

/// Text; anything else counts as absent.
fn lenient_text<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a str>, Malformed> {
    match cursor.header()? {
        Header::Text(length) => cursor.text(length).map(Some),
        header => cursor.skip_rest(header, MESSAGE).map(|()| None),
    }
}

/// An integer from 0; anything else counts as absent.
fn integer(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Malformed> {
    match cursor.header()? {
        Header::Positive(value) if value <= MAX_INTEGER => Ok(Some(value)),
        header => cursor.skip_rest(header, MESSAGE).map(|()| None),
    }
}

/// The texts of an array, at most [`MAX_EXTENSIONS`]; anything else is passed over.
fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Malformed> {
    let mut names = Vec::new();
    match cursor.header()? {
        Header::Array(length) => cursor.array(length, |cursor, header| match header {
            Header::Text(length) => {
                let name = cursor.text(length)?;
                if names.len() < MAX_EXTENSIONS {
                    names.push(name.to_owned());
                }
                Ok(())
            }
            other => cursor.skip_rest(other, MESSAGE + 1),
        })?,
        header => cursor.skip_rest(header, MESSAGE)?,
    }
    Ok(names)
}

/// A map, kept unparsed, or null.
fn map<'a>(cursor: &mut Cursor<'a>, name: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
    let start = cursor.position();
    match cursor.header()? {
        header @ Header::Map(_) => {
            cursor.skip_rest(header, MESSAGE)?;
            Ok(Some(cursor.since(start)))
        }
        header if is_null(header) => Ok(None),
        _ => Err(Malformed::Member(name)),
    }
}

/// An address (PROTOCOL 1.1), or null. `addr` and unknown members are ignored.
fn chad(cursor: &mut Cursor<'_>, name: &'static str) -> Result<Option<Chad>, Malformed> {
    const LEVEL: usize = MESSAGE + 1;
    let Some(length) = cursor.map_header(LEVEL)? else {
        return if is_null(cursor.header()?) { Ok(None) } else { Err(Malformed::Member(name)) };
    };
    let (mut cuid, mut agent, mut host, mut port) = (None, None, None, None);
    cursor.map(length, LEVEL, |cursor, member| {
        match member {
            "cuid" => cuid = text(cursor, name)?,
            "agent" => agent = text(cursor, name)?,
            "host" => host = text(cursor, name)?,
            "port" => {
                port = match cursor.header()? {
                    Header::Positive(port) => Some(u16::try_from(port).map_err(|_| Malformed::Member(name))?),
                    header if is_null(header) => None,
                    _ => return Err(Malformed::Member(name)),
                }
            }
            _ => cursor.skip(LEVEL)?,
        }
        Ok(())
    })?;
    // An empty host is no hint.
    let host = host.filter(|host| !host.is_empty());
    match agent {
        Some(agent)
            if is_agent_id(agent) && cuid.is_none_or(is_cuid) && host.is_none_or(is_host) && port != Some(0) =>
        {
            Ok(Some(Chad {
                cuid: cuid.map(str::to_owned),
                agent: AgentId(agent.to_owned()),
                host: host.map(str::to_owned),
                port,
            }))
        }
        _ => Err(Malformed::Member(name)),
    }
}

/// A validated item as a JSON value.
fn value(item: &[u8]) -> Result<Value, Malformed> {
    ciborium::from_reader(item).map_err(|_| Malformed::Foreign)
}
