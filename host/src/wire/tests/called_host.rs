//! The called side of a connection, in memory.

use super::{alice, bob};
use crate::wire::error::WireError;
use crate::wire::frame::{FrameReader, Packet};
use crate::wire::handshake::{AwaitingK, Listening, Opening};
use crate::wire::keys::Identity;
use crate::wire::transport::Open;

/// The called side, as a host would drive it.
pub(super) enum Called {
    Listening(Listening),
    AwaitingK(AwaitingK),
    Open(Open),
    Closed(WireError),
}

pub(super) struct CalledHost {
    pub(super) identity: Identity,
    pub(super) reader: FrameReader,
    pub(super) state: Called,
    pub(super) answer: Vec<u8>,
    pub(super) opening: Option<Vec<u8>>,
    pub(super) messages: Vec<Vec<u8>>,
}

impl CalledHost {
    pub(super) fn new(answer: &[u8]) -> Self {
        CalledHost {
            identity: bob(),
            reader: FrameReader::new(),
            state: Called::Listening(Listening::new()),
            answer: answer.to_vec(),
            opening: None,
            messages: Vec::new(),
        }
    }

    /// Takes bytes, gives bytes.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut scratch = bytes.to_vec();
        let mut out = Vec::new();
        let mut reader = std::mem::take(&mut self.reader);
        let mut packets = reader.packets(&mut scratch);
        loop {
            match packets.next() {
                Ok(Some(packet)) => out.extend(self.packet(packet)),
                Ok(None) => break,
                Err(error) => {
                    self.state = Called::Closed(error);
                    break;
                }
            }
        }
        drop(packets);
        self.reader = reader;
        out
    }

    fn packet(&mut self, packet: Packet<'_>) -> Vec<u8> {
        let state = std::mem::replace(&mut self.state, Called::Closed(WireError::Internal("gone")));
        let mut out = Vec::new();
        let next = match state {
            Called::Listening(state) => {
                state.receive(&self.identity, packet.kind, packet.body).and_then(|opening| match opening {
                    Opening::Claim(claim) => Ok(Called::AwaitingK(claim)),
                    Opening::Ticket(offered) => {
                        self.opening = Some(offered.payload().to_vec());
                        offered.accept(&self.answer).map(|(answer, open)| {
                            out = answer;
                            Called::Open(open)
                        })
                    }
                    Opening::Public(offered) => {
                        self.opening = Some(offered.payload().to_vec());
                        offered.accept(&self.answer).map(|(answer, open)| {
                            out = answer;
                            Called::Open(open)
                        })
                    }
                })
            }
            Called::AwaitingK(state) => state.receive(&self.identity, packet.kind, packet.body).and_then(|offered| {
                assert_eq!(offered.agent(), alice().agent());
                self.opening = Some(offered.payload().to_vec());
                offered.accept(&self.answer).map(|(answer, open)| {
                    out = answer;
                    Called::Open(open)
                })
            }),
            Called::Open(mut open) => {
                open.receive(packet).map(|message| message.map(|message| message.to_vec())).map(|message| {
                    self.messages.extend(message);
                    Called::Open(open)
                })
            }
            Called::Closed(error) => Err(error),
        };
        self.state = next.unwrap_or_else(Called::Closed);
        out
    }

    pub(super) fn open(&mut self) -> &mut Open {
        match &mut self.state {
            Called::Open(open) => open,
            Called::Closed(error) => panic!("closed: {error}"),
            _ => panic!("not open"),
        }
    }
}
