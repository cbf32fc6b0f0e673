//! The files: their modes, whose they are, what closing leaves, what damage looks like.

use super::*;
use tallyho_plugin::services::Range;

#[test]
fn only_the_owner_can_read_the_files() {
    let (folder, path) = place();
    let mut store = SqliteStore::open(&path).unwrap();
    commit(&mut store, |transaction| transaction.put("t", b"k", b"v").unwrap());
    let files: Vec<PathBuf> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "the file, its log and the log's index: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn closing_leaves_one_file() {
    let (folder, path) = place();
    filled(&path, 1_000);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    assert_eq!(rows(&mut SqliteStore::open(&path).unwrap(), "t").len(), 1_000);
}

#[test]
fn the_log_is_written_back_before_it_grows_without_bound() {
    let (_folder, path) = place();
    let mut store = SqliteStore::open(&path).unwrap();
    let mut largest = 0;
    let mut written = 0;
    for turn in 0..100_u32 {
        commit(&mut store, |transaction| {
            transaction.put("t", &(turn % 3).to_be_bytes(), &[turn as u8; 1 << 20]).unwrap()
        });
        written += 1 << 20;
        largest = largest.max(copy::beside(&path, "-wal").metadata().unwrap().len());
    }
    let bound = u64::from(limits::WAL_CHECKPOINT_PAGES) * u64::from(limits::PAGE_BYTES) + (4 << 20);
    assert!(largest < bound && bound < written, "{largest} of {bound}");
    store.checkpoint().unwrap();
    assert_eq!(copy::beside(&path, "-wal").metadata().unwrap().len(), 0);
}

#[test]
fn room_is_made_in_the_log_ahead_of_small_commits_and_means_nothing_after_a_crash() {
    let (folder, path) = place();
    let mut store = SqliteStore::open(&path).unwrap();
    let length = |path: &Path| copy::beside(path, "-wal").metadata().unwrap().len();
    let mut lengths = std::collections::BTreeSet::new();
    for n in 0..1_000_u32 {
        commit(&mut store, |transaction| transaction.put("t", &n.to_be_bytes(), b"v").unwrap());
        lengths.insert(length(&path));
    }
    // A page each; where the room comes to its end, one commit makes the log longer by itself.
    assert!(length(&path) > 4 << 20 && lengths.len() <= 12, "{lengths:?}");
    // As a crash leaves the files, with room behind the last commit and with part of it.
    for (name, cut) in [("whole", 0), ("torn", 300_001)] {
        let copied = folder.path().join(name);
        for ending in ["", "-wal"] {
            std::fs::copy(copy::beside(&path, ending), copy::beside(&copied, ending)).unwrap();
        }
        let log = OpenOptions::new().write(true).open(copy::beside(&copied, "-wal")).unwrap();
        log.set_len(length(&path) - cut).unwrap();
        assert_eq!(inspect(&copied).unwrap().tables, ["t"]);
        let mut crashed = SqliteStore::open_existing(&copied).unwrap();
        assert_eq!(rows(&mut crashed, "t").len(), 1_000, "{name}");
        commit(&mut crashed, |transaction| transaction.put("t", b"one more", b"v").unwrap());
        assert_eq!(crashed.integrity_check().unwrap(), Vec::<String>::new());
        crashed.close().unwrap();
    }
    for n in 0..4_000_u32 {
        commit(&mut store, |transaction| transaction.put("t", &n.to_be_bytes(), b"w").unwrap());
    }
    // It is written back, and no longer for it.
    assert!(length(&path) < u64::from(limits::WAL_CHECKPOINT_PAGES) * 4_120 + (2 << 20), "{}", length(&path));
}

#[test]
fn room_is_made_in_the_log_of_a_store_behind_a_link_and_not_beside_the_link() {
    let (folder, path) = place();
    filled(&path, 1);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut store = SqliteStore::open(&link).unwrap();
    for n in 0..2_u32 {
        commit(&mut store, |transaction| transaction.put("t", &n.to_be_bytes(), b"v").unwrap());
    }
    assert!(copy::beside(&path, "-wal").metadata().unwrap().len() > limits::WAL_AHEAD_BYTES as u64);
    assert!(!copy::beside(&link, "-wal").exists());
}

#[test]
fn files_that_are_no_store_are_refused_by_name_and_left_alone() {
    let (folder, _) = place();
    let other = folder.path().join("other.sqlite");
    raw(&other).execute_batch("CREATE TABLE photos (id); PRAGMA user_version = 1").unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "not a database, but long enough to have had a header. ".repeat(100)).unwrap();
    let short = folder.path().join("short");
    std::fs::write(&short, "x").unwrap();
    for path in [other, notes, short] {
        let before = std::fs::read(&path).unwrap();
        for error in [
            SqliteStore::open(&path).unwrap_err(),
            SqliteStore::open_existing(&path).unwrap_err(),
            inspect(&path).unwrap_err(),
            backup(&path, &folder.path().join("copy")).unwrap_err(),
        ] {
            assert!(damaged(error.clone(), &path), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_lost_file_is_not_taken_for_an_empty_store() {
    let (_folder, path) = place();
    let missing = StoreError::Missing { path: path.display().to_string() };
    assert_eq!(SqliteStore::open_existing(&path).unwrap_err(), missing);
    assert_eq!(inspect(&path).unwrap_err(), missing);
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    assert!(damaged(SqliteStore::open_existing(&path).unwrap_err(), &path));
    filled(&path, 1);
    assert_eq!(rows(&mut SqliteStore::open_existing(&path).unwrap(), "t").len(), 1);
}

#[test]
fn a_folder_that_is_not_there_or_a_folder_as_file_cannot_be_written() {
    let (folder, _) = place();
    let nowhere = folder.path().join("nowhere/store.sqlite");
    assert!(unwritable(SqliteStore::open(&nowhere).unwrap_err(), &nowhere));
    assert!(unwritable(SqliteStore::open(folder.path()).unwrap_err(), folder.path()));
}

#[test]
fn a_broken_page_is_damage_wherever_it_is_met() {
    let (folder, path) = place();
    filled(&path, 5_000);
    // Past the first pages: the header still says that this is a store.
    scribble(&path, 4 * u64::from(limits::PAGE_BYTES), 40 * limits::PAGE_BYTES as usize);
    let mut store = SqliteStore::open(&path).unwrap();
    let range = Range { limit: 10_000, ..Range::default() };
    assert!(damaged(store.begin().unwrap().scan("t", &range).unwrap_err(), &path));
    let problems = store.integrity_check().unwrap();
    assert!((1..=limits::PROBLEMS_LISTED + 1).contains(&problems.len()), "{problems:?}");
    let copy = folder.path().join("copy");
    assert!(damaged(store.backup_to(&copy).unwrap_err(), &path));
    assert!(!copy.exists());
    assert!(damaged(inspect(&path).unwrap_err(), &path));
}

#[test]
fn a_whole_store_has_no_problems() {
    let (_folder, path) = place();
    filled(&path, 5_000);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.integrity_check().unwrap(), [""; 0]);
}

#[test]
fn sql_hidden_in_a_file_does_not_run() {
    let (_folder, path) = place();
    filled(&path, 3);
    raw(&path)
        .execute_batch("CREATE TRIGGER thief AFTER INSERT ON t_t BEGIN DELETE FROM t_t WHERE k != new.k; END")
        .unwrap();
    let mut store = SqliteStore::open(&path).unwrap();
    commit(&mut store, |transaction| transaction.put("t", b"k", b"v").unwrap());
    assert_eq!(rows(&mut store, "t").len(), 4);
}
