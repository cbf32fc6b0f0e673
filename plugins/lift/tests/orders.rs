//! Payors whose key is kept elsewhere: the order is written, signed, handed in (PROTOCOL 9.9).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::places::{World, user};
use serde_json::{Value, json};
use tallyho_plugin::Fault;
use tallyho_plugin::record::base64v;
use tallyho_plugin::testkit::UserKey;

/// A row whose first user signs elsewhere, with that user's key.
fn row(seed: u64) -> (World, UserKey) {
    let mut world = World::row(seed, 3);
    let key = world.net.sites[0].add_user_elsewhere(&user(0));
    (world, key)
}

fn drafted(world: &mut World) -> Value {
    let to = world.chad(2).to_string();
    let order = json!({ "user": user(0), "to": to, "units": 70, "memo": "Six rolls", "ref": { "inv": 9 } });
    world.net.sites[0].call("lift", "draft", order).unwrap()
}

fn accept(world: &mut World, order: &Value, signature: &str) -> Result<Value, Fault> {
    world.net.sites[0].call("lift", "accept", json!({ "order": order, "signature": signature }))
}

fn signature(key: &UserKey, drafted: &Value) -> String {
    key.sign(drafted["text"].as_str().unwrap())
}

#[test]
fn an_order_signed_elsewhere_is_paid_once() {
    let (mut world, key) = row(1);
    let drafted = drafted(&mut world);
    assert_eq!(world.net.sites[0].rows("lift.lifts").len(), 0, "nothing is kept of it");
    let sign = signature(&key, &drafted);
    let paid = accept(&mut world, &drafted["order"], &sign).unwrap();
    assert_eq!((&paid["lift"], &paid["state"]), (&drafted["lift"], &json!("init.seek")));
    world.net.settle();
    let lift = paid["lift"].as_str().unwrap().to_owned();
    assert_eq!(world.states(&lift), ["good", "good", "good"]);
    let notices = world.net.sites[2].take_notices();
    let (_, told) = notices.iter().find(|(_, notice)| notice["about"] == "lift").unwrap();
    assert_eq!((&told["memo"], &told["ref"]["inv"]), (&json!("Six rolls"), &json!(9)));
    let again = accept(&mut world, &drafted["order"], &sign).unwrap_err();
    assert_eq!(again.code, "known");
    world.net.calm(60_000);
    assert_eq!([0, 1, 2].map(|place| world.worth(place)), [-70, 0, 70]);
}

#[test]
fn an_order_that_was_changed_or_signed_by_another_key_is_refused_and_nothing_begins() {
    let (mut world, key) = row(2);
    let drafted = drafted(&mut world);
    let sign = signature(&key, &drafted);
    let text = String::from_utf8(base64v::decode(drafted["order"].as_str().unwrap()).unwrap()).unwrap();
    for (was, is) in [("\"units\":70", "\"units\":71"), ("Six rolls", "Ten rolls"), ("\"inv\":9", "\"inv\":8")] {
        assert!(text.contains(was), "{text}");
        let changed = json!(base64v::encode(text.replace(was, is)));
        assert_eq!(accept(&mut world, &changed, &sign).unwrap_err().code, "signature", "{is}");
    }
    let other = UserKey::of("somebody else").sign(drafted["text"].as_str().unwrap());
    assert_eq!(accept(&mut world, &drafted["order"], &other).unwrap_err().code, "signature");
    for no_order in ["", "e30", "%%%"] {
        assert_eq!(accept(&mut world, &json!(no_order), &sign).unwrap_err().code, "order");
    }
    assert_eq!((world.net.sites[0].rows("lift.lifts").len(), world.reserved(0)), (0, 0));
}

#[test]
fn an_order_can_be_handed_in_for_an_hour() {
    let (mut world, key) = row(3);
    let drafted = drafted(&mut world);
    let sign = signature(&key, &drafted);
    world.net.calm(3_520_000);
    assert_eq!(accept(&mut world, &drafted["order"], &sign).unwrap_err().code, "expired", "with the usual life");
    let short = json!({ "order": drafted["order"], "signature": sign, "life": 60_000 });
    let paid = world.net.sites[0].call("lift", "accept", short).unwrap();
    world.net.settle();
    assert_eq!(world.state(2, paid["lift"].as_str().unwrap()), "good");
}

#[test]
fn such_a_payor_is_told_how_to_pay() {
    let (mut world, _) = row(4);
    let to = world.chad(2).to_string();
    let order = json!({ "user": user(0), "to": to, "units": 70 });
    let fault = world.net.sites[0].call("lift", "pay", order).unwrap_err();
    assert_eq!(fault.code, "custody");
    assert!(fault.fix.unwrap().contains("lift draft"));
}
