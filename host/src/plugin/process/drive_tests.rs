//! The other end of the channel is played by these tests: as the child does, and as nobody should.
#![allow(clippy::unwrap_used)]
use super::super::remote::{Remote, end};
use super::super::words::Put;
use super::*;
use crate::plugin::limits::EFFECTS_KEPT_BACK;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;
use tallyho_plugin::record::Chad;
use tallyho_plugin::services::{Check, CheckKey, Outgoing, Range, Relation, Row};

const DEADLINE: Duration = Duration::from_secs(20);
const NOW: Timestamp = Timestamp(7);

/// Services that write down what they are asked for.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn note(&mut self, text: String) -> Result<(), Fault> {
        self.0.push(text);
        Ok(())
    }
}

impl Services for Notes {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.note(format!("get {table} {key:?}"))?;
        Ok((key != b"none").then(|| key.to_vec()))
    }
    fn scan(&mut self, table: &str, range: &Range) -> Result<Vec<Row>, Fault> {
        self.note(format!("scan {table} {}", range.limit))?;
        Ok(vec![(range.from.clone(), vec![9; range.limit as usize])])
    }
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if table == "other" {
            return Err(Fault::failed("not yours").code("table"));
        }
        self.note(format!("put {table} {key:?} {}", value.len()))
    }
    fn delete(&mut self, table: &str, key: &[u8]) -> Result<(), Fault> {
        self.note(format!("delete {table} {key:?}"))
    }
    fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        self.note(format!("send {}", message.action))?;
        Err(Fault::host("no room").code("outbox-full"))
    }
    fn withdraw(&mut self, agent: &AgentId, key: &str) -> Result<bool, Fault> {
        self.note(format!("withdraw {} {key}", agent.0)).map(|()| true)
    }
    fn notice(&mut self, user: &str, notice: &Value) -> Result<(), Fault> {
        self.note(format!("notice {user} {notice}"))
    }
    fn set_timer(&mut self, key: &str, at: Timestamp) -> Result<(), Fault> {
        self.note(format!("timer {key} {}", at.0))
    }
    fn cancel_timer(&mut self, key: &str) -> Result<(), Fault> {
        self.note(format!("cancel {key}"))
    }
    fn invoke(&mut self, plugin: &str, command: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        if command == "long" {
            let begun = Instant::now(); // what another plugin takes is not this one's
            while begun.elapsed() < Duration::from_millis(200) {
                thread::yield_now();
            }
        }
        self.note(format!("invoke {plugin} {command}")).map(|()| argument.to_vec())
    }
    fn verify(&mut self, check: &Check) -> bool {
        check.signature == "good"
    }
    fn sign_agent(&mut self, text: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(text.to_vec())
    }
    fn sign_user(&mut self, user: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::refused(user).code("custody"))
    }
    fn now(&self) -> Timestamp {
        NOW
    }
    fn random(&mut self, buffer: &mut [u8]) {
        buffer.fill(4);
    }
    fn log(&mut self, level: LogLevel, text: &str) {
        self.0.push(format!("log {level:?} {text}"));
    }
    fn metric(&mut self, name: &str, add: i64) {
        self.0.push(format!("metric {name} {add}"));
    }
    fn relate(&mut self, relation: &Relation) -> Result<(), Fault> {
        self.note(format!("relate {}", relation.subject))
    }
    fn unrelate(&mut self, user: &str, subject: &str, agent: &AgentId) -> Result<(), Fault> {
        self.note(format!("unrelate {user} {subject} {}", agent.0))
    }
}

/// What comes of an event whose handler does this in its process, and what was asked of the host.
fn handled(
    handler: impl FnOnce(&mut Remote<'_>) -> Result<Vec<u8>, Fault> + Send + 'static,
) -> (Result<Vec<u8>, Fault>, Vec<String>) {
    let (here, there) = UnixStream::pair().unwrap();
    let process = thread::spawn(move || {
        let mut channel = Channel::new(there).unwrap();
        channel.receive(None).unwrap();
        let mut services = Remote::new(&mut channel, NOW);
        let result = handler(&mut services);
        services.end(result).unwrap();
    });
    let (mut channel, mut notes) = (Channel::new(here).unwrap(), Notes::default());
    let result = call(&mut channel, DEADLINE, Some(&mut notes), |out| out.push(order::HANDLE));
    process.join().unwrap();
    (result.unwrap(), notes.0)
}

#[test]
fn every_service_is_had_over_the_channel() {
    let agent = AgentId("A".to_owned());
    let check = |signature: &str| {
        let (key, signature) = (CheckKey::User("{}".to_owned()), signature.to_owned());
        Check { key, text: vec![1], signature }
    };
    let (result, notes) = handled(move |services| {
        assert_eq!(services.now(), NOW);
        services.put("t", b"k", &[1; 600])?;
        services.delete("t", b"gone")?;
        assert_eq!(services.get("t", b"k")?, Some(b"k".to_vec()));
        assert_eq!(services.get("t", b"none")?, None);
        assert_eq!(services.scan("t", &Range::beginning(*b"a", 3))?, [(b"a".to_vec(), vec![9; 3])]);
        let message = Outgoing::new(Chad::agent(agent.clone()), "u", "t", "say", &1)?;
        assert_eq!(services.send(&message).unwrap_err().code, "outbox-full");
        assert!(services.withdraw(&agent, "key")?);
        services.notice("alice", &json!({ "a": 1 }))?;
        services.set_timer("t", Timestamp(5))?;
        services.cancel_timer("t")?;
        assert_eq!(services.invoke("tally", "do", b"argument")?, b"argument");
        assert_eq!((services.verify(&check("good")), services.verify(&check("bad"))), (true, false));
        assert_eq!(services.sign_agent(b"text")?, b"text");
        assert_eq!(services.sign_user("bob", b"text").unwrap_err().code, "custody");
        let mut random = vec![0; MAX_RANDOM + 5];
        services.random(&mut random);
        assert!(random.iter().all(|byte| *byte == 4));
        services.metric("m", -3);
        services.unrelate("alice", "s", &agent)?;
        services.log(LogLevel::Warn, "the last");
        Ok(vec![8; 600])
    });
    assert_eq!(result, Ok(vec![8; 600]));
    let first = ["put t [107] 600", "delete t [103, 111, 110, 101]", "get t [107]", "get t [110, 111, 110, 101]"];
    let then = ["scan t 3", "send say", "withdraw A key", "notice alice {\"a\":1}", "timer t 5", "cancel t"];
    let last = ["invoke tally do", "metric m -3", "unrelate alice s A", "log Warn the last"];
    assert_eq!(notes, [&first[..], &then, &last].concat(), "in the order in which they were made");
}

#[test]
fn a_fault_of_an_effect_is_the_events_whatever_its_handler_makes_of_it() {
    let (result, notes) = handled(|services| {
        services.put("other", b"k", b"v")?;
        services.put("t", b"k", b"v")?;
        assert_eq!(services.get("t", b"k").unwrap_err().code, "table");
        Ok(Vec::new())
    });
    assert_eq!((result.unwrap_err().code, notes), ("table".to_owned(), Vec::new()));
}

#[test]
fn many_effects_are_handed_over_before_they_fill_memory() {
    let (result, notes) = handled(|services| {
        for _ in 0..6 {
            services.put("t", b"k", &[0; EFFECTS_KEPT_BACK / 2])?;
        }
        let huge = services.put("t", b"k", &vec![0; MAX_FRAME]).unwrap_err();
        assert!(huge.text.contains("expected at most"), "{huge}");
        Err(Fault::refused("no").code("own"))
    });
    assert_eq!((result.unwrap_err().code, notes.len()), ("own".to_owned(), 6));
}

#[test]
fn more_rows_than_fit_a_frame_are_a_fault_and_the_process_serves_on() {
    let (result, _) = handled(|services| {
        let fault = services.scan("t", &Range::beginning(*b"a", MAX_FRAME as u32)).unwrap_err();
        assert_eq!(fault.code, "too-large");
        services.get("t", b"k").map(Option::unwrap)
    });
    assert_eq!(result, Ok(b"k".to_vec()));
}

type Called = Result<Result<Vec<u8>, Fault>, Broken>;

/// What a call comes to whose other end says these bytes and goes.
fn told(bytes: &[u8], with_services: bool) -> (Called, Vec<String>) {
    let (here, there) = UnixStream::pair().unwrap();
    let mut channel = Channel::new(here).unwrap();
    (&there).write_all(bytes).unwrap();
    let mut notes = Notes::default();
    let services: Option<&mut dyn Services> = if with_services { Some(&mut notes) } else { None };
    // What it is sent has to be read, or the end of the channel is an error of its own.
    there.shutdown(std::net::Shutdown::Write).unwrap();
    let result = call(&mut channel, Duration::from_secs(1), services, |out| out.push(order::HANDLE));
    (result, notes.0)
}

fn frame(word: u8, effects: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut inner = vec![word];
    inner.part(effects);
    inner.extend_from_slice(rest);
    let mut frame = Vec::new();
    frame.part(&inner);
    frame
}

#[test]
fn what_breaks_the_rules_is_found_out_and_does_nothing() {
    let mut name = Vec::new();
    name.part(&[0xff, 0xfe]);
    let asks = |asked: u8, rest: &[u8]| frame(word::ASK, &[], &[&[asked], rest].concat());
    for (bytes, with_services) in [
        (frame(99, &[], &[]), true),
        (frame(word::READY, &[], &[]), true),
        (frame(word::ASK, &[], &[]), true),
        (asks(200, &[]), true),
        (asks(ask::GET, &[1, 0, 0, 0]), true),
        (asks(ask::GET, &name), true),
        (asks(ask::GET, &u32::MAX.to_le_bytes()), true),
        (asks(ask::SEND, &[3, 0, 0, 0, 1, 2, 3]), true),
        (asks(ask::RANDOM, &i64::MAX.to_le_bytes()), true),
        (asks(ask::RANDOM, &(-1_i64).to_le_bytes()), true),
        (asks(ask::EFFECTS, &[]), false),
        (frame(word::DONE, &[77], &[]), true),
        (frame(word::DONE, &[effect::PUT, 9, 9], &[]), true),
        (frame(word::DONE, &[effect::CANCEL_TIMER, 0, 0, 0, 0], &[]), false),
        (vec![0, 0, 0, 0], true),
        (u32::MAX.to_le_bytes().to_vec(), true),
        ([frame(word::DONE, &[], &[]), vec![1]].concat(), true),
    ] {
        let (result, notes) = told(&bytes, with_services);
        assert!(matches!(result, Err(Broken::Bad(_))), "{bytes:?}: {result:?}");
        assert_eq!(notes, Vec::<String>::new(), "{bytes:?}");
    }
}

#[test]
fn a_fault_that_is_none_and_an_answer_beyond_the_bound_are_the_plugins_faults() {
    let (result, _) = told(&frame(word::FAULT, &[], b"nonsense"), true);
    assert_eq!(result.unwrap().unwrap_err().kind, FaultKind::Failed);
    let (result, _) = handled(|_| Ok(vec![0; MAX_ANSWER_BYTES + 1]));
    assert_eq!(result.unwrap_err().code, "too-large");
}

#[test]
fn one_that_asks_for_ever_or_says_nothing_is_late() {
    let late = |process: fn(Channel)| {
        let (here, there) = UnixStream::pair().unwrap();
        let process = thread::spawn(move || process(Channel::new(there).unwrap()));
        let mut channel = Channel::new(here).unwrap();
        let called = call(&mut channel, Duration::from_millis(100), Some(&mut Notes::default()), |out| out.push(1));
        drop(channel);
        process.join().unwrap();
        called
    };
    let asks_for_ever = |mut channel: Channel| {
        while channel.receive(None).is_ok() {
            let asked = channel.send(None, |out| {
                out.push(word::ASK);
                out.part(&[]);
                out.push(ask::EFFECTS);
            });
            if asked.is_err() {
                break;
            }
        }
    };
    assert!(matches!(late(asks_for_ever), Err(Broken::Late)));
    let says_nothing = |mut channel: Channel| while channel.receive(None).is_ok() {};
    assert!(matches!(late(says_nothing), Err(Broken::Late)));
    let invokes = |mut channel: Channel| {
        channel.receive(None).unwrap();
        let mut services = Remote::new(&mut channel, NOW);
        let answer = services.invoke("other", "long", b"yes");
        end(&mut channel, &[], answer).unwrap();
    };
    assert_eq!(late(invokes).unwrap(), Ok(b"yes".to_vec()), "another plugin's time is not its own");
}

proptest! {
    #[test]
    fn whatever_comes_is_an_end_of_the_call_and_never_a_panic(bytes: Vec<u8>, word in 3u8..8, rest: Vec<u8>) {
        let _ = told(&bytes, true);
        let _ = told(&frame(word, &bytes, &rest), true);
        let _ = told(&frame(word, &[], &rest), true);
    }
}
