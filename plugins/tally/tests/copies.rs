//! What comes late, or again: PROTOCOL 4.5 has it answered where that helps the partner, and never has it undo
//! anything.

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::json;
use tallyho_plugin::Fate;

#[test]
fn an_older_or_equal_offer_undoes_nothing() {
    let mut net = pair(6);
    let uuid = offered(&mut net);
    let first = shown(net.a(), "alice", &uuid)["record"].clone();
    bob(&mut net, "revise", &uuid);
    net.settle();
    bob(&mut net, "offer", &uuid);
    net.settle();
    // H.offer at bob's, revision 2: revision 1 and another revision 2 are ignored.
    from_alice(&mut net, "offer", &first);
    let same = resigned(&first, |record| record["revision"] = json!(2), &[("stock", &alices_key(6))]);
    from_alice(&mut net, "offer", &same);
    assert_eq!(states(&mut net, &uuid), ("P.offer".into(), "H.offer".into()));
    let third = resigned(&first, |record| record["revision"] = json!(3), &[("stock", &alices_key(6))]);
    from_alice(&mut net, "offer", &third);
    assert_eq!(states(&mut net, &uuid).1, "P.offer");
    // P.offer at bob's, revision 3: 2 is ignored, another 3 replaces.
    from_alice(&mut net, "offer", &same);
    assert_eq!(shown(net.b(), "bob", &uuid)["record"]["revision"], 3);
    let other = resigned(&third, |record| record["memo"] = json!("other"), &[("stock", &alices_key(6))]);
    from_alice(&mut net, "offer", &other);
    assert_eq!(shown(net.b(), "bob", &uuid)["record"]["memo"], "other");
}

#[test]
fn a_late_copy_of_an_offer_turned_down_revives_nothing() {
    for (act, user) in [("refuse", 1), ("withdraw", 0)] {
        let mut net = pair(30);
        let uuid = offered(&mut net);
        let first = shown(net.a(), "alice", &uuid)["record"].clone();
        if user == 1 {
            bob(&mut net, act, &uuid)
        } else {
            alice(&mut net, act, &uuid)
        };
        net.settle();
        net.b().take_notices();
        from_alice(&mut net, "offer", &first);
        assert_eq!(states(&mut net, &uuid), ("void".into(), "void".into()), "{act}");
        assert!(reasons(net.b(), "bob").is_empty());
        // Whoever repeats it has not heard of that.
        assert_eq!(net.b().take_sent().iter().map(|sent| sent.verb()).collect::<Vec<_>>(), ["tally/void"]);
        // Another proposal is none: the same revision with other content, or a higher one.
        let other = resigned(&first, |record| record["memo"] = json!("other"), &[("stock", &alices_key(30))]);
        from_alice(&mut net, "offer", &other);
        assert_eq!(states(&mut net, &uuid).1, "P.offer");
    }
}

#[test]
fn a_copy_of_an_earlier_round_does_not_revive_a_tally_either() {
    let mut net = pair(31);
    let uuid = offered(&mut net);
    let first = shown(net.a(), "alice", &uuid)["record"].clone();
    bob(&mut net, "revise", &uuid);
    net.settle();
    bob(&mut net, "offer", &uuid);
    net.settle();
    alice(&mut net, "refuse", &uuid);
    net.settle();
    assert_eq!(states(&mut net, &uuid), ("void".into(), "void".into()));
    from_alice(&mut net, "offer", &first);
    assert_eq!(states(&mut net, &uuid).1, "void");
    assert!(net.b().sent().is_empty());
}

#[test]
fn a_refusal_that_got_lost_is_told_again_when_the_offer_is_repeated() {
    let mut net = pair(33);
    let uuid = offered(&mut net);
    bob(&mut net, "refuse", &uuid);
    let lost = net.b().take_sent().remove(0);
    net.b().report(&lost, Fate::HandedOver).unwrap();
    assert_eq!(states(&mut net, &uuid), ("H.offer".into(), "void".into()));
    alice(&mut net, "resend", &uuid);
    net.settle();
    assert_eq!(states(&mut net, &uuid), ("void".into(), "void".into()));
}

#[test]
fn a_partner_that_repeats_that_it_revises_is_told_of_once() {
    let mut net = pair(32);
    let uuid = offered(&mut net);
    net.a().take_notices();
    for _ in 0..3 {
        from_bob(&mut net, "tally/draft", &json!({ "uuid": uuid }));
    }
    assert_eq!(reasons(net.a(), "alice"), ["draft"]);
    assert_eq!(states(&mut net, &uuid).0, "H.offer");
    // In the next round it is news again.
    bob(&mut net, "revise", &uuid);
    net.settle();
    bob(&mut net, "offer", &uuid);
    net.settle();
    alice(&mut net, "revise", &uuid);
    net.settle();
    alice(&mut net, "offer", &uuid);
    net.settle();
    net.a().take_notices();
    from_bob(&mut net, "tally/draft", &json!({ "uuid": uuid }));
    assert_eq!(reasons(net.a(), "alice"), ["draft"]);
}

#[test]
fn a_void_tally_answers_an_acceptance_once_for_each_message() {
    let mut net = pair(10);
    let uuid = offered(&mut net);
    let record = shown(net.a(), "alice", &uuid)["record"].clone();
    alice(&mut net, "withdraw", &uuid);
    net.settle();
    let open = resigned(&record, |_| (), &[("stock", &alices_key(10)), ("foil", &bobs_key(10))]);
    for _ in 0..2 {
        from_bob(&mut net, "tally/open", &open);
        assert_eq!(net.a().sent().len(), 1);
        assert_eq!(net.a().take_sent()[0].verb(), "tally/void");
    }
    let unsigned = resigned(&record, |_| (), &[("foil", &bobs_key(10))]);
    from_bob(&mut net, "tally/open", &unsigned);
    assert!(net.a().sent().is_empty());
    assert_eq!(states(&mut net, &uuid).0, "void");
    let until = net.a().relations().iter().find(|relation| relation.subject == uuid).unwrap().until.unwrap();
    assert_eq!(until.0 - net.a().now().0, 30 * 24 * 3_600_000);
}

#[test]
fn a_repeated_acceptance_is_acknowledged_and_another_core_raises_the_alarm() {
    let mut net = pair(11);
    let uuid = opened(&mut net);
    let record = shown(net.a(), "alice", &uuid)["record"].clone();
    from_bob(&mut net, "tally/open", &record);
    assert_eq!(net.a().take_sent()[0].verb(), "chit/chain");
    net.a().take_notices();
    let other =
        resigned(&record, |record| record["memo"] = json!("x"), &[("stock", &alices_key(11)), ("foil", &bobs_key(11))]);
    from_bob(&mut net, "tally/open", &other);
    assert_eq!(reasons(net.a(), "alice"), ["conflict"]);
    assert_eq!(net.a().log().last().unwrap().level, 1);
    assert_eq!(shown(net.a(), "alice", &uuid)["record"], record);
    assert!(net.a().sent().is_empty());
}

#[test]
fn an_acceptance_that_nobody_confirms_stalls_after_a_hundred_copies() {
    let mut net = pair(14);
    let uuid = offered(&mut net);
    bob(&mut net, "accept", &uuid);
    let mut copies = 0;
    for _ in 0..300 {
        for sent in net.b().take_sent() {
            copies += 1;
            net.b().report(&sent, Fate::HandedOver).unwrap();
        }
        let Some(next) = net.sites[1].timers().into_iter().find(|(key, _)| key.starts_with("open")) else { break };
        net.b().set(next.1);
        net.b().fire_timers();
    }
    assert_eq!(copies, 100);
    let seen = shown(net.b(), "bob", &uuid);
    assert!(seen["stalled"].as_str().unwrap().contains("100 copies"), "{seen}");
    assert_eq!(bob(&mut net, "resend", &uuid)["state"], "open.open");
    net.settle();
    assert!(agreed(&mut net, &uuid));
}
