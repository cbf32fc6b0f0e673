//! `ok`: whether a received record may be acted on (PROTOCOL 4.4).

use crate::half::Half;
use crate::table::Happening;
use crate::{limits, store};
use serde_json::Value;
use tallyho_plugin::record::cert::{Certificate, same_identity};
use tallyho_plugin::record::tally::{Side, TallyRecord};
use tallyho_plugin::record::{Chad, canonical};
use tallyho_plugin::{Context, Fault};

/// PROTOCOL 4.4 items 2 to 5, item 1 being [`TallyRecord::parse`]. `half` is what we hold of the tally.
///
/// # Errors
/// The inner error says what does not fit, for a person; the outer one is the host's.
pub fn acceptable(
    context: &mut Context<'_>,
    half: Option<&Half>,
    received: &TallyRecord,
    holder: &Chad,
    from: &Chad,
    on: Happening,
) -> Result<Result<(), String>, Fault> {
    let size = received.core_canonical().len();
    if size > limits::RECORD_BYTES {
        return Ok(Err(format!("the record has {size} bytes, at most {} fit a message", limits::RECORD_BYTES)));
    }
    let Some(ours) = received.side_of(holder) else {
        return Ok(Err("neither or both sides are ours".to_owned()));
    };
    if !disclosed(context, half, received.cert(ours), holder, from)? {
        return Ok(Err("our certificate in it is not one we have disclosed to this partner".to_owned()));
    }
    Ok(partner(half, received, ours.other(), from)
        .and_then(|()| present(received, ours, on))
        .and_then(|()| received.check_sign_hash().map_err(|error| error.to_string()))
        .and_then(|()| verified(context, received)))
}

/// Item 2: a certificate disclosed for this tally. Where the tally is new to us, the one disclosed with a
/// ticket or, between partners, our user's own: host and port may have changed since, the key may not.
fn disclosed(
    context: &mut Context<'_>,
    half: Option<&Half>,
    cert: &Value,
    holder: &Chad,
    from: &Chad,
) -> Result<bool, Fault> {
    let user = holder.cuid.as_deref().unwrap_or_default();
    let same =
        |public: &Value| canonical(public).is_ok_and(|one| canonical(&cert["public"]).is_ok_and(|two| one == two));
    if let Some(half) = half {
        return Ok(same_identity(half.own_cert(), cert));
    }
    if let Some(invitation) = store::invitation(context, user, from)?
        && same(&invitation.public)
    {
        return Ok(true);
    }
    Ok(same(&context.user(user)?.cert["public"]))
}

/// Item 3.
fn partner(half: Option<&Half>, received: &TallyRecord, side: Side, from: &Chad) -> Result<(), String> {
    let cert = received.cert(side);
    let checked = Certificate::check(cert, Some(&from.agent)).map_err(|error| error.to_string())?;
    if !checked.chad().same_party(from) {
        return Err("the other side's certificate is not the sender's".to_owned());
    }
    let known = half.map(|half| &half.partner_cert()["public"]).filter(|public| !public.is_null());
    let same = known.is_none_or(|public| canonical(public).ok() == canonical(&cert["public"]).ok());
    if same { Ok(()) } else { Err("the partner's key is another than before".to_owned()) }
}

/// Item 5: which signatures must be there.
fn present(received: &TallyRecord, ours: Side, on: Happening) -> Result<(), String> {
    let (own, theirs) = (received.sign(ours).is_some(), received.sign(ours.other()).is_some());
    match on {
        Happening::PeerOffer if own => Err("an offer carries the sender's signature alone".to_owned()),
        Happening::PeerOpen if !own => Err("our signature is missing".to_owned()),
        _ if !theirs => Err("the sender's signature is missing".to_owned()),
        _ => Ok(()),
    }
}

/// Item 4: every signature present stands.
pub fn verified(context: &mut Context<'_>, received: &TallyRecord) -> Result<(), String> {
    for side in Side::BOTH.into_iter().filter(|side| received.sign(*side).is_some()) {
        let stands = received.check(side).is_some_and(|check| context.services().verify(&check));
        if !stands {
            return Err(format!("the signature of the {side} side does not stand"));
        }
    }
    Ok(())
}
