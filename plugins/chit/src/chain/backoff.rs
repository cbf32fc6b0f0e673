//! BACKOFF: asking for links from further and further down (PROTOCOL 6.6).

use super::wire::Update;
use super::{limits, send};
use crate::desk::Desk;
use tallyho_plugin::Fault;

/// Notes that what came answers our last `req`: the next step may be taken at once.
pub fn answered(desk: &mut Desk<'_, '_>, update: &Update) {
    let Some(asked) = desk.half.backoff else { return };
    let first = update.chits.first().map_or(update.index + 1, |first| first.index);
    if first <= asked {
        desk.half.talk.asked = None;
    }
}

/// Between our end and what came stands a chit that we refuse. Asking would bring it once more.
pub fn is_in_vain(desk: &Desk<'_, '_>, update: &Update) -> bool {
    let first = update.chits.first().map_or(update.index, |first| first.index);
    desk.half.talk.refused_at.is_some_and(|at| at <= first)
}

/// One step: `req(conf + 1)` at first, then each time a tenth further down.
///
/// # Errors
/// The host's faults.
pub fn step(desk: &mut Desk<'_, '_>, update: &Update) -> Result<(), Fault> {
    // The last part of a list tells; until then the missing one may be on its way.
    if update.more {
        return Ok(());
    }
    if is_in_vain(desk, update) {
        return Ok(());
    }
    ask(desk)
}

/// The step itself.
///
/// # Errors
/// The host's faults.
pub fn ask(desk: &mut Desk<'_, '_>) -> Result<(), Fault> {
    let now = desk.context.now().0;
    // A req is unanswered: whatever this was, it was no answer to it.
    if desk.half.talk.asked.is_some_and(|asked| now - asked.0 <= limits::ON_THE_WAY) {
        return Ok(());
    }
    let index = next(desk.half.backoff, desk.half.conf.unwrap_or(0).min(desk.half.end));
    desk.half.backoff = Some(index);
    send::req(desk, index)
}

/// Where to ask from next.
fn next(before: Option<u64>, conf: u64) -> u64 {
    match before {
        None => conf + 1,
        Some(before) => before.saturating_sub((before / 10).max(1)).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_begins_above_conf_and_goes_back_by_tenths_to_the_first_link() {
        let mut asked = vec![next(None, 30)];
        while asked.last() != Some(&1) {
            asked.push(next(asked.last().copied(), 30));
        }
        assert_eq!(&asked[..8], [31, 28, 26, 24, 22, 20, 18, 17]);
        assert_eq!(next(Some(1), 30), 1);
    }
}
