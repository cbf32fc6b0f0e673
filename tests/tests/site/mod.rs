//! A loader in a folder of its own, and a plugin to be patched: what the tests of loading share.
#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use tallyho::plugin::{LoadedPlugin, Loader, LoaderOptions, Plugin, ProbeCommand};
use tallyho_plugin::abi::STAMP_MAGIC;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::services::Services;
use tallyho_plugin::{Command, Event, Fault};
use tallyho_tests::plugins::{build_library, find, patch_text};
use tallyho_tests::services::SmallServices;

/// A loader with a folder of its own, and files in it.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub options: LoaderOptions,
    pub loader: Loader,
}

impl Site {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut LoaderOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = LoaderOptions::new(folder.path().join("run"));
        options.probe = ProbeCommand::program(env!("CARGO_BIN_EXE_tallyho-probe"));
        change(&mut options);
        let loader = Loader::new(options.clone()).unwrap();
        Site { folder, options, loader }
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The message with which a file is refused, after the path: one line, and nothing was mapped.
    pub fn refusal(&self, path: &Path) -> String {
        let before = self.loader.mapped();
        let Err(error) = self.loader.load(path) else { panic!("{} was loaded", path.display()) };
        assert_eq!(self.loader.mapped(), before, "nothing is mapped of a file refused");
        let text = error.to_string();
        assert!(!text.contains('\n') && text.len() < 600, "one readable line: {text}");
        let rest = text.strip_prefix(&format!("{}: ", path.display()));
        rest.unwrap_or_else(|| panic!("the message names the file: {text}")).to_owned()
    }

    /// That plugins can still be loaded and used.
    pub fn is_well(&self) {
        let plugin = self.loader.load(&self.file("well.so", &fixture("good", "well"))).unwrap();
        assert_eq!(label(&plugin), "well");
    }
}

/// The fixture as built, and where it is patched.
pub struct Fixture {
    pub bytes: Vec<u8>,
    pub behaviour: usize,
    pub label: usize,
    pub stamp: usize,
}

pub static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let bytes = fs::read(build_library("tallyho-fixture-misbehaving")).unwrap();
    let behind = |marker: &[u8]| find(&bytes, marker) + marker.len();
    let behaviour = behind(b"TALLYHO-FIXTURE-BEHAVIOUR:");
    let (label, stamp) = (behind(b"TALLYHO-FIXTURE-LABEL:"), behind(&STAMP_MAGIC));
    Fixture { bytes, behaviour, label, stamp }
});

pub fn fixture(behaviour: &str, label: &str) -> Vec<u8> {
    let mut bytes = FIXTURE.bytes.clone();
    patch_text(&mut bytes[FIXTURE.behaviour..], 30, behaviour);
    patch_text(&mut bytes[FIXTURE.label..], 18, label);
    bytes
}

pub fn command(name: &str, arguments: &Value) -> Event {
    Event::Command(Command { name: name.into(), caller: None, body: to_cbor(arguments).unwrap() })
}

pub fn ask(plugin: &dyn Plugin, name: &str, services: &mut dyn Services) -> Result<Value, Fault> {
    let answer = plugin.handle(&command(name, &json!({"a": [1, 2.5, "ü"]})).into(), services)?;
    Ok(ciborium::from_reader(answer.as_slice()).unwrap())
}

pub fn label(plugin: &Arc<LoadedPlugin>) -> String {
    ask(plugin.as_ref(), "label", &mut SmallServices::default()).unwrap().as_str().unwrap().to_owned()
}
