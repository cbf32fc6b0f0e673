#![allow(clippy::unwrap_used)]
use super::super::bare::net;
use super::super::channel::Role;
use super::*;
use crate::ledger::outbox::OutboxRow;
use crate::wire::ext::Extensions;
use crate::wire::handshake::{Listening, Opening, dial_known};
use crate::wire::keys::Identity;
use async_std::future::timeout;
use async_std::net::TcpListener;
use async_std::task;
use std::time::Duration;
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{Keep, Outgoing, Schedule};

/// The keys of a channel that the peer has opened.
fn keys(peer: &Identity) -> Open {
    let own = Identity::from_seed(&[1; 32]);
    let (mut sent, _) = dial_known(peer, own.agent(), b"").unwrap();
    let mut reader = FrameReader::new();
    let mut packets = reader.packets(&mut sent);
    let packet = packets.next().unwrap().unwrap();
    let Opening::Claim(claim) = Listening::new().receive(&own, packet.kind, packet.body).unwrap() else { panic!() };
    let packet = packets.next().unwrap().unwrap();
    claim.receive(&own, packet.kind, packet.body).unwrap().accept(b"").unwrap().1
}

fn row(agent: &AgentId) -> Arc<OutboxRow> {
    let mut object = Vec::new();
    ciborium::into_writer(&serde_json::json!({ "text": "x".repeat(50_000) }), &mut object).unwrap();
    let message = Outgoing {
        to: Chad::user("bob", agent.clone()),
        from: "alice".to_owned(),
        target: "tally".to_owned(),
        action: "offer".to_owned(),
        object,
        tally: None,
        ticket: None,
        key: String::new(),
        schedule: Schedule::Request,
        keep: Keep::HandedOver,
        report: false,
        restricted: false,
    };
    Arc::new(OutboxRow { plugin: "tally".to_owned(), message, created: Timestamp(0), handed: false })
}

#[test]
fn a_channel_whose_peer_takes_nothing_more_can_be_closed() {
    task::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // It never reads.
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, address) = listener.accept().await.unwrap();
        let (net, peer) = (net(), Identity::from_seed(&[2; 32]));
        let agent = peer.agent().clone();
        let channel = Channel::new(1, Some(agent.clone()), address, Role::Responder, Extensions::ALL, net.now());
        let place = net.channels().place(address.ip()).unwrap();
        let begun = Begun {
            stream,
            open: keys(&peer),
            reader: FrameReader::new(),
            first: Vec::new(),
            inputs: VecDeque::new(),
            place,
        };
        let connection = task::spawn(Connection::new(Arc::clone(&net), Arc::clone(&channel), begun));
        let row = row(&agent);
        for mid in 1..=400 {
            channel.send(Out::Row { mid, row: Arc::clone(&row), attempt: 1 });
        }
        while channel.stalled_since().is_none() {
            task::yield_now().await;
        }
        // What is sent meanwhile takes the task's place among those to be told.
        channel.send(Out::Row { mid: 401, row, attempt: 1 });
        channel.close("it takes nothing");
        let why = timeout(Duration::from_secs(20), connection).await.expect("the task hears of it");
        assert_eq!(why, "it takes nothing");
    });
}
