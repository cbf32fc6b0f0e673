//! Users of other sites, made up by a test.

use super::state::Sent;
use super::{Envelope, Site, dice};
use crate::Fault;
use crate::record::{AgentId, Chad};
use crate::services::Relation;
use serde_json::Value;

/// A user of another site, with keys of its own. There is no handler at that site: what it says, the test says.
pub struct Peer {
    site: Site,
    cuid: String,
}

impl Peer {
    fn new(cuid: &str) -> Self {
        Peer { site: Site::new(dice::seed(&[b"peer", cuid.as_bytes()])).user(cuid), cuid: cuid.to_owned() }
    }

    /// The address.
    pub fn chad(&self) -> Chad {
        self.site.chad(&self.cuid)
    }

    /// The agent's id.
    pub fn agent(&self) -> AgentId {
        self.site.agent()
    }

    /// The certificate.
    pub fn certificate(&self) -> Value {
        self.site.certificate(&self.cuid)
    }

    /// The user's signature over this text in base64url, as records carry it.
    pub fn sign(&self, text: &str) -> String {
        // `new` has made the user.
        self.site.keys.users.get(&self.cuid).map(|user| user.key.sign(text)).unwrap_or_default()
    }
}

impl Site {
    /// Somebody at another site, who may not talk to anybody here. The same name gives the same keys.
    pub fn stranger(&self, cuid: &str) -> Peer {
        Peer::new(cuid)
    }

    /// Somebody at another site who may talk with `user` about `subject`, which is a tally's uuid or another
    /// word, as if another handler had granted it.
    pub fn partner(&mut self, cuid: &str, user: &str, subject: &str) -> Peer {
        let peer = Peer::new(cuid);
        let (user, subject) = (user.to_owned(), subject.to_owned());
        let key = (user.clone(), subject.clone(), peer.agent());
        let (partner, agent) = (cuid.to_owned(), peer.agent());
        let relation = Relation { user, subject, partner, agent, host: None, port: None, until: None };
        self.made_up.insert(key.clone());
        self.state.relations.insert(key, relation);
        peer
    }

    /// Delivers `target/action` with this object from `peer` to `user` (empty: to the agent itself), after the
    /// checks that a host makes; the messages that came of it, which also wait in the outbox.
    ///
    /// # Errors
    /// As for [`Site::deliver`].
    ///
    /// # Panics
    /// Where `verb` has no `/`.
    pub fn hear(&mut self, peer: &Peer, user: &str, verb: &str, object: Value) -> Result<Vec<Sent>, Fault> {
        let to = if user.is_empty() { self.address() } else { self.chad(user) };
        let before = self.state.sent;
        self.deliver(&Envelope::new(&peer.chad(), &to, verb, &object))?;
        Ok(self.sent().iter().filter(|sent| sent.id > before).cloned().collect())
    }
}
