//! Invoices as they are handed out (PROTOCOL 9.9).

use super::limits::MAX_INTEGER;
use super::pasted::{Pasted, TextError, TextKind, external_chad};
use super::strict::strict_json;
use super::{AgentId, Chad, Timestamp, base64v, integer, uri};
use serde_json::{Map, Value, json};

/// Asks whoever reads it for a payment by lift. All but `chad` is optional: a decal has `chad`
/// alone.
///
/// ```
/// use tallyho_plugin::record::invoice::Invoice;
/// let link = "https://mychips.org/pay?chad=bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM&units=1234500&memo=Rye%20loaf";
/// let invoice = Invoice::read(link).unwrap();
/// assert_eq!((invoice.units, invoice.memo.as_deref()), (Some(1_234_500), Some("Rye loaf")));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Invoice {
    /// Whom to pay; `cuid` (perhaps obscured) is always there.
    pub chad: Chad,
    /// How much, in milli-CHIPs, 1 to 2^53 - 1.
    pub units: Option<i64>,
    /// Date of the invoice.
    pub date: Option<Timestamp>,
    /// The payee's own reference, any JSON.
    pub reference: Option<Value>,
    /// What for.
    pub memo: Option<String>,
    /// Agents that may know a way to the payee.
    pub hint: Vec<AgentId>,
}

const AN_INVOICE: &str = "an invoice: a link like https://mychips.org/pay?chad=bob:<agent>&units=1234500&memo=Rye%20loaf, \
                          or JSON like {\"pay\":{\"chad\":{...},\"units\":1234500}}; ask the payee for one";

impl Invoice {
    /// An invoice that names the payee alone: a decal.
    pub fn decal(chad: Chad) -> Self {
        Invoice { chad, units: None, date: None, reference: None, memo: None, hint: Vec::new() }
    }

    /// Reads whatever form of an invoice a person pasted. Older writers' `cid` is taken for `cuid`.
    ///
    /// # Errors
    /// [`TextError`], which says what was pasted instead, or which part of the invoice is wrong.
    pub fn read(text: &str) -> Result<Self, TextError> {
        match Pasted::read(text)? {
            Pasted::Members(TextKind::Invoice, members) => Self::from_members(&members),
            Pasted::Query(TextKind::Invoice, members) => Self::from_members(&from_query(members)?),
            other => Err(TextError::Kind { found: other.kind(), expected: AN_INVOICE }),
        }
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self, TextError> {
        let some = |name: &str| members.get(name).filter(|value| !value.is_null());
        let part = |name, expected| TextError::Part { kind: TextKind::Invoice, part: name, expected };
        let units = some("units").map(|value| {
            integer(value)
                .filter(|units| (1..=MAX_INTEGER).contains(units))
                .ok_or_else(|| part("units", "a whole number of milli-CHIPs from 1, for example 1234500"))
        });
        let date = some("date").map(|value| {
            let instant = value.as_str().and_then(|text| Timestamp::parse_any(text).ok());
            instant.ok_or_else(|| part("date", "an instant, for example \"2021-11-05T12:00:00.000Z\""))
        });
        let memo = some("memo").map(|value| {
            value.as_str().map(str::to_owned).ok_or_else(|| part("memo", "a text, for example \"Rye loaf\""))
        });
        let hint = some("hint").map(|value| {
            let agents = value.as_array().map(|agents| {
                agents.iter().map(|agent| agent.as_str().and_then(|text| AgentId::parse(text).ok())).collect()
            });
            let agents: Option<Vec<AgentId>> = agents.flatten();
            agents.ok_or_else(|| {
                part("hint", "a list of agent ids, for example [\"rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM\"]")
            })
        });
        Ok(Invoice {
            chad: external_chad(TextKind::Invoice, some("chad"))?,
            units: units.transpose()?,
            date: date.transpose()?,
            reference: some("ref").cloned(),
            memo: memo.transpose()?,
            hint: hint.transpose()?.unwrap_or_default(),
        })
    }

    /// `{"pay":{"chad":{..},"units":n,..}}`
    pub fn to_json(&self) -> Value {
        let mut pay = json!({ "chad": self.chad.to_value() });
        if let Some(units) = self.units {
            pay["units"] = Value::from(units);
        }
        if let Some(date) = self.date {
            pay["date"] = Value::from(date.text());
        }
        if let Some(reference) = &self.reference {
            pay["ref"] = reference.clone();
        }
        if let Some(memo) = &self.memo {
            pay["memo"] = Value::from(memo.as_str());
        }
        if !self.hint.is_empty() {
            pay["hint"] = self.hint.iter().map(|agent| agent.as_str()).collect();
        }
        json!({ "pay": pay })
    }

    /// `https://mychips.org/pay?chad=..&units=..&ref=..&memo=..`, or, with a date or hints, which
    /// that form has no room for, the whole JSON in base64url behind the `?`.
    pub fn to_link(&self) -> String {
        if self.date.is_some() || !self.hint.is_empty() {
            return format!("https://mychips.org/pay?{}", base64v::encode(self.to_json().to_string()));
        }
        let mut link = format!("https://mychips.org/pay?chad={}", uri::encode(&self.chad.to_string()));
        if let Some(units) = self.units {
            link.push_str(&format!("&units={units}"));
        }
        if let Some(reference) = &self.reference {
            link.push_str(&format!("&ref={}", uri::encode(&reference.to_string())));
        }
        if let Some(memo) = &self.memo {
            link.push_str(&format!("&memo={}", uri::encode(memo)));
        }
        link
    }
}

/// A query's values are texts: numbers and JSON are read out of them.
fn from_query(mut query: Map<String, Value>) -> Result<Map<String, Value>, TextError> {
    for name in ["units", "ref", "hint"] {
        if let Some(Value::String(text)) = query.get(name) {
            let value = match strict_json(text, super::limits::MAX_DEPTH) {
                Ok(value) => value,
                // A reference may be a plain text.
                Err(_) if name == "ref" => continue,
                Err(_) if name == "units" => Value::from(text.as_str()),
                Err(error) => return Err(error.into()),
            };
            query.insert(name.to_owned(), value);
        }
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const B: &str = "rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM";

    fn full() -> Invoice {
        Invoice {
            chad: format!("bob:{B}@localhost:65435").parse().unwrap(),
            units: Some(1_234_500),
            date: Timestamp::parse("2021-11-05T12:00:00.000Z").ok(),
            reference: Some(json!({"inv": "A-17&B+?", "lines": [1, 2]})),
            memo: Some("Rye loaf & butter + salt \u{e9}".to_owned()),
            hint: vec![AgentId(B.to_owned())],
        }
    }

    #[test]
    fn each_form_comes_back() {
        let short = Invoice { date: None, hint: vec![], ..full() };
        let decal = Invoice::decal(full().chad);
        for invoice in [full(), short, decal] {
            assert_eq!(Invoice::read(&invoice.to_json().to_string()).unwrap(), invoice);
            assert_eq!(Invoice::read(&invoice.to_link()).unwrap(), invoice, "{}", invoice.to_link());
            assert_eq!(Invoice::read(&invoice.to_json()["pay"].to_string()).unwrap(), invoice);
        }
        let text = Invoice { date: None, hint: vec![], reference: Some(json!("A 17")), ..full() };
        assert_eq!(Invoice::read(&text.to_link()).unwrap(), text);
    }

    #[test]
    fn browsers_and_older_writers_are_read() {
        let link = format!("https://mychips.org/pay?chad=bob:{B}&units=5&memo=Rye+loaf&ref=A-17&x=y");
        let invoice = Invoice::read(&link).unwrap();
        assert_eq!((invoice.memo.as_deref(), invoice.reference), (Some("Rye loaf"), Some(json!("A-17"))));
        let old = json!({"pay":{"chad":{"cid":"bob","agent":B},"units":null,"memo":null,"ref":null,"hint":null}});
        assert_eq!(Invoice::read(&old.to_string()).unwrap(), Invoice::decal(format!("bob:{B}").parse().unwrap()));
        let bare = base64v::encode(json!({"chad":{"cuid":"bob","agent":B},"memo":"x"}).to_string());
        assert_eq!(Invoice::read(&format!("https://mychips.org/pay?{bare}")).unwrap().memo.as_deref(), Some("x"));
    }

    #[test]
    fn something_else_and_wrong_parts_are_named() {
        let with = |name: &str, value: Value| {
            let mut invoice = full().to_json();
            invoice["pay"][name] = value;
            Invoice::read(&invoice.to_string()).unwrap_err().to_string()
        };
        for (message, named) in [
            (with("units", json!(0)), "an invoice: units: expected a whole number of milli-CHIPs"),
            (with("units", json!(1.5)), "an invoice: units"),
            (with("units", json!(1u64 << 53)), "an invoice: units"),
            (with("units", json!("5")), "an invoice: units"),
            (with("date", json!("today")), "an invoice: date"),
            (with("memo", json!(5)), "an invoice: memo"),
            (with("hint", json!(["x"])), "an invoice: hint"),
            (with("chad", json!({"agent": B})), "an invoice: chad.cuid"),
            (with("chad", Value::Null), "an invoice: chad: expected the address"),
        ] {
            assert!(message.starts_with(named), "{named}: {message}");
        }
        let link = format!("https://mychips.org/pay?chad=bob:{B}&units=five");
        assert!(Invoice::read(&link).unwrap_err().to_string().starts_with("an invoice: units"));
        let ticket = format!("chip://bob:{B}@h:1?token=0123456789abcdef0123456789abcdef");
        let message = Invoice::read(&ticket).unwrap_err().to_string();
        assert!(message.starts_with("this is a ticket; expected an invoice"), "{message}");
        assert!(Invoice::read(&format!("bob:{B}")).unwrap_err().to_string().contains("an address without a token"));
    }
}
