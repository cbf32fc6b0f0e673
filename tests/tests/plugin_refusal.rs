//! A file that is no sound plugin is refused with one readable message that names the fix, and the
//! host is as well afterwards as before.
#![allow(clippy::unwrap_used)]

mod site;

use site::{FIXTURE, Site, fixture, label};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tallyho::plugin::{Loader, LoaderOptions, ProbeCommand};
use tallyho_plugin::abi::{ABI_MAJOR, ABI_MINOR};
use tallyho_tests::plugins::{build_library, build_library_with};

#[test]
fn a_file_that_is_no_library_for_this_machine_is_refused_and_told_apart() {
    let site = Site::new();
    let good = fixture("good", "a");
    let mut other_machine = good.clone();
    other_machine[18..20].copy_from_slice(&40u16.to_le_bytes());
    let mut class_32 = good.clone();
    class_32[4] = 1;
    let mut big_endian = good.clone();
    big_endian[5] = 2;
    let mut program = good.clone();
    program[16..18].copy_from_slice(&2u16.to_le_bytes());
    let cases: [(&str, &[u8], &str); 9] = [
        ("empty.so", b"", "is an empty file, expected a 64-bit ELF shared library for "),
        ("text.so", b"#!/bin/sh\necho hello\n", "is a text file, expected a 64-bit ELF"),
        ("noise.so", &[0, 1, 2, 3], "is no library, expected"),
        ("lib.a", b"!<arch>\n", "is a static library or rlib, expected"),
        ("x.dll", b"MZ\x90\0", "is a Windows library or program, expected"),
        ("arm.so", &other_machine, "is an ELF shared library for 32-bit ARM (machine 40), expected"),
        ("class32.so", &class_32, "is a 32-bit ELF file, expected"),
        ("big.so", &big_endian, "is an ELF file for a big-endian machine, expected"),
        ("program.so", &program, "is a program, expected"),
    ];
    for (name, bytes, expected) in cases {
        let refusal = site.refusal(&site.file(name, bytes));
        assert!(refusal.starts_with(expected), "{name}: {refusal}");
        assert!(
            refusal
                .ends_with("give the library that cargo built from a crate with crate-type = [\"cdylib\", \"rlib\"]"),
            "{refusal}"
        );
    }
    site.is_well();
}

#[test]
fn a_truncated_library_is_refused_wherever_it_was_cut() {
    let site = Site::new();
    let good = fixture("good", "a");
    for kept in [10, 63, 64, 200, good.len() / 3, good.len() / 2, good.len() - 1] {
        let refusal = site.refusal(&site.file("cut.so", &good[..kept]));
        assert!(
            refusal.starts_with("is incomplete: ") || refusal.starts_with("is a damaged library: "),
            "{kept}: {refusal}"
        );
        assert!(refusal.ends_with("; build or copy it again"), "{kept}: {refusal}");
    }
    site.is_well();
}

#[test]
fn a_path_that_is_no_file_is_refused_at_once() {
    let site = Site::new();
    let started = Instant::now();
    let fifo = site.folder.path().join("fifo.so");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    assert!(site.refusal(&fifo).starts_with("is a FIFO, expected a library file; "));
    assert!(site.refusal(Path::new("/dev/zero")).starts_with("is a device, expected a library file; "));
    assert!(site.refusal(site.folder.path()).starts_with("is a folder, expected a library file; "));
    let socket = site.folder.path().join("socket.so");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(site.refusal(&socket).starts_with("is a socket or device, expected a library file; "));
    let missing = site.refusal(&site.folder.path().join("missing.so"));
    assert!(missing.starts_with("cannot be read: No such file"), "{missing}");
    assert!(missing.ends_with("; give the path of a library that this user may read"), "{missing}");
    let sparse = site.file("huge.so", b"");
    fs::File::options().write(true).open(&sparse).unwrap().set_len(1 << 40).unwrap();
    assert!(site.refusal(&sparse).starts_with("has 1099511627776 bytes, expected at most "));
    assert!(started.elapsed() < Duration::from_secs(5), "none of them is waited for");
}

#[test]
fn a_library_that_is_no_plugin_is_refused_without_running_it() {
    let site = Site::with(|options| options.probe = ProbeCommand::program("/nowhere/at/all"));
    let path = build_library("tallyho-fixture-stranger");
    assert_eq!(
        site.refusal(&path),
        "is a library, but no Tallyho plugin: it exports no symbol tallyho_plugin_stamp_*; \
         add export_plugin!(YourHandler) to the crate and build it again"
    );
}

#[test]
fn a_plugin_for_another_abi_is_refused_without_running_it() {
    // A probe that cannot be started shows that none was.
    let site = Site::with(|options| options.probe = ProbeCommand::program("/nowhere/at/all"));
    let good = fixture("constructor-aborts", "a");
    let at = FIXTURE.stamp;
    let with_version = |major: u32, minor: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&major.to_ne_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&minor.to_ne_bytes());
        bytes
    };
    let newer = "; install a newer host, or build the plugin against this host's tallyho-plugin";
    for (major, minor, fix) in [
        (ABI_MAJOR + 1, 0, newer),
        (ABI_MAJOR, ABI_MINOR + 1, newer),
        (ABI_MAJOR - 1, 7, "; build the plugin again against this host's tallyho-plugin"),
    ] {
        let refusal = site.refusal(&site.file("version.so", &with_version(major, minor)));
        let expected = format!("is built for plugin ABI {major}.{minor}, this host takes {ABI_MAJOR}.0");
        assert!(refusal.starts_with(&expected) && refusal.ends_with(fix), "{refusal}");
    }
    let refusal = site.refusal(&site.file("same.so", &with_version(ABI_MAJOR, ABI_MINOR)));
    assert!(refusal.starts_with("cannot be probed in a child process: /nowhere/at/all: "), "{refusal}");
}

#[test]
fn a_plugin_whose_panics_would_end_the_host_is_refused() {
    let site = Site::new();
    let path = build_library_with("tallyho-fixture-aborting", &["-C", "panic=abort"]).unwrap();
    assert_eq!(
        site.refusal(&path),
        "is built with panic = \"abort\", so that its first panic would end the host; expected panic = \"unwind\"; \
         remove panic = \"abort\" from its Cargo profile and build it again"
    );
    site.is_well();
}

#[test]
fn an_ordinary_plugin_does_not_even_compile_with_panic_abort() {
    let errors = build_library_with("tallyho-echo", &["-C", "panic=abort"]).unwrap_err();
    assert!(errors.contains("remove `panic = \"abort\"` from the profile"), "{errors}");
}

#[test]
fn a_damaged_header_costs_a_child_process_at_most() {
    let site = Site::new();
    let good = fixture("good", "a");
    let headers = 64 + 56 * usize::from(u16::from_le_bytes([good[56], good[57]]));
    // Every byte holds; each costs a probe, so that one in 17 is tried.
    for at in (0..headers).step_by(17) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        match site.loader.load(&site.file("damaged.so", &bytes)) {
            Ok(plugin) => assert_eq!(label(&plugin), "a", "byte {at} does not matter"),
            Err(error) => assert!(!error.to_string().contains('\n'), "one readable line for byte {at}: {error}"),
        }
    }
    site.is_well();
}

#[test]
fn a_plugin_that_crashes_when_loaded_crashes_a_child_process_only() {
    let site = Site::new();
    for (behaviour, expected) in [
        (
            "constructor-aborts",
            "crashed in a child process while being opened (its constructors run then): signal 6 (SIGABRT)",
        ),
        (
            "constructor-segfaults",
            "crashed in a child process while being opened (its constructors run then): signal 11 (SIGSEGV)",
        ),
        ("constructor-exits", "crashed in a child process while being opened (its constructors run then): exit code 0"),
        (
            "create-aborts",
            "crashed in a child process while making its handler: signal 6 (SIGABRT) (it said: out of patience)",
        ),
    ] {
        let refusal = site.refusal(&site.file("crash.so", &fixture(behaviour, "a")));
        assert!(refusal.starts_with(expected), "{behaviour}: {refusal}");
        assert!(refusal.contains("; mend what it does when loaded"), "{behaviour}: {refusal}");
    }
    site.is_well();
}

#[test]
fn a_plugin_that_never_ends_loading_is_ended_at_the_deadline() {
    let site = Site::with(|options| options.probe_deadline = Duration::from_secs(2));
    let started = Instant::now();
    let refusal = site.refusal(&site.file("loop.so", &fixture("constructor-loops", "a")));
    assert!(
        refusal.starts_with(
            "was not done being opened (its constructors run then) within 2 s in a child process, which was ended; "
        ),
        "{refusal}"
    );
    assert!(started.elapsed() >= Duration::from_secs(2));
    site.is_well();
}

#[test]
fn a_plugin_that_panics_or_refuses_while_loading_is_refused_with_its_text() {
    let site = Site::new();
    for (behaviour, expected) in [
        ("manifest-panics", "could not tell its manifest: panic: what is my name?; mend the plugin and build it again"),
        ("create-panics", "could not make its handler: panic: cannot be made; mend the plugin and build it again"),
        ("create-refuses", "could not make its handler: no moon tonight; wait for the moon"),
        (
            "manifest-name-host",
            "has an invalid manifest: the plugin's name is `host`, which stands for the host itself; choose another name",
        ),
        (
            "manifest-name-bad",
            "has an invalid manifest: the plugin's name is \"Mis Behaving\", expected 1 to 32 bytes \
             [a-z][a-z0-9-]*; name it like \"my-referee\"",
        ),
        ("manifest-table-twice", "has an invalid manifest: tables has \"t\" twice; name each once"),
    ] {
        assert_eq!(site.refusal(&site.file("bad.so", &fixture(behaviour, "a"))), expected, "{behaviour}");
    }
    site.is_well();
}

#[test]
fn more_builds_than_the_limit_are_refused_with_the_advice_to_restart() {
    let site = Site::with(|options| options.max_builds = 2);
    for label in ["a", "b"] {
        site.loader.load(&site.file("p.so", &fixture("good", label))).unwrap();
    }
    assert_eq!(
        site.refusal(&site.file("p.so", &fixture("good", "c"))),
        "would be build number 3 of this process, expected at most 2; \
         restart the host: libraries stay in memory until then"
    );
    site.loader.load(&site.file("p.so", &fixture("good", "a"))).unwrap();
}

#[test]
fn a_private_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let Err(error) = Loader::new(LoaderOptions::new(file.join("run"))) else { panic!("a file served as a folder") };
    assert!(error.to_string().contains("cannot be copied to") && error.to_string().contains("mend permissions"));
}
