//! A referee beside a lift handler: that one has the target `lift`, and hands over what is for a referee
//! (PROTOCOL 10.3 F10).

#![allow(clippy::unwrap_used)]

mod kit;

use kit::{commit, hash, is_ruling, lift, names, referee, told};
use serde::Deserialize;
use serde_json::{Value, json};
use tallyho_plugin::fault::STRIKE;
use tallyho_plugin::prelude::*;
use tallyho_plugin::testkit::Site;
use tallyho_referee::{Referee, Standard};

/// As much of a lift handler as a referee has to do with: it knows one lift of its own.
struct Lift;

/// The hash of the handler's own lift is the one in this table.
const OWN: &str = "own";

#[derive(Deserialize)]
struct Ruled {
    #[serde(default)]
    answer: Option<Value>,
}

impl Handler for Lift {
    fn manifest() -> Manifest {
        let actions = ["promise", "commit", "check"];
        Manifest::new("lift", "0.1.0")
            .target(Target::new("lift", &actions).relation_in_envelope().restricted(&["commit", "check"]))
            .tables(&[OWN])
            .command(CommandSpec::new("own", "this hash is ours"))
    }

    fn create() -> Result<Self, Fault> {
        Ok(Lift)
    }

    fn command(&self, command: &Command, context: &mut Context<'_>) -> Result<Value, Fault> {
        context.put(OWN, command.arguments::<String>()?, &())?;
        Ok(Value::Null)
    }

    fn message(&self, message: &Message, context: &mut Context<'_>) -> Result<(), Fault> {
        let object: Value = message.object()?;
        if let Some(hash) = object["hash"].as_str()
            && context.get::<()>(OWN, hash)?.is_some()
        {
            return context.send(&message.reply("status", &json!({ "mine": true }))?);
        }
        let argument = json!({ "action": message.action, "object": object });
        let Ruled { answer } = context.invoke("referee", "rule", &argument)?;
        answer.map_or(Ok(()), |status| context.send(&message.reply("status", &status)?))
    }
}

fn both() -> [Site; 2] {
    let seed = || Site::of_agent(kit::agent("R").seed());
    let both = [seed().with::<Referee<Standard>>().with::<Lift>(), seed().with::<Lift>().with::<Referee<Standard>>()];
    both.map(|mut site| {
        site.call("referee", "serve", json!({ "whom": "all" })).unwrap();
        site
    })
}

#[test]
fn beside_a_lift_handler_the_same_rulings_come_by_way_of_it() {
    let mut alone = referee();
    let lift = lift(&alone, 1, alone.now());
    let ruling = told(&mut alone, "commit", &commit(&lift));
    for mut site in both() {
        assert_eq!(told(&mut site, "check", &lift)["pend"], true);
        let answer = told(&mut site, "commit", &commit(&lift));
        assert!(is_ruling(&site, &lift, true, &answer));
        assert_eq!(answer, ruling);
        assert_eq!(told(&mut site, "check", &names(&lift)), ruling);
    }
}

#[test]
fn a_lift_of_ones_own_is_answered_by_its_originator_before_its_referee() {
    let [mut site, _] = both();
    let (own, other) = (lift(&site, 1, site.now()), lift(&site, 2, site.now()));
    site.command("own", json!(hash(&own))).unwrap();
    assert_eq!(told(&mut site, "check", &names(&own)), json!({ "mine": true }));
    assert_eq!(told(&mut site, "check", &names(&other))["err"], "need");
}

#[test]
fn a_strike_passes_through_the_lift_handler() {
    let [mut site, _] = both();
    let lift = lift(&site, 1, site.now());
    let forged = kit::signed_by(&lift, &kit::agent("B"));
    assert_eq!(kit::ask(&mut site, "commit", &forged).unwrap_err().code, STRIKE);
}

#[test]
fn rule_answers_by_command_and_names_what_it_does_not_know() {
    let mut site = referee();
    let lift = lift(&site, 1, site.now());
    let answer =
        site.command("rule", json!({ "action": "commit", "object": commit(&lift), "from": "anybody" })).unwrap();
    assert!(is_ruling(&site, &lift, true, &answer["answer"]));
    assert_eq!(site.command("rule", json!({ "action": "check", "object": 7 })).unwrap(), json!({}));
    let fault = site.command("rule", json!({ "action": "promise", "object": {} })).unwrap_err();
    assert!(fault.text.contains("expected commit or check"), "{fault}");
}

#[test]
fn all_that_opens_for_strangers_is_what_the_protocol_lists() {
    let manifest = Referee::<Standard>::manifest();
    let open: Vec<String> = manifest
        .targets
        .iter()
        .flat_map(|target| target.restricted.iter().map(|action| format!("{}/{action}", target.name)))
        .collect();
    assert_eq!(open, ["referee/query", "lift/commit", "lift/check"]);
}
