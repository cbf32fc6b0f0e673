//! People who deal in chits, and what must be true of their accounts in the end.
//!
//! [`deals`] opens tallies and reads what the handlers keep of them, [`people`] has users pay, ask, set
//! and close at all sites at once and remembers what was reported as done, [`checks`] says what is
//! wrong once all is mended, [`storm`] is bad times with stores that come back from older copies.

pub mod checks;
pub mod deals;
pub mod people;
pub mod quiet;
pub mod storm;

pub use checks::wrong;
pub use deals::{Account, Deal, Shape, account, accounts};
pub use people::People;
