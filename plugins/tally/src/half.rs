//! One half of a tally, as this site keeps it.

use crate::state::{Request, State, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallyho_plugin::record::cert::chad_of;
use tallyho_plugin::record::{AgentId, Chad, Timestamp, integer, tally::Side};

/// The durable row of one (holder, uuid). Both halves of a tally may live on one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// The local user it belongs to.
    pub holder: String,
    /// The tally's uuid.
    pub uuid: String,
    /// The holder's side.
    pub side: Side,
    /// See [`State`].
    pub status: Status,
    /// See [`State`].
    pub request: Option<Request>,
    /// See `C.open`.
    pub closing: bool,
    /// Whether link 0 of the chain, the tally itself, is known to be equal on the other side: 0 or none. What
    /// a chit handler knows of higher links is its own ([`crate::chits::Balance`]).
    pub conf: Option<u64>,
    /// The record without `sign`, member by member as it was received or drafted. The partner's `cert` is
    /// missing while the partner is not known.
    pub core: Value,
    /// The holder's signature over the core.
    pub own_sign: Option<String>,
    /// The partner's.
    pub partner_sign: Option<String>,
    /// base64v SHA-256 of the core, once open: link 0 of the chain.
    pub hash: Option<String>,
    /// Both sides' settings as they were when it opened: `{stock, foil}`.
    pub settings: Value,
    /// Tokens that lead here, or have led here.
    pub tokens: Vec<Token>,
    /// Tokens that lead here are decals: this draft is a template and stays one.
    pub template: bool,
    /// Clones made of this template.
    pub clones: u32,
    /// The partner has seen the uuid: it may not change any more (PROTOCOL 4.1).
    pub offered: bool,
    /// The partner has said that it revises our offer (T24).
    #[serde(default)]
    pub revised: bool,
    /// Copies of `open` handed over since the schedule began.
    pub copies: u32,
    /// Why what was asked for does not get out.
    pub stalled: Option<String>,
    /// When it last changed its state.
    pub since: Timestamp,
}

/// A token of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The token.
    pub token: String,
    /// Neither consumed nor revoked, as far as this handler has caused it.
    pub live: bool,
}

impl Half {
    /// A draft, or what will at once be filled in.
    pub fn new(holder: &str, side: Side, core: Value, now: Timestamp) -> Self {
        Half {
            holder: holder.to_owned(),
            uuid: core["uuid"].as_str().unwrap_or_default().to_owned(),
            side,
            status: Status::Draft,
            request: None,
            closing: false,
            conf: None,
            core,
            own_sign: None,
            partner_sign: None,
            hash: None,
            settings: Value::Null,
            tokens: Vec::new(),
            template: false,
            clones: 0,
            offered: false,
            revised: false,
            copies: 0,
            stalled: None,
            since: now,
        }
    }

    /// The state the rules speak of.
    pub fn state(&self) -> State {
        match (self.status, self.request) {
            (Status::Draft, Some(_)) => State::DraftOffer,
            (Status::Draft, None) if self.partner().is_some() => State::PDraft,
            (Status::Draft, None) => State::Draft,
            (Status::Offer, Some(Request::Void)) => State::OfferVoid,
            (Status::Offer, Some(Request::Draft)) => State::OfferDraft,
            (Status::Offer, Some(_)) => State::OfferOpen,
            (Status::Offer, None) if self.own_sign.is_some() => State::HOffer,
            (Status::Offer, None) => State::POffer,
            (Status::Open, Some(_)) => State::OpenOpen,
            (Status::Open, None) if self.closing => State::COpen,
            (Status::Open, None) if self.conf.is_none() => State::Unconfirmed,
            (Status::Open, None) => State::Open,
            (Status::Close, _) => State::Close,
            (Status::Void, _) => State::Void,
        }
    }

    /// Whether `open` is to be repeated until the partner confirms it: open here, closing or not, index 0 not
    /// yet acknowledged, and no request under way that does the same.
    pub fn is_unconfirmed(&self) -> bool {
        self.status == Status::Open && self.request.is_none() && self.conf.is_none()
    }

    /// Whether lifts may go over it, as far as this handler knows: open, and not closing (PROTOCOL 9.3 item 1).
    pub fn takes_lifts(&self) -> bool {
        self.status == Status::Open && !self.closing
    }

    /// Words that `--wait` may wait for and that are true now.
    pub fn words(&self) -> Vec<&'static str> {
        let state = self.state();
        let mut words = vec![state.code()];
        if self.status == Status::Open {
            words.extend([if self.conf.is_some() { "confirmed" } else { "unconfirmed" }, "open"]);
        }
        if self.request.is_none() {
            words.push(status_word(self.status));
        }
        words.extend(self.stalled.as_ref().map(|_| "stalled"));
        words.sort_unstable();
        words.dedup();
        words
    }

    /// All that there may be, plain words first.
    pub fn all_words() -> Vec<&'static str> {
        let states = [Status::Draft, Status::Offer, Status::Open, Status::Close, Status::Void];
        let mut words: Vec<&str> = states.into_iter().map(status_word).collect();
        words.splice(3..3, ["unconfirmed", "confirmed"]);
        words.push("stalled");
        let codes = State::ALL.into_iter().map(State::code).filter(|code| !words.contains(code));
        let codes: Vec<&str> = codes.collect();
        words.into_iter().chain(codes).collect()
    }

    /// The holder's certificate as it stands in the record.
    pub fn own_cert(&self) -> &Value {
        &self.core[self.side.as_str()]["cert"]
    }

    /// The partner's certificate, `Null` while not known.
    pub fn partner_cert(&self) -> &Value {
        &self.core[self.side.other().as_str()]["cert"]
    }

    /// The partner's address.
    pub fn partner(&self) -> Option<Chad> {
        // As certificates are read that a peer presents: host and port are hints, and no reason to take
        // a partner for unknown.
        chad_of(self.partner_cert()).ok()
    }

    /// The partner's agent and user name.
    pub fn partner_party(&self) -> Option<(AgentId, String)> {
        self.partner().map(|chad| (chad.agent, chad.cuid.unwrap_or_default()))
    }

    /// The record's revision.
    pub fn revision(&self) -> i64 {
        integer(&self.core["revision"]).unwrap_or(1)
    }

    /// The record with the signatures that are there.
    pub fn record(&self) -> Value {
        let mut sign = serde_json::Map::new();
        if let Some(own) = &self.own_sign {
            sign.insert(self.side.as_str().to_owned(), own.clone().into());
        }
        if let Some(partner) = &self.partner_sign {
            sign.insert(self.side.other().as_str().to_owned(), partner.clone().into());
        }
        if let Some(hash) = &self.hash {
            sign.insert("hash".to_owned(), hash.clone().into());
        }
        let mut record = self.core.clone();
        record["sign"] = Value::Object(sign);
        record
    }

    /// `HOLDER/UUID`: this half among all of the site.
    pub fn name(&self) -> String {
        format!("{}/{}", self.holder, self.uuid)
    }

    /// The terms of both sides, as settings begin.
    pub fn terms(&self) -> Value {
        json!({ "stock": self.core["stock"]["terms"], "foil": self.core["foil"]["terms"] })
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Draft => "draft",
        Status::Offer => "offer",
        Status::Open => "open",
        Status::Close => "close",
        Status::Void => "void",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(status: Status, request: Option<Request>) -> Half {
        Half { status, request, ..Half::new("alice", Side::Stock, json!({}), Timestamp(0)) }
    }

    #[test]
    fn every_state_is_read_back_from_what_it_stores() {
        for state in State::ALL {
            let Some((status, request)) = state.stored() else { continue };
            let mut half = half(status, request);
            half.closing = state == State::COpen;
            half.conf = (state == State::Open).then_some(0);
            half.own_sign = (state == State::HOffer).then(|| "s".to_owned());
            if state == State::PDraft {
                let agent = AgentId::from_bytes(&[7; 32]);
                half.core = json!({ "foil": { "cert": { "chad": { "cuid": "bob", "agent": agent } } } });
            }
            assert_eq!(half.state(), state);
        }
    }

    #[test]
    fn no_word_is_told_that_cannot_be_waited_for() {
        let all = Half::all_words();
        for state in State::ALL {
            let Some((status, request)) = state.stored() else { continue };
            for (conf, stalled, closing) in [(None, None, false), (Some(0), Some("why".to_owned()), true)] {
                let half = Half { conf, stalled, closing, ..half(status, request) };
                assert!(half.words().iter().all(|word| all.contains(word)), "{:?}", half.words());
            }
        }
    }

    #[test]
    fn waiting_for_open_does_not_wait_for_confirmation_and_confirmed_does() {
        let mut half = half(Status::Open, None);
        assert_eq!(half.words(), ["open", "unconfirmed"]);
        half.conf = Some(0);
        assert!(half.words().contains(&"confirmed"));
    }
}
