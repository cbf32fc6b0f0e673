//! A referee that rules for agents it knows, and in office hours. All else is the standard referee's: its
//! rules, its store of rulings, its clock.
#![forbid(unsafe_code)]
use tallyho_plugin::prelude::*;
use tallyho_plugin::record::LiftCore;
use tallyho_referee::{Policy, Referee, Service, Term};

/// Originators that have a contract with us, by agent id.
pub const KNOWN: [&str; 2] =
    ["c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg", "rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM"];
const HOUR: i64 = 3_600_000; // in milliseconds, as all time here
const DAY: i64 = 24 * HOUR;

/// The policy.
#[derive(Default)]
pub struct Strict;

/// Monday to Friday, 9 to 17 o'clock UTC. Day 0 of the calendar, 1970-01-01, was a Thursday.
fn in_office(now: Timestamp) -> bool {
    let (day, hour) = (now.0.div_euclid(DAY), now.0.rem_euclid(DAY) / HOUR);
    (day + 3).rem_euclid(7) < 5 && (9..17).contains(&hour)
}

impl Policy for Strict {
    const ABOUT: &'static str = "Rules on lifts of known agents in office hours";

    fn name(&self) -> Option<String> {
        Some("The Strict Referee".to_owned())
    }

    /// Asked of commits that came in time and are signed by this originator. A lift that we do not rule
    /// good is ruled void once it has expired: no policy can keep that back.
    fn serve(&self, lift: &LiftCore, now: Timestamp) -> Service {
        match KNOWN.contains(&lift.org().agent.as_str()) {
            false => Service::Silence,
            true if in_office(now) => Service::Rule,
            true => Service::Pend, // it may ask again: its lift may live until the office opens
        }
    }

    /// Contracts run for thirty days from today.
    fn term(&self, now: Timestamp) -> Term {
        let today = Timestamp(now.0 - now.0.rem_euclid(DAY));
        Term { from: today, to: today.plus(31 * DAY) }
    }

    /// What a contract is worth: ten years (less cannot be had), then L and its signature may go.
    fn keep_proofs(&self) -> Option<i64> {
        Some(10 * 366 * DAY)
    }

    /// The log says what was ruled and not who asked.
    fn log(&self, lift: &LiftCore, valid: bool) -> Option<String> {
        Some(format!("lift {} ruled {}", lift.uuid(), if valid { "good" } else { "void" }))
    }
}

export_plugin!(Referee<Strict>);
