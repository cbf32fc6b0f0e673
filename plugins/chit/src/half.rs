//! The running account of one half of a tally: its sums and the end of its chain.

use crate::chain::{Queue, Talk};
use crate::entry::Entry;
use serde::{Deserialize, Serialize};
use tallyho_plugin::record::Timestamp;

/// How far the two chains are known to agree (PROTOCOL 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stat {
    /// Nothing agreed yet.
    #[default]
    #[serde(rename = "non")]
    Nothing,
    /// Foil: has sent its end and waits.
    #[serde(rename = "aff")]
    Affirming,
    /// Stock: has proposed an end and waits.
    #[serde(rename = "pen")]
    Proposing,
    /// `conf` = end and nothing loose.
    #[serde(rename = "con")]
    Consented,
    /// A person is needed.
    #[serde(rename = "err")]
    Broken,
}

/// Whether the tally takes chits (PROTOCOL 4.5, T34 and T35, and back).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Open.
    #[default]
    Open,
    /// `C.open`: settling.
    Closing,
    /// `close`: only the chain still answers.
    Closed,
}

/// The durable row of one (holder, tally) that has, or may have, chits. Amounts are milli-CHIPs, seen
/// by the holder: positive where the partner owes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// Sum over good chits, linked or not (PROTOCOL 5.2).
    pub net: i64,
    /// Sum over pending ones: invoices and lift chits. `net_p` = `net` + `pend`.
    pub pend: i64,
    /// Of `pend`, lift chits in the holder's favour.
    pub lift_in: i64,
    /// Of `pend`, lift chits against the holder, as a positive amount.
    pub lift_out: i64,
    /// Invoices of the partner's that wait for the holder.
    #[serde(default)]
    pub invoices: u64,
    /// Highest index of the chain here.
    pub end: u64,
    /// base64v hash of the link at `end`; at 0 that of the tally.
    pub tip: String,
    /// Highest index known to be equal on the other side; `None` while the tally is not confirmed.
    pub conf: Option<u64>,
    /// See [`Stat`].
    pub stat: Stat,
    /// Good chits without a link, displaced ones included.
    pub loose: u64,
    /// See [`Phase`].
    pub phase: Phase,
    /// Highest index sent since the numbering last changed (PROTOCOL 6.4, G3), or since the partner was
    /// found to lack links that had been sent.
    pub sent: u64,
    /// When links were last sent.
    pub sent_at: Timestamp,
    /// When a valid chain message last came.
    pub heard_at: Timestamp,
    /// Checkpoints sent since then (PROTOCOL 11.2).
    pub tries: u32,
    /// A checkpoint timer is set.
    pub timed: bool,
    /// Where BACKOFF last asked from, without success so far (PROTOCOL 6.6).
    pub backoff: Option<u64>,
    /// What else the talk with the partner needs.
    #[serde(default, skip_serializing_if = "Talk::is_empty")]
    pub talk: Talk,
    /// Displaced chits among those that are loose.
    #[serde(default, skip_serializing_if = "Queue::is_empty")]
    pub queue: Queue,
}

impl Half {
    /// An account without chits.
    pub fn new(tip: &str, conf: Option<u64>) -> Self {
        Half {
            net: 0,
            pend: 0,
            lift_in: 0,
            lift_out: 0,
            invoices: 0,
            end: 0,
            tip: tip.to_owned(),
            conf,
            stat: Stat::default(),
            loose: 0,
            phase: Phase::default(),
            sent: 0,
            sent_at: Timestamp(0),
            heard_at: Timestamp(0),
            tries: 0,
            timed: false,
            backoff: None,
            talk: Talk::default(),
            queue: Queue::default(),
        }
    }

    /// Whether both chains are known to be equal and complete.
    pub fn is_settled(&self) -> bool {
        self.conf == Some(self.end) && self.loose == 0
    }

    /// The index of a chit of this half, if it has a link.
    pub fn place(&self, entry: &Entry) -> Option<u64> {
        entry.index.filter(|index| *index <= self.end)
    }
}
