//! The control socket: how people and programs on this machine reach a running site.

use serde_json::Value;
use std::sync::mpsc::Receiver;
use tallyho_plugin::{Fault, Manifest};

/// What a site offers its operator, whether it runs behind a socket or in this very process.
pub trait Operator: Send + Sync {
    /// What can be called: the host itself (as plugin `host`) and every plugin that serves, with
    /// their commands' words, arguments and help.
    fn manifests(&self) -> Vec<Manifest>;

    /// Calls a command; returns when its effects are durable. Blocks the thread.
    ///
    /// # Errors
    /// The command's fault.
    fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault>;

    /// Notices from now on, one JSON object each, and before them the last `recent` ones. A reader
    /// that falls [`limits`](self) behind loses the oldest and sees `{"lost": n}` instead.
    fn watch(&self, recent: usize) -> Receiver<Value>;
}
