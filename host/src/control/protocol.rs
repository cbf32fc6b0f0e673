//! What client and site say over the control socket: JSON objects, one a line.
//!
//! The site speaks first, then answers requests in order; notices come between answers. A client need not
//! wait for an answer before it sends the next request: commands are carried out in the order in which they
//! were sent, and many that wait share one commit.
//!
//! ```text
//! site    {"tallyho":1,"version":"0.1.0","agent":"c0rN…","pid":4711}
//! client  {"id":1,"do":"manifests"}
//! client  {"id":2,"do":"call","plugin":"tally","command":"offer","argument":{"uuid":"…"}}
//! client  {"id":3,"do":"watch","recent":10}
//! site    {"id":1,"ok":[…]}
//! site    {"id":2,"error":{"kind":"refused","code":"…","text":"…","fix":"…"}}
//! site    {"id":3,"ok":null}
//! site    {"id":3,"notice":{…}}
//! ```
//!
//! `id` is the client's, any JSON value, and comes back as it was. Unknown members are ignored on both
//! sides; a change that would need more raises [`PROTOCOL`], and a client refuses a greeting of another
//! version. A request may carry `"tallyho":1` too; another number is refused.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tallyho_plugin::{Fault, FaultKind};

/// Version of what is spoken here.
pub const PROTOCOL: u64 = 1;

/// What the site says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// [`PROTOCOL`] of the site.
    pub tallyho: u64,
    /// The program's version, for people.
    pub version: String,
    /// The site's agent id.
    pub agent: String,
    /// The process that serves.
    pub pid: u32,
}

impl Greeting {
    /// The greeting of this program, in this process.
    pub fn of(agent: impl Into<String>) -> Self {
        Greeting {
            tallyho: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            agent: agent.into(),
            pid: std::process::id(),
        }
    }
}

/// A client's request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The client's own name for it.
    pub id: Value,
    /// What it wants.
    pub wish: Wish,
}

/// What a client can want.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// What can be called.
    Manifests,
    /// A command carried out.
    Call {
        /// Whose command.
        plugin: String,
        /// Its name in the manifest.
        command: String,
        /// Its arguments; `{}` where the request has none.
        argument: Value,
    },
    /// Notices from now on.
    Watch {
        /// And so many old ones before.
        recent: usize,
    },
}

impl Request {
    /// The request as a line's object.
    pub fn to_json(&self) -> Value {
        match &self.wish {
            Wish::Manifests => json!({"id": self.id, "do": "manifests"}),
            Wish::Call { plugin, command, argument } => {
                json!({"id": self.id, "do": "call", "plugin": plugin, "command": command, "argument": argument})
            }
            Wish::Watch { recent } => json!({"id": self.id, "do": "watch", "recent": recent}),
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// The `id` to answer to (`null` where it cannot be read) and what does not fit.
    pub fn read(line: &[u8]) -> Result<Self, (Value, Fault)> {
        let wrong = |text: String| Fault::usage(text).code("control-request");
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| (Value::Null, wrong(format!("request is not JSON: {error}"))))?;
        let Value::Object(mut members) = value else {
            return Err((Value::Null, wrong("request is not a JSON object".into())));
        };
        let id = members.remove("id").unwrap_or(Value::Null);
        match members.get("tallyho") {
            None => {}
            Some(version) if version.as_u64() == Some(PROTOCOL) => {}
            Some(version) => {
                let text = format!("request is of control protocol {version}, this site speaks {PROTOCOL}");
                return Err((id, Fault::usage(text).code("control-version")));
            }
        }
        match read_wish(&mut members) {
            Ok(wish) => Ok(Request { id, wish }),
            Err(text) => Err((id, wrong(text))),
        }
    }
}

fn read_wish(members: &mut Map<String, Value>) -> Result<Wish, String> {
    let text = |members: &Map<String, Value>, name: &str| match members.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("member `{name}` is {other}, expected a string")),
        None => Err(format!("member `{name}` is missing")),
    };
    match text(members, "do")?.as_str() {
        "manifests" => Ok(Wish::Manifests),
        "call" => Ok(Wish::Call {
            plugin: text(members, "plugin")?,
            command: text(members, "command")?,
            argument: members.remove("argument").unwrap_or_else(|| json!({})),
        }),
        "watch" => {
            let recent = match members.get("recent") {
                None => 0,
                Some(count) => count
                    .as_u64()
                    .and_then(|count| usize::try_from(count).ok())
                    .ok_or_else(|| format!("member `recent` is {count}, expected a whole number"))?,
            };
            Ok(Wish::Watch { recent })
        }
        other => Err(format!("member `do` is `{other}`, expected `manifests`, `call` or `watch`")),
    }
}

/// What the site sends after its greeting.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The request was carried out.
    Ok(Value),
    /// It was not.
    Error(Fault),
    /// A notice for a watch.
    Notice(Value),
}

impl Reply {
    /// The reply as a line's object.
    pub fn into_json(self, id: &Value) -> Value {
        match self {
            Reply::Ok(value) => json!({"id": id, "ok": value}),
            Reply::Error(fault) => json!({"id": id, "error": fault}),
            Reply::Notice(notice) => json!({"id": id, "notice": notice}),
        }
    }

    /// Reads a line; gives its `id` too.
    ///
    /// # Errors
    /// What does not fit.
    pub fn read(line: &[u8]) -> Result<(Value, Reply), String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| format!("a line is not JSON: {error}"))?;
        let Value::Object(mut members) = value else { return Err("a line is not a JSON object".into()) };
        let id = members.remove("id").unwrap_or(Value::Null);
        if let Some(value) = members.remove("ok") {
            Ok((id, Reply::Ok(value)))
        } else if let Some(error) = members.remove("error") {
            Ok((id, Reply::Error(read_fault(error))))
        } else if let Some(notice) = members.remove("notice") {
            Ok((id, Reply::Notice(notice)))
        } else {
            Err("a line has none of the members `ok`, `error` and `notice`".into())
        }
    }
}

/// A fault as it came; one of a kind unknown here counts as the site's.
fn read_fault(error: Value) -> Fault {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let known = serde_json::from_value::<FaultKind>(error.get("kind").cloned().unwrap_or_default());
    let mut fault = Fault::new(known.unwrap_or(FaultKind::Failed), text("text").unwrap_or_else(|| error.to_string()));
    fault.code = text("code").unwrap_or_default();
    fault.fix = text("fix");
    fault
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_request_comes_back_as_it_was_written() {
        for wish in [
            Wish::Manifests,
            Wish::Call {
                plugin: "tally".into(),
                command: "offer".into(),
                argument: json!({"uuid": "x", "n": [1, 2.5]}),
            },
            Wish::Watch { recent: 7 },
        ] {
            let request = Request { id: json!("a"), wish };
            assert_eq!(Request::read(request.to_json().to_string().as_bytes()).unwrap(), request);
        }
    }

    #[test]
    fn unknown_members_are_ignored_and_missing_ones_have_their_defaults() {
        let request = Request::read(br#"{"id":1,"do":"call","plugin":"p","command":"c","colour":"red"}"#).unwrap();
        assert_eq!(request.wish, Wish::Call { plugin: "p".into(), command: "c".into(), argument: json!({}) });
        assert_eq!(
            Request::read(br#"{"do":"watch"}"#).unwrap(),
            Request { id: Value::Null, wish: Wish::Watch { recent: 0 } }
        );
        let (_, reply) = Reply::read(br#"{"id":1,"ok":5,"took":"long"}"#).unwrap();
        assert_eq!(reply, Reply::Ok(json!(5)));
    }

    #[test]
    fn a_request_that_does_not_fit_is_answered_under_its_id_and_names_the_member() {
        let fault = |line: &str| Request::read(line.as_bytes()).unwrap_err();
        for (line, id, word) in [
            ("{", Value::Null, "JSON"),
            ("[]", Value::Null, "object"),
            (r#"{"id":4}"#, json!(4), "`do` is missing"),
            (r#"{"id":4,"do":7}"#, json!(4), "`do` is 7"),
            (r#"{"id":4,"do":"dance"}"#, json!(4), "`dance`"),
            (r#"{"id":4,"do":"call","command":"c"}"#, json!(4), "`plugin` is missing"),
            (r#"{"id":4,"do":"watch","recent":-1}"#, json!(4), "`recent` is -1"),
        ] {
            let (found, error) = fault(line);
            assert_eq!(found, id, "{line}");
            assert!(error.text.contains(word), "{line}: {error}");
            assert_eq!(error.kind, FaultKind::Usage);
        }
    }

    #[test]
    fn a_request_of_another_version_is_refused_and_both_versions_are_named() {
        let (id, fault) = Request::read(br#"{"id":4,"tallyho":2,"do":"manifests"}"#).unwrap_err();
        assert_eq!((id, fault.code.as_str()), (json!(4), "control-version"));
        assert!(fault.text.contains('2') && fault.text.contains('1'), "{fault}");
        Request::read(br#"{"id":4,"tallyho":1,"do":"manifests"}"#).unwrap();
    }

    #[test]
    fn a_fault_keeps_its_parts_and_one_of_an_unknown_kind_its_text() {
        let fault = Fault::refused("no").code("ISR").fix("do so");
        let line = Reply::Error(fault.clone()).into_json(&json!(1)).to_string();
        assert_eq!(Reply::read(line.as_bytes()).unwrap(), (json!(1), Reply::Error(fault)));
        let (_, reply) = Reply::read(br#"{"id":1,"error":{"kind":"tired","text":"later","code":"zzz"}}"#).unwrap();
        assert_eq!(reply, Reply::Error(Fault::failed("later").code("zzz")));
    }
}
