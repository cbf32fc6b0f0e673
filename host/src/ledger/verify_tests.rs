#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::ledger::robot::{Robot, agent, event};
use crate::ledger::table::Serving;
use crate::plugin::{Given, Plugin, StaticPlugin};
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::services::{CheckKey, Services};
use tallyho_plugin::{Fault, Manifest};

const PATIENCE: Duration = Duration::from_secs(60);

/// A plugin whose `prepare` does this.
struct Preparing<F>(StaticPlugin<Robot<0>>, F);

impl<F: Fn() -> Result<Vec<Check>, Fault> + Send + Sync> Plugin for Preparing<F> {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }
    fn generation(&self) -> u64 {
        1
    }
    fn prepare(&self, _: &Given) -> Result<Vec<Check>, Fault> {
        self.1()
    }
    fn handle(&self, _: &Given, _: &mut dyn Services) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }
    fn migrate(&self, _: u32, _: &mut dyn Services) -> Result<(), Fault> {
        Ok(())
    }
}

fn plugin(prepare: impl Fn() -> Result<Vec<Check>, Fault> + Send + Sync + 'static) -> Arc<Serving> {
    Serving::new(Arc::new(Preparing(StaticPlugin::create().unwrap(), prepare)))
}

fn check(good: bool) -> Check {
    let key = AgentKey::generate().unwrap();
    let signature = tallyho_plugin::record::base64v::encode(key.sign(b"text"));
    let key = CheckKey::Agent(if good { key.id().clone() } else { agent('x') });
    Check { key, text: b"text".to_vec(), signature }
}

/// Its payload panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("dropped");
        }
    }
}

#[test]
fn checks_named_are_made_each_with_what_came_of_it() {
    let workers = Workers::start(2, 8).unwrap();
    let (good, bad) = (check(true), check(false));
    let named = vec![good.clone(), bad.clone()];
    let checked = workers.check(plugin(move || Ok(named.clone())), event("m")).wait(PATIENCE).unwrap();
    assert_eq!(checked, Checked::from([(good, true), (bad, false)]));
}

#[test]
fn a_prepare_that_fails_or_panics_costs_nothing_but_its_checks() {
    let workers = Workers::start(1, 8).unwrap();
    for _ in 0..5 {
        assert!(workers.check(plugin(|| Err(Fault::failed("no"))), event("m")).wait(PATIENCE).unwrap().is_empty());
        assert!(workers.check(plugin(|| panic!("no")), event("m")).wait(PATIENCE).unwrap().is_empty());
        assert!(workers.check(plugin(|| std::panic::panic_any(Bomb)), event("m")).wait(PATIENCE).unwrap().is_empty());
    }
    let good = check(true);
    let named = good.clone();
    // The one worker still works.
    assert_eq!(
        workers.check(plugin(move || Ok(vec![named.clone()])), event("m")).wait(PATIENCE).unwrap(),
        Checked::from([(good, true)])
    );
}

#[test]
fn checks_of_many_events_are_found_each_in_its_own_place() {
    let workers = Workers::start(3, 4).unwrap();
    let checks: Vec<Check> = (0..40).map(|_| check(true)).collect();
    let slots: Vec<Slot> = checks
        .iter()
        .map(|one| {
            let named = one.clone();
            workers.check(plugin(move || Ok(vec![named.clone()])), event("m"))
        })
        .collect();
    for (slot, check) in slots.iter().zip(checks) {
        assert_eq!(slot.wait(PATIENCE).unwrap(), Checked::from([(check, true)]));
    }
}

#[test]
fn a_handler_that_never_names_its_checks_holds_nobody_up() {
    let workers = Workers::start(1, 10).unwrap();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let stuck = workers.check(
        plugin(move || {
            let _ = may_go_on.lock().unwrap().recv();
            Ok(Vec::new())
        }),
        event("m"),
    );
    let other = workers.check(plugin(|| Ok(Vec::new())), event("m"));
    let deadline = Duration::from_millis(20);
    while stuck.wait(deadline).is_none() {
        let overdue = workers.overdue(deadline);
        assert!(overdue.is_empty() || overdue == [1], "{overdue:?}");
    }
    assert!(other.wait(PATIENCE).is_some());
    drop(go_on);
}
