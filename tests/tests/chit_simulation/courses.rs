//! One course of things, disturbed once, in every place where it can be.

use super::told;
use std::panic::resume_unwind;
use tallyho::store::{Operation, StoreError};
use tallyho_plugin::FaultKind;
use tallyho_tests::sim::World;
use tallyho_tests::sim::chits::deals::REST;
use tallyho_tests::sim::chits::people::Act;
use tallyho_tests::sim::chits::quiet::settled;
use tallyho_tests::sim::chits::{People, wrong};

/// What disturbs the course of things once.
#[derive(Debug, Clone)]
enum Trouble {
    Nothing,
    /// The n-th operation of this site's store fails so.
    Store(usize, u64, StoreError),
    /// This site crashes before the n-th step.
    Crash(usize, u64),
    /// Before the n-th step this site comes back from a copy made before the m-th.
    Restore(usize, u64, u64),
}

/// Payments both ways at the same time, an invoice that is paid, a setting. Steps taken, and operations of
/// each store.
fn course(base: &(World, People), receipts: bool, trouble: &Trouble) -> (u64, [u64; 2]) {
    let (mut world, mut people) = (base.0.fork(1, receipts), base.1.clone());
    told(&format!("{trouble:?}"), &mut world, |world| {
        world.calm(10);
        let faults = |world: &World, site: usize| world.sites[site].running.as_ref().unwrap().faults.clone();
        let start = [0, 1].map(|site| faults(world, site).operations());
        if let Trouble::Store(site, nth, error) = trouble {
            faults(world, *site).fail(Operation::Any, *nth, error.clone());
        }
        let (mut steps, mut copy) = (0, None);
        let mut asked: Option<String> = None;
        for round in 0..2 {
            let set = Act::Set(serde_json::json!({ "limit": 7 }));
            let acts = match &asked {
                None => vec![(0, Act::Pay(5)), (1, Act::Pay(7)), (0, Act::Ask(11)), (1, set)],
                Some(uuid) => vec![(1, Act::Accept(uuid.clone())), (1, Act::Pay(13)), (0, Act::Pay(17))],
            };
            let mut made = None;
            for (end, act) in acts {
                // A user whose command fails tries again; a site that came back may not know of the invoice.
                for _ in 0..4 {
                    match people.perform(world, 0, end, &act) {
                        Ok(answer) => {
                            made = made.or_else(|| {
                                answer["uuid"].as_str().filter(|_| matches!(act, Act::Ask(_))).map(str::to_owned)
                            });
                            break;
                        }
                        Err(fault) if fault.kind == FaultKind::Host => {
                            let later = world.now.plus(200);
                            pass(world, &mut people, trouble, later, &mut steps, &mut copy);
                        }
                        Err(fault) if matches!(act, Act::Accept(_)) && fault.kind != FaultKind::Failed => break,
                        Err(fault) => panic!("{act:?}: {fault:?}"),
                    }
                }
            }
            asked = asked.or(made);
            let later = world.now.plus(if round == 0 { 20_000 } else { 0 });
            pass(world, &mut people, trouble, later, &mut steps, &mut copy);
        }
        world.heal();
        people.settle(world);
        world.calm(REST);
        assert_eq!(wrong(world, &people, !receipts), Vec::<String>::new(), "{trouble:?}");
        let operations = |site: usize| faults(world, site).operations() - start[site];
        if matches!(trouble, Trouble::Nothing) { (steps, [operations(0), operations(1)]) } else { (steps, [0, 0]) }
    })
}

/// All that happens up to this instant, with the trouble where its turn comes.
fn pass(
    world: &mut World,
    people: &mut People,
    trouble: &Trouble,
    end: tallyho_plugin::record::Timestamp,
    steps: &mut u64,
    copy: &mut Option<tallyho_tests::sim::Disk>,
) {
    loop {
        match trouble {
            Trouble::Crash(site, at) if *at == *steps => world.crash(*site),
            Trouble::Restore(site, made, _) if *made == *steps && copy.is_none() => {
                *copy = Some(world.sites[*site].disk.copy());
            }
            _ => {}
        }
        if let Trouble::Restore(site, _, back) = trouble
            && *back == *steps
            && let Some(copy) = copy
        {
            people.restore(world, *site, copy);
        }
        let next = world.steps().first().copied();
        match (next, world.next_due()) {
            (Some(step), _) => {
                *steps += 1;
                world.step(step);
            }
            (None, Some(next)) if next <= end => world.now = world.now.max(next),
            _ => break,
        }
    }
}

/// For each of both sites at the same time.
fn both(each: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| each(1));
        each(0);
        other.join().unwrap_or_else(|payload| resume_unwind(payload));
    });
}

#[test]
fn chits_arrive_whichever_operation_of_a_store_fails() {
    let (_, operations) = course(&settled(2, true, 1), true, &Trouble::Nothing);
    let unwritable = StoreError::Unwritable { path: "store".to_owned(), why: "full".to_owned() };
    let errors = [StoreError::Conflict, unwritable, StoreError::Engine("as told".to_owned())];
    both(|site| {
        let base = settled(2, true, 1);
        for nth in 1..=operations[site] {
            // Each place meets one of the errors; which one makes little difference.
            let error = errors[usize::try_from(nth).unwrap() % errors.len()].clone();
            course(&base, true, &Trouble::Store(site, nth, error));
        }
    });
    assert!(operations.iter().all(|count| *count > 100), "{operations:?} operations show little");
}

#[test]
fn chits_arrive_whenever_a_site_crashes() {
    both(|site| {
        for receipts in [true, false] {
            let base = settled(2, receipts, 1);
            let (steps, _) = course(&base, receipts, &Trouble::Nothing);
            assert!(steps > 20, "{steps} steps show little");
            for at in 0..steps {
                course(&base, receipts, &Trouble::Crash(site, at));
            }
        }
    });
}

#[test]
fn nothing_signed_is_lost_whenever_a_site_comes_back_from_an_older_copy() {
    both(|site| {
        for receipts in [true, false] {
            let base = settled(2, receipts, 1);
            let (steps, _) = course(&base, receipts, &Trouble::Nothing);
            for back in 1..steps {
                // From the very beginning, from halfway, from a moment ago, in turn.
                let made = [0, back / 2, back - 1][usize::try_from(back % 3).unwrap()];
                course(&base, receipts, &Trouble::Restore(site, made, back));
            }
        }
    });
}
