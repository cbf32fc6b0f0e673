//! Chits between two real sites on loopback, both with their stores on disk: paid through the control socket
//! of one until both have confirmed them.

mod bare;
mod floor;
mod growth;
mod pair;
mod single;

pub use growth::measure as growth;
pub use single::measure as single;

use crate::figures::{Duel, Effort, Wanted};
use floor::Floor;
use pair::Pair;
use tallyho::ledger::limits::BATCH;

/// Tallies over which chits are spread.
const TALLIES: usize = 100;

/// Confirmed chits a second with many under way, over one tally and over many, with keys of both kinds;
/// against [`Floor`].
pub fn measure(effort: Effort) {
    let (chits, tallies, rounds, batches) = effort.choose((40, 3, 1, 1), (5_000, TALLIES, 7, 8));
    for key in ["ed25519", "p521"] {
        let mut pair = Pair::new(key, tallies);
        // Something has to be there that the floor can be made of.
        pair.pay(effort.choose(10, 2 * BATCH), 1);
        let mut floor = Floor::of(&pair, key);
        for over in [1, tallies] {
            let name = format!("chits, {key}, over {over} tallies").replace("over 1 tallies", "over one tally");
            let duel =
                Duel::fight(rounds, || chits as f64 / pair.pay(chits, over).as_secs_f64(), || 1.0 / floor.run(batches));
            duel.report(effort, &name, "/s", Wanted::AtLeast(0.35));
        }
    }
}
