//! From a plugin's name to its file.

use crate::plugin::error::{LoadError, Refusal};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

/// Where a system's package puts plugins.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/local/lib/tallyho", "/usr/lib/tallyho"];

/// The folders that plugins are looked for in, first ones first: the one named with `--plugins`, the
/// home's, the one of this program's own file (a fresh build is enough), the system's.
pub fn search_folders(named: Option<&Path>, home_plugins: &Path) -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let own = [named.map(Path::to_owned), Some(home_plugins.to_owned()), beside];
    own.into_iter().flatten().chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect()
}

/// The file name of a plugin's library: `libtallyho_NAME.so`, or as this platform has it.
pub fn file_name(plugin: &str) -> String {
    format!("{DLL_PREFIX}tallyho_{}{DLL_SUFFIX}", plugin.replace('-', "_"))
}

/// The library of a plugin: a path is taken as such (it has a separator or ends like a library), a
/// name is looked for in the folders.
///
/// # Errors
/// [`Refusal::NotFound`], with the folders looked in.
pub fn find_plugin(name_or_path: &str, folders: &[PathBuf]) -> Result<PathBuf, LoadError> {
    if name_or_path.contains(MAIN_SEPARATOR) || name_or_path.ends_with(DLL_SUFFIX) {
        return Ok(PathBuf::from(name_or_path));
    }
    let file = file_name(name_or_path);
    match folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => {
            let folders = folders.iter().map(|folder| folder.display().to_string()).collect();
            Err(LoadError::new(Path::new(name_or_path), Refusal::NotFound { file, folders }))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_folder_that_has_the_plugin_wins() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [first.path().to_owned(), second.path().to_owned()];
        let error = find_plugin("my-referee", &folders).unwrap_err().to_string();
        assert!(
            error.starts_with("my-referee: there is no plugin of this name: looked for libtallyho_my_referee.so in "),
            "{error}"
        );
        assert!(error.contains(second.path().to_str().unwrap()) && error.contains("--plugins DIR"), "{error}");
        std::fs::write(second.path().join(file_name("my-referee")), "").unwrap();
        assert_eq!(find_plugin("my-referee", &folders).unwrap().parent(), Some(second.path()));
        std::fs::write(first.path().join(file_name("my-referee")), "").unwrap();
        assert_eq!(find_plugin("my-referee", &folders).unwrap().parent(), Some(first.path()));
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        for path in ["./x", "/a/libx.so", "libx.so"] {
            assert_eq!(find_plugin(path, &[]).unwrap(), Path::new(path));
        }
    }

    #[test]
    fn the_folder_named_on_the_command_line_comes_first() {
        let folders = search_folders(Some(Path::new("/named")), Path::new("/home/plugins"));
        assert_eq!(folders[..2], [PathBuf::from("/named"), PathBuf::from("/home/plugins")]);
        assert_eq!(search_folders(None, Path::new("/home/plugins"))[0], Path::new("/home/plugins"));
    }
}
