//! What one tally lets through in one direction, read from the chit handler's tables (PROTOCOL 7.2).

use crate::store::{CHIT_SETTINGS, HALVES, key};
use serde::Deserialize;
use serde_json::Value;
use tallyho_chit::capacity::Edge;
use tallyho_chit::half::{Phase, Stat};
use tallyho_chit::variables::Variables;
use tallyho_plugin::record::Side;
use tallyho_plugin::{Context, Fault};

/// A half as the chit handler keeps it, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Account {
    net: i64,
    lift_in: i64,
    lift_out: i64,
    conf: Option<u64>,
    stat: Stat,
    phase: Phase,
}

/// The four variables of each side, where they were ever set.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    stock: Traded,
    #[serde(default)]
    foil: Traded,
}

/// What the chit handler has made of a side's trading variables: numbers, or absent.
#[derive(Debug, Default, Deserialize)]
struct Traded {
    #[serde(default)]
    target: Option<Value>,
    #[serde(default)]
    bound: Option<Value>,
    #[serde(default)]
    reward: Option<Value>,
    #[serde(default)]
    clutch: Option<Value>,
}

impl Traded {
    fn variables(&self) -> Variables {
        let amount = |value: &Option<Value>| value.as_ref().and_then(tallyho_plugin::record::integer).unwrap_or(0);
        let fee = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64).unwrap_or(0.0);
        Variables {
            target: amount(&self.target),
            bound: amount(&self.bound),
            reward: fee(&self.reward),
            clutch: fee(&self.clutch),
        }
    }
}

impl Account {
    /// O-60: confirmed, not closing, not `err`.
    fn usable(&self) -> bool {
        self.conf.is_some() && self.phase == Phase::Open && self.stat != Stat::Broken
    }
}

/// Whether lifts may use a half. One without any chit has no account; nothing could go over it either.
///
/// # Errors
/// The host's faults.
pub fn usable(context: &mut Context<'_>, user: &str, tally: &str) -> Result<bool, Fault> {
    Ok(account(context, user, tally)?.is_some())
}

/// PROTOCOL 8.3: whether a tally takes queries: not closing, not `err`. Nothing need have been paid.
///
/// # Errors
/// The host's faults.
pub fn is_open(context: &mut Context<'_>, user: &str, tally: &str) -> Result<bool, Fault> {
    let account: Option<Account> = context.get(HALVES, key(&[tally, user]))?;
    Ok(account.is_none_or(|account| account.phase == Phase::Open && account.stat != Stat::Broken))
}

/// The edge over `user`'s half of a tally, whose side is `side`: into that user, or into the partner. `None`
/// where no lift may use the half, or nothing fits (max ≤ 0).
///
/// # Errors
/// The host's faults.
pub fn edge(
    context: &mut Context<'_>,
    user: &str,
    tally: &str,
    side: Side,
    into_user: bool,
) -> Result<Option<Edge>, Fault> {
    let Some(account) = account(context, user, tally)? else { return Ok(None) };
    let settings: Settings = context.get(CHIT_SETTINGS, key(&[tally, user]))?.unwrap_or_default();
    let of = |side: Side| match side {
        Side::Stock => settings.stock.variables(),
        Side::Foil => settings.foil.variables(),
    };
    // The careful balance of whoever receives (O-25), as `tallyho_chit::capacity::careful` has it.
    let (receiver, n) = match into_user {
        true => (side, account.net.saturating_add(account.lift_in)),
        false => (side.other(), account.net.saturating_neg().saturating_add(account.lift_out)),
    };
    let edge = Edge::new(receiver, n, &of(receiver), &of(receiver.other()));
    Ok(Some(edge).filter(|edge| edge.max > 0))
}

fn account(context: &mut Context<'_>, user: &str, tally: &str) -> Result<Option<Account>, Fault> {
    let account: Option<Account> = context.get(HALVES, key(&[tally, user]))?;
    Ok(account.filter(Account::usable))
}
