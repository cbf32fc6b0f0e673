//! Tests of `lift`.
#![allow(clippy::unwrap_used)]

use super::lift::*;
use super::vectors::{text, vectors};
use super::{AgentId, RecordError, Side, Timestamp};
use serde_json::{Value, json};

const T: &str = "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55";

fn core() -> LiftCore {
    LiftCore::parse(vectors()["lift"].clone()).unwrap()
}

fn agent(name: &str) -> AgentId {
    AgentId(vectors()["agents"][name]["id"].as_str().unwrap().to_owned())
}

fn pledge() -> Pledge {
    Pledge { sign: text("pledge_sign").to_owned(), ..Pledge::new(agent("A"), Side::Stock, &core(), T) }
}

#[test]
fn the_lift_of_the_vectors_is_read() {
    let core = core();
    assert_eq!((core.canonical(), core.hash().as_str()), (text("lift_canon"), text("lift_hash")));
    assert_eq!(core.valid_text(true).unwrap(), text("good_canon"));
    assert_eq!(core.valid_text(false).unwrap(), text("void_canon"));
    assert_eq!((core.uuid(), core.units(), core.life()), ("5e2d9a54-8f1b-4c0e-a1d2-6b7c8d9e0f10", 4000, 120_000));
    assert_eq!(core.expires(), Timestamp::parse("2021-11-05T12:02:00.000Z").unwrap());
    assert_eq!(core.find().to_string(), format!("dora:{}", agent("B")));
    assert_eq!(core.org().to_string(), format!("{}@localhost:65434", agent("A")));
    assert_eq!(core.referee().to_string(), format!("{}@localhost:65440", agent("R")));
    assert_eq!(core.plan(), None);
    assert_eq!(core.value(), &vectors()["lift"]);
}

#[test]
fn the_pledge_of_the_vectors_comes_out() {
    assert_eq!(pledge().text().unwrap(), text("pledge_canon"));
    let object = serde_json::to_value(pledge()).unwrap();
    let mut expected = vectors()["pledge"].clone();
    expected.as_object_mut().unwrap().remove("act");
    expected["sign"] = json!(text("pledge_sign"));
    assert_eq!(object, expected, "the member of a promise message");
    assert_eq!(serde_json::from_value::<Pledge>(object).unwrap(), pledge());
}

#[test]
fn release_and_arrival_are_the_strings_of_the_table() {
    let (agent, hash) = (agent("B"), text("lift_hash").to_owned());
    let release = Release { agent: agent.clone(), hash: hash.clone(), tally: T.into(), sign: String::new() };
    assert_eq!(
        release.text().unwrap(),
        format!("{{\"act\":\"release\",\"agent\":\"{agent}\",\"hash\":\"{hash}\",\"tally\":\"{T}\"}}")
    );
    let at = "2021-11-05T12:00:01.000Z".to_owned();
    let arrival = Arrival { agent: agent.clone(), at: at.clone(), hash: hash.clone(), sign: String::new() };
    assert_eq!(
        arrival.text().unwrap(),
        format!("{{\"act\":\"term\",\"agent\":\"{agent}\",\"at\":\"{at}\",\"hash\":\"{hash}\"}}")
    );
}

#[test]
fn a_payment_order_leaves_absent_members_out() {
    let order = core().order_text(None, None).unwrap();
    let find = format!("{{\"agent\":\"{}\",\"cuid\":\"dora\"}}", agent("B"));
    assert_eq!(
        order,
        format!(
            "{{\"date\":\"2021-11-05T12:00:00.000Z\",\"find\":{find},\"lift\":\"{}\",\"units\":4000}}",
            core().uuid()
        )
    );
    let order = core().order_text(Some(&json!({"inv": 1})), Some("x")).unwrap();
    assert!(order.contains("\"memo\":\"x\",\"ref\":{\"inv\":1},\"units\":4000"), "{order}");
}

#[test]
fn the_core_is_taken_out_of_messages_without_other_members() {
    let mut object = core().with_valid(true);
    object["signed"] = json!(text("org_sign"));
    assert_eq!(LiftCore::from_object(&object, &["valid", "signed"]).unwrap(), core());
    let error = LiftCore::from_object(&object, &["valid"]).unwrap_err();
    assert!(matches!(error, RecordError::Unknown { member, .. } if member == "signed"));
}

#[test]
fn a_core_of_another_shape_is_refused_by_name() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut value = vectors()["lift"].clone();
        change(&mut value);
        match LiftCore::parse(value).unwrap_err() {
            RecordError::Member { member, .. }
            | RecordError::Unknown { member, .. }
            | RecordError::Date { member, .. }
            | RecordError::Chad { member, .. } => member,
            other => panic!("{other}"),
        }
    };
    for (member, named) in [
        (broken(&|lift| *lift = Value::Null), "record"),
        (broken(&|lift| lift["valid"] = json!(true)), "valid"),
        (broken(&|lift| lift["lift"] = json!("x")), "lift"),
        (broken(&|lift| lift["date"] = json!(0)), "date"),
        (broken(&|lift| lift["date"] = json!("x")), "date"),
        (broken(&|lift| lift["life"] = json!(0)), "life"),
        (broken(&|lift| lift["life"] = json!(3601)), "life"),
        (broken(&|lift| lift["life"] = json!("120")), "life"),
        (broken(&|lift| lift["units"] = json!(0)), "units"),
        (broken(&|lift| lift["units"] = json!(-5)), "units"),
        (broken(&|lift| lift["find"]["host"] = json!("h")), "find.host"),
        (broken(&|lift| lift["find"] = json!({"agent": agent("B")})), "find.cuid"),
        (broken(&|lift| lift["find"]["agent"] = json!("x")), "find"),
        (broken(&|lift| lift["org"]["cuid"] = json!("x")), "org.cuid"),
        (broken(&|lift| drop(lift["org"].as_object_mut().unwrap().remove("host"))), "org.host"),
        (broken(&|lift| lift["org"]["plan"] = json!("not base64!")), "org.plan"),
        (broken(&|lift| lift["org"]["plan"] = Value::Null), "org.plan"),
        (broken(&|lift| lift["ref"]["plan"] = json!("AA")), "ref.plan"),
        (broken(&|lift| lift["ref"]["port"] = json!(0)), "ref"),
        (broken(&|lift| drop(lift.as_object_mut().unwrap().remove("ref"))), "ref"),
    ] {
        assert_eq!(member, named);
    }
    let mut planned = vectors()["lift"].clone();
    planned["org"]["plan"] = json!("c2VhbGVk");
    assert_eq!(LiftCore::parse(planned).unwrap().plan(), Some("c2VhbGVk"));
}

#[test]
fn a_core_in_the_store_is_the_core_that_came() {
    let mut bytes = Vec::new();
    ciborium::into_writer(&core(), &mut bytes).unwrap();
    assert_eq!(ciborium::from_reader::<LiftCore, _>(bytes.as_slice()).unwrap(), core());
}

#[cfg(feature = "crypto")]
#[test]
fn the_signatures_of_the_vectors_stand_for_what_they_say_only() {
    use super::signing::verify;
    let core = core();
    assert!(verify(&core.ruling_check(true, text("good_sign")).unwrap()));
    assert!(verify(&core.ruling_check(false, text("void_sign")).unwrap()));
    assert!(verify(&core.commit_check(text("org_sign")).unwrap()));
    assert!(verify(&pledge().check().unwrap()));
    assert!(!verify(&core.ruling_check(false, text("good_sign")).unwrap()), "a good ruling is no void one");
    assert!(!verify(&core.ruling_check(true, text("org_sign")).unwrap()), "the originator does not rule");
    assert!(!verify(&core.commit_check(text("good_sign")).unwrap()), "the referee does not ask");
    assert!(!verify(&Pledge { units: 4001, ..pledge() }.check().unwrap()));
    assert!(!verify(&Pledge { by: Side::Foil, ..pledge() }.check().unwrap()));
}
