//! What happens in the demo. Each step says in plain words what it did. Those of payments are in [`chits`].

use serde_json::Value;
use tallyho_plugin::Fault;

use super::chits;
use super::world::World;

/// A step: done, it gives a sentence; otherwise why the demo ends here.
pub struct Step {
    /// One word, for scripts.
    pub name: &'static str,
    /// What to do.
    pub run: fn(&mut World<'_>) -> Result<String, Fault>,
}

/// Two people and a stranger, in order. Then come those of [`super::lifts`], then [`LAST`].
pub const STEPS: &[Step] = &[
    Step { name: "start", run: start },
    Step { name: "users", run: users },
    Step { name: "ticket", run: ticket },
    Step { name: "use", run: use_ticket },
    Step { name: "offer", run: offer },
    Step { name: "accept", run: accept },
    Step { name: "agree", run: agree },
    Step { name: "pay", run: chits::pay },
    Step { name: "pay-back", run: chits::pay_back },
    Step { name: "invoice", run: chits::invoice },
    Step { name: "refuse", run: chits::refuse },
    Step { name: "set", run: chits::set },
    Step { name: "stranger", run: stranger },
    Step { name: "used-ticket", run: used_ticket },
    Step { name: "unharmed", run: unharmed },
];

/// How it ends.
pub const LAST: &[Step] = &[Step { name: "close", run: chits::close }, Step { name: "stop", run: stop }];

/// The sites, each named after its one user. Mallory is invited by nobody.
const SITES: [&str; 3] = ["alice", "bob", "mallory"];

/// Log lines that tell of an opening packet that proved nothing.
const STRIKE: &str = "strike from 127.0.0.1";

fn start(world: &mut World<'_>) -> Result<String, Fault> {
    let mut places = Vec::new();
    for name in SITES {
        let site = world.start(name)?;
        places.push(format!("{name}'s at {}", site.started.listen));
    }
    Ok(format!("{} sites run on this machine: {}", SITES.len(), places.join(", ")))
}

fn users(world: &mut World<'_>) -> Result<String, Fault> {
    for name in SITES {
        world.site(name)?.perform(&["user", "add", name])?;
    }
    Ok("each site has made an account with a signing key for its user".to_owned())
}

fn ticket(world: &mut World<'_>) -> Result<String, Fault> {
    let memo = ["--memo", "shown by the demo"];
    let line = ["ticket", "new", "--user", "alice", "--expires", "1h"];
    let made = world.site("alice")?.perform(&[&line[..], &memo[..]].concat())?;
    let (link, token, tally) = (text(&made, "link")?, text(&made, "token")?, text(&made, "tally")?);
    let words = format!("alice has drafted a tally and made a ticket for it: {link}");
    world.keep("link", link);
    world.keep("token", token);
    world.keep("draft", tally);
    Ok(words)
}

fn use_ticket(world: &mut World<'_>) -> Result<String, Fault> {
    let answer = world.site("bob")?.perform(&["ticket", "use", world.known("link")?, "--user", "bob"])?;
    let alice = &world.site("alice")?.started.agent;
    same("the agent that answered bob's ticket", &answer["agent"], &Value::from(alice.as_str()))?;
    same("whether the ticket was accepted", &answer["accepted"], &Value::from(true))?;
    Ok("bob has presented the ticket to alice's site, which let him in".to_owned())
}

fn offer(world: &mut World<'_>) -> Result<String, Fault> {
    let offered = world.site("alice")?.perform(&["tally", "offer", world.known("draft")?])?;
    let uuid = text(&offered, "uuid")?;
    world.site("bob")?.until(&["tally", "list", "--user", "bob"], "alice's offer at bob's site", |listed| {
        let rows = listed.as_array()?;
        rows.iter().find(|row| row["uuid"] == uuid.as_str() && row["state"] == "P.offer").map(drop)
    })?;
    let words = format!("alice has signed tally {uuid} and offered it; bob's site has it");
    world.keep("uuid", uuid);
    Ok(words)
}

fn accept(world: &mut World<'_>) -> Result<String, Fault> {
    world.site("bob")?.perform(&["tally", "accept", world.known("uuid")?, "--wait", "open"])?;
    Ok("bob has signed it too: the tally is open at his site".to_owned())
}

fn agree(world: &mut World<'_>) -> Result<String, Fault> {
    let hash = agreed(world)?;
    let words = format!("both sites hold the open tally, confirmed, with the same hash {hash}");
    world.keep("hash", hash);
    Ok(words)
}

fn stranger(world: &mut World<'_>) -> Result<String, Fault> {
    let token = world.known("token")?;
    // As long as a true one, and another one.
    let made_up: String = token.chars().map(|letter| if letter == 'A' { 'B' } else { 'A' }).collect();
    let link = world.known("link")?.replace(token, &made_up);
    let alice = world.site("alice")?;
    let before = alice.logged(STRIKE);
    refused(world, &link)?;
    alice.until_logged(STRIKE, before)?;
    Ok("mallory has tried a made-up ticket: alice's site closed without a word and noted a strike".to_owned())
}

fn used_ticket(world: &mut World<'_>) -> Result<String, Fault> {
    refused(world, world.known("link")?)?;
    Ok("mallory has tried bob's ticket after him: refused, a ticket serves one person once".to_owned())
}

fn unharmed(world: &mut World<'_>) -> Result<String, Fault> {
    let hash = agreed(world)?;
    same("the tally's hash after mallory's attempts", &Value::from(hash), &Value::from(world.known("hash")?))?;
    chits::settled(world)?;
    let tallies = world.site("alice")?.perform(&["tally", "list", "--user", "alice"])?;
    same("alice's tallies", &Value::from(tallies.as_array().map(Vec::len)), &Value::from(1))?;
    Ok("nothing of it has changed what alice and bob have".to_owned())
}

fn stop(world: &mut World<'_>) -> Result<String, Fault> {
    world.running().iter().try_for_each(|name| world.stop(name))?;
    Ok("all sites were told to stop and ended well".to_owned())
}

/// Waits until alice's and bob's sites both have the tally open and confirmed; gives the hash they
/// agree on.
fn agreed(world: &World<'_>) -> Result<String, Fault> {
    let line = ["tally", "show", world.known("uuid")?];
    let open = |name: &str| {
        let what = format!("the tally at {name}'s site open and confirmed");
        world
            .site(name)?
            .until(&line, &what, |tally| (tally["state"] == "open" && tally["conf"].is_u64()).then(|| tally.clone()))
    };
    let (ours, theirs) = (open("alice")?, open("bob")?);
    let hash = text(&ours, "hash")?;
    same("the tally's hash", &ours["hash"], &theirs["hash"])?;
    same("the tally's record", &ours["record"], &theirs["record"])?;
    if ours["side"] == theirs["side"] {
        return Err(Fault::failed(format!("both sites say that theirs is the {} side", ours["side"])));
    }
    Ok(hash)
}

/// Mallory presents a ticket and is refused, which is not the same as reaching nobody.
fn refused(world: &World<'_>, link: &str) -> Result<(), Fault> {
    let waited = world.site("mallory")?.attempt(&["ticket", "use", link, "--user", "mallory", "--timeout", "60s"])?;
    same("what became of mallory's ticket", &waited.answer["state"], &Value::from("refused"))
}

pub(super) fn text(answer: &Value, member: &str) -> Result<String, Fault> {
    let found = answer[member].as_str().map(str::to_owned);
    found.ok_or_else(|| Fault::failed(format!("an answer has no `{member}`: {answer}")))
}

pub(super) fn same(what: &str, found: &Value, expected: &Value) -> Result<(), Fault> {
    match found == expected {
        true => Ok(()),
        false => Err(Fault::failed(format!("{what}: {found} is not {expected}")).code("demo-differs")),
    }
}
