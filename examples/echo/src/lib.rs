//! The smallest useful handler: whoever says something hears it back.
#![forbid(unsafe_code)]
use tallyho_plugin::prelude::*;

/// The handler.
pub struct Echo;
impl Handler for Echo {
    /// Claims messages with target `echo`, action `say`, and the command `tallyho call echo say '{…}'`.
    fn manifest() -> Manifest {
        let said = CommandSpec::new("say", "answers with its arguments");
        Manifest::new("echo", env!("CARGO_PKG_VERSION")).target(Target::new("echo", &["say"])).command(said)
    }
    fn create() -> Result<Self, Fault> {
        Ok(Echo)
    }
    /// The reply leaves when this returns `Ok`; on a fault nothing has happened.
    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        context.send(&message.reply("said", &message.object::<Value>()?)?)
    }
    fn command(&self, command: &Command, _: &mut Context<'_>) -> Result<Value, Fault> {
        command.arguments()
    }
}
export_plugin!(Echo);
