//! From a ticket to an open tally by people who do not give up: sites may die under them at any moment.
//!
//! They repeat a command that did not report success, where the state says that it has not been done.
//! What did report success must stay done; that is checked all along.

use crate::site::{Door, PATIENCE, Site};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tallyho_plugin::Fault;

/// Two users and the sites they live at.
pub struct Deal<'a> {
    /// The site of who issues the ticket.
    pub stock: Door,
    /// Who issues the ticket.
    pub alice: &'a str,
    /// The site of who uses it.
    pub foil: Door,
    /// Who uses it.
    pub bob: &'a str,
    /// Called whenever something is waited for: starts sites that have died, or only passes the time.
    pub revive: &'a dyn Fn(),
}

/// How often a ticket may be refused because its issuer died before the answer (PROTOCOL 2.4).
const REFUSALS: u32 = 20;

impl Deal<'_> {
    /// Comes to an open tally; its uuid.
    ///
    /// # Panics
    /// When that does not happen, or something that was done is undone.
    pub fn make(&self) -> String {
        let draft = self.invited();
        self.act(&self.stock, self.alice, "offer", &draft, "P.draft");
        self.until(&self.foil, self.bob, &draft, |show| show["state"] == "P.offer");
        self.act(&self.foil, self.bob, "accept", &draft, "P.offer");
        self.agreed(&draft);
        draft
    }

    /// From a ticket to a draft that knows its partner.
    fn invited(&self) -> String {
        let ticket = json!({ "user": self.alice, "memo": "Bread account", "agree": "bread" });
        let ticket = self.persist(&self.stock, "ticket.new", &ticket);
        let (link, draft) = (&ticket["link"], ticket["tally"].as_str().expect("a ticket leads to a tally"));
        for _ in 0..REFUSALS {
            let used = self.persist(&self.foil, "ticket.use", &json!({ "ticket": link, "user": self.bob }));
            let which = json!({ "token": used["token"] });
            let state = self.wait("the ticket is answered", || {
                let status = self.persist(&self.foil, "ticket.status", &which);
                Some(status["state"].clone()).filter(|state| state != "pending")
            });
            if state == "accepted" {
                self.until(&self.stock, self.alice, draft, |show| show["state"] == "P.draft");
                return draft.to_owned();
            }
            (self.revive)(); // closed without an answer: the issuer has died, or will not have it
        }
        panic!("the ticket is refused again and again");
    }

    /// Both halves open and confirmed, the same on both sides, and the ticket used by that one party.
    fn agreed(&self, uuid: &str) {
        let confirmed = |show: &Value| show["state"] == "open" && show["conf"] == 0;
        let one = self.until(&self.stock, self.alice, uuid, confirmed);
        let other = self.until(&self.foil, self.bob, uuid, confirmed);
        assert!(one["record"]["sign"]["hash"].is_string(), "{one}");
        assert_eq!(one["record"], other["record"]);
        let tickets = self.persist(&self.stock, "ticket.list", &json!({ "user": self.alice }));
        let used: Vec<&Value> = tickets.as_array().into_iter().flatten().filter(|row| row["tally"] == uuid).collect();
        assert_eq!(used.len(), 1, "{tickets}");
        assert_eq!((&used[0]["state"], &used[0]["by"]["cuid"]), (&json!("used"), &json!(self.bob)), "{tickets}");
    }

    /// Does what changes a tally that is in the state `before`, once.
    fn act(&self, site: &Door, user: &str, command: &str, uuid: &str, before: &str) {
        let argument = json!({ "uuid": uuid, "user": user });
        loop {
            match site.call("tally", command, &argument) {
                Ok(_) => break,
                Err(fault) if is_down(&fault) => (self.revive)(),
                Err(fault) if is_refused_write(&fault) => {
                    let show = self.persist(site, "show", &argument);
                    assert_eq!(show["state"], before, "{command} was refused and done: {show}");
                    (self.revive)();
                    continue;
                }
                Err(fault) => panic!("{command} {uuid}: {fault}"),
            }
            if self.persist(site, "show", &argument)["state"] != before {
                return; // done, though nobody was told
            }
        }
        let show = self.persist(site, "show", &argument);
        assert_ne!(show["state"], before, "{command} reported success and was undone: {show}");
    }

    /// Waits for a tally's state.
    fn until(&self, site: &Door, user: &str, uuid: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        self.wait_or(
            || {
                let list = self.persist(site, "list", &json!({ "user": user }));
                if list.as_array().into_iter().flatten().any(|tally| tally["uuid"] == uuid) {
                    last = self.persist(site, "show", &json!({ "uuid": uuid, "user": user }));
                }
                Some(last.clone()).filter(|last| wanted(last))
            },
            || format!("{user}'s tally {uuid} is as wanted"),
        )
    }

    /// Calls a command that may be called again.
    fn persist(&self, site: &Door, command: &str, argument: &Value) -> Value {
        self.wait(command, || match site.call("tally", command, argument) {
            Ok(answer) => Some(answer),
            Err(fault) if is_down(&fault) || is_refused_write(&fault) => None,
            Err(fault) => panic!("{command}: {fault}"),
        })
    }

    fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.wait_or(look, || what.to_owned())
    }

    fn wait_or<T>(&self, mut look: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {}", what());
            (self.revive)();
            std::thread::sleep(Duration::from_millis(10)); // between two looks; no result hangs on it
        }
    }
}

/// Has alice of one site and bob of the other open a tally, so that their sites may talk; bob's address.
///
/// # Panics
/// When it does not come to that.
pub fn related(alice: &Site, bob: &Site) -> Value {
    alice.add_user("alice");
    bob.add_user("bob");
    let deal = Deal { stock: alice.door(), alice: "alice", foil: bob.door(), bob: "bob", revive: &|| {} };
    deal.make();
    alice.call("tally", "list", &json!({})).expect("tallies can be listed")[0]["partner"].clone()
}

/// Whether a call failed because the site is dead, so that nobody knows what came of it.
pub fn is_down(fault: &Fault) -> bool {
    matches!(fault.code.as_str(), "closed" | "not-running" | "system")
}

/// Whether a call failed because the disk refused: then nothing has come of it.
pub fn is_refused_write(fault: &Fault) -> bool {
    fault.code == "store" && fault.text.starts_with("nothing was changed: ")
}

/// Two running sites with a user each, alice and bob. Their keys are P-521, whose signatures are drawn at random.
///
/// # Panics
/// When they cannot be had.
pub fn alice_and_bob() -> [Site; 2] {
    ["alice", "bob"].map(|user| {
        let mut site = Site::new();
        site.start();
        site.command(&["user", "add", user]);
        site
    })
}
