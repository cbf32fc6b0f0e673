//! State versions: whether a build can work on the tables as they are, and bringing them to it.

use super::batch::{Batch, batch};
use super::overdue::too_late;
use super::{Core, Swap, seal, watched};
use crate::ledger::buffer::Buffer;
use crate::ledger::limits::MIGRATION_EFFECTS;
use crate::ledger::remembered::{self, Remembered, Undo};
use crate::ledger::services::EventServices;
use crate::ledger::undo;
use crate::ledger::verify::Checked;
use crate::store::StoreError;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::{Fault, Manifest};

/// The code of a swap whose migration takes more than one transaction.
pub const LARGE: &str = "large";

/// What a build has to do before it can work on tables of this state version.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    None,
    /// Bring them to its own.
    Migrate,
}

/// Why a plugin's tables are not as its build has them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin}: {}{}", fault.text, fault.fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default())]
pub struct StateError {
    /// The plugin.
    pub plugin: String,
    /// What is wrong, and what to do.
    pub fault: Fault,
}

fn step(manifest: &Manifest, known: &Remembered) -> Result<Step, Fault> {
    // Begun and not ended, so there are rows of both.
    let found = known.migrating.unwrap_or(known.state);
    if known.migrating == Some(manifest.state_version) {
        return Ok(Step::Migrate);
    }
    let Manifest { name, version, state_version: own, reads_state, .. } = manifest;
    if found == *own || reads_state.contains(&found) {
        return Ok(Step::None);
    }
    if found < *own {
        return Ok(Step::Migrate);
    }
    let known = match reads_state.as_slice() {
        [] => String::new(),
        others => format!(" and reads {others:?}"),
    };
    let text = format!("the tables of {name} have state version {found}, version {version} has {own}{known}");
    let fix = "take a build of that state version, or one whose manifest says that it reads it (reads_state)";
    Err(Fault::refused(text).code("state").fix(fix))
}

impl Batch<'_> {
    /// Sees to it that the candidate can work on the tables; their state version before, if another.
    pub(super) fn bring_to_state(&mut self, swap: &Swap) -> Result<Result<Option<u32>, Fault>, StoreError> {
        let manifest = swap.serving.manifest();
        let known = remembered::of(&mut Buffer::new(&mut *self.transaction), manifest)?;
        let found = known.state;
        let other = Some(found).filter(|found| *found != manifest.state_version);
        match step(manifest, &known) {
            Err(fault) => Ok(Err(fault)),
            Ok(Step::None) => Ok(Ok(other)),
            Ok(Step::Migrate) if !swap.migrate => {
                let Manifest { name, version, state_version, .. } = manifest;
                let text =
                    format!("the tables of {name} have state version {found}, version {version} has {state_version}");
                let fix = "repeat it with --migrate to have the tables brought to it; after that only a build can be \
                           rolled back to that reads them as they are then";
                Ok(Err(Fault::refused(text).code("state").fix(fix)))
            }
            Ok(Step::Migrate) => Ok(match self.migrate(manifest, found, false)? {
                Ok(false) => Ok(other),
                Ok(true) => Err(too_large(manifest, found)),
                Err(fault) => Err(fault),
            }),
        }
    }

    /// Has the plugin of this name, as this batch's table has it, bring its tables to its state version.
    /// Whether there is more to do, in another transaction.
    /// `parts`: it may take several, and can be taken back.
    pub(super) fn migrate(
        &mut self,
        manifest: &Manifest,
        from: u32,
        parts: bool,
    ) -> Result<Result<bool, Fault>, StoreError> {
        let seed = self.turn.seeds.draw();
        let checked = Checked::new();
        let buffer = Buffer::new(&mut *self.transaction);
        let (table, host) = (&*self.turn.table, &*self.turn.host);
        let mut services = EventServices::new(buffer, table, host, &checked, self.turn.now, seed);
        if parts {
            services.most = MIGRATION_EFFECTS;
        }
        let result = services.migrate(&manifest.name, from);
        let EventServices { mut buffer, released, broken, migrating, .. } = services;
        if let Some(error) = broken {
            return Err(error);
        }
        if let Err(fault) = result {
            let Manifest { version, state_version, .. } = manifest;
            let text = format!(
                "version {version} could not bring the tables from state version {from} to {state_version}: {}",
                fault.text
            );
            let fix = fault.fix.unwrap_or_else(|| "mend the plugin (Handler::migrate) and build it again".to_owned());
            return Ok(Err(Fault::failed(text).code("migrate").fix(fix)));
        }
        let mut known = remembered::of(&mut buffer, manifest)?;
        if parts {
            let undo = known.undo.unwrap_or(Undo { rows: 0, state: from });
            match undo::keep(&mut buffer, &manifest.name, undo.rows)? {
                Ok(rows) if released.is_empty() => known.undo = Some(Undo { rows, ..undo }),
                other => return Ok(Err(not_alone(manifest, other.err()))),
            }
        }
        let (own, again) = (manifest.state_version, migrating == Some(true));
        let known = match again {
            true => Remembered { migrating: Some(own), ..known },
            false => Remembered { migrating: None, state: own, ..known },
        };
        remembered::put(&mut buffer, &manifest.name, &known);
        buffer.keep()?;
        self.turn.released.append(released);
        self.turn.changed = true;
        Ok(Ok(again))
    }
}

impl Core {
    /// Brings all tables to the state versions of the builds that are to serve, before any of them does:
    /// each plugin in a transaction of its own, or in several where it asks for them.
    ///
    /// # Errors
    /// The store's; the first plugin whose tables cannot be brought to it.
    pub fn migrate(&mut self, now: Timestamp) -> Result<Result<(), StateError>, StoreError> {
        self.latest = self.latest.max(now);
        let (table, deadline) = (self.table.load_full(), self.deadline());
        let mut seats = table.seats().into_iter().peekable();
        while let Some(seat) = seats.peek() {
            let manifest = seat.serving.manifest();
            let turn = self.turn(std::sync::Arc::clone(&table));
            let mut transaction = self.store.begin()?;
            let known = remembered::of(&mut Buffer::new(&mut transaction), manifest)?;
            if undo::is_wanted(&known, manifest) {
                drop((transaction, turn));
                while self.take_back(&manifest.name)? {}
                continue;
            }
            if known.undo.is_some() {
                // The newer build goes on by itself, and then the older one does not get them back.
                drop((transaction, turn));
                self.give_up_undo(&manifest.name, known)?;
                continue;
            }
            let (found, job) = (known.state, manifest.clone());
            match step(manifest, &known) {
                Ok(Step::Migrate) => {}
                Ok(Step::None) => {
                    seats.next();
                    continue;
                }
                Err(fault) => return Ok(Err(StateError { plugin: manifest.name.clone(), fault })),
            }
            let ran = watched(&mut self.watch, transaction, move |transaction| {
                batch(transaction, turn, |mut batch| {
                    let migrated = batch.migrate(&job, found, false)?;
                    Ok::<_, StoreError>(migrated.map(|again| (batch.turn, again)))
                })
            });
            let late = |_| too_late(&manifest.version, "bringing its tables to its state version", deadline);
            let ran = match ran.map_err(late) {
                Ok((ran, transaction)) => ran?.map(|(turn, again)| (turn, again, transaction)),
                Err(fault) => Err(fault),
            };
            let (turn, again, transaction) = match ran {
                Ok(ran) => ran,
                Err(fault) => return Ok(Err(StateError { plugin: manifest.name.clone(), fault })),
            };
            let sealed = seal(transaction, turn, self.latest)?;
            // What it sent waits in the outbox, which is read at start.
            self.sealed(sealed);
            if !again {
                log::info!("plugin {}: state version {found} brought to {}", manifest.name, manifest.state_version);
            }
        }
        Ok(Ok(()))
    }
}

/// What can be taken back are a plugin's own rows.
fn not_alone(manifest: &Manifest, table: Option<String>) -> Fault {
    let Manifest { version, .. } = manifest;
    let what = table.map_or_else(|| "effects besides".to_owned(), |table| format!("rows of {table}"));
    let text = format!("version {version} brings its tables over in parts, and that has {what}");
    let fix = "write rows of its own tables only in Handler::migrate, all else in Handler::life, and build it again";
    Fault::failed(text).code("migrate").fix(fix)
}

/// What one transaction does not hold is done in several, with the plugin held meanwhile.
fn too_large(manifest: &Manifest, found: u32) -> Fault {
    let Manifest { name, version, state_version, .. } = manifest;
    let text = format!(
        "the tables of {name} are too large for version {version} to bring them from state version {found} to \
         {state_version} between two events"
    );
    Fault::refused(text).code(LARGE)
}
