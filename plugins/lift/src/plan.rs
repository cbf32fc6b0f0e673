//! The originator's plan, sealed for the destination's agent alone (PROTOCOL 9.1, O-39). The seal is a Noise
//! message, which the host makes and opens.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tallyho_plugin::record::{AgentId, LiftCore, canonical};
use tallyho_plugin::services::host_command;
use tallyho_plugin::{Context, Fault};

/// What a plan says.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Linear: a payment.
    Payment {
        /// The payor at the originator's.
        payor: String,
        /// Invoice data.
        reference: Option<Value>,
        /// What for.
        memo: Option<String>,
        /// The payor's signature over the order; the payee keeps it, whose site cannot know the key.
        sign: Option<String>,
    },
    /// Circular: back to the originator.
    Circle {
        /// The bottom user of the originator's segment.
        user: String,
    },
}

#[derive(Deserialize)]
struct Members {
    cuid: String,
    pay: bool,
    #[serde(default, rename = "ref")]
    reference: Option<Value>,
    #[serde(default)]
    memo: Option<String>,
    #[serde(default)]
    sign: Option<String>,
}

#[derive(Deserialize)]
struct Sealed {
    sealed: String,
}

#[derive(Deserialize)]
struct Unsealed {
    text: Option<String>,
}

impl Plan {
    /// Canonical JSON, members without value left out.
    ///
    /// # Errors
    /// `Usage` where the reference cannot be written canonically.
    pub fn text(&self) -> Result<String, Fault> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        match self {
            Plan::Payment { payor, reference, memo, sign } => {
                put("cuid", Some(json!(payor)));
                put("pay", Some(json!(true)));
                put("ref", reference.clone());
                put("memo", memo.clone().map(Value::from));
                put("sign", sign.clone().map(Value::from));
            }
            Plan::Circle { user } => {
                put("cuid", Some(json!(user)));
                put("pay", Some(json!(false)));
            }
        }
        canonical(&Value::Object(members)).map_err(|error| Fault::usage(format!("ref: {error}")))
    }

    /// Reads [`Plan::text`].
    pub fn parse(text: &str) -> Option<Plan> {
        let Members { cuid, pay, reference, memo, sign } = serde_json::from_str(text).ok()?;
        Some(match pay {
            true => Plan::Payment { payor: cuid, reference, memo, sign },
            false => Plan::Circle { user: cuid },
        })
    }

    /// Sealed for this agent, base64url: the value of `org.plan`.
    ///
    /// # Errors
    /// The host's faults.
    pub fn seal(&self, to: &AgentId, lift: &str, context: &mut Context<'_>) -> Result<String, Fault> {
        let order = json!({ "to": to, "prologue": lift, "text": self.text()? });
        let Sealed { sealed } = context.invoke("host", host_command::SEAL, &order)?;
        Ok(sealed)
    }
}

/// The plan of a lift whose destination is here: `None` where it has none, which is a payment without details;
/// or why it cannot be read.
///
/// # Errors
/// The host's faults.
pub fn read(context: &mut Context<'_>, core: &LiftCore) -> Result<Result<Option<Plan>, String>, Fault> {
    let Some(sealed) = core.plan() else { return Ok(Ok(None)) };
    let order = json!({ "prologue": core.uuid(), "sealed": sealed });
    let Unsealed { text } = context.invoke("host", host_command::UNSEAL, &order)?;
    Ok(text.and_then(|text| Plan::parse(&text)).map(Some).ok_or_else(|| "policy".to_owned()))
}
