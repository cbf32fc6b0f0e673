#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::ledger::robot::{agent, command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;

/// An input that can be told from others.
fn item(number: u64) -> Item {
    Item::Input(Input::Local { mid: number }, None, None)
}

fn numbers(items: Option<Vec<Item>>) -> Vec<u64> {
    let number = |item| match item {
        Item::Input(Input::Local { mid }, ..) => mid,
        Item::Input(Input::Command { .. }, ..) => 1_000,
        _ => 2_000,
    };
    items.expect("it is open").into_iter().map(number).collect()
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(queue: &Queue, bell: &Arc<Bell>, number: u64) -> Poll<Result<(), Closed>> {
    let waker = Waker::from(Arc::clone(bell));
    queue.poll_push(&mut Context::from_waker(&waker), &mut VecDeque::from([number]), |number, _| item(number))
}

fn fill(queue: &Queue) {
    (0..QUEUE as u64).for_each(|number| queue.push(item(number)).unwrap());
}

#[test]
fn items_come_out_in_order_the_urgent_ones_first() {
    let queue = Queue::default();
    (1..=3).for_each(|number| queue.push(item(number)).unwrap());
    (11..=12).for_each(|number| queue.push_urgent(item(number)));
    assert_eq!(numbers(queue.take(4, None)), [11, 12, 1, 2]);
    assert_eq!(numbers(queue.take(4, None)), [3]);
}

#[test]
fn a_full_queue_takes_nothing_until_something_is_taken_out() {
    let queue = Queue::default();
    fill(&queue);
    let bell = Arc::new(Bell::default());
    assert!(poll(&queue, &bell, 7).is_pending());
    let mut made = false;
    let waker = Waker::from(Arc::clone(&bell));
    let full = queue.poll_push(&mut Context::from_waker(&waker), &mut VecDeque::from([0]), |number, _| {
        made = true;
        item(number)
    });
    assert!(full.is_pending() && !made, "what has no room is not made");
    queue.push_urgent(item(99));
    assert_eq!(numbers(queue.take(1, None)), [99]);
    assert_eq!(bell.rings(), 0, "there is still no room");
    queue.take(ROOM - 1, None);
    assert_eq!(bell.rings(), 0, "too little to be woken for");
    queue.take(1, None);
    assert_eq!(bell.rings(), 1);
    assert!(poll(&queue, &bell, 7).is_ready());
}

#[test]
fn a_task_that_is_polled_often_while_it_waits_is_remembered_once() {
    let queue = Queue::default();
    fill(&queue);
    let bell = Arc::new(Bell::default());
    (0..1_000).for_each(|_| assert!(poll(&queue, &bell, 7).is_pending()));
    assert_eq!(queue.lock().full.len(), 1);
    queue.take(ROOM, None);
    assert_eq!(bell.rings(), 1);
}

#[test]
fn a_waker_may_use_the_queue_it_was_woken_by() {
    struct Again(Arc<Queue>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.0.push_urgent(item(5));
        }
    }
    let queue = Arc::new(Queue::default());
    fill(&queue);
    let waker = Waker::from(Arc::new(Again(Arc::clone(&queue))));
    assert!(
        queue
            .poll_push(&mut Context::from_waker(&waker), &mut VecDeque::from([1]), |number, _| item(number))
            .is_pending()
    );
    queue.take(ROOM, None);
    assert_eq!(numbers(queue.take(1, None)), [5]);
}

#[test]
fn a_thread_that_waits_for_room_goes_on_when_there_is_some() {
    let queue = Arc::new(Queue::default());
    fill(&queue);
    let pushing = thread::spawn({
        let queue = Arc::clone(&queue);
        move || queue.push(item(7))
    });
    let mut seen = Vec::new();
    while seen.last() != Some(&7) {
        seen.extend(numbers(queue.take(64, None)));
    }
    assert_eq!(pushing.join().unwrap(), Ok(()));
    assert_eq!(seen.len(), QUEUE + 1);
}

#[test]
fn nothing_comes_when_patience_ends() {
    assert!(numbers(Queue::default().take(1, Some(Duration::from_millis(1)))).is_empty());
}

#[test]
fn a_closed_queue_gives_out_what_it_has_and_takes_nothing() {
    let queue = Arc::new(Queue::default());
    fill(&queue);
    let pushing = thread::spawn({
        let queue = Arc::clone(&queue);
        move || queue.push(item(7))
    });
    let bell = Arc::new(Bell::default());
    assert!(poll(&queue, &bell, 8).is_pending());
    queue.close();
    assert_eq!(pushing.join().unwrap(), Err(Closed));
    assert_eq!(bell.rings(), 1);
    assert_eq!(poll(&queue, &bell, 8), Poll::Ready(Err(Closed)));
    queue.push_urgent(item(9));
    assert_eq!(numbers(queue.take(QUEUE, None)).len(), QUEUE);
    assert!(queue.take(1, None).is_none());
}

#[test]
fn what_somebody_waits_for_is_taken_past_what_nobody_does() {
    let queue = Queue::default();
    (1..=3).for_each(|number| queue.push(item(number)).unwrap());
    queue.push(command("r0", &[]).into_item()).unwrap();
    queue.push(item(4)).unwrap();
    queue.push_urgent(item(11));
    queue.push_urgent(Item::Ask(Box::new(|_| {})));
    assert_eq!(numbers(queue.take_awaited(8, None)), [2_000, 1_000]);
    assert!(numbers(queue.take_awaited(8, Some(Duration::from_millis(1)))).is_empty());
    assert_eq!(numbers(queue.take(8, None)), [11, 1, 2, 3, 4]);
    queue.close();
    assert!(queue.take_awaited(8, None).is_none());
}

#[test]
fn whoever_waits_for_an_answer_from_an_abandoned_queue_learns_that_none_comes() {
    let queue = Queue::default();
    let (tell, told) = std::sync::mpsc::channel();
    let tell: Tell = Box::new(move |outcome| drop(tell.send(outcome)));
    queue.push(Item::Input(Input::Dropped { agent: agent('b'), mid: 1 }, None, Some(tell))).unwrap();
    queue.abandon();
    assert!(told.recv().is_err());
    assert!(queue.take(1, None).is_none());
}

impl Input {
    fn into_item(self) -> Item {
        Item::Input(self, None, None)
    }
}

fn receipt() -> Item {
    let receipt = crate::wire::ext::Receipt { upto: 1, also: Vec::new() };
    Item::Input(Input::Receipt { agent: agent('b'), receipt }, None, None)
}

#[test]
fn a_receipt_shares_the_commit_of_what_comes_next() {
    let queue = Arc::new(Queue::with_patience(Duration::from_secs(3_600)));
    queue.push(receipt()).unwrap();
    let (own, taken) = (Arc::clone(&queue), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&taken);
    let taker = thread::spawn(move || {
        let items = own.take(10, None);
        count.store(1, Ordering::SeqCst);
        items
    });
    while !queue.lock().idle {
        thread::yield_now();
    }
    assert_eq!(taken.load(Ordering::SeqCst), 0, "it waits");
    queue.push(receipt()).unwrap();
    queue.push(item(1)).unwrap();
    let mut numbers = numbers(taker.join().unwrap());
    numbers.extend(self::numbers(queue.take(10, Some(Duration::ZERO))));
    assert_eq!(numbers, [2_000, 2_000, 1]);
    assert_eq!(queue.lock().patient, 0);
}

#[test]
fn a_receipt_is_not_committed_for_a_command_that_may_only_look() {
    let queue = Queue::with_patience(Duration::from_secs(3_600));
    let look = || Item::Input(command("r0", &[]), None, None);
    queue.push(receipt()).unwrap();
    queue.push(look()).unwrap();
    assert_eq!(numbers(queue.take(10, None)), [1_000]);
    queue.push(look()).unwrap();
    queue.push(receipt()).unwrap();
    queue.push(item(1)).unwrap();
    assert_eq!(numbers(queue.take(10, None)), [2_000, 1_000, 2_000, 1]);
    let inner = queue.lock();
    assert_eq!((inner.patient, inner.since), (0, None));
}

#[test]
fn a_taker_without_a_timer_of_its_own_is_woken_for_receipts_however_many_come_at_once() {
    let queue = Arc::new(Queue::with_patience(Duration::from_millis(1)));
    let own = Arc::clone(&queue);
    let taker = thread::spawn(move || own.take(10, None));
    while !queue.lock().idle {
        thread::yield_now();
    }
    let waker = Waker::from(Arc::new(Bell::default()));
    let pushed = queue.poll_push(&mut Context::from_waker(&waker), &mut VecDeque::from([1, 2]), |_: u64, _| receipt());
    assert!(pushed.is_ready());
    assert_eq!(numbers(taker.join().unwrap()), [2_000, 2_000]);
}

#[test]
fn receipts_alone_are_taken_when_they_have_waited_long_enough_or_are_many() {
    let queue = Queue::with_patience(Duration::from_millis(1));
    queue.push(receipt()).unwrap();
    assert_eq!(numbers(queue.take(10, None)), [2_000]);
    let queue = Queue::with_patience(Duration::from_secs(3_600));
    (0..BATCH).for_each(|_| queue.push(receipt()).unwrap());
    assert_eq!(numbers(queue.take(BATCH, None)).len(), BATCH);
    queue.push(receipt()).unwrap();
    queue.close();
    assert_eq!(numbers(queue.take(10, None)), [2_000], "a site that stops finishes what is there");
    assert!(queue.take(10, None).is_none());
}

#[test]
fn items_that_will_be_taken_at_once_are_told_so_and_others_are_not() {
    let queue = Arc::new(Queue::default());
    let push = |numbers: &[u64]| {
        let mut told = Vec::new();
        let pushed = queue.poll_push(
            &mut Context::from_waker(Waker::noop()),
            &mut VecDeque::from(numbers.to_vec()),
            |number, at_once| {
                told.push(at_once);
                item(number)
            },
        );
        assert!(pushed.is_ready());
        told
    };
    assert_eq!(push(&[1]), [false], "nobody waits for it");
    assert_eq!(numbers(queue.take(4, None)), [1]);
    let waiting = Arc::clone(&queue);
    let (tell, told) = std::sync::mpsc::channel();
    let taker = std::thread::spawn(move || {
        while let Some(items) = waiting.take(4, None) {
            tell.send(items.len()).unwrap();
        }
    });
    let idle = || {
        while !queue.lock().idle {
            std::thread::yield_now();
        }
    };
    idle();
    assert_eq!(push(&[2, 3]), [true, true]);
    assert_eq!(told.recv(), Ok(2));
    idle();
    assert_eq!(push(&[4]), [true]);
    queue.close();
    taker.join().unwrap();
}

#[test]
fn a_batch_that_was_run_is_dropped_by_whoever_hands_in_the_next_and_at_once_where_too_many_wait() {
    let queue = Queue::default();
    let batches: Vec<Spent> = (0..=SPENT).map(|_| Arc::new(Vec::new())).collect();
    batches.iter().for_each(|batch| queue.spend(Arc::clone(batch)));
    let left = || batches.iter().filter(|batch| Arc::strong_count(batch) > 1).count();
    assert_eq!(left(), SPENT);
    let bell = Arc::new(Bell::default());
    assert!(poll(&queue, &bell, 1).is_ready());
    assert_eq!(left(), SPENT - 1);
    drop(queue);
    assert_eq!(left(), 0);
}
