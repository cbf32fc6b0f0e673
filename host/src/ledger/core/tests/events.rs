//! One event, one transaction.

use crate::ledger::input::Outcome;
use crate::ledger::robot::*;
use tallyho_plugin::FaultKind;

/// Every kind of effect.
fn effects() -> Vec<Do> {
    let relation = tallyho_plugin::services::Relation {
        user: "alice".to_owned(),
        subject: "s".to_owned(),
        partner: "bob".to_owned(),
        agent: agent('b'),
        host: Some("b.example".to_owned()),
        port: Some(1),
        until: None,
    };
    vec![
        Do::Put("key".into(), "value".into()),
        Do::Send(agent('b'), "letter".into(), vec![]),
        Do::Timer("clock".into(), NOW.plus(1_000)),
        Do::Notice,
        Do::Metric("count".into()),
        Do::Relate(relation),
        Do::Invoke("r1".into(), vec![Do::Put("called".into(), "yes".into())], true),
    ]
}

#[test]
fn all_effects_of_an_event_are_kept_and_released_together() {
    let mut bench = Bench::new();
    let done = bench.apply(vec![command("r0", &effects())]);
    assert!(matches!(done.outcomes[0], Outcome::Done(_)), "{done:?}");
    assert_eq!((done.released.posts.len(), done.released.notices.len()), (1, 1));
    assert_eq!((done.released.relations.len(), done.released.places.len()), (1, 1));
    assert_eq!(bench.row("r0", "key").as_deref(), Some("value"));
    assert_eq!(bench.row("r1", "called").as_deref(), Some("yes"));
    assert_eq!(bench.core.next_timer(), Some(NOW.plus(1_000)));
    assert!(bench.core.relations.admits(&agent('b'), NOW));
}

#[test]
fn an_event_that_fails_leaves_no_trace_but_its_entry_in_the_journal() {
    for (end, kind) in [
        (Do::Fail, FaultKind::Failed),
        (Do::Panic, FaultKind::Failed),
        (Do::Refuse, FaultKind::Refused),
        (Do::Host, FaultKind::Host),
        // A called plugin's fault is the event's, though the caller swallows it.
        (Do::Invoke("r2".into(), vec![Do::Refuse], false), FaultKind::Refused),
        (Do::Invoke("r2".into(), vec![Do::Panic], false), FaultKind::Failed),
    ] {
        let mut bench = Bench::new();
        let before = bench.everything();
        let mut script = effects();
        script.push(end.clone());
        let done = bench.apply(vec![command("r0", &script)]);
        assert!(is_fault(&done.outcomes[0], kind), "{end:?}: {:?}", done.outcomes);
        let out = done.released;
        assert!(out.posts.is_empty() && out.notices.is_empty() && out.relations.is_empty() && out.places.is_empty());
        let mut after = bench.everything();
        assert_eq!((after[JOURNAL].len(), after[NEXT].len()), (1, 1), "an entry and the journal's end");
        (after[JOURNAL], after[NEXT]) = Default::default();
        assert_eq!(after, before, "{end:?}");
        assert!(!bench.core.relations.admits(&agent('b'), NOW));
        assert!(bench.core.table.load().named("r0").unwrap().metrics().is_empty());
    }
}

#[test]
fn faults_count_against_a_plugin_only_where_they_are_its_own() {
    let mut bench = Bench::new();
    for step in [Do::Fail, Do::Panic, Do::Refuse, Do::Host, Do::Notice] {
        bench.tell(&[step]);
    }
    let table = bench.core.table.load_full();
    let serving = table.named("r0").unwrap();
    assert_eq!(serving.calls.load(std::sync::atomic::Ordering::Relaxed), 5);
    assert_eq!(serving.faults.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_fault_is_told_of_the_plugin_that_failed_and_not_of_the_one_that_called_it() {
    for end in [Do::Fail, Do::Panic] {
        for passed_on in [true, false] {
            let mut bench = Bench::new();
            let called = Do::Invoke("r2".into(), vec![end.clone()], passed_on);
            let done = bench.apply(vec![command("r0", &[Do::Invoke("r1".into(), vec![called], true)])]);
            let Outcome::Fault(fault) = &done.outcomes[0] else { panic!("{done:?}") };
            assert!(fault.text.starts_with("plugin r2, which it called: "), "{fault}");
            let table = bench.core.table.load_full();
            let faults = |name| table.named(name).unwrap().faults.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!([faults("r0"), faults("r1"), faults("r2")], [0, 0, 1], "{end:?}");
        }
    }
    // What it called has refused, which is then the event's outcome, whatever is made of that.
    let mut bench = Bench::new();
    let script = [Do::Invoke("r2".into(), vec![Do::Refuse], false), Do::Fail];
    assert!(is_fault(&bench.apply(vec![command("r0", &script)]).outcomes[0], FaultKind::Refused));
    let faults = bench.core.table.load().named("r0").unwrap().faults.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(faults, 0);
}

#[test]
fn a_fault_is_told_of_the_plugin_that_failed_while_the_store_refuses_too() {
    let mut bench = Bench::new();
    let looked = bench.core.look(&command("r0", &[Do::Invoke("r2".into(), vec![Do::Fail], true)]), NOW).unwrap();
    let Some(Outcome::Fault(fault)) = looked else { panic!("{looked:?}") };
    assert!(fault.text.starts_with("plugin r2, which it called: "), "{fault}");
}

#[test]
fn an_event_sees_what_the_one_before_it_in_the_batch_has_done_unless_that_failed() {
    let mut bench = Bench::new();
    let inputs = vec![
        command("r0", &[Do::Put("key".into(), "one".into())]),
        command("r0", &[Do::Put("key".into(), "two".into()), Do::Fail]),
        command("r0", &[Do::Get("key".into())]),
    ];
    let done = bench.apply(inputs);
    let answer: String = match &done.outcomes[2] {
        Outcome::Done(bytes) => ciborium::from_reader(bytes.as_slice()).unwrap(),
        Outcome::Fault(fault) => panic!("{fault}"),
    };
    assert_eq!(answer, "one");
}

#[test]
fn the_time_of_an_event_is_never_before_an_earlier_one() {
    let mut bench = Bench::new();
    bench.now = NOW.plus(5_000);
    bench.tell(&[Do::Notice]);
    bench.now = NOW;
    let done = bench.apply(vec![command("r0", &[Do::Notice])]);
    assert_eq!(done.released.notices[0]["at"], NOW.plus(5_000).text());
}

#[test]
fn a_command_for_a_plugin_that_does_not_serve_says_so() {
    let mut bench = Bench::new();
    assert!(is_fault(&bench.one(command("nobody", &[])), FaultKind::NotFound));
}

#[test]
fn plugins_learn_of_the_start_and_what_they_send_then_leaves_with_what_waited() {
    let mut bench = Bench::new();
    bench.tell(&[Do::Send(agent('b'), "old".into(), vec![])]);
    bench.tell(&[Do::Send(agent('a'), "own".into(), vec![])]);
    let relation = effects().remove(5);
    bench.tell(&[Do::On(vec![Do::Send(agent('b'), "new".into(), vec![]), Do::Notice, relation])]);
    let mut bench = Bench::on(&bench.disk);
    let released = bench.core.start(NOW).unwrap();
    let keys: Vec<&str> = released.posts.iter().map(|post| post.row.message.key.as_str()).collect();
    assert_eq!(keys, ["old", "new"]);
    assert_eq!(released.local.len(), 1);
    assert_eq!((released.notices.len(), released.places.len()), (1, 1), "people and the address book hear of it too");
    assert_eq!(bench.heard("r0"), ["started"]);
}
