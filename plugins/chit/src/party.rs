//! What never changes about one half of a confirmed tally, kept beside it in a form quick to read.

use crate::half::Phase;
use crate::store::{TALLIES, key};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallyho_plugin::context::jwk_text;
use tallyho_plugin::record::cert::chad_of;
use tallyho_plugin::record::{AgentId, Chad, Side};
use tallyho_plugin::{Context, Fault};

/// Who deals with whom, and with which keys, as the tally says (PROTOCOL 4.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Party {
    /// The local user whose half it is.
    pub holder: String,
    /// The tally.
    pub tally: String,
    /// The holder's side.
    pub side: Side,
    /// The partner, as the tally's certificate names it.
    pub partner: Chad,
    /// The holder's agent, as the tally's certificate names it.
    pub agent: AgentId,
    /// The stock holder's key, JWK as text.
    pub stock_key: String,
    /// The foil holder's key, JWK as text.
    pub foil_key: String,
    /// Link 0 of the chain: base64v SHA-256 of the tally's core.
    pub hash: String,
    /// The terms of both sides, with which settings begin: `{stock, foil}`.
    pub terms: Value,
}

/// A half as the tally handler keeps it, as far as it matters here. Its table is read rather than a
/// command called: the tally handler may itself wait for us (`close`).
#[derive(Debug, Deserialize)]
struct Row {
    status: String,
    closing: bool,
    conf: Option<u64>,
    side: Side,
    core: Value,
    hash: Option<String>,
}

/// What may change until a half has an account of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the tally takes chits.
    pub phase: Phase,
    /// Index 0 is confirmed.
    pub conf: Option<u64>,
}

impl Party {
    /// Reads a half of the tally handler's; `None` where there is none that is or was open.
    ///
    /// # Errors
    /// The host's faults; `Failed` where the row is damaged.
    pub fn read(context: &mut Context<'_>, holder: &str, tally: &str) -> Result<Option<(Party, Standing)>, Fault> {
        let row: Option<Row> = context.get(TALLIES, key(&[tally, holder]))?;
        let Some(Row { status, closing, conf, side, core, hash: Some(hash) }) = row else { return Ok(None) };
        let phase = match (status.as_str(), closing) {
            ("open", false) => Phase::Open,
            ("open", true) => Phase::Closing,
            ("close", _) => Phase::Closed,
            _ => return Ok(None),
        };
        let half = |side: Side| &core[side.as_str()];
        let public = |side: Side| jwk_text(&half(side)["cert"]["public"]).unwrap_or_default();
        // As the tally names them: what was pledged by an agent stands, whatever key it has now.
        let chad = |side: Side| {
            let damaged = |error| Fault::failed(format!("tally {holder}/{tally}: the {side} certificate: {error}"));
            chad_of(&half(side)["cert"]).map_err(damaged)
        };
        let party = Party {
            holder: holder.to_owned(),
            tally: tally.to_owned(),
            side,
            partner: chad(side.other())?,
            agent: chad(side)?.agent,
            stock_key: public(Side::Stock),
            foil_key: public(Side::Foil),
            hash,
            terms: json!({ "stock": half(Side::Stock)["terms"], "foil": half(Side::Foil)["terms"] }),
        };
        Ok(Some((party, Standing { phase, conf })))
    }

    /// The key of this side's user, JWK as text.
    pub fn key(&self, side: Side) -> &str {
        match side {
            Side::Stock => &self.stock_key,
            Side::Foil => &self.foil_key,
        }
    }

    /// The agent of this side.
    pub fn agent(&self, side: Side) -> &AgentId {
        if side == self.side { &self.agent } else { &self.partner.agent }
    }

    /// `HOLDER/UUID`: this half among all of the site.
    pub fn name(&self) -> String {
        format!("{}/{}", self.holder, self.tally)
    }
}
