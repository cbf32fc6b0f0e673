//! The guarded call over the border of a loaded plugin, 600 bytes in and 600 out. What makes up an
//! event's way over it is taken apart in the benchmark `abi`.

use crate::figures::{Effort, Wanted, line, median, timed};
use std::hint::black_box;
use tallyho::plugin::{Loader, LoaderOptions, ProbeCommand};
use tallyho_tests::plugins::build_library;
use tallyho_tests::services::NoServices;

pub fn measure(effort: Effort) {
    let mut options = LoaderOptions::new(env!("CARGO_TARGET_TMPDIR").to_owned() + "/bench-site");
    options.probe = ProbeCommand::program(env!("CARGO_BIN_EXE_tallyho-probe"));
    let loader = Loader::new(options).expect("the target folder can be written");
    let plugin = loader.load(&build_library("tallyho-fixture-raw")).expect("a good plugin loads");
    let body = [7; 600];
    let (calls, rounds) = effort.choose((100, 1), (1_000_000, 15));
    let once = |_| {
        let time = timed(|| {
            for _ in 0..calls {
                let answer = plugin.handle_bytes(black_box(&[]), black_box(&body), &mut NoServices);
                assert_eq!(answer.expect("it answers").len(), body.len());
            }
        });
        time.as_secs_f64() * 1e9 / f64::from(calls)
    };
    let nanoseconds = median((0..rounds).map(once).collect());
    let (figure, against) = (format!("{nanoseconds:.0} ns"), "600 bytes in and out".to_owned());
    line(effort, "guarded call", &figure, &against, nanoseconds, Wanted::AtMost(150.0));
}
