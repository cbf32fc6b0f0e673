//! Places where a test may have the process killed, to see what a restart makes of it.
//!
//! In a build with debug assertions, `TALLYHO_CRASH=PLACE:N` kills the process, as `kill -9` would,
//! the N-th time it comes to PLACE. A release build has none of this.
//!
//! The places: `starting` (several steps), `file-unnamed` (a new file is whole, but without its name),
//! `user-key` and `user-added` (on either side of a new user's account), `before-commit`, `after-commit`,
//! `swap-staged`, `swap-started` and `swap-durable` (of a plugin's swap), `after-release` (what a commit lets out is handed on), `before-opening`, `opening-written` and `answered`
//! (of a call), `restore-without-store` (all of one is put
//! back but the store), `before-answer` (a ticket is consumed), `channel-opening`, `frame-written` (not reported
//! yet), `frame-received` (not handed in yet).

#[cfg(debug_assertions)]
static WHEN: std::sync::LazyLock<Option<(String, std::sync::atomic::AtomicU64)>> = std::sync::LazyLock::new(|| {
    let wanted = std::env::var("TALLYHO_CRASH").ok()?;
    let (place, count) = wanted.split_once(':')?;
    Some((place.to_owned(), std::sync::atomic::AtomicU64::new(count.parse().ok()?)))
});

/// Dies here, if a test has asked for it.
pub fn crash_point(place: &str) {
    #[cfg(debug_assertions)]
    if let Some((wanted, left)) = &*WHEN {
        use std::sync::atomic::Ordering;
        if wanted == place && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = place;
}
