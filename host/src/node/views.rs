//! The site at a glance: what the commands that only look answer.

use super::{Node, plugin_views};
use crate::control::Operator;
use crate::ledger::buffer::Buffer;
use crate::ledger::{outbox, quarantine};
use crate::net::channel::Role;
use crate::site::{addresses, users};
use crate::store::{StoreError, Transaction};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use tallyho_plugin::Fault;
use tallyho_plugin::record::AgentId;
use tallyho_plugin::services::Range;

/// Reads the store between two batches.
pub(super) fn read<T: Send + 'static>(
    node: &Node,
    read: impl FnOnce(&mut dyn Transaction) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Fault> {
    let asked = node.ledger.ask(move |core| core.read(read));
    asked
        .map_err(|closed| Fault::host(closed.to_string()))?
        .map_err(|error| Fault::host(error.to_string()).code("store"))
}

/// How long the site has run.
pub(super) fn uptime(node: &Node) -> String {
    format!("{} s", node.since.elapsed().as_secs())
}

/// `status`.
pub(super) fn status(node: &Node) -> Result<Value, Fault> {
    let waiting = read(node, |rows| outbox::lines(rows).map_err(|error| StoreError::Engine(error.to_string())))?;
    let outbox: u64 = waiting.iter().map(|(_, rows)| rows).sum();
    let bans = node.net.bans().list(node.net.now()).len();
    let aside: u64 = read(node, |rows| quarantine::count(&mut Buffer::new(rows)))?.values().sum();
    let mut tallies = BTreeMap::new();
    if node.ledger.table().named("tally").is_some() {
        let list = node.call("tally", "list", &json!({}))?;
        for tally in list.as_array().into_iter().flatten() {
            *tallies.entry(tally["state"].as_str().unwrap_or("?").to_owned()).or_insert(0) += 1;
        }
    }
    Ok(json!({
        "agent": node.own.agent,
        "listen": node.listen,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": node.since.elapsed().as_secs(),
        "connections": node.net.channels().count(),
        "plugins": plugin_views::plugins(node),
        "tallies": tallies,
        "outbox": outbox,
        "bans": bans,
        "quarantine": aside,
        "home": node.home.root(),
    }))
}

/// `user list`.
pub(super) fn users(node: &Node) -> Result<Value, Fault> {
    let users = read(node, |rows| users::list(&mut Buffer::new(rows)))?;
    Ok(users.iter().map(shown).collect())
}

/// A user as people see it.
pub(super) fn shown(user: &users::User) -> Value {
    json!({
        "cuid": user.cuid,
        "name": user.name,
        "custody": user.custody,
        "public": user.public,
        "created": user.created.to_string(),
    })
}

/// `peer list`.
pub(super) fn peers(node: &Node) -> Result<Value, Fault> {
    let known = read(node, |rows| addresses::list(&mut Buffer::new(rows)))?;
    let mut agents: BTreeMap<AgentId, Value> = BTreeMap::new();
    for (agent, known) in known {
        let endpoint = known.endpoint();
        let shown = json!({
            "agent": agent,
            "host": endpoint.map(|endpoint| &endpoint.host),
            "port": endpoint.map(|endpoint| endpoint.port),
        });
        agents.insert(agent, shown);
    }
    for agent in node.net.relations().agents(node.net.now()) {
        agents.entry(agent.clone()).or_insert_with(|| json!({ "agent": agent, "host": null, "port": null }));
    }
    for (agent, shown) in &mut agents {
        let channels = node.net.channels().with(agent);
        let sum = |count: fn(&crate::net::channel::Channel) -> u64| {
            channels.iter().map(|channel| count(channel)).sum::<u64>()
        };
        shown["state"] = match channels.first() {
            Some(channel) if channel.role == Role::Initiator => json!("open, dialled"),
            Some(_) => json!("open"),
            None => json!("away"),
        };
        shown["since"] = json!(channels.iter().map(|channel| channel.since).min().map(|since| since.to_string()));
        shown["in"] = json!(sum(|channel| channel.frames.0.load(Ordering::Relaxed)));
        shown["out"] = json!(sum(|channel| channel.frames.1.load(Ordering::Relaxed)));
        shown["queued"] = json!(node.net.queued(agent));
        shown["compat"] = json!(node.net.addresses().is_reference(agent).then_some("mychips-js"));
    }
    Ok(agents.into_values().collect())
}

/// `ban list`.
pub(super) fn bans(node: &Node) -> Value {
    let bans = node.net.bans().list(node.net.now());
    bans.iter().map(|ban| json!({ "address": ban.address, "until": ban.until.to_string() })).collect()
}

/// The last notices, oldest first.
pub(super) fn notices(node: &Node, recent: usize) -> Result<Vec<Value>, Fault> {
    let rows = read(node, |rows| {
        let range = Range { from: Vec::new(), to: None, reverse: false, limit: 10_000 };
        rows.scan("host.notices", &range)
    })?;
    let mut notices: Vec<Value> = rows.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect();
    notices.retain(Value::is_object);
    notices.sort_by(|one, other| one["at"].as_str().cmp(&other["at"].as_str()));
    let skipped = notices.len().saturating_sub(recent);
    Ok(notices.split_off(skipped))
}
