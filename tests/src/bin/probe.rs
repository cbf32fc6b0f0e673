//! What a loader in a test starts as its probe: a test's own program cannot be one.

fn main() {
    tallyho::plugin::run_probe_if_asked();
    tallyho::plugin::run_process_if_asked();
}
