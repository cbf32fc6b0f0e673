//! Tests of `tally`.
#![allow(clippy::unwrap_used)]

use super::TallyDraft;
use super::tally::*;
use super::vectors::{text, vectors};
use super::{Chad, RecordError, Timestamp, canonical, refuse_nulls};
use serde_json::{Value, json};

fn signed() -> Value {
    let mut value = vectors()["tally"].clone();
    value["sign"] = vectors()["tally_sign"].clone();
    value
}

fn record() -> TallyRecord {
    TallyRecord::parse(signed()).unwrap()
}

fn party(side: Side) -> Chad {
    record().chad(side).unwrap()
}

#[test]
fn the_tally_of_the_vectors_is_read() {
    let tally = record();
    assert_eq!(tally.core_canonical(), text("tally_canon"));
    assert_eq!(tally.hash(), text("tally_hash"));
    assert_eq!(super::base64v::encode(tally.hash_bytes()), text("tally_hash"));
    assert_eq!(tally.core(), vectors()["tally"]);
    assert_eq!(tally.uuid(), "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55");
    assert_eq!((tally.revision(), tally.memo()), (1, "Bread account"));
    assert_eq!(tally.date(), Timestamp::parse("2021-11-03T20:05:00.125Z").unwrap());
    assert_eq!(tally.agree(), "C7PzDdgTv_72rcOCArMh6h2YmTCiN6gaCssDb4cjhHg");
    assert_eq!(tally.terms(Side::Stock), &json!({"call": 30, "limit": 100000}));
    assert_eq!(tally.certificate(Side::Foil, None).unwrap().cuid(), "bob");
    assert!(tally.is_signed_by_both() && tally.sign_hash().is_none());
    assert_eq!(tally.checks().len(), 2);
}

#[test]
fn the_side_is_found_by_user_and_agent_where_exactly_one_matches() {
    let tally = record();
    assert_eq!(tally.side_of(&party(Side::Stock)), Some(Side::Stock));
    assert_eq!(tally.side_of(&party(Side::Foil).party().at("moved", 1)), Some(Side::Foil));
    assert_eq!(tally.side_of(&Chad { cuid: Some("alice".into()), ..party(Side::Foil) }), None);
    let mut twice = signed();
    twice["foil"]["cert"]["chad"] = twice["stock"]["cert"]["chad"].clone();
    assert_eq!(TallyRecord::parse(twice).unwrap().side_of(&party(Side::Stock)), None);
}

#[test]
fn a_record_of_another_shape_is_refused_by_name() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut value = signed();
        change(&mut value);
        match TallyRecord::parse(value).unwrap_err() {
            RecordError::Member { member, .. }
            | RecordError::Unknown { member, .. }
            | RecordError::Date { member, .. } => member,
            other => other.to_string(),
        }
    };
    for (member, named) in [
        (broken(&|tally| *tally = json!("x")), "record"),
        (broken(&|tally| tally["comment"] = json!("x")), "comment"),
        (broken(&|tally| tally["version"] = json!(2)), "version"),
        (broken(&|tally| tally["version"] = json!("1")), "version"),
        (broken(&|tally| tally["revision"] = json!(0)), "revision"),
        (broken(&|tally| tally["revision"] = json!(1.5)), "revision"),
        (broken(&|tally| tally["uuid"] = json!("9B8F6C1E-5D0A-4F1E-8C27-2F3D1A7B6C55")), "uuid"),
        (broken(&|tally| tally["date"] = json!("yesterday")), "date"),
        (broken(&|tally| tally["memo"] = json!(5)), "memo"),
        (broken(&|tally| drop(tally.as_object_mut().unwrap().remove("memo"))), "memo"),
        (broken(&|tally| tally["agree"] = Value::Null), "agree"),
        (broken(&|tally| drop(tally.as_object_mut().unwrap().remove("agree"))), "agree"),
        (broken(&|tally| drop(tally.as_object_mut().unwrap().remove("foil"))), "foil"),
        (broken(&|tally| tally["stock"]["more"] = json!(1)), "stock.more"),
        (broken(&|tally| tally["stock"]["cert"] = Value::Null), "stock.cert"),
        (broken(&|tally| tally["foil"]["terms"] = json!([])), "foil.terms"),
        (broken(&|tally| drop(tally["foil"].as_object_mut().unwrap().remove("terms"))), "foil.terms"),
        (broken(&|tally| tally["sign"] = json!("x")), "sign"),
        (broken(&|tally| tally["sign"]["foil"] = json!(1)), "sign.foil"),
    ] {
        assert_eq!(member, named);
    }
    let mut large = signed();
    large["foil"]["terms"]["limit"] = json!(1u64 << 53);
    assert!(matches!(TallyRecord::parse(large), Err(RecordError::Canon(_))));
}

#[test]
fn nulls_stay_where_a_peer_signed_them() {
    let mut value = signed();
    value["memo"] = Value::Null;
    value["stock"]["cert"]["identity"] = Value::Null;
    value["foil"]["terms"] = Value::Null;
    value["sign"] = json!({"hash": null, "stock": "x", "foil": null});
    let tally = TallyRecord::parse(value.clone()).unwrap();
    assert_eq!(tally.memo(), "");
    assert!(tally.core_canonical().contains("\"memo\":null") && tally.core_canonical().contains("\"identity\":null"));
    assert_eq!((tally.sign(Side::Stock), tally.sign(Side::Foil), tally.sign_hash()), (Some("x"), None, None));
    assert_eq!(tally.value(), &value);
}

#[test]
fn a_record_in_the_store_is_the_record_that_came() {
    let mut bytes = Vec::new();
    ciborium::into_writer(&record(), &mut bytes).unwrap();
    let back: TallyRecord = ciborium::from_reader(bytes.as_slice()).unwrap();
    assert_eq!(back, record());
    assert_eq!(back.core_canonical(), text("tally_canon"));
    let mut broken = Vec::new();
    ciborium::into_writer(&json!({"version": 2}), &mut broken).unwrap();
    assert!(ciborium::from_reader::<TallyRecord, _>(broken.as_slice()).is_err());
}

#[test]
fn signatures_are_set_and_cleared_without_touching_the_core() {
    let mut value = signed();
    value["sign"] = json!({"hash": null, "stock": null});
    let mut tally = TallyRecord::parse(value).unwrap();
    tally.set_sign(Side::Foil, "f");
    assert_eq!(tally.value()["sign"], json!({"foil": "f"}), "nulls are not sent on");
    tally.set_sign(Side::Stock, "s");
    assert!(tally.is_signed_by_both());
    tally.set_hash();
    assert_eq!(tally.sign_hash(), Some(text("tally_hash")));
    tally.check_sign_hash().unwrap();
    tally.clear_sign(Side::Foil);
    assert_eq!(tally.value()["sign"], json!({"stock": "s"}));
    tally.clear_sign(Side::Stock);
    assert_eq!(tally.value().get("sign"), None);
    assert_eq!(tally.hash(), text("tally_hash"));
}

#[test]
fn a_wrong_hash_is_refused() {
    let mut value = signed();
    value["sign"]["hash"] = json!(text("chit_hash"));
    let tally = TallyRecord::parse(value).unwrap();
    assert!(tally.check_sign_hash().is_err());
    assert!(tally.verify(|_| true).unwrap_err().to_string().contains("sign.hash"));
}

#[test]
fn every_signature_present_must_stand() {
    assert!(record().verify(|_| true).is_ok());
    let message =
        record().verify(|check| check.signature != record().sign(Side::Stock).unwrap()).unwrap_err().to_string();
    assert!(message.contains("sign.stock"), "{message}");
    let mut keyless = signed();
    keyless["foil"]["cert"]["public"] = Value::Null;
    assert!(TallyRecord::parse(keyless).unwrap().verify(|_| true).is_err(), "a signature that nothing can check");
    let mut unsigned = record();
    unsigned.clear_signs();
    assert!(unsigned.verify(|_| false).is_ok(), "nothing to check");
}

#[cfg(feature = "crypto")]
#[test]
fn the_signatures_of_the_vectors_stand_over_the_record_and_over_no_other() {
    use super::signing::verify;
    let proven = record().verify(verify).unwrap();
    assert_eq!(proven.hash(), text("tally_hash"));
    for change in ["memo", "agree"] {
        let mut value = signed();
        value[change] = json!("other");
        assert!(TallyRecord::parse(value).unwrap().verify(verify).is_err());
    }
    let mut swapped = signed();
    swapped["sign"] = json!({"stock": signed()["sign"]["foil"], "foil": signed()["sign"]["stock"]});
    assert!(TallyRecord::parse(swapped).unwrap().verify(verify).is_err());
}

#[test]
fn a_draft_grows_into_the_tally_of_the_vectors() {
    let cert = |side: &str| vectors()["tally"][side]["cert"].clone();
    let date = Timestamp::parse("2021-11-03T20:05:00.125Z").unwrap();
    let mut draft = TallyDraft::new("9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55", date, Side::Stock, cert("stock"));
    draft.memo = "Bread account".into();
    assert!(draft.finish().unwrap_err().to_string().contains("agree"));
    draft.agree = Some(json!("C7PzDdgTv_72rcOCArMh6h2YmTCiN6gaCssDb4cjhHg"));
    draft.stock.terms = json!({"limit": 100000, "call": 30});
    assert!(draft.finish().unwrap_err().to_string().contains("foil.cert"));
    draft.half_mut(Side::Foil).cert = Some(cert("foil"));
    assert_eq!(draft.finish().unwrap().core_canonical(), text("tally_canon"));
    assert_eq!(record().to_draft(), draft);
    let next = record().redraft().finish().unwrap();
    assert_eq!((next.revision(), next.uuid(), next.sign(Side::Stock)), (2, record().uuid(), None));
    draft.foil.terms = json!({"limit": null});
    assert!(draft.finish().unwrap().core_canonical().contains("null"), "a partner's nulls stay");
    assert!(refuse_nulls(&draft.foil.terms, "foil.terms").unwrap_err().to_string().contains("foil.terms.limit"));
}

#[test]
fn swapping_sides_moves_each_holder_with_what_it_grants() {
    let mut draft = record().to_draft();
    draft.swap_sides();
    let tally = draft.finish().unwrap();
    assert_eq!(tally.side_of(&party(Side::Stock)), Some(Side::Foil));
    assert_eq!(tally.terms(Side::Foil), record().terms(Side::Stock));
    assert_eq!(tally.sign(Side::Stock), None);
    draft.swap_sides();
    assert_eq!(draft.finish().unwrap().core_canonical(), canonical(&vectors()["tally"]).unwrap());
}

#[test]
fn sides_are_read_and_written_by_name() {
    for side in Side::BOTH {
        assert_eq!(side.to_string().parse::<Side>().unwrap(), side);
        assert_eq!(side.other().other(), side);
        assert_eq!(serde_json::to_value(side).unwrap(), side.as_str());
    }
    assert!("Stock".parse::<Side>().unwrap_err().to_string().contains("for example stock"));
}
