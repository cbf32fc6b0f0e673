//! Tickets as they are handed out (PROTOCOL 2.2).

use super::limits::{MAX_TOKEN, MIN_TOKEN};
use super::pasted::{Pasted, TextError, TextKind, external_chad};
use super::{Chad, Timestamp, uri};
use serde_json::{Map, Value, json};

/// A ticket: whoever holds it may once open a channel to the agent named, and ask for a tally.
///
/// ```
/// use tallyho_plugin::record::ticket::TicketText;
/// let uri = "chip://bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@localhost:65435\
///            ?token=0123456789abcdef0123456789abcdef";
/// let ticket = TicketText::read(uri).unwrap();
/// assert_eq!(ticket.chad.cuid.as_deref(), Some("bob"));
/// assert_eq!(TicketText::read(&ticket.to_link()).unwrap(), ticket);
/// let error = TicketText::read("bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM").unwrap_err();
/// assert!(error.to_string().starts_with("this is an address without a token; expected a ticket"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketText {
    /// The token, 22 to 128 characters of base64url.
    pub token: String,
    /// Whom to call; `cuid` is always there.
    pub chad: Chad,
    /// Last instant of use, where the form carries it: links and URIs do not.
    pub expires: Option<Timestamp>,
}

const A_TICKET: &str = "a ticket: a link like https://mychips.org/invite?token=...&chad=..., \
                        a URI like chip://bob:<agent>@host:port?token=..., or JSON like {\"invite\":{\"token\":...,\"chad\":{...}}}; \
                        ask the issuer for one";
const A_TOKEN: &str = "22 to 128 letters, digits, - and _, for example 0123456789abcdef0123456789abcdef";
const AN_EXPIRY: &str = "an instant, for example \"2021-11-05T20:05:00.000Z\"";

/// Whether a text has the form of a token (PROTOCOL 2.1).
pub fn is_token(text: &str) -> bool {
    (MIN_TOKEN..=MAX_TOKEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl TicketText {
    /// Reads whatever form of a ticket a person pasted. Older writers' `cid` is taken for `cuid`.
    ///
    /// # Errors
    /// [`TextError`], which says what was pasted instead, or which part of the ticket is wrong.
    pub fn read(text: &str) -> Result<Self, TextError> {
        match Pasted::read(text)? {
            Pasted::Address(chad, Some(token)) => Self::from_parts(Some(&chad.to_value()), Some(&json!(token)), None),
            Pasted::Members(TextKind::Ticket, members) | Pasted::Query(TextKind::Ticket, members) => {
                Self::from_members(&members)
            }
            other => Err(TextError::Kind { found: other.kind(), expected: A_TICKET }),
        }
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self, TextError> {
        Self::from_parts(members.get("chad"), members.get("token"), members.get("expires"))
    }

    fn from_parts(chad: Option<&Value>, token: Option<&Value>, expires: Option<&Value>) -> Result<Self, TextError> {
        let wrong = |part, expected| TextError::Part { kind: TextKind::Ticket, part, expected };
        let token = token.and_then(Value::as_str).filter(|text| is_token(text));
        let expires = match expires {
            None | Some(Value::Null) => None,
            Some(value) => {
                let instant = value.as_str().and_then(|text| Timestamp::parse_any(text).ok());
                Some(instant.ok_or_else(|| wrong("expires", AN_EXPIRY))?)
            }
        };
        Ok(TicketText {
            token: token.ok_or_else(|| wrong("token", A_TOKEN))?.to_owned(),
            chad: external_chad(TextKind::Ticket, chad)?,
            expires,
        })
    }

    /// `{"invite":{"token":..,"chad":{..},"expires":..}}`
    pub fn to_json(&self) -> Value {
        json!({ "invite": self.to_bare() })
    }

    /// `{"token":..,"chad":{..},"expires":..}`, for where the kind is clear from context.
    pub fn to_bare(&self) -> Value {
        let mut bare = json!({ "token": self.token, "chad": self.chad.to_value() });
        if let Some(expires) = self.expires {
            bare["expires"] = Value::from(expires.text());
        }
        bare
    }

    /// `https://mychips.org/invite?token=..&chad=..`, which QR codes carry.
    pub fn to_link(&self) -> String {
        let chad = self.chad.to_value().to_string();
        format!("https://mychips.org/invite?token={}&chad={}", uri::encode(&self.token), uri::encode(&chad))
    }

    /// `chip://cuid:agent@host:port?token=..`
    pub fn to_uri(&self) -> String {
        self.chad.to_uri(Some(&self.token))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const B: &str = "rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM";
    const T: &str = "0123456789abcdef0123456789abcdef";

    fn ticket() -> TicketText {
        let chad = format!("b\u{f6}b:{B}@localhost:65435").parse().unwrap();
        TicketText { token: T.to_owned(), chad, expires: Some(Timestamp::parse("2021-11-05T20:05:00.000Z").unwrap()) }
    }

    fn error(text: &str) -> String {
        TicketText::read(text).unwrap_err().to_string()
    }

    #[test]
    fn each_form_comes_back() {
        let ticket = ticket();
        assert_eq!(TicketText::read(&ticket.to_json().to_string()).unwrap(), ticket);
        assert_eq!(TicketText::read(&format!("  {}\n", ticket.to_bare())).unwrap(), ticket);
        let timeless = TicketText { expires: None, ..ticket };
        assert_eq!(TicketText::read(&timeless.to_link()).unwrap(), timeless);
        assert_eq!(TicketText::read(&timeless.to_uri()).unwrap(), timeless);
        assert_eq!(TicketText::read(&timeless.to_json().to_string()).unwrap(), timeless);
        assert_eq!(TicketText::read(timeless.to_uri().strip_prefix("chip://").unwrap()).unwrap(), timeless);
    }

    #[test]
    fn the_forms_are_those_of_the_protocol() {
        let ticket = TicketText { chad: format!("bob:{B}@localhost:65435").parse().unwrap(), ..ticket() };
        assert_eq!(
            ticket.to_json(),
            json!({"invite":{"token":T,"chad":{"cuid":"bob","agent":B,"host":"localhost","port":65435},"expires":"2021-11-05T20:05:00.000Z"}})
        );
        assert_eq!(ticket.to_uri(), format!("chip://bob:{B}@localhost:65435?token={T}"));
        assert_eq!(
            ticket.to_link(),
            format!(
                "https://mychips.org/invite?token={T}&chad=%7B%22agent%22%3A%22{B}%22%2C%22cuid%22%3A%22bob%22%2C%22host%22%3A%22localhost%22%2C%22port%22%3A65435%7D"
            )
        );
    }

    #[test]
    fn older_writers_are_read() {
        let old = json!({"invite":{"token":T,"chad":{"cid":"bob","agent":B,"host":null},"expires":null,"url":"x"}});
        assert_eq!(TicketText::read(&old.to_string()).unwrap().chad.to_string(), format!("bob:{B}"));
        let link = format!("http://other.example/x/invite/?chad=bob:{B}@h:1&token={T}#top");
        assert_eq!(TicketText::read(&link).unwrap().chad.to_string(), format!("bob:{B}@h:1"));
    }

    #[test]
    fn something_else_is_named() {
        for (text, named) in [
            (String::new(), "an empty text"),
            ("hello there".to_owned(), "a text of no known kind"),
            (T.to_owned(), "a token without the address"),
            (format!("bob:{B}@localhost:65435"), "an address without a token"),
            (format!("chip://bob:{B}@localhost:65435"), "an address without a token"),
            (json!({"cuid":"bob","agent":B}).to_string(), "an address without a token"),
            (json!({"pay":{"chad":{"cuid":"bob","agent":B},"units":5}}).to_string(), "an invoice"),
            (json!({"chad":{"cuid":"bob","agent":B},"units":5}).to_string(), "an invoice"),
            (format!("https://mychips.org/pay?chad=bob:{B}&units=5"), "an invoice"),
            (json!({"ticket":{"token":T,"host":"h","port":1}}).to_string(), "a user's login ticket"),
            (format!("https://mychips.org/ticket?token={T}"), "a user's login ticket"),
            (json!({"conkey":{"kty":"EC"}}).to_string(), "a connection key"),
            (json!({"signkey":{"kty":"EC","d":"secret"}}).to_string(), "a signing key"),
            (json!({"kty":"EC","d":"secret"}).to_string(), "a signing key"),
            (json!({"user":{"peer_cuid":"bob"}}).to_string(), "a user record"),
            (json!({"chad":{"cuid":"bob","agent":B},"public":{}}).to_string(), "a user record"),
            (json!({"tally":{"uuid":"x"}}).to_string(), "a tally"),
            (json!({"stock":{},"foil":{}}).to_string(), "a tally"),
            ("{}".to_owned(), "JSON of another kind"),
            ("https://example.org/".to_owned(), "a link of another kind"),
        ] {
            let message = error(&text);
            assert!(message.starts_with(&format!("this is {named}")), "{text}: {message}");
            assert!(message.contains("expected a ticket: a link like https://mychips.org/invite?"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_wrong_part_is_named() {
        let with = |change: &dyn Fn(&mut Value)| {
            let mut value = ticket().to_json();
            change(&mut value["invite"]);
            error(&value.to_string())
        };
        for (message, named) in [
            (with(&|ticket| ticket["token"] = json!("short")), "a ticket: token: expected 22 to 128"),
            (with(&|ticket| ticket["token"] = json!(7)), "a ticket: token"),
            (with(&|ticket| ticket["token"] = json!(format!("{T}="))), "a ticket: token"),
            (with(&|ticket| ticket["chad"]["agent"] = json!("x")), "a ticket: agent \"x\": expected 43"),
            (with(&|ticket| ticket["chad"]["port"] = json!(0)), "a ticket: port"),
            (with(&|ticket| drop(ticket["chad"].as_object_mut().unwrap().remove("cuid"))), "a ticket: chad.cuid"),
            (
                with(&|ticket| drop(ticket.as_object_mut().unwrap().remove("chad"))),
                "a ticket: chad: expected the address",
            ),
            (with(&|ticket| ticket["expires"] = json!("tomorrow")), "a ticket: expires: expected an instant"),
            (
                error(&format!("https://mychips.org/invite?token={T}&chad=%7")),
                "a ticket: link: expected percent-encoded",
            ),
            (error(&format!("https://mychips.org/invite?token={T}&chad=%7B%22agent%22")), "no valid JSON"),
            (error(&format!("chip://bob:{B}@localhost:65435?token=short")), "a ticket: token"),
            (error(&format!("chip://bob:{}@localhost:65435?token={T}", &B[1..])), "agent"),
            (error("{\"invite\":"), "no valid JSON at line 1"),
            (error("{\"token\":1,\"token\":2}"), "member \"token\" stands twice"),
            (error(&"x".repeat(70_000)), "the text has 70000 bytes"),
        ] {
            assert!(message.contains(named), "{named}: {message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_stops_the_reader(text in any::<String>(), start in prop::sample::select(vec!["", "{", "chip://", "https://x/invite?", "https://x/pay?"])) {
            let text = format!("{start}{text}");
            let _ = (TicketText::read(&text), crate::record::Invoice::read(&text));
        }

        #[test]
        fn every_ticket_comes_back_from_every_form(
            token in "[A-Za-z0-9_-]{22,128}",
            cuid in "[^:@/?#\\s\\p{C}]{1,16}",
            key in any::<[u8; 32]>(),
            at in prop::option::of(Timestamp::FIRST.0..=Timestamp::LAST.0),
        ) {
            let chad = Chad::user(cuid, crate::record::AgentId::from_bytes(&key)).at("2001:db8::7", 80);
            let ticket = TicketText { token, chad, expires: at.map(Timestamp) };
            prop_assert_eq!(&TicketText::read(&ticket.to_json().to_string()).unwrap(), &ticket);
            prop_assert_eq!(&TicketText::read(&ticket.to_bare().to_string()).unwrap(), &ticket);
            let timeless = TicketText { expires: None, ..ticket };
            prop_assert_eq!(&TicketText::read(&timeless.to_link()).unwrap(), &timeless);
            prop_assert_eq!(&TicketText::read(&timeless.to_uri()).unwrap(), &timeless);
        }
    }
}
