//! Names the signature checks of a message beforehand, so that the host makes them on other processors. A ruling's
//! text needs the lift on record and is not known here.

use crate::messages::{Arrived, Failed};
use crate::promise;
use tallyho_plugin::Event;
use tallyho_plugin::services::Check;

/// The checks that handling the event will ask for, as far as the event alone tells.
pub fn checks(event: &Event) -> Vec<Check> {
    let Event::Message(message) = event else { return Vec::new() };
    let mut checks = Vec::new();
    match message.action.as_str() {
        "promise" => checks.extend(promise::read(message).ok().and_then(|(_, pledge)| pledge.check().ok())),
        "fail" => checks.extend(message.object::<Failed>().ok().and_then(|failed| failed.release.check().ok())),
        "term" => {
            let Ok(Arrived { term, pledge, .. }) = message.object() else { return checks };
            checks.extend(term.check().ok());
            checks.extend(pledge.and_then(|pledge| pledge.check().ok()));
        }
        _ => {}
    }
    checks
}
