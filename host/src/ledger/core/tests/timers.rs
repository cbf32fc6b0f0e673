//! Timers of plugins.

use crate::ledger::limits::{TIMER_RETRY_MS, TIMERS_PER_BATCH};
use crate::ledger::robot::*;

fn due(bench: &mut Bench, at: i64) -> usize {
    bench.now = NOW.plus(at);
    let due = bench.core.due(bench.now).unwrap();
    let count = due.len();
    bench.apply(due);
    count
}

#[test]
fn a_timer_comes_once_at_its_time_also_after_a_restart() {
    let mut bench = Bench::new();
    bench.tell(&[Do::Timer("clock".into(), NOW.plus(1_000))]);
    assert_eq!(due(&mut bench, 999), 0);
    let mut bench = Bench::on(&bench.disk);
    assert_eq!(bench.core.next_timer(), Some(NOW.plus(1_000)));
    assert_eq!(due(&mut bench, 1_000), 1);
    assert_eq!(due(&mut bench, 1_000_000), 0);
    assert_eq!(bench.heard("r0"), ["timer clock"]);
}

#[test]
fn a_timer_moved_or_cancelled_in_the_batch_before_its_turn_does_not_come() {
    let mut bench = Bench::new();
    bench.tell(&[Do::Timer("moved".into(), NOW), Do::Timer("cancelled".into(), NOW)]);
    let mut inputs = vec![command("r0", &[Do::Timer("moved".into(), NOW.plus(500)), Do::Cancel("cancelled".into())])];
    inputs.extend(bench.core.due(NOW).unwrap());
    assert_eq!(inputs.len(), 3);
    bench.apply(inputs);
    assert!(bench.heard("r0").is_empty());
    assert_eq!(due(&mut bench, 500), 1);
    assert_eq!(bench.heard("r0"), ["timer moved"]);
}

#[test]
fn a_timer_whose_handler_failed_comes_again_a_minute_later() {
    for end in [Do::Fail, Do::Panic, Do::Refuse, Do::Host] {
        let mut bench = Bench::new();
        bench.tell(&[Do::On(vec![end]), Do::Timer("clock".into(), NOW)]);
        assert_eq!(due(&mut bench, 0), 1);
        assert_eq!(bench.core.next_timer(), Some(NOW.plus(TIMER_RETRY_MS)));
        bench.tell(&[Do::On(vec![])]);
        assert_eq!(due(&mut bench, TIMER_RETRY_MS), 1);
        assert_eq!(bench.heard("r0"), ["timer clock"]);
    }
}

#[test]
fn more_timers_than_a_batch_takes_all_come_in_order_of_their_times() {
    let mut bench = Bench::new();
    let count = TIMERS_PER_BATCH + 10;
    let timers: Vec<Do> = (0..count).map(|n| Do::Timer(format!("t{n:03}"), NOW.plus(i64::from(count - n)))).collect();
    bench.tell(&timers);
    assert_eq!(due(&mut bench, 1_000), TIMERS_PER_BATCH as usize);
    assert_eq!(due(&mut bench, 1_000), 10);
    let expected: Vec<String> = (0..count).rev().map(|n| format!("timer t{n:03}")).collect();
    assert_eq!(bench.heard("r0"), expected);
}
