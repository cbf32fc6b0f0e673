//! What the whole-site tests share.
