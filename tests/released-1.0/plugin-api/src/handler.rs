//! The one trait that a plugin implements.

use crate::services::Check;
use crate::{Command, Context, Delivery, Event, Fault, Life, Manifest, Message, Timer};
use serde_json::Value;

/// A handler plugin: a state machine over its [`Context`].
///
/// One value serves all events of a site, one at a time except for [`Handler::prepare`], which runs
/// beside the others. Keep state in tables, not in `self`: the store, not the process memory, is
/// authoritative, and a failed event's effects are dropped.
pub trait Handler: Send + Sync + Sized + 'static {
    /// What the plugin is called, which messages and commands it takes, which tables it owns.
    fn manifest() -> Manifest;

    /// Makes the handler. Called once per load, before any event.
    ///
    /// # Errors
    /// The reason why it cannot serve here; the load is refused with it.
    fn create() -> Result<Self, Fault>;

    /// Names the signature checks that handling `event` will ask for, so that the host can make them
    /// on other processors beforehand. Pure: no context. Checks not named here are made on the spot.
    fn prepare(&self, event: &Event) -> Vec<Check> {
        let _ = event;
        Vec::new()
    }

    /// A message for one of the manifest's targets. A message that does not fit the state has no
    /// effect and is no error (PROTOCOL 0): return `Ok(())`.
    ///
    /// # Errors
    /// A fault; the message then has no effect whatever.
    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        let _ = context;
        Err(Fault::refused(format!("{}/{} is not handled here", message.target, message.action)))
    }

    /// A command of the manifest. The value returned is the answer.
    ///
    /// # Errors
    /// A fault, shown to whoever called; the command then has no effect whatever.
    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let _ = context;
        Err(Fault::usage(format!("no command {}", command.name)))
    }

    /// A timer came due.
    ///
    /// # Errors
    /// A fault; the timer then stays and comes due again.
    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        let _ = (timer, context);
        Ok(())
    }

    /// Something became of a message that asked for reports.
    ///
    /// # Errors
    /// A fault; the report then had no effect.
    fn delivery(&self, delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        let _ = (delivery, context);
        Ok(())
    }

    /// A turn in the plugin's own life.
    ///
    /// # Errors
    /// A fault; the plugin then does not begin to serve.
    fn life(&self, life: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        let _ = (life, context);
        Ok(())
    }

    /// Brings the plugin's tables from an older state version to the manifest's, inside the
    /// transaction that makes this build serve. Called only where they differ. Rows may be of the newer
    /// version already where an older build was rolled back to that reads both (`Manifest::reads_state`).
    ///
    /// # Errors
    /// A fault; the older build then goes on serving.
    fn migrate(&self, from: u32, context: &mut Context<'_>) -> Result<(), Fault> {
        let _ = context;
        Err(Fault::failed(format!("tables of state version {from} cannot be read by this build")))
    }
}

/// Takes an event to the method that handles it. The answer is `Null` for all but commands.
///
/// # Errors
/// The method's fault.
pub fn dispatch<H: Handler>(handler: &H, event: &Event, context: &mut Context<'_>) -> Result<Value, Fault> {
    match event {
        Event::Message(message) => handler.message(message, context).map(|()| Value::Null),
        Event::Command(command) => handler.command(command, context),
        Event::Timer(timer) => handler.timer(timer, context).map(|()| Value::Null),
        Event::Delivery(delivery) => handler.delivery(delivery, context).map(|()| Value::Null),
        Event::Life(life) => handler.life(life, context).map(|()| Value::Null),
    }
}
