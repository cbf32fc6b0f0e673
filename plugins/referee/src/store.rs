//! Rulings and what is remembered beside them. No other plugin can write these tables, and nothing here
//! changes or takes back a ruling.

use crate::limits;
use crate::policy::Policy;
use crate::table::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Context, Fault, context::Scan};

/// Lh → [`Ruling`].
pub const RULINGS: &str = "rulings";
/// When ruled (8 bytes, big-endian), Lh → nothing: rulings in order of time.
pub const RULED: &str = "ruled";
/// `g` or `v`, until when (8 bytes, big-endian), Lh → nothing: what may be let go, of good rulings the
/// proof, of void ones the whole. `v` alone has all void rulings.
pub const ENDING: &str = "ending";
/// One row, key `site` → [`Book`].
pub const BOOK: &str = "book";
/// Agent id → [`crate::known::Known`].
pub const KNOWN: &str = "known";

/// All tables, for the manifest.
pub const TABLES: &[&str] = &[RULINGS, RULED, ENDING, BOOK, KNOWN];

/// What was said of a lift, once and for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ruling {
    /// The lift's uuid.
    pub lift: String,
    /// What it is.
    pub valid: bool,
    /// Our signature over L with `valid`.
    pub signed: String,
    /// The instant used.
    pub at: Timestamp,
    /// When the lift expires or has expired.
    pub expires: Timestamp,
    /// Milli-CHIPs.
    pub units: i64,
    /// Of a good one, what proves our right to say so.
    pub proof: Option<Proof>,
}

/// The originator's consent (O-50).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// L as it came.
    pub core: Value,
    /// The originator's signature over L with `valid` true.
    pub signed: String,
}

/// What the referee remembers of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// The largest instant used in a ruling (PROTOCOL 10.4).
    pub latest: Timestamp,
    /// The latest end of a term that was published (PROTOCOL 10.5).
    pub promised: Timestamp,
    /// Void rulings kept.
    pub voids: u64,
    /// The hour of the latest good ruling, counted from 1970, and how many there were in it.
    pub hour: i64,
    /// See `hour`.
    pub goods: u32,
    /// Whether everybody is served, where the operator has said so or otherwise.
    #[serde(default)]
    pub open: Option<bool>,
}

impl Book {
    /// Good rulings so far in the hour of this instant.
    pub fn goods_at(&self, now: Timestamp) -> u32 {
        if self.hour == hour(now) { self.goods } else { 0 }
    }
}

impl Ruling {
    /// The state it stands for.
    pub fn state(&self) -> State {
        State::ruled(self.valid)
    }
}

/// The ruling on the lift of this hash.
///
/// # Errors
/// The host's faults.
pub fn ruling(context: &mut Context<'_>, hash: &str) -> Result<Option<Ruling>, Fault> {
    context.get(RULINGS, hash)
}

/// What the referee remembers of itself.
///
/// # Errors
/// The host's faults.
pub fn book(context: &mut Context<'_>) -> Result<Book, Fault> {
    Ok(context.get(BOOK, "site")?.unwrap_or_default())
}

/// Writes what the referee remembers of itself.
///
/// # Errors
/// The host's faults.
pub fn put_book(context: &mut Context<'_>, book: &Book) -> Result<(), Fault> {
    context.put(BOOK, "site", book)
}

/// Makes a first ruling durable, with everything that follows from it.
///
/// # Errors
/// The host's faults; `Failed` where there is a ruling already.
pub fn add(
    context: &mut Context<'_>,
    policy: &impl Policy,
    hash: &str,
    ruling: &Ruling,
    mut book: Book,
) -> Result<(), Fault> {
    if self::ruling(context, hash)?.is_some() {
        return Err(Fault::failed(format!("a second ruling on {hash}")));
    }
    context.put(RULINGS, hash, ruling)?;
    context.put(RULED, key(ruling.at, hash), &())?;
    book.latest = book.latest.max(ruling.at);
    if let Some(until) = ends(policy, ruling, book.promised) {
        context.put(ENDING, ending(ruling.valid, until, hash), &())?;
    }
    if ruling.valid {
        book.goods = book.goods_at(ruling.at).saturating_add(1);
        book.hour = hour(ruling.at);
    } else {
        book.voids += 1;
        if book.voids > policy.most_voids().max(limits::VOIDS_LEAST) {
            let oldest: Vec<(Vec<u8>, ())> = context.scan(ENDING, &upto(false, None, 1))?;
            for (key, ()) in oldest {
                let_go(context, &key, &mut book)?;
            }
        }
    }
    put_book(context, &book)
}

/// What need not be kept any longer at `now`, at most `limit` keys of [`ENDING`].
///
/// # Errors
/// The host's faults.
pub fn ended(context: &mut Context<'_>, now: Timestamp, limit: u32) -> Result<Vec<Vec<u8>>, Fault> {
    let mut rows: Vec<(Vec<u8>, ())> = context.scan(ENDING, &upto(true, Some(now), limit))?;
    let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(limit));
    if left > 0 {
        rows.extend(context.scan(ENDING, &upto(false, Some(now), left))?);
    }
    Ok(rows.into_iter().map(|(key, ())| key).collect())
}

/// Lets go what this key of [`ENDING`] stands for: the proof of a good ruling, which itself stays, since no
/// other may ever be given; the whole of a void one, which comes out the same again.
///
/// # Errors
/// The host's faults.
pub fn let_go(context: &mut Context<'_>, key: &[u8], book: &mut Book) -> Result<(), Fault> {
    context.delete(ENDING, key)?;
    let Some(hash) = key.get(9..).and_then(|hash| std::str::from_utf8(hash).ok()) else { return Ok(()) };
    let Some(mut ruling) = self::ruling(context, hash)? else { return Ok(()) };
    if ruling.valid {
        ruling.proof = None;
        return context.put(RULINGS, hash, &ruling);
    }
    book.voids = book.voids.saturating_sub(1);
    context.delete(RULED, self::key(ruling.at, hash))?;
    context.delete(RULINGS, hash)
}

/// Rulings, the latest first, at most `limit`: those before `before`, an instant and Lh.
///
/// # Errors
/// The host's faults.
pub fn latest(
    context: &mut Context<'_>,
    before: Option<(Timestamp, &str)>,
    limit: u32,
) -> Result<Vec<(String, Ruling)>, Fault> {
    let to = before.map(|(at, hash)| key(at, hash).into());
    let rows: Vec<(Vec<u8>, ())> = context.scan(RULED, &Scan { from: Vec::new(), to, reverse: true, limit })?;
    let mut found = Vec::with_capacity(rows.len());
    for (key, ()) in rows {
        let Some(hash) = key.get(8..).and_then(|hash| std::str::from_utf8(hash).ok()) else { continue };
        found.extend(ruling(context, hash)?.map(|ruling| (hash.to_owned(), ruling)));
    }
    Ok(found)
}

/// Until when the ruling's proof (of a good one) or the ruling (a void one) is kept; `None`: for ever.
fn ends(policy: &impl Policy, ruling: &Ruling, promised: Timestamp) -> Option<Timestamp> {
    if !ruling.valid {
        return Some(ruling.at.plus(policy.keep_voids().max(limits::VOID_LEAST)));
    }
    let term = policy.term(ruling.at).to.max(promised).max(ruling.expires);
    policy.keep_proofs().map(|kept| term.plus(kept.max(limits::PROOF_LEAST)))
}

fn hour(at: Timestamp) -> i64 {
    at.0.div_euclid(3_600_000)
}

/// Instants from 1970 on in their order.
fn instant(at: Timestamp) -> [u8; 8] {
    u64::try_from(at.0).unwrap_or(0).to_be_bytes()
}

fn key(at: Timestamp, hash: &str) -> Vec<u8> {
    [instant(at).as_slice(), hash.as_bytes()].concat()
}

fn ending(valid: bool, until: Timestamp, hash: &str) -> Vec<u8> {
    [kind(valid).as_slice(), &instant(until), hash.as_bytes()].concat()
}

/// Keys of [`ENDING`] of one kind, up to and with an instant or all, the earliest first.
fn upto(valid: bool, until: Option<Timestamp>, limit: u32) -> Scan {
    let end = match until {
        Some(until) => [kind(valid).as_slice(), &instant(until.plus(1))].concat(),
        None => vec![kind(valid)[0] + 1],
    };
    Scan { from: kind(valid).to_vec(), to: Some(end.into()), reverse: false, limit }
}

fn kind(valid: bool) -> [u8; 1] {
    if valid { *b"g" } else { *b"v" }
}
