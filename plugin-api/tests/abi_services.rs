//! What a handler asks of its host arrives unchanged on the other side of the border, and back.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tallyho_plugin::abi_host::lend_services;
use tallyho_plugin::abi_plugin::AbiServices;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{Check, CheckKey, LogLevel, Outgoing, Range, Relation, Row, Services};
use tallyho_plugin::{Fault, FaultKind};

/// Writes down each call and answers with something to be recognised.
#[derive(Default)]
struct Notebook {
    calls: Vec<String>,
}

impl Notebook {
    fn note(&mut self, call: impl Into<String>) {
        self.calls.push(call.into());
    }
}

impl Services for Notebook {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.note(format!("get {table} {key:?}"));
        match table {
            "refused" => Err(Fault::refused("not granted").code("grant").fix("declare it")),
            "panics" => panic!("the store fell over"),
            _ => Ok((!key.is_empty()).then(|| key.repeat(2))),
        }
    }
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, Fault> {
        self.note(format!("scan {table} {range:?}"));
        Ok(vec![(vec![], vec![1]), (vec![2, 3], vec![])])
    }
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.note(format!("put {table} {key:?} {value:?}"));
        Ok(())
    }
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), Fault> {
        self.note(format!("delete {table} {key:?}"));
        Ok(())
    }
    fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        self.note(format!("send {message:?}"));
        Ok(())
    }
    fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault> {
        self.note(format!("withdraw {} {key}", agent.0));
        Ok(true)
    }
    fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault> {
        self.note(format!("notice {user} {notice}"));
        Ok(())
    }
    fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault> {
        self.note(format!("set_timer {key} {}", at.0));
        Ok(())
    }
    fn cancel_timer(&mut self, key: &str) -> Result<(), Fault> {
        self.note(format!("cancel_timer {key}"));
        Ok(())
    }
    fn invoke(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        self.note(format!("invoke {plugin} {command} {argument:?}"));
        Ok(argument.iter().rev().copied().collect())
    }
    fn verify(&mut self, check: &Check) -> bool {
        self.note(format!("verify {check:?}"));
        true
    }
    fn sign_agent(&mut self, text: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(text.repeat(3))
    }
    fn sign_user(&mut self, user: &str, text: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok([user.as_bytes(), text].concat())
    }
    fn now(&self) -> Timestamp {
        Timestamp(-7)
    }
    fn random(&mut self, buffer: &mut [u8]) {
        buffer.fill(9);
    }
    fn log(&mut self, level: LogLevel, text: &str) {
        self.note(format!("log {level:?} {text}"));
    }
    fn metric(&mut self, name: &str, add: i64) {
        self.note(format!("metric {name} {add}"));
    }
    fn relate(&mut self, relation: &Relation) -> Result<(), Fault> {
        self.note(format!("relate {relation:?}"));
        Ok(())
    }
    fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault> {
        self.note(format!("unrelate {user} {subject} {}", agent.0));
        Ok(())
    }
}

/// Does the same things with any services.
fn everything(services: &mut dyn Services) -> Vec<String> {
    let agent = AgentId("agent".into());
    let to = Chad { cuid: None, agent: agent.clone(), host: Some("h".into()), port: Some(1) };
    let mut outgoing = Outgoing::new(to, "joe", "echo", "said", &json!({"a": [1, null]})).unwrap();
    outgoing.ticket = Some(json!({"token": "x"}));
    let range = Range { from: vec![0], to: Some(vec![255].into()), reverse: true, limit: 10 };
    let check = Check { key: CheckKey::User("{}".into()), text: vec![0, 159], signature: "s".into() };
    let relation = Relation {
        user: "joe".into(),
        subject: "t".into(),
        partner: "ann".into(),
        agent: agent.clone(),
        host: None,
        port: None,
        until: Some(Timestamp(5)),
    };
    let mut random = [0; 5];
    services.random(&mut random);
    services.log(LogLevel::Warn, "line");
    services.metric("count", -3);
    vec![
        format!("{random:?}"),
        format!("{:?}", services.get("t", b"key")),
        format!("{:?}", services.get("t", b"")),
        format!("{:?}", services.get("refused", b"key")),
        format!("{:?}", services.scan("t", &range)),
        format!("{:?}", services.put("t", b"k", &[1; 600])),
        format!("{:?}", services.delete("t", b"k")),
        format!("{:?}", services.send(&outgoing)),
        format!("{:?}", services.withdraw(&agent, "key")),
        format!("{:?}", services.notice("joe", &json!({"n": 1.5}))),
        format!("{:?}", services.set_timer("k", Timestamp(i64::MAX))),
        format!("{:?}", services.cancel_timer("k")),
        format!("{:?}", services.invoke("tally", "reserve", &[1, 2])),
        format!("{:?}", services.verify(&check)),
        format!("{:?}", services.sign_agent(b"text")),
        format!("{:?}", services.sign_user("joe", b"text")),
        format!("{:?}", services.now()),
        format!("{:?}", services.relate(&relation)),
        format!("{:?}", services.unrelate("joe", "t", &agent)),
    ]
}

#[test]
fn every_service_is_the_same_across_the_border() {
    let mut direct = Notebook::default();
    let expected = everything(&mut direct);
    let mut lent = Notebook::default();
    let found = lend_services(&mut lent, |host| everything(&mut AbiServices::new(host))).unwrap();
    assert_eq!(found, expected);
    assert_eq!(lent.calls, direct.calls);
    assert_eq!(lent.calls.len(), 17, "all but `random`, `now` and the signatures are written down");
}

#[test]
fn a_panicking_service_fails_the_event_even_if_the_plugin_goes_on() {
    let mut notebook = Notebook::default();
    let fault = lend_services(&mut notebook, |host| {
        let mut services = AbiServices::new(host);
        let fault = services.get("panics", b"key").unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Host, "panic"));
        services.put("t", b"k", b"v").unwrap_err();
        "went on"
    })
    .unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Host, "panic"));
    assert!(fault.text.contains("the store fell over"), "{fault}");
    assert_eq!(notebook.calls, ["get panics [107, 101, 121]"], "nothing is called after the panic");
}
