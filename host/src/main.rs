//! The Tallyho site node.

fn main() {
    tallyho::plugin::run_probe_if_asked();
}
