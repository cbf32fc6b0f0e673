//! What never changes about one half of a confirmed tally, kept beside it in a form quick to read.

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

/// States of a tally (PROTOCOL 4.2) in which its halves have an account.
const TAKES_CHITS: [&str; 4] = ["open", "open.open", "C.open", "close"];

/// What the tally handler says of a half.
#[derive(Debug, Clone, Deserialize)]
pub struct Told {
    /// The half's state code (PROTOCOL 4.2).
    pub state: String,
    /// Index 0 is confirmed.
    pub conf: Option<u64>,
    side: Side,
    core: Value,
    hash: Option<String>,
    partner: Option<Chad>,
}

impl Party {
    /// Asks the tally handler about a half; `None` where there is none that is or was open.
    ///
    /// # Errors
    /// The host's faults.
    pub fn ask(context: &mut Context<'_>, holder: &str, tally: &str) -> Result<Option<(Party, Told)>, Fault> {
        let told: Option<Told> = context.invoke("tally", "get", &json!({ "uuid": tally, "user": holder }))?;
        let Some(told) = told else { return Ok(None) };
        let (Some(hash), Some(partner)) = (told.hash.clone(), told.partner.clone()) else { return Ok(None) };
        if !TAKES_CHITS.contains(&told.state.as_str()) {
            return Ok(None);
        }
        let half = |side: Side| &told.core[side.as_str()];
        let public = |side: Side| jwk_text(&half(side)["cert"]["public"]).unwrap_or_default();
        // As the tally names it: what was pledged for it stands, whatever key this site has now.
        let agent = match chad_of(&half(told.side)["cert"]) {
            Ok(chad) => chad.agent,
            Err(error) => return Err(Fault::failed(format!("tally {holder}/{tally}: our own certificate: {error}"))),
        };
        let party = Party {
            holder: holder.to_owned(),
            tally: tally.to_owned(),
            side: told.side,
            partner,
            agent,
            stock_key: public(Side::Stock),
            foil_key: public(Side::Foil),
            hash,
            terms: json!({ "stock": half(Side::Stock)["terms"], "foil": half(Side::Foil)["terms"] }),
        };
        Ok(Some((party, told)))
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
