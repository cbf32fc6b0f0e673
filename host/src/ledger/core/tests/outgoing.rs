//! Messages for peers: leave after the commit, stay until received.

use crate::ledger::input::Input;
use crate::ledger::robot::*;
use crate::store::{Operation, StoreError};
use crate::wire::ext::Receipt;
use tallyho_plugin::Fate;
use tallyho_plugin::record::AgentId;
use tallyho_plugin::services::{Keep, Outgoing, Schedule};

fn send(bench: &mut Bench, key: &str) -> u64 {
    send_as(bench, outgoing(agent('b'), key, &[]))
}

fn send_as(bench: &mut Bench, message: Outgoing) -> u64 {
    let done = bench.apply(vec![command("r0", &[Do::SendPlain(Box::new(message))])]);
    done.released.posts[0].mid
}

fn delivery(mid: u64, fate: Fate, receipts: bool) -> Input {
    Input::Delivery { line: agent('b').into(), mid, fate, receipts }
}

fn receipt(upto: u64) -> Input {
    Input::Receipt { agent: agent('b'), receipt: Receipt { upto, also: Vec::new() } }
}

fn stalled() -> Fate {
    Fate::Stalled { attempts: 1, unsent: true, why: "test".to_owned() }
}

fn waiting(bench: &mut Bench) -> usize {
    bench.scan("host.outbox").len()
}

#[test]
fn a_message_stays_until_its_receipt_and_its_handler_hears_once_that_it_was_handed_over() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, "letter");
    bench.apply(vec![delivery(mid, Fate::HandedOver, true)]);
    // Sent again on the next channel.
    bench.apply(vec![delivery(mid, Fate::HandedOver, true)]);
    assert_eq!(waiting(&mut bench), 1);
    let done = bench.apply(vec![receipt(mid)]);
    assert_eq!(done.released.withdrawn, [(agent('b').into(), mid)]);
    assert_eq!(waiting(&mut bench), 0);
    assert_eq!(bench.heard("r0"), ["handed over letter"]);
}

#[test]
fn a_receipt_or_report_that_changes_nothing_costs_no_commit() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, "letter");
    bench.apply(vec![delivery(mid, Fate::HandedOver, true), receipt(mid)]);
    bench.faults.fail(Operation::Commit, 1, StoreError::Conflict);
    bench.apply(vec![delivery(mid, Fate::HandedOver, true), receipt(mid)]);
    assert_eq!(bench.faults.failures(), 0);
    assert_eq!(bench.try_apply(vec![command("r0", &[Do::Notice])]).unwrap_err(), StoreError::Conflict);
}

#[test]
fn a_receipt_that_overtakes_the_report_tells_the_handler_that_it_was_handed_over() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, "letter");
    bench.apply(vec![receipt(mid), delivery(mid, Fate::HandedOver, true)]);
    assert_eq!(bench.heard("r0"), ["handed over letter"]);
}

#[test]
fn a_handler_that_failed_at_a_report_is_told_again_when_the_message_is_received() {
    let mut bench = Bench::new();
    bench.tell(&[Do::On(vec![Do::Fail])]);
    let mid = send(&mut bench, "letter");
    bench.apply(vec![delivery(mid, Fate::HandedOver, true)]);
    bench.tell(&[Do::On(vec![])]);
    bench.apply(vec![receipt(mid)]);
    assert_eq!(bench.heard("r0"), ["handed over letter"]);
}

#[test]
fn without_receipts_a_message_is_done_when_handed_over_or_when_withdrawn() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, "letter");
    let done = bench.apply(vec![delivery(mid, Fate::HandedOver, false)]);
    assert_eq!(done.released.withdrawn, [(agent('b').into(), mid)]);
    let kept = Outgoing { keep: Keep::Withdrawn, ..outgoing(agent('b'), "kept", &[]) };
    let mid = send_as(&mut bench, kept);
    for _ in 0..2 {
        bench.apply(vec![delivery(mid, Fate::HandedOver, false)]);
    }
    assert_eq!(waiting(&mut bench), 1);
    bench.tell(&[Do::Withdraw(agent('b'), "kept".into())]);
    assert_eq!(waiting(&mut bench), 0);
    // Each repeat is told, since the handler decides how many there are.
    assert_eq!(bench.heard("r0"), ["handed over letter", "handed over kept", "handed over kept"]);
}

#[test]
fn a_message_given_up_stays_and_one_to_be_sent_once_is_forgotten() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, "letter");
    bench.apply(vec![delivery(mid, stalled(), false)]);
    assert_eq!(waiting(&mut bench), 1);
    let once = Outgoing { schedule: Schedule::Once, ..outgoing(agent('b'), "once", &[]) };
    let mid = send_as(&mut bench, once);
    let done = bench.apply(vec![delivery(mid, stalled(), false)]);
    assert_eq!(done.released.withdrawn, [(agent('b').into(), mid)]);
    assert_eq!(waiting(&mut bench), 1);
    assert_eq!(bench.heard("r0"), ["stalled letter", "stalled once"]);
}

#[test]
fn a_ticket_is_not_taken_for_received_when_later_messages_are() {
    let mut bench = Bench::new();
    let ticket = serde_json::json!({ "token": "t" });
    let ticket = Outgoing { ticket: Some(ticket), schedule: Schedule::Ticket, ..outgoing(agent('b'), "ticket", &[]) };
    let mid = send_as(&mut bench, ticket);
    let later = send(&mut bench, "letter");
    bench.apply(vec![receipt(later)]);
    assert_eq!(waiting(&mut bench), 1, "the ticket");
    bench.apply(vec![delivery(mid, Fate::Accepted, true)]);
    assert_eq!(waiting(&mut bench), 0);
    assert_eq!(bench.heard("r0"), ["handed over letter", "accepted ticket"]);
}

#[test]
fn what_is_replaced_or_withdrawn_in_the_batch_that_sent_it_never_leaves() {
    let mut bench = Bench::new();
    let twice = [Do::Send(agent('b'), "letter".into(), vec![]), Do::Send(agent('b'), "letter".into(), vec![])];
    let done = bench.apply(vec![command("r0", &twice)]);
    assert_eq!(done.released.posts.len(), 1);
    let done = bench.apply(vec![
        command("r0", &[Do::Send(agent('b'), "gone".into(), vec![])]),
        command("r0", &[Do::Withdraw(agent('b'), "gone".into())]),
        command("r0", &[Do::Send(agent('b'), "letter".into(), vec![])]),
        command("r0", &[Do::Send(agent('b'), "letter".into(), vec![])]),
    ]);
    assert_eq!(done.released.posts.len(), 1);
    assert_eq!(waiting(&mut bench), 1);
    let stored = bench.core.refill(&agent('b').into(), 0).unwrap();
    assert_eq!(stored[0].mid, done.released.posts[0].mid);
}

#[test]
fn a_receipt_of_another_agent_removes_nothing() {
    let mut bench = Bench::new();
    let mid = send(&mut bench, "letter");
    let other: AgentId = agent('c');
    bench.apply(vec![Input::Receipt { agent: other, receipt: Receipt { upto: mid, also: vec![mid] } }]);
    assert_eq!(waiting(&mut bench), 1);
}

#[test]
fn windows_of_the_outbox_follow_one_another_without_gap_or_repeat() {
    let mut bench = Bench::new();
    for start in (0..600).step_by(100) {
        let script: Vec<Do> = (start..start + 100).map(|n| Do::Send(agent('b'), format!("{n}"), vec![])).collect();
        bench.tell(&script);
    }
    let mut after = 0;
    let mut seen = Vec::new();
    loop {
        let posts = bench.core.refill(&agent('b').into(), after).unwrap();
        let Some(last) = posts.last() else { break };
        after = last.mid;
        seen.extend(posts.iter().map(|post| post.row.message.key.parse::<u32>().unwrap()));
    }
    assert_eq!(seen, (0..600).collect::<Vec<_>>());
}
