//! The site that a command is for: one that runs, or one opened in this process for the command.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallyho_plugin::{Fault, Manifest};

use super::Backend;
use super::declared::{Chosen, Declared};
use super::wait::{Live, Waited, wait};
use crate::control::{Client, ControlError, Operator, host};

/// How the site of a home can be reached.
pub enum Site {
    /// It runs; this is its control socket's other end.
    Running(Client),
    /// It does not run; it is open in this process, without network.
    Here(Arc<dyn Operator>),
    /// Neither, and why.
    Absent(Fault),
}

/// A site, and what can be called there.
pub struct Reached {
    /// The site.
    pub site: Site,
    /// Its commands; where it is absent, those it would have as far as they can be known.
    pub declared: Declared,
}

/// Reaches the site of a home. With `look` nothing is opened where none runs: for help, completions
/// and commands that make no sense then.
pub fn reach(home: &Result<PathBuf, Fault>, look: bool, backend: &dyn Backend) -> Reached {
    let (site, manifests) = match home {
        Ok(home) => reach_home(home, look, backend),
        Err(fault) => (Site::Absent(fault.clone()), vec![host::manifest()]),
    };
    let declared = Declared::new(&manifests);
    for left_out in declared.left_out() {
        log::warn!("a command can be reached by `call` only: {left_out}");
    }
    Reached { site, declared }
}

fn reach_home(home: &Path, look: bool, backend: &dyn Backend) -> (Site, Vec<Manifest>) {
    let absent = |fault: Fault| (Site::Absent(fault), backend.manifests(home));
    match Client::connect(&backend.socket(home)) {
        Ok(client) => match client.ask_manifests() {
            Ok(manifests) => (Site::Running(client), manifests),
            Err(fault) => absent(fault),
        },
        Err(ControlError::NotRunning { .. }) if !look => match backend.open(home) {
            Ok(operator) => {
                let manifests = operator.manifests();
                (Site::Here(operator), manifests)
            }
            Err(fault) => absent(fault),
        },
        Err(error) => absent(error.into()),
    }
}

impl Site {
    /// Whoever answers calls.
    ///
    /// # Errors
    /// Why there is nobody.
    pub fn operator(&self) -> Result<&dyn Operator, Fault> {
        match self {
            Site::Running(client) => Ok(client),
            Site::Here(operator) => Ok(operator.as_ref()),
            Site::Absent(fault) => Err(fault.clone()),
        }
    }

    /// Carries a declared command out, and waits where that was asked for or belongs to it.
    ///
    /// # Errors
    /// Why it was not carried out. A wait in vain is no error here; see [`Waited`].
    pub fn perform(&self, chosen: &Chosen<'_>) -> Result<Waited, Fault> {
        let call = |operator: &dyn Operator| operator.call(chosen.plugin, &chosen.spec.name, &chosen.argument);
        let (Some(rule), Some(waiting)) = (&chosen.spec.wait, &chosen.wait) else {
            return call(self.operator()?).map(|answer| Waited { answer, failure: None });
        };
        match self {
            Site::Absent(fault) => Err(fault.clone()),
            // Nothing would come in or leave: rather no effect than one whose outcome is never seen.
            Site::Here(_) => Err(Fault::refused(format!(
                "`{}` waits for another site, and no site runs here to hear from it",
                chosen.spec.words.join(" ")
            ))
            .code("not-running")
            .fix("start the site with `tallyho run`, then try again")),
            Site::Running(client) => {
                // Before the call, so that no notice of its effects is missed.
                let mut pace = Live::new(client.notices(0)?);
                let answer = call(client)?;
                let mut report = |command: &str, argument: &Value| client.call(chosen.plugin, command, argument);
                Ok(wait(chosen.spec, rule, waiting, &answer, &mut pace, &mut report))
            }
        }
    }
}
