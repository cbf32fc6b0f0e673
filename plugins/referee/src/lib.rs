//! The referee (PROTOCOL 10): it says of each lift whether its originator's consent came before expiry.
//!
//! [`table`] is the law: PROTOCOL 10.3 row by row; [`rules`] carries it out, [`clock`] says what time it is,
//! [`store`] keeps rulings, [`sweep`] lets go what need not be kept. That is the same in every referee. What
//! differs is a [`Policy`] (and [`office`], whether others than its own site are served): whom it serves, for how long, by which clock, what it keeps and logs. A custom
//! referee is a type with that trait and one line:
//!
//! ```
//! use tallyho_plugin::{export_plugin, record::{LiftCore, Timestamp}};
//! use tallyho_referee::{Policy, Referee, Service};
//!
//! /// Rules on small lifts only.
//! #[derive(Default)]
//! struct Petty;
//!
//! impl Policy for Petty {
//!     fn serve(&self, lift: &LiftCore, _: Timestamp) -> Service {
//!         if lift.units() <= 100_000 { Service::Rule } else { Service::Pend }
//!     }
//! }
//!
//! export_plugin!(Referee<Petty>);
//! # fn main() {}
//! ```
//!
//! For this site as a user of other referees, [`known`] asks for credentials and keeps who is accepted.
#![forbid(unsafe_code)]

pub mod clock;
pub mod credentials;
pub mod known;
pub mod limits;
mod manifest;
pub mod office;
pub mod policy;
mod referee;
pub mod request;
pub mod rules;
pub mod store;
pub mod sweep;
pub mod table;
pub mod view;

pub use policy::{Policy, Service, Standard, Term};
pub use referee::Referee;

tallyho_plugin::export_plugin!(Referee<Standard>);
