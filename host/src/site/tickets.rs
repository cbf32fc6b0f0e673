//! Tickets: tokens that let a stranger open a channel and lead to one of our users (PROTOCOL 2).
//!
//! A token is a row of table `host.tickets`. Whoever holds the [`ValidTicket`] of a token has seen it
//! pass every check of PROTOCOL 2.4 that the host can make; only [`present`] makes one, and only
//! [`ValidTicket::consume`] marks the token used. Whether what it leads to still waits (the tally is
//! still a draft) is known to the plugin that issued it: where that refuses, the ticket is dropped.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallyho_plugin::context::IssuedTicket;
use tallyho_plugin::event::Presented;
use tallyho_plugin::record::base64v;
use tallyho_plugin::record::cert::Certificate;
use tallyho_plugin::record::chad::ChadError;
use tallyho_plugin::record::ticket::{TicketText, is_token};
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::TicketOrder;

use super::endpoint::Endpoint;
use super::limits::{SUBJECT_BYTES, SWEEP_ROWS, TICKET_HISTORY, TICKET_LIFE, TOKEN_BYTES};
use super::rows::{self, Rows};
pub use super::ticket_refusal::TicketRefusal;
use super::users;
use crate::store::StoreError;

/// The table: a row for each token, by its text.
pub const TABLE: &str = "host.tickets";

/// A token as its issuer keeps it (PROTOCOL 2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its text.
    pub token: String,
    /// The plugin that issued it.
    pub plugin: String,
    /// The local user it was issued for.
    pub user: String,
    /// The plugin's own name for what it leads to (a draft tally).
    pub subject: String,
    /// A decal: any number of subjects.
    pub reuse: bool,
    /// From when on it is dead; `None`: never.
    pub expires: Option<Timestamp>,
    /// Only this party may use it.
    pub limit: Option<Chad>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it was consumed; never for a decal.
    pub used: Option<Timestamp>,
    /// The party that consumed it.
    pub by: Option<Chad>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// Why a token cannot be issued. The issuing plugin's fault, or its user's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// No such user.
    #[error("user {0:?} is none of this site; see `tallyho user list`")]
    NoUser(String),
    /// Not a word a ticket can be about.
    #[error("a ticket's subject has {0} bytes: expected 1 to {SUBJECT_BYTES}")]
    Subject(usize),
    /// Dead from the start.
    #[error("expires {0} is not in the future; give a later instant, or none for 48 hours")]
    Expired(Timestamp),
    /// The party it is limited to is none.
    #[error("limit: {0}")]
    Limit(#[from] ChadError),
    /// The party it is limited to names no user.
    #[error("limit {0} names no user: expected cuid:agent, such as bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM")]
    LimitNoUser(Chad),
    /// The random bytes were those of an earlier token.
    #[error("the random generator repeats itself; is the machine healthy?")]
    Repeated,
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A `tally/ticket` message as it came (PROTOCOL 2.3).
#[derive(Debug, Clone, Copy)]
pub struct Presentation<'a> {
    /// The envelope's `target`.
    pub target: &'a str,
    /// The envelope's `action`.
    pub action: &'a str,
    /// The envelope's `to`.
    pub to: &'a Chad,
    /// The envelope's `from`.
    pub from: &'a Chad,
    /// The envelope's `ticket`.
    pub ticket: &'a Value,
}

/// Proof that a ticket passed PROTOCOL 2.4 steps 1 to 4, but for the state of what it leads to.
#[derive(Debug, PartialEq)]
#[must_use = "a one-time token stays usable until consumed"]
pub struct ValidTicket {
    record: Token,
    certificate: Certificate,
    repeat: bool,
}

/// Issues a token. `random` must be fresh bytes of a cryptographic generator.
///
/// # Errors
/// [`OrderError`].
pub fn issue(
    rows: &mut dyn Rows,
    plugin: &str,
    order: &TicketOrder,
    random: [u8; TOKEN_BYTES],
    now: Timestamp,
) -> Result<Token, OrderError> {
    if users::get(rows, &order.user)?.is_none() {
        return Err(OrderError::NoUser(order.user.clone()));
    }
    if !(1..=SUBJECT_BYTES).contains(&order.subject.len()) {
        return Err(OrderError::Subject(order.subject.len()));
    }
    if let Some(limit) = &order.limit {
        limit.check()?;
        if limit.cuid.is_none() {
            return Err(OrderError::LimitNoUser(limit.clone()));
        }
    }
    // Without an end of its own only a decal has none (O-6).
    let expires = order.expires.or_else(|| (!order.reuse).then(|| now.plus(TICKET_LIFE)));
    if let Some(past) = expires.filter(|expires| *expires <= now) {
        return Err(OrderError::Expired(past));
    }
    let token = base64v::encode(random);
    if rows.get(TABLE, token.as_bytes())?.is_some() {
        return Err(OrderError::Repeated);
    }
    let record = Token {
        token,
        plugin: plugin.to_owned(),
        user: order.user.clone(),
        subject: order.subject.clone(),
        reuse: order.reuse,
        expires,
        limit: order.limit.as_ref().map(Chad::party),
        issued: now,
        used: None,
        by: None,
        revoked: None,
    };
    record.write(rows)?;
    Ok(record)
}

/// Makes a token dead from now on; whether there is one of this text that `plugin` issued (`None`: any
/// plugin, for the operator).
///
/// # Errors
/// [`StoreError`].
pub fn revoke(rows: &mut dyn Rows, plugin: Option<&str>, token: &str, now: Timestamp) -> Result<bool, StoreError> {
    let Some(mut record) = find(rows, token)?.filter(|record| plugin.is_none_or(|plugin| plugin == record.plugin))
    else {
        return Ok(false);
    };
    if record.revoked.is_none() {
        record.revoked = Some(now);
        record.write(rows)?;
    }
    Ok(true)
}

/// The tokens that `plugin` issued (`None`: any), about `subject` (`None`: any), in no useful order.
///
/// # Errors
/// [`StoreError`].
pub fn list(rows: &mut dyn Rows, plugin: Option<&str>, subject: Option<&str>) -> Result<Vec<Token>, StoreError> {
    let mut tokens = Vec::new();
    rows::for_each::<Token>(rows, TABLE, |_, record| {
        let of_plugin = plugin.is_none_or(|plugin| plugin == record.plugin);
        if of_plugin && subject.is_none_or(|subject| subject == record.subject) {
            tokens.push(record);
        }
    })?;
    Ok(tokens)
}

/// Checks a ticket presented on a channel whose other end has proven to be agent `proven`. `site` is
/// our own agent. Nothing is written.
///
/// # Errors
/// [`StoreError`]. A ticket that is not valid is no error but a [`TicketRefusal`]: count a strike.
pub fn present(
    rows: &mut dyn Rows,
    site: &AgentId,
    proven: &AgentId,
    presentation: &Presentation<'_>,
    now: Timestamp,
) -> Result<Result<ValidTicket, TicketRefusal>, StoreError> {
    // PROTOCOL 2.4 steps 2 and 3
    let (token, certificate) = match check_shape(site, proven, presentation) {
        Ok(shape) => shape,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // PROTOCOL 2.4 step 4
    let Some(record) = find(rows, token)? else { return Ok(Err(TicketRefusal::Unknown)) };
    let party = certificate.chad();
    if party.agent == *site && certificate.cuid() == record.user {
        return Ok(Err(TicketRefusal::Own));
    }
    Ok(record.check(party, now).map(|repeat| ValidTicket { record, certificate, repeat }))
}

/// Deletes tokens that have been dead for a week among the next few rows of the table from `cursor`
/// on. Returns how many, and where to go on; `None`: the end was reached, begin anew another time.
///
/// # Errors
/// [`StoreError`].
pub fn sweep(rows: &mut dyn Rows, cursor: &[u8], now: Timestamp) -> Result<(usize, Option<Vec<u8>>), StoreError> {
    let page = rows::scan::<Token>(rows, TABLE, cursor, SWEEP_ROWS)?;
    let next = rows::after(&page, SWEEP_ROWS);
    let mut deleted = 0;
    for (key, record) in page {
        if record.dead().is_some_and(|dead| dead.plus(TICKET_HISTORY) <= now) {
            rows.delete(TABLE, &key)?;
            deleted += 1;
        }
    }
    Ok((deleted, next))
}

impl ValidTicket {
    /// The plugin that issued the token and whose business it is.
    pub fn plugin(&self) -> &str {
        &self.record.plugin
    }

    /// The token's record as it was when checked.
    pub fn token(&self) -> &Token {
        &self.record
    }

    /// The presenting user's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A consumed token, presented again by the party that consumed it (O-10): nothing may change.
    pub fn is_repeat(&self) -> bool {
        self.repeat
    }

    /// What the issuing plugin is told.
    pub fn presented(&self) -> Presented {
        Presented {
            token: self.record.token.clone(),
            user: self.record.user.clone(),
            subject: self.record.subject.clone(),
            reuse: self.record.reuse,
            repeat: self.repeat,
            cert: self.certificate.value().clone(),
        }
    }

    /// Marks a one-time token used (PROTOCOL 2.4 step 5), in the transaction of the change it leads
    /// to. A decal, and a token presented again, stay as they are.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the token is no longer as it was when checked: in the meantime
    /// somebody else consumed it or it was revoked. Check it again.
    pub fn consume(self, rows: &mut dyn Rows, now: Timestamp) -> Result<(), StoreError> {
        if find(rows, &self.record.token)?.as_ref() != Some(&self.record) {
            return Err(StoreError::Conflict);
        }
        if self.record.reuse || self.repeat {
            return Ok(());
        }
        let by = Some(self.certificate.chad().party());
        Token { used: Some(now), by, ..self.record }.write(rows)
    }
}

impl Token {
    /// What is handed to the subject, in every form of PROTOCOL 2.2. `agent`: our own; `endpoint`:
    /// where others dial it.
    pub fn handed_out(&self, agent: &AgentId, endpoint: &Endpoint) -> IssuedTicket {
        let chad = Chad::user(self.user.as_str(), agent.clone()).at(endpoint.host.as_str(), endpoint.port);
        let text = TicketText { token: self.token.clone(), chad, expires: self.expires };
        IssuedTicket {
            token: self.token.clone(),
            expires: self.expires,
            link: text.to_link(),
            uri: text.to_uri(),
            invite: text.to_json(),
        }
    }

    /// Whether this party may use it now: `Ok(true)` for a repeat.
    fn check(&self, party: &Chad, now: Timestamp) -> Result<bool, TicketRefusal> {
        if self.revoked.is_some() {
            return Err(TicketRefusal::Revoked);
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(TicketRefusal::Expired);
        }
        if self.limit.as_ref().is_some_and(|limit| !limit.same_party(party)) {
            return Err(TicketRefusal::Limit);
        }
        match (&self.used, &self.by) {
            (None, _) => Ok(false),
            (Some(_), Some(by)) if by.same_party(party) => Ok(true),
            (Some(_), _) => Err(TicketRefusal::Used),
        }
    }

    /// From when on it can be used by nobody, not even again.
    fn dead(&self) -> Option<Timestamp> {
        [self.expires, self.revoked].into_iter().flatten().min()
    }

    fn write(&self, rows: &mut dyn Rows) -> Result<(), StoreError> {
        rows::put(rows, TABLE, self.token.as_bytes(), self)
    }
}

/// PROTOCOL 2.4 steps 2 and 3.
fn check_shape<'a>(
    site: &AgentId,
    proven: &AgentId,
    presentation: &Presentation<'a>,
) -> Result<(&'a str, Certificate), TicketRefusal> {
    if (presentation.target, presentation.action) != ("tally", "ticket") {
        return Err(TicketRefusal::Target);
    }
    let token = presentation.ticket.get("token").and_then(Value::as_str).filter(|token| is_token(token));
    let token = token.ok_or(TicketRefusal::Malformed)?;
    if presentation.to.agent != *site {
        return Err(TicketRefusal::Recipient);
    }
    let certificate = presentation.ticket.get("cert").unwrap_or(&Value::Null);
    let certificate = Certificate::check(certificate, None).map_err(TicketRefusal::Certificate)?;
    if !certificate.chad().same_party(presentation.from) {
        return Err(TicketRefusal::Sender);
    }
    if certificate.chad().agent != *proven {
        return Err(TicketRefusal::Unproven);
    }
    Ok((token, certificate))
}

fn find(rows: &mut dyn Rows, token: &str) -> Result<Option<Token>, StoreError> {
    if is_token(token) { rows::get(rows, TABLE, token.as_bytes()) } else { Ok(None) }
}

#[cfg(test)]
#[path = "tickets_tests.rs"]
mod tests;
