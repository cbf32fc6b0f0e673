//! Other sites' referees: asked for credentials, accepted by the administrator (PROTOCOL 10.5).

use crate::credentials::{self, Credentials};
use crate::limits;
use crate::policy::{Policy, Term};
use crate::store::KNOWN;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tallyho_plugin::record::limits::DEFAULT_PORT;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{Outgoing, Schedule};
use tallyho_plugin::{Command, Context, Delivery, Fate, Fault, Message, context::Scan};

/// The outbox name of a question for credentials.
pub const QUERY: &str = "query";

/// What is known of a referee.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Known {
    /// Its agent, and where it was last said to be.
    pub chad: Chad,
    /// Whether its credentials have come.
    pub state: Asked,
    /// Why it is unreachable.
    pub why: Option<String>,
    /// Its credentials as they came; their signature stands.
    pub credentials: Option<Value>,
    /// The term that they publish, and when they were signed.
    pub told: Option<Told>,
    /// Since when this site accepts it.
    pub accepted: Option<Timestamp>,
}

/// How far a question for credentials has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// The question is under way.
    Asked,
    /// They are here.
    Received,
    /// The question could not be handed over.
    Unreachable,
}

/// What credentials say that rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When they were signed.
    pub date: Timestamp,
    /// From when new lifts are ruled on.
    pub from: Timestamp,
    /// The last expiry of a lift that will be ruled on.
    pub to: Timestamp,
}

#[derive(Deserialize)]
struct Of {
    #[serde(default)]
    chad: Option<Value>,
}

#[derive(Deserialize)]
struct Which {
    #[serde(alias = "agent")]
    chad: Value,
}

#[derive(Deserialize)]
struct Suited {
    #[serde(default)]
    agent: Option<AgentId>,
    #[serde(default)]
    expires: Option<Timestamp>,
}

/// `credentials {chad?}`: our own; or asks the referee at this address for its credentials.
///
/// # Errors
/// `Usage` where it is no address; `Refused` where too many referees are known.
pub fn credentials(policy: &impl Policy, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let own = context.site()?.agent;
    let chad = match command.arguments::<Of>()?.chad {
        Some(given) => chad(&given)?,
        None => Chad::agent(own.clone()),
    };
    let mut known = known_or_new(&chad, context)?;
    if chad.agent == own {
        known.is_ours(policy, context)?;
        return Ok(view(&known));
    }
    known.merge(&chad);
    query(&mut known, context)?;
    put(context, &known)?;
    Ok(view(&known))
}

/// `credentials.state {agent}`: what became of the question.
///
/// # Errors
/// `NotFound` where nobody has asked.
pub fn state(policy: &impl Policy, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let chad = chad(&command.arguments::<Which>()?.chad)?;
    if chad.agent == context.site()?.agent {
        let mut known = known_or_new(&chad, context)?;
        known.is_ours(policy, context)?;
        return Ok(view(&known));
    }
    get(context, &chad.agent)?.as_ref().map(view).ok_or_else(|| {
        Fault::not_found(format!("nothing is known of a referee of agent {}", chad.agent))
            .code("no-such-referee")
            .fix("ask for its credentials with `referee credentials AGENT@HOST:PORT`")
    })
}

/// `accept {chad}`: lifts may name this referee from now on.
///
/// # Errors
/// `Usage` where it is no address; `Refused` where nothing says where it is, or its term is over.
pub fn accept(policy: &impl Policy, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let chad = chad(&command.arguments::<Which>()?.chad)?;
    let mut known = known_or_new(&chad, context)?;
    known.merge(&chad);
    if chad.agent == context.site()?.agent {
        known.is_ours(policy, context)?;
    }
    if known.chad.host.is_none() {
        let text = format!("nobody has said where agent {} is, and a lift has to name it", chad.agent);
        return Err(Fault::refused(text).code("no-address").fix("give it as AGENT@HOST:PORT"));
    }
    let now = context.now();
    if known.told.is_some_and(|told| told.to < now) {
        let text = format!("the term of the referee of agent {} is over", chad.agent);
        let fix = format!("ask whether there is a new one: `referee credentials {}`", known.chad);
        return Err(Fault::refused(text).code("term").fix(fix));
    }
    known.accepted = known.accepted.or(Some(now));
    if known.credentials.is_none() {
        query(&mut known, context)?;
    }
    put(context, &known)?;
    Ok(view(&known))
}

/// `refuse {chad}`: no new lift may name this referee any longer.
///
/// # Errors
/// `NotFound` where it is not accepted.
pub fn refuse(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let chad = chad(&command.arguments::<Which>()?.chad)?;
    let known = get(context, &chad.agent)?.filter(|known| known.accepted.is_some());
    let mut known = known.ok_or_else(|| {
        Fault::not_found(format!("this site does not accept the referee of agent {}", chad.agent))
            .code("no-such-referee")
            .fix("see `referee list`")
    })?;
    known.accepted = None;
    put(context, &known)?;
    Ok(view(&known))
}

/// `accepted {agent?, expires?}`, for a lift handler: accepted referees as `{agent, host, port}`, those of
/// them that rule on a lift with this expiry (PROTOCOL 10.5).
///
/// # Errors
/// The host's faults.
pub fn accepted(command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
    let Suited { agent, expires } = command.arguments()?;
    let now = context.now();
    let known = match &agent {
        Some(agent) => get(context, agent)?.into_iter().collect(),
        None => all(context)?,
    };
    // Where no credentials have come, nothing says that its service ends.
    let suits = |told: Told| told.from <= now && expires.is_none_or(|expires| expires <= told.to);
    let suited = known.iter().filter(|known| known.accepted.is_some() && known.told.is_none_or(suits));
    Ok(suited.map(|known| known.chad.to_value()).collect())
}

/// `referee/creds` of a referee that was asked or is accepted. Others' are ignored, as are older ones.
///
/// # Errors
/// The host's faults; a refusal naming what is wrong with the credentials.
pub fn received(message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
    let Some(mut known) = get(context, &message.from.agent)? else { return Ok(()) };
    let value: Value = message.object()?;
    let Credentials { chad, term: Term { from, to }, date } = Credentials::read(&value, &message.from.agent, context)?;
    if known.told.is_some_and(|told| told.date > date) {
        return Ok(());
    }
    known.hold(value, &chad, Told { date, from, to });
    put(context, &known)
}

/// What became of a question.
///
/// # Errors
/// The host's faults.
pub fn delivery(delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
    let (QUERY, Fate::Stalled { why, .. }) = (delivery.key.as_str(), &delivery.fate) else { return Ok(()) };
    let Some(mut known) = get(context, &delivery.to)?.filter(|known| known.state == Asked::Asked) else {
        return Ok(());
    };
    (known.state, known.why) = (Asked::Unreachable, Some(why.clone()));
    context.withdraw(&delivery.to, QUERY)?;
    put(context, &known)
}

/// The referee of this agent.
///
/// # Errors
/// The host's faults.
pub fn get(context: &mut Context<'_>, agent: &AgentId) -> Result<Option<Known>, Fault> {
    context.get(KNOWN, agent.as_str())
}

/// All that are known.
///
/// # Errors
/// The host's faults.
pub fn all(context: &mut Context<'_>) -> Result<Vec<Known>, Fault> {
    let scan = Scan { limit: limits::REFEREES as u32, ..Scan::default() };
    Ok(context.scan(KNOWN, &scan)?.into_iter().map(|(_, known)| known).collect())
}

/// What people are shown.
pub fn view(known: &Known) -> Value {
    json!({
        "agent": known.chad.agent, "host": known.chad.host, "port": known.chad.port, "state": known.state,
        "accepted": known.accepted.is_some(), "credentials": known.credentials, "why": known.why,
    })
}

/// An address as people and programs give it.
///
/// # Errors
/// `Usage` naming the part at fault.
pub fn chad(value: &Value) -> Result<Chad, Fault> {
    let read = match value {
        Value::String(text) => text.parse(),
        other => Chad::from_external(other),
    };
    // A referee is an agent: whose user's address was given does not matter.
    let chad = read.map(|chad| Chad { cuid: None, ..chad });
    chad.map_err(|error| Fault::usage(format!("chad: {error}")).fix("a referee is named as AGENT@HOST:PORT"))
}

impl Known {
    /// Takes over credentials that were read.
    fn hold(&mut self, credentials: Value, chad: &Chad, told: Told) {
        self.merge(chad);
        (self.state, self.why) = (Asked::Received, None);
        (self.credentials, self.told) = (Some(credentials), Some(told));
    }

    /// Takes over our own. Their term is not remembered here: it goes on as time does.
    fn is_ours(&mut self, policy: &impl Policy, context: &mut Context<'_>) -> Result<(), Fault> {
        let value = credentials::own(policy, context)?;
        let site = context.site()?;
        self.merge(&Chad::agent(site.agent).at(site.host, site.port));
        (self.state, self.why, self.credentials) = (Asked::Received, None, Some(value));
        Ok(())
    }

    /// Takes over where the agent is said to be.
    fn merge(&mut self, chad: &Chad) {
        if let Some(host) = &chad.host {
            self.chad = self.chad.clone().at(host.as_str(), chad.port.unwrap_or(DEFAULT_PORT));
        }
    }
}

fn query(known: &mut Known, context: &mut Context<'_>) -> Result<(), Fault> {
    // Whoever it is: a relation with its site is not needed (PROTOCOL 10.2).
    let query = Outgoing::new(known.chad.clone(), "", "referee", "query", &json!({}))?;
    let mut query = query.by_restricted_channel();
    query.key = QUERY.to_owned();
    query.schedule = Schedule::Until(context.now().plus(limits::ASK_FOR));
    context.send(&query)?;
    (known.state, known.why) = (Asked::Asked, None);
    Ok(())
}

fn known_or_new(chad: &Chad, context: &mut Context<'_>) -> Result<Known, Fault> {
    if let Some(known) = get(context, &chad.agent)? {
        return Ok(known);
    }
    let room = all(context)?.len() < limits::REFEREES;
    if !room && !make_room(context)? {
        let text = format!("this site accepts {} referees, and at most so many", limits::REFEREES);
        return Err(Fault::refused(text).code("too-many").fix("give one up with `referee refuse AGENT`"));
    }
    let (chad, state) = (Chad::agent(chad.agent.clone()), Asked::Unreachable);
    Ok(Known { chad, state, why: None, credentials: None, told: None, accepted: None })
}

/// Forgets one that is not accepted; whether there was one.
fn make_room(context: &mut Context<'_>) -> Result<bool, Fault> {
    let idle = all(context)?.into_iter().find(|known| known.accepted.is_none());
    let Some(idle) = idle else { return Ok(false) };
    context.delete(KNOWN, idle.chad.agent.as_str())?;
    Ok(true)
}

fn put(context: &mut Context<'_>, known: &Known) -> Result<(), Fault> {
    context.put(KNOWN, known.chad.agent.as_str(), known)
}
