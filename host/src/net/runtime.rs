//! The threads that the network's tasks run on.

use async_global_executor::{GlobalExecutorConfig, init_with_config};
use std::num::NonZero;
use std::thread;

/// Starts them, unless async-std has done so by itself. The variable `ASYNC_STD_THREAD_COUNT` says how many, as it does
/// for any program on async-std; without it half the processors have one each. The others are for the ledger and the
/// checks of signatures; and where there is one thread for all tasks, a message wakes no second one on its way.
pub fn start() {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2);
    let config = GlobalExecutorConfig::default().with_env_var("ASYNC_STD_THREAD_COUNT").with_min_threads(threads);
    init_with_config(config.with_thread_name_fn(|| "net".to_owned()));
}
