//! What a handler acts through while it handles one event.

use crate::Fault;
use crate::record::{AgentId, Chad, Timestamp};
use crate::services::{Check, CheckKey, LogLevel, Outgoing, Range, Relation, Services, TicketOrder, host_command};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Part of a table in key order, for [`Context::scan`].
pub type Scan = Range;

/// The services of the host for the event at hand. Effects are buffered and take effect together
/// when the handler returns `Ok`.
pub struct Context<'a> {
    services: &'a mut dyn Services,
}

/// This site's own address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteAddress {
    /// The agent id.
    pub agent: AgentId,
    /// Host name others dial.
    pub host: String,
    /// Port others dial.
    pub port: u16,
}

/// A user of this site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalUser {
    /// Name at this agent.
    pub cuid: String,
    /// The certificate to disclose, dated now.
    pub cert: Value,
    /// Whether the site holds the private key (`site`) or someone else does (`elsewhere`).
    pub custody: String,
}

/// A ticket issued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssuedTicket {
    /// The token.
    pub token: String,
    /// Last instant of use.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// `https://mychips.org/invite?...`
    pub link: String,
    /// `chip://...?token=...`
    pub uri: String,
    /// The JSON form (PROTOCOL 2.2).
    pub invite: Value,
}

impl<'a> Context<'a> {
    /// A context over these services.
    pub fn new(services: &'a mut dyn Services) -> Self {
        Context { services }
    }

    /// The services in bytes.
    pub fn services(&mut self) -> &mut dyn Services {
        self.services
    }

    /// Reads a record.
    ///
    /// # Errors
    /// See [`Services`]; `Failed` where the record does not fit `T`.
    pub fn get<T: DeserializeOwned>(&mut self, table: &str, key: impl AsRef<[u8]>) -> Result<Option<T>, Fault> {
        self.services.get(table, key.as_ref())?.map(|bytes| from_record(table, &bytes)).transpose()
    }

    /// Writes a record.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn put<T: Serialize>(&mut self, table: &str, key: impl AsRef<[u8]>, record: &T) -> Result<(), Fault> {
        self.services.put(table, key.as_ref(), &to_cbor(record)?)
    }

    /// Deletes a record, if there.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn delete(&mut self, table: &str, key: impl AsRef<[u8]>) -> Result<(), Fault> {
        self.services.delete(table, key.as_ref())
    }

    /// Reads records in key order.
    ///
    /// # Errors
    /// See [`Services`]; `Failed` where a record does not fit `T`.
    pub fn scan<T: DeserializeOwned>(&mut self, table: &str, range: &Scan) -> Result<Vec<(Vec<u8>, T)>, Fault> {
        let rows = self.services.scan(table, range)?;
        rows.into_iter().map(|(key, value)| Ok((key, from_record(table, &value)?))).collect()
    }

    /// Sends a message when the event commits.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        self.services.send(message)
    }

    /// Takes back a message not yet received.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault> {
        self.services.withdraw(agent, key)
    }

    /// Tells `user` something when the event commits.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault> {
        self.services.notice(user, notice)
    }

    /// Sets (or moves) a timer.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault> {
        self.services.set_timer(key, at)
    }

    /// Removes a timer, if set.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn cancel_timer(&mut self, key: &str) -> Result<(), Fault> {
        self.services.cancel_timer(key)
    }

    /// Calls another plugin's command inside this event's transaction.
    ///
    /// # Errors
    /// The called handler's fault, which is this event's too: pass it on. Code
    /// [`NOT_SERVED`](crate::services::NOT_SERVED) where no plugin serves the command, which you may make do
    /// without.
    pub fn invoke<T: DeserializeOwned>(
        &mut self,
        plugin: &str,
        command: &str,
        argument: &impl Serialize,
    ) -> Result<T, Fault> {
        self.invoke_encoded(plugin, command, &to_cbor(argument)?)
    }

    /// The same with arguments that are CBOR already, such as the body of a message that is handed on.
    ///
    /// # Errors
    /// As for [`invoke`](Self::invoke).
    pub fn invoke_encoded<T: DeserializeOwned>(
        &mut self,
        plugin: &str,
        command: &str,
        argument: &[u8],
    ) -> Result<T, Fault> {
        let answer = self.services.invoke(plugin, command, argument)?;
        ciborium::from_reader(answer.as_slice())
            .map_err(|error| Fault::failed(format!("answer of {plugin} {command} does not fit: {error}")))
    }

    /// During `Handler::migrate`: what has been done so far is kept, and the handler called again for more,
    /// until it returns without asking for that. An event's effects are bounded, so tables of more than a
    /// few thousand rows are brought over in parts; the handler has to find out itself where it stands.
    ///
    /// # Errors
    /// The host's, where nothing is migrated.
    pub fn migrate_again(&mut self) -> Result<(), Fault> {
        self.invoke::<Value>("host", crate::services::host_command::MIGRATE_AGAIN, &Value::Null).map(drop)
    }

    /// Whether a user's signature stands over `text`; `public` is the JWK of a certificate.
    pub fn verify_user(&mut self, public: &Value, text: &[u8], signature: &str) -> bool {
        match user_check(public, text, signature) {
            Some(check) => self.services.verify(&check),
            None => false,
        }
    }

    /// Whether an agent's signature stands over `text`.
    pub fn verify_agent(&mut self, agent: &AgentId, text: &[u8], signature: &str) -> bool {
        self.services.verify(&Check {
            key: CheckKey::Agent(agent.clone()),
            text: text.to_vec(),
            signature: signature.to_owned(),
        })
    }

    /// Signs with the agent's key; base64url, 86 characters.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn sign_agent(&mut self, text: &[u8]) -> Result<String, Fault> {
        Ok(URL_SAFE_NO_PAD.encode(self.services.sign_agent(text)?))
    }

    /// Signs with a user's key; base64url, 176 (P-521) or 86 (Ed25519) characters.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn sign_user(&mut self, user: &str, text: &[u8]) -> Result<String, Fault> {
        Ok(URL_SAFE_NO_PAD.encode(self.services.sign_user(user, text)?))
    }

    /// The event's time.
    pub fn now(&self) -> Timestamp {
        self.services.now()
    }

    /// Random bytes, the same in a replay.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.services.random(&mut bytes);
        bytes
    }

    /// A random uuid (version 4), lower case.
    pub fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.random()).into_uuid().hyphenated().to_string()
    }

    /// A uuid that begins with the event's time (version 7), lower case, and is random otherwise: rows named
    /// by such uuids stand in the order in which they were made. Where there will be many of them, a store
    /// then adds at one place instead of all over the table.
    pub fn dated_uuid(&mut self) -> String {
        let millis = u64::try_from(self.now().0).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.random()).into_uuid().hyphenated().to_string()
    }

    /// A line for the log.
    pub fn log(&mut self, level: LogLevel, text: &str) {
        self.services.log(level, text);
    }

    /// Adds to a counter, shown by `status`.
    pub fn metric(&mut self, name: &str, add: i64) {
        self.services.metric(name, add);
    }

    /// Grants (or renews) a relation.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn relate(&mut self, relation: &Relation) -> Result<(), Fault> {
        self.services.relate(relation)
    }

    /// Revokes a relation.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault> {
        self.services.unrelate(user, subject, agent)
    }

    /// This site's own address.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn site(&mut self) -> Result<SiteAddress, Fault> {
        self.invoke("host", host_command::SITE, &json!({}))
    }

    /// A user of this site.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name.
    pub fn user(&mut self, cuid: &str) -> Result<LocalUser, Fault> {
        self.invoke("host", host_command::USER, &json!({ "cuid": cuid }))
    }

    /// Issues a ticket.
    ///
    /// # Errors
    /// See [`Services`].
    pub fn issue_ticket(&mut self, order: &TicketOrder) -> Result<IssuedTicket, Fault> {
        self.invoke("host", host_command::TICKET_ISSUE, order)
    }

    /// Makes a token unusable.
    ///
    /// # Errors
    /// `NotFound` where this plugin has issued no such token.
    pub fn revoke_ticket(&mut self, token: &str) -> Result<(), Fault> {
        self.invoke::<Value>("host", host_command::TICKET_REVOKE, &json!({ "token": token })).map(drop)
    }
}

/// The check of a user's signature, for `Handler::prepare` and `Context::verify_user` alike; `None`
/// where the key is no object (nor a text holding one, PROTOCOL 1.4).
pub fn user_check(public: &Value, text: &[u8], signature: &str) -> Option<Check> {
    let key = CheckKey::User(jwk_text(public)?);
    Some(Check { key, text: text.to_vec(), signature: signature.to_owned() })
}

/// A certificate's `public` as text, which is how checks name keys; `None` where it is no object (nor
/// a text holding one, PROTOCOL 1.4).
pub fn jwk_text(public: &Value) -> Option<String> {
    match public {
        Value::Object(_) => Some(public.to_string()),
        Value::String(text) => {
            serde_json::from_str::<Value>(text).ok().filter(Value::is_object).map(|jwk| jwk.to_string())
        }
        _ => None,
    }
}

/// A value as CBOR.
///
/// # Errors
/// `Failed` where it cannot be expressed (never for records of this crate).
pub fn to_cbor(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| Fault::failed(format!("cannot encode: {error}")))?;
    Ok(bytes)
}

fn from_record<T: DeserializeOwned>(table: &str, bytes: &[u8]) -> Result<T, Fault> {
    ciborium::from_reader(bytes)
        .map_err(|error| Fault::failed(format!("a record of table {table} does not fit: {error}")))
}

impl Outgoing {
    /// A message with the defaults of a tally or chit request: sent again on the `Request` schedule
    /// until handed over, reporting only its end.
    ///
    /// # Errors
    /// `Failed` where the object cannot be expressed.
    pub fn new(
        to: Chad,
        from: impl Into<String>,
        target: &str,
        action: &str,
        object: &impl Serialize,
    ) -> Result<Self, Fault> {
        Ok(Outgoing {
            to,
            from: from.into(),
            target: target.to_owned(),
            action: action.to_owned(),
            object: to_cbor(object)?,
            tally: None,
            ticket: None,
            key: String::new(),
            schedule: crate::services::Schedule::Request,
            keep: crate::services::Keep::HandedOver,
            report: false,
            restricted: false,
        })
    }

    /// The same for a stranger: by a restricted channel (`R`, PROTOCOL 9.8, 10.2) to `to.host` and `to.port`,
    /// where only `to.agent` can read it. No relation is needed, and none comes of it.
    ///
    /// It is tried once, or set `schedule` to [`Until`](crate::services::Schedule::Until) an instant; the other
    /// schedules are refused. Fates are told as for any message. The answer comes as a
    /// [`Message`](crate::Message) that is `restricted` and `asked`: `from.agent` is proven. Which actions may
    /// come so the manifest says: [`Target::restricted`](crate::Target) and [`Target::answers`](crate::Target).
    /// Its receiver cannot know who sends it, so what it says must prove itself.
    ///
    /// ```
    /// # use tallyho_plugin::prelude::*;
    /// use tallyho_plugin::services::{Outgoing, Schedule};
    ///
    /// # fn ask(referee: Chad, lift: &Value, hash: &str, context: &mut Context<'_>) -> Result<(), Fault> {
    /// let mut check = Outgoing::new(referee, "", "lift", "check", lift)?.by_restricted_channel();
    /// check.key = format!("check:{hash}");
    /// check.schedule = Schedule::Until(context.now().plus(60_000));
    /// context.send(&check)
    /// # }
    /// ```
    #[must_use]
    pub fn by_restricted_channel(mut self) -> Self {
        self.restricted = true;
        self.schedule = crate::services::Schedule::Once;
        self
    }

    /// What every host checks of a message for a stranger before it takes it.
    ///
    /// # Errors
    /// `Failed` where its schedule is another than the three that `by_restricted_channel` allows; `Refused` of
    /// code `no-address` where nothing says where the stranger is.
    pub fn check_restricted(&self) -> Result<(), Fault> {
        use crate::services::Schedule::{Answer, Once, Until};
        if !self.restricted || self.schedule == Answer {
            return Ok(());
        }
        if self.ticket.is_some() || !matches!(self.schedule, Once | Until(_)) {
            let text = format!("{}/{} for a stranger: sent once, or until an instant", self.target, self.action);
            return Err(Fault::failed(text));
        }
        if self.to.host.is_none() || self.to.port.is_none() {
            let text = format!("nothing says where agent {} is", self.to.agent.0);
            return Err(Fault::refused(text).code("no-address").fix("name it as AGENT@HOST:PORT"));
        }
        Ok(())
    }
}
