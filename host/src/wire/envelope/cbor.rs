//! A validating cursor over one CBOR item (PROTOCOL 3.1 check 1).
//!
//! Permitted is what JSON can say: maps with text keys, arrays, text, numbers, true, false, null. Maps
//! and arrays may be of indefinite length. Text may not come in segments, because readers of records
//! expect it in one piece.

use crate::wire::error::{Malformed, WireError};
use crate::wire::limits::{MAX_INTEGER, MAX_NESTING};
use ciborium_ll::{Decoder, Header, simple};

/// Checks what is to become the `object` of a message: one CBOR map, nothing behind it, nested at
/// most 31 levels (the envelope is one more).
///
/// # Errors
/// [`Malformed`].
pub fn check_object(bytes: &[u8]) -> Result<(), WireError> {
    let mut cursor = Cursor::new(bytes);
    let length = cursor.map_header(OBJECT_LEVEL)?.ok_or(Malformed::Member("object"))?;
    cursor.map(length, OBJECT_LEVEL, |cursor, _| cursor.skip(OBJECT_LEVEL))?;
    Ok(cursor.finish()?)
}

/// The text of one member of an object, found without reading what comes behind it. `None` where there is
/// no such member, or it is not text. Only for objects that [`check_object`] lets pass, or that were
/// written here: what is malformed may be found or not.
pub fn text_member<'a>(object: &'a [u8], member: &str) -> Option<&'a str> {
    let mut cursor = Cursor { bytes: object, at: 0, names: Vec::new() };
    let mut left = cursor.map_header(OBJECT_LEVEL).ok()??;
    while left != Some(0) {
        let Header::Text(length) = cursor.header().ok()? else { return None };
        if cursor.text(length).ok()? == member {
            let Header::Text(length) = cursor.header().ok()? else { return None };
            return cursor.text(length).ok();
        }
        cursor.skip(OBJECT_LEVEL).ok()?;
        left = left.map(|left| left - 1);
    }
    None
}

/// The level of an envelope's object.
const OBJECT_LEVEL: usize = 2;

/// Up to this many names are compared pairwise; more are sorted.
const PAIRWISE: usize = 12;

/// Number of members or items; `None`: up to a break.
pub(super) type Length = Option<usize>;

/// Walks over CBOR, checking as it goes.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Names of the maps that the cursor is inside of, outermost first.
    names: Vec<&'a str>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0, names: Vec::with_capacity(32) }
    }

    /// Where the cursor is; with [`since`](Self::since) the way to keep an item unparsed.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The bytes from a position up to the cursor.
    pub(super) fn since(&self, position: usize) -> &'a [u8] {
        &self.bytes[position..self.at]
    }

    /// Nothing may follow.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed::Syntax) }
    }

    /// The next item's header.
    #[inline]
    pub(super) fn header(&mut self) -> Result<Header, Malformed> {
        // Nearly all heads are of one or two bytes; taking these here halves the cost of a message.
        let (major, argument, length) = match self.bytes[self.at..] {
            [first, ..] if first & 0x1f < 24 => (first >> 5, first & 0x1f, 1),
            [first, second, ..] if first & 0x1f == 24 => (first >> 5, second, 2),
            _ => return self.rare_header(),
        };
        self.at += length;
        Ok(match major {
            0 => Header::Positive(argument.into()),
            1 => Header::Negative(argument.into()),
            2 => Header::Bytes(Some(argument.into())),
            3 => Header::Text(Some(argument.into())),
            4 => Header::Array(Some(argument.into())),
            5 => Header::Map(Some(argument.into())),
            6 => Header::Tag(argument.into()),
            _ => Header::Simple(argument),
        })
    }

    fn rare_header(&mut self) -> Result<Header, Malformed> {
        let mut decoder = Decoder::from(&self.bytes[self.at..]);
        let header = decoder.pull().map_err(|_| Malformed::Syntax)?;
        self.at += decoder.offset();
        Ok(header)
    }

    /// A map's header at this level; `None` (and nothing consumed) for anything else.
    pub(super) fn map_header(&mut self, level: usize) -> Result<Option<Length>, Malformed> {
        let start = self.at;
        match self.header()? {
            Header::Map(length) => {
                check_level(level)?;
                Ok(Some(length))
            }
            _ => {
                self.at = start;
                Ok(None)
            }
        }
    }

    /// A map's members, after its header: `member` is called with each name and must consume the value.
    #[inline]
    pub(super) fn map(
        &mut self,
        length: Length,
        level: usize,
        mut member: impl FnMut(&mut Self, &'a str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        debug_assert!(level <= MAX_NESTING);
        let outer = self.names.len();
        let mut left = length;
        while left != Some(0) {
            let name = match self.header()? {
                Header::Text(length) => self.text(length)?,
                Header::Break if left.is_none() => break,
                Header::Break => return Err(Malformed::Syntax),
                _ => return Err(Malformed::Foreign),
            };
            self.names.push(name);
            member(self, name)?;
            left = left.map(|left| left - 1);
        }
        check_names(&mut self.names[outer..])?;
        self.names.truncate(outer);
        Ok(())
    }

    /// A text's content, after its header.
    #[inline]
    pub(super) fn text(&mut self, length: Option<usize>) -> Result<&'a str, Malformed> {
        let length = length.ok_or(Malformed::Foreign)?;
        let rest = &self.bytes[self.at..];
        let text = rest.get(..length).ok_or(Malformed::Syntax)?;
        self.at += length;
        std::str::from_utf8(text).map_err(|_| Malformed::Text)
    }

    /// Passes over one item that is a member or item of a container at `level`.
    pub(super) fn skip(&mut self, level: usize) -> Result<(), Malformed> {
        let header = self.header()?;
        self.skip_rest(header, level)
    }

    /// Passes over the rest of an item whose header has been read.
    pub(super) fn skip_rest(&mut self, header: Header, level: usize) -> Result<(), Malformed> {
        match header {
            Header::Text(length) => self.text(length).map(drop),
            Header::Map(length) => {
                check_level(level + 1)?;
                self.map(length, level + 1, |cursor, _| cursor.skip(level + 1))
            }
            Header::Array(length) => {
                check_level(level + 1)?;
                self.array(length, |cursor, header| cursor.skip_rest(header, level + 1))
            }
            other => check_scalar(other),
        }
    }

    /// An array's items, after its header: `item` gets each item's header and must consume its rest.
    pub(super) fn array(
        &mut self,
        length: Length,
        mut item: impl FnMut(&mut Self, Header) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut left = length;
        while left != Some(0) {
            match self.header()? {
                Header::Break if left.is_none() => break,
                header => item(self, header)?,
            }
            left = left.map(|left| left - 1);
        }
        Ok(())
    }
}

/// A container at this level must not be too deep.
pub(super) fn check_level(level: usize) -> Result<(), Malformed> {
    if level > MAX_NESTING { Err(Malformed::Depth) } else { Ok(()) }
}

/// Whether a number, by value, is one that JSON peers read exactly: finite, and within
/// ±(2^53 - 1) if integral. (A double beyond that is always integral.)
pub(super) fn check_float(number: f64) -> Result<(), Malformed> {
    // MAX_INTEGER is exact as a double. Not-a-number fails the comparison too.
    if number.abs() <= MAX_INTEGER as f64 { Ok(()) } else { Err(Malformed::Number) }
}

fn check_scalar(header: Header) -> Result<(), Malformed> {
    match header {
        Header::Positive(value) if value <= MAX_INTEGER => Ok(()),
        // The value is -1 - n.
        Header::Negative(n) if n < MAX_INTEGER => Ok(()),
        Header::Positive(_) | Header::Negative(_) => Err(Malformed::Number),
        Header::Float(number) => check_float(number),
        Header::Simple(simple::FALSE | simple::TRUE | simple::NULL) => Ok(()),
        Header::Break => Err(Malformed::Syntax),
        _ => Err(Malformed::Foreign),
    }
}

/// No two names may be equal.
fn check_names(names: &mut [&str]) -> Result<(), Malformed> {
    let duplicate = if names.len() <= PAIRWISE {
        names.iter().enumerate().any(|(n, name)| names[..n].contains(name))
    } else {
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    if duplicate { Err(Malformed::Duplicate) } else { Ok(()) }
}
