//! A handler whose type the site in memory need not know.

use crate::context::to_cbor;
use crate::services::{Check, Services};
use crate::{Context, Event, Fault, Handler, Manifest, handler};
use serde_json::Value;
use std::sync::Arc;

/// The code of a fault by which the test kit says that an answer is no CBOR.
pub const CORRUPT_ANSWER: &str = "corrupt-answer";

/// A handler wherever its code is: every [`Handler`] is one, and so is one that was loaded from a library.
pub trait Driven: Send + Sync {
    /// Handles an event; the answer in CBOR (null for all but commands).
    ///
    /// # Errors
    /// The handler's fault.
    fn handle(&self, event: &Event, services: &mut dyn Services) -> Result<Vec<u8>, Fault>;

    /// The signature checks that handling the event will ask for.
    ///
    /// # Errors
    /// The handler's fault. A host goes on without; here it is the event's.
    fn prepare(&self, event: &Event) -> Result<Vec<Check>, Fault>;

    /// Brings the tables from this older state version to the manifest's.
    ///
    /// # Errors
    /// The handler's fault.
    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault>;
}

impl<H: Handler> Driven for H {
    fn handle(&self, event: &Event, services: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        to_cbor(&handler::dispatch(self, event, &mut Context::new(services))?)
    }

    fn prepare(&self, event: &Event) -> Result<Vec<Check>, Fault> {
        Ok(Handler::prepare(self, event))
    }

    fn migrate(&self, from: u32, services: &mut dyn Services) -> Result<(), Fault> {
        Handler::migrate(self, from, &mut Context::new(services))
    }
}

/// Makes a handler: one more generation of the same build each time.
pub type Maker = Arc<dyn Fn() -> Result<Arc<dyn Driven>, Fault> + Send + Sync>;

/// What a plugin is given to do.
pub(crate) enum Work<'w> {
    Event(&'w Event),
    /// From this state version.
    Migrate(u32),
}

/// A loaded handler and what it says about itself.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub manifest: Arc<Manifest>,
    make: Maker,
    handler: Arc<dyn Driven>,
}

impl Plugin {
    pub fn of<H: Handler>() -> Result<Self, Fault> {
        Plugin::made(H::manifest(), Arc::new(|| Ok(Arc::new(H::create()?))))
    }

    pub fn made(manifest: Manifest, make: Maker) -> Result<Self, Fault> {
        let handler = make()?;
        Ok(Plugin { manifest: Arc::new(manifest), make, handler })
    }

    /// The same plugin, its handler made afresh: what it kept in memory is gone.
    pub fn reloaded(&self) -> Result<Self, Fault> {
        Ok(Plugin { manifest: Arc::clone(&self.manifest), make: Arc::clone(&self.make), handler: (self.make)()? })
    }

    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    pub fn work(&self, work: &Work<'_>, services: &mut dyn Services) -> Result<Value, Fault> {
        let answer = match work {
            Work::Event(event) => self.handler.handle(event, services)?,
            Work::Migrate(from) => return self.handler.migrate(*from, services).map(|()| Value::Null),
        };
        let mut rest = answer.as_slice();
        let value = ciborium::from_reader(&mut rest).map_err(|error| corrupt(&error.to_string()))?;
        if rest.is_empty() { Ok(value) } else { Err(corrupt(&format!("{} bytes behind its end", rest.len()))) }
    }

    pub fn prepare(&self, work: &Work<'_>) -> Result<Vec<Check>, Fault> {
        match work {
            Work::Event(event) => self.handler.prepare(event),
            Work::Migrate(_) => Ok(Vec::new()),
        }
    }
}

fn corrupt(why: &str) -> Fault {
    Fault::failed(format!("its answer is no CBOR: {why}")).code(CORRUPT_ANSWER)
}
