#![allow(clippy::unwrap_used)]
use super::super::bare::net;
use super::super::channel::{Out, Role};
use super::super::limits::AT_ONCE;
use super::super::release::Given;
use super::*;
use crate::ledger::outbox::OutboxRow;
use crate::wire::ext::Extensions;
use crate::wire::handshake::{Listening, Opening, dial_known};
use crate::wire::keys::Identity;
use async_std::future::timeout;
use async_std::net::TcpListener;
use async_std::prelude::*;
use async_std::task;
use std::sync::atomic::Ordering;
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

/// An open channel whose task has not run, and its peer's socket.
struct Opened {
    net: Arc<Net>,
    agent: AgentId,
    channel: Arc<Channel>,
    connection: Connection,
    peer: TcpStream,
}

async fn opened() -> Opened {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, address) = listener.accept().await.unwrap();
    let (net, identity) = (net(), Identity::from_seed(&[2; 32]));
    let agent = identity.agent().clone();
    let channel = Channel::new(1, Some(agent.clone()), address, Role::Responder, Extensions::ALL, net.now());
    let begun = Begun {
        stream,
        open: keys(&identity),
        reader: FrameReader::new(),
        first: Vec::new(),
        inputs: VecDeque::new(),
        place: net.channels().place(address.ip()).unwrap(),
    };
    let connection = Connection::new(Arc::clone(&net), Arc::clone(&channel), begun);
    Opened { net, agent, channel, connection, peer }
}

impl Opened {
    /// Lets out so many messages in one commit.
    fn let_out(&self, messages: usize) {
        let (mut given, row) = (Given::default(), row(&self.agent));
        (1..)
            .take(messages)
            .for_each(|mid| given.put(&self.channel, Out::Row { mid, row: Arc::clone(&row), attempt: 1 }));
        given.write(&self.net);
    }

    fn sent(&self) -> u64 {
        self.channel.frames.1.load(Ordering::Relaxed)
    }
}

#[test]
fn little_that_a_commit_lets_out_is_written_without_the_task_and_much_is_left_to_it() {
    task::block_on(async {
        let mut opened = opened().await;
        opened.let_out(1);
        assert_eq!((opened.sent(), opened.channel.queued()), (1, 0));
        let mut length = [0; 2];
        timeout(Duration::from_secs(20), opened.peer.read_exact(&mut length)).await.unwrap().unwrap();
        opened.let_out(AT_ONCE + 1);
        assert_eq!((opened.sent(), opened.channel.queued()), (1, AT_ONCE + 1));
        opened.channel.end_writing();
        opened.let_out(1);
        assert_eq!(opened.sent(), 1, "nothing is written once the task has ended");
    });
}

#[test]
fn what_the_socket_does_not_take_at_once_is_written_by_the_task_in_its_order() {
    task::block_on(async {
        let mut opened = opened().await;
        while opened.channel.queued() == 0 {
            opened.let_out(AT_ONCE);
        }
        let sent = opened.sent() + opened.channel.queued() as u64;
        let connection = task::spawn(opened.connection);
        let mut reader = FrameReader::new();
        let (mut frames, mut bytes) = (0, vec![0; 64 * 1_024]);
        while frames < sent {
            let read = timeout(Duration::from_secs(20), opened.peer.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "it closed after {frames} of {sent}");
            let mut packets = reader.packets(&mut bytes[..read]);
            while packets.next().unwrap().is_some() {
                frames += 1;
            }
        }
        assert_eq!(opened.channel.frames.1.load(Ordering::Relaxed), sent);
        opened.channel.close("that was all");
        assert_eq!(connection.await, "that was all");
    });
}

#[test]
fn a_channel_whose_peer_takes_nothing_more_can_be_closed() {
    task::block_on(async {
        // It never reads.
        let Opened { agent, channel, connection, peer: _peer, .. } = opened().await;
        let connection = task::spawn(connection);
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
