#![allow(clippy::unwrap_used)]
use super::super::NetParts;
use super::super::channels::Bounds;
use super::super::limits::PUBLIC_PER_MINUTE;
use super::*;
use crate::ledger::thread::Clock;
use crate::node::SystemClock;
use crate::site::relations::{Granted, RelationChange, RelationRegistry};
use crate::wire::frame::write_frame;
use crate::wire::handshake::dial_known;
use crate::wire::keys::Identity;
use async_std::io::{ReadExt, WriteExt};
use std::sync::atomic::{AtomicI64, Ordering};
use tallyho_plugin::record::{Chad, Timestamp};
use tallyho_plugin::services::Relation;

fn with_clock(clock: Arc<dyn Clock>, relations: RelationRegistry) -> Arc<Net> {
    with(clock, relations, Bounds { openings: 1, ..Bounds::default() })
}

fn with_bounds(bounds: Bounds) -> Arc<Net> {
    with(Arc::new(SystemClock), RelationRegistry::new(), bounds)
}

fn with(clock: Arc<dyn Clock>, relations: RelationRegistry, bounds: Bounds) -> Arc<Net> {
    let identity = Identity::from_seed(&[1; 32]);
    let parts = NetParts {
        own: Chad::agent(identity.agent().clone()),
        identity,
        relations: Arc::new(relations),
        addresses: Arc::default(),
        users: Arc::default(),
        clock,
        online: true,
        bounds,
    };
    Net::new(parts, 1)
}

/// A listening site that is related to this peer and remembers one opening packet.
async fn site(peer: &AgentId) -> (Arc<Net>, SocketAddr) {
    let relation = Relation {
        user: "alice".to_owned(),
        subject: "t".to_owned(),
        partner: "bob".to_owned(),
        agent: peer.clone(),
        host: None,
        port: None,
        until: None,
    };
    let relations = RelationRegistry::new();
    relations.apply([RelationChange::Granted(Granted { plugin: "tally".to_owned(), relation })]);
    let net = with_clock(Arc::new(SystemClock), relations);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn(listen(Arc::clone(&net), listener));
    (net, address)
}

/// Stands where it is set.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Whether these bytes are answered, before the site closes.
async fn answered(address: SocketAddr, opening: &[u8]) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(opening).await.unwrap();
    let mut first = [0; 1];
    stream.read(&mut first).await.is_ok_and(|length| length == 1)
}

#[test]
fn garbage_does_not_make_a_site_forget_the_opening_packets_it_has_accepted() {
    task::block_on(async {
        let peer = Identity::from_seed(&[2; 32]);
        let (net, address) = site(peer.agent()).await;
        let (opening, _) = dial_known(&peer, &net.own().agent, b"").unwrap();
        assert!(answered(address, &opening).await);
        for kind in [Kind::I, Kind::R] {
            let mut garbage = Vec::new();
            write_frame(&mut garbage, kind, &[7; 200]).unwrap();
            assert!(!answered(address, &garbage).await);
        }
        assert!(!answered(address, &opening).await, "a recorded opening packet is taken a second time");
    });
}

/// How a connection ends that has sent this: closed after reading, or broken off.
async fn ended(address: SocketAddr, opening: &[u8]) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(opening).await?;
    stream.read(&mut [0; 1]).await
}

#[test]
fn a_caller_without_a_place_or_banned_is_turned_away_unread_and_one_that_is_refused_is_not() {
    task::block_on(async {
        let peer = Identity::from_seed(&[2; 32]);
        let (_, address) = site(peer.agent()).await;
        let mut garbage = Vec::new();
        write_frame(&mut garbage, Kind::I, &[7; 200]).unwrap();
        // Five strikes, each after a silent end; then the ban.
        for n in 0..5 {
            assert_eq!(ended(address, &garbage).await.unwrap(), 0, "{n}");
        }
        assert!(ended(address, &garbage).await.is_err());
        let net = with_bounds(Bounds { per_address: 0, ..Bounds::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        task::spawn(listen(net, listener));
        assert!(ended(address, &garbage).await.is_err());
    });
}

#[test]
fn a_site_that_is_stopping_takes_no_more_connections() {
    task::block_on(async {
        let peer = Identity::from_seed(&[2; 32]);
        let (net, address) = site(peer.agent()).await;
        let opening = || dial_known(&peer, &net.own().agent, b"").unwrap().0;
        assert!(answered(address, &opening()).await);
        net.stop();
        assert!(!answered(address, &opening()).await);
    });
}

#[test]
fn a_clock_set_back_does_not_keep_strangers_out() {
    let hour = 3_600_000;
    let clock = Arc::new(Hand(AtomicI64::new(10 * hour)));
    let net = with_clock(clock.clone(), RelationRegistry::new());
    let stranger = [192, 0, 2, 1].into();
    let all = (0..=PUBLIC_PER_MINUTE).filter(|_| net.public_request(stranger)).count();
    assert_eq!(all, PUBLIC_PER_MINUTE as usize);
    clock.0.store(9 * hour, Ordering::Relaxed);
    assert!(net.public_request(stranger));
}
