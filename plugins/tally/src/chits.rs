//! What a chit handler keeps of a half, read from its tables. Where there is none, they are empty.

use crate::half::Half;
use crate::store;
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::{Context, Fault};

/// uuid, 0, holder → [`Balance`].
const HALVES: &str = "chit.halves";
/// uuid, 0, holder → `{stock, foil}`: both sides' settings (PROTOCOL 5.7).
const SETTINGS: &str = "chit.settings";

/// Tables of the chit handler that are read here, for the manifest.
pub const READS: &[&str] = &[HALVES, SETTINGS];

/// Balance and chain of one half (PROTOCOL 5.2, 6.1), in milli-CHIPs and chain indices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Balance {
    /// Sum over good chits; positive: the partner owes the holder.
    pub net: i64,
    /// Sum over pending chits.
    pub pend: i64,
    /// Highest chain index here; 0: the tally alone.
    pub end: u64,
    /// Highest index known to be equal on the other side.
    #[serde(default)]
    pub conf: Option<u64>,
    /// `non`, `aff`, `pen`, `con` or `err`.
    pub stat: String,
}

impl Balance {
    /// Of this half. Without a chit: zeros, and the chain as long as link 0 alone makes it.
    ///
    /// # Errors
    /// The host's faults.
    pub fn of(context: &mut Context<'_>, half: &Half) -> Result<Self, Fault> {
        let kept: Option<Balance> = context.get(HALVES, store::key(&[&half.uuid, &half.holder]))?;
        Ok(match kept {
            // Index 0 may have been confirmed before the first chit and after the row was made.
            Some(kept) => Balance { conf: kept.conf.max(half.conf), ..kept },
            None => {
                let stat = if half.conf.is_some() { "con" } else { "non" };
                Balance { net: 0, pend: 0, end: 0, conf: half.conf, stat: stat.to_owned() }
            }
        })
    }

    /// Whether nothing has been paid, set or asked for on the half (guard of T27).
    pub fn is_untouched(&self) -> bool {
        (self.net, self.pend, self.end) == (0, 0, 0)
    }

    /// The members of a tally shown that tell of it.
    pub fn shown(&self) -> Value {
        json!({
            "net": self.net, "net_p": self.net.saturating_add(self.pend), "end": self.end, "conf": self.conf,
            "chain": { "conf": self.conf, "end": self.end, "stat": self.stat },
        })
    }
}

/// Both sides' settings as the chain has made them; before that, as the tally began or would begin.
///
/// # Errors
/// The host's faults.
pub fn settings(context: &mut Context<'_>, half: &Half) -> Result<Value, Fault> {
    let kept: Option<Value> = context.get(SETTINGS, store::key(&[&half.uuid, &half.holder]))?;
    Ok(kept.unwrap_or_else(|| if half.settings.is_null() { half.terms() } else { half.settings.clone() }))
}
