#![allow(clippy::unwrap_used, clippy::panic)]

use super::archive::{CONFIG, KEYS, LABEL, Packer, STORE};
use super::restoring::told_of;
use super::sealed::{KEY_BYTES, Sealer};
use super::*;
use crate::site::home::make_folder;
use crate::site::jwe;
use crate::site::keys::KeyFolder;
use crate::site::keys_export::{self, KeySet};
use crate::site::limits::EXPORT_ROUNDS_MIN;
use crate::store::{SqliteStore, Store};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::record::keys::KeyKind;

const PASSPHRASE: &str = "correct horse battery staple";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A site with keys, a configuration of its own, and some rows in its store.
struct Site {
    folder: tempfile::TempDir,
    home: Home,
    store: SqliteStore,
}

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(&folder.path().join("home")).unwrap();
    fs::write(home.config(), "log = \"warn\"\n").unwrap();
    KeyFolder::of(&home).agent_or_new().unwrap();
    KeyFolder::of(&home).user_or_new("alice", KeyKind::P521).unwrap();
    let mut store = SqliteStore::open(&home.store()).unwrap();
    put(&mut store, 0..500);
    Site { folder, home, store }
}

fn put(store: &mut SqliteStore, rows: std::ops::Range<u32>) {
    let mut transaction = store.begin().unwrap();
    for row in rows {
        transaction.put("t.rows", &row.to_be_bytes(), &[7; 900]).unwrap();
    }
    transaction.commit().unwrap();
}

fn rows(home: &Path) -> usize {
    let mut store = SqliteStore::open_existing(&home.join("site.db")).unwrap();
    let range = tallyho_plugin::services::Range { limit: 10_000, ..Default::default() };
    store.begin().unwrap().scan("t.rows", &range).unwrap().len()
}

fn make(home: &Home, to: &Path) -> Result<Made, BackupError> {
    // Few rounds: this is about all else.
    Making::new(home, to)?.make_with(PASSPHRASE, NOW, EXPORT_ROUNDS_MIN)
}

fn restore(root: &Path, from: &Path) -> Result<Restored, BackupError> {
    Restoring::new(root, from)?.restore(PASSPHRASE)
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_site_comes_back_as_it_was_when_its_backup_was_made() {
    let mut site = site();
    let (file, there) = (site.folder.path().join("site.backup"), site.folder.path().join("there"));
    let made = make(&site.home, &file).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!((made.bytes, metadata.permissions().mode() & 0o777), (metadata.len(), 0o600));
    put(&mut site.store, 500..600);

    let restored = restore(&there, &file).unwrap();
    let agent = KeyFolder::of(&site.home).agent().unwrap().id().clone();
    assert_eq!((&made.agent, &restored.agent), (&agent, &agent));
    assert_eq!((restored.made, restored.config), (NOW.to_string(), there.join("tallyho.toml")));
    let home = Home::open(&there).unwrap();
    let keys = KeyFolder::of(&home);
    assert_eq!(*keys.agent().unwrap().id(), agent);
    assert!(keys.user("alice").unwrap().is_some());
    assert_eq!(fs::read_to_string(home.config()).unwrap(), "log = \"warn\"\n");
    assert_eq!(rows(&there), 500, "the store as it was then");
    assert_eq!(home.store().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing stays that was needed only for this.
    assert_eq!(names(&there), ["keys", "lock", "plugins", "site.db", "tallyho.toml"]);
    assert!(!names(site.home.root()).contains(&".backup".to_owned()));
    assert_eq!(names(site.folder.path()), ["home", "site.backup", "there"]);
}

#[test]
fn a_backup_says_nothing_without_its_passphrase() {
    let site = site();
    let (file, there) = (site.folder.path().join("b"), site.folder.path().join("there"));
    make(&site.home, &file).unwrap();
    let bytes = fs::read(&file).unwrap();
    for secret in ["alice".as_bytes(), b"t.rows", b"SQLite format", &[7; 64]] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{secret:?}");
    }
    let wrong = Restoring::new(&there, &file).unwrap().restore("correct horse battery stapler");
    assert!(matches!(wrong, Err(BackupError::Closed)), "{wrong:?}");
    assert!(!there.exists());
}

#[test]
fn one_that_is_damaged_anywhere_is_refused_and_nothing_is_put_anywhere() {
    let site = site();
    let (file, there) = (site.folder.path().join("b"), site.folder.path().join("there"));
    make(&site.home, &file).unwrap();
    let whole = fs::read(&file).unwrap();
    let head = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1;
    let damaged = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let error = restore(&there, &file).unwrap_err();
        assert!(!there.exists(), "{error}");
        error
    };
    for length in [head, head + 9, head + sealed::CHUNK_BYTES, whole.len() - 1] {
        let error = damaged(&whole[..length]);
        assert!(matches!(error, BackupError::Damaged { .. }), "cut off at {length}: {error}");
    }
    for at in [head, head + 5_000, whole.len() / 2, whole.len() - 20] {
        let mut altered = whole.clone();
        altered[at] ^= 0x20;
        let error = damaged(&altered);
        assert!(matches!(error, BackupError::Damaged { .. }), "altered at {at}: {error}");
    }
    let error = damaged(&[whole.as_slice(), b"more"].concat());
    assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    for (bytes, why) in [
        (b"".to_vec(), "does not begin as one"),
        (b"SQLite format 3\0".to_vec(), "does not begin as one"),
        (b"tallyho backup 2\nmore".to_vec(), "newer program's"),
        (b"tallyho backup 1".to_vec(), "does not begin as one"),
        (b"tallyho backup 1\r\nmore".to_vec(), "does not begin as one"),
        (b"tallyho backup 1\n{}\n".to_vec(), "missing field"),
        (FIRST_LINE.as_bytes().iter().copied().chain(std::iter::repeat_n(b'x', 100_000)).collect(), "expected"),
    ] {
        let error = damaged(&bytes);
        assert!(matches!(error, BackupError::Format { .. }) && error.to_string().contains(why), "{error}");
    }
    let error = restore(&there, site.folder.path()).unwrap_err();
    assert!(error.to_string().contains("no plain file"), "{error}");
}

#[test]
fn what_is_there_is_neither_overwritten_nor_mixed_with_a_backup() {
    let site = site();
    let file = site.folder.path().join("b");
    make(&site.home, &file).unwrap();
    let before = fs::read(&file).unwrap();
    assert!(matches!(make(&site.home, &file), Err(BackupError::Exists(_))));
    assert!(fs::read(&file).unwrap() == before);

    // A home with a store.
    assert!(matches!(restore(site.home.root(), &file), Err(BackupError::Occupied(_))));
    // A log without its store: SQLite would play it into another.
    let there = site.folder.path().join("there");
    fs::create_dir(&there).unwrap();
    fs::write(there.join("site.db-wal"), "x").unwrap();
    assert!(matches!(restore(&there, &file), Err(BackupError::Occupied(_))));
    assert_eq!(names(&there), ["site.db-wal"]);

    // A home with another agent's key, whose configuration is lost too.
    let there = site.folder.path().join("other");
    let home = Home::create(&there).unwrap();
    let (other, _) = KeyFolder::of(&home).agent_or_new().unwrap();
    fs::remove_file(home.config()).unwrap();
    let error = restore(&there, &file).unwrap_err();
    assert_eq!(names(&there), ["keys", "plugins"]);
    assert!(error.to_string().contains("already holds another key"), "{error}");
    assert_eq!(KeyFolder::of(&home).agent().unwrap().id(), other.id());
    assert!(!home.store().exists() && KeyFolder::of(&home).users().unwrap().is_empty());

    // One with a user of whom the backup knows nothing, and no agent.
    let there = site.folder.path().join("bob");
    KeyFolder::of(&Home::create(&there).unwrap()).user_or_new("bob", KeyKind::Ed25519).unwrap();
    let error = restore(&there, &file).unwrap_err();
    assert!(error.to_string().contains("bob"), "{error}");
    assert_eq!(names(&there.join("keys")).len(), 1);
}

#[test]
fn what_somebody_keeps_where_backups_are_made_is_left_alone() {
    let site = site();
    let (work, outside) = (site.home.root().join(".backup"), site.folder.path().join("disk"));
    let file = site.folder.path().join("b");
    let error = make(&site.home, &work.join("today")).unwrap_err();
    assert!(matches!(error, BackupError::Place(_)), "{error}");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("site.db"), "another's").unwrap();
    std::os::unix::fs::symlink(&outside, &work).unwrap();
    let error = make(&site.home, &file).unwrap_err();
    assert!(error.to_string().contains(".backup is not a folder"), "{error}");
    let error = make(&site.home, &outside.join("b")).unwrap_err();
    assert!(matches!(error, BackupError::Place(_)), "{error}");
    assert_eq!(names(&outside), ["site.db"]);
    fs::remove_file(&work).unwrap();
    make_folder(&work).unwrap();
    fs::write(work.join("notes"), "x").unwrap();
    fs::write(work.join(".tallyho-backup-killed"), "x").unwrap();
    make(&site.home, &file).unwrap();
    assert_eq!(names(&work), ["notes"]);
    fs::write(work.join("site.db"), "x").unwrap();
    sweep(&site.home);
    assert_eq!(names(&work), ["notes"]);
    let away = work.join("b");
    fs::rename(&file, &away).unwrap();
    let there = site.folder.path().join("there");
    restore(&there, &away).unwrap();
}

#[test]
fn a_configuration_that_is_there_stays_and_the_other_is_put_beside_it() {
    let site = site();
    let (file, there) = (site.folder.path().join("b"), site.folder.path().join("there"));
    make(&site.home, &file).unwrap();
    let home = Home::create(&there).unwrap();
    let ours = fs::read(home.config()).unwrap();
    fs::write(home.config(), [ours.as_slice(), b"log = \"error\"\n"].concat()).unwrap();
    let ours = fs::read(home.config()).unwrap();
    // Somebody has begun to edit one of an earlier try.
    fs::write(there.join("tallyho.toml.restored"), "x").unwrap();
    let restored = restore(&there, &file).unwrap();
    assert_eq!(restored.config, there.join("tallyho.toml.restored-2"));
    assert_eq!(fs::read(home.config()).unwrap(), ours);
    assert_eq!(fs::read_to_string(there.join("tallyho.toml.restored")).unwrap(), "x");
    assert_eq!(fs::read_to_string(&restored.config).unwrap(), "log = \"warn\"\n");
    // The same again needs no other name.
    fs::remove_file(home.store()).unwrap();
    assert_eq!(restore(&there, &file).unwrap().config, restored.config);
    // One that nobody has edited gives way.
    let fresh = site.folder.path().join("fresh");
    let home = Home::create(&fresh).unwrap();
    assert_eq!(restore(&fresh, &file).unwrap().config, home.config());
    assert_eq!(fs::read_to_string(home.config()).unwrap(), "log = \"warn\"\n");
}

#[test]
fn what_a_restore_that_was_killed_has_left_is_no_obstacle_to_the_next() {
    let site = site();
    let (file, there) = (site.folder.path().join("b"), site.folder.path().join("there"));
    make(&site.home, &file).unwrap();
    // Killed while the archive was read, and just before the store was put in its place.
    make_folder(&there).unwrap();
    make_folder(&there.join(".restore")).unwrap();
    fs::write(there.join(".restore/site.db"), "half").unwrap();
    fs::write(there.join("tallyho.toml"), "log = \"warn\"\n").unwrap();
    let home = Home::create(&there).unwrap();
    let keys = keys_export::set(&KeyFolder::of(&site.home)).unwrap();
    KeySet::read(keys.as_bytes()).unwrap().put(&KeyFolder::of(&home)).unwrap();
    assert!(is_cut_short(&home));
    restore(&there, &file).unwrap();
    assert!(!is_cut_short(&home));
    assert_eq!(rows(&there), 500);
    assert!(!there.join(".restore").exists());
}

#[test]
fn two_at_once_do_not_get_into_each_others_way() {
    let site = site();
    let work = Work::begin(site.home.root(), ".backup").unwrap();
    fs::write(work.file("site.db"), "theirs").unwrap();
    let error = make(&site.home, &site.folder.path().join("b")).unwrap_err();
    assert!(matches!(error, BackupError::Busy(_)), "{error}");
    assert_eq!(fs::read_to_string(work.file("site.db")).unwrap(), "theirs");
    drop(work);
    make(&site.home, &site.folder.path().join("b")).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_and_a_store_that_is_damaged_leave_no_file_behind() {
    let site = site();
    let nowhere = site.folder.path().join("no/such/folder/b");
    let error = make(&site.home, &nowhere).unwrap_err().to_string();
    assert!(error.contains("no/such/folder/b") && error.contains("cannot create"), "{error}");

    let Site { folder, home, store } = site;
    drop(store);
    let length = home.store().metadata().unwrap().len();
    let store = OpenOptions::new().write(true).open(home.store()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&store, &[0xff; 4_096], length / 4_096 / 2 * 4_096).unwrap();
    let error = make(&home, &folder.path().join("b")).unwrap_err();
    assert!(matches!(error, BackupError::Store(StoreError::Damaged { .. })), "{error}");
    assert_eq!(names(folder.path()), ["home"]);
    assert!(!names(home.root()).contains(&".backup".to_owned()));
}

#[test]
fn a_newer_programs_store_is_refused_naming_the_backup() {
    let file = Path::new("/b");
    let newer = StoreError::Newer { path: "x".to_owned(), found: 9, known: 2 };
    let told = told_of(file, newer).to_string();
    assert!(told.contains("/b has schema 9"), "{told}");
}

#[test]
fn one_that_opens_and_has_something_else_inside_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, there) = (folder.path().join("b"), folder.path().join("there"));
    let key = [3; KEY_BYTES];
    let jwe = jwe::seal(&key, CONTENT, PASSPHRASE, EXPORT_ROUNDS_MIN).unwrap();
    let with = |files: &[(&str, &[u8])]| {
        let mut packer = Packer::new(Sealer::new(Vec::new(), &key));
        files.iter().for_each(|(name, content)| packer.add(name, content.len() as u64, *content).unwrap());
        let sealed = packer.finish().unwrap().finish().unwrap();
        let text = format!("{FIRST_LINE}{}\n", serde_json::to_string(&jwe).unwrap());
        fs::write(&file, [text.as_bytes(), &sealed].concat()).unwrap();
        let error = restore(&there, &file).unwrap_err();
        assert!(!there.exists(), "{error}");
        error.to_string()
    };
    let label = br#"{"agent":"a","made":"2026-01-01T00:00:00.000Z","program":"9.9.9","later":true}"#.as_slice();
    let (keys, config): (&[u8], &[u8]) = (b"{}", b"");
    let told = with(&[(LABEL, label), (KEYS, keys), (CONFIG, config), (STORE, b"no store")]);
    assert!(told.contains("/b is damaged: its keys.json"), "{told}");
    let set = keys_export::set(&KeyFolder::of(&site().home)).unwrap();
    let told = with(&[(LABEL, label), (KEYS, set.as_bytes()), (CONFIG, config), (STORE, b"no store")]);
    assert!(told.contains("/b is damaged: its store"), "{told}");
    let told = with(&[(LABEL, label), (KEYS, keys), (CONFIG, config)]);
    assert!(told.contains("no site.db"), "{told}");
    let told = with(&[(LABEL, label), ("evil", keys), (CONFIG, config), (STORE, b"")]);
    assert!(told.contains("unexpected file"), "{told}");
    let told = with(&[(LABEL, b"{}"), (KEYS, keys), (CONFIG, config), (STORE, b"")]);
    assert!(told.contains("backup.json: missing field"), "{told}");
    let told = with(&[(LABEL, &[b' '; 5_000]), (KEYS, keys), (CONFIG, config), (STORE, b"")]);
    assert!(told.contains("5000 bytes of at most 4096"), "{told}");
}
