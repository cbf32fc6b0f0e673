//! Another build of a handler takes over in a site in memory.

use super::plugin::{Plugin, Work};
use super::{Site, limits};
use crate::event::Life;
use crate::{Event, Fault, Handler};

impl Site {
    /// Has another build of a loaded handler, of the same name, serve from now on, as
    /// `tallyho plugin swap --migrate` does: its tables are brought to its state version where they are of an
    /// older one, and it is told that it has started.
    ///
    /// # Errors
    /// Why a host would refuse it; the build before then serves on, and nothing has changed. Code `state`
    /// where the tables are of a later state version that it does not read (`Manifest::reads_state`).
    pub fn swap<H: Handler>(&mut self) -> Result<(), Fault> {
        let next = Plugin::of::<H>()?;
        let name = next.name().to_owned();
        let index = self.plugins.iter().position(|plugin| plugin.name() == name);
        let index = index.ok_or_else(|| Fault::not_found(format!("no handler {name} is loaded")))?;
        let before = (self.state.clone(), std::mem::replace(&mut self.plugins[index], next));
        let taken_up = self.bring(index).and_then(|()| self.run(&name, &Event::Life(Life::Started)).map(drop));
        if taken_up.is_err() {
            (self.state, self.plugins[index]) = before;
        }
        taken_up
    }

    /// Brings a handler's tables to its state version.
    fn bring(&mut self, index: usize) -> Result<(), Fault> {
        let manifest = self.plugins[index].manifest.clone();
        let (name, to) = (manifest.name.clone(), manifest.state_version);
        let from = self.state.versions.insert(name.clone(), to).unwrap_or(to);
        if from > to && !manifest.reads_state.contains(&from) {
            let text = format!("tables of {name} have state version {from}, this build has {to}");
            return Err(Fault::refused(text).code("state").fix(format!("name it: Manifest::reads_state(&[{from}])")));
        }
        for _ in 0..limits::SETTLE_EVENTS {
            if from >= to || !self.work(&name, &Work::Migrate(from))?.1 {
                return Ok(());
            }
        }
        Err(Fault::failed(format!("{name}: Handler::migrate wants to be called again for ever")))
    }
}
