//! What comes of a command.

use serde_json::Value;
use tallyho_plugin::Fault;

use super::limits::ANSWER_AT_ONCE;

/// A command's answer.
#[derive(Debug)]
pub enum Answer {
    /// As it is.
    Read(Result<Value, Fault>),
    /// As the handler has written it, in CBOR; nothing for `null`.
    Encoded(Vec<u8>),
}

/// Told a command's answer once its effects are durable, on whichever thread that is known first: it must not block.
/// Dropped untold where that will not be known.
pub type Tell = Box<dyn FnOnce(Answer) + Send>;

impl Answer {
    /// What it says.
    ///
    /// # Errors
    /// The command's fault, or that the handler's answer cannot be read.
    pub fn read(self) -> Result<Value, Fault> {
        match self {
            Answer::Read(result) => result,
            Answer::Encoded(bytes) if bytes.is_empty() => Ok(Value::Null),
            Answer::Encoded(bytes) => ciborium::from_reader(bytes.as_slice())
                .map_err(|error| Fault::failed(format!("an answer cannot be read: {error}"))),
        }
    }

    /// Whether whoever brings it may read it and hand it on.
    pub(super) fn is_small(&self) -> bool {
        match self {
            Answer::Read(Ok(_)) => true,
            Answer::Read(Err(fault)) => fault.text.len() <= ANSWER_AT_ONCE,
            Answer::Encoded(bytes) => bytes.len() <= ANSWER_AT_ONCE,
        }
    }
}
