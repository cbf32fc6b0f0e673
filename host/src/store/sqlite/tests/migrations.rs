//! Older stores become today's by themselves; newer ones are left alone.

use super::*;
use rusqlite::Transaction as Sql;

fn open_with(path: &Path, steps: &[Step]) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_with(path, steps, true)
}

fn schema_of(path: &Path) -> u32 {
    raw(path).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// 2 keeps table `t` under another name, 3 marks its rows.
const LATER: [Step; 3] = [
    Step { to: 1, run: |_| panic!("a store of schema 1 needs no first step") },
    Step { to: 2, run: |sql| sql.execute_batch("ALTER TABLE t_t RENAME TO t_renamed") },
    Step { to: 3, run: |sql| sql.execute_batch("UPDATE t_renamed SET v = CAST(v || x'03' AS BLOB)") },
];

#[test]
fn an_older_store_takes_each_missing_step_once_in_order() {
    let (_folder, path) = place();
    filled(&path, 2);
    assert_eq!(schema_of(&path), 1);
    for _ in 0..2 {
        let mut store = open_with(&path, &LATER).unwrap();
        assert_eq!(rows(&mut store, "t"), []);
        let values: Vec<Vec<u8>> = rows(&mut store, "renamed").into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [[&[0; 100][..], &[3]].concat(), [&[1; 100][..], &[3]].concat()]);
        store.close().unwrap();
        assert_eq!(schema_of(&path), 3);
    }
}

#[test]
fn a_step_that_fails_leaves_the_older_store_as_it_was() {
    fn fails(sql: &Sql<'_>) -> rusqlite::Result<()> {
        sql.execute_batch("DROP TABLE t_renamed; SELECT * FROM nowhere")
    }
    let (_folder, path) = place();
    filled(&path, 2);
    let steps = [LATER[0], LATER[1], Step { to: 3, run: fails }];
    assert!(matches!(open_with(&path, &steps).unwrap_err(), StoreError::Engine(_)));
    assert_eq!(schema_of(&path), 1);
    assert_eq!(rows(&mut SqliteStore::open(&path).unwrap(), "t").len(), 2);
}

#[test]
fn a_newer_store_is_refused_and_not_touched() {
    let (folder, path) = place();
    filled(&path, 2);
    open_with(&path, &LATER).unwrap().close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let newer = StoreError::Newer { path: path.display().to_string(), found: 3, known: 1 };
    assert_eq!(SqliteStore::open(&path).unwrap_err(), newer);
    assert_eq!(inspect(&path).unwrap_err(), newer);
    assert_eq!(restore(&path, &folder.path().join("copy")).unwrap_err(), newer);
    assert!(newer.to_string().contains("run the newer program"), "{newer}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_start_interrupted_before_the_first_step_begins_again() {
    let (_folder, path) = place();
    // As left by a crash after the log was switched on and before the schema was written.
    let mode: String = raw(&path).pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    filled(&path, 1);
    assert_eq!(inspect(&path).unwrap().schema, VERSION);
}

#[test]
fn steps_count_up_from_one_without_gaps() {
    assert!(schema::STEPS.iter().map(|step| step.to).eq(1..=VERSION));
}
