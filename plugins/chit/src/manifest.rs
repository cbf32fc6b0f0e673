//! What the handler says about itself: targets, tables, commands.

use crate::store;
use tallyho_plugin::{Manifest, Target};

/// The manifest.
pub fn manifest() -> Manifest {
    Manifest::new("chit", env!("CARGO_PKG_VERSION"))
        .about("Chits and their chain (PROTOCOL 5, 6 and 7.2)")
        .target(Target::new("chit", &["pend", "void", "good", "chain"]).relation_in_object("tally"))
        .tables(store::TABLES)
        .reads(&[store::REFEREES])
}
