//! Whom the referee serves: everybody, or nobody but the site that it is part of.
//!
//! Every site has this plugin, and few are asked to be a referee. So the standard one rules on lifts of its own
//! site alone (the originator may be its own referee, O-57) until its operator says otherwise. The duties of
//! PROTOCOL 10.4 are kept either way: an expired lift is void for whoever asks.

use crate::policy::Policy;
use crate::store::{self, Book};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::{Command, Context, Fault};

#[derive(Deserialize)]
struct Whom {
    whom: String,
}

/// Whether it serves everybody: as the operator has said last, else as the policy is made.
pub fn is_open<P: Policy>(book: &Book) -> bool {
    book.open.unwrap_or(P::OPEN)
}

/// In a word.
pub fn word<P: Policy>(book: &Book) -> &'static str {
    if is_open::<P>(book) { ALL } else { OWN }
}

/// Everybody.
pub const ALL: &str = "all";
/// This site alone.
pub const OWN: &str = "own";

/// `serve {whom}`: whom it serves from now on. Rulings that were made stay.
///
/// # Errors
/// `Usage` where it is neither word.
pub fn serve<P: Policy>(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Whom { whom } = command.arguments()?;
    let open = match whom.as_str() {
        ALL => true,
        OWN => false,
        other => return Err(Fault::usage(format!("whom: {other:?}, expected {ALL} or {OWN}"))),
    };
    let book = Book { open: Some(open), ..store::book(context)? };
    store::put_book(context, &book)?;
    Ok(json!({ "serves": word::<P>(&book) }))
}
