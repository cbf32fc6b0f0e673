#![allow(clippy::unwrap_used)]
use super::*;
use std::os::unix::fs::PermissionsExt;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// A path with its content, time of change and mode.
type Found = (PathBuf, Option<Vec<u8>>, i64, i64, u32);

/// Everything below `root`.
fn everything(root: &Path) -> Vec<Found> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            all.push((path.clone(), fs::read(&path).ok(), found.mtime(), found.mtime_nsec(), found.mode()));
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    all.sort();
    all
}

#[test]
fn the_option_goes_before_the_variable_and_the_variable_before_the_platform() {
    let given = Some(Path::new("/given"));
    assert_eq!(locate(given, Some("/variable".into())).unwrap(), Path::new("/given"));
    assert_eq!(locate(None, Some("/variable".into())).unwrap(), Path::new("/variable"));
    let platform = locate(None, None).unwrap();
    assert!(platform.ends_with("tallyho"), "{platform:?}");
    assert_eq!(locate(None, Some("".into())).unwrap(), platform, "an empty variable counts as unset");
}

#[test]
fn a_relative_home_becomes_absolute() {
    assert!(locate(Some(Path::new("here")), None).unwrap().is_absolute());
}

#[test]
fn a_new_home_has_its_folders_and_a_configuration_and_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("deep/below/site");
    let home = Home::create(&root).unwrap();
    for private in [&root, &home.keys(), &home.plugins()] {
        assert_eq!(mode(private), 0o700, "{private:?}");
    }
    assert_eq!(fs::read_to_string(home.config()).unwrap(), config::DEFAULT_FILE);
    assert_eq!(Home::open(&root).unwrap(), home);
}

#[test]
fn creating_a_home_twice_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    fs::write(home.config(), "listen = \"127.0.0.1:1\"\n").unwrap();
    fs::write(home.plugins().join("own.so"), "x").unwrap();
    let before = everything(folder.path());
    Home::create(folder.path()).unwrap();
    assert_eq!(everything(folder.path()), before);
}

#[test]
fn an_empty_folder_is_no_home_and_the_message_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let message = Home::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("tallyho.toml is missing"), "{message}");
    assert!(message.contains(&format!("tallyho init --home {}", folder.path().display())), "{message}");
    fs::write(folder.path().join("tallyho.toml"), "").unwrap();
    let message = Home::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("keys/ is missing"), "{message}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    let key = home.keys().join("agent.json");
    fs::write(&key, "{}").unwrap();
    for bad in [0o640, 0o604, 0o620, 0o644, 0o601] {
        chmod(&key, bad);
        let message = Home::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("mode {bad:04o}")), "{message}");
        assert!(message.contains(&format!("chmod 600 {}", key.display())), "{message}");
    }
    for good in [0o600, 0o400] {
        chmod(&key, good);
        Home::open(folder.path()).unwrap();
    }
}

#[test]
fn a_keys_folder_that_others_can_reach_is_refused_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    chmod(&home.keys(), 0o750);
    let message = Home::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains(&format!("chmod 700 {}", home.keys().display())), "{message}");
    // `create` does not mend it silently: somebody may have read the keys meanwhile.
    assert!(matches!(Home::create(folder.path()), Err(HomeError::Permissive { .. })));
}

#[test]
fn a_key_file_of_another_user_is_refused_naming_both() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    let key = home.keys().join("agent.json");
    write_new(&key, b"{}", 0o600).unwrap();
    // Only root can give a file away; for others it stays their own, and all is well.
    let me = rustix::process::geteuid().as_raw();
    let given = std::os::unix::fs::chown(&key, Some(me + 1), None).is_ok();
    match Home::open(folder.path()) {
        Err(HomeError::Foreign { path, owner, me: reported }) => assert_eq!((path, owner, reported), (key, me + 1, me)),
        other => assert!(!given && other.is_ok(), "{other:?}"),
    }
}

#[test]
fn a_key_file_that_is_a_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    std::os::unix::fs::symlink("/dev/null", home.keys().join("agent.json")).unwrap();
    assert!(matches!(Home::open(folder.path()), Err(HomeError::Kind { .. })));
}

#[test]
fn a_file_in_place_of_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("site");
    fs::write(&root, "").unwrap();
    assert!(matches!(Home::create(&root), Err(HomeError::Kind { path, .. }) if path == root));
}

#[test]
fn two_hosts_on_one_home_are_refused_and_the_first_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    assert_eq!(home.running().unwrap(), None);
    let first = home.lock().unwrap();
    let message = home.lock().unwrap_err().to_string();
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert_eq!(home.running().unwrap(), Some(Some(std::process::id())));
    drop(first);
    assert_eq!(home.running().unwrap(), None);
    home.lock().unwrap();
}

#[test]
fn looking_whether_a_host_runs_keeps_none_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    home.lock().unwrap();
    let looking = File::open(home.lock_file()).unwrap();
    looking.lock_shared().unwrap();
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| home.lock().map(drop));
        looking.unlock().unwrap();
        starting.join().unwrap().unwrap();
    });
}

#[test]
fn what_a_killed_host_left_behind_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    fs::write(home.lock_file(), "999999999 and a longer text than any id\n").unwrap();
    let _lock = home.lock().unwrap();
    assert_eq!(fs::read_to_string(home.lock_file()).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn a_lock_is_given_up_when_its_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::create(folder.path()).unwrap();
    // A child that inherits the locked file and is killed, as a host by `kill -9`.
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(home.lock_file()).unwrap();
    file.lock().unwrap();
    let mut child = std::process::Command::new("sleep").arg("600").stdin(file).spawn().unwrap();
    // This process's copy was handed to the child and closed; the child alone holds the lock.
    assert!(matches!(home.lock(), Err(HomeError::InUse { pid: None, .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    home.lock().unwrap();
}

#[test]
fn a_file_written_whole_has_its_mode_and_leaves_nothing_else_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    write_new(&path, b"one", 0o600).unwrap();
    assert!(write_new(&path, b"two", 0o600).is_err(), "a second one must not overwrite");
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
