//! Credentials of referees: making our own, reading others' (PROTOCOL 10.5, O-43).

use crate::limits;
use crate::policy::{Policy, Term};
use crate::store;
use serde_json::{Value, json};
use tallyho_plugin::record::{AgentId, Chad, Timestamp, canonical};
use tallyho_plugin::{Context, Fault};

/// Our own, signed now. The term's end is remembered as a promise.
///
/// # Errors
/// The host's faults.
pub fn own(policy: &impl Policy, context: &mut Context<'_>) -> Result<Value, Fault> {
    let (site, now) = (context.site()?, context.now());
    let mut book = store::book(context)?;
    let Term { from, to } = policy.term(now);
    if to > book.promised {
        book.promised = to;
        store::put_book(context, &book)?;
    }
    let name = policy.name().unwrap_or_else(|| format!("{}:{}", site.host, site.port));
    let mut credentials = json!({
        "name": name,
        "connect": policy.connect(),
        "agent": site.agent,
        "host": site.host,
        "port": site.port,
        "term": { "from": from.text(), "to": book.promised.text() },
        "date": now.text(),
    });
    let text = canonical(&credentials).map_err(|error| Fault::failed(error.to_string()))?;
    credentials["sign"] = context.sign_agent(text.as_bytes())?.into();
    Ok(credentials)
}

/// What a site needs of a referee's credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    /// The agent, and where it is.
    pub chad: Chad,
    /// When it rules on new lifts.
    pub term: Term,
    /// When they were signed.
    pub date: Timestamp,
}

impl Credentials {
    /// Reads those of `agent`, whose signature must stand.
    ///
    /// # Errors
    /// A refusal naming the member at fault.
    pub fn read(value: &Value, agent: &AgentId, context: &mut Context<'_>) -> Result<Self, Fault> {
        let wrong = |member: &str, expected: &str| {
            Fault::refused(format!("credentials: {member}: expected {expected} (PROTOCOL 10.5)"))
        };
        let mut unsigned = value.clone();
        let members = unsigned.as_object_mut().ok_or_else(|| wrong("record", "an object"))?;
        let sign = members.remove("sign").ok_or_else(|| wrong("sign", "the agent's signature"))?;
        let text = canonical(&unsigned).map_err(|error| Fault::refused(error.to_string()))?;
        if text.len() > limits::CREDENTIALS_BYTES {
            return Err(wrong("record", &format!("at most {} bytes", limits::CREDENTIALS_BYTES)));
        }
        let chad = Chad::from_value(value).map_err(|error| wrong("agent", &error.to_string()))?;
        if chad.agent != *agent || chad.host.is_none() || chad.port.is_none() {
            return Err(wrong("agent", "the sender's, with host and port"));
        }
        let instant = |value: &Value| value.as_str().and_then(|text| Timestamp::parse_any(text).ok());
        let from = instant(&value["term"]["from"]).ok_or_else(|| wrong("term.from", "an instant"))?;
        let to = instant(&value["term"]["to"]).filter(|to| *to >= from);
        let to = to.ok_or_else(|| wrong("term.to", "an instant that is not before term.from"))?;
        let date = instant(&value["date"]).ok_or_else(|| wrong("date", "an instant"))?;
        if !value["name"].is_string() {
            return Err(wrong("name", "a text"));
        }
        if !context.verify_agent(agent, text.as_bytes(), sign.as_str().unwrap_or_default()) {
            return Err(wrong("sign", "the agent's signature over all else"));
        }
        let chad = Chad { cuid: None, ..chad };
        Ok(Credentials { chad, term: Term { from, to }, date })
    }
}
