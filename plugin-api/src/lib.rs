//! Write handler plugins for a Tallyho site.
//!
//! A plugin is one type that implements [`Handler`], made loadable by [`export_plugin!`]. The host
//! owns sockets, keys and the store; the handler receives decrypted, site-authenticated
//! [events](event::Event) one at a time and acts through its [`Context`]. What it does there
//! takes effect together, when the handler returns `Ok`, or not at all.
//!
//! Handlers are synchronous and deterministic: time, randomness, keys and other plugins are
//! reached through the context only.

pub mod abi;
pub mod abi_adapt;
pub mod abi_host;
pub mod abi_plugin;
pub mod context;
pub mod event;
pub mod export;
pub mod fault;
pub mod handler;
pub mod manifest;
pub mod record;
pub mod services;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use context::Context;
pub use event::{Command, Delivery, Event, Fate, Life, Message, Timer};
pub use fault::{Fault, FaultKind};
pub use handler::Handler;
pub use manifest::{Argument, ArgumentKind, CommandSpec, Manifest, Target};

/// What a plugin's source file usually needs.
pub mod prelude {
    pub use crate::context::{Context, Scan};
    pub use crate::event::{Command, Delivery, Event, Fate, Life, Message, Timer};
    pub use crate::export_plugin;
    pub use crate::fault::Fault;
    pub use crate::handler::Handler;
    pub use crate::manifest::{Argument, ArgumentKind, CommandSpec, Manifest, Target};
    pub use crate::record::{AgentId, Certificate, Chad, RecordError, Side, TallyDraft, TallyRecord, Timestamp};
    pub use crate::services::Outgoing;
    pub use serde_json::{Value, json};
}
