//! Tests of `chit`.
#![allow(clippy::unwrap_used)]

use super::chit::*;
use super::vectors::{text, vectors};
use super::{LiftCore, Pledge, RecordError, Side, TallyRecord, Timestamp};
use serde_json::{Value, json};

fn signed() -> Value {
    let mut value = vectors()["chit"].clone();
    value["hash"] = json!(text("chit_hash"));
    value["sign"] = json!(text("chit_sign"));
    value
}

fn chit() -> ChitRecord {
    ChitRecord::parse(signed()).unwrap()
}

fn lift_chit() -> ChitRecord {
    ChitRecord::parse(vectors()["lift_chit"].clone()).unwrap().signed(text("good_sign"))
}

fn tally() -> TallyRecord {
    TallyRecord::parse(vectors()["tally"].clone()).unwrap()
}

fn member(error: RecordError) -> String {
    match error {
        RecordError::Member { member, .. }
        | RecordError::Unknown { member, .. }
        | RecordError::Date { member, .. }
        | RecordError::Mismatch { member, .. } => member,
        other => other.to_string(),
    }
}

#[test]
fn the_chit_of_the_vectors_is_read() {
    let chit = chit();
    assert_eq!((chit.core_canonical(), chit.hash().as_str()), (text("chit_canon"), text("chit_hash")));
    assert_eq!((chit.by(), chit.kind(), chit.units()), (Side::Foil, ChitType::Tran, 1_234_500));
    assert_eq!((chit.memo(), chit.sign()), ("Rye loaf", Some(text("chit_sign"))));
    assert_eq!(chit.reference(), Some(&json!({"inv": "A-17"})));
    assert_eq!(chit.date(), Timestamp::parse("2021-11-04T09:30:00.500Z").unwrap());
    assert_eq!((chit.contribution(Side::Stock), chit.contribution(Side::Foil)), (1_234_500, -1_234_500));
    assert_eq!(chit.to_record(), signed());
}

#[test]
fn the_chain_of_the_vectors_comes_out() {
    let zero = tally().hash();
    assert_eq!(chit().link_canonical(1, &zero).unwrap(), text("link_canon"));
    let one = chit().link_hash(1, &zero).unwrap();
    assert_eq!(one, text("link_hash"));
    assert_eq!(lift_chit().link_canonical(2, &one).unwrap(), text("link2_canon"));
    assert_eq!(lift_chit().link_hash(2, &one).unwrap(), text("link2_hash"));
}

#[test]
fn a_link_has_no_sign_where_the_chit_has_none_and_never_the_chits_own_hash() {
    let mut value = signed();
    value["chain"] = json!({"cmd": "new", "index": 1});
    value["x"] = json!("ignored");
    let chit = ChitRecord::parse(value.clone()).unwrap();
    assert_eq!(chit.link_canonical(1, &tally().hash()).unwrap(), text("link_canon"));
    assert_eq!(chit.chain(), Some(&json!({"cmd": "new", "index": 1})));
    assert_eq!(chit.to_record(), signed(), "what is sent on has neither chain nor unknown members");
    value["sign"] = Value::Null;
    let link = ChitRecord::parse(value).unwrap().link_canonical(1, "p").unwrap();
    assert!(!link.contains("sign") && !link.contains("hash") && !link.contains("ignored"), "{link}");
}

#[test]
fn the_lift_chit_of_the_vectors_is_built_from_lift_and_pledge() {
    let core = LiftCore::parse(vectors()["lift"].clone()).unwrap();
    let mut pledge = Pledge::new(tally().chad(Side::Stock).unwrap().agent, Side::Stock, &core, tally().uuid());
    pledge.sign = text("pledge_sign").to_owned();
    let built = ChitRecord::of_lift(&core, &pledge).unwrap();
    assert_eq!((built.core_canonical(), built.hash().as_str()), (text("lift_chit_canon"), text("lift_chit_hash")));
    assert_eq!(built.lift().unwrap(), core);
    let checks = lift_chit().checks(&tally()).unwrap();
    assert_eq!(checks[0].text, text("good_canon").as_bytes());
    assert_eq!(checks[1].text, text("pledge_canon").as_bytes());
}

#[test]
fn a_chit_of_another_shape_is_refused_by_name() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut value = signed();
        change(&mut value);
        member(ChitRecord::parse(value).unwrap_err())
    };
    for (member, named) in [
        (broken(&|chit| *chit = json!(1)), "record"),
        (broken(&|chit| chit["tally"] = json!("x")), "tally"),
        (broken(&|chit| chit["by"] = json!("vendor")), "by"),
        (broken(&|chit| chit["type"] = json!("gift")), "type"),
        (broken(&|chit| chit["uuid"] = json!("3F0F7C52-0C2E-4B6B-9D5E-7C8A1B2C3D4E")), "uuid"),
        (broken(&|chit| chit["date"] = json!("x")), "date"),
        (broken(&|chit| chit["units"] = json!(0)), "units"),
        (broken(&|chit| chit["units"] = json!(-1)), "units"),
        (broken(&|chit| chit["units"] = json!(1.5)), "units"),
        (broken(&|chit| chit["units"] = json!("5")), "units"),
        (broken(&|chit| chit["units"] = json!(1u64 << 53)), "units"),
        (broken(&|chit| drop(chit.as_object_mut().unwrap().remove("units"))), "units"),
        (broken(&|chit| chit["type"] = json!("set")), "units"),
        (broken(&|chit| chit["units"] = Value::Null), "units"),
        (broken(&|chit| chit["ref"] = Value::Null), "ref"),
        (broken(&|chit| chit["memo"] = Value::Null), "memo"),
        (broken(&|chit| chit["memo"] = json!(5)), "memo"),
        (broken(&|chit| chit["sign"] = json!(5)), "sign"),
        (broken(&|chit| chit["hash"] = json!(text("lift_hash"))), "hash"),
        (broken(&|chit| chit["hash"] = json!(5)), "hash"),
    ] {
        assert_eq!(member, named);
    }
}

#[test]
fn nulls_inside_ref_are_part_of_what_was_signed() {
    let mut value = vectors()["chit"].clone();
    value["ref"] = json!({"a": null});
    assert!(ChitRecord::parse(value).unwrap().core_canonical().contains("\"ref\":{\"a\":null}"));
}

#[test]
fn the_bound_of_60000_bytes_is_exact() {
    let mut value = vectors()["chit"].clone();
    value["memo"] = json!("");
    let rest = super::limits::MAX_CHIT - super::canonical(&value).unwrap().len();
    value["memo"] = json!("x".repeat(rest));
    assert!(ChitRecord::parse(value.clone()).is_ok());
    value["memo"] = json!("x".repeat(rest + 1));
    assert!(ChitRecord::parse(value).unwrap_err().to_string().contains("at most 60000"));
}

#[test]
fn a_lift_dated_in_another_form_gives_both_sites_the_same_chit() {
    let mut value = vectors()["lift"].clone();
    value["date"] = json!("2021-11-05T13:00:00+01:00");
    let core = LiftCore::parse(value).unwrap();
    let pledge = Pledge::new(tally().chad(Side::Stock).unwrap().agent, Side::Stock, &core, tally().uuid());
    let built = ChitRecord::of_lift(&core, &pledge).unwrap();
    assert!(built.core_canonical().starts_with("{\"by\":\"stock\",\"date\":\"2021-11-05T13:00:00+01:00\""));
    assert!(built.signed("x").checks(&tally()).is_ok());
}

#[test]
fn a_chit_written_here_leaves_room_for_signature_and_chain() {
    let draft = |length: usize| ChitDraft {
        tally: tally().uuid().into(),
        by: Side::Stock,
        kind: ChitType::Tran,
        uuid: chit().uuid().into(),
        date: Timestamp(0),
        units: Some(i64::from(u32::MAX)),
        reference: None,
        memo: Some("x".repeat(length)),
    };
    let length =
        (0..=super::limits::MAX_CHIT).rev().step_by(16).find(|length| draft(*length).finish().is_ok()).unwrap();
    let mut entry = draft(length).finish().unwrap().signed("s".repeat(176)).to_record();
    entry["chain"] = json!({"index": (1u64 << 53) - 1, "conf": (1u64 << 53) - 1, "hash": text("lift_hash")});
    assert!(ChitRecord::parse(entry).is_ok());
}

#[test]
fn settings_have_no_units_and_move_nothing() {
    let set = ChitDraft {
        tally: tally().uuid().into(),
        by: Side::Stock,
        kind: ChitType::Set,
        uuid: chit().uuid().into(),
        date: Timestamp(0),
        units: None,
        reference: Some(json!({"target": 5})),
        memo: None,
    };
    let chit = set.finish().unwrap();
    assert_eq!((chit.contribution(Side::Stock), chit.contribution(Side::Foil), chit.memo()), (0, 0, ""));
    assert!(!chit.core_canonical().contains("memo") && !chit.core_canonical().contains("units"));
    assert_eq!(member(ChitDraft { units: Some(5), ..set }.finish().unwrap_err()), "units");
}

#[test]
fn a_chit_stands_on_its_own_tally_only_and_never_unsigned() {
    let mut other = tally().to_draft();
    other.uuid = "00000000-0000-4000-8000-000000000000".into();
    assert_eq!(member(chit().checks(&other.finish().unwrap()).unwrap_err()), "tally");
    let unsigned = ChitRecord::parse(vectors()["chit"].clone()).unwrap();
    assert_eq!(member(unsigned.verify(&tally(), |_| true).map(drop).unwrap_err()), "sign");
    assert_eq!(member(chit().verify(&tally(), |_| false).map(drop).unwrap_err()), "sign");
    assert!(chit().verify(&tally(), |_| true).is_ok());
}

#[test]
fn a_lift_chit_must_say_what_its_lift_says() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut value = vectors()["lift_chit"].clone();
        change(&mut value);
        member(ChitRecord::parse(value).unwrap().signed("x").verify(&tally(), |_| true).map(drop).unwrap_err())
    };
    for (member, named) in [
        (broken(&|chit| chit["uuid"] = vectors()["chit"]["uuid"].clone()), "uuid"),
        (broken(&|chit| chit["date"] = json!("2021-11-05T12:00:00.001Z")), "date"),
        (broken(&|chit| chit["units"] = json!(4001)), "units"),
        (broken(&|chit| chit["ref"]["lift"]["valid"] = json!(false)), "ref.lift.valid"),
        (broken(&|chit| drop(chit["ref"]["lift"].as_object_mut().unwrap().remove("valid"))), "ref.lift.valid"),
        (broken(&|chit| drop(chit.as_object_mut().unwrap().remove("ref"))), "ref.lift.valid"),
        (broken(&|chit| chit["ref"]["lift"]["more"] = json!(1)), "more"),
        (broken(&|chit| drop(chit["ref"].as_object_mut().unwrap().remove("pledge"))), "ref.pledge"),
    ] {
        assert_eq!(member, named);
    }
    let second_falls = lift_chit().verify(&tally(), |check| check.text == text("good_canon").as_bytes());
    assert_eq!(member(second_falls.map(drop).unwrap_err()), "ref.pledge");
}

#[test]
fn a_chit_in_the_store_is_the_chit_that_came() {
    for chit in [chit(), lift_chit()] {
        let mut bytes = Vec::new();
        ciborium::into_writer(&chit, &mut bytes).unwrap();
        assert_eq!(ciborium::from_reader::<ChitRecord, _>(bytes.as_slice()).unwrap(), chit);
    }
}

#[cfg(feature = "crypto")]
#[test]
fn the_signatures_of_the_vectors_stand_over_the_chits_and_over_no_others() {
    use super::signing::verify;
    assert!(chit().verify(&tally(), verify).is_ok());
    assert!(lift_chit().verify(&tally(), verify).is_ok());
    let mut other = vectors()["chit"].clone();
    other["units"] = json!(1);
    assert!(ChitRecord::parse(other).unwrap().signed(text("chit_sign")).verify(&tally(), verify).is_err());
    let mut by = vectors()["lift_chit"].clone();
    by["by"] = json!("foil");
    let error = ChitRecord::parse(by).unwrap().signed(text("good_sign")).verify(&tally(), verify).map(drop);
    assert_eq!(member(error.unwrap_err()), "ref.pledge", "the pledge is the other side's");
    assert!(lift_chit().signed(text("void_sign")).verify(&tally(), verify).is_err());
}

proptest::proptest! {
    #[test]
    fn core_link_and_size_are_those_of_the_canonical_string(
        memo in proptest::option::of(".{0,20}"),
        reference in proptest::option::of(".{0,20}"),
        sign in proptest::option::of(".{0,20}"),
        other in ".{1,10}",
        prior in ".{0,20}",
        index in 0..1u64 << 53,
    ) {
        let mut value = vectors()["chit"].clone();
        let members = value.as_object_mut().unwrap();
        for (name, text) in [("memo", memo), ("ref", reference), ("sign", sign.clone())] {
            members.remove(name);
            members.extend(text.map(|text| (name.to_owned(), json!(text))));
        }
        let mut core = value.clone();
        core.as_object_mut().unwrap().remove("sign");
        if !CORE.contains(&other.as_str()) && other != "hash" {
            value[&other] = json!({ &other: [1.5, null] });
        }
        let chit = ChitRecord::parse(value.clone()).unwrap();
        proptest::prop_assert_eq!(chit.core_canonical(), super::canonical(&core).unwrap());
        (core["index"], core["prior"]) = (json!(index), json!(prior));
        if let Some(sign) = chit.sign() {
            core["sign"] = json!(sign);
        }
        proptest::prop_assert_eq!(chit.link_canonical(index, &prior).unwrap(), super::canonical(&core).unwrap());
        // The bound is on the whole record: what is left is exactly what more fits.
        let room = super::limits::MAX_CHIT - super::canonical(&value).unwrap().len();
        value["zz"] = json!("x".repeat(room - 8));
        proptest::prop_assert_eq!(super::canonical(&value).unwrap().len(), super::limits::MAX_CHIT);
        proptest::prop_assert!(ChitRecord::parse(value.clone()).is_ok());
        value["zz"] = json!("x".repeat(room - 7));
        proptest::prop_assert!(ChitRecord::parse(value).is_err());
    }
}
