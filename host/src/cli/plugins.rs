//! Plugin commands that need more than the site knows.

use serde_json::Value;

use super::declared::Chosen;
use crate::control::host::HOST;

/// The site has a working folder of its own: a file that a person names is named from here. And a swap without a
/// shadow run leaves nothing to wait for.
pub fn prepare(chosen: &mut Chosen<'_>) {
    if chosen.plugin != HOST || !["plugin.swap", "plugin.snapshot"].contains(&chosen.spec.name.as_str()) {
        return;
    }
    if chosen.argument.get("shadow").is_none() {
        chosen.wait = None;
    }
    if let Some(Value::String(file)) = chosen.argument.get_mut("file")
        && let Ok(path) = std::path::absolute(&*file)
        && let Some(path) = path.to_str()
    {
        *file = path.to_owned();
    }
}
