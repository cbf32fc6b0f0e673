//! What the frames between the host and the process of a plugin say.
//!
//! Both ends are this very program, so there are no versions. The host trusts nothing that comes from the process: each
//! part is taken out with its length checked, and what is left over is a mistake.

use super::channel::Broken;

/// What the host has the process do.
pub mod order {
    /// An event: the time, header and body.
    pub const HANDLE: u8 = 1;
    /// The checks of an event: header and body.
    pub const PREPARE: u8 = 2;
    /// A migration: the time, the state version.
    pub const MIGRATE: u8 = 3;
    /// The answer to a call of the host: bytes to the end of the frame.
    pub const ANSWER: u8 = 4;
    /// The fault of a call of the host.
    pub const FAULT: u8 = 5;
}

/// What the process says.
pub mod word {
    /// How far it has come with its start: JSON.
    pub const NOW: u8 = 1;
    /// Why it cannot serve: JSON.
    pub const REFUSED: u8 = 2;
    /// It serves: the manifest.
    pub const READY: u8 = 3;
    /// A call of the host, after effects.
    pub const ASK: u8 = 4;
    /// It is done, after effects: bytes to the end of the frame.
    pub const DONE: u8 = 5;
    /// The handler's fault, after effects.
    pub const FAULT: u8 = 6;
}

/// Calls of the host that return nothing, and are therefore handed over together.
pub mod effect {
    /// Table, key, value.
    pub const PUT: u8 = 1;
    /// Table, key.
    pub const DELETE: u8 = 2;
    /// Key, instant.
    pub const SET_TIMER: u8 = 3;
    /// Key.
    pub const CANCEL_TIMER: u8 = 4;
    /// User, what in CBOR.
    pub const NOTICE: u8 = 5;
    /// Level, one byte; the line.
    pub const LOG: u8 = 6;
    /// Name, how much.
    pub const METRIC: u8 = 7;
}

/// Calls of the host that are waited for.
pub mod ask {
    /// Table, key; the answer is 0, or 1 and the value.
    pub const GET: u8 = 1;
    /// Table, range in CBOR; rows as they cross the ABI.
    pub const SCAN: u8 = 2;
    /// The message in CBOR.
    pub const SEND: u8 = 3;
    /// Agent, key; 1 or 0.
    pub const WITHDRAW: u8 = 4;
    /// Plugin, command, argument; its answer.
    pub const INVOKE: u8 = 5;
    /// The check in CBOR; 1 or 0.
    pub const VERIFY: u8 = 6;
    /// The text; the signature.
    pub const SIGN_AGENT: u8 = 7;
    /// User, text; the signature.
    pub const SIGN_USER: u8 = 8;
    /// How many; as many bytes.
    pub const RANDOM: u8 = 9;
    /// The relation in CBOR.
    pub const RELATE: u8 = 10;
    /// User, subject, agent.
    pub const UNRELATE: u8 = 11;
    /// Nothing but the effects.
    pub const EFFECTS: u8 = 12;
}

/// Writes parts.
pub trait Put {
    /// A part of any length.
    fn part(&mut self, bytes: &[u8]);
    /// A number.
    fn number(&mut self, number: i64);
}

impl Put for Vec<u8> {
    fn part(&mut self, bytes: &[u8]) {
        // Longer ones make the frame too long, which is found out when it is sent.
        self.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.extend_from_slice(bytes);
    }

    fn number(&mut self, number: i64) {
        self.extend_from_slice(&number.to_le_bytes());
    }
}

/// Takes parts out of a frame.
#[derive(Clone, Copy)]
pub struct Parts<'f>(pub &'f [u8]);

impl<'f> Parts<'f> {
    /// One byte.
    ///
    /// # Errors
    /// `Bad` where the frame ends before, as for all of these.
    pub fn byte(&mut self) -> Result<u8, Broken> {
        let (byte, rest) = self.0.split_first().ok_or_else(ends)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// A number.
    ///
    /// # Errors
    /// As for `byte`.
    pub fn number(&mut self) -> Result<i64, Broken> {
        let (number, rest) = self.0.split_first_chunk::<8>().ok_or_else(ends)?;
        self.0 = rest;
        Ok(i64::from_le_bytes(*number))
    }

    /// A part of any length.
    ///
    /// # Errors
    /// As for `byte`.
    pub fn part(&mut self) -> Result<&'f [u8], Broken> {
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or_else(ends)?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(ends)?;
        self.0 = rest;
        Ok(part)
    }

    /// A part that is text.
    ///
    /// # Errors
    /// As for `byte`, and where it is none.
    pub fn text(&mut self) -> Result<&'f str, Broken> {
        std::str::from_utf8(self.part()?).map_err(|_| Broken::Bad("a name is no text".to_owned()))
    }

    /// A part in CBOR.
    ///
    /// # Errors
    /// As for `byte`, and where it is none of a `T`.
    pub fn cbor<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Broken> {
        ciborium::from_reader(self.part()?).map_err(|error| Broken::Bad(format!("a part cannot be read: {error}")))
    }

    /// Nothing is left.
    ///
    /// # Errors
    /// `Bad` where something is.
    pub fn end(self) -> Result<(), Broken> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(Broken::Bad(format!("{left} bytes more than expected"))),
        }
    }
}

fn ends() -> Broken {
    Broken::Bad("a frame ends too early".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_is_left(parts: Vec<(Vec<u8>, i64, String)>) {
            let mut frame = Vec::new();
            for (bytes, number, text) in &parts {
                frame.part(bytes);
                frame.number(*number);
                frame.part(text.as_bytes());
            }
            let mut read = Parts(&frame);
            for (bytes, number, text) in &parts {
                prop_assert_eq!(read.part().unwrap(), bytes.as_slice());
                prop_assert_eq!(read.number().unwrap(), *number);
                prop_assert_eq!(read.text().unwrap(), text.as_str());
            }
            prop_assert!(read.end().is_ok());
        }

        #[test]
        fn any_bytes_are_parts_or_a_fault(bytes: Vec<u8>, kinds: Vec<u8>) {
            let mut read = Parts(&bytes);
            for kind in kinds {
                let _ = match kind % 5 {
                    0 => read.byte().map(drop),
                    1 => read.number().map(drop),
                    2 => read.part().map(drop),
                    3 => read.text().map(drop),
                    _ => read.cbor::<serde_json::Value>().map(drop),
                };
            }
            prop_assert_eq!(read.end().is_ok(), read.0.is_empty());
        }
    }
}
