//! Why a ticket presented is not answered.

use tallyho_plugin::record::RecordError;

/// Why a ticket presented is not answered. For the log alone: to the peer every one looks the same
/// (PROTOCOL 2.5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketRefusal {
    /// 2.4 step 2: not `tally/ticket`.
    #[error("not tally/ticket")]
    Target,
    /// 2.4 step 2: no token of the right form.
    #[error("ticket.token is no text of 22 to 128 letters, digits, - and _")]
    Malformed,
    /// 2.4 step 2: meant for another site.
    #[error("to.agent is another agent")]
    Recipient,
    /// 2.4 step 2: the certificate cannot be used.
    #[error("certificate: {0}")]
    Certificate(RecordError),
    /// 2.4 step 2: sender and certificate name different parties.
    #[error("from and the certificate name different parties")]
    Sender,
    /// 2.4 step 3: the agent did not prove itself.
    #[error("the certificate's agent is not the one that opened the channel")]
    Unproven,
    /// 2.4 step 4: there is no such token.
    #[error("unknown token")]
    Unknown,
    /// 2.4 step 4: its time is over.
    #[error("the token has expired")]
    Expired,
    /// 2.4 step 4: its issuer has taken it back.
    #[error("the token was revoked")]
    Revoked,
    /// 2.4 step 4: somebody else has used it.
    #[error("the token was used by another party")]
    Used,
    /// 2.4 step 4: it is for somebody else.
    #[error("the token is limited to another party")]
    Limit,
    /// 1.3: the presenting party is the issuing user.
    #[error("the issuing user cannot be its own partner")]
    Own,
}

impl TicketRefusal {
    /// Every word of [`TicketRefusal::word`].
    pub const WORDS: [&str; 12] = [
        "ticket-target",
        "ticket-malformed",
        "ticket-recipient",
        "ticket-certificate",
        "ticket-sender",
        "ticket-unproven",
        "ticket-unknown",
        "ticket-expired",
        "ticket-revoked",
        "ticket-used",
        "ticket-limit",
        "ticket-own",
    ];

    /// The word for the strike's log line.
    pub fn word(&self) -> &'static str {
        Self::WORDS[match self {
            TicketRefusal::Target => 0,
            TicketRefusal::Malformed => 1,
            TicketRefusal::Recipient => 2,
            TicketRefusal::Certificate(_) => 3,
            TicketRefusal::Sender => 4,
            TicketRefusal::Unproven => 5,
            TicketRefusal::Unknown => 6,
            TicketRefusal::Expired => 7,
            TicketRefusal::Revoked => 8,
            TicketRefusal::Used => 9,
            TicketRefusal::Limit => 10,
            TicketRefusal::Own => 11,
        }]
    }
}
