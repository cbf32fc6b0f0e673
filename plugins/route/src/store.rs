//! The handler's tables and their keys.

/// holder, 0, uuid → [`Link`](crate::links::Link): halves that are open.
pub const LINKS: &str = "links";
/// partner's agent, 0, cuid, 0, holder, 0, uuid → nothing: of these, tallies that leave the site.
pub const EXITS: &str = "exits";
/// destination's agent, 0, cuid, 0, holder, 0, uuid → [`Route`](crate::route::Route).
pub const ROUTES: &str = "routes";
/// One row, key `site` → [`Settings`](crate::settings::Settings).
pub const SETTINGS: &str = "settings";

/// All tables, for the manifest.
pub const TABLES: &[&str] = &[LINKS, EXITS, ROUTES, SETTINGS];

/// uuid, 0, holder → a half as the tally handler keeps it.
pub const TALLIES: &str = "tally.tallies";
/// holder, 0, agent, 0, cuid, 0, uuid → nothing: a holder's tallies by partner.
pub const PARTNERS: &str = "tally.partners";
/// uuid, 0, holder → balance and chain of a half.
pub const HALVES: &str = "chit.halves";
/// uuid, 0, holder → both sides' settings, `{stock, foil}`.
pub const CHIT_SETTINGS: &str = "chit.settings";

/// Tables of others that are read, for the manifest.
pub const READS: &[&str] = &[TALLIES, PARTNERS, HALVES, CHIT_SETTINGS];

/// A key of several parts. None of them holds a zero byte: names, ids and uuids are checked text.
pub fn key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// The parts of such a key.
pub fn parts<const N: usize>(key: &[u8]) -> Option<[&str; N]> {
    let text = std::str::from_utf8(key).ok()?;
    let parts: Vec<&str> = text.split('\0').collect();
    parts.try_into().ok()
}
