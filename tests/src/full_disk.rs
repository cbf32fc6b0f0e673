//! The disk refuses writes under a running site. The refusal is the system's own: the process may write no file
//! any more (`RLIMIT_FSIZE` set to 0 from outside), until it may again.

use crate::site::Site;
use rustix::process::{Resource, Rlimit, prlimit};

/// Largest files the process may write from now on, in bytes; `None`: as before.
///
/// # Panics
/// When the system does not allow it.
pub fn limit(site: &Site, bytes: Option<u64>) {
    let limits = prlimit(Some(site.process()), Resource::Fsize, Rlimit { current: bytes, maximum: None });
    assert_eq!(limits.expect("a process of our own").maximum, None, "the test itself may write");
}
