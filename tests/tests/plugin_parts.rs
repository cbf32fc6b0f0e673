//! Of a library's file only what can be loaded is checked, copied and hashed before it serves; the rest, which is
//! for backtraces and debuggers, follows.
#![allow(clippy::unwrap_used)]

mod site;

use serde_json::json;
use site::{Site, fixture, label};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tallyho::plugin::{Plugin, ProbeCommand};
use tallyho_tests::site::{Site as WholeSite, until};

/// The number at this place of a 64-bit ELF header or segment table.
fn number(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

/// Where the entries of the segment table are.
fn segments(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let (table, count) = (number(bytes, 32), usize::from(u16::from_le_bytes([bytes[56], bytes[57]])));
    (0..count).map(move |segment| table + 56 * segment)
}

/// Where the last segment ends in the file.
fn end(bytes: &[u8]) -> usize {
    segments(bytes).map(|at| number(bytes, at + 8) + number(bytes, at + 32)).max().unwrap()
}

#[test]
fn what_is_never_loaded_makes_no_other_build() {
    let site = Site::new();
    let mut bytes = fixture("good", "a");
    let first = site.loader.load(&site.file("p.so", &bytes)).unwrap();
    let (loaded, sections) = (end(&bytes), number(&bytes, 40));
    assert!(sections > loaded, "the fixture has debug information");
    bytes[loaded..sections].fill(0x55);
    let again = site.loader.load(&site.file("p.so", &bytes)).unwrap();
    assert!(Arc::ptr_eq(first.shared_build(), again.shared_build()));
    // The very last byte of what is loaded does.
    bytes[loaded - 1] ^= 1;
    assert_ne!(site.loader.load(&site.file("p.so", &bytes)).unwrap().build(), first.build());
}

#[test]
fn the_copy_gets_the_rest_of_the_file_once_its_build_is_sound() {
    let site = Site::new();
    let bytes = fixture("good", "a");
    let urgent = site.loader.hold_back();
    let plugin = site.loader.load(&site.file("p.so", &bytes)).unwrap();
    let copy = || fs::read(&plugin.shared_build().copy).unwrap();
    assert_eq!(copy(), bytes[..end(&bytes)], "nobody waits for more");
    drop(urgent);
    until(|| copy() == bytes);
    assert_eq!(label(&plugin), "a");
}

#[test]
fn a_library_without_sections_is_loaded() {
    let site = Site::new();
    let mut bytes = fixture("good", "a");
    bytes.truncate(end(&bytes));
    bytes[40..48].fill(0);
    bytes[58..64].fill(0);
    assert_eq!(label(&site.loader.load(&site.file("p.so", &bytes)).unwrap()), "a");
}

#[test]
fn a_copy_that_was_kept_lacks_nothing_that_is_loaded_and_a_file_cut_at_the_same_place_is_refused() {
    let site = Site::new();
    let bytes = fixture("good", "a");
    let file = site.file("p.so", &bytes);
    let build = site.loader.load(&file).unwrap();
    for kept in [end(&bytes), end(&bytes) + 1_000] {
        let cut = site.file("cut.so", &bytes[..kept]);
        let (plugin, _) = site.loader.stage_as(&cut, &file).unwrap();
        assert!(Arc::ptr_eq(build.shared_build(), plugin.shared_build()));
        assert!(!plugin.has_changed_on_disk(), "the file is as it was");
        assert!(site.refusal(&cut).starts_with("is incomplete: the section table "));
    }
    let cut = site.file("cut.so", &bytes[..end(&bytes) - 1]);
    let error = site.loader.stage_as(&cut, &file).map(drop).unwrap_err().to_string();
    assert!(error.contains("is incomplete: a segment "), "{error}");
}

#[test]
fn a_segment_table_that_lies_is_refused_without_running_the_library() {
    let site = Site::with(|options| options.probe = ProbeCommand::program("/nowhere/at/all"));
    let good = fixture("good", "a");
    let long = good.len() as u64;
    let first = segments(&good).next().unwrap();
    // The first segment of a kind: 1 is what is mapped, 2 what the dynamic linker goes by.
    let of_kind = |kind: u8| segments(&good).find(|at| good[*at] == kind).unwrap();
    let (mapped, dynamic) = (of_kind(1), of_kind(2));
    let with = |at: usize, number: u64| {
        let mut bytes = good.clone();
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        site.refusal(&site.file("lies.so", &bytes))
    };
    for (at, number, expected) in [
        (32, long, "is incomplete: the segment table "),
        (32, u64::MAX - 8, "is a damaged library: the segment table lies beyond any file"),
        (mapped + 8, long, "is incomplete: a segment "),
        (mapped + 8, u64::MAX - 8, "is a damaged library: a segment lies beyond any file"),
        (mapped + 32, long + 1, "is incomplete: a segment "),
        (mapped + 40, 0, "is a damaged library: a segment is longer in the file than in memory"),
        (dynamic + 32, u64::MAX, "is a damaged library: a segment lies beyond any file"),
        (first + 8, long, "is incomplete: a segment "),
        (40, long, "is incomplete: the section table "),
        (40, u64::MAX - 8, "is a damaged library: the section table lies beyond any file"),
    ] {
        let refusal = with(at, number);
        assert!(refusal.starts_with(expected), "{number} at {at}: {refusal}");
    }
    let mut bytes = good.clone();
    bytes[56..58].fill(0xff);
    let refusal = site.refusal(&site.file("lies.so", &bytes));
    assert!(refusal.starts_with("is a damaged library: it has 65535 segments, expected at most "), "{refusal}");
}

#[test]
fn symbols_that_lie_are_refused_without_running_the_library() {
    let site = Site::with(|options| options.probe = ProbeCommand::program("/nowhere/at/all"));
    let good = fixture("good", "a");
    let dynamic = segments(&good).find(|at| good[*at] == 2).map(|at| number(&good, at + 8)).unwrap();
    // DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_GNU_HASH
    for tag in [5, 6, 10, 0x6fff_fef5] {
        let entry = (dynamic..).step_by(16).find(|at| number(&good, *at) == tag).unwrap();
        for lie in [0, 1, good.len() as u64, u64::MAX - 3] {
            let mut bytes = good.clone();
            bytes[entry + 8..entry + 16].copy_from_slice(&lie.to_le_bytes());
            let refusal = site.refusal(&site.file("lies.so", &bytes));
            let told = ["is a damaged library: ", "is a library, but no Tallyho plugin: ", "cannot be probed "];
            assert!(told.iter().any(|told| refusal.starts_with(told)), "{lie} for {tag}: {refusal}");
        }
    }
}

#[test]
fn the_backtrace_of_a_panic_has_the_lines_of_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("misbehaving.so");
    fs::write(&path, fixture("good", "a")).unwrap();
    let mut site = WholeSite::new().plugins(&[path.to_str().unwrap()]);
    site.environment("RUST_BACKTRACE", "1");
    site.start();
    let copies = site.home().join("plugins/loaded");
    until(|| files(&copies).iter().any(|copy| fs::metadata(copy).unwrap().len() == fs::metadata(&path).unwrap().len()));
    site.call("misbehaving", "panic", &json!({})).unwrap_err();
    // Once in the message, and once in the backtrace at least.
    let log = site.log();
    assert!(log.matches("misbehaving/src/lib.rs:").count() > 1, "{log}");
}

/// The files in a folder and the folders in it.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
