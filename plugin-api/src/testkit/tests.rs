#![allow(clippy::unwrap_used)]

use super::*;
use crate::prelude::*;
use crate::record::{AgentId, Timestamp};
use crate::services::{Relation, TicketOrder};
use crate::{Event, FaultKind};

/// Does one service each by command, and what it is told by message.
struct Probe;

impl Handler for Probe {
    fn manifest() -> Manifest {
        let commands = ["put", "put-then-panic", "foreign", "send", "ticket", "relate", "tick", "name"];
        let manifest = Manifest::new("probe", "0.1.0")
            .target(
                Target::new("probe", &["hello", "about", "ticket"]).relation_in_object("uuid").unrelated(&["hello"]),
            )
            .tables(&["own"]);
        let manifest = commands.iter().fold(manifest, |all, name| all.command(CommandSpec::new(*name, "does it")));
        manifest
            .command(CommandSpec::new("get", "reads").invocable())
            .command(CommandSpec::new("put-then-fail", "fails").invocable())
    }

    fn create() -> Result<Self, Fault> {
        Ok(Probe)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        if let Some(ticket) = &message.ticket
            && ticket.subject == "closed"
        {
            return Err(Fault::refused("closed"));
        }
        context.put("own", "last", &message.action)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let arguments: Value = command.arguments()?;
        match command.name.as_str() {
            "put" => context.put("own", "a", &arguments)?,
            "get" => return Ok(context.get("own", "a")?.unwrap_or(Value::Null)),
            "put-then-fail" => {
                context.put("own", "a", &arguments)?;
                return Err(Fault::refused("no"));
            }
            "put-then-panic" => {
                context.put("own", "a", &arguments)?;
                panic!("on purpose");
            }
            "foreign" => context.put("other.own", "a", &arguments)?,
            "send" => {
                let to = serde_json::from_value(arguments["to"].clone()).unwrap();
                let mut message = Outgoing::new(to, "alice", "probe", "about", &json!({ "uuid": "u" }))?;
                (message.key, message.report) = ("one".to_owned(), true);
                context.send(&message)?;
            }
            "ticket" => {
                let reuse = arguments["reuse"] == true;
                let subject = arguments["subject"].as_str().unwrap_or("open").to_owned();
                let expires = Some(context.now().plus(1000));
                let order = TicketOrder { user: "alice".into(), subject, reuse, expires, limit: None };
                return Ok(json!(context.issue_ticket(&order)?.token));
            }
            "relate" => {
                let agent = AgentId(arguments["agent"].as_str().unwrap().to_owned());
                let (user, subject, partner) = ("alice".to_owned(), "u".to_owned(), "bob".to_owned());
                context.relate(&Relation { user, subject, partner, agent, host: None, port: None, until: None })?;
            }
            "name" => return Ok(context.dated_uuid().into()),
            "tick" => context.set_timer("tick", context.now().plus(5))?,
            other => return Err(Fault::usage(other)),
        }
        Ok(Value::Null)
    }

    fn timer(&self, _: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        context.put("own", "ticked", &context.now().0)
    }

    fn delivery(&self, delivery: &Delivery, context: &mut Context<'_>) -> Result<(), Fault> {
        context.put("own", "fate", &delivery.fate)
    }
}

/// Calls the probe, or itself.
struct Caller;

impl Handler for Caller {
    fn manifest() -> Manifest {
        Manifest::new("caller", "0.1.0")
            .tables(&["mine"])
            .reads(&["probe.own", "never.loaded"])
            .command(CommandSpec::new("call", "calls").invocable())
            .command(CommandSpec::new("swallow", "calls what fails, and goes on"))
            .command(CommandSpec::new("read", "reads a granted table"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Caller)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let plugin: String = command.arguments()?;
        match command.name.as_str() {
            "read" if plugin == "never" => {
                let rows: Vec<(Vec<u8>, Value)> =
                    context.scan("never.loaded", &Scan { limit: 9, ..Scan::default() })?;
                Ok(json!((context.get::<Value>("never.loaded", "a")?, rows)))
            }
            "read" => Ok(context.get("probe.own", "a")?.unwrap_or(Value::Null)),
            "call" => context.invoke(&plugin, if plugin == "caller" { "call" } else { "get" }, &plugin),
            _ => {
                context.put("mine", "a", &1)?;
                let _ = context.invoke::<Value>(&plugin, "put-then-fail", &1);
                Ok(Value::Null)
            }
        }
    }
}

fn site() -> Site {
    Site::new(3).with::<Probe>().with::<Caller>().user("alice")
}

fn stranger() -> Chad {
    Site::new(99).user("bob").chad("bob")
}

#[test]
fn effects_apply_only_when_the_handler_succeeds() {
    let mut site = site();
    assert!(site.command("put-then-fail", json!(1)).is_err());
    assert_eq!(site.command("get", json!(0)).unwrap(), Value::Null);
    site.command("put", json!(2)).unwrap();
    assert_eq!(site.command("get", json!(0)).unwrap(), json!(2));
}

#[test]
fn dated_uuids_stand_in_the_order_in_which_they_were_made() {
    let mut site = site();
    let names: Vec<String> = (0..50)
        .map(|_| {
            site.advance(1);
            site.command("name", json!(0)).unwrap().as_str().unwrap().to_owned()
        })
        .collect();
    assert!(names.is_sorted() && names.iter().all(|name| crate::record::is_uuid(name)), "{names:?}");
}

#[test]
fn a_panic_is_the_plugins_failure_and_leaves_nothing() {
    let mut site = site();
    let fault = site.command("put-then-panic", json!(1)).unwrap_err();
    assert_eq!((fault.kind, fault.text.contains("on purpose")), (FaultKind::Failed, true));
    assert_eq!(site.command("get", json!(0)).unwrap(), Value::Null);
}

#[test]
fn a_plugin_writes_its_own_tables_only_and_reads_what_is_granted() {
    let mut site = site();
    assert_eq!(site.command("foreign", json!(1)).unwrap_err().kind, FaultKind::Refused);
    site.command("put", json!(7)).unwrap();
    assert_eq!(site.command("read", json!("")).unwrap(), json!(7));
}

#[test]
fn a_call_reaches_invocable_commands_and_never_recurses() {
    let mut site = site();
    site.command("put", json!(7)).unwrap();
    assert_eq!(site.command("call", json!("probe")).unwrap(), json!(7));
    assert!(site.command("call", json!("caller")).unwrap_err().text.contains("while it is running"));
    assert!(site.command("call", json!("nobody")).is_err());
}

#[test]
fn an_invoked_handlers_failure_is_the_events_failure() {
    let mut site = site();
    assert_eq!(site.command("swallow", json!("probe")).unwrap_err().text, "no");
    assert!(site.rows("caller.mine").is_empty());
}

#[test]
fn a_handler_may_make_do_without_a_plugin_that_is_not_there() {
    let mut site = site();
    let fault = site.command("call", json!("nobody")).unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::NotFound, crate::services::NOT_SERVED));
    site.command("swallow", json!("nobody")).unwrap();
    assert_eq!(site.rows("caller.mine").len(), 1);
    assert_eq!(site.command("read", json!("never")).unwrap(), json!([null, []]));
}

#[test]
fn a_message_needs_a_relation_between_exactly_those_parties() {
    let (mut site, bob) = (site(), stranger());
    let alice = site.chad("alice");
    let about = Envelope::new(&bob, &alice, "probe/about", &json!({ "uuid": "u" }));
    assert_eq!(site.deliver(&about).unwrap_err().code, DROPPED);
    site.command("relate", json!({ "agent": bob.agent })).unwrap();
    site.deliver(&about).unwrap();
    let other = Chad { cuid: Some("eve".to_owned()), ..bob.clone() };
    assert_eq!(site.deliver(&Envelope { from: other.clone(), ..about.clone() }).unwrap_err().code, DROPPED);
    let elsewhere = Envelope::new(&bob, &alice, "probe/about", &json!({ "uuid": "v" }));
    assert_eq!(site.deliver(&elsewhere).unwrap_err().code, DROPPED);
    site.deliver(&Envelope::new(&other, &alice, "probe/hello", &json!({}))).unwrap();
    assert_eq!(site.deliver(&Envelope::new(&bob, &alice, "probe/other", &json!({}))).unwrap_err().code, DROPPED);
}

fn presented(site: &Site, token: &Value, cuid: &str) -> Envelope {
    let from = Chad { cuid: Some(cuid.to_owned()), ..stranger() };
    let mut envelope = Envelope::new(&from, &site.chad("alice"), "probe/ticket", &json!({}));
    envelope.ticket = Some(json!({ "token": token, "cert": { "chad": from } }));
    envelope
}

#[test]
fn a_one_time_ticket_is_used_when_the_handler_agrees_and_may_be_repeated_by_the_same_party() {
    let mut site = site();
    let token = site.command("ticket", json!({})).unwrap();
    site.deliver(&presented(&site, &token, "bob")).unwrap();
    assert!(site.ticket(token.as_str().unwrap()).unwrap().used.is_some());
    site.deliver(&presented(&site, &token, "bob")).unwrap();
    assert_eq!(site.deliver(&presented(&site, &token, "eve")).unwrap_err().code, DROPPED);
    site.advance(1000);
    assert_eq!(site.deliver(&presented(&site, &token, "bob")).unwrap_err().code, DROPPED);
}

#[test]
fn a_ticket_the_handler_refuses_stays_unused_and_a_decal_always_does() {
    let mut site = site();
    let closed = site.command("ticket", json!({ "subject": "closed" })).unwrap();
    assert_eq!(site.deliver(&presented(&site, &closed, "bob")).unwrap_err().text, "closed");
    assert!(site.ticket(closed.as_str().unwrap()).unwrap().used.is_none());
    let decal = site.command("ticket", json!({ "reuse": true })).unwrap();
    for cuid in ["bob", "eve"] {
        site.deliver(&presented(&site, &decal, cuid)).unwrap();
    }
    assert!(site.ticket(decal.as_str().unwrap()).unwrap().used.is_none());
}

#[test]
fn sending_under_the_same_name_replaces_what_has_not_left() {
    let mut site = site();
    let to = json!({ "to": stranger() });
    site.command("send", to.clone()).unwrap();
    site.command("send", to).unwrap();
    assert_eq!(site.sent().len(), 1);
    let sent = site.sent()[0].clone();
    site.report(&sent, Fate::HandedOver).unwrap();
    assert!(site.sent().is_empty());
    assert_eq!(site.rows("probe.own")[b"fate".as_slice()], json!({ "fate": "handed-over" }));
}

#[test]
fn timers_fire_when_due_and_once() {
    let mut site = site();
    site.command("tick", json!(null)).unwrap();
    site.advance(4);
    assert_eq!(site.fire_timers(), 0);
    site.advance(1);
    assert_eq!((site.fire_timers(), site.fire_timers()), (1, 0));
    let due = site.now();
    assert_eq!(site.rows("probe.own")[b"ticked".as_slice()], json!(due.0));
    site.set(Timestamp(0));
    assert_eq!(site.now(), due);
}

/// Keeps state in memory, as no handler may.
struct Forgetful(std::sync::atomic::AtomicU64);

impl Handler for Forgetful {
    fn manifest() -> Manifest {
        Manifest::new("forgetful", "0.1.0").command(CommandSpec::new("next", "counts"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Forgetful(Default::default()))
    }

    fn command(&self, _: &Command, _: &mut Context<'_>) -> Result<Value, Fault> {
        Ok(json!(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
    }
}

#[test]
#[should_panic(expected = "forgetful is not deterministic")]
fn a_handler_that_answers_differently_the_second_time_is_found_out() {
    let mut site = Site::new(1).with::<Forgetful>();
    let event = Event::Command(Command { name: "next".to_owned(), caller: None, body: vec![0xf6] });
    let _ = site.run("forgetful", &event);
}

/// Answers whoever asks, strangers too, and gives way.
struct Porter;

impl Handler for Porter {
    fn manifest() -> Manifest {
        let door = Target::new("door", &["knock", "enter"]).restricted(&["knock"]).yielding();
        Manifest::new("porter", "0.1.0").target(door)
    }

    fn create() -> Result<Self, Fault> {
        Ok(Porter)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        context.send(&message.reply("seen", &json!({ "restricted": message.restricted }))?)
    }
}

/// Claims the same target, and does not give way.
struct Master;

impl Handler for Master {
    fn manifest() -> Manifest {
        Manifest::new("master", "0.1.0").target(Target::new("door", &["knock"]).restricted(&["knock"]))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Master)
    }

    fn message(&self, _: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        context.notice("alice", &json!("knock"))
    }
}

#[test]
fn a_stranger_reaches_what_is_served_to_strangers_and_is_answered_on_its_own_channel_alone() {
    let mut site = Site::new(3).with::<Porter>();
    let knock = |verb| Envelope::new(&stranger(), &Site::new(3).address(), verb, &json!({}));
    site.deliver(&knock("door/knock")).unwrap();
    let [answer] = site.sent() else { panic!("one answer") };
    assert_eq!(answer.object(), json!({ "restricted": true }));
    assert_eq!(answer.message.schedule, crate::services::Schedule::Answer);
    assert_eq!(site.deliver(&knock("door/enter")).unwrap_err().code, DROPPED);
}

/// Asks a stranger at a door, and tells what is seen there.
struct Visitor;

impl Handler for Visitor {
    fn manifest() -> Manifest {
        let door = Target::new("door", &["seen", "enter"]).answers(&["seen"]);
        Manifest::new("visitor", "0.1.0").target(door).command(CommandSpec::new("call", "asks"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Visitor)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        context.notice("alice", &json!({ "asked": message.asked, "seen": message.object::<Value>()? }))
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        let knock = Outgoing::new(command.arguments()?, "", "door", "knock", &json!({}))?;
        context.send(&knock.by_restricted_channel()).map(|()| Value::Null)
    }
}

#[test]
fn a_stranger_asked_by_a_restricted_channel_answers_there_and_is_proven() {
    let (caller, porter) = (Site::new(1).with::<Visitor>(), Site::new(2).with::<Porter>());
    let mut net = Net::new(1, vec![caller, porter]);
    let to = net.b().address();
    net.a().command("call", to.to_value()).unwrap();
    net.settle();
    let seen = vec![("alice".to_owned(), json!({ "asked": true, "seen": { "restricted": true } }))];
    assert_eq!((net.a().take_notices(), net.take_refusals()), (seen, Vec::new()));
    // Nobody else may say so, and no address is nowhere to be asked.
    let mut forged = Envelope::new(&stranger(), &net.a().address(), "door/seen", &json!({}));
    forged.restricted = true;
    assert_eq!(net.a().deliver(&forged).unwrap_err().code, DROPPED);
    let nowhere = Chad::agent(to.agent).to_value();
    assert_eq!(net.a().command("call", nowhere).unwrap_err().code, "no-address");
}

#[test]
fn a_claim_that_yields_gives_way_in_whatever_order_plugins_are_loaded() {
    for mut site in [Site::new(3).with::<Porter>().with::<Master>(), Site::new(3).with::<Master>().with::<Porter>()] {
        let knock = Envelope::new(&stranger(), &site.address(), "door/knock", &json!({}));
        site.deliver(&knock).unwrap();
        assert_eq!((site.sent().len(), site.take_notices().len()), (0, 1));
    }
}

#[test]
#[should_panic(expected = "target door is claimed by porter already")]
fn two_claims_that_both_yield_clash() {
    /// The same under another name.
    struct Second;
    impl Handler for Second {
        fn manifest() -> Manifest {
            Manifest { name: "second".to_owned(), ..Porter::manifest() }
        }
        fn create() -> Result<Self, Fault> {
            Ok(Second)
        }
    }
    let _ = Site::new(3).with::<Porter>().with::<Second>();
}
