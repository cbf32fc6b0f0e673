//! PROTOCOL A.4.

use super::{address, alice, bob};
use crate::wire::envelope::{Encoding, Envelope};
use crate::wire::error::Malformed;
use crate::wire::ext::{Extensions, Receipt};

const CBOR: Extensions = Extensions { cbor: true, receipt: false };
const RECEIPT: Extensions = Extensions { cbor: false, receipt: true };

fn envelope() -> Envelope {
    Envelope::new("tally", "offer", address("bob", bob().agent()), address("alice", alice().agent()))
}

#[test]
fn an_answer_has_the_form_of_the_protocol() {
    assert_eq!(Extensions::ALL.answer(), br#"{"ext":["cbor","receipt"],"v":1}"#);
    assert_eq!(CBOR.answer(), br#"{"ext":["cbor"],"v":1}"#);
    assert_eq!(Extensions::NONE.answer(), b"", "a peer without extensions sees an empty A");
}

#[test]
fn unknown_names_in_an_offer_are_ignored() {
    let mut opening = envelope();
    opening.ext = ["zip", "cbor", "CBOR", "zip"].map(str::to_owned).to_vec();
    assert_eq!(Extensions::offered(&opening), CBOR);
    opening.ext.clear();
    assert_eq!(Extensions::offered(&opening), Extensions::NONE);
}

#[test]
fn only_what_was_offered_and_answered_is_in_force() {
    for ours in [Extensions::NONE, CBOR, RECEIPT, Extensions::ALL] {
        for theirs in [Extensions::NONE, CBOR, RECEIPT, Extensions::ALL] {
            let in_force = ours.in_force(&theirs.answer());
            assert_eq!(in_force, ours.and(theirs));
            assert_eq!(in_force.encoding() == Encoding::Cbor, ours.cbor && theirs.cbor);
        }
    }
}

#[test]
fn an_answer_not_understood_puts_nothing_in_force() {
    for answer in ["", "{}", "[]", r#"{"ext":["cbor"]}"#, r#"{"ext":["cbor"],"v":2}"#, r#"{"ext":[1],"v":1}"#, "\u{0}"]
    {
        assert_eq!(Extensions::ALL.in_force(answer.as_bytes()), Extensions::NONE, "{answer}");
    }
    let newer = br#"{"ext":["zip","receipt"],"v":1,"more":{}}"#;
    assert_eq!(Extensions::ALL.in_force(newer), RECEIPT);
}

#[test]
fn a_receipt_survives_both_encodings() {
    let receipt = Receipt { upto: 7, also: vec![9, 12] };
    let message = receipt.message(envelope().to, envelope().from);
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut bytes = Vec::new();
        message.encode(encoding, &mut bytes).unwrap();
        let read = Envelope::parse(&bytes).unwrap();
        assert!(Receipt::is_one(&read));
        assert_eq!(Receipt::read(&read), Ok(receipt.clone()));
    }
    let mut json = Vec::new();
    message.encode(Encoding::Json, &mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains(r#""object":{"upto":7,"also":[9,12]}"#), "{json}");
    assert!(!Receipt::is_one(&envelope()));
}

#[test]
fn a_receipt_covers_what_it_names() {
    let receipt = Receipt { upto: 7, also: vec![9, 12] };
    let covered: Vec<u64> = (0..15).filter(|mid| receipt.covers(*mid)).collect();
    assert_eq!(covered, [0, 1, 2, 3, 4, 5, 6, 7, 9, 12]);
}

#[test]
fn a_receipt_of_another_shape_is_malformed() {
    let with = |object: &serde_json::Value| {
        let mut message = envelope();
        let mut bytes = Vec::new();
        ciborium::into_writer(object, &mut bytes).unwrap();
        message.object = Some(bytes);
        Receipt::read(&message)
    };
    use serde_json::json;
    assert_eq!(with(&json!({"upto": 3})), Ok(Receipt { upto: 3, also: vec![] }));
    let too_many: Vec<u64> = (10..10 + 1025).collect();
    for bad in [
        json!({}),
        json!({"upto": -1}),
        json!({"upto": "3"}),
        json!({"upto": 3, "also": [3]}),
        json!({"upto": u64::MAX, "also": [4]}),
        json!({"upto": 3, "also": [4, 1.5]}),
        json!({"upto": 3, "also": too_many}),
    ] {
        assert_eq!(with(&bad), Err(Malformed::Member("object")), "{bad}");
    }
    assert_eq!(Receipt::read(&envelope()), Err(Malformed::Missing("object")));
    let long = Receipt { upto: 1, also: (3..5000).collect() };
    let message = long.message(envelope().to, envelope().from);
    assert_eq!(Receipt::read(&message).map(|receipt| receipt.also.len()), Ok(1024));
}
