//! The handler's tables and their keys.

use tallyho_plugin::context::Scan;

/// uuid, 0, holder → [`Half`](crate::half::Half). The tally handler reads it.
pub const HALVES: &str = "halves";
/// uuid, 0, holder → [`Party`](crate::party::Party).
pub const PARTIES: &str = "parties";
/// uuid, 0, holder → both sides' settings, `{stock, foil}`. The tally handler reads it.
pub const SETTINGS: &str = "settings";
/// uuid, 0, holder, 0, chit → [`Entry`](crate::entry::Entry).
pub const CHITS: &str = "chits";
/// uuid, 0, holder, 0, index in 8 bytes, highest first → [`Link`](crate::entry::Link).
pub const LINKS: &str = "links";
/// uuid, 0, holder, 0, date or place among the displaced, 0, chit → nothing: good chits that are not linked.
pub const LOOSE: &str = "loose";
/// uuid, 0, holder, 0, index in 8 bytes → [`SetLink`](crate::settings::SetLink): linked chits of settings,
/// which a new order may change.
pub const SETS: &str = "sets";
/// uuid, 0, holder, 0, chit → nothing: chits that bind nobody yet (drafts, invoices, reservations) or no
/// more (void ones).
pub const UNSIGNED: &str = "unsigned";
/// uuid, 0, holder, 0, chit → nothing: chits with a request under way.
pub const REQUESTS: &str = "requests";
/// holder, 0, uuid → nothing: halves whose chain is not settled, to be raised after a start.
pub const UNSETTLED: &str = "unsettled";

/// uuid, 0, holder → the half as the tally handler keeps it.
pub const TALLIES: &str = "tally.tallies";
/// A lift's uuid, 0, the tally that it came in by → Lh, as long as the lift handler remembers it.
pub const LIFTS: &str = "lift.names";

/// All tables, for the manifest.
pub const TABLES: &[&str] = &[HALVES, PARTIES, SETTINGS, CHITS, LINKS, LOOSE, SETS, UNSIGNED, REQUESTS, UNSETTLED];

/// A key of several parts. None of them holds a zero byte: names, dates and uuids are checked text.
pub fn key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// The key of something numbered within a half.
pub fn numbered(half: &[u8], index: u64) -> Vec<u8> {
    [half, b"\0", &index.to_be_bytes()].concat()
}

/// The number at the end of such a key.
pub fn number(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Numbers `from` to `to` within a half, both included.
pub fn numbers(half: &[u8], from: u64, to: u64, limit: u32) -> Scan {
    let end = numbered(half, to.saturating_add(1));
    Scan { from: numbered(half, from), to: Some(end.into()), reverse: false, limit }
}

/// Everything of one half in a table whose keys go on behind it.
pub fn of_half(half: &[u8], limit: u32) -> Scan {
    Scan::beginning([half, b"\0"].concat(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_keys_sort_by_number_and_are_read_back() {
        let half = key(&["u", "alice"]);
        let keys: Vec<Vec<u8>> = [1, 255, 256, 70_000].iter().map(|index| numbered(&half, *index)).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys.iter().map(|key| number(key)).collect::<Vec<_>>(), [1, 255, 256, 70_000]);
        let some = numbers(&half, 255, 256, 9);
        let within = |key: &Vec<u8>| *key >= some.from && some.to.as_ref().is_some_and(|to| key < &to.to_vec());
        assert_eq!(keys.iter().filter(|key| within(key)).count(), 2);
    }

    #[test]
    fn halves_of_names_that_begin_alike_are_kept_apart() {
        let (ann, anna) = (key(&["u", "ann"]), key(&["u", "anna"]));
        let range = of_half(&ann, 9);
        let other = numbered(&anna, 1);
        assert!(
            numbered(&ann, 1) >= range.from && (other < range.from || range.to.is_some_and(|to| other >= to.to_vec()))
        );
    }
}
