//! Which half a person means.

use crate::errors::Refusal;
use crate::half::Half;
use crate::store;
use tallyho_plugin::{Context, Fault};

/// The half meant by a uuid, an unambiguous beginning of one, or `HOLDER/UUID`. `user` says whose half
/// where both belong to users of this site.
///
/// # Errors
/// `NotFound`, or `Usage` where several fit.
pub fn half(context: &mut Context<'_>, given: &str, user: Option<&str>) -> Result<Half, Fault> {
    // No user name holds a slash (PROTOCOL 1.1).
    let (user, prefix) = match given.split_once('/') {
        Some((holder, uuid)) => (Some(holder), uuid),
        None => (user, given),
    };
    let prefix = prefix.to_lowercase();
    let unknown = || Refusal::Unknown(given.to_owned());
    if prefix.is_empty() {
        return Err(Fault::usage("the tally's uuid is missing").fix("give it, or its first digits; see `tally list`"));
    }
    let mut found = store::halves(context, &prefix, user)?;
    let first = found.first().map(|half| half.uuid.clone()).ok_or_else(unknown)?;
    let uuids = 1 + found.windows(2).filter(|pair| pair[0].uuid != pair[1].uuid).count();
    if uuids > 1 {
        return Err(Refusal::Ambiguous { prefix, count: uuids }.into());
    }
    if found.len() > 1 {
        let holders: Vec<&str> = found.iter().map(|half| half.holder.as_str()).collect();
        return Err(Refusal::WhoseHalf { uuid: first, holders: holders.join(", ") }.into());
    }
    found.pop().ok_or_else(|| unknown().into())
}
