#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::{MemoryStore, Store};
use proptest::prelude::*;
use serde_bytes::ByteBuf;

type Rows = Vec<(u8, Option<u8>)>;

fn key(letter: u8) -> Vec<u8> {
    vec![letter]
}

fn stored(rows: &Rows) -> MemoryStore {
    let mut store = MemoryStore::new();
    let mut transaction = store.begin().unwrap();
    for (letter, value) in rows {
        transaction.put("t.rows", &key(*letter), &[value.unwrap_or(0)]).unwrap();
    }
    transaction.commit().unwrap();
    store
}

fn rows() -> impl Strategy<Value = Rows> {
    prop::collection::vec((0..12u8, prop::option::of(any::<u8>())), 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn own_writes_lie_over_stored_rows_in_every_range(
        below in rows(),
        own in rows(),
        from in 0..13u8,
        to in prop::option::of(0..13u8),
        reverse: bool,
        limit in 0..15u32,
    ) {
        let mut store = stored(&below);
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> =
            below.iter().map(|(letter, value)| (key(*letter), vec![value.unwrap_or(0)])).collect();
        let mut transaction = store.begin().unwrap();
        let mut buffer = Buffer::new(&mut *transaction);
        for (letter, value) in &own {
            match value {
                Some(value) => {
                    buffer.put("t.rows", &key(*letter), &[*value]);
                    model.insert(key(*letter), vec![*value]);
                }
                None => {
                    buffer.delete("t.rows", &key(*letter));
                    model.remove(&key(*letter));
                }
            }
        }
        let inside = |at: &Vec<u8>| at[0] >= from && to.is_none_or(|to| at[0] < to);
        let mut expected: Vec<Row> = model.clone().into_iter().filter(|(at, _)| inside(at)).collect();
        if reverse {
            expected.reverse();
        }
        expected.truncate(limit as usize);
        let range = Range { from: key(from), to: to.map(|to| ByteBuf::from(key(to))), reverse, limit };
        prop_assert_eq!(buffer.scan("t.rows", &range).unwrap(), expected);
        for letter in 0..12 {
            prop_assert_eq!(buffer.get("t.rows", &key(letter)).unwrap(), model.get(&key(letter)).cloned());
        }
        prop_assert_eq!(buffer.count(), own.len());
        // What is kept is what was seen.
        buffer.keep().unwrap();
        let all = Range { from: Vec::new(), to: None, reverse: false, limit: 100 };
        prop_assert_eq!(transaction.scan("t.rows", &all).unwrap(), model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_is_not_kept_leaves_nothing() {
    let mut store = stored(&vec![(1, Some(1))]);
    let mut transaction = store.begin().unwrap();
    let mut buffer = Buffer::new(&mut *transaction);
    buffer.put("t.rows", &key(2), b"x");
    buffer.delete("t.rows", &key(1));
    drop(buffer);
    assert_eq!(transaction.get("t.rows", &key(1)).unwrap(), Some(vec![1]));
    assert_eq!(transaction.get("t.rows", &key(2)).unwrap(), None);
}
