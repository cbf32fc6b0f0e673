//! A handler whose code was loaded from a file.

use crate::plugin::limits::{MAX_ANSWER_BYTES, MAX_CHECKS};
use crate::plugin::open::OwnedHandler;
use crate::plugin::read::{BuildHash, FileStamp};
use crate::plugin::{Given, Plugin, next_generation};
use abi_stable::std_types::RVec;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallyho_plugin::abi::{AbiResult, PluginModuleRef};
use tallyho_plugin::abi_adapt::fault_from;
use tallyho_plugin::abi_host::lend_services;
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Fault, Manifest};

/// A distinct library content, mapped and found sound.
pub struct Build {
    /// Which one.
    pub hash: BuildHash,
    /// What it exports.
    pub module: PluginModuleRef,
    /// What it says about itself.
    pub manifest: Manifest,
    /// Its private copy, as mapped.
    pub copy: PathBuf,
    /// What its mapping takes of memory, in bytes.
    pub bytes: u64,
}

/// A handler made by a mapped library.
pub struct LoadedPlugin {
    handler: OwnedHandler,
    build: Arc<Build>,
    generation: u64,
    path: PathBuf,
    stamp: Option<FileStamp>,
}

impl LoadedPlugin {
    /// Has the build make a handler of a new generation.
    ///
    /// # Errors
    /// [`Refusal::NoHandler`](crate::plugin::Refusal::NoHandler).
    pub(crate) fn create(
        build: Arc<Build>,
        path: &Path,
        stamp: Option<FileStamp>,
    ) -> Result<Self, crate::plugin::Refusal> {
        let handler = OwnedHandler::create(build.module)?;
        Ok(LoadedPlugin { handler, build, generation: next_generation(), path: path.to_owned(), stamp })
    }

    /// The content it was made from; the same for handlers of the same bytes.
    pub fn shared_build(&self) -> &Arc<Build> {
        &self.build
    }

    /// [`Plugin::handle`] with the event already in CBOR, its body apart.
    ///
    /// # Errors
    /// As for [`Plugin::handle`].
    pub fn handle_bytes(&self, event: &[u8], body: &[u8], services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        let result = lend_services(services, |services_lent| {
            // SAFETY: the handler is of this module and held by `self`; all else is lent for the call.
            unsafe { self.handler.module().handle()(self.handler.borrow(), event.into(), body.into(), services_lent) }
        })?;
        let answer = taken(result)?;
        if answer.len() > MAX_ANSWER_BYTES {
            let text = format!("the answer has {} bytes, expected at most {MAX_ANSWER_BYTES}", answer.len());
            return Err(Fault::failed(text).code("too-large"));
        }
        Ok(answer)
    }

    /// [`Plugin::prepare`] with the event already in CBOR, its body apart; see [`checks_from`].
    ///
    /// # Errors
    /// As for [`Plugin::prepare`].
    pub fn prepare_bytes(&self, event: &[u8], body: &[u8]) -> Result<Vec<u8>, Fault> {
        // SAFETY: as in `handle_bytes`; `prepare` may run beside other calls.
        let result = unsafe { self.handler.module().prepare()(self.handler.borrow(), event.into(), body.into()) };
        taken(result)
    }
}

impl Plugin for LoadedPlugin {
    fn manifest(&self) -> &Manifest {
        &self.build.manifest
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn build(&self) -> Option<BuildHash> {
        Some(self.build.hash)
    }

    fn has_changed_on_disk(&self) -> bool {
        self.stamp.is_none() || FileStamp::of(&self.path) != self.stamp
    }

    fn copy(&self) -> Option<&Path> {
        Some(&self.build.copy)
    }

    fn prepare(&self, event: &Given) -> Result<Vec<Check>, Fault> {
        checks_from(&self.prepare_bytes(event.header()?, event.body())?)
    }

    fn handle(&self, event: &Given, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        self.handle_bytes(event.header()?, event.body(), services)
    }

    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault> {
        let result = lend_services(services, |services_lent| {
            // SAFETY: as in `handle_bytes`.
            unsafe { self.handler.module().migrate()(self.handler.borrow(), from, services_lent) }
        })?;
        result.into_result().map_err(|fault| fault_from(&fault, Fault::failed))
    }
}

/// The checks that a handler has named, in CBOR; nothing means none.
///
/// # Errors
/// `Failed` where they cannot be read.
pub fn checks_from(bytes: &[u8]) -> Result<Vec<Check>, Fault> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut checks: Vec<Check> = ciborium::from_reader(bytes)
        .map_err(|error| Fault::failed(format!("the checks it named cannot be read: {error}")))?;
    checks.truncate(MAX_CHECKS);
    Ok(checks)
}

/// Copies what the plugin returned; its own vector goes back to its own allocator.
fn taken(result: AbiResult<RVec<u8>>) -> Result<Vec<u8>, Fault> {
    match result.into_result() {
        Ok(bytes) => Ok(bytes.as_slice().to_vec()),
        Err(fault) => Err(fault_from(&fault, Fault::failed)),
    }
}
