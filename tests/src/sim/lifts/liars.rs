//! Sites that do not keep to the rules. Each is an honest site of which one alters what it says, or says more:
//! what its own handlers make of that is nobody's business but its own.

use super::nets::Net;
use crate::sim::world::Tongue;
use crate::sim::{Dice, SimSite};
use serde_json::{Value, json};
use std::sync::Arc;
use tallyho::ledger::outbox::OutboxRow;
use tallyho_lift::record::{Boundary, Lift, Role};
use tallyho_lift::state::State;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{Arrival, LiftCore, Pledge, Release, base64v};
use tallyho_plugin::services::Outgoing;
use tallyho_referee::store::Ruling;

/// Ways not to keep to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Promises another amount than it was promised, signed as it should be.
    Amount,
    /// Promises with a pledge that does not cover the lift.
    Pledge,
    /// Gives forged rulings, releases, arrivals.
    Forgery,
    /// Gives its neighbour's pledge back though its own is outstanding.
    Release,
    /// Keeps things back.
    Silence,
    /// Words the chits of its lifts otherwise than the partner would, or makes them of another lift.
    Words,
    /// Some of everything.
    All,
}

impl Lie {
    /// All of them.
    pub const ALL: [Lie; 7] =
        [Lie::Amount, Lie::Pledge, Lie::Forgery, Lie::Release, Lie::Silence, Lie::Words, Lie::All];

    fn is(self, lie: Lie) -> bool {
        self == lie || self == Lie::All
    }
}

/// What a site that lies so says instead of what its handlers say.
pub fn tongue(lie: Lie) -> Tongue {
    Box::new(move |site, dice, row| {
        let (target, action) = (row.message.target.as_str(), row.message.action.as_str());
        let chit = (target, action) == ("chit", "good") && lie.is(Lie::Words);
        if target != "lift" && !chit || dice.percent(40) {
            return Some(row);
        }
        let mut object: Value = ciborium::from_reader(row.message.object.as_slice()).expect("handlers write CBOR");
        let altered = match action {
            _ if chit => object["type"] == "lift" && reworded(site, dice, &mut object),
            _ if lie.is(Lie::Silence) && dice.percent(35) => return None,
            "promise" if lie.is(Lie::Amount) && dice.percent(50) => amount(site, dice, &mut object),
            "promise" | "term" if lie.is(Lie::Pledge) && object["pledge"].is_object() => pledge(dice, &mut object),
            "term" if lie.is(Lie::Forgery) => {
                object["term"]["at"] = json!("2021-11-03T20:05:00.125Z");
                true
            }
            "fail" if lie.is(Lie::Forgery) => {
                object["release"]["sign"] = json!(garbage(dice));
                true
            }
            "good" | "void" | "status" if lie.is(Lie::Forgery) => ruling(site, dice, &mut object),
            _ => false,
        };
        if !altered {
            return Some(row);
        }
        let mut said = OutboxRow::clone(&row);
        if let ("good" | "void", Some(valid)) = (action, object["valid"].as_bool()) {
            said.message.action = if valid { "good" } else { "void" }.to_owned();
        }
        said.message.object = to_cbor(&object).expect("JSON can be CBOR");
        Some(Arc::new(said))
    })
}

fn garbage(dice: &mut Dice) -> String {
    let bytes: Vec<u8> = (0..8).flat_map(|_| dice.number().to_be_bytes()).collect();
    base64v::encode(bytes)
}

/// Another amount in L, and a pledge that covers it.
fn amount(site: &SimSite, dice: &mut Dice, object: &mut Value) -> bool {
    let units = object["units"].as_i64().unwrap_or(1);
    object["units"] = if dice.percent(50) { units + 1 } else { (units - 1).max(1) }.into();
    let Ok(core) = LiftCore::from_object(object, &["pledge"]) else { return false };
    let Ok(mut pledge) = serde_json::from_value::<Pledge>(object["pledge"].clone()) else { return false };
    (pledge.hash, pledge.units) = (core.hash(), core.units());
    pledge.sign = site.sign_agent(&pledge.text().expect("it is a pledge"));
    object["pledge"] = json!(pledge);
    true
}

/// A pledge with something wrong about it.
fn pledge(dice: &mut Dice, object: &mut Value) -> bool {
    let pledge = &mut object["pledge"];
    match dice.below(5) {
        0 => pledge["units"] = json!(pledge["units"].as_i64().unwrap_or(1) + 1),
        1 => pledge["sign"] = json!(garbage(dice)),
        2 => pledge["hash"] = json!(garbage(dice)),
        3 => pledge["by"] = json!(if pledge["by"] == "stock" { "foil" } else { "stock" }),
        _ => pledge["tally"] = json!("5e2d9a54-8f1b-4c0e-a1d2-000000000001"),
    }
    true
}

/// A lift's chit that stands by ruling and pledge, and is not the one that the partner would write: with more in it
/// than needed, or of a lift of that uuid which this site rules itself.
fn reworded(site: &SimSite, dice: &mut Dice, chit: &mut Value) -> bool {
    match dice.below(3) {
        0 => chit["memo"] = json!("other words"),
        1 => chit["ref"]["more"] = json!(1),
        _ => {
            let mut other = chit["ref"]["lift"].clone();
            other["life"] = (1 + other["life"].as_i64().unwrap_or(1) % 3_600).into();
            other["ref"]["agent"] = json!(site.agent());
            let Ok(core) = LiftCore::from_object(&other, &["valid"]) else { return false };
            let Ok(by) = serde_json::from_value(chit["by"].clone()) else { return false };
            let mut pledge = Pledge::new(site.agent().clone(), by, &core, chit["tally"].as_str().unwrap_or_default());
            pledge.sign = site.sign_agent(&pledge.text().expect("it is a pledge"));
            chit["ref"] = json!({ "lift": core.with_valid(true), "pledge": pledge.sign });
            chit["sign"] = site.sign_agent(&core.valid_text(true).expect("a core")).into();
        }
    }
    if let Some(members) = chit.as_object_mut() {
        members.remove("hash");
    }
    true
}

/// The other ruling, with its signature, or one of the liar's own; or a ruling where there is none.
fn ruling(site: &SimSite, dice: &mut Dice, object: &mut Value) -> bool {
    let valid = !object["valid"].as_bool().unwrap_or(false);
    object["valid"] = valid.into();
    if object["signed"].is_null() || dice.percent(50) {
        object["signed"] = json!(site.sign_agent(&format!("{valid}")));
    }
    true
}

/// Something that a liar says of its own accord about a lift that goes over its site.
pub fn speak(net: &mut Net, site: usize, lie: Lie) {
    let lifts: Vec<Lift> = net.world.sites[site].look("lift.lifts");
    let lifts: Vec<Lift> =
        lifts.into_iter().filter(|lift| matches!(lift.state, State::Pend | State::DraftRelay)).collect();
    if lifts.is_empty() {
        return;
    }
    let lift = net.world.dice.one_of(&lifts).clone();
    let (uuid, hash) = (lift.core.uuid().to_owned(), lift.core.hash());
    let own = net.world.sites[site].agent().clone();
    let choice = net.world.dice.below(3);
    if lie.is(Lie::Release) && choice < 2 {
        let Some(bottom) = &lift.bottom else { return };
        let mut release = Release { agent: own, hash: hash.clone(), tally: bottom.tally.clone(), sign: String::new() };
        release.sign = net.world.sites[site].sign_agent(&release.text().expect("texts alone"));
        say(net, site, bottom, "fail", &json!({ "lift": uuid, "hash": hash, "release": release }));
    } else if lie.is(Lie::Forgery) && choice == 0 {
        let signed = net.world.sites[site].sign_agent(&lift.core.valid_text(true).expect("a core"));
        let good = json!({ "lift": uuid, "hash": hash, "valid": true, "signed": signed });
        for at in lift.neighbours() {
            say(net, site, at, "good", &good);
        }
    } else if lie.is(Lie::Forgery) {
        let at = net.world.now.text();
        let mut term = Arrival { agent: own, at, hash: hash.clone(), sign: String::new() };
        term.sign = net.world.sites[site].sign_agent(&term.text().expect("texts alone"));
        let object = json!({ "lift": uuid, "hash": hash, "term": term });
        let message = Outgoing::new(lift.core.org().clone(), "", "lift", "term", &object).expect("a message");
        net.world.inject(site, message.by_restricted_channel());
    }
}

fn say(net: &mut Net, site: usize, at: &Boundary, action: &str, object: &Value) {
    let message = Outgoing::new(at.partner.clone(), at.user.as_str(), "lift", action, object);
    let mut message = message.expect("a message");
    message.tally = Some(at.tally.clone());
    net.world.inject(site, message);
}

/// An originator without manners tells whomever it likes what the referee has ruled.
pub fn tell_early(net: &mut Net, site: usize) {
    let lifts: Vec<Lift> = net.world.sites[site].look("lift.lifts");
    let lifts: Vec<Lift> = lifts.into_iter().filter(|lift| lift.role == Role::Originator).collect();
    if lifts.is_empty() {
        return;
    }
    let lift = net.world.dice.one_of(&lifts).clone();
    let hash = lift.core.hash();
    let ruling = |place: usize| net.world.sites[place].disk.row::<Ruling>("referee.rulings", hash.as_bytes());
    let Some(ruling) = net.referees().find_map(ruling).filter(|ruling| ruling.valid) else { return };
    let good = json!({ "lift": lift.core.uuid(), "hash": hash, "valid": true, "signed": ruling.signed });
    let other = (site + 1 + net.world.dice.below(net.size - 1)) % net.size;
    let to = net.world.sites[other].own.clone();
    let message = Outgoing::new(to, "", "lift", "good", &good).expect("a message");
    net.world.inject(site, message.by_restricted_channel());
}

/// An originator without manners asks for the ruling as soon as it has promised.
pub fn commit_early(net: &mut Net, site: usize) {
    let lifts: Vec<Lift> = net.world.sites[site].look("lift.lifts");
    let begun = |lift: &Lift| {
        lift.role == Role::Originator && lift.core.find().agent != lift.core.org().agent && lift.arrival.is_none()
    };
    let lifts: Vec<Lift> = lifts.into_iter().filter(|lift| begun(lift) && !lift.state.is_final()).collect();
    if lifts.is_empty() {
        return;
    }
    let lift = net.world.dice.one_of(&lifts).clone();
    let text = lift.core.valid_text(true).expect("a core");
    let mut object = lift.core.with_valid(true);
    object["signed"] = net.world.sites[site].sign_agent(&text).into();
    let message = Outgoing::new(lift.core.referee().clone(), "", "lift", "commit", &object).expect("a message");
    net.world.inject(site, message.by_restricted_channel());
}
