//! For authors of plugins: a crate to begin with, and the conformance kit for what they have built.
//!
//! [`scaffold`] makes the crate (`tallyho plugin new`), against the API that [`api`] finds. [`conformance`] tries
//! a built library in a child process (`tallyho plugin test`), which is [`trial`].

pub mod api;
pub mod conformance;
pub mod limits;
pub mod scaffold;
pub mod trial;

pub use conformance::test;
pub use scaffold::{Kind, Order};
pub use trial::run_trial_if_asked;
