//! Tickets as a host keeps them (PROTOCOL 2.1 to 2.5).

use crate::event::Presented;
use crate::record::{Chad, Timestamp};
use crate::services::TicketOrder;
use serde_json::Value;

/// A ticket this site has issued.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// The plugin that ordered it.
    pub plugin: String,
    /// What was ordered.
    pub order: TicketOrder,
    /// When it was consumed; stays `None` for a decal.
    pub used: Option<Timestamp>,
    /// Who consumed it.
    pub by: Option<Chad>,
    /// Dead whatever else holds.
    pub revoked: bool,
}

impl Issued {
    /// PROTOCOL 2.4 step 4: what the handler is told of a presentation by the party of this
    /// certificate, or why the token is not valid.
    pub(crate) fn check(&self, cert: &Value, party: &Chad, now: Timestamp) -> Result<Presented, &'static str> {
        let repeat = match (&self.used, &self.by) {
            (Some(_), Some(by)) if by.same_party(party) => true,
            (Some(_), _) => return Err("the token is used"),
            (None, _) => false,
        };
        if self.revoked {
            return Err("the token is revoked");
        }
        if self.order.expires.is_some_and(|expires| now >= expires) {
            return Err("the token has expired");
        }
        if self.order.limit.as_ref().is_some_and(|limit| !limit.same_party(party)) {
            return Err("the token is for somebody else");
        }
        Ok(Presented {
            token: self.token.clone(),
            user: self.order.user.clone(),
            subject: self.order.subject.clone(),
            reuse: self.order.reuse,
            repeat,
            cert: cert.clone(),
        })
    }
}
