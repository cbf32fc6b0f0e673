//! What a library exports, found as the dynamic linker finds it: by its dynamic segment. (The section table has the
//! same in it, but is not loaded and may say something else.)

use crate::plugin::error::Refusal;
use crate::plugin::part::{ENDIAN, Header, Segment};
use object::LittleEndian;
use object::elf::{self, Sym64};
use object::pod::slice_from_bytes;
use object::read::StringTable;
use object::read::elf::{Dyn, GnuHashTable, HashTable, ProgramHeader, Sym};

/// The dynamic symbols defined here whose names begin with `prefix`: the rest of the name, and the address.
///
/// # Errors
/// [`Refusal::Damaged`].
pub fn exported(segments: &[Segment], bytes: &[u8], prefix: &str) -> Result<Vec<(String, u64)>, Refusal> {
    let entry = |tag: u32| dynamic_entry(segments, bytes, tag);
    let wanted = |tag: u32, what: &str| entry(tag)?.ok_or_else(|| damaged(what));
    let names = from_address(segments, bytes, wanted(elf::DT_STRTAB, "its symbols have no names")?)
        .ok_or_else(|| damaged("the names of its symbols are not in it"))?;
    let length = wanted(elf::DT_STRSZ, "the names of its symbols have no length")?;
    if length > names.len() as u64 {
        return Err(damaged("the names of its symbols are not all in it"));
    }
    let names = StringTable::new(names, 0, length);
    let symbols = from_address(segments, bytes, wanted(elf::DT_SYMTAB, "it has no symbols")?)
        .ok_or_else(|| damaged("its symbols are not in it"))?;
    let count = count(segments, bytes)?;
    let (symbols, _) = slice_from_bytes::<Sym64<LittleEndian>>(symbols, count)
        .map_err(|()| damaged("its symbols are not all in it"))?;
    let mut found = Vec::new();
    for symbol in symbols {
        let name = symbol.name(ENDIAN, names).map_err(|error| damaged(&error.to_string()))?;
        let rest = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix(prefix));
        if let Some(rest) = rest.filter(|_| !symbol.is_undefined(ENDIAN)) {
            found.push((rest.to_owned(), symbol.st_value(ENDIAN)));
        }
    }
    found.sort();
    Ok(found)
}

/// How many symbols there are: only the table by which they are looked up tells.
fn count(segments: &[Segment], bytes: &[u8]) -> Result<usize, Refusal> {
    let table = |tag: u32| -> Result<Option<&[u8]>, Refusal> {
        let Some(address) = dynamic_entry(segments, bytes, tag)? else { return Ok(None) };
        from_address(segments, bytes, address)
            .map(Some)
            .ok_or_else(|| damaged("the hashes of its symbols are not in it"))
    };
    let error = |error: object::read::Error| damaged(&error.to_string());
    let count = match (table(elf::DT_GNU_HASH)?, table(elf::DT_HASH)?) {
        // None where nothing is exported.
        (Some(hashes), _) => {
            GnuHashTable::<Header>::parse(ENDIAN, hashes).map_err(error)?.symbol_table_length(ENDIAN).unwrap_or(0)
        }
        (None, Some(hashes)) => HashTable::<Header>::parse(ENDIAN, hashes).map_err(error)?.symbol_table_length(),
        (None, None) => 0,
    };
    usize::try_from(count).map_err(|_| damaged("it has more symbols than memory can hold"))
}

/// The value of an entry of the dynamic segment.
fn dynamic_entry(segments: &[Segment], bytes: &[u8], tag: u32) -> Result<Option<u64>, Refusal> {
    for segment in segments {
        if let Some(entries) = segment.dynamic(ENDIAN, bytes).map_err(|error| damaged(&error.to_string()))? {
            let tags = entries.iter().take_while(|entry| entry.d_tag(ENDIAN) != u64::from(elf::DT_NULL));
            let found = tags.into_iter().find(|entry| entry.d_tag(ENDIAN) == u64::from(tag));
            return Ok(found.map(|entry| entry.d_val(ENDIAN)));
        }
    }
    Ok(None)
}

/// The bytes of the file that are mapped at `address` and behind it, to the end of the segment.
pub fn from_address<'b>(segments: &[Segment], bytes: &'b [u8], address: u64) -> Option<&'b [u8]> {
    segments.iter().filter(|segment| segment.p_type(ENDIAN) == elf::PT_LOAD).find_map(|segment| {
        let mapped = segment.data(ENDIAN, bytes).ok()?;
        let at = usize::try_from(address.checked_sub(segment.p_vaddr(ENDIAN))?).ok()?;
        mapped.get(at..).filter(|rest| !rest.is_empty())
    })
}

fn damaged(what: &str) -> Refusal {
    Refusal::Damaged(what.to_owned())
}
