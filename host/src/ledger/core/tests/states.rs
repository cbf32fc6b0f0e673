//! State versions, on a core of its own.

use crate::ledger::core::{Core, Parts};
use crate::ledger::robot::{NOW, TestHost, agent};
use crate::ledger::table::PluginTable;
use crate::plugin::StaticPlugin;
use crate::site::relations::RelationRegistry;
use crate::store::{MemoryDisk, MemoryStore, StoreError};
use arc_swap::ArcSwap;
use std::sync::Arc;
use tallyho_plugin::prelude::*;

/// A plugin of this state version that reads that one too, and fails to migrate from the third.
struct Of<const OWN: u32, const READS: u32, const FAILS: u32>;

impl<const OWN: u32, const READS: u32, const FAILS: u32> Handler for Of<OWN, READS, FAILS> {
    fn manifest() -> Manifest {
        let manifest = Manifest::new("p", OWN.to_string()).state_version(OWN).tables(&["rows"]);
        if READS > 0 { manifest.reads_state(&[READS]) } else { manifest }
    }
    fn create() -> Result<Self, Fault> {
        Ok(Of)
    }
    fn migrate(&self, from: u32, context: &mut Context<'_>) -> Result<(), Fault> {
        context.put("rows", from.to_be_bytes(), &OWN)?;
        if from == FAILS { Err(Fault::failed("too old").fix("get a newer one")) } else { Ok(()) }
    }
}

/// A plugin of state version 2 that brings over one row a time, and fails at the row that is told.
struct Slow<const FAILS: u32>;

impl<const FAILS: u32> Handler for Slow<FAILS> {
    fn manifest() -> Manifest {
        Manifest::new("p", "2").state_version(2).tables(&["rows"])
    }
    fn create() -> Result<Self, Fault> {
        Ok(Slow)
    }
    fn migrate(&self, _: u32, context: &mut Context<'_>) -> Result<(), Fault> {
        let done = context.scan::<u32>("rows", &Scan { limit: 10, ..Scan::default() })?.len() as u32;
        if done == FAILS {
            return Err(Fault::failed("stuck"));
        }
        context.put("rows", done.to_be_bytes(), &done)?;
        if done < 4 { context.migrate_again() } else { Ok(()) }
    }
}

#[test]
fn large_tables_are_brought_over_in_parts_and_a_start_that_is_cut_short_goes_on() {
    let disk = MemoryDisk::default();
    run::<Of<1, 0, 0>>(&disk).unwrap();
    assert!(run::<Slow<3>>(&disk).unwrap_err().contains("from state version 1 to 2: stuck"));
    // There are rows of both, so the older build does not get them back.
    let why = run::<Of<1, 0, 0>>(&disk).unwrap_err();
    assert!(why.contains("have state version 2, version 1 has 1"), "{why}");
    assert_eq!(run::<Slow<9>>(&disk), Ok(5));
    assert_eq!(run::<Slow<5>>(&disk), Ok(5), "and it is done once");
}

/// Starts a site with this build of the plugin; how often it was migrated, or why it does not start.
fn run<H: Handler>(disk: &MemoryDisk) -> Result<usize, String> {
    let plugin = Arc::new(StaticPlugin::<H>::create().unwrap());
    let table = PluginTable::default().with(plugin).unwrap();
    let parts = Parts {
        store: Box::new(MemoryStore::open(disk)),
        table: Arc::new(ArcSwap::from_pointee(table)),
        host: Arc::new(TestHost(agent('a'))),
        relations: Arc::new(RelationRegistry::new()),
        seeds: Box::new(|| [9; 32]),
    };
    let mut core = Core::open(parts).unwrap();
    core.migrate(NOW).unwrap().map_err(|error| error.to_string())?;
    core.start(NOW).unwrap();
    let all = tallyho_plugin::services::Range { limit: 10, ..Default::default() };
    let rows: Result<_, StoreError> = core.read(|rows| rows.scan("p.rows", &all));
    Ok(rows.unwrap().len())
}

#[test]
fn tables_that_are_new_or_as_the_build_has_them_are_left_alone() {
    let disk = MemoryDisk::default();
    assert_eq!(run::<Of<3, 0, 0>>(&disk), Ok(0));
    assert_eq!(run::<Of<3, 0, 0>>(&disk), Ok(0));
}

#[test]
fn tables_are_brought_to_a_newer_build_once() {
    let disk = MemoryDisk::default();
    run::<Of<1, 0, 0>>(&disk).unwrap();
    assert_eq!(run::<Of<3, 0, 0>>(&disk), Ok(1));
    assert_eq!(run::<Of<3, 0, 0>>(&disk), Ok(1));
}

#[test]
fn a_migration_that_fails_leaves_the_tables_to_the_older_build() {
    let disk = MemoryDisk::default();
    run::<Of<1, 0, 0>>(&disk).unwrap();
    let why = run::<Of<2, 0, 1>>(&disk).unwrap_err();
    assert_eq!(
        why,
        "plugin p: version 2 could not bring the tables from state version 1 to 2: too old; get a newer one"
    );
    assert_eq!(run::<Of<1, 0, 0>>(&disk), Ok(0));
}

#[test]
fn an_older_build_works_on_newer_tables_only_where_it_says_so_and_they_are_then_its_own() {
    let disk = MemoryDisk::default();
    run::<Of<2, 0, 0>>(&disk).unwrap();
    let why = run::<Of<1, 0, 0>>(&disk).unwrap_err();
    assert!(why.starts_with("plugin p: the tables of p have state version 2, version 1 has 1; take a build"), "{why}");
    let why = run::<Of<1, 3, 0>>(&disk).unwrap_err();
    assert!(why.contains("version 1 has 1 and reads [3]"), "{why}");
    assert_eq!(run::<Of<1, 2, 0>>(&disk), Ok(0));
    assert_eq!(run::<Of<2, 0, 0>>(&disk), Ok(1), "the newer build is asked to migrate again");
}
