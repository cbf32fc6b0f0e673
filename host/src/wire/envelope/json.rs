//! JSON to CBOR, checking on the way (PROTOCOL 3.1 check 1).
//!
//! Integral numbers become CBOR integers however they were written (`1.0`, `1e0`), as they have one
//! canonical form (PROTOCOL 3.3 rule 4); others become the shortest float of the same value.

use super::cbor::{check_float, check_level};
use super::write::{Major, put_float, put_head, put_text};
use crate::wire::error::Malformed;
use crate::wire::limits::MAX_INTEGER;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::ops::Range;

/// Transcodes one JSON text.
pub(super) fn to_cbor(json: &[u8]) -> Result<Vec<u8>, Malformed> {
    let json = std::str::from_utf8(json).map_err(|_| Malformed::Text)?;
    let mut output = Output { bytes: Vec::with_capacity(json.len()), names: Vec::with_capacity(32), why: None };
    let mut parser = serde_json::Deserializer::from_str(json);
    let outcome = Item { output: &mut output, level: 0 }.deserialize(&mut parser).and_then(|()| parser.end());
    match outcome {
        Ok(()) => Ok(output.bytes),
        Err(error) => Err(output.why.unwrap_or_else(|| reason(&error))),
    }
}

/// Why serde_json refused a text.
fn reason(error: &serde_json::Error) -> Malformed {
    // serde_json does not show its codes, only their words; a wrong guess costs a less apt log line.
    let words = error.to_string();
    if words.starts_with("number out of range") {
        Malformed::Number
    } else if words.contains("surrogate") || words.contains("hex escape") || words.contains("code point") {
        Malformed::Text
    } else {
        Malformed::Syntax
    }
}

struct Output {
    bytes: Vec<u8>,
    /// Where the names of the maps being written lie, outermost first.
    names: Vec<Range<usize>>,
    /// What was wrong, if it was not the parser who saw it.
    why: Option<Malformed>,
}

impl Output {
    fn fail<E: Error>(&mut self, why: Malformed) -> E {
        self.why = Some(why);
        E::custom(why)
    }

    /// Writes a container's length into the one byte kept for it at `at`, making room where needed.
    fn patch_head(&mut self, at: usize, major: Major, length: usize) {
        if length < 24 {
            // The cast is of a value just bounded.
            self.bytes[at] = (major as u8) << 5 | length as u8;
            return;
        }
        let mut head = Vec::new();
        put_head(&mut head, major, length as u64);
        self.bytes.splice(at..=at, head);
    }

    fn has_duplicates(&mut self, outer: usize) -> bool {
        let bytes = &self.bytes;
        let name = |range: &Range<usize>| &bytes[range.start..range.end];
        let names = &mut self.names[outer..];
        names.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        names.windows(2).any(|pair| name(&pair[0]) == name(&pair[1]))
    }
}

/// One JSON value, inside a container at `level`.
struct Item<'o> {
    output: &'o mut Output,
    level: usize,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.output.bytes.push(0xf6);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.output.bytes.push(if value { 0xf5 } else { 0xf4 });
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        if value > MAX_INTEGER {
            return Err(self.output.fail(Malformed::Number));
        }
        put_head(&mut self.output.bytes, Major::Positive, value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        if value.unsigned_abs() > MAX_INTEGER {
            return Err(self.output.fail(Malformed::Number));
        }
        match u64::try_from(value) {
            Ok(value) => put_head(&mut self.output.bytes, Major::Positive, value),
            Err(_) => put_head(&mut self.output.bytes, Major::Negative, value.unsigned_abs() - 1),
        }
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if let Err(why) = check_float(value) {
            return Err(self.output.fail(why));
        }
        if value.fract() == 0.0 {
            // Exact: check_float has bounded it.
            return self.visit_i64(value as i64);
        }
        put_float(&mut self.output.bytes, value);
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        put_text(&mut self.output.bytes, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Item { output, level } = self;
        let level = level + 1;
        check_level(level).map_err(|why| output.fail(why))?;
        let head = output.bytes.len();
        output.bytes.push(0);
        let mut length = 0;
        while items.next_element_seed(Item { output, level })?.is_some() {
            length += 1;
        }
        output.patch_head(head, Major::Array, length);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Item { output, level } = self;
        let level = level + 1;
        check_level(level).map_err(|why| output.fail(why))?;
        let head = output.bytes.len();
        output.bytes.push(0);
        let outer = output.names.len();
        while members.next_key_seed(Name { output })?.is_some() {
            members.next_value_seed(Item { output, level })?;
        }
        let length = output.names.len() - outer;
        if output.has_duplicates(outer) {
            return Err(output.fail(Malformed::Duplicate));
        }
        output.names.truncate(outer);
        output.patch_head(head, Major::Map, length);
        Ok(())
    }
}

/// A member's name.
struct Name<'o> {
    output: &'o mut Output,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        put_text(&mut self.output.bytes, name);
        let end = self.output.bytes.len();
        self.output.names.push(end - name.len()..end);
        Ok(())
    }
}
