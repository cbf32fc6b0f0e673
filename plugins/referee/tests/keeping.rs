//! What is kept for how long, what is bounded, and what no policy can change (PROTOCOL 10.4).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{ask, commit, core, hash, is_ruling, lift, names, referee, told, with};
use serde_json::Value;
use tallyho_plugin::record::{LiftCore, Timestamp};
use tallyho_plugin::testkit::Site;
use tallyho_referee::{Policy, Service, Term, limits};

/// Serves nobody, keeps as little as it can, doubts every clock.
#[derive(Default)]
struct Lazy;

impl Policy for Lazy {
    fn serve(&self, _: &LiftCore, _: Timestamp) -> Service {
        Service::Silence
    }
    fn clock(&self, _: Timestamp, _: Timestamp) -> Option<Timestamp> {
        None
    }
    fn term(&self, now: Timestamp) -> Term {
        Term { from: now.plus(limits::DAY), to: now.plus(-limits::DAY) }
    }
    fn keep_proofs(&self) -> Option<i64> {
        Some(0)
    }
    fn keep_voids(&self) -> i64 {
        0
    }
    fn most_voids(&self) -> u64 {
        0
    }
    fn hourly(&self) -> u32 {
        0
    }
}

/// Keeps as little as it can, and rules.
#[derive(Default)]
struct Brief;

impl Policy for Brief {
    fn keep_proofs(&self) -> Option<i64> {
        Some(0)
    }
    fn keep_voids(&self) -> i64 {
        0
    }
    fn most_voids(&self) -> u64 {
        0
    }
    fn hourly(&self) -> u32 {
        3
    }
    fn log(&self, lift: &LiftCore, valid: bool) -> Option<String> {
        Some(format!("{} milli-CHIPs: {valid}", lift.units()))
    }
}

/// Asks to wait.
#[derive(Default)]
struct Shy;

impl Policy for Shy {
    fn serve(&self, _: &LiftCore, _: Timestamp) -> Service {
        Service::Pend
    }
}

/// Moves the clock on, sweeping whenever that is due.
fn sweep(site: &mut Site, milliseconds: i64) {
    let end = site.now().plus(milliseconds);
    while let Some(next) = site.next_timer().filter(|next| *next <= end) {
        // Days on which nothing can end are of no interest.
        site.set(next.max(end.plus(-limits::DAY)));
        site.fire_timers();
    }
    site.set(end);
}

fn kept(site: &Site, lift: &Value) -> Option<Value> {
    site.rows("referee.rulings").remove(hash(lift).as_bytes())
}

#[test]
fn a_void_ruling_is_kept_for_a_year_and_comes_out_the_same_after_that() {
    // The second would not keep it at all.
    for mut site in [referee(), with::<Brief>()] {
        let lift = lift(&site, 1, site.now());
        site.advance(120_001);
        let ruling = told(&mut site, "check", &lift);
        sweep(&mut site, limits::VOID_LEAST - 2 * limits::DAY);
        assert!(kept(&site, &lift).is_some());
        sweep(&mut site, 4 * limits::DAY);
        assert!(kept(&site, &lift).is_none() && site.rows("referee.ruled").is_empty());
        assert_eq!(site.rows("referee.book")[b"site".as_slice()]["voids"], 0);
        assert_eq!(told(&mut site, "check", &names(&lift))["err"], "need");
        assert_eq!(told(&mut site, "commit", &commit(&lift)), ruling);
    }
}

#[test]
fn a_good_ruling_is_kept_for_ever_with_its_proof() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    let ruling = told(&mut site, "commit", &commit(&lift));
    sweep(&mut site, 100 * limits::YEAR);
    assert_eq!(kept(&site, &lift).unwrap()["proof"]["core"], lift);
    assert_eq!(told(&mut site, "check", &lift), ruling);
}

#[test]
fn a_policy_may_let_the_proof_go_ten_years_after_the_term_but_never_the_ruling() {
    let mut site = with::<Brief>();
    let lift = lift(&site, 1, site.now());
    let ruling = told(&mut site, "commit", &commit(&lift));
    sweep(&mut site, limits::PROOF_LEAST + limits::TERM - limits::DAY);
    assert!(kept(&site, &lift).unwrap()["proof"]["core"].is_object());
    sweep(&mut site, 4 * limits::DAY);
    assert!(kept(&site, &lift).unwrap()["proof"].is_null());
    for request in [&lift, &names(&lift)] {
        assert_eq!(told(&mut site, "check", request), ruling, "and not that it is void");
    }
}

#[test]
fn a_sweep_takes_a_page_at_a_time_and_goes_on() {
    let mut site = referee();
    site.check_determinism(false);
    let many = limits::SWEEP_PAGE as usize + 3;
    let lifts: Vec<Value> = (0..many).map(|n| lift(&site, n, site.now())).collect();
    site.advance(120_001);
    for lift in &lifts {
        told(&mut site, "check", lift);
    }
    site.advance(limits::VOID_LEAST + limits::DAY);
    assert_eq!(site.fire_timers(), 1);
    assert_eq!(site.rows("referee.rulings").len(), 3);
    site.advance(limits::SWEEP_PAUSE);
    assert_eq!(site.fire_timers(), 1);
    assert!(site.rows("referee.rulings").is_empty() && site.rows("referee.ending").is_empty());
    assert_eq!(site.next_timer(), Some(site.now().plus(limits::SWEEP_EVERY)));
}

#[test]
fn a_flood_of_expired_lifts_pushes_out_the_oldest_void_rulings_and_no_good_one() {
    let mut site = with::<Brief>();
    site.check_determinism(false);
    let good = lift(&site, 1_000, site.now());
    let ruling = told(&mut site, "commit", &commit(&good));
    let most = limits::VOIDS_LEAST as usize;
    let lifts: Vec<Value> = (0..most + 5).map(|n| lift(&site, n, site.now())).collect();
    site.advance(120_001);
    let rulings: Vec<Value> = lifts
        .iter()
        .map(|lift| {
            site.advance(1);
            told(&mut site, "check", lift)
        })
        .collect();
    assert_eq!(site.rows("referee.rulings").len(), most + 1);
    let gone: Vec<bool> = lifts.iter().map(|lift| kept(&site, lift).is_none()).collect();
    assert_eq!(gone.iter().filter(|gone| **gone).count(), 5);
    assert!(gone[..5].iter().all(|gone| *gone), "the oldest");
    for (lift, ruling) in lifts.iter().zip(&rulings) {
        assert_eq!(told(&mut site, "check", lift), *ruling, "and asked again it comes out the same");
    }
    assert_eq!(told(&mut site, "check", &good), ruling);
}

#[test]
fn no_more_lifts_are_ruled_good_in_an_hour_than_the_policy_says() {
    let mut site = with::<Brief>();
    let lifts: Vec<Value> = (0..4).map(|n| lift(&site, n, site.now())).collect();
    for lift in &lifts[..3] {
        assert_eq!(told(&mut site, "commit", &commit(lift))["valid"], true);
    }
    assert_eq!(told(&mut site, "commit", &commit(&lifts[3]))["err"], "busy");
    assert_eq!(told(&mut site, "commit", &commit(&lifts[0]))["valid"], true, "what is ruled on is answered");
    site.advance(3_600_000);
    let next = lift(&site, 5, site.now());
    assert_eq!(told(&mut site, "commit", &commit(&next))["valid"], true);
}

#[test]
fn a_lift_too_large_to_be_kept_waits_until_it_is_void() {
    let mut site = referee();
    let mut lift = lift(&site, 1, site.now());
    let mut plan = |bytes: usize| {
        lift["org"]["plan"] = "A".repeat(bytes - bytes % 4).into();
        lift.clone()
    };
    let small = plan(limits::LIFT_BYTES - 600);
    let large = plan(limits::LIFT_BYTES);
    assert_eq!(told(&mut site, "commit", &commit(&small))["valid"], true);
    let answer = told(&mut site, "commit", &commit(&large));
    assert_eq!((&answer["pend"], &answer["err"]), (&true.into(), &"size".into()));
    site.advance(120_001);
    assert_eq!(told(&mut site, "commit", &commit(&large))["valid"], false);
}

#[test]
fn a_lift_that_ends_after_the_term_waits_until_it_is_void() {
    #[derive(Default)]
    struct Over;
    impl Policy for Over {
        fn term(&self, now: Timestamp) -> Term {
            Term { from: now, to: now.plus(60_000) }
        }
    }
    let mut site = with::<Over>();
    let lift = lift(&site, 1, site.now());
    assert_eq!(told(&mut site, "commit", &commit(&lift))["err"], "term");
    site.advance(120_001);
    assert_eq!(told(&mut site, "commit", &commit(&lift))["valid"], false);
}

#[test]
fn a_policy_that_asks_to_wait_is_passed_on_as_pend() {
    let mut site = with::<Shy>();
    let lift = lift(&site, 1, site.now());
    assert_eq!(told(&mut site, "commit", &commit(&lift))["err"], "policy");
    assert!(site.rows("referee.rulings").is_empty());
}

#[test]
fn no_policy_can_keep_back_the_void_of_an_expired_lift() {
    // Shy refuses service, Lazy refuses it in silence and has no clock besides.
    let mut shy = with::<Shy>();
    let lift = lift(&shy, 1, shy.now());
    shy.advance(120_001);
    let void = told(&mut shy, "check", &lift);
    assert!(is_ruling(&shy, &lift, false, &void));

    let mut lazy = with::<Lazy>();
    lazy.set(core(&lift).expires().plus(limits::DOUBT));
    assert_eq!(told(&mut lazy, "check", &lift)["err"], "clock");
    lazy.advance(1);
    assert_eq!(told(&mut lazy, "check", &lift), void);
    // The clock it doubts is not taken for time that has been.
    assert_eq!(lazy.rows("referee.book")[b"site".as_slice()]["latest"], core(&lift).expires().plus(1).0);
}

#[test]
fn no_policy_can_change_or_forget_a_ruling_that_was_made() {
    let mut site = referee();
    let (good, void) = (lift(&site, 1, site.now()), lift(&site, 2, site.now()));
    let ruled_good = told(&mut site, "commit", &commit(&good));
    site.advance(120_001);
    let ruled_void = told(&mut site, "check", &void);
    let mut lazy = kit::with_clock_at::<Lazy>(&site, site.now());
    for _ in 0..2 {
        for (lift, ruling) in [(&good, &ruled_good), (&void, &ruled_void)] {
            assert_eq!(told(&mut lazy, "check", lift), *ruling);
            assert_eq!(told(&mut lazy, "check", &names(lift)), *ruling);
            assert_eq!(told(&mut lazy, "commit", &commit(lift)), *ruling);
        }
        sweep(&mut lazy, 300 * limits::DAY);
    }
    sweep(&mut lazy, 40 * limits::YEAR);
    assert_eq!(told(&mut lazy, "check", &good), ruled_good);
}

#[test]
fn a_refusal_in_silence_leaves_nothing() {
    #[derive(Default)]
    struct Silent;
    impl Policy for Silent {
        fn serve(&self, _: &LiftCore, _: Timestamp) -> Service {
            Service::Silence
        }
    }
    let mut site = with::<Silent>();
    let lift = lift(&site, 1, site.now());
    assert_eq!(ask(&mut site, "commit", &commit(&lift)).unwrap(), None);
    assert!(site.rows("referee.rulings").is_empty());
    assert_eq!(site.metric("referee", "declined"), 1);
}

#[test]
fn what_is_logged_is_what_the_policy_says_once_for_each_ruling() {
    let mut site = with::<Brief>();
    let lift = lift(&site, 1, site.now());
    for _ in 0..2 {
        told(&mut site, "commit", &commit(&lift));
    }
    let lines: Vec<&str> = site.log().iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["4000 milli-CHIPs: true"]);
}
