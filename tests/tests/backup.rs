//! A site written to one file while it runs, and put back elsewhere.

#![allow(clippy::unwrap_used)]

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tallyho_tests::chits::{half, partners, settled};
use tallyho_tests::site::{Site, program};

const PASSPHRASE: &str = "five words drawn by dice";

/// Runs a command that reads a passphrase.
fn sealed(home: &Path, words: &[&str], crash: Option<&str>) -> Output {
    limited(home, words, crash, None)
}

/// The same, with no file to become larger than this.
fn limited(home: &Path, words: &[&str], crash: Option<&str>, most: Option<u64>) -> Output {
    let mut command = Command::new(program());
    command.args(["--home", home.to_str().unwrap(), "--json"]).args(words).args(["--passphrase-fd", "0"]);
    command.envs(crash.map(|place| ("TALLYHO_CRASH", place)));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    if most.is_some() {
        // It has read no passphrase yet, so it has written nothing.
        let limit = Rlimit { current: most, maximum: None };
        prlimit(Some(Pid::from_child(&child)), Resource::Fsize, limit).unwrap();
    }
    // One that refuses before it reads has closed it.
    let _ = child.stdin.take().unwrap().write_all(format!("{PASSPHRASE}\n").as_bytes());
    child.wait_with_output().unwrap()
}

fn done(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_site_that_is_lost_goes_on_elsewhere_from_a_backup_made_while_it_was_paying() {
    let (alice, mut bob) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
    let tally = partners(&alice, "alice", &bob, "bob");
    let pay = |site: &Site| {
        let order = json!({ "tally": tally, "units": 1, "user": "bob" });
        site.call("chit", "pay", &order).unwrap_or_else(|fault| panic!("{fault}: {}", site.log()));
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bob.backup");
    let mut paid = 0;
    let made = std::thread::scope(|scope| {
        let backup = scope.spawn(|| done(&sealed(bob.home(), &["backup", file.to_str().unwrap()], None)));
        // Before, during and after.
        while !backup.is_finished() || paid < 20 {
            pay(&bob);
            paid += 1;
        }
        backup.join().unwrap()
    });
    for _ in 0..10 {
        pay(&bob);
        paid += 1;
    }
    assert_eq!(settled((&alice, "alice"), (&bob, "bob"), &tally, paid), i64::try_from(paid).unwrap());
    assert_eq!(made["bytes"], file.metadata().unwrap().len());
    let status = bob.command(&["status"]);
    assert_eq!(made["agent"], status["agent"]);

    // Its machine burns.
    bob.kill();
    drop(bob);
    let mut there = Site::empty();
    let restored = done(&sealed(there.home(), &["restore", file.to_str().unwrap()], None));
    assert_eq!((&restored["agent"], &restored["home"]), (&made["agent"], &json!(there.home())));
    let doctor = there.attempt(&["doctor"]);
    let unsound = |check: &&Value| check["ok"] != true && check["name"] != "port";
    let unsound = doctor.json["checks"].as_array().unwrap().iter().find(unsound);
    assert!(unsound.is_none(), "{unsound:?}");
    there.start();
    let end = half(&there, "bob", &tally)["end"].as_u64().unwrap();
    assert!(end <= paid - 10, "the store is as old as the backup: {end} of {paid}");
    // What was paid since is with the partner, who sends it with the next chit.
    pay(&there);
    paid += 1;
    assert_eq!(settled((&alice, "alice"), (&there, "bob"), &tally, paid), i64::try_from(paid).unwrap());
    // And it can be backed up again, at rest too.
    assert_eq!(there.stop(), Some(0));
    done(&sealed(there.home(), &["backup", folder.path().join("again").to_str().unwrap()], None));
}

#[test]
fn a_site_is_never_overwritten_by_a_backup() {
    let (alice, bob) = (Site::with_users(&["alice"]), Site::with_users(&["bob"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alice.backup");
    let file = file.to_str().unwrap();
    done(&sealed(alice.home(), &["backup", file], None));
    let told = refused(&sealed(alice.home(), &["backup", file], None));
    assert!(told.contains("not overwritten"), "{told}");
    let told = refused(&sealed(bob.home(), &["restore", file], None));
    assert!(told.contains("site.db") && told.contains("--home"), "{told}");
    assert_eq!(bob.command(&["user", "list"])[0]["cuid"], "bob");
    // No home, no backup.
    let nowhere = folder.path().join("nowhere");
    let told = refused(&sealed(&nowhere, &["backup", folder.path().join("x").to_str().unwrap()], None));
    assert!(told.contains("no home of a site"), "{told}");
    assert!(!nowhere.exists());
}

#[test]
fn on_a_full_disk_nothing_is_left_and_with_room_it_is_done() {
    let mut alice = Site::with_users(&["alice"]);
    // SQLite needs 32 KiB beside any store, which must not be what is refused.
    (0..150).for_each(|number| alice.add_user(&format!("user{number}")));
    assert_eq!(alice.stop(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let names = |path: &Path| {
        let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    let (path, there) = (folder.path().join("alice.backup"), folder.path().join("there"));
    let (file, before) = (path.to_str().unwrap(), names(alice.home()));
    let store = alice.home().join("site.db").metadata().unwrap().len();
    assert!(store > 40_000, "{store}");
    // While the store is copied, and while the copy is encrypted.
    for (most, culprit) in [(store - 1, ".backup/site.db"), (store, "alice.backup")] {
        let told = refused(&limited(alice.home(), &["backup", file], None, Some(most)));
        assert!(told.contains(culprit), "{told}");
        assert_eq!((names(folder.path()), names(alice.home())), (Vec::new(), before.clone()));
    }
    done(&sealed(alice.home(), &["backup", file], None));
    let told = refused(&limited(&there, &["restore", file], None, Some(store - 1)));
    assert!(told.contains(".restore/site.db") && told.contains("write"), "{told}");
    assert_eq!(names(folder.path()), ["alice.backup"]);
    done(&sealed(&there, &["restore", file], None));
}

/// Deaths need a build with debug assertions.
#[cfg(debug_assertions)]
#[test]
fn killed_anywhere_a_backup_is_whole_or_not_there_and_a_restore_is_made_again() {
    let alice = Site::with_users(&["alice"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.backup");
    let file = path.to_str().unwrap();
    let killed = |home: &Path, words: &[&str], place: &str| {
        let code = sealed(home, words, Some(place)).status.code();
        assert!(code.is_none() || code == Some(0), "{place}: {code:?}");
        code.is_none()
    };
    assert!(killed(alice.home(), &["backup", file], "file-unnamed:1"));
    assert!(!path.exists());
    done(&sealed(alice.home(), &["backup", file], None));
    assert!(!alice.home().join(".backup").exists());

    let mut deaths = 0;
    let places = (1..).map(|n| format!("file-unnamed:{n}"));
    for place in std::iter::once("restore-without-store:1".to_owned()).chain(places) {
        let mut there = Site::empty();
        if !killed(there.home(), &["restore", file], &place) {
            break;
        }
        deaths += 1;
        // It has no store, and does not take itself for a new site.
        assert!(!there.try_start(), "{place}");
        assert!(there.log().contains("tallyho restore FILE"), "{}", there.log());
        done(&sealed(there.home(), &["restore", file], None));
        assert!(!there.home().join(".restore").exists(), "{place}");
        there.start();
        assert_eq!(there.command(&["user", "list"])[0]["cuid"], "alice", "{place}");
    }
    // Without the store; at the configuration; at each of two keys.
    assert_eq!(deaths, 4);
}
