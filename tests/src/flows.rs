//! What two people do to come to a tally, as commands.

use crate::site::Site;
use serde_json::Value;

/// A ticket of `user`'s, as the link that is handed over.
pub fn ticket(issuer: &Site, user: &str) -> String {
    let ticket = issuer.command(&["ticket", "new", "--user", user, "--memo", "Bread account", "--agree", "bread"]);
    ticket["link"].as_str().expect("a ticket has a link").to_owned()
}

/// The first tally of `user` in this state, once there is one.
pub fn tally_in(site: &Site, user: &str, state: &str) -> String {
    let list = site.until(&["tally", "list", "--user", user], |list| find(list, state).is_some());
    find(&list, state).expect("it was just there")
}

fn find(list: &Value, state: &str) -> Option<String> {
    let tallies = list.as_array()?;
    let tally = tallies.iter().find(|tally| tally["state"] == state)?;
    Some(tally["uuid"].as_str()?.to_owned())
}

/// From a ticket to an offer on the other side; the tally's uuid.
pub fn offered(stock: &Site, alice: &str, foil: &Site, bob: &str) -> String {
    let link = ticket(stock, alice);
    let used = foil.command(&["ticket", "use", &link, "--user", bob]);
    assert_eq!(used["accepted"], true, "{used}");
    let draft = tally_in(stock, alice, "P.draft");
    let uuid = offer(stock, alice, &draft);
    foil.until(&["tally", "list", "--user", bob], |list| find(list, "P.offer").as_deref() == Some(&uuid));
    // Its site may hear later than the other that it has arrived; a test may kill it next.
    stock.until(&["tally", "show", &uuid, "--user", alice], |show| show["state"] == "H.offer");
    uuid
}

/// Offers a draft; the uuid it is offered under.
pub fn offer(site: &Site, user: &str, draft: &str) -> String {
    let offered = site.command(&["tally", "offer", draft, "--user", user]);
    offered["uuid"].as_str().expect("an offer has a uuid").to_owned()
}

/// Both halves open and confirmed, with the same hash.
///
/// # Panics
/// When they never come to be.
pub fn both_open(stock: &Site, alice: &str, foil: &Site, bob: &str, uuid: &str) {
    let confirmed = |show: &Value| show["state"] == "open" && show["conf"] == 0;
    let one = stock.until(&["tally", "show", uuid, "--user", alice], confirmed);
    let other = foil.until(&["tally", "show", uuid, "--user", bob], confirmed);
    let hash = |show: &Value| show["record"]["sign"]["hash"].clone();
    assert!(hash(&one).is_string());
    assert_eq!(hash(&one), hash(&other));
    assert_eq!(one["record"], other["record"]);
}
