//! Backups: whole, private, of one instant, and never over another file.

use super::*;
use tallyho_plugin::services::Row;

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_of_a_store_in_use_holds_what_was_committed_in_one_private_file() {
    let (folder, path) = place();
    let mut store = SqliteStore::open(&path).unwrap();
    let expected: Vec<Row> = (0..500_u32).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 300])).collect();
    commit(&mut store, |transaction| {
        for (key, value) in &expected {
            transaction.put("t", key, value).unwrap();
        }
    });
    let copy = folder.path().join("backup.sqlite");
    let mut open = store.begin().unwrap();
    open.put("t", b"not yet committed", b"").unwrap();
    let bytes = backup(&path, &copy).unwrap();
    open.commit().unwrap();

    assert_eq!(names(&folder), ["backup.sqlite", "store.sqlite", "store.sqlite-shm", "store.sqlite-wal"]);
    assert_eq!(mode(&copy), 0o600);
    assert_eq!(bytes, copy.metadata().unwrap().len());
    let found = inspect(&copy).unwrap();
    assert_eq!(found, Inspection { schema: VERSION, tables: vec!["t".into()], bytes });
    assert_eq!(names(&folder).len(), 4, "looking at a backup leaves nothing beside it");
    assert_eq!(rows(&mut SqliteStore::open_existing(&copy).unwrap(), "t"), expected);
    assert_eq!(rows(&mut store, "t").len(), 501);
}

#[test]
fn a_restored_backup_is_the_store_again() {
    let (folder, path) = place();
    filled(&path, 50);
    let copy = folder.path().join("backup.sqlite");
    SqliteStore::open(&path).unwrap().backup_to(&copy).unwrap();
    std::fs::remove_file(&path).unwrap();
    inspect(&copy).unwrap();
    put_back(&copy, &path).unwrap();
    let mut store = SqliteStore::open_existing(&path).unwrap();
    assert_eq!(rows(&mut store, "t").len(), 50);
    commit(&mut store, |transaction| transaction.put("t", b"k", b"v").unwrap());
}

#[test]
fn no_file_is_overwritten_and_no_old_log_gets_into_a_copy() {
    let (folder, path) = place();
    filled(&path, 5);
    let copy = folder.path().join("copy");
    for taken in ["copy", "copy-wal", "copy-journal"] {
        let taken = folder.path().join(taken);
        std::fs::write(&taken, "precious").unwrap();
        assert_eq!(backup(&path, &copy).unwrap_err(), StoreError::Exists { path: taken.display().to_string() });
        assert_eq!(put_back(&path, &copy).unwrap_err(), StoreError::Exists { path: taken.display().to_string() });
        assert_eq!(std::fs::read(&taken).unwrap(), b"precious");
        std::fs::remove_file(&taken).unwrap();
    }
    assert_eq!(names(&folder), ["store.sqlite"]);
}

#[test]
fn a_backup_that_cannot_be_written_leaves_nothing_behind() {
    let (folder, path) = place();
    filled(&path, 5);
    let nowhere = folder.path().join("nowhere/copy");
    assert!(unwritable(backup(&path, &nowhere).unwrap_err(), &nowhere));
    let missing = folder.path().join("missing");
    assert!(matches!(backup(&missing, &folder.path().join("copy")), Err(StoreError::Missing { .. })));
    assert_eq!(names(&folder), ["store.sqlite"]);
}
