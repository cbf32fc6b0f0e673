#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::ledger::buffer::Buffer;
use crate::ledger::input::{Input, Outcome};
use crate::ledger::limits::OUTBOX_ROWS_PER_PEER;
use crate::ledger::robot::*;
use crate::ledger::seeds::Random;
use crate::ledger::verify::Checked;
use tallyho_plugin::FaultKind;
use tallyho_plugin::services::OUTBOX_FULL;

fn fault(outcome: Outcome) -> Fault {
    match outcome {
        Outcome::Fault(fault) => fault,
        Outcome::Done(_) => panic!("it was done"),
    }
}

fn refused(script: &[Do]) -> String {
    fault(Bench::new().tell(script)).text
}

#[test]
fn a_plugin_writes_its_own_tables_only() {
    assert!(refused(&[Do::PutIn("nothing".into(), "k".into())]).contains("owns no table nothing"));
    assert!(refused(&[Do::PutIn("r1.rows".into(), "k".into())]).contains("owns no table r1.rows"));
    assert!(refused(&[Do::PutIn("host.tickets".into(), "k".into())]).contains("owns no table"));
}

/// Asks the services of an event as if `plugin` did.
fn asked<T>(plugin: &'static str, ask: impl FnOnce(&mut EventServices<'_>) -> T) -> T {
    let (parts, _) = parts(&crate::store::MemoryDisk::default());
    let (mut store, table) = (parts.store, parts.table.load_full());
    let mut transaction = store.begin().unwrap();
    let checked = Checked::new();
    let buffer = Buffer::new(&mut *transaction);
    let mut services = EventServices::new(buffer, &table, &*parts.host, &checked, NOW, [1; 32]);
    services.stack.push(plugin);
    ask(&mut services)
}

#[test]
fn a_plugin_reads_others_tables_where_its_manifest_asks_for_them() {
    assert!(asked("r1", |services| services.get("r0.rows", b"k")).is_ok());
    assert!(asked("r1", |services| services.scan("r0.rows", &Range { limit: 1, ..Range::default() })).is_ok());
    for (plugin, table) in [("r2", "r0.rows"), ("r1", "r2.rows"), ("r0", "host.tickets"), ("r0", "r0.rows")] {
        let fault = asked(plugin, |services| services.get(table, b"k")).unwrap_err();
        assert!(fault.text.contains("may not read"), "{plugin} {table}: {fault}");
    }
}

#[test]
fn what_a_plugin_that_was_never_loaded_would_keep_reads_as_nothing() {
    assert_eq!(asked("r1", |services| services.get("r9.rows", b"k")), Ok(None));
    let all = Range { limit: 9, ..Range::default() };
    assert_eq!(asked("r1", |services| services.scan("r9.rows", &all)), Ok(Vec::new()));
}

#[test]
fn keys_values_and_names_are_bounded() {
    assert!(asked("r0", |services| services.put("rows", &[0; KEY_BYTES], &[0; VALUE_BYTES])).is_ok());
    assert!(asked("r0", |services| services.put("rows", &[0; KEY_BYTES + 1], b"")).is_err());
    assert!(asked("r0", |services| services.put("rows", b"k", &vec![0; VALUE_BYTES + 1])).is_err());
    let long = "n".repeat(KEY_BYTES + 1);
    assert!(asked("r0", |services| services.set_timer(&long, NOW)).is_err());
    assert!(asked("r0", |services| services.send(&outgoing(agent('b'), &long, &[]))).is_err());
}

#[test]
fn an_event_has_so_many_effects_and_no_more() {
    let most = u32::try_from(EFFECTS).unwrap();
    assert!(matches!(Bench::new().tell(&[Do::Many(most)]), Outcome::Done(_)));
    assert!(refused(&[Do::Many(most + 1)]).contains("effects"));
    assert!(refused(&[Do::ManyTimers(most + 1)]).contains("effects"));
}

#[test]
fn a_scan_returns_a_bounded_number_of_rows() {
    let rows = asked("r0", |services| {
        for n in 0..SCAN_ROWS + 5 {
            services.buffer.put("r0.rows", &n.to_be_bytes(), b"");
        }
        services.scan("rows", &Range { limit: u32::MAX, ..Range::default() }).unwrap()
    });
    assert_eq!(rows.len(), SCAN_ROWS as usize);
}

#[test]
fn counters_are_bounded_however_often_they_are_raised() {
    let kept = asked("r0", |services| {
        for n in 0..100_000_u32 {
            services.metric("one", 1);
            services.metric(&format!("{}", n % 1_000), 1);
        }
        services.metrics.len()
    });
    assert_eq!(kept, METRICS);
}

#[test]
fn plugins_call_each_other_but_never_one_that_is_at_work_already() {
    let mut bench = Bench::new();
    let call = |plugin: &str, script| Do::Invoke(plugin.to_owned(), script, true);
    let chain = [call("r1", vec![call("r2", vec![Do::Put("k".into(), "v".into())])])];
    assert!(matches!(bench.tell(&chain), Outcome::Done(_)));
    assert_eq!(bench.row("r2", "k").as_deref(), Some("v"));
    let circle = [call("r1", vec![call("r0", vec![])])];
    assert!(fault(bench.tell(&circle)).text.contains("already at work"));
    assert!(fault(bench.tell(&[call("r0", vec![])])).text.contains("already at work"));
}

#[test]
fn only_commands_meant_for_it_are_called_by_plugins() {
    let own = asked("r0", |services| services.invoke("r1", "own", &[])).unwrap_err();
    assert_eq!((own.kind, own.code.as_str()), (FaultKind::NotFound, NOT_SERVED));
    let nobody = asked("r0", |services| services.invoke("nobody", "do", &[])).unwrap_err();
    assert_eq!((nobody.kind, nobody.code.as_str()), (FaultKind::NotFound, NOT_SERVED));
}

#[test]
fn what_nobody_serves_is_no_fault_of_the_event() {
    let mut bench = Bench::new();
    let script = [Do::Invoke("nobody".into(), vec![], false), Do::Put("k".into(), "v".into())];
    assert!(matches!(bench.tell(&script), Outcome::Done(_)));
    assert_eq!(bench.row("r0", "k").as_deref(), Some("v"));
}

#[test]
fn calls_are_bounded_in_depth() {
    let deep = asked("r0", |services| {
        services.stack.extend(std::iter::repeat_n("x", INVOKE_DEPTH - 1));
        services.invoke("r1", "do", &tallyho_plugin::context::to_cbor(&Vec::<Do>::new()).unwrap())
    });
    assert!(deep.unwrap_err().text.contains("deep"));
}

#[test]
fn a_called_plugins_fault_is_the_events_though_the_caller_goes_on() {
    let mut bench = Bench::new();
    let script = [
        Do::Invoke("r1".into(), vec![Do::Put("k".into(), "v".into()), Do::Refuse], false),
        Do::Put("k".into(), "v".into()),
    ];
    assert_eq!(fault(bench.tell(&script)).text, "as told");
    assert_eq!((bench.row("r0", "k"), bench.row("r1", "k")), (None, None));
}

#[test]
fn what_a_called_plugin_sends_is_its_own() {
    let mut bench = Bench::new();
    let done = bench
        .apply(vec![command("r0", &[Do::Invoke("r1".into(), vec![Do::Send(agent('b'), "m".into(), vec![])], true)])]);
    assert_eq!(done.released.posts[0].row.plugin, "r1");
    bench.tell(&[Do::Withdraw(agent('b'), "m".into())]);
    assert_eq!(bench.scan("host.outbox").len(), 1, "r0 cannot take back what r1 sent");
}

#[test]
fn a_full_outbox_fails_the_event_as_the_hosts_fault() {
    let mut bench = Bench::new();
    let mut left = OUTBOX_ROWS_PER_PEER;
    while left > 0 {
        let some = left.min(1_000);
        bench.tell(&vec![Do::Send(agent('b'), String::new(), vec![]); usize::try_from(some).unwrap()]);
        left -= some;
    }
    let over = [Do::Put("k".into(), "v".into()), Do::Send(agent('b'), String::new(), vec![])];
    let full = fault(bench.tell(&over));
    assert_eq!((full.kind, full.code.as_str()), (FaultKind::Host, OUTBOX_FULL));
    assert_eq!(bench.row("r0", "k"), None);
}

#[test]
fn random_bytes_are_the_same_for_the_same_seed_and_never_repeat() {
    let draw = |seed| {
        let mut random = Random::new([seed; 32]);
        let mut bytes = [0; 100];
        random.fill(&mut bytes);
        let mut more = [0; 32];
        random.fill(&mut more);
        (bytes, more)
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1).0, draw(2).0);
    let (bytes, more) = draw(1);
    assert!(bytes.chunks(32).filter(|chunk| chunk.len() == 32).all(|chunk| chunk != more));
}

#[test]
fn the_site_learns_where_others_are_and_nothing_about_itself() {
    let mut bench = Bench::new();
    let relate = |letter: char| {
        Do::Relate(Relation {
            user: "alice".to_owned(),
            subject: "s".to_owned(),
            partner: "x".to_owned(),
            agent: agent(letter),
            host: Some("x.example".to_owned()),
            port: Some(1),
            until: None,
        })
    };
    let done = bench.apply(vec![command("r0", &[relate('a'), relate('b')])]);
    assert_eq!(done.released.places.len(), 1);
    assert_eq!(done.released.places[0].0, agent('b'));
    let learn = |letter: char| Input::Learn { from: Chad::agent(agent(letter)).at("x.example", 1) };
    assert!(bench.apply(vec![learn('b')]).released.places.len() <= 1);
}
