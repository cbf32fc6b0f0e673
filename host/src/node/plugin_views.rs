//! How plugins fare: `plugin list`, and its part of `status`.

use super::Node;
use crate::ledger::table::{Seat, Serving};
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// `plugin list`.
pub(super) fn plugins(node: &Node) -> Value {
    node.note_promotions();
    let table = node.ledger.table();
    table.seats().into_iter().map(|seat| shown(node, seat)).collect()
}

fn shown(node: &Node, seat: &Seat) -> Value {
    let serving = &seat.serving;
    let manifest = serving.manifest();
    let process = serving.plugin.process();
    let within = |share| serving.times.within(share).map(|time| time.as_nanos() as f64 / 1e3);
    let (mapped, own) = (node.plugins.loader.mapped_for(&manifest.name), own_bytes(node, seat));
    let well = serves(node);
    let mut shown = json!({
        "name": manifest.name,
        "version": manifest.version,
        "generation": serving.generation(),
        "state": seat.hold().as_ref().map_or(well, |hold| hold.word()),
        "isolation": if process.is_some() { "process" } else { "none" },
        "pid": process.as_ref().and_then(|process| process.id),
        "restarts": process.as_ref().map(|process| process.restarts),
        "build": serving.plugin.build().map(|build| build.to_string()),
        "state_version": manifest.state_version,
        "calls": serving.calls.load(Ordering::Relaxed),
        "faults": serving.faults.load(Ordering::Relaxed),
        "p50_us": within(0.5),
        "p99_us": within(0.99),
        "in_flight": serving.in_flight(),
        "metrics": serving.metrics(),
        "tables": manifest.tables,
        "path": serving.plugin.path(),
        "changed_on_disk": serving.plugin.has_changed_on_disk(),
        "previous": seat.previous.as_ref().map(|previous| previous.generation()),
        "generations": generations(node, serving),
        "memory": {
            "builds": mapped.builds,
            "bytes": mapped.bytes,
            "retired_bytes": mapped.bytes.saturating_sub(own),
        },
    });
    if let Some(probation) = seat.probation.as_ref().filter(|probation| probation.left() > 0) {
        shown["probation"] = json!({ "events_left": probation.left() });
    }
    if let Some(failed) = &seat.failed {
        shown["rolled_back"] = json!({ "generation": failed.from, "version": failed.version, "why": failed.why });
    }
    if let Some(line) = node.shadow_line(&manifest.name) {
        shown["shadow"] = json!(line);
        shown["shadow_run"] = node.shadow_report(&manifest.name).unwrap_or_default();
    }
    if let Some(last) = process.and_then(|process| process.last) {
        shown["ended"] = json!(last);
    }
    if let Some(hold) = seat.hold() {
        shown["why"] = json!(hold.why());
    }
    if let Some(note) = node.plugins.notes.get(&manifest.name) {
        shown["note"] = json!(note);
    }
    shown
}

/// How a plugin stands that nothing keeps from serving: where no site runs, it is loaded for the command that asks alone.
pub(super) fn serves(node: &Node) -> &'static str {
    if node.listen.is_some() { "serving" } else { "ready" }
}

/// What the builds that can still serve take of memory.
fn own_bytes(node: &Node, seat: &Seat) -> u64 {
    let builds = [Some(&seat.serving), seat.previous.as_ref()].into_iter().flatten();
    let mut builds: Vec<_> = builds.filter_map(|serving| serving.plugin.build()).collect();
    builds.dedup();
    builds.into_iter().map(|build| node.plugins.loader.bytes_of(build)).sum()
}

/// All generations known of a plugin, the one that serves last.
fn generations(node: &Node, serving: &Serving) -> Value {
    let name = &serving.manifest().name;
    let gone = node.plugins.gone.lock().unwrap_or_else(PoisonError::into_inner);
    let others = gone.iter().filter(|gone| &gone.name == name && gone.generation != serving.generation());
    let mut all: Vec<Value> = others
        .map(|gone| {
            let (state, calls) = gone.state();
            json!({ "generation": gone.generation, "version": gone.version, "state": state, "in_flight": calls })
        })
        .collect();
    all.push(json!({
        "generation": serving.generation(),
        "version": serving.manifest().version,
        "state": serves(node),
        "in_flight": serving.in_flight(),
    }));
    Value::Array(all)
}
