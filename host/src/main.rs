//! The `tallyho` program: the library's command line over a site.

use std::process::ExitCode;
use tallyho::node::backend::RealBackend;

fn main() -> ExitCode {
    // A probe of a plugin is this same program, asked to risk its life.
    tallyho::plugin::run_probe_if_asked();
    tallyho::plugin::run_process_if_asked();
    tallyho::kit::run_trial_if_asked();
    tallyho::cli::main(&RealBackend)
}
