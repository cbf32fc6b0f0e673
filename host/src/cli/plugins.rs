//! Plugin commands that need more than the site knows.

use serde_json::Value;

use super::declared::Chosen;
use crate::control::host::HOST;

/// The site has a working folder of its own: a file that a person names is named from here.
pub fn name_file_from_here(chosen: &mut Chosen<'_>) {
    if chosen.plugin == HOST
        && chosen.spec.name == "plugin.swap"
        && let Some(Value::String(file)) = chosen.argument.get_mut("file")
        && let Ok(path) = std::path::absolute(&*file)
        && let Some(path) = path.to_str()
    {
        *file = path.to_owned();
    }
}
