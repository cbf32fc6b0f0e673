//! Commits numbered batches to the store named by its argument and prints each number once its commit has
//! returned, for tests that kill this process or take the disk away from under it.
//!
//! Batch `n` is `ROWS` rows in each of two tables and the row `last` = n; it goes on after the
//! batches already there, for ever. When a commit fails it prints the fault, waits for a line on its input,
//! lifts its own file size limit and tries the batch again.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use tallyho::store::{SqliteStore, Store, StoreError};
use tallyho_tests::batches::put_batch;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: store-writer STORE")?;
    let mut store = SqliteStore::open(path.as_ref())?;
    let mut batch = tallyho_tests::batches::last(&mut store)?.map_or(0, |last| last + 1);
    let mut out = std::io::stdout().lock();
    loop {
        match commit(&mut store, batch) {
            Ok(()) => {
                writeln!(out, "{batch}")?;
                batch += 1;
            }
            Err(StoreError::Unwritable { .. }) => {
                writeln!(out, "unwritable")?;
                std::io::stdin().read_line(&mut String::new())?;
                let maximum = getrlimit(Resource::Fsize).maximum;
                setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum })?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn commit(store: &mut dyn Store, batch: u32) -> Result<(), StoreError> {
    let mut transaction = store.begin()?;
    put_batch(&mut *transaction, batch)?;
    transaction.commit()
}
