//! Packets of a handshake over a socket, each with a deadline.

use crate::wire::error::WireError;
use crate::wire::frame::{FrameReader, Kind};
use async_std::future::timeout;
use async_std::io::ReadExt;
use async_std::net::TcpStream;
use std::time::Duration;

/// Why a handshake ended early.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer did something wrong.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer has read what came before, and closed.
    #[error("the connection was closed before the handshake was done")]
    Gone,
    /// The network broke, or the peer threw away what had come without reading it.
    #[error("the connection was broken off before the handshake was done")]
    Broken,
    /// The peer took too long.
    #[error("no valid packet in time")]
    Late,
}

/// The next packet, if it comes in time.
///
/// # Errors
/// [`HandshakeError`].
pub async fn packet(
    stream: &mut TcpStream,
    reader: &mut FrameReader,
    patience: Duration,
) -> Result<(Kind, Vec<u8>), HandshakeError> {
    timeout(patience, next(stream, reader)).await.unwrap_or(Err(HandshakeError::Late))
}

async fn next(stream: &mut TcpStream, reader: &mut FrameReader) -> Result<(Kind, Vec<u8>), HandshakeError> {
    if let Some(packet) = taken(reader, &mut [])? {
        return Ok(packet);
    }
    let mut buffer = vec![0; 4_096];
    loop {
        let length = stream.read(&mut buffer).await.map_err(|_| HandshakeError::Broken)?;
        if length == 0 {
            return Err(HandshakeError::Gone);
        }
        if let Some(packet) = taken(reader, &mut buffer[..length])? {
            return Ok(packet);
        }
    }
}

/// One whole packet, if there is one; what follows it stays in the reader.
fn taken(reader: &mut FrameReader, received: &mut [u8]) -> Result<Option<(Kind, Vec<u8>)>, WireError> {
    let mut packets = reader.packets(received);
    Ok(packets.next()?.map(|packet| (packet.kind, packet.body.to_vec())))
}
