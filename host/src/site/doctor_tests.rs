#![allow(clippy::unwrap_used)]
use super::*;
use std::os::unix::fs::PermissionsExt;

/// A home with keys, listening on a port that was free a moment ago, and told to others.
fn healthy() -> (tempfile::TempDir, Home) {
    let place = tempfile::tempdir().unwrap();
    let home = Home::create(place.path()).unwrap();
    KeyFolder::of(&home).agent_or_new().unwrap();
    fs::write(home.config(), "listen = '127.0.0.1:0'\n").unwrap();
    fs::write(home.store(), "").unwrap();
    (place, home)
}

fn run(home: &Home) -> Vec<Check> {
    examine(home.root(), SystemTime::now(), &|_| Ok("sound".to_owned()))
}

fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

/// The one check that failed.
fn failure(checks: &[Check]) -> &Check {
    let failed: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert_eq!(failed.len(), 1, "{checks:#?}");
    assert!(failed[0].fix.is_some(), "{:?}", failed[0]);
    failed[0]
}

#[test]
fn a_healthy_home_passes_every_check() {
    let (_place, home) = healthy();
    let checks = run(&home);
    assert!(checks.iter().all(|check| check.ok && check.fix.is_none()), "{checks:#?}");
    let names: Vec<_> = checks.iter().map(|check| check.name.as_ref()).collect();
    assert_eq!(names, ["home", "keys", "socket", "clock", "host", "config", "advertise", "port", "store"]);
    let json = serde_json::to_value(&checks[0]).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["detail", "name", "ok"]);
}

#[test]
fn a_missing_home_says_how_to_make_one() {
    let place = tempfile::tempdir().unwrap();
    let checks = examine(place.path(), SystemTime::now(), &|_| unreachable!());
    assert!(failure(&checks).fix.as_ref().unwrap().contains("tallyho init"), "{checks:?}");
}

#[test]
fn keys_that_others_can_read_are_found() {
    let (_place, home) = healthy();
    let key = home.keys().join("agent.json");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let checks = run(&home);
    let check = failure(&checks);
    assert_eq!(check.fix.as_deref(), Some(format!("run `chmod 600 {}`", key.display()).as_str()));
}

#[test]
fn a_missing_agent_key_is_found() {
    let (_place, home) = healthy();
    fs::remove_file(home.keys().join("agent.json")).unwrap();
    let checks = run(&home);
    assert_eq!(failure(&checks).name, "keys");
}

#[test]
fn a_restore_that_was_cut_short_is_told_rather_than_what_is_missing_for_it() {
    let (_place, home) = healthy();
    fs::create_dir(home.root().join(".restore")).unwrap();
    assert!(run(&home).iter().all(|check| check.ok), "with its store it is no matter");
    fs::remove_file(home.store()).unwrap();
    fs::remove_file(home.keys().join("agent.json")).unwrap();
    let checks = run(&home);
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert!(failure(&checks).fix.as_ref().unwrap().contains("tallyho restore FILE"), "{checks:?}");
}

#[test]
fn mistakes_in_the_configuration_are_told_with_their_lines() {
    let (_place, home) = healthy();
    fs::write(home.config(), "lissen = 3\nlog = 'x'\n").unwrap();
    let checks = run(&home);
    let check = failure(&checks);
    assert_eq!(check.name, "config");
    assert!(check.detail.contains("line 1: unknown key lissen; known are"), "{check:?}");
    assert!(check.detail.contains("line 2: log = 'x'"), "{check:?}");
}

#[test]
fn a_port_in_use_is_found_unless_our_own_host_has_it() {
    let (_place, home) = healthy();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    fs::write(home.config(), format!("listen = '{taken}'\n")).unwrap();
    let checks = run(&home);
    let check = failure(&checks);
    assert_eq!(check.name, "port");
    assert!(check.detail.contains(&taken.to_string()), "{check:?}");
    let _lock = home.lock().unwrap();
    let checks = run(&home);
    assert!(find(&checks, "port").ok);
    assert!(find(&checks, "host").detail.contains(&format!("process {}", std::process::id())));
    assert!(checks.iter().all(|check| check.name != "store"), "a running host's store is left alone");
}

#[test]
fn an_address_that_is_not_this_machines_is_no_place_to_listen() {
    let (_place, home) = healthy();
    fs::write(home.config(), "listen = '192.0.2.1:1'\n").unwrap();
    assert_eq!(failure(&run(&home)).name, "port");
}

#[test]
fn a_clock_behind_its_own_files_is_found() {
    let (_place, home) = healthy();
    let behind = SystemTime::now() - CLOCK_SLACK - Duration::from_secs(60);
    let checks = examine(home.root(), behind, &|_| Ok("sound".to_owned()));
    let check = failure(&checks);
    assert_eq!(check.name, "clock");
    assert!(check.detail.contains("was last changed"), "{check:?}");
    let checks = examine(home.root(), SystemTime::UNIX_EPOCH, &|_| Ok("sound".to_owned()));
    assert!(failure(&checks).detail.contains("1970-01-01T00:00:00.000Z is before"), "{checks:?}");
}

#[test]
fn a_store_missing_beside_its_key_is_found() {
    let (_place, home) = healthy();
    fs::remove_file(home.store()).unwrap();
    let checks = run(&home);
    let check = failure(&checks);
    assert_eq!(check.name, "store");
    assert!(check.fix.as_ref().unwrap().contains("tallyho init"));
}

#[test]
fn an_unsound_store_is_found() {
    let (_place, home) = healthy();
    let checks = examine(home.root(), SystemTime::now(), &|path| Err(format!("{} is damaged", path.display())));
    let check = failure(&checks);
    assert_eq!(check.name, "store");
    assert!(check.detail.contains("site.db is damaged"), "{check:?}");
}

#[test]
fn an_address_that_leads_others_to_themselves_is_pointed_out() {
    let (_place, home) = healthy();
    fs::write(home.config(), "listen = '0.0.0.0:0'\n").unwrap();
    let checks = run(&home);
    let check = find(&checks, "advertise");
    assert!(check.ok, "a site for this machine alone is a good one");
    assert!(check.detail.contains("localhost:0") && check.fix.as_ref().unwrap().contains("[advertise]"), "{check:?}");
}

#[test]
fn a_home_too_deep_for_its_socket_is_found() {
    let (place, _) = healthy();
    let home = Home::create(&place.path().join("d".repeat(SOCKET_PATH_BYTES))).unwrap();
    KeyFolder::of(&home).agent_or_new().unwrap();
    fs::write(home.store(), "").unwrap();
    fs::write(home.config(), "listen = '127.0.0.1:0'\n").unwrap();
    let checks = run(&home);
    assert_eq!(failure(&checks).name, "socket");
}
