//! Loading handlers and keeping the host safe from them.
//!
//! A [`Loader`] takes a library file through every check that can be made before its code runs in
//! this process: the [`part`] of it that is loaded is [`read`] once, [`elf`] facts and ABI stamp, a [`probe`] in a
//! child process; then it maps a [`private_copy`], compares [`layout`]s, reads the [`manifest`] and makes the handler. What
//! comes out is a [`LoadedPlugin`]; where the operator wants a process for it, all of that happens in
//! one and what comes out is an [`IsolatedPlugin`]; handlers linked into the program are [`StaticPlugin`]s. All are
//! [`Plugin`]s, and whoever serves events needs no more than that.
//!
//! A library once mapped stays mapped until the process ends: values it made, thread-locals and
//! threads may run its code later. Loading the same bytes again takes the same mapping.

pub mod check;
pub mod elf;
pub mod error;
pub mod exports;
pub mod find;
pub mod given;
pub mod layout;
pub mod limits;
pub mod load;
pub mod loaded;
pub mod manifest;
pub mod open;
pub mod part;
pub mod private_copy;
pub mod probe;
pub mod process;
pub mod read;
pub mod statically;

pub use check::{CheckReport, check};
pub use error::{LoadError, Refusal};
pub use find::{find_plugin, search_folders};
pub use given::Given;
pub use load::{Loader, LoaderOptions, Mapped, Steps};
pub use loaded::LoadedPlugin;
pub use probe::{ProbeCommand, run_probe_if_asked};
pub use process::child::run_process_if_asked;
pub use process::keeper::ProcessState;
pub use process::{IsolatedPlugin, Processes};
pub use read::BuildHash;
pub use statically::StaticPlugin;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Fault, Manifest};

/// A handler that can be given events, wherever its code comes from.
///
/// No call unwinds: a panic of the handler is a fault of kind `Failed` with code `panic`.
pub trait Plugin: Send + Sync {
    /// What it says about itself, found valid.
    fn manifest(&self) -> &Manifest;

    /// Its number: every load in this process has another, later ones higher ones.
    fn generation(&self) -> u64;

    /// The file it was loaded from, as named then; `None` where it is linked into this program.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// The hash of the file's content.
    fn build(&self) -> Option<BuildHash> {
        None
    }

    /// Whether that file is another now, or gone. Looks at its metadata only.
    fn has_changed_on_disk(&self) -> bool {
        false
    }

    /// The private copy that is mapped, which nobody changes.
    fn copy(&self) -> Option<&Path> {
        None
    }

    /// The process it has to itself; `None` where it runs in this one.
    fn process(&self) -> Option<ProcessState> {
        None
    }

    /// Whether it can be given no events at present, since its process has ended too often. Looks at memory only.
    fn rests(&self) -> bool {
        false
    }

    /// Whoever has kept its events gives them to it from now on.
    fn rise(&self) {}

    /// The signature checks that handling `event` will ask for. Callable on any thread, beside all
    /// other calls.
    ///
    /// # Errors
    /// The handler's fault. The event may be handled all the same.
    fn prepare(&self, event: &Given) -> Result<Vec<Check>, Fault>;

    /// Handles an event; the answer in CBOR (null for all but commands).
    ///
    /// # Errors
    /// The handler's fault, or one of kind `Host` with code `panic` where a service panicked.
    fn handle(&self, event: &Given, services: &mut dyn Services) -> Result<Vec<u8>, Fault>;

    /// Brings its tables from state version `from` to the manifest's.
    ///
    /// # Errors
    /// As for `handle`.
    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault>;
}

fn next_generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
