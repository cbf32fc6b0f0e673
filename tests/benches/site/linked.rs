//! What the border of a loaded library costs where money moves: the same ledger pays the same chits, durably and in
//! batches, once by handlers that it has loaded and once by the same handlers linked into this program.

use crate::figures::{Duel, Effort, Wanted, timed};
use serde_json::json;
use std::sync::{Arc, OnceLock};
use tallyho::ledger::input::{Input, Outcome};
use tallyho::ledger::limits::BATCH;
use tallyho::ledger::verify::Checked;
use tallyho::plugin::{Loader, LoaderOptions, Plugin, ProbeCommand};
use tallyho_plugin::context::to_cbor;
use tallyho_tests::plugins::build_library;
use tallyho_tests::sim::chits::deals::{Deal, open};
use tallyho_tests::sim::site::{MakePlugin, Plan};
use tallyho_tests::sim::tallies::{chit, tally};
use tallyho_tests::sim::world::World;

/// The payer's site.
const FOIL: usize = 1;

pub fn measure(effort: Effort) {
    let (batches, rounds) = effort.choose((1, 1), (8, 15));
    let payments = effort.choose(4, BATCH);
    let (mut loaded, mut linked) = (Payer::new(vec![loaded_tally, loaded_chit]), Payer::new(vec![tally, chit]));
    // Seconds for a chit, so that the ratio is that of the times.
    let (ours, bare) = (|| loaded.pay(batches, payments) * 1e9, || linked.pay(batches, payments) * 1e9);
    Duel::fight(rounds, ours, bare).report(effort, "paying by a loaded handler", "ns", Wanted::AtMost(1.1));
}

/// Two sites with a tally, whose ledgers are asked one batch after the other.
struct Payer {
    world: World,
    deal: Deal,
    rounds: u64,
}

impl Payer {
    fn new(plugins: Vec<MakePlugin>) -> Self {
        let users = vec![vec!["alice"], vec!["bob"]];
        let mut world = World::new(&Plan { seed: 1, users, plugins, receipts: true, files: true, elliptic: false });
        let deal = open(&mut world, [(0, "alice"), (FOIL, "bob")]);
        Payer { world, deal, rounds: 0 }
    }

    /// Has the foil pay so many batches on a copy of its site; seconds for each chit.
    fn pay(&mut self, batches: usize, payments: usize) -> f64 {
        self.rounds += 1;
        let mut world = self.world.fork(self.rounds, true);
        let now = world.at(FOIL);
        let core = &mut world.sites[FOIL].running.as_mut().expect("it has just started").core;
        let order = json!({ "tally": self.deal.uuid, "units": 1_000, "memo": "Rye loaf", "user": "bob" });
        let argument = to_cbor(&order).expect("JSON can be CBOR");
        let pay = || Input::Command { plugin: "chit".to_owned(), name: "pay".to_owned(), argument: argument.clone() };
        let mut batch = || {
            let inputs: Vec<(Input, Checked)> = (0..payments).map(|_| (pay(), Checked::new())).collect();
            let mut done = None;
            let time = timed(|| done = Some(core.apply(&inputs, now)));
            let outcomes = done.expect("it has been run").expect("the disk takes it").outcomes;
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))), "{:?}", outcomes.first());
            time.as_secs_f64()
        };
        // The first one warms what a running site has at hand.
        batch();
        (0..batches).map(|_| batch()).sum::<f64>() / (batches * payments) as f64
    }
}

fn loaded_tally() -> Arc<dyn Plugin> {
    library("tallyho-tally")
}

fn loaded_chit() -> Arc<dyn Plugin> {
    library("tallyho-chit")
}

fn library(package: &str) -> Arc<dyn Plugin> {
    static LOADER: OnceLock<Loader> = OnceLock::new();
    let loader = LOADER.get_or_init(|| {
        let mut options = LoaderOptions::new(env!("CARGO_TARGET_TMPDIR").to_owned() + "/bench-linked");
        options.probe = ProbeCommand::program(env!("CARGO_BIN_EXE_tallyho-probe"));
        Loader::new(options).expect("the target folder can be written")
    });
    loader.load(&build_library(package)).expect("a good plugin loads")
}
