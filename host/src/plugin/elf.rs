//! What a library's file says before any of it is mapped.
//!
//! The dynamic linker trusts its input: a file cut short is a SIGBUS, a damaged one anything at all.
//! Here the file is parsed with bounds checked; the plugin's stamp is read from it too, so that
//! plugins for other hosts are refused without running their constructors.

use crate::plugin::error::Refusal;
use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, Sym};
use std::path::Path;
use tallyho_plugin::abi::{ABI_MAJOR, ABI_MINOR, AbiStamp, HEADER_SYMBOL_PREFIX, STAMP_SYMBOL_PREFIX};

/// The machine that this host runs on, in words.
pub const THIS_MACHINE: &str = machine_in_words(MACHINE);

const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    elf::EM_X86_64
} else if cfg!(target_arch = "aarch64") {
    elf::EM_AARCH64
} else if cfg!(target_arch = "riscv64") {
    elf::EM_RISCV
} else {
    elf::EM_NONE
};

const _: () = assert!(
    cfg!(target_endian = "little") && cfg!(target_pointer_width = "64") && MACHINE != elf::EM_NONE,
    "plugins are loaded on 64-bit little-endian x86, ARM and RISC-V; add the machine here to port the host"
);

type Header = FileHeader64<LittleEndian>;
const ENDIAN: LittleEndian = LittleEndian;

/// What is needed to open the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElfFacts {
    /// The symbol of the plugin's `LibHeader`.
    pub header_symbol: String,
    /// What the plugin says of its build.
    pub stamp: AbiStamp,
    /// What its mapping takes of memory, in bytes.
    pub bytes: u64,
}

/// Checks a library's bytes; `path` is used to choose among several plugins in one library.
///
/// # Errors
/// [`Refusal::NotALibrary`], [`Refusal::Truncated`], [`Refusal::Damaged`], [`Refusal::NoPlugin`],
/// [`Refusal::SeveralPlugins`].
pub fn inspect(bytes: &[u8], path: &Path) -> Result<ElfFacts, Refusal> {
    check_kind(bytes)?;
    let header = Header::parse(bytes).map_err(damaged)?;
    check_complete(header, bytes)?;
    let stamps = exported(header, bytes, STAMP_SYMBOL_PREFIX)?;
    let (crate_name, address) = choose(stamps, path)?;
    let header_symbol = format!("{HEADER_SYMBOL_PREFIX}{crate_name}");
    if !exported(header, bytes, &header_symbol)?.iter().any(|(rest, _)| rest.is_empty()) {
        return Err(Refusal::NoPlugin { expected: header_symbol });
    }
    let stamp = at_address(header, bytes, address, AbiStamp::SIZE)?
        .and_then(AbiStamp::read)
        .ok_or_else(|| Refusal::Damaged(format!("{STAMP_SYMBOL_PREFIX}{crate_name} is no stamp")))?;
    Ok(ElfFacts { header_symbol, stamp, bytes: mapped_bytes(header, bytes)? })
}

/// The size of all segments that are mapped.
fn mapped_bytes(header: &Header, bytes: &[u8]) -> Result<u64, Refusal> {
    let segments = header.program_headers(ENDIAN, bytes).map_err(damaged)?;
    let loaded = segments.iter().filter(|segment| segment.p_type(ENDIAN) == elf::PT_LOAD);
    Ok(loaded.fold(0, |sum: u64, segment| sum.saturating_add(segment.p_memsz(ENDIAN))))
}

/// Whether this host takes plugins with this stamp.
///
/// # Errors
/// [`Refusal::Version`], [`Refusal::Aborts`].
pub fn check_stamp(stamp: &AbiStamp) -> Result<(), Refusal> {
    let host = (ABI_MAJOR, ABI_MINOR);
    let plugin = (stamp.major, stamp.minor);
    if plugin.0 != host.0 || plugin.1 > host.1 {
        let expected = match host.1 {
            0 => format!("{}.0", host.0),
            minor => format!("{major}.0 to {major}.{minor}", major = host.0),
        };
        return Err(Refusal::Version { found: format!("{}.{}", plugin.0, plugin.1), expected, newer: plugin > host });
    }
    if stamp.unwinds != 1 { Err(Refusal::Aborts) } else { Ok(()) }
}

fn check_kind(bytes: &[u8]) -> Result<(), Refusal> {
    let not = |found: String| Err(Refusal::NotALibrary { found });
    if !bytes.starts_with(&elf::ELFMAG) {
        return not(looks_like(bytes).into());
    }
    let Some(ident) = bytes.get(..20) else {
        return Err(Refusal::Truncated { what: "the ELF header".into(), needed: 64, found: bytes.len() as u64 });
    };
    if ident[4] != elf::ELFCLASS64 {
        return not(if ident[4] == elf::ELFCLASS32 {
            "a 32-bit ELF file".into()
        } else {
            "an ELF file of no known class".into()
        });
    }
    if ident[5] != elf::ELFDATA2LSB {
        return not("an ELF file for a big-endian machine".into());
    }
    let half = |at: usize| u16::from_le_bytes([ident[at], ident[at + 1]]);
    match half(16) {
        elf::ET_DYN => {}
        elf::ET_REL => return not("an object file (.o)".into()),
        elf::ET_EXEC => return not("a program".into()),
        elf::ET_CORE => return not("a core dump".into()),
        other => return not(format!("an ELF file of type {other}")),
    }
    match half(18) {
        MACHINE => Ok(()),
        other => not(format!("an ELF shared library for {} (machine {other})", machine_in_words(other))),
    }
}

fn looks_like(bytes: &[u8]) -> &'static str {
    let start = &bytes[..bytes.len().min(512)];
    match start {
        [] => "an empty file",
        [b'M', b'Z', ..] => "a Windows library or program",
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => "a macOS library or program",
        _ if start.starts_with(b"!<arch>") => "a static library or rlib",
        _ if start.starts_with(b"\0asm") => "a WebAssembly module",
        _ if start.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..)) => "a text file",
        _ => "no library",
    }
}

fn check_complete(header: &Header, bytes: &[u8]) -> Result<(), Refusal> {
    let size = bytes.len() as u64;
    let inside = |what: &str, offset: u64, length: u64| match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        Some(end) => Err(Refusal::Truncated { what: what.into(), needed: end, found: size }),
        None => Err(Refusal::Damaged(format!("{what} lies beyond any file"))),
    };
    let table = u64::from(header.e_phnum.get(ENDIAN)) * u64::from(header.e_phentsize.get(ENDIAN));
    inside("the segment table", header.e_phoff.get(ENDIAN), table)?;
    let segments = header.program_headers(ENDIAN, bytes).map_err(damaged)?;
    for segment in segments {
        let (length, in_memory) = (segment.p_filesz(ENDIAN), segment.p_memsz(ENDIAN));
        if segment.p_type(ENDIAN) != elf::PT_NULL {
            inside("a segment", segment.p_offset(ENDIAN), length)?;
        }
        if segment.p_type(ENDIAN) == elf::PT_LOAD && length > in_memory {
            return Err(Refusal::Damaged("a segment is longer in the file than in memory".into()));
        }
    }
    for (kind, what) in [(elf::PT_LOAD, "loadable segment"), (elf::PT_DYNAMIC, "dynamic segment")] {
        if !segments.iter().any(|segment| segment.p_type(ENDIAN) == kind) {
            return Err(Refusal::Damaged(format!("it has no {what}")));
        }
    }
    let table = u64::from(header.e_shnum.get(ENDIAN)) * u64::from(header.e_shentsize.get(ENDIAN));
    inside("the section table", header.e_shoff.get(ENDIAN), table)
}

/// The dynamic symbols defined here whose names begin with `prefix`: the rest of the name, and the address.
fn exported(header: &Header, bytes: &[u8], prefix: &str) -> Result<Vec<(String, u64)>, Refusal> {
    let sections = header.sections(ENDIAN, bytes).map_err(damaged)?;
    let symbols = sections.symbols(ENDIAN, bytes, elf::SHT_DYNSYM).map_err(damaged)?;
    let mut found = Vec::new();
    for symbol in symbols.iter() {
        let name = symbol.name(ENDIAN, symbols.strings()).map_err(damaged)?;
        let rest = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix(prefix));
        if let Some(rest) = rest.filter(|_| !symbol.is_undefined(ENDIAN)) {
            found.push((rest.to_owned(), symbol.st_value(ENDIAN)));
        }
    }
    found.sort();
    Ok(found)
}

fn choose(mut stamps: Vec<(String, u64)>, path: &Path) -> Result<(String, u64), Refusal> {
    match stamps.len() {
        0 => Err(Refusal::NoPlugin { expected: STAMP_SYMBOL_PREFIX.into() }),
        1 => Ok(stamps.remove(0)),
        _ => {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let named = stem.strip_prefix("lib").unwrap_or(&stem);
            match stamps.iter().position(|(name, _)| name == named) {
                Some(at) => Ok(stamps.remove(at)),
                None => Err(Refusal::SeveralPlugins { crates: stamps.into_iter().map(|(name, _)| name).collect() }),
            }
        }
    }
}

/// The bytes of the file that are mapped at `address`; `None` where none are.
fn at_address<'b>(header: &Header, bytes: &'b [u8], address: u64, length: usize) -> Result<Option<&'b [u8]>, Refusal> {
    for segment in header.program_headers(ENDIAN, bytes).map_err(damaged)? {
        if segment.p_type(ENDIAN) == elf::PT_LOAD
            && let Ok(Some(found)) = segment.data_range(ENDIAN, bytes, address, length as u64)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn damaged(error: object::read::Error) -> Refusal {
    Refusal::Damaged(error.to_string())
}

const fn machine_in_words(machine: u16) -> &'static str {
    match machine {
        elf::EM_X86_64 => "64-bit x86",
        elf::EM_AARCH64 => "64-bit ARM",
        elf::EM_RISCV => "RISC-V",
        elf::EM_386 => "32-bit x86",
        elf::EM_ARM => "32-bit ARM",
        elf::EM_PPC64 => "64-bit PowerPC",
        elf::EM_S390 => "IBM Z",
        _ => "another machine",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn stamp(major: u32, minor: u32, unwinds: bool) -> AbiStamp {
        AbiStamp { major, minor, ..AbiStamp::of_this_build(unwinds) }
    }

    #[test]
    fn a_host_takes_its_own_and_earlier_minor_versions_only() {
        check_stamp(&stamp(ABI_MAJOR, ABI_MINOR, true)).unwrap();
        if let Some(earlier) = ABI_MINOR.checked_sub(1) {
            check_stamp(&stamp(ABI_MAJOR, earlier, true)).unwrap();
        }
        for (major, minor, newer) in
            [(ABI_MAJOR, ABI_MINOR + 1, true), (ABI_MAJOR + 1, 0, true), (ABI_MAJOR - 1, 9, false)]
        {
            let Err(Refusal::Version { newer: found, .. }) = check_stamp(&stamp(major, minor, true)) else {
                panic!("{major}.{minor} was taken");
            };
            assert_eq!(found, newer, "{major}.{minor}");
        }
        assert_eq!(check_stamp(&stamp(ABI_MAJOR, ABI_MINOR, false)), Err(Refusal::Aborts));
    }

    #[test]
    fn the_file_name_decides_among_several_plugins() {
        let stamps = || vec![("referee".to_owned(), 1), ("slow_referee".to_owned(), 2)];
        assert_eq!(choose(stamps(), Path::new("/p/libslow_referee.so")).unwrap().1, 2);
        assert_eq!(choose(stamps(), Path::new("/p/referee.so")).unwrap().1, 1);
        assert!(matches!(choose(stamps(), Path::new("/p/x.so")), Err(Refusal::SeveralPlugins { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_inspection_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = inspect(&bytes, Path::new("x"));
            let mut with_ident = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
            with_ident.extend_from_slice(&MACHINE.to_le_bytes());
            with_ident.append(&mut bytes);
            let _ = inspect(&with_ident, Path::new("x"));
        }
    }
}
