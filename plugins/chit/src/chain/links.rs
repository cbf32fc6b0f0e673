//! Links: their hashes (PROTOCOL 6.1), one more at the end, some less.

use super::displaced;
use crate::desk::Desk;
use crate::entry::{Entry, Link};
use crate::settings;
use crate::store::{LINKS, numbered};
use std::collections::BTreeSet;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{ChitType, hash_text};

/// Names of chits that an event is about to link, so that none of them is put aside meanwhile.
pub type Chits = BTreeSet<String>;

/// base64v hash of the link of a chit at `index` behind the link of hash `prior`. `core` is the chit's
/// canonical core.
pub fn hash(core: &str, index: u64, prior: &str, sign: Option<&str>) -> String {
    hash_text(&text(core, index, prior, sign))
}

/// The canonical string that a link's hash is taken over: the core with three more members at their places.
///
/// The core is canonical already, so nothing of it is parsed or sorted again: this runs once for each chit
/// and side.
pub fn text(core: &str, index: u64, prior: &str, sign: Option<&str>) -> String {
    let sign = sign.map(|sign| serde_json::Value::from(sign).to_string());
    let added = [("index", Some(index.to_string())), ("prior", Some(format!("\"{prior}\""))), ("sign", sign)];
    let mut added = added.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).peekable();
    let mut link = String::with_capacity(core.len() + 320);
    let mut write = |text: &str| {
        link.push_str(if link.is_empty() { "{" } else { "," });
        link.push_str(text);
    };
    for member in Members(core.get(1..).unwrap_or_default()) {
        let name = member.get(1..).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        while let Some((first, value)) = added.next_if(|(first, _)| *first < name) {
            write(&format!("\"{first}\":{value}"));
        }
        write(member);
    }
    for (name, value) in added {
        write(&format!("\"{name}\":{value}"));
    }
    link.push('}');
    link
}

/// The members of a canonical object behind its brace, each as `"name":value`.
struct Members<'a>(&'a str);

impl<'a> Iterator for Members<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (at, byte) in self.0.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'{' | b'[' => depth += 1,
                b',' | b'}' if depth == 0 => {
                    let member = self.0.get(..at)?;
                    self.0 = self.0.get(at + 1..)?;
                    return Some(member).filter(|member| !member.is_empty());
                }
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
        None
    }
}

/// Links a good chit at the end and writes its row. Whatever waits at that index (a displaced link) is put
/// aside, unless it is `coming` too. A chit that waited itself must be taken from among those first
/// ([`displaced::take`]).
///
/// # Errors
/// The host's faults.
pub fn append(desk: &mut Desk<'_, '_>, chit: &str, entry: &mut Entry, coming: &Chits) -> Result<(), Fault> {
    let index = desk.half.end + 1;
    displaced::clear_way(desk, index, coming)?;
    let hash = hash(&entry.core, index, &desk.half.tip, entry.sign.as_deref());
    desk.context.put(LINKS, numbered(&desk.key, index), &Link { chit: chit.to_owned(), hash: hash.clone() })?;
    entry.index = Some(index);
    desk.put_entry(chit, entry)?;
    (desk.half.end, desk.half.tip) = (index, hash);
    match entry.kind {
        ChitType::Set => settings::linked(desk, entry, index),
        ChitType::Tran | ChitType::Lift => Ok(()),
    }
}

/// Takes all links from `from` (at least 1) on out of the chain. They wait in their order, before all that
/// waited already ([`displaced`]).
///
/// # Errors
/// The host's faults.
pub fn truncate(desk: &mut Desk<'_, '_>, from: u64) -> Result<(), Fault> {
    let last = from - 1;
    if last >= desk.half.end {
        return Ok(());
    }
    let tip = desk.hash(last)?.ok_or_else(|| lost(desk, last))?;
    displaced::open(desk, from)?;
    (desk.half.end, desk.half.tip) = (last, tip);
    desk.half.conf = desk.half.conf.map(|conf| conf.min(last));
    desk.half.sent = desk.half.sent.min(last);
    settings::unlinked(desk, from)
}

/// The fault of a chain that lacks a row.
pub fn lost(desk: &Desk<'_, '_>, index: u64) -> Fault {
    Fault::failed(format!("the chain of {} has lost link {index}", desk.party.name()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tallyho_plugin::record::ChitRecord;

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), any::<i32>().prop_map(Value::from), ".*".prop_map(Value::from)];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".*", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_link_is_the_cores_canonical_string_with_three_more_members(
            memo in proptest::option::of(".*"), reference in anything(), index in 1..1_u64 << 53, sign in proptest::option::of(".*"),
        ) {
            let mut chit = json!({
                "tally": "9b8f6c1e-5d0a-4f1e-8c27-2f3d1a7b6c55", "by": "foil", "type": "tran", "units": 5,
                "uuid": "3f0f7c52-0c2e-4b6b-9d5e-7c8a1b2c3d4e", "date": "2021-11-04T09:30:00.500Z",
            });
            if let Some(memo) = memo {
                chit["memo"] = memo.into();
            }
            if !reference.is_null() {
                chit["ref"] = reference;
            }
            if let Some(sign) = &sign {
                chit["sign"] = sign.as_str().into();
            }
            let chit = ChitRecord::parse(chit).unwrap();
            let prior = "5s_dUoqy2tclzeXxMuYD16IzFgQ4xHlKMMO4RQM1uXo";
            let text = text(chit.core_canonical(), index, prior, sign.as_deref());
            prop_assert_eq!(text, chit.link_canonical(index, prior).unwrap());
        }
    }
}
