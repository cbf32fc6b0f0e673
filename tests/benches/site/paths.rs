//! Paths on a large site: how long `path.find` takes, and what keeping up with tallies costs. A real ledger and
//! store, all handlers, balances as chits have left them.

use crate::figures::{Effort, Wanted, line, median};
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tallyho::ledger::core::{Core, Parts};
use tallyho::ledger::input::{Input, Outcome};
use tallyho::ledger::limits::BATCH;
use tallyho::ledger::table::PluginTable;
use tallyho::ledger::verify::Checked;
use tallyho::node::host::SiteHost;
use tallyho::plugin::StaticPlugin;
use tallyho::site::endpoint::Endpoint;
use tallyho::site::keys::KeyRing;
use tallyho::store::{SqliteStore, Store};
use tallyho_chit::half::Half;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::signing::AgentKey;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_tests::sim::Dice;

/// Users of one village: eight of ten tallies stay inside it.
const VILLAGE: usize = 50;

/// How users find each other.
#[derive(Clone, Copy)]
enum Shape {
    /// Anybody deals with anybody.
    Random,
    /// Mostly with neighbours.
    Villages,
}

pub fn measure(effort: Effort) {
    let (users, tallies, questions) = effort.choose((200, 1_000, 20), (10_000, 50_000, 500));
    for (shape, name) in [(Shape::Random, "random"), (Shape::Villages, "villages")] {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut store = SqliteStore::open(&folder.path().join("site.db")).expect("a new store opens");
        let agent = keys().agent_id().clone();
        let halves = fill(&mut store, &agent, shape, users, tallies);
        let mut core = core(store);
        let each = keep_up(&mut core, &halves);
        let against = format!("{} halves, one by one told", halves.len());
        line(
            effort,
            &format!("upkeep of a tally, {name}"),
            &format!("{each:.0} µs"),
            &against,
            each,
            Wanted::AtMost(50.0),
        );

        let mut dice = Dice::new(7);
        for (question, units) in [("units", Some(1_000)), ("lading", None)] {
            let (mut times, mut found) = (Vec::new(), 0);
            for _ in 0..questions {
                let (from, to) = (dice.below(users), dice.below(users));
                let mut argument = json!({ "from": { "user": user(from) }, "to": { "user": user(to) }, "limit": 4 });
                argument["units"] = units.into();
                let begun = Instant::now();
                let answer = call(&mut core, "path.find", &argument);
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                found += usize::from(answer["paths"].as_array().is_some_and(|paths| !paths.is_empty()));
            }
            times.sort_by(f64::total_cmp);
            let worst = times[times.len() * 99 / 100];
            let middle = median(times);
            let against = format!("{found} of {questions} found, 99 % in {worst:.1} ms");
            let name = format!("path.find, {question}, {name}");
            line(effort, &name, &format!("{middle:.2} ms"), &against, middle, Wanted::AtMost(5.0));
        }
    }
}

fn keys() -> KeyRing {
    KeyRing::new(AgentKey::from_seed(&[9; 32]).expect("any seed makes a key"))
}

fn user(number: usize) -> String {
    format!("user{number:05}")
}

/// Writes the rows of so many tallies as the tally and chit handlers keep them; all halves.
fn fill(store: &mut SqliteStore, agent: &AgentId, shape: Shape, users: usize, tallies: usize) -> Vec<(String, String)> {
    let mut dice = Dice::new(11);
    let mut halves = Vec::new();
    let mut transaction = store.begin().expect("begins");
    for number in 0..tallies {
        let one = dice.below(users);
        let near = matches!(shape, Shape::Villages) && dice.percent(80);
        let other = match near {
            true => one - one % VILLAGE + dice.below(VILLAGE),
            false => dice.below(users),
        };
        if one == other {
            continue;
        }
        // One in twenty-five leaves the site.
        let outside = dice.percent(4);
        let partner = match outside {
            true => json!({ "cuid": format!("p{number}"), "agent": AgentId::from_bytes(&[3; 32]) }),
            false => json!({ "cuid": user(other), "agent": agent }),
        };
        let own = json!({ "cuid": user(one), "agent": agent });
        let uuid = format!("{:08x}-0000-4000-8000-{number:012x}", dice.number() >> 32);
        let padding = "x".repeat(1_200);
        let core = json!({
            "stock": { "cert": { "chad": own, "public": padding } },
            "foil": { "cert": { "chad": partner, "public": padding } },
        });
        let owed = dice.below(40_000) as i64 - 20_000;
        let settings = dice.percent(50).then(|| {
            let clutch = if dice.percent(10) { 0.001 } else { 0.0 };
            let side = json!({ "target": 2_000, "bound": 20_000, "reward": 0.0, "clutch": clutch, "limit": 100_000 });
            json!({ "stock": side, "foil": side })
        });
        for (side, holder, other, sign) in [("stock", &own, &partner, 1), ("foil", &partner, &own, -1)] {
            if holder["agent"] != own["agent"] {
                continue;
            }
            let mut put = |table: &str, key: String, row: &Value| {
                transaction.put(table, key.as_bytes(), &to_cbor(row).expect("JSON can be CBOR")).expect("puts");
            };
            let holder = holder["cuid"].as_str().expect("a name");
            let key = format!("{uuid}\0{holder}");
            let half = json!({ "status": "open", "closing": false, "side": side, "core": core, "hash": "h" });
            put("tally.tallies", key.clone(), &half);
            let (agent, cuid) = (other["agent"].as_str().expect("an agent"), other["cuid"].as_str().expect("a name"));
            put("tally.partners", format!("{holder}\0{agent}\0{cuid}\0{uuid}"), &Value::Null);
            let account =
                Half { net: sign * owed, end: 9, ..Half::new("C7PzDdgTv_72rcOCArMh6h2YmTCiN6gaCssDb4cjhHg", Some(9)) };
            put("chit.halves", key.clone(), &serde_json::to_value(account).expect("a row is JSON"));
            if let Some(settings) = &settings {
                put("chit.settings", key, settings);
            }
            halves.push((holder.to_owned(), uuid.clone()));
        }
    }
    transaction.commit().expect("commits");
    halves
}

fn core(store: SqliteStore) -> Core {
    let endpoint = Endpoint { host: "site.example".to_owned(), port: 65430 };
    let host = Arc::new(SiteHost { keys: Arc::new(keys()), endpoint, relations: Arc::default() });
    let route = StaticPlugin::<tallyho_route::Route>::create().expect("the handler can be made");
    let table = PluginTable::default().with(Arc::new(route)).expect("the table is empty");
    let mut core = Core::open(Parts {
        store: Box::new(store),
        table: Arc::new(ArcSwap::from_pointee(table)),
        host,
        relations: Arc::default(),
        seeds: Box::new(|| [1; 32]),
    })
    .expect("the store opens");
    core.start(NOW).expect("it starts");
    core
}

/// When everything happens: timers do not come due by themselves here.
const NOW: Timestamp = Timestamp(1_636_113_600_000);

fn input(name: &str, argument: &Value) -> (Input, Checked) {
    let argument = to_cbor(argument).expect("JSON can be CBOR");
    (Input::Command { plugin: "route".to_owned(), name: name.to_owned(), argument }, Checked::new())
}

fn call(core: &mut Core, name: &str, argument: &Value) -> Value {
    let done = core.apply(&[input(name, argument)], NOW).expect("the store works");
    match done.outcomes.into_iter().next() {
        Some(Outcome::Done(answer)) => ciborium::from_reader(answer.as_slice()).expect("an answer is CBOR"),
        other => panic!("{name} {argument}: {other:?}"),
    }
}

/// Tells the handler of each half; microseconds each.
fn keep_up(core: &mut Core, halves: &[(String, String)]) -> f64 {
    let told = |(user, tally): &(String, String)| input("tally.told", &json!({ "user": user, "tally": tally }));
    let begun = Instant::now();
    for batch in halves.chunks(BATCH) {
        let inputs: Vec<_> = batch.iter().map(told).collect();
        let done = core.apply(&inputs, NOW).expect("the store works");
        assert!(done.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(_))), "each is looked up");
    }
    begun.elapsed().as_secs_f64() * 1e6 / halves.len() as f64
}
