//! People who begin lifts.

use super::nets::{Net, Person};
use serde_json::json;
use tallyho_plugin::{Fault, FaultKind};

/// How many lifts were begun.
#[derive(Debug, Default, Clone, Copy)]
pub struct Begun {
    /// Payments.
    pub payments: usize,
    /// Clearings.
    pub clearings: usize,
}

/// Somebody begins something.
///
/// # Panics
/// When a handler fails, or misunderstands a command.
pub fn act(net: &mut Net, begun: &mut Begun) {
    if net.world.dice.percent(12) {
        // Chits go over the same tallies.
        let units = 1 + net.world.dice.below(200);
        let ((site, user), tally) = half(net);
        fine(net.world.command(site, "chit", "pay", &json!({ "tally": tally, "user": user, "units": units })));
        return;
    }
    if net.world.dice.percent(25) {
        let (site, user) = net.anybody();
        let cleared = fine(net.world.command(site, "lift", "clear", &json!({ "user": user })));
        begun.clearings += cleared.and_then(|cleared| Some(cleared["begun"].as_array()?.len())).unwrap_or(0);
        return;
    }
    let (from, to) = if net.world.dice.percent(75) && !net.known.is_empty() {
        *net.world.dice.one_of(&net.known.clone())
    } else {
        (net.anybody(), net.anybody())
    };
    let units = 1 + net.world.dice.below(400);
    begun.payments += usize::from(pay(net, from, to, units));
}

/// Some half.
fn half(net: &mut Net) -> (Person, String) {
    let deal = net.world.dice.below(net.deals.len());
    let end = net.world.dice.below(2);
    (net.deals[deal].ends[end], net.deals[deal].uuid.clone())
}

/// Somebody takes more or less from now on.
///
/// # Panics
/// As for [`act`].
pub fn set(net: &mut Net) {
    let ((site, user), tally) = half(net);
    let target = 100 * net.world.dice.below(20);
    let settings = json!({ "target": target, "bound": target });
    fine(net.world.command(site, "chit", "set", &json!({ "tally": tally, "user": user, "settings": settings })));
}

/// Somebody pays somebody; whether that was begun.
///
/// # Panics
/// As for [`act`].
pub fn pay(net: &mut Net, from: Person, to: Person, units: usize) -> bool {
    if from == to {
        return false;
    }
    let order = json!({ "user": from.1, "to": net.address(to).to_string(), "units": units });
    fine(net.world.command(from.0, "lift", "pay", &order)).is_some()
}

/// What does not fit is refused and changes nothing.
fn fine(done: Result<serde_json::Value, Fault>) -> Option<serde_json::Value> {
    match done {
        Ok(done) => Some(done),
        Err(fault) if matches!(fault.kind, FaultKind::Refused | FaultKind::NotFound | FaultKind::Host) => None,
        Err(fault) => panic!("{fault:?}"),
    }
}
