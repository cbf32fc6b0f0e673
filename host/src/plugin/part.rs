//! Which part of a library's file can be loaded: its beginning, up to the end of the last segment.
//!
//! What comes behind is for backtraces and debuggers: line tables, symbols and the section table, nine tenths of a
//! file and more. The dynamic linker goes by the segment table alone and reads none of it, so that a build is what
//! this part has, and only this part is copied, read and hashed before it serves.

use crate::plugin::elf::{check_kind, damaged};
use crate::plugin::error::Refusal;
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::pod::slice_from_bytes;
use object::read::elf::{FileHeader, ProgramHeader};
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The files taken have 64-bit little-endian headers.
pub type Header = FileHeader64<LittleEndian>;
/// An entry of the segment table.
pub type Segment = ProgramHeader64<LittleEndian>;
/// Their byte order.
pub const ENDIAN: LittleEndian = LittleEndian;

/// Most segments: linkers make a dozen, and a count that lies must not have much read.
const MAX_SEGMENTS: u16 = 128;

/// Bytes that are read to tell what a file is, in words for people where it is no library.
const BEGINNING: usize = 512;

/// How long the parts of a library's file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Up to the end of the last segment.
    pub loaded: u64,
    /// Up to the end of what linkers write last, the section table.
    pub whole: u64,
}

/// The parts of a file of this size, every segment found inside of it. `rest_may_lack`: whether what is never loaded
/// may be missing, as in a copy that is known to be one by its hash; a build or copy under way is found out by that.
///
/// # Errors
/// [`Refusal::Unreadable`], [`Refusal::NotALibrary`], [`Refusal::Truncated`], [`Refusal::Damaged`].
pub fn parts(file: &File, size: u64, rest_may_lack: bool) -> Result<Parts, Refusal> {
    let beginning = read_at(file, 0..BEGINNING as u64)?;
    check_kind(&beginning)?;
    let header = Header::parse(beginning.as_slice()).map_err(damaged)?;
    let table = read_at(file, segment_table(header, size)?)?;
    let (segments, _) = slice_from_bytes::<Segment>(&table, usize::from(header.e_phnum.get(ENDIAN)))
        .map_err(|()| Refusal::Damaged("its segment table cannot be read".into()))?;
    let loaded = end_of_segments(header, segments, size)?;
    let length = u64::from(header.e_shnum.get(ENDIAN)) * u64::from(header.e_shentsize.get(ENDIAN));
    let room = if rest_may_lack { u64::MAX } else { size };
    let sections = inside("the section table", header.e_shoff.get(ENDIAN), length, room)?;
    Ok(Parts { loaded, whole: loaded.max(sections.end) })
}

/// Where the segment table is, found inside of a file of this size.
///
/// # Errors
/// [`Refusal::Truncated`], [`Refusal::Damaged`].
pub fn segment_table(header: &Header, size: u64) -> Result<Range<u64>, Refusal> {
    let (count, length) = (header.e_phnum.get(ENDIAN), header.e_phentsize.get(ENDIAN));
    if count > MAX_SEGMENTS {
        return Err(Refusal::Damaged(format!("it has {count} segments, expected at most {MAX_SEGMENTS}")));
    }
    if usize::from(length) != size_of::<Segment>() {
        let expected = size_of::<Segment>();
        return Err(Refusal::Damaged(format!("an entry of its segment table has {length} bytes, expected {expected}")));
    }
    inside("the segment table", header.e_phoff.get(ENDIAN), u64::from(count) * u64::from(length), size)
}

/// Where the last segment ends, all found inside of a file of this size.
///
/// # Errors
/// [`Refusal::Truncated`], [`Refusal::Damaged`].
pub fn end_of_segments(header: &Header, segments: &[Segment], size: u64) -> Result<u64, Refusal> {
    let mut end = segment_table(header, size)?.end.max(size_of::<Header>() as u64);
    for segment in segments.iter().filter(|segment| segment.p_type(ENDIAN) != elf::PT_NULL) {
        let (length, in_memory) = (segment.p_filesz(ENDIAN), segment.p_memsz(ENDIAN));
        end = end.max(inside("a segment", segment.p_offset(ENDIAN), length, size)?.end);
        if segment.p_type(ENDIAN) == elf::PT_LOAD && length > in_memory {
            return Err(Refusal::Damaged("a segment is longer in the file than in memory".into()));
        }
    }
    for (kind, what) in [(elf::PT_LOAD, "loadable segment"), (elf::PT_DYNAMIC, "dynamic segment")] {
        if !segments.iter().any(|segment| segment.p_type(ENDIAN) == kind) {
            return Err(Refusal::Damaged(format!("it has no {what}")));
        }
    }
    Ok(end)
}

fn inside(what: &str, offset: u64, length: u64, size: u64) -> Result<Range<u64>, Refusal> {
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(offset..end),
        Some(end) => Err(Refusal::Truncated { what: what.into(), needed: end, found: size }),
        None => Err(Refusal::Damaged(format!("{what} lies beyond any file"))),
    }
}

/// These bytes of the file; fewer where it ends before.
fn read_at(file: &File, range: Range<u64>) -> Result<Vec<u8>, Refusal> {
    // A beginning, or a table of MAX_SEGMENTS entries: it fits.
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], range.start + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Refusal::Unreadable(error.to_string())),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}
