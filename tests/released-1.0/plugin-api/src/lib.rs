//! `tallyho-plugin` as it was released with ABI 1.0, as far as a plugin of then has it inside. Never mended: what is
//! here is in libraries that people have.

pub mod abi;
pub mod abi_adapt;
pub mod abi_plugin;
pub mod context;
pub mod event;
pub mod export;
pub mod fault;
pub mod handler;
pub mod manifest;
pub mod record;
pub mod services;

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
    pub use crate::record::{AgentId, Chad, Timestamp};
    pub use crate::services::Outgoing;
    pub use serde_json::{Value, json};
}
