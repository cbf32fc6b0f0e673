//! Many at once, again and again, with clocks that go wrong and processes that end (PROTOCOL 10.4).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{ask, commit, hash, is_ruling, lift, names, referee, told, with_clock_at};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tallyho_plugin::testkit::Dice;
use tallyho_referee::Standard;

const MINUTES: i64 = 60_000;

#[test]
fn a_hundred_requests_round_expiry_get_one_ruling() {
    let (mut goods, mut voids) = (0, 0);
    for story in 0..12 {
        let mut site = referee();
        site.check_determinism(story == 0);
        let mut dice = Dice::new(story);
        let lift = lift(&site, 1, site.now());
        // Some commits are early enough, in some stories none is.
        site.advance(119_990 + i64::try_from(dice.below(12)).unwrap());
        let (mut rulings, mut ruled) = (BTreeSet::new(), false);
        for _ in 0..100 {
            let request = match dice.below(3) {
                0 => ("commit", commit(&lift)),
                1 => ("check", lift.clone()),
                _ => ("check", names(&lift)),
            };
            let answer = told(&mut site, request.0, &request.1);
            if answer["pend"] == true {
                assert!(!ruled, "what was ruled on never waits again");
            } else {
                ruled = true;
                rulings.insert(answer["signed"].as_str().unwrap().to_owned());
                let good = answer["valid"] == true;
                assert!(is_ruling(&site, &lift, good, &answer));
                if good { goods += 1 } else { voids += 1 }
            }
            site.advance(i64::try_from(dice.below(2)).unwrap());
        }
        assert_eq!((rulings.len(), site.rows("referee.rulings").len()), (1, 1), "story {story}");
    }
    assert!(goods > 0 && voids > 0, "both were met: {goods} {voids}");
}

#[test]
fn a_clock_set_back_ten_minutes_changes_no_ruling_and_lets_nothing_expired_in() {
    let mut site = referee();
    site.advance(20 * MINUTES);
    let (good, void, late) = (
        lift(&site, 1, site.now()),
        lift(&site, 2, site.now().plus(-2 * MINUTES - 1)),
        lift(&site, 3, site.now().plus(-2 * MINUTES - 1)),
    );
    let next = lift(&site, 4, site.now());
    let (ruled_good, ruled_void) = (told(&mut site, "commit", &commit(&good)), told(&mut site, "check", &void));

    let mut back = with_clock_at::<Standard>(&site, site.now().plus(-10 * MINUTES));
    for (lift, ruling) in [(&good, &ruled_good), (&void, &ruled_void)] {
        assert_eq!(told(&mut back, "commit", &commit(lift)), *ruling);
        assert_eq!(told(&mut back, "check", &names(lift)), *ruling);
    }
    // By the clock set back its time has not come yet. By the referee's it is over, and stays so.
    let answer = told(&mut back, "commit", &commit(&late));
    assert!(is_ruling(&back, &late, false, &answer), "{answer}");
    // The clock is wrong now, or was before: it is not guessed which, and the time told does not go back.
    let answer = told(&mut back, "commit", &commit(&next));
    assert_eq!((&answer["pend"], &answer["err"]), (&true.into(), &"clock".into()));
    assert_eq!(answer["now"], site.now().text());
    // Set right, it serves on.
    back.set(site.now());
    let answer = told(&mut back, "commit", &commit(&next));
    assert!(is_ruling(&back, &next, true, &answer));
}

#[test]
fn a_clock_back_by_less_than_its_tolerance_stands_still() {
    let mut site = referee();
    site.advance(20 * MINUTES);
    let (first, second) = (lift(&site, 1, site.now()), lift(&site, 2, site.now()));
    told(&mut site, "commit", &commit(&first));
    let mut back = with_clock_at::<Standard>(&site, site.now().plus(-2_000));
    let answer = told(&mut back, "commit", &commit(&second));
    assert!(is_ruling(&back, &second, true, &answer));
    assert_eq!(back.rows("referee.book")[b"site".as_slice()]["latest"], site.now().0);
}

#[test]
fn the_same_bytes_come_after_a_restart_and_out_of_a_restored_store() {
    let mut site = referee();
    let lifts: Vec<Value> = (0..10).map(|n| lift(&site, n, site.now())).collect();
    for lift in &lifts[..5] {
        told(&mut site, "commit", &commit(lift));
    }
    site.advance(120_001);
    let before: Vec<Value> = lifts.iter().map(|lift| told(&mut site, "check", lift)).collect();
    site.restart();
    let mut other = with_clock_at::<Standard>(&site, site.now());
    for (lift, ruling) in lifts.iter().zip(&before) {
        assert_eq!(told(&mut site, "check", lift), *ruling);
        assert_eq!(told(&mut other, "check", lift), *ruling);
    }
}

/// Whatever order requests, time and restarts come in: one ruling for each hash, good only if a genuine
/// commit came in time.
#[test]
fn through_storms_every_lift_has_one_ruling_and_a_good_one_had_consent_in_time() {
    for story in 0..8 {
        let mut site = referee();
        site.check_determinism(false);
        let mut dice = Dice::new(1_000 + story);
        let begin = site.now();
        let lifts: Vec<Value> =
            (0..8).map(|n| lift(&site, n, begin.plus(i64::try_from(dice.below(200_000)).unwrap()))).collect();
        let mut rulings: BTreeMap<String, Value> = BTreeMap::new();
        let mut consent = BTreeSet::new();
        for _ in 0..250 {
            let lift = &lifts[dice.below(lifts.len())];
            let (action, object) = match dice.below(10) {
                0 => ("commit", commit(lift)),
                1 => ("commit", kit::signed_by(lift, &kit::agent("B"))),
                2..=5 => ("check", names(lift)),
                _ => ("check", lift.clone()),
            };
            let core = kit::core(lift);
            let genuine = action == "commit" && object == commit(lift);
            if genuine && site.now() <= core.expires() && core.date() <= site.now().plus(60_000) {
                consent.insert(core.hash());
            }
            if let Ok(Some(answer)) = ask(&mut site, action, &object)
                && answer.get("pend").is_none()
            {
                let known = rulings.entry(core.hash()).or_insert_with(|| answer.clone());
                assert_eq!(*known, answer, "story {story}: a second ruling");
            }
            match dice.below(40) {
                0 => site.restart(),
                1..=10 => site.advance(i64::try_from(dice.below(10_000)).unwrap()),
                _ => {}
            }
        }
        site.set(begin.plus(400_000));
        for lift in &lifts {
            let answer = told(&mut site, "check", lift);
            let known = rulings.entry(hash(lift)).or_insert_with(|| answer.clone());
            assert_eq!(*known, answer);
            assert_eq!(answer["valid"] == true, consent.contains(&hash(lift)), "story {story}");
        }
    }
}
