//! Networks of sites whose people pay and clear by lifts, and what must be true of every lift in the end.
//!
//! [`nets`] makes networks with all handlers at work, [`people`] has users begin lifts, [`liars`] are sites that
//! do not keep to the rules, [`storm`] is what happens in one story, [`checks`] says what is wrong once all is
//! mended.

pub mod checks;
pub mod liars;
pub mod nets;
pub mod people;
pub mod storm;

pub use checks::wrong;
pub use nets::{Net, opened};
pub use storm::Script;
