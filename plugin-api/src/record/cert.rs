//! Certificates: what a user discloses to a partner (PROTOCOL 1.3).

use super::keys::PublicKey;
use super::limits::MAX_CERTIFICATE;
use super::shape::{Members, refuse_nulls};
use super::{AgentId, Chad, RecordError, Timestamp, canonical};
use serde_json::{Map, Value};

/// A certificate that passed the acceptance check. The value stays as it came, unknown members and
/// nulls included: signatures of tallies cover it.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    value: Value,
    chad: Chad,
    public: PublicKey,
}

impl Certificate {
    /// Checks a partner's certificate: an object of at most 24,000 canonical bytes, `chad.cuid` and
    /// `chad.agent` well formed, `public` a usable key, and, where `expected` is given, its agent
    /// the one that the message came from. That the party is not the own holder is left to the
    /// caller ([`Chad::same_party`]).
    ///
    /// # Errors
    /// [`RecordError`] naming the member at fault.
    pub fn check(value: &Value, expected: Option<&AgentId>) -> Result<Self, RecordError> {
        let members = Members::of(value, "cert", "1.3")?;
        let bytes = canonical(value)?.len();
        if bytes > MAX_CERTIFICATE {
            return Err(RecordError::TooLarge { what: "the certificate", bytes, most: MAX_CERTIFICATE, clause: "3.2" });
        }
        let chad = chad_of(value)?;
        if expected.is_some_and(|agent| *agent != chad.agent) {
            return Err(RecordError::Mismatch {
                member: "cert.chad.agent".to_owned(),
                with: "the agent it came from",
                clause: "1.3",
            });
        }
        let public = PublicKey::from_jwk(members.some("public", "a JWK object")?)
            .map_err(|source| RecordError::Key { member: "cert.public".to_owned(), source })?;
        Ok(Certificate { value: value.clone(), chad, public })
    }

    /// The certificate as it came.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The certificate as it came.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// Whose it is; `cuid` is always there. Malformed host or port, being hints, are absent.
    pub fn chad(&self) -> &Chad {
        &self.chad
    }

    /// The user's name at its agent.
    pub fn cuid(&self) -> &str {
        self.chad.cuid.as_deref().unwrap_or_default()
    }

    /// The user's signing key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key as the certificate carries it.
    pub fn public_value(&self) -> &Value {
        &self.value["public"]
    }
}

/// The address in a certificate's `chad`, with `cuid`; host and port are hints, so malformed ones
/// are taken as absent.
///
/// # Errors
/// [`RecordError`] where `cuid` or `agent` is absent or malformed.
pub fn chad_of(cert: &Value) -> Result<Chad, RecordError> {
    const WAY: &str = "cert.chad";
    let chad = Members::of(cert, "cert", "1.3")?.some("chad", "an address object")?;
    let members = Members::of(chad, WAY, "1.3")?;
    members.text("cuid")?;
    members.text("agent")?;
    let party: Map<String, Value> =
        ["cuid", "agent"].iter().filter_map(|name| Some(((*name).to_owned(), members.get(name)?.clone()))).collect();
    let party = Chad::from_value(&Value::Object(party))
        .map_err(|source| RecordError::Chad { member: WAY.to_owned(), source })?;
    Ok(Chad::from_value(chad).unwrap_or(party))
}

/// Whether two certificates show the same `chad` and the same `public` (PROTOCOL 4.4 items 2 and
/// 3), compared canonically.
pub fn same_identity(one: &Value, other: &Value) -> bool {
    ["chad", "public"].iter().all(|name| {
        let member = |cert: &Value| cert.get(name).and_then(|value| canonical(value).ok());
        member(one).is_some() && member(one) == member(other)
    })
}

/// A certificate of a local user in the making.
///
/// ```
/// use tallyho_plugin::record::{Chad, Timestamp, cert::NewCertificate, keys::PublicKey};
/// # let public = PublicKey::Ed25519([3; 32]);
/// let chad: Chad = "bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@localhost:65435".parse().unwrap();
/// let cert = NewCertificate::person(chad, "Bob", &public, Timestamp(0)).build().unwrap();
/// assert_eq!(cert.value()["date"], "1970-01-01T00:00:00.000Z");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NewCertificate {
    /// Whose: `cuid`, `agent`, `host` and `port`.
    pub chad: Chad,
    /// When produced.
    pub date: Timestamp,
    /// `p` person, `o` organisation, or another code of one letter.
    pub kind: String,
    /// `{surname, first, middle, prefer}` for a person, a text otherwise.
    pub name: Value,
    /// The user's signing key as JWK.
    pub public: Value,
    /// Further members: `connect`, `place`, `file`, `identity`.
    pub more: Map<String, Value>,
}

impl NewCertificate {
    /// A person's, known by one name alone.
    pub fn person(chad: Chad, name: &str, public: &PublicKey, date: Timestamp) -> Self {
        let name = serde_json::json!({ "prefer": name });
        NewCertificate { chad, date, kind: "p".to_owned(), name, public: public.to_jwk(), more: Map::new() }
    }

    /// The certificate, which passes [`Certificate::check`] everywhere.
    ///
    /// # Errors
    /// [`RecordError`] where the address lacks a part, a member is null (PROTOCOL 3.3: authors write
    /// none) or the whole is too large.
    pub fn build(self) -> Result<Certificate, RecordError> {
        let mut members = self.more;
        let chad = self.chad.to_value();
        let parts = Members::of(&chad, "cert.chad", "1.3")?;
        for part in ["cuid", "host", "port"] {
            parts.some(part, "a part that a certificate's address must have")?;
        }
        self.chad.check().map_err(|source| RecordError::Chad { member: "cert.chad".to_owned(), source })?;
        members.insert("chad".to_owned(), chad);
        members.insert("date".to_owned(), Value::from(self.date.text()));
        members.insert("type".to_owned(), Value::from(self.kind));
        members.insert("name".to_owned(), self.name);
        members.insert("public".to_owned(), self.public);
        let value = Value::Object(members);
        refuse_nulls(&value, "cert")?;
        Certificate::check(&value, None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::vectors::vectors;
    use serde_json::json;

    fn bob() -> Value {
        vectors()["tally"]["foil"]["cert"].clone()
    }

    #[test]
    fn a_good_certificate_is_kept_as_it_came() {
        let mut value = bob();
        value["identity"] = Value::Null;
        value["x-own"] = json!([1.5, {"b": null, "a": "\u{e9}"}]);
        let cert =
            Certificate::check(&value, Some(&AgentId("rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM".into()))).unwrap();
        assert_eq!(cert.value(), &value);
        assert_eq!(cert.cuid(), "bob");
        assert_eq!(cert.chad().port, Some(65435));
        assert_eq!(cert.public_value(), &value["public"]);
        assert_eq!(cert.public(), &PublicKey::from_jwk(&value["public"]).unwrap());
    }

    #[test]
    fn a_key_given_as_text_is_tolerated() {
        let mut value = bob();
        value["public"] = Value::from(value["public"].to_string());
        let cert = Certificate::check(&value, None).unwrap();
        assert_eq!(cert.public(), Certificate::check(&bob(), None).unwrap().public());
    }

    #[test]
    fn host_and_port_are_hints_and_never_reasons_to_refuse() {
        let mut value = bob();
        value["chad"]["port"] = json!("many");
        let cert = Certificate::check(&value, None).unwrap();
        assert_eq!((cert.cuid(), cert.chad().host.as_deref(), cert.chad().port), ("bob", None, None));
    }

    #[test]
    fn what_the_check_asks_for_is_refused_by_name() {
        let broken = |change: &dyn Fn(&mut Value)| {
            let mut value = bob();
            change(&mut value);
            Certificate::check(&value, None).unwrap_err().to_string()
        };
        for (message, named) in [
            (broken(&|cert| *cert = json!([])), "cert: expected an object"),
            (broken(&|cert| drop(cert.as_object_mut().unwrap().remove("chad"))), "cert.chad"),
            (broken(&|cert| drop(cert["chad"].as_object_mut().unwrap().remove("cuid"))), "cert.chad.cuid"),
            (broken(&|cert| cert["chad"] = json!({"cid":"bob","agent":"x"})), "cert.chad.cuid"),
            (broken(&|cert| cert["chad"]["cuid"] = json!("a b")), "cert.chad: cuid \"a b\""),
            (broken(&|cert| cert["chad"]["agent"] = json!("short")), "cert.chad: agent \"short\""),
            (broken(&|cert| cert["public"] = Value::Null), "cert.public: expected a JWK"),
            (broken(&|cert| cert["public"]["crv"] = json!("P-256")), "cert.public: keys of kind EC P-256"),
            (broken(&|cert| cert["n"] = json!(1u64 << 60)), "n: the integer"),
            (broken(&|cert| cert["note"] = json!("x".repeat(24_000))), "at most 24000"),
        ] {
            assert!(message.contains(named), "{message}");
        }
        let other = AgentId("c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg".into());
        let message = Certificate::check(&bob(), Some(&other)).unwrap_err().to_string();
        assert!(message.contains("cert.chad.agent: does not match the agent it came from"), "{message}");
    }

    #[test]
    fn the_bound_of_24000_bytes_is_exact() {
        let mut value = bob();
        value["note"] = json!("");
        let rest = MAX_CERTIFICATE - canonical(&value).unwrap().len();
        value["note"] = json!("x".repeat(rest));
        assert!(Certificate::check(&value, None).is_ok());
        value["note"] = json!("x".repeat(rest + 1));
        assert!(Certificate::check(&value, None).is_err());
    }

    #[test]
    fn an_own_certificate_is_complete_and_without_nulls() {
        let chad: Chad = "bob:rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM@localhost:65435".parse().unwrap();
        let key = PublicKey::Ed25519([3; 32]);
        let new = NewCertificate::person(chad, "Bob", &key, Timestamp(1_635_969_601_250));
        let cert = new.clone().build().unwrap();
        assert_eq!(
            cert.value(),
            &json!({
                "chad": bob()["chad"], "date": "2021-11-03T20:00:01.250Z", "type": "p", "name": {"prefer": "Bob"},
                "public": key.to_jwk(),
            })
        );
        let homeless = NewCertificate { chad: new.chad.party(), ..new.clone() };
        assert!(homeless.build().unwrap_err().to_string().contains("cert.chad.host"));
        let more = [("place".to_owned(), json!([{"city": null}]))].into_iter().collect();
        assert!(NewCertificate { more, ..new }.build().unwrap_err().to_string().contains("cert.place[0].city"));
    }

    #[test]
    fn the_same_identity_may_have_another_date_but_no_other_key_or_address() {
        let mut later = bob();
        later["date"] = json!("2022-01-01T00:00:00.000Z");
        assert!(same_identity(&bob(), &later));
        later["chad"]["port"] = json!(65435.0);
        assert!(same_identity(&bob(), &later), "the same number");
        later["chad"]["port"] = json!(1);
        assert!(!same_identity(&bob(), &later));
        assert!(!same_identity(&bob(), &vectors()["tally"]["stock"]["cert"]));
        assert!(!same_identity(&json!({}), &json!({})));
    }
}
