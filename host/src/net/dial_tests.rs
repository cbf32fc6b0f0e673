#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::bare;
use super::*;
use crate::wire::keys::Identity;
use async_std::io::ReadExt;
use async_std::net::TcpListener;
use async_std::task;
use rustix::net::sockopt::set_socket_linger;
use std::time::Duration;
use tallyho_plugin::record::Timestamp;
use tallyho_plugin::services::{Keep, Outgoing, Schedule};

/// What a caller makes of an issuer that does this with its connection.
async fn called(issuer: impl FnOnce(TcpStream) + Send + 'static) -> DialError {
    let net = bare::net();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let agent = Identity::from_seed(&[2; 32]).agent().clone();
    let to = Chad { host: Some("127.0.0.1".to_owned()), port: Some(port), ..Chad::agent(agent) };
    let message = Outgoing {
        to: to.clone(),
        from: "bob".to_owned(),
        target: "tally".to_owned(),
        action: "ticket".to_owned(),
        object: Vec::new(),
        tally: None,
        ticket: Some(serde_json::json!({ "token": "t" })),
        key: String::new(),
        schedule: Schedule::Ticket,
        keep: Keep::HandedOver,
        report: true,
        restricted: false,
    };
    let row = OutboxRow { plugin: "tally".to_owned(), message, created: Timestamp(0), handed: false };
    let serving = task::spawn(async move { issuer(listener.accept().await.unwrap().0) });
    let Err(error) = call(&net, &to, 1, &row, 1, &mut false).await else { panic!("nobody has answered") };
    serving.await;
    error
}

#[test]
fn an_issuer_that_reads_and_closes_has_refused() {
    task::block_on(async {
        let error = called(|mut stream| {
            // As much as the packet has: what is left unread would have the connection reset.
            let mut length = [0; 4];
            task::block_on(async {
                stream.read_exact(&mut length).await.unwrap();
                let mut packet = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut packet).await.unwrap();
            });
        })
        .await;
        assert!(matches!(error, DialError::Closed { .. }), "{error}");
    });
}

#[test]
fn an_issuer_that_turns_its_caller_away_unread_is_out_of_reach() {
    task::block_on(async {
        let error = called(|stream| set_socket_linger(&stream, Some(Duration::ZERO)).unwrap()).await;
        assert!(matches!(error, DialError::Unreachable { .. }), "{error}");
    });
}
