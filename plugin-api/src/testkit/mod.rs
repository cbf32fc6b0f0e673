//! A site in memory, for a plugin's own tests.
//!
//! A [`Site`] drives one or several handlers in-process and does for them what a host does: it gives
//! one event at a time, keeps an event's effects apart and applies them when the handler returns `Ok`,
//! drops them on an error or a panic, checks who may read and write which table, and signs with real
//! keys. Clock and randomness are the test's own, so every run is the same. Each event is run twice, the
//! second time by the same handler and by one made afresh in turn, and both runs must want the same effects
//! ([`Site::check_determinism`]). [`Site::partner`] makes up people at other sites, [`Site::swap`] has another
//! build take over, a [`Table`] runs a test row by row, and [`conformance`] tries what every handler has to bear.
//!
//! [`Net`] carries messages between sites: all of them ([`Net::settle`]), or as a bad network would
//! ([`Net::storm`]), with loss, repeats and reordering that a seed repeats.
//!
//! Enable the feature `testkit` in `[dev-dependencies]`:
//!
//! ```toml
//! tallyho-plugin = { version = "0.1", features = ["testkit"] }
//! ```
//!
//! ```
//! use tallyho_plugin::prelude::*;
//! use tallyho_plugin::testkit::{Envelope, Site};
//!
//! /// Counts greetings.
//! struct Greeter;
//!
//! impl Handler for Greeter {
//!     fn manifest() -> Manifest {
//!         Manifest::new("greeter", "0.1.0")
//!             .target(Target::new("greeting", &["hello"]).unrelated(&["hello"]))
//!             .tables(&["counts"])
//!             .command(CommandSpec::new("count", "greetings so far"))
//!     }
//!
//!     fn create() -> Result<Self, Fault> {
//!         Ok(Greeter)
//!     }
//!
//!     fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
//!         let count: u64 = context.get("counts", "all")?.unwrap_or(0);
//!         context.put("counts", "all", &(count + 1))?;
//!         context.notice("alice", &json!({ "about": "greeting", "from": message.from }))
//!     }
//!
//!     fn command(&self, _: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
//!         Ok(json!({ "count": context.get::<u64>("counts", "all")?.unwrap_or(0) }))
//!     }
//! }
//!
//! let mut site = Site::new(1).with::<Greeter>().user("alice");
//! let hello = Envelope::new(&site.address(), &site.chad("alice"), "greeting/hello", &json!({}));
//! site.deliver(&hello)?;
//! assert_eq!(site.command("count", json!({}))?, json!({ "count": 1 }));
//! assert_eq!(site.take_notices().len(), 1);
//! # Ok::<(), Fault>(())
//! ```

mod commit;
pub mod conformance;
mod deliver;
mod dice;
mod effects;
mod envelope;
mod hosted;
mod keys;
mod limits;
#[cfg(test)]
mod more_tests;
mod net;
mod peer;
mod plugin;
mod running;
mod site;
mod state;
mod swap;
mod table;
#[cfg(test)]
mod tests;
mod tickets;
mod trials;

pub use commit::CommitRequest;
pub use deliver::DROPPED;
pub use dice::Dice;
pub use envelope::Envelope;
pub use keys::UserKey;
pub use net::{Net, Weather};
pub use peer::Peer;
pub use plugin::{CORRUPT_ANSWER, Driven, Maker};
pub use site::{Backup, Site};
pub use state::Sent;
pub use table::{Table, Then};
pub use tickets::Issued;

use effects::Effect;
use serde_json::Value;

/// A line that a handler has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The plugin.
    pub plugin: String,
    /// 1 error, 2 warning, 3 information, 4 debugging.
    pub level: u8,
    /// The line.
    pub text: String,
}

impl Log {
    fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Log { plugin, level, text } => {
                Some(Log { plugin: plugin.clone(), level: *level, text: text.clone() })
            }
            _ => None,
        }
    }
}

/// A record as JSON; `Null` where it is empty or none.
fn json(bytes: &[u8]) -> Value {
    ciborium::from_reader(bytes).unwrap_or(Value::Null)
}
