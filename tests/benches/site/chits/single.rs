//! One chit alone, from the command to both sides having confirmed it, against one sync of the same disk; and what a
//! bare program takes for it.

use super::bare::Bare;
use super::pair::{FOIL, Pair, STOCK};
use crate::figures::{Effort, Wanted, line, median, sync};

/// Times of single chits; the sync and the bare program's chit are taken between any two of them.
pub fn measure(effort: Effort) {
    let chits = effort.choose(3, 300);
    for key in ["ed25519", "p521"] {
        let (mut pair, mut bare) = (Pair::new(key, 1), Bare::new(key));
        let (payer, payee) = (pair.client(FOIL), pair.client(STOCK));
        let mut told = payee.notices(0).expect("the site tells its notices");
        let mut log = tempfile::tempfile().expect("a temporary file can be made");
        let (mut times, mut least, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..chits {
            times.push(pair.pay_one(&payer, &payee, &mut told).as_secs_f64() * 1e3);
            syncs.push(sync(&mut log) * 1e3);
            least.push(bare.pay_one().as_secs_f64() * 1e3);
        }
        let (time, least, sync) = (median(times), median(least), median(syncs));
        let against = |time: f64| format!("{:.1} syncs of {sync:.2} ms", time / sync);
        let name = format!("one chit, {key}, to both confirmed");
        line(effort, &name, &format!("{time:.2} ms"), &against(time), time / sync, Wanted::AtMost(6.0));
        let name = format!("one chit, {key}, by a bare program");
        line(effort, &name, &format!("{least:.2} ms"), &against(least), least / sync, Wanted::Told);
    }
}
