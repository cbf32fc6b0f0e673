//! Five people, each owing the one before, and what lifts do between them: one pays over three others, debts that
//! go round are cleared, a site is cut off and comes back, a lift expires. After each, both sites of every tally
//! must say the same of it, and nobody in between may have more or less than before.

use serde_json::Value;
use tallyho_plugin::Fault;

use super::debts::{self, PEOPLE, TALLIES, table};
use super::steps::{Step, same, text};
use super::world::World;

/// These steps, in order.
pub const STEPS: &[Step] = &[
    Step { name: "five", run: five },
    Step { name: "credit", run: credit },
    Step { name: "lift", run: lift },
    Step { name: "ring", run: ring },
    Step { name: "clear", run: clear },
    Step { name: "cut-off", run: cut_off },
    Step { name: "expire", run: expire },
];

/// The site of a referee, with which nobody has a tally.
const REFEREE: &str = "referee";

/// Milli-CHIPs. What carol, dave and erin buy, of bob, carol and dave.
const CREDIT: [i64; 3] = [12_000, 11_000, 10_000];
const HONEY: i64 = 3_000;
const WOOL: i64 = 6_000;
const CANDLES: i64 = 500;
const CLOTH: i64 = 700;

/// How long the lift that expires may take: as short as a slow machine still promises it over two sites.
const SHORT: &str = "5s";

/// Three more people, and a referee.
fn five(world: &mut World<'_>) -> Result<String, Fault> {
    // She has had her chance.
    world.stop("mallory")?;
    for name in &PEOPLE[2..] {
        world.start(name)?.perform(&["user", "add", name])?;
    }
    let referee = world.start(REFEREE)?;
    referee.perform(&["referee", "serve", "all"])?;
    let address = format!("{}@{}", referee.started.agent, referee.started.listen);
    for name in PEOPLE {
        world.site(name)?.perform(&["referee", "accept", &address])?;
    }
    Ok("carol, dave and erin have sites now, and there is a referee's, which all five accept and which knows \
        nothing of their tallies"
        .to_owned())
}

/// Each of the three buys something of the one before.
fn credit(world: &mut World<'_>) -> Result<String, Fault> {
    let mut words = Vec::new();
    for (tally, units) in TALLIES[1..].iter().zip(CREDIT) {
        debts::open(world, tally, units)?;
        words.push(format!("{} owes {} {units}", tally.debtor, tally.creditor));
    }
    debts::settled(world)?;
    Ok(format!("three more tallies are open, and something was bought on each: {}", words.join(", ")))
}

/// Alice pays erin, whom she shares no tally with.
fn lift(world: &mut World<'_>) -> Result<String, Fault> {
    let before = debts::settled(world)?;
    let paid = pay(world, HONEY, "honey", &["--wait", "good"])?;
    same("the state of alice's payment", &paid["state"], &Value::from("good"))?;
    let after = debts::settled(world)?;
    let table = table(&before, &after, &[("alice", -HONEY), ("erin", HONEY)])?;
    Ok(format!(
        "alice has paid erin {HONEY} for honey over bob, carol and dave: everybody owes the one before so much \
         less, all by one ruling\n{table}"
    ))
}

/// Alice buys of erin: the row becomes a ring.
fn ring(world: &mut World<'_>) -> Result<String, Fault> {
    debts::open(world, &TALLIES[4], WOOL)?;
    debts::settled(world)?;
    Ok(format!("alice has opened a tally with erin and bought wool for {WOOL}: now the debts go round in a ring"))
}

/// The ring is cleared of what goes round in it.
fn clear(world: &mut World<'_>) -> Result<String, Fault> {
    let before = debts::settled(world)?;
    // Where the way round is not known yet, the command looks for it, and the next one finds it.
    let begun = |cleared: &Value| cleared["begun"][0]["lift"].as_str().map(str::to_owned);
    let lift = world.site("alice")?.until(&["lift", "clear", "--user", "alice"], "a circle at alice's site", begun)?;
    until_state(world, "alice", &lift, &["good"])?;
    let after = debts::settled(world)?;
    let table = table(&before, &after, &[])?;
    for (had, has) in before.iter().zip(&after) {
        same("a debt in the ring", &Value::from(*has), &Value::from(had - WOOL))?;
    }
    Ok(format!("the ring is cleared: everybody owes {WOOL} less, and nobody has more or less than before\n{table}"))
}

/// A site on the way stands still in the middle of a payment.
fn cut_off(world: &mut World<'_>) -> Result<String, Fault> {
    let before = debts::settled(world)?;
    world.freeze("carol")?;
    let lift = text(&pay(world, CANDLES, "candles", &["--wait", "promised"])?, "lift")?;
    // Bob's site has promised it on, or cannot even call carol's.
    until_state(world, "bob", &lift, &["pend", "draft.relay"])?;
    let shown = world.site("alice")?.perform(&["lift", "show", &lift])?;
    same("the payment at alice's site while carol's stands still", &shown["state"], &Value::from("seek"))?;
    world.thaw("carol")?;
    until_state(world, "alice", &lift, &["good"])?;
    let after = debts::settled(world)?;
    let table = table(&before, &after, &[("alice", -CANDLES), ("erin", CANDLES)])?;
    Ok(format!(
        "carol's site was cut off in the middle of a payment of {CANDLES}: alice's and bob's have waited, nothing \
         was paid; when it came back the payment went on, and is good\n{table}"
    ))
}

/// A site on the way stands still until it is too late.
fn expire(world: &mut World<'_>) -> Result<String, Fault> {
    let before = debts::settled(world)?;
    world.freeze("dave")?;
    let lift = text(&pay(world, CLOTH, "cloth", &["--life", SHORT])?, "lift")?;
    for name in ["alice", "bob", "carol"] {
        until_state(world, name, &lift, &["void"])?;
    }
    let shown = world.site("alice")?.perform(&["lift", "show", &lift])?;
    same("what the referee has ruled", &shown["ruling"]["valid"], &Value::from(false))?;
    world.thaw("dave")?;
    let after = debts::settled(world)?;
    same("all debts", &after.clone().into(), &before.clone().into())?;
    let table = table(&before, &after, &[])?;
    Ok(format!(
        "dave's site was cut off for longer than a payment of {CLOTH} was given: the referee has ruled it void, and \
         it is void at every site that had promised it; nothing was paid, nothing is kept back\n{table}"
    ))
}

/// Alice pays erin by a lift.
fn pay(world: &World<'_>, units: i64, memo: &str, more: &[&str]) -> Result<Value, Fault> {
    let erin = &world.site("erin")?.started;
    let (amount, to) = (units.to_string(), format!("erin:{}@{}", erin.agent, erin.listen));
    let line = ["lift", "pay", &amount, "--user", "alice", "--to", &to, "--memo", memo];
    world.site("alice")?.perform(&[&line, more].concat())
}

/// Waits until a lift is in one of these states at somebody's site, which may not have heard of it yet.
fn until_state(world: &World<'_>, name: &str, lift: &str, states: &[&str]) -> Result<(), Fault> {
    let what = format!("the lift {} at {name}'s site", states.join(" or "));
    let is = |shown: &Value| shown["state"].as_str().is_some_and(|state| states.contains(&state)).then_some(());
    world.site(name)?.until_known(&["lift", "show", lift], &what, is)
}
