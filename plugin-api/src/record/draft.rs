//! Tallies in the making (PROTOCOL 4.5 T1, T2).

use super::tally::VERSION;
use super::{RecordError, Side, TallyRecord, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A tally in the making: what is not known yet may be absent. It is a local record, never sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TallyDraft {
    /// The tally's name, a uuid in lower case.
    pub uuid: String,
    /// From 1.
    pub revision: i64,
    /// The date of the agreement draft.
    pub date: Timestamp,
    /// What it is about; may be empty.
    pub memo: String,
    /// The contract: its resource id (a text) or an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agree: Option<Value>,
    /// The vendor's half.
    pub stock: DraftHalf,
    /// The client's half.
    pub foil: DraftHalf,
}

/// One half of a draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DraftHalf {
    /// The holder's certificate; absent until the partner is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<Value>,
    /// The credit terms that the holder grants to the other.
    pub terms: Value,
}

impl Default for DraftHalf {
    fn default() -> Self {
        DraftHalf { cert: None, terms: json!({}) }
    }
}

impl TallyDraft {
    /// A first draft: revision 1, the holder's certificate on its side.
    pub fn new(uuid: impl Into<String>, date: Timestamp, side: Side, own: Value) -> Self {
        let mut draft = TallyDraft {
            uuid: uuid.into(),
            revision: 1,
            date,
            memo: String::new(),
            agree: None,
            stock: DraftHalf::default(),
            foil: DraftHalf::default(),
        };
        draft.half_mut(side).cert = Some(own);
        draft
    }

    /// A half.
    pub fn half(&self, side: Side) -> &DraftHalf {
        match side {
            Side::Stock => &self.stock,
            Side::Foil => &self.foil,
        }
    }

    /// A half, to change.
    pub fn half_mut(&mut self, side: Side) -> &mut DraftHalf {
        match side {
            Side::Stock => &mut self.stock,
            Side::Foil => &mut self.foil,
        }
    }

    /// Exchanges the halves: each holder keeps certificate and granted terms and takes the other
    /// side.
    pub fn swap_sides(&mut self) {
        std::mem::swap(&mut self.stock, &mut self.foil);
    }

    /// The complete record, unsigned.
    ///
    /// # Errors
    /// [`RecordError`] naming what is still missing or malformed. Nulls pass, since a partner's terms
    /// may hold some that must stay; see [`super::refuse_nulls`] for what own users write.
    pub fn finish(&self) -> Result<TallyRecord, RecordError> {
        let mut record = json!({
            "version": VERSION, "revision": self.revision, "uuid": self.uuid, "date": self.date.text(),
            "memo": self.memo,
        });
        if let Some(agree) = &self.agree {
            record["agree"] = agree.clone();
        }
        for side in Side::BOTH {
            let DraftHalf { cert, terms } = self.half(side);
            record[side.as_str()] = json!({ "terms": terms });
            if let Some(cert) = cert {
                record[side.as_str()]["cert"] = cert.clone();
            }
        }
        TallyRecord::parse(record)
    }
}
