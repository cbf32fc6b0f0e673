//! A ticket is consumed with the event it led to, or not at all (PROTOCOL 2.4).

use crate::ledger::input::{Input, Outcome};
use crate::ledger::robot::*;
use crate::site::endpoint::Endpoint;
use crate::site::users::{Custody, User};
use crate::store::Transaction;
use serde_json::json;
use tallyho_plugin::FaultKind;
use tallyho_plugin::Message;
use tallyho_plugin::record::keys::PublicKey;

fn issue(bench: &mut Bench) -> String {
    let outcome = bench.one(Input::Command { plugin: "host".into(), name: "ticket".into(), argument: Vec::new() });
    let Outcome::Done(bytes) = outcome else { panic!("{outcome:?}") };
    ciborium::from_reader(bytes.as_slice()).unwrap()
}

fn used(bench: &mut Bench) -> bool {
    let outcome = bench.one(Input::Command { plugin: "host".into(), name: "used".into(), argument: Vec::new() });
    let Outcome::Done(bytes) = outcome else { panic!("{outcome:?}") };
    let used: Vec<bool> = ciborium::from_reader(bytes.as_slice()).unwrap();
    used == [true]
}

fn present(token: &str, cuid: &str) -> Input {
    let user = User {
        cuid: cuid.to_owned(),
        name: cuid.to_owned(),
        kind: "p".to_owned(),
        public: PublicKey::Ed25519([9; 32]).to_jwk(),
        custody: Custody::Elsewhere,
        created: NOW,
    };
    let cert = user.certificate(&agent('b'), &Endpoint::parse("b.example:1").unwrap(), NOW).unwrap().into_value();
    let mut inbound = inbound("m", None, &[]);
    let mut message = Message::clone(&inbound.message);
    (message.target, message.action) = ("tally".into(), "ticket".into());
    message.from.cuid = Some(cuid.to_owned());
    message.body = Vec::new();
    inbound.message = message.into();
    inbound.ticket = Some(json!({ "token": token, "cert": cert }));
    Input::Peer(inbound)
}

fn at_ticket(bench: &mut Bench, script: &[Do]) {
    let mut transaction = bench.core.store.begin().unwrap();
    transaction.put("r0.rows", b"at-ticket", &tallyho_plugin::context::to_cbor(&script).unwrap()).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_ticket_is_used_once_and_its_party_may_repeat() {
    let mut bench = Bench::new();
    let token = issue(&mut bench);
    assert!(matches!(bench.one(present(&token, "bob")), Outcome::Done(_)));
    assert!(used(&mut bench));
    assert_eq!(bench.row("r0", "ticket").as_deref(), Some("t1"));
    assert!(matches!(bench.one(present(&token, "bob")), Outcome::Done(_)), "the repeat rule");
    let other = bench.one(present(&token, "mallory"));
    assert!(matches!(&other, Outcome::Fault(fault) if fault.code == "ticket"), "{other:?}");
}

#[test]
fn a_ticket_whose_event_fails_stays_unused() {
    for (end, kind) in [(Do::Fail, FaultKind::Failed), (Do::Refuse, FaultKind::Refused), (Do::Host, FaultKind::Host)] {
        let mut bench = Bench::new();
        let token = issue(&mut bench);
        at_ticket(&mut bench, &[end]);
        assert!(is_fault(&bench.one(present(&token, "bob")), kind));
        assert!(!used(&mut bench));
        assert_eq!(bench.row("r0", "ticket"), None);
    }
}

#[test]
fn an_event_whose_ticket_cannot_be_consumed_has_no_effect() {
    let mut bench = Bench::new();
    let token = issue(&mut bench);
    // The handler revokes the very ticket that it was given.
    at_ticket(&mut bench, &[Do::Revoke(token.clone())]);
    assert!(is_fault(&bench.one(present(&token, "bob")), FaultKind::Failed));
    assert!(!used(&mut bench));
    assert_eq!(bench.row("r0", "ticket"), None);
}

#[test]
fn of_two_that_present_a_ticket_in_one_batch_the_first_has_it() {
    let mut bench = Bench::new();
    let token = issue(&mut bench);
    let done = bench.apply(vec![present(&token, "bob"), present(&token, "carol")]);
    assert!(matches!(done.outcomes[0], Outcome::Done(_)), "{:?}", done.outcomes);
    assert!(is_fault(&done.outcomes[1], FaultKind::Refused));
}

#[test]
fn an_unknown_token_is_refused_with_the_code_that_costs_a_strike() {
    let mut bench = Bench::new();
    issue(&mut bench);
    let outcome = bench.one(present("AAAAAAAAAAAAAAAAAAAAAAAA", "bob"));
    assert!(matches!(&outcome, Outcome::Fault(fault) if fault.code == "ticket"), "{outcome:?}");
}
