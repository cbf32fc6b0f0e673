//! The test vectors (PROTOCOL appendix C).

use serde_json::Value;
use std::sync::OnceLock;

/// `tests/vectors/records.json`.
pub(crate) fn vectors() -> &'static Value {
    static VECTORS: OnceLock<Value> = OnceLock::new();
    VECTORS.get_or_init(|| {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/records.json"));
        serde_json::from_str(text).expect("records.json is JSON")
    })
}

/// A text of the vectors.
pub(crate) fn text(name: &str) -> &'static str {
    vectors()[name].as_str().expect("a text of records.json")
}
