//! What users are told of lifts (PROTOCOL 9.9).

use crate::record::{Lift, Role};
use serde_json::json;
use tallyho_plugin::{Context, Fault};

/// Tells the users of ours whom the lift concerns: who began it, or who is paid by it. A relay's users gain
/// and lose nothing, and see it in their chits.
///
/// # Errors
/// The host's faults.
pub fn tell(context: &mut Context<'_>, lift: &Lift, reason: &str) -> Result<(), Fault> {
    let payment = &lift.payment;
    let mut users: Vec<&str> = payment.user.as_deref().into_iter().collect();
    let inside = lift.role == Role::Originator && lift.core.find().agent == lift.core.org().agent;
    let payee = lift.core.find().cuid.as_deref().unwrap_or_default();
    if inside && !users.contains(&payee) {
        users.push(payee);
    }
    for user in users {
        let mut notice = json!({
            "about": "lift", "lift": lift.core.uuid(), "units": lift.core.units(), "reason": reason,
            "status": status(lift, reason), "user": user,
        });
        if let Some(memo) = &payment.memo {
            notice["memo"] = memo.as_str().into();
        }
        if let Some(reference) = &payment.reference {
            notice["ref"] = reference.clone();
        }
        if let Some(other) = &payment.other {
            notice["other"] = other.to_value();
        }
        for (name, text) in [("why", &lift.why), ("instead", &lift.instead), ("instead_of", &lift.instead_of)] {
            if let Some(text) = text {
                notice[name] = text.as_str().into();
            }
        }
        context.notice(user, &notice)?;
    }
    Ok(())
}

/// `good` and `void` as PROTOCOL 9.9 has them, `pend` before that.
fn status(lift: &Lift, reason: &str) -> &'static str {
    match reason {
        "good" => "good",
        "found" | "promised" | "arrived" => "pend",
        // Another lift goes on with it.
        "fail" if lift.instead.is_some() => "pend",
        // Of a lift that is final.
        "contradiction" => lift.state.code(),
        _ => "void",
    }
}
