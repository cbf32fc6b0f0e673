//! Loading handlers and keeping the host safe from them.

use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Event, Fault, Manifest};

/// A handler that can be given events, loaded from a library or linked into the program.
pub trait Plugin: Send + Sync {
    /// What it says of itself.
    fn manifest(&self) -> &Manifest;
    /// Which load of the name this is; later loads have higher numbers.
    fn generation(&self) -> u64;
    /// The signature checks that handling the event will ask for.
    fn prepare(&self, event: &Event) -> Vec<Check>;
    /// Handles the event; the answer is CBOR.
    ///
    /// # Errors
    /// The handler's fault, or one of code `panic`.
    fn handle(&self, event: &Event, services: &mut dyn Services) -> Result<Vec<u8>, Fault>;
    /// Brings its tables from an older state version to its own.
    ///
    /// # Errors
    /// The handler's fault, or one of code `panic`.
    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault>;
}
