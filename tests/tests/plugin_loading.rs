//! A file that is no sound plugin is refused with one readable message that names the fix, and the
//! host is as well afterwards as before.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tallyho::plugin::check::{CheckReport, check_with};
use tallyho::plugin::{LoadedPlugin, Loader, LoaderOptions, Plugin, ProbeCommand, StaticPlugin};
use tallyho_plugin::abi::{ABI_MAJOR, ABI_MINOR, STAMP_MAGIC};
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::services::Services;
use tallyho_plugin::{Command, Context, Event, Fault, FaultKind, Handler, Manifest, Message};
use tallyho_tests::plugins::{build_library, build_library_with, find, patch_text};
use tallyho_tests::services::SmallServices;

/// A loader with a folder of its own, and files in it.
struct Site {
    folder: tempfile::TempDir,
    options: LoaderOptions,
    loader: Loader,
}

impl Site {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut LoaderOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = LoaderOptions::new(folder.path().join("run"));
        options.probe = ProbeCommand::program(env!("CARGO_BIN_EXE_tallyho-probe"));
        change(&mut options);
        let loader = Loader::new(options.clone()).unwrap();
        Site { folder, options, loader }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The message with which a file is refused, after the path: one line, and nothing was mapped.
    fn refusal(&self, path: &Path) -> String {
        let before = self.loader.mapped();
        let Err(error) = self.loader.load(path) else { panic!("{} was loaded", path.display()) };
        assert_eq!(self.loader.mapped(), before, "nothing is mapped of a file refused");
        let text = error.to_string();
        assert!(!text.contains('\n') && text.len() < 600, "one readable line: {text}");
        let rest = text.strip_prefix(&format!("{}: ", path.display()));
        rest.unwrap_or_else(|| panic!("the message names the file: {text}")).to_owned()
    }

    /// That plugins can still be loaded and used.
    fn is_well(&self) {
        let plugin = self.loader.load(&self.file("well.so", &fixture("good", "well"))).unwrap();
        assert_eq!(label(&plugin), "well");
    }
}

/// The fixture as built, and where it is patched.
struct Fixture {
    bytes: Vec<u8>,
    behaviour: usize,
    label: usize,
    stamp: usize,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let bytes = fs::read(build_library("tallyho-fixture-misbehaving")).unwrap();
    let behind = |marker: &[u8]| find(&bytes, marker) + marker.len();
    let behaviour = behind(b"TALLYHO-FIXTURE-BEHAVIOUR:");
    let (label, stamp) = (behind(b"TALLYHO-FIXTURE-LABEL:"), behind(&STAMP_MAGIC));
    Fixture { bytes, behaviour, label, stamp }
});

fn fixture(behaviour: &str, label: &str) -> Vec<u8> {
    let mut bytes = FIXTURE.bytes.clone();
    patch_text(&mut bytes[FIXTURE.behaviour..], 30, behaviour);
    patch_text(&mut bytes[FIXTURE.label..], 18, label);
    bytes
}

fn command(name: &str, arguments: &Value) -> Event {
    Event::Command(Command { name: name.into(), caller: None, body: to_cbor(arguments).unwrap() })
}

fn ask(plugin: &dyn Plugin, name: &str, services: &mut dyn Services) -> Result<Value, Fault> {
    let answer = plugin.handle(&command(name, &json!({"a": [1, 2.5, "ü"]})), services)?;
    Ok(ciborium::from_reader(answer.as_slice()).unwrap())
}

fn label(plugin: &Arc<LoadedPlugin>) -> String {
    ask(plugin.as_ref(), "label", &mut SmallServices::default()).unwrap().as_str().unwrap().to_owned()
}

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
fn a_handler_that_panics_fails_that_event_only() {
    let site = Site::new();
    let plugin = site.loader.load(&site.file("p.so", &fixture("good", "a"))).unwrap();
    let mut services = SmallServices::default();
    for (name, text) in [("panic", "panic: told to panic"), ("panic-bomb", "panic: no text")] {
        let fault = ask(plugin.as_ref(), name, &mut services).unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str(), fault.text.as_str()), (FaultKind::Failed, "panic", text));
        assert_eq!(ask(plugin.as_ref(), "label", &mut services).unwrap(), json!("a"));
    }
    let fault = plugin.prepare(&command("prepare-panic", &json!({}))).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.text.as_str()), ("panic", "panic: prepared for nothing"));
    assert_eq!(plugin.prepare(&command("label", &json!({}))).unwrap(), []);
    assert_eq!(plugin.prepare(&command("store", &json!(1))).unwrap()[0].text, to_cbor(&json!(1)).unwrap());
}

#[test]
fn what_a_handler_asks_and_answers_crosses_the_border_unchanged() {
    let site = Site::new();
    let plugin = site.loader.load(&site.file("p.so", &fixture("good", "a"))).unwrap();
    let mut services = SmallServices::default();
    assert_eq!(ask(plugin.as_ref(), "store", &mut services).unwrap(), json!({"a": [1, 2.5, "ü"]}));
    assert_eq!(services.rows.len(), 1);
    plugin.migrate(7, &mut services).unwrap();
    assert_eq!(services.rows[&("t".to_owned(), b"from".to_vec())], to_cbor(&7u32).unwrap());
    let fault = ask(plugin.as_ref(), "refuse", &mut services).unwrap_err();
    assert_eq!(fault, Fault::refused("not now").code("later").fix("ask later"));
    assert_eq!(ask(plugin.as_ref(), "big", &mut services).unwrap_err().code, "too-large");
}

#[test]
fn a_handler_that_cannot_be_dropped_does_no_harm() {
    let site = Site::new();
    // Its drop panics in the probe, too, where it is just as harmless.
    let plugin = site.loader.load(&site.file("p.so", &fixture("drop-panics", "a"))).unwrap();
    assert_eq!(label(&plugin), "a");
    drop(plugin);
    site.is_well();
}

#[test]
fn a_loaded_plugin_outlives_its_file() {
    let site = Site::new();
    let path = site.file("p.so", &fixture("good", "a"));
    let plugin = site.loader.load(&path).unwrap();
    fs::write(&path, vec![0xff; 8 << 20]).unwrap();
    assert_eq!(label(&plugin), "a");
    fs::File::create(&path).unwrap().set_len(0).unwrap();
    assert_eq!(label(&plugin), "a");
    fs::remove_file(&path).unwrap();
    assert_eq!(ask(plugin.as_ref(), "panic", &mut SmallServices::default()).unwrap_err().code, "panic");
    assert_eq!(label(&plugin), "a");
    drop(site);
    assert_eq!(label(&plugin), "a", "the private copies are gone as well");
}

#[test]
fn the_same_bytes_share_a_mapping_and_a_rebuilt_file_gives_new_code() {
    let site = Site::new();
    let path = site.file("p.so", &fixture("good", "a"));
    let first = site.loader.load(&path).unwrap();
    let again = site.loader.load(&site.file("elsewhere.so", &fixture("good", "a"))).unwrap();
    assert!(Arc::ptr_eq(first.shared_build(), again.shared_build()));
    assert_eq!((first.build(), site.loader.mapped()), (again.build(), 1));
    assert!(first.generation() < again.generation());

    site.file("p.so", &fixture("good", "b"));
    let rebuilt = site.loader.load(&path).unwrap();
    assert_eq!((label(&first), label(&rebuilt), site.loader.mapped()), ("a".into(), "b".into(), 2));
    assert_ne!(first.build(), rebuilt.build());
    assert!(again.generation() < rebuilt.generation());
    assert_eq!(rebuilt.manifest().version, "b");

    site.file("p.so", &fixture("good", "a"));
    assert_eq!((label(&site.loader.load(&path).unwrap()), site.loader.mapped()), ("a".into(), 2));
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

#[test]
fn a_checked_file_is_reported_by_name_or_with_reason_and_fix() {
    let site = Site::new();
    let good = site.file("good.so", &fixture("good", "1.2.3"));
    let report = serde_json::to_value(CheckReport::from(check_with(&site.options, &good))).unwrap();
    assert_eq!(report, json!({"ok": true, "name": "misbehaving", "version": "1.2.3"}));
    let bad = site.file("bad.so", b"hello");
    let report = serde_json::to_value(CheckReport::from(check_with(&site.options, &bad))).unwrap();
    assert_eq!((&report["ok"], &report["name"]), (&json!(false), &Value::Null));
    assert!(report["reason"].as_str().unwrap().contains("is a text file") && report["fix"].is_string(), "{report}");
}

#[test]
fn the_copy_mapped_is_private_and_executable_by_its_owner_only() {
    let site = Site::new();
    let plugin = site.loader.load(&site.file("p.so", &fixture("good", "a"))).unwrap();
    let copy = &plugin.shared_build().copy;
    assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o500);
    assert!(copy.starts_with(site.options.private_folder.canonicalize().unwrap()));
}

#[test]
fn the_echo_example_answers_what_it_is_told() {
    let site = Site::new();
    let plugin = site.loader.load(&build_library("tallyho-echo")).unwrap();
    let chad = |cuid: &str| Chad { cuid: Some(cuid.into()), agent: AgentId(cuid.into()), host: None, port: None };
    let said = json!({"text": "hello", "number": 7});
    let message = Message {
        target: "echo".into(),
        action: "say".into(),
        to: chad("joe"),
        from: chad("ann"),
        tally: None,
        ticket: None,
        restricted: false,
        attempt: None,
        body: to_cbor(&said).unwrap(),
    };
    let mut services = SmallServices::default();
    plugin.handle(&Event::Message(message), &mut services).unwrap();
    let [reply] = services.sent.as_slice() else { panic!("one reply") };
    assert_eq!((reply.target.as_str(), reply.action.as_str(), reply.from.as_str()), ("echo", "said", "joe"));
    assert_eq!((&reply.to, &reply.object), (&chad("ann"), &to_cbor(&said).unwrap()));
    assert_eq!(ask(plugin.as_ref(), "say", &mut services).unwrap(), json!({"a": [1, 2.5, "ü"]}));
}

#[test]
fn a_handler_linked_in_behaves_as_a_loaded_one() {
    struct Linked;
    impl Handler for Linked {
        fn manifest() -> Manifest {
            Manifest::new("linked", "1")
        }
        fn create() -> Result<Self, Fault> {
            Ok(Linked)
        }
        fn command(&self, command: &Command, _: &mut Context<'_>) -> Result<Value, Fault> {
            match command.name.as_str() {
                "panic" => panic!("told to panic"),
                _ => command.arguments(),
            }
        }
    }
    let plugin = StaticPlugin::<Linked>::create().unwrap();
    let mut services = SmallServices::default();
    assert_eq!(ask(&plugin, "any", &mut services).unwrap(), json!({"a": [1, 2.5, "ü"]}));
    let fault = ask(&plugin, "panic", &mut services).unwrap_err();
    assert_eq!(
        (fault.kind, fault.code.as_str(), fault.text.as_str()),
        (FaultKind::Failed, "panic", "panic: told to panic")
    );
    assert_eq!((plugin.path(), plugin.build(), plugin.manifest().name.as_str()), (None, None, "linked"));
}
