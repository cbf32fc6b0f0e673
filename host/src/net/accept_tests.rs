#![allow(clippy::unwrap_used)]
use super::super::NetParts;
use super::super::channels::Bounds;
use super::*;
use crate::node::SystemClock;
use crate::site::relations::{Granted, RelationChange, RelationRegistry};
use crate::wire::frame::write_frame;
use crate::wire::handshake::dial_known;
use crate::wire::keys::Identity;
use async_std::io::{ReadExt, WriteExt};
use tallyho_plugin::record::Chad;
use tallyho_plugin::services::Relation;

/// A listening site that is related to this peer and remembers one opening packet.
async fn site(peer: &AgentId) -> (Arc<Net>, SocketAddr) {
    let identity = Identity::from_seed(&[1; 32]);
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
    let parts = NetParts {
        own: Chad::agent(identity.agent().clone()),
        identity,
        relations: Arc::new(relations),
        addresses: Arc::default(),
        users: Arc::default(),
        clock: Arc::new(SystemClock),
        online: true,
        bounds: Bounds { openings: 1, ..Bounds::default() },
    };
    let net = Net::new(parts, 1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn(listen(Arc::clone(&net), listener));
    (net, address)
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
