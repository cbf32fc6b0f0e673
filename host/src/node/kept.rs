//! Copies of builds that were swapped in, so that a restart finds them.

use crate::ledger::remembered::BuildFile;
use crate::plugin::{Loader, Plugin, Steps};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the name of a copy ends; it begins with the hash of its content.
const ENDING: &str = ".so";

/// The folder of copies, `plugins/swapped` of the home.
pub(super) struct Kept(pub PathBuf);

impl Kept {
    fn place(&self, build: &str) -> PathBuf {
        self.0.join(format!("{build}{ENDING}"))
    }

    /// Keeps what is mapped. Where that fails, a restart has the file itself to go by.
    pub fn keep(&self, plugin: &dyn Plugin) {
        let (Some(build), Some(copy)) = (plugin.build(), plugin.copy()) else { return };
        if let Err(error) = self.link(copy, &self.place(&build.to_string())) {
            let folder = self.0.display();
            log::warn!("the build {build} is not kept in {folder}, so its file must stay where it is: {error}");
        }
    }

    /// The private copy is never written to again, so another name for it is enough.
    fn link(&self, copy: &Path, place: &Path) -> io::Result<()> {
        if place.exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.0)?;
        match fs::hard_link(copy, place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Loads a build that was remembered: from its file, where that still has the same content, else from
    /// its copy.
    ///
    /// # Errors
    /// For people: why neither will do, and what to do.
    pub fn stage(&self, loader: &Loader, file: &BuildFile) -> Result<(Arc<dyn Plugin>, Steps), String> {
        let path = Path::new(&file.path);
        let copy = self.place(&file.build);
        let is_it = |plugin: &dyn Plugin| plugin.build().is_some_and(|build| build.to_string() == file.build);
        // The copy first: what its file holds now may be another build, and is then mapped for nothing.
        let mut why = format!("{} is gone", copy.display());
        for from in [copy.as_path(), path] {
            match loader.seat_as(from, path) {
                Ok((plugin, steps)) if is_it(&*plugin) => return Ok((plugin, steps)),
                Ok(_) => why = format!("{} has another content than the build {}", from.display(), file.build),
                Err(error) if from.exists() => why = error.to_string(),
                Err(_) => {}
            }
        }
        let BuildFile { path, build, version } = file;
        Err(format!(
            "version {version} (build {build}), which was swapped in from {path}, can be had neither there nor from \
             {}: {why}; put it back, or swap in another build",
            copy.display()
        ))
    }

    /// Deletes all copies but those of these builds.
    pub fn tidy(&self, wanted: &[String]) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let build = name.strip_suffix(ENDING);
            if build.is_some_and(|build| !wanted.iter().any(|wanted| wanted == build))
                && let Err(error) = fs::remove_file(entry.path())
            {
                log::warn!("{} cannot be removed: {error}", entry.path().display());
            }
        }
    }
}
