//! A handler linked into this program: for tests, simulations and benchmarks.

use crate::plugin::manifest::check_manifest;
use crate::plugin::{Given, Plugin, next_generation};
use tallyho_plugin::abi_adapt::guarded;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::handler::dispatch;
use tallyho_plugin::services::{Check, Services};
use tallyho_plugin::{Context, Fault, Handler, Manifest};

/// A handler of this program, behind the same interface as a loaded one.
pub struct StaticPlugin<H> {
    handler: H,
    manifest: Manifest,
    generation: u64,
}

impl<H: Handler> StaticPlugin<H> {
    /// Makes the handler.
    ///
    /// # Errors
    /// The handler's own reason not to be made, or what its manifest lacks to be loadable.
    pub fn create() -> Result<Self, Fault> {
        guarded(|| {
            let manifest = H::manifest();
            check_manifest(&manifest).map_err(|refusal| Fault::failed(refusal.to_string()).fix(refusal.fix()))?;
            Ok(StaticPlugin { handler: H::create()?, manifest, generation: next_generation() })
        })
    }
}

impl<H: Handler> Plugin for StaticPlugin<H> {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn prepare(&self, event: &Given) -> Result<Vec<Check>, Fault> {
        guarded(|| Ok(self.handler.prepare(event)))
    }

    fn handle(&self, event: &Given, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        guarded(|| to_cbor(&dispatch(&self.handler, event, &mut Context::new(services))?))
    }

    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault> {
        guarded(|| self.handler.migrate(from, &mut Context::new(services)))
    }
}
