//! The ABI's promise, across versions: a plugin built for 1.x loads in any host 1.y with y ≥ x, and a newer one is
//! refused with a short message.
//!
//! `tests/released-1.0` has the API as it was released, and a plugin of that day.
#![allow(clippy::unwrap_used)]

mod site;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tallyho::plugin::{LoadedPlugin, Plugin};
use tallyho_plugin::abi::{ABI_MAJOR, ABI_MINOR, STAMP_MAGIC};
use tallyho_tests::counter::text;
use tallyho_tests::plugins::{cargo_elsewhere, find, workshop, workspace_target};
use tallyho_tests::site::{Site, program, until};

/// Copies what differs, so that cargo finds again what it has built.
fn copy(from: &Path, to: &Path, change: &dyn Fn(&str, String) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to, change);
            continue;
        }
        let text = change(&name, fs::read_to_string(&from).unwrap());
        if fs::read_to_string(&to).ok().as_ref() != Some(&text) {
            fs::write(&to, text).unwrap();
        }
    }
}

/// The plugin of the day of ABI 1.0, its API changed so; its library in a place of its own.
fn built(name: &str, change: &dyn Fn(&str, String) -> String) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = workshop(name);
    copy(&root.join("released-1.0"), &folder, change);
    let lock = fs::read_to_string(root.join("../Cargo.lock")).unwrap();
    // Cargo leaves out what this crate does not need.
    fs::write(folder.join("plugin/Cargo.lock"), lock).unwrap();
    let target = workspace_target();
    cargo_elsewhere(&folder.join("plugin"), &target, &["build"]).unwrap_or_else(|errors| panic!("{errors}"));
    let library = folder.join("libtallyho_released.so");
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    fs::copy(target.join(profile).join("libtallyho_released.so"), &library).unwrap();
    library
}

/// As the next minor version will be: one function more at the end.
fn next(file: &str, text: String) -> String {
    let put = |text: String, after: &str, more: &str| {
        assert_eq!(text.matches(after).count(), 1, "{file} has no {after}");
        text.replace(after, &format!("{after}{more}"))
    };
    match file {
        "abi.rs" => {
            let text = text.replace("ABI_MINOR: u32 = 0", "ABI_MINOR: u32 = 1");
            let last = "pub drop_owned: unsafe extern \"C\" fn(handler_owned: HandlerPtr) -> AbiResult<()>,\n";
            put(text, last, "    /// New.\n    pub describe: extern \"C\" fn() -> AbiResult<RVec<u8>>,\n")
        }
        "abi_plugin.rs" => {
            put(text, "            drop_owned: drop_owned::<H>,\n", "            describe: manifest::<H>,\n")
        }
        "Cargo.toml" => text.replace("version = \"0.1.0\"", "version = \"0.1.1\""),
        _ => text,
    }
}

/// Both builds leave their library under one name, so one after the other.
#[test]
fn a_plugin_of_the_first_released_minor_serves_here_and_a_newer_one_is_refused_in_a_line() {
    let old = built("released-1.0", &|_, text| text);
    an_old_plugin_loads(&old);
    an_old_plugin_serves(&old);
    a_newer_plugin_is_refused(&built("released-next", &next));
}

fn an_old_plugin_loads(library: &Path) {
    let here = site::Site::new();
    let plugin: std::sync::Arc<LoadedPlugin> = here.loader.load(library).unwrap();
    let manifest = plugin.manifest();
    assert_eq!((manifest.name.as_str(), manifest.state_version), ("released", 2));
    assert_eq!((&manifest.reads_state[..], manifest.targets[0].prepared.len()), (&[3][..], 1));
    let stamp = find(&fs::read(library).unwrap(), &STAMP_MAGIC);
    let bytes = fs::read(library).unwrap();
    assert_eq!(bytes[stamp + 16..stamp + 24], [1, 0, 0, 0, 0, 0, 0, 0], "it is built for ABI 1.0");
}

fn an_old_plugin_serves(library: &Path) {
    let mut site = Site::new().plugins(&["tally", "chit", text(library)]);
    site.start();
    site.add_user("alice");
    let all = site.call("released", "all", &json!({ "user": "alice" })).unwrap();
    let expected = json!({
        "kept": 7, "gone": null, "others": 0, "withdrawn": true, "agent": true, "user": true, "random": true,
        "nobody": "not-served",
    });
    assert_eq!(all, expected);
    until(|| {
        let heard = site.call("released", "heard", &json!({})).unwrap();
        heard == json!(["heard/message", "heard/started", "heard/timer"])
    });
    let fault = site.call("released", "all", &json!({ "user": "nobody" })).unwrap_err();
    assert_eq!(fault.kind, tallyho_plugin::FaultKind::NotFound);
    let output = std::process::Command::new(program()).args(["--json", "plugin", "test", text(library)]).output();
    let report: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
}

fn a_newer_plugin_is_refused(library: &Path) {
    let here = site::Site::new();
    let refusal = here.refusal(library);
    // Once this host is of 1.1, this must be taken, and `next` become 1.2.
    assert_eq!((ABI_MAJOR, ABI_MINOR), (1, 0));
    assert_eq!(
        refusal,
        "is built for plugin ABI 1.1, this host takes 1.0; install a newer host, or build the plugin against this \
         host's tallyho-plugin"
    );
    // One that has grown and does not say so: the layouts tell.
    let mut bytes = fs::read(library).unwrap();
    let stamp = find(&bytes, &STAMP_MAGIC);
    bytes[stamp + 20] = 0;
    let refusal = here.refusal(&here.file("libtallyho_released.so", &bytes));
    assert!(
        refusal.contains("other ABI types than this host although their versions fit: too many fields"),
        "{refusal}"
    );
    here.is_well();
}
