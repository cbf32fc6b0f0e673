//! The handler: what the host brings it, taken to where it is dealt with.

use crate::policy::Policy;
use crate::request::{Request, Subject};
use crate::{credentials, known, manifest, office, rules, store, sweep, view};
use serde::Deserialize;
use tallyho_plugin::prelude::*;
use tallyho_plugin::services::{Check, Schedule};

/// A referee with this policy; all it knows is in its tables.
#[derive(Debug, Default)]
pub struct Referee<P> {
    policy: P,
}

#[derive(Deserialize)]
struct Handed {
    action: String,
    object: Value,
}

impl<P: Policy> Handler for Referee<P> {
    fn manifest() -> Manifest {
        manifest::manifest::<P>()
    }

    fn create() -> Result<Self, Fault> {
        Ok(Referee { policy: P::default() })
    }

    fn prepare(&self, event: &Event) -> Vec<Check> {
        let Event::Message(message) = event else { return Vec::new() };
        let (Ok(object), "lift", "commit") = (message.object(), message.target.as_str(), message.action.as_str())
        else {
            return Vec::new();
        };
        match Request::read("commit", &object).subject {
            Subject::Lift { core, signed, .. } => core.commit_check(&signed).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        match (message.target.as_str(), message.action.as_str()) {
            ("lift", "commit" | "check") => {
                let request = Request::read(&message.action, &message.object()?);
                let answer = rules::answer(&self.policy, &request, context)?;
                let name = request.hash().unwrap_or_default();
                answer.map_or(Ok(()), |status| send(message, "status", name, &status, context))
            }
            ("referee", "query") => {
                if !office::is_open::<P>(&store::book(context)?) {
                    return Err(Fault::refused("this site is a referee for nobody else"));
                }
                let own = credentials::own(&self.policy, context)?;
                send(message, "creds", "", &own, context)
            }
            ("referee", "creds") => known::received(message, context),
            _ => Ok(()),
        }
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        match command.name.as_str() {
            "credentials" => known::credentials(&self.policy, command, context),
            "credentials.state" => known::state(&self.policy, command, context),
            "serve" => office::serve::<P>(command, context),
            "accept" => known::accept(&self.policy, command, context),
            "refuse" => known::refuse(command, context),
            "list" => view::list::<P>(command, context),
            "accepted" => known::accepted(command, context),
            "rule" => self.rule(command, context),
            other => Err(Fault::usage(format!("referee has no command {other}"))),
        }
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        if timer.key == sweep::TIMER { sweep::sweep(context) } else { Ok(()) }
    }

    fn delivery(&self, delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        known::delivery(delivery, context)
    }

    fn life(&self, life: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        match life {
            Life::Started => sweep::start(context),
            _ => Ok(()),
        }
    }
}

impl<P: Policy> Referee<P> {
    /// `rule {action, object}` → `{answer?}`: what to send back as `lift/status`. Other members are
    /// ignored: who asks makes no difference.
    fn rule(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let Handed { action, object } = command.arguments()?;
        if !matches!(action.as_str(), "commit" | "check") {
            return Err(Fault::usage(format!("action: {action:?}, expected commit or check")));
        }
        let answer = rules::answer(&self.policy, &Request::read(&action, &object), context)?;
        Ok(answer.map_or_else(|| json!({}), |status| json!({ "answer": status })))
    }
}

/// Answers a message. Each request stands by itself, and whoever needs the answer asks again (PROTOCOL
/// 10.4, 11.2): so it is tried once, and an answer that still waits gives way to a later one.
fn send(message: &Message, action: &str, name: &str, object: &Value, context: &mut Context<'_>) -> Result<(), Fault> {
    let mut reply = message.reply(action, object)?;
    reply.key = format!("{action}:{name}");
    if reply.schedule != Schedule::Answer {
        reply.schedule = Schedule::Once;
    }
    context.send(&reply)
}
