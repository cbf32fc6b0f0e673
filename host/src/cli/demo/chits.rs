//! What alice and bob do on their tally: they pay, ask, refuse, set and close. After each step both sites must
//! hold the same list of chits, and balances that are each other's opposite.

use serde_json::{Value, json};
use tallyho_plugin::Fault;

use super::steps::{same, text};
use super::world::World;

/// The two who have a tally: alice's half is the stock, bob's the foil.
const PARTNERS: [&str; 2] = ["alice", "bob"];

/// Milli-CHIPs.
const BREAD: i64 = 12_000;
const CHANGE: i64 = 2_000;
const CAKE: i64 = 5_000;
const GOLD: i64 = 900_000;

/// Both balances in milli-CHIPs, each as its holder sees it: positive where the partner owes.
type Balances = [i64; 2];

/// Bob pays.
pub(super) fn pay(world: &mut World<'_>) -> Result<String, Fault> {
    let paid = paid(world, "bob", BREAD, "a loaf of bread")?;
    Ok(format!(
        "bob has paid alice {BREAD} milli-CHIPs for a loaf of bread: his site has signed it, hers has it\n{paid}"
    ))
}

/// Alice pays, so that chits go both ways.
pub(super) fn pay_back(world: &mut World<'_>) -> Result<String, Fault> {
    let paid = paid(world, "alice", CHANGE, "change")?;
    Ok(format!("alice has given {CHANGE} back as change\n{paid}"))
}

/// Alice asks to be paid, and bob pays what she asks for.
pub(super) fn invoice(world: &mut World<'_>) -> Result<String, Fault> {
    let before = settled(world)?;
    let chit = asked(world, CAKE, "a cake")?;
    world.site("bob")?.perform(&["chit", "accept", world.known("uuid")?, &chit, "--wait", "confirmed"])?;
    let table = moved(world, before, [CAKE, -CAKE])?;
    Ok(format!("alice has asked bob for {CAKE} for a cake; he has looked at it and paid\n{table}"))
}

/// Alice asks for what bob will not pay.
pub(super) fn refuse(world: &mut World<'_>) -> Result<String, Fault> {
    let before = settled(world)?;
    let chit = asked(world, GOLD, "a golden loaf")?;
    let uuid = world.known("uuid")?;
    world.site("bob")?.perform(&["chit", "refuse", uuid, &chit, "--wait", "void"])?;
    let line = ["chit", "show", uuid, &chit];
    let told = |shown: &Value| (shown["state"] == "A.void").then_some(());
    world.site("alice")?.until(&line, "bob's refusal at alice's site", told)?;
    moved(world, before, [0, 0])?;
    Ok(format!("alice has asked for {GOLD} for a golden loaf; bob has refused, and nobody owes anything for it"))
}

/// Bob says how much credit he would like to have with alice.
pub(super) fn set(world: &mut World<'_>) -> Result<String, Fault> {
    let before = settled(world)?;
    let uuid = world.known("uuid")?;
    let wanted = json!({ "target": 10_000, "bound": 50_000 });
    world.site("bob")?.perform(&["chit", "set", uuid, &wanted.to_string(), "--wait", "confirmed"])?;
    moved(world, before, [0, 0])?;
    for name in PARTNERS {
        let shown = world.site(name)?.perform(&["tally", "show", uuid])?;
        for member in ["target", "bound"] {
            let what = format!("bob's {member} at {name}'s site");
            same(&what, &shown["settings"]["foil"][member], &wanted[member])?;
        }
    }
    Ok("bob has set how far lifts may fill his half: target 10000, bound 50000; alice's site knows it too".to_owned())
}

/// What is owed is paid back, and the tally closed.
pub(super) fn close(world: &mut World<'_>) -> Result<String, Fault> {
    let [owed, _] = settled(world)?;
    let paid = paid(world, "alice", owed, "a jar of honey")?;
    let uuid = world.known("uuid")?;
    world.site("alice")?.perform(&["tally", "close", uuid, "--wait", "close"])?;
    let closed = |shown: &Value| (shown["state"] == "close").then_some(());
    world.site("bob")?.until(&["tally", "show", uuid], "the closed tally at bob's site", closed)?;
    agreed(world)?;
    let words = format!("alice has bought honey of bob for the {owed} he owed her, and closed the tally at zero");
    Ok(format!("{words}\n{paid}"))
}

/// Waits until both sites have the same chits and opposite balances; gives those.
///
/// # Errors
/// They never have.
pub(super) fn settled(world: &World<'_>) -> Result<Balances, Fault> {
    let line = ["tally", "show", world.known("uuid")?];
    let whole = |shown: &Value| {
        let (end, conf) = (shown["end"].as_u64()?, shown["conf"].as_u64()?);
        (end == conf).then(|| shown["net"].as_i64()).flatten()
    };
    let mut nets = [0; 2];
    for (net, name) in nets.iter_mut().zip(PARTNERS) {
        *net = world.site(name)?.until(&line, &format!("every chit confirmed at {name}'s site"), whole)?;
    }
    agreed(world)?;
    same("bob's balance, which must be the opposite of alice's", &Value::from(nets[1]), &Value::from(-nets[0]))?;
    Ok(nets)
}

/// Both sites list the same chits in the same order with the same hashes.
fn agreed(world: &World<'_>) -> Result<(), Fault> {
    let chits = |name: &str| -> Result<Value, Fault> {
        let listed = world.site(name)?.perform(&["chit", "list", world.known("uuid")?])?;
        let linked = listed.as_array().into_iter().flatten().filter(|chit| chit["index"].is_u64());
        Ok(linked.map(|chit| json!([chit["index"], chit["uuid"], chit["by"], chit["units"], chit["link"]])).collect())
    };
    same("bob's list of chits beside alice's", &chits("bob")?, &chits("alice")?)
}

/// One of the two pays the other; a table of what that did.
fn paid(world: &World<'_>, payer: &'static str, units: i64, memo: &str) -> Result<String, Fault> {
    let before = settled(world)?;
    let amount = units.to_string();
    let line = ["chit", "pay", world.known("uuid")?, &amount, "--memo", memo, "--wait", "confirmed"];
    world.site(payer)?.perform(&line)?;
    let to_alice = if payer == "alice" { -units } else { units };
    moved(world, before, [to_alice, -to_alice])
}

/// Alice asks bob for so much; the chit, once bob's site has it.
fn asked(world: &World<'_>, units: i64, memo: &str) -> Result<String, Fault> {
    let uuid = world.known("uuid")?;
    let amount = units.to_string();
    let asked = world.site("alice")?.perform(&["chit", "ask", uuid, &amount, "--memo", memo])?;
    let chit = text(&asked, "uuid")?;
    let there = |listed: &Value| {
        let mut chits = listed.as_array()?.iter();
        chits.find(|row| row["uuid"] == chit.as_str() && row["state"] == "L.pend").map(drop)
    };
    world.site("bob")?.until(&["chit", "list", uuid], "alice's invoice at bob's site", there)?;
    Ok(chit)
}

/// Checks that balances have moved by this much, and shows them before and after.
fn moved(world: &World<'_>, before: Balances, by: Balances) -> Result<String, Fault> {
    let after = settled(world)?;
    let mut table = format!("{:>24}  {:>8}  {:>8}", "balance in milli-CHIPs", "before", "after");
    for (at, name) in PARTNERS.iter().enumerate() {
        same(&format!("{name}'s balance"), &Value::from(after[at]), &Value::from(before[at] + by[at]))?;
        table += &format!("\n{name:>24}  {:>8}  {:>8}", before[at], after[at]);
    }
    Ok(table)
}
