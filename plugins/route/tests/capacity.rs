//! What the search reads of a tally is what the chit handler says of it (PROTOCOL 7.2).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::*;
use serde_json::{Value, json};
use tallyho_chit::Chit;
use tallyho_chit::party::Party;
use tallyho_plugin::record::Side;
use tallyho_plugin::testkit::{Dice, Site};
use tallyho_route::Route;

/// Alice's tally with somebody elsewhere, as both handlers find it.
fn tally(dice: &mut Dice, side: Side) -> Site {
    let mut site = Site::new(1).with::<Chit>().with::<Route>().user("alice");
    let (alice, other) = (site.chad("alice").party(), stranger("other"));
    let (stock, foil) = if side == Side::Stock { (&alice, &other) } else { (&other, &alice) };
    let mut variables = || {
        let target = dice.below(20);
        json!({ "target": target, "bound": dice.below(30), "reward": 0.02, "clutch": dice.below(3) as f64 / 10.0, "limit": 5 })
    };
    let (of_stock, of_foil) = (variables(), variables());
    let owed = dice.below(41) as i64 - 20;
    Tally::new(1, stock, foil, owed).set(of_stock, of_foil).open(&mut site);
    let party = Party {
        holder: "alice".to_owned(),
        tally: uuid(1),
        side,
        partner: other,
        agent: site.agent(),
        stock_key: String::new(),
        foil_key: String::new(),
        hash: String::new(),
        terms: json!({ "stock": {}, "foil": {} }),
    };
    let row = format!("{}\0alice", uuid(1));
    site.write("chit.parties", row.as_bytes(), &serde_json::to_value(party).unwrap());
    let pending = json!({ "pend": 7, "lift_in": dice.below(10), "lift_out": dice.below(10) });
    change(&mut site, "alice", 1, &pending);
    if dice.percent(20) {
        let unusable = [json!({ "conf": null }), json!({ "stat": "err" }), json!({ "phase": "closing" })];
        change(&mut site, "alice", 1, &unusable[dice.below(3)]);
    }
    site
}

fn one(site: &mut Site, from: Value, to: Value) -> Value {
    let paths = find(site, json!({ "from": from, "to": to }));
    paths.first().map_or(Value::Null, |path| path["lading"].clone())
}

#[test]
fn the_search_and_the_chit_handler_agree_on_every_tally() {
    let (mut open, mut shut) = (0, 0);
    for seed in 0..200 {
        let mut dice = Dice::new(seed);
        let side = if dice.percent(50) { Side::Stock } else { Side::Foil };
        let mut site = tally(&mut dice, side);
        let capacity = site.call("chit", "capacity", json!({ "user": "alice", "tally": uuid(1) })).unwrap();
        let into = one(&mut site, json!({ "user": "alice", "tally": uuid(1) }), json!({ "user": "alice" }));
        let out = one(&mut site, json!({ "user": "alice" }), stranger("other").to_value());
        for (edge, lading) in [(&capacity["in"], into), (&capacity["out"], out)] {
            let usable = capacity["usable"] == true && edge["max"].as_i64().is_some_and(|max| max > 0);
            let expected = match usable {
                true => json!({
                    "min": edge["min"], "max": edge["max"], "margin": edge["margin"], "reward": edge["reward"],
                }),
                false => Value::Null,
            };
            assert_eq!(lading, expected, "seed {seed}: {capacity}");
            if usable { open += 1 } else { shut += 1 }
        }
    }
    assert!(open > 100 && shut > 50, "{open} open, {shut} shut");
}
