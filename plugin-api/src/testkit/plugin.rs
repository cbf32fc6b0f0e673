//! A handler whose type the site in memory need not know.

use crate::services::Check;
use crate::{Context, Event, Fault, Handler, Manifest, handler};
use serde_json::Value;
use std::sync::Arc;

/// A loaded handler and what it says about itself.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub manifest: Arc<Manifest>,
    make: fn() -> Result<Arc<dyn Erased>, Fault>,
    handler: Arc<dyn Erased>,
}

impl Plugin {
    pub fn of<H: Handler>() -> Result<Self, Fault> {
        Ok(Plugin { manifest: Arc::new(H::manifest()), make: make::<H>, handler: make::<H>()? })
    }

    /// The same plugin, its handler made afresh: what it kept in memory is gone.
    pub fn reloaded(&self) -> Result<Self, Fault> {
        Ok(Plugin { manifest: self.manifest.clone(), make: self.make, handler: (self.make)()? })
    }

    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn dispatch(&self, event: &Event, context: &mut Context<'_>) -> Result<Value, Fault> {
        self.handler.dispatch(event, context)
    }

    pub fn prepare(&self, event: &Event) -> Vec<Check> {
        self.handler.prepare(event)
    }
}

fn make<H: Handler>() -> Result<Arc<dyn Erased>, Fault> {
    Ok(Arc::new(H::create()?))
}

trait Erased: Send + Sync {
    fn dispatch(&self, event: &Event, context: &mut Context<'_>) -> Result<Value, Fault>;
    fn prepare(&self, event: &Event) -> Vec<Check>;
}

impl<H: Handler> Erased for H {
    fn dispatch(&self, event: &Event, context: &mut Context<'_>) -> Result<Value, Fault> {
        handler::dispatch(self, event, context)
    }

    fn prepare(&self, event: &Event) -> Vec<Check> {
        Handler::prepare(self, event)
    }
}
