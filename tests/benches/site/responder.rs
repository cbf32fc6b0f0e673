//! A real network and ledger on loopback, with the handler that does nothing.

use crate::noop::Noop;
use async_std::net::TcpListener;
use async_std::task;
use std::sync::Arc;
use tallyho::ledger::core::Parts;
use tallyho::ledger::host::{Host, HostCall};
use tallyho::ledger::seeds::Seeds;
use tallyho::ledger::{Ledger, PluginTable};
use tallyho::net::channels::Bounds;
use tallyho::net::{Net, NetParts, ToNet};
use tallyho::node::SystemClock;
use tallyho::plugin::StaticPlugin;
use tallyho::site::books::{AddressBook, UserBook};
use tallyho::site::relations::{Granted, RelationChange, RelationRegistry};
use tallyho::store::Store;
use tallyho::wire::Identity;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::services::Relation;

/// Our user, the user at every peer, and the tally between them.
pub const USER: &str = "alice";
pub const PARTNER: &str = "bob";
pub const TALLY: &str = "1e4d2cc3-5c3c-5a51-bd63-06d2c2f41ae7";

/// A site that listens.
pub struct Responder {
    pub own: Chad,
    pub net: Arc<Net>,
    pub ledger: Arc<Ledger>,
}

/// This site's key; peers have other numbers.
pub fn identity() -> Identity {
    Identity::from_seed(&[0xaa; 32])
}

/// A peer's key.
pub fn peer(number: u32) -> Identity {
    let mut seed = [0x55; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    Identity::from_seed(&seed)
}

/// Relations with these peers.
pub fn known(peers: impl IntoIterator<Item = AgentId>) -> Arc<RelationRegistry> {
    let relations = Arc::new(RelationRegistry::new());
    relations.apply(peers.into_iter().map(|agent| RelationChange::Granted(related(agent))));
    relations
}

/// A site that knows these peers, on a port of its own.
pub fn responder(store: Box<dyn Store>, peers: impl IntoIterator<Item = AgentId>) -> Responder {
    let relations = known(peers);
    let users = Arc::new(UserBook::default());
    users.add(USER);
    let listener = task::block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let port = listener.local_addr().expect("a listener has an address").port();
    let own = Chad::agent(identity().agent().clone()).at("127.0.0.1", port);
    let clock = Arc::new(SystemClock);
    // Bounds against crowds would only measure themselves here.
    let bounds =
        Bounds { connections: 20_000, per_address: 20_000, half_open: 20_000, idle_ms: 600_000, ..Bounds::default() };
    let net = Net::new(
        NetParts {
            identity: identity(),
            own: own.clone(),
            relations: Arc::clone(&relations),
            addresses: Arc::new(AddressBook::default()),
            users,
            clock: clock.clone(),
            bounds,
            online: true,
        },
        1,
    );
    let ledger =
        Ledger::start(parts(store, relations), clock, Arc::new(ToNet::new(&net))).expect("an empty store opens");
    net.serve(Arc::clone(&ledger), Some(listener));
    Responder { own, net, ledger }
}

/// What a ledger with the handler that does nothing is made of.
pub fn parts(store: Box<dyn Store>, relations: Arc<RelationRegistry>) -> Parts {
    let plugin = StaticPlugin::<Noop>::create().expect("the handler can be made");
    let table = PluginTable::default().with(Arc::new(plugin)).expect("the table is empty");
    let table = Arc::new(Arc::new(table).into());
    let mut seeds = Seeds::new();
    Parts {
        store,
        table,
        host: Arc::new(Keyless(identity().agent().clone())),
        relations,
        seeds: Box::new(move || seeds.draw()),
    }
}

fn related(agent: AgentId) -> Granted {
    let relation = Relation {
        user: USER.to_owned(),
        subject: TALLY.to_owned(),
        agent,
        partner: PARTNER.to_owned(),
        host: None,
        port: None,
        until: None,
    };
    Granted { plugin: "noop".to_owned(), relation }
}

/// A host without keys.
struct Keyless(AgentId);

impl Host for Keyless {
    fn agent(&self) -> &AgentId {
        &self.0
    }
    fn sign_agent(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn sign_user(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::not_found("no keys here"))
    }
    fn command(&self, _: &mut HostCall<'_, '_>, name: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::not_found(format!("no command {name} here")))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.net.stop();
        self.ledger.stop();
    }
}
