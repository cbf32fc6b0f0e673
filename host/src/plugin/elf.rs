//! What a library's file says before any of it is mapped.
//!
//! The dynamic linker trusts its input: a file cut short is a SIGBUS, a damaged one anything at all.
//! Here the file is parsed with bounds checked; the plugin's stamp is read from it too, so that
//! plugins for other hosts are refused without running their constructors.

use crate::plugin::error::Refusal;
use crate::plugin::exports::{exported, from_address};
use crate::plugin::part::{ENDIAN, Header, end_of_segments, segment_table};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
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

/// Checks the part of a library that is loaded; `path` is used to choose among several plugins in one library.
///
/// # Errors
/// [`Refusal::NotALibrary`], [`Refusal::Truncated`], [`Refusal::Damaged`], [`Refusal::NoPlugin`],
/// [`Refusal::SeveralPlugins`].
pub fn inspect(bytes: &[u8], path: &Path) -> Result<ElfFacts, Refusal> {
    check_kind(bytes)?;
    let header = Header::parse(bytes).map_err(damaged)?;
    segment_table(header, bytes.len() as u64)?;
    let segments = header.program_headers(ENDIAN, bytes).map_err(damaged)?;
    if end_of_segments(header, segments, bytes.len() as u64)? != bytes.len() as u64 {
        return Err(Refusal::Damaged("it was changed while it was read".into()));
    }
    let stamps = exported(segments, bytes, STAMP_SYMBOL_PREFIX)?;
    let (crate_name, address) = choose(stamps, path)?;
    let header_symbol = format!("{HEADER_SYMBOL_PREFIX}{crate_name}");
    if !exported(segments, bytes, &header_symbol)?.iter().any(|(rest, _)| rest.is_empty()) {
        return Err(Refusal::NoPlugin { expected: header_symbol });
    }
    let stamp = from_address(segments, bytes, address)
        .and_then(|bytes| bytes.get(..AbiStamp::SIZE))
        .and_then(AbiStamp::read)
        .ok_or_else(|| Refusal::Damaged(format!("{STAMP_SYMBOL_PREFIX}{crate_name} is no stamp")))?;
    let loaded = segments.iter().filter(|segment| segment.p_type(ENDIAN) == elf::PT_LOAD);
    let mapped = loaded.fold(0, |sum: u64, segment| sum.saturating_add(segment.p_memsz(ENDIAN)));
    Ok(ElfFacts { header_symbol, stamp, bytes: mapped })
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

/// Whether a file that begins like this is a library for this kind of system.
///
/// # Errors
/// [`Refusal::NotALibrary`], [`Refusal::Truncated`].
pub(super) fn check_kind(bytes: &[u8]) -> Result<(), Refusal> {
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

/// A file that the parser cannot make sense of.
pub(super) fn damaged(error: object::read::Error) -> Refusal {
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
        let several = choose(stamps(), Path::new("/p/x.so")).unwrap_err();
        assert!(matches!(several, Refusal::SeveralPlugins { .. }));
        assert!(several.fix().ends_with("libreferee.so or libslow_referee.so"), "{}", several.fix());
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
