//! Loading handlers and keeping the host safe from them.
