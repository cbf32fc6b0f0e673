//! What every handler has to bear, whatever it is for: tried on a site in memory, with a handler of the test's
//! own or one that was loaded from a library (`tallyho plugin test`).
//!
//! ```
//! use tallyho_plugin::prelude::*;
//! use tallyho_plugin::testkit::conformance;
//! # struct Nothing;
//! # impl Handler for Nothing {
//! #     fn manifest() -> Manifest {
//! #         Manifest::new("nothing", "0.1.0")
//! #     }
//! #     fn create() -> Result<Self, Fault> {
//! #         Ok(Nothing)
//! #     }
//! # }
//!
//! conformance::of::<Nothing>()?.check();
//! # Ok::<(), Fault>(())
//! ```

mod cases;
mod friendly;
mod hostile;
mod report;
pub mod rules;
mod run;
#[cfg(test)]
mod tests;

pub use cases::Case;
pub use report::{Cost, Finding, Report, Verdict};
pub use rules::{RULES, Rule, rule};
pub use run::Conformance;

use super::{Driven, Maker};
use crate::{Fault, Handler};
use std::sync::Arc;

/// Tries a handler.
///
/// # Errors
/// The handler's own reason not to be made.
pub fn of<H: Handler>() -> Result<Report, Fault> {
    let make: Maker = Arc::new(|| Ok(Arc::new(H::create()?) as Arc<dyn Driven>));
    let mut conformance = Conformance::new(H::manifest(), make)?;
    while let Some(case) = conformance.next_case() {
        conformance.run(&case);
    }
    Ok(conformance.report())
}
