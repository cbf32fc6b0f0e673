//! A plugin of the day of ABI 1.0 that calls everything a host then had, and takes every event it then gave.

use tallyho_plugin::context::user_check;
use tallyho_plugin::prelude::*;
use tallyho_plugin::services::{Check, LogLevel, Relation, TicketOrder};

struct Released;

impl Handler for Released {
    fn manifest() -> Manifest {
        let who = Argument::option("user", ArgumentKind::Text, "for whom").example("alice").required();
        Manifest::new("released", "1.0.0")
            .about("as it was built for ABI 1.0")
            .state_version(2)
            .reads_state(&[3])
            .target(Target::new("released", &["say"]).relation_in_object("about").unrelated(&["say"]).prepared(&["say"]))
            .tables(&["rows"])
            .reads(&["tally.tallies"])
            .command(CommandSpec::new("all", "does everything").argument(who).invocable())
            .command(CommandSpec::new("heard", "what it was told").words(&["released", "heard"]))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Released)
    }

    fn prepare(&self, event: &Event) -> Vec<Check> {
        match event {
            Event::Message(_) => user_check(&json!({ "kty": "OKP" }), b"text", "signature").into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        let object: Value = message.object()?;
        context.put("rows", "heard/message", &object)?;
        context.send(&message.reply("said", &object)?)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        if command.name == "heard" {
            let rows = context.scan::<Value>("rows", &Scan::beginning("heard/", 100))?;
            return Ok(rows.into_iter().map(|(key, _)| json!(String::from_utf8_lossy(&key))).collect());
        }
        let Value::Object(argument) = command.arguments()? else { return Err(Fault::usage("an object is needed")) };
        let user = argument.get("user").and_then(Value::as_str).ok_or_else(|| Fault::usage("user is missing"))?;
        let local = context.user(user)?;
        let site = context.site()?;
        context.put("rows", "key", &7)?;
        let kept: Option<u64> = context.get("rows", "key")?;
        context.delete("rows", "key")?;
        let gone: Option<u64> = context.get("rows", "key")?;
        let others: Vec<(Vec<u8>, Value)> = context.scan("tally.tallies", &Scan { limit: 1, ..Scan::default() })?;
        let to = Chad { cuid: Some(user.to_owned()), agent: site.agent.clone(), host: None, port: None };
        let mut note = Outgoing::new(to, user, "released", "say", &json!({ "about": "itself" }))?;
        note.key = "note".to_owned();
        context.send(&note)?;
        note.key = "withdrawn".to_owned();
        context.send(&note)?;
        let withdrawn = context.withdraw(&site.agent, "withdrawn")?;
        context.notice(user, &json!({ "about": "released" }))?;
        let at = context.now();
        context.set_timer("soon", at)?;
        context.set_timer("never", at)?;
        context.cancel_timer("never")?;
        let agent = context.sign_agent(b"text")?;
        let by_agent = context.verify_agent(&site.agent, b"text", &agent);
        let signed = context.sign_user(user, b"text")?;
        let by_user = context.verify_user(&local.cert["public"], b"text", &signed);
        let random = context.random::<16>() != [0; 16];
        context.log(LogLevel::Debug, "everything is done");
        context.metric("calls", 1);
        let (subject, agent) = ("a tally".to_owned(), site.agent.clone());
        let (user, partner) = (user.to_owned(), "bob".to_owned());
        let relation = Relation { user: user.clone(), subject, partner, agent, host: None, port: None, until: None };
        context.relate(&relation)?;
        context.unrelate(&user, "a tally", &site.agent)?;
        let expires = Some(at.plus(60_000));
        let order = TicketOrder { user, subject: "ticket".to_owned(), reuse: false, expires, limit: None };
        let ticket = context.issue_ticket(&order)?;
        context.revoke_ticket(&ticket.token)?;
        let nobody = context.invoke::<Value>("nobody", "nothing", &json!({}));
        Ok(json!({
            "kept": kept, "gone": gone, "others": others.len(), "withdrawn": withdrawn, "agent": by_agent,
            "user": by_user, "random": random, "nobody": nobody.unwrap_err().code,
        }))
    }

    fn timer(&self, timer: &Timer, context: &mut Context<'_>) -> Result<(), Fault> {
        if timer.key != "soon" {
            return Ok(());
        }
        context.put("rows", "heard/timer", &timer.due)
    }

    fn delivery(&self, _: &Delivery, _: &mut Context<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn life(&self, _: &Life, context: &mut Context<'_>) -> Result<(), Fault> {
        context.put("rows", "heard/started", &true)
    }

    fn migrate(&self, from: u32, context: &mut Context<'_>) -> Result<(), Fault> {
        context.put("rows", "heard/migrated", &from)
    }
}

tallyho_plugin::export_plugin!(Released);
