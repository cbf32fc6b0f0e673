//! Who owes whom among the five, and whether both sites of each tally say the same.

use serde_json::{Value, json};
use tallyho_plugin::Fault;

use super::steps::{same, text};
use super::world::World;

/// A tally: who holds the stock, who the foil, and the name under which its uuid is kept.
pub(super) struct Tally {
    pub creditor: &'static str,
    pub debtor: &'static str,
    pub known: &'static str,
}

/// The five in a row, each owing the one before; with the last one it is a ring.
pub(super) const TALLIES: [Tally; 5] = [
    Tally { creditor: "alice", debtor: "bob", known: "uuid" },
    Tally { creditor: "bob", debtor: "carol", known: "bob and carol" },
    Tally { creditor: "carol", debtor: "dave", known: "carol and dave" },
    Tally { creditor: "dave", debtor: "erin", known: "dave and erin" },
    Tally { creditor: "erin", debtor: "alice", known: "erin and alice" },
];

/// The five.
pub(super) const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// What each debtor owes, in milli-CHIPs, as many as there are tallies so far.
pub(super) type Debts = Vec<i64>;

/// Opens a tally, from the ticket until both sites have it, and has the debtor buy something on it.
pub(super) fn open(world: &mut World<'_>, tally: &Tally, units: i64) -> Result<(), Fault> {
    let Tally { creditor, debtor, known } = *tally;
    let ticket = world.site(creditor)?.perform(&["ticket", "new", "--user", creditor, "--expires", "1h"])?;
    world.site(debtor)?.perform(&["ticket", "use", &text(&ticket, "link")?, "--user", debtor])?;
    let offered = world.site(creditor)?.perform(&["tally", "offer", &text(&ticket, "tally")?])?;
    let uuid = text(&offered, "uuid")?;
    let there = |listed: &Value| {
        let mut rows = listed.as_array()?.iter();
        rows.find(|row| row["uuid"] == uuid.as_str() && row["state"] == "P.offer").map(drop)
    };
    let site = world.site(debtor)?;
    site.until(&["tally", "list"], &format!("{creditor}'s offer at {debtor}'s site"), there)?;
    site.perform(&["tally", "accept", &uuid, "--wait", "confirmed"])?;
    site.perform(&["chit", "pay", &uuid, &units.to_string(), "--wait", "confirmed"])?;
    world.keep(known, uuid);
    Ok(())
}

/// Waits until nothing is under way at the five sites, nothing reserved, and both sites of each tally have all its
/// chits and say the same of it; gives what is owed.
///
/// # Errors
/// It never comes to that.
pub(super) fn settled(world: &World<'_>) -> Result<Debts, Fault> {
    for name in PEOPLE {
        let none = |listed: &Value| listed.as_array().is_some_and(Vec::is_empty).then_some(());
        world.site(name)?.until(&["lift", "list"], &format!("no lift under way at {name}'s site"), none)?;
    }
    let tallies = TALLIES.iter().filter_map(|tally| Some((tally, world.known(tally.known).ok()?)));
    let owed = |(tally, uuid): (&Tally, &str)| {
        let half = |name: &str| {
            let what = format!("all chits of {name}'s tally confirmed, none reserved");
            world.site(name)?.until(&["tally", "show", uuid], &what, at_rest)
        };
        let (creditor, debtor) = (half(tally.creditor)?, half(tally.debtor)?);
        agree(tally, &creditor, &debtor)
    };
    tallies.map(owed).collect()
}

/// A half of which every chit is confirmed and none pending.
fn at_rest(half: &Value) -> Option<Value> {
    let whole = half["end"].is_u64() && half["end"] == half["conf"] && half["net"] == half["net_p"];
    whole.then(|| json!([half["net"], half["end"], half["chain"]["tip"]]))
}

/// What the debtor owes, where both halves say so.
fn agree(tally: &Tally, creditor: &Value, debtor: &Value) -> Result<i64, Fault> {
    let owed = creditor[0].as_i64().unwrap_or_default();
    let Tally { creditor: one, debtor: other, .. } = tally;
    let what = |what: &str| format!("{what} of the tally of {one} and {other} at {other}'s site");
    same(&what("the balance"), &debtor[0], &Value::from(-owed))?;
    same(&what("the number of chits"), &debtor[1], &creditor[1])?;
    same(&what("the end of the chain"), &debtor[2], &creditor[2])?;
    Ok(owed)
}

/// What somebody has in all: what is owed to them, less what they owe.
pub(super) fn worth(debts: &Debts, name: &str) -> i64 {
    let of = |(tally, owed): (&Tally, &i64)| match name {
        _ if tally.creditor == name => *owed,
        _ if tally.debtor == name => -owed,
        _ => 0,
    };
    TALLIES.iter().zip(debts).map(of).sum()
}

/// Debts before and after, and what each of the five has in all.
///
/// # Errors
/// Somebody has more or less than before by another amount than `moved` says.
pub(super) fn table(before: &Debts, after: &Debts, moved: &[(&str, i64)]) -> Result<String, Fault> {
    let line = |what: &str, before: &dyn std::fmt::Display, after: &dyn std::fmt::Display| {
        format!("\n{what:>24}  {before:>8}  {after:>8}")
    };
    let mut table = format!("{:>24}  {:>8}  {:>8}", "debts in milli-CHIPs", "before", "after");
    for (tally, (before, after)) in TALLIES.iter().zip(before.iter().zip(after)) {
        table += &line(&format!("{} owes {}", tally.debtor, tally.creditor), before, after);
    }
    for name in PEOPLE {
        let by: i64 = moved.iter().filter(|(who, _)| *who == name).map(|(_, by)| by).sum();
        let (had, has) = (worth(before, name), worth(after, name));
        same(&format!("what {name} has in all"), &Value::from(has), &Value::from(had + by))?;
        table += &line(&format!("{name} has in all"), &had, &has);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_half_with_something_reserved_or_not_confirmed_is_not_at_rest() {
        let half = |net_p: i64, conf: u64| {
            at_rest(&json!({ "net": 5, "net_p": net_p, "end": 2, "conf": conf, "chain": { "tip": "t" } }))
        };
        assert_eq!(half(5, 2), Some(json!([5, 2, "t"])));
        assert_eq!((half(4, 2), half(5, 1)), (None, None));
    }

    #[test]
    fn halves_that_differ_in_balance_or_chits_do_not_agree() {
        let judged = |other: Value| agree(&TALLIES[0], &json!([5, 2, "t"]), &other).map_err(|fault| fault.text);
        assert_eq!(judged(json!([-5, 2, "t"])), Ok(5));
        for other in [json!([5, 2, "t"]), json!([-5, 3, "t"]), json!([-5, 2, "u"])] {
            assert!(judged(other).unwrap_err().contains("at bob's site"));
        }
    }

    #[test]
    fn the_table_has_all_debts_and_everybodys_total_and_refuses_what_somebody_has_lost() {
        let (before, after) = (vec![10, 9, 8, 7], vec![7, 6, 5, 4]);
        let shown = table(&before, &after, &[("alice", -3), ("erin", 3)]).unwrap();
        let rows: Vec<String> =
            shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows[1], "bob owes alice 10 7");
        assert_eq!(
            rows[5..],
            [
                "alice has in all 10 7",
                "bob has in all -1 -1",
                "carol has in all -1 -1",
                "dave has in all -1 -1",
                "erin has in all -7 -4",
            ]
        );
        let lost = table(&before, &after, &[("alice", -3)]).unwrap_err();
        assert!(lost.text.contains("what erin has in all"), "{lost}");
    }
}
