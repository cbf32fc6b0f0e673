//! Older stores become today's by themselves; newer ones are left alone.

use super::*;
use rusqlite::Transaction as Sql;

fn open_with(path: &Path, steps: &[Step]) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_with(path, steps, true)
}

fn schema_of(path: &Path) -> u32 {
    raw(path).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// After today's steps, which a store of today needs no more: the next keeps table `t` under another name, the one
/// after marks its rows.
const LATER: [Step; 4] = [
    Step { to: 1, run: |_| panic!("a store of schema 2 needs no first step") },
    Step { to: 2, run: |_| panic!("nor a second") },
    Step { to: 3, run: |sql| sql.execute_batch("ALTER TABLE t_t RENAME TO t_renamed") },
    Step { to: 4, run: |sql| sql.execute_batch("UPDATE t_renamed SET v = CAST(v || x'03' AS BLOB)") },
];

#[test]
fn tables_that_come_to_share_one_keep_their_rows_and_rings_their_place() {
    let (folder, path) = place();
    std::fs::write(&path, "").unwrap();
    open_with(&path, &schema::STEPS[..1]).unwrap().close().unwrap();
    let own = ["host.journal", "host.outbox", "host.outbox_peers"];
    for (n, name) in own.iter().enumerate() {
        let sql = format!(
            "CREATE TABLE \"t_{name}\" (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID; \
             INSERT INTO \"t_{name}\" VALUES (x'61', x'0{n}'), (x'', x''), (x'ff00', x'01')"
        );
        raw(&path).execute_batch(&sql).unwrap();
    }
    raw(&path).execute_batch("INSERT INTO \"t_host.journal\" VALUES (CAST('next' AS BLOB), x'07')").unwrap();
    // A backup as it was made then.
    let old = folder.path().join("old");
    std::fs::copy(&path, &old).unwrap();
    let found = inspect(&old).unwrap();
    assert_eq!((found.schema, found.tables), (1, own.map(str::to_owned).to_vec()));
    for _ in 0..2 {
        let mut store = SqliteStore::open(&path).unwrap();
        for (n, name) in own.iter().enumerate() {
            let expected = [(b"".to_vec(), vec![]), (b"a".to_vec(), vec![n as u8]), (vec![255, 0], vec![1])];
            assert_eq!(rows(&mut store, name), expected, "{name}");
        }
        assert_eq!(rows(&mut store, "host.outbox_names"), []);
        assert_eq!(rows(&mut store, "host.next"), [(b"host.journal".to_vec(), vec![7])]);
        store.close().unwrap();
        assert_eq!(schema_of(&path), 2);
        let now = ["host.journal", "host.next", "host.outbox", "host.outbox_peers"];
        assert_eq!(inspect(&path).unwrap().tables, now);
        assert_eq!(raw(&path).table_exists(None, "t_host.outbox"), Ok(false));
    }
}

#[test]
fn an_older_store_takes_each_missing_step_once_in_order() {
    let (_folder, path) = place();
    filled(&path, 2);
    assert_eq!(schema_of(&path), 2);
    for _ in 0..2 {
        let mut store = open_with(&path, &LATER).unwrap();
        assert_eq!(rows(&mut store, "t"), []);
        let values: Vec<Vec<u8>> = rows(&mut store, "renamed").into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [[&[0; 100][..], &[3]].concat(), [&[1; 100][..], &[3]].concat()]);
        store.close().unwrap();
        assert_eq!(schema_of(&path), 4);
    }
}

#[test]
fn a_step_that_fails_leaves_the_older_store_as_it_was() {
    fn fails(sql: &Sql<'_>) -> rusqlite::Result<()> {
        sql.execute_batch("DROP TABLE t_renamed; SELECT * FROM nowhere")
    }
    let (_folder, path) = place();
    filled(&path, 2);
    let steps = [LATER[0], LATER[1], LATER[2], Step { to: 4, run: fails }];
    assert!(matches!(open_with(&path, &steps).unwrap_err(), StoreError::Engine(_)));
    assert_eq!(schema_of(&path), 2);
    assert_eq!(rows(&mut SqliteStore::open(&path).unwrap(), "t").len(), 2);
}

#[test]
fn a_newer_store_is_refused_and_not_touched() {
    let (folder, path) = place();
    filled(&path, 2);
    open_with(&path, &LATER).unwrap().close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let newer = StoreError::Newer { path: path.display().to_string(), found: 4, known: 2 };
    assert_eq!(SqliteStore::open(&path).unwrap_err(), newer);
    assert_eq!(inspect(&path).unwrap_err(), newer);
    assert_eq!(backup(&path, &folder.path().join("copy")).unwrap_err(), newer);
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
