//! An event as it is given to handlers.

use std::ops::Deref;
use std::sync::OnceLock;
use tallyho_plugin::abi_adapt::event_to_bytes;
use tallyho_plugin::{Event, Fault};

/// An event with its header, the CBOR in which it crosses the ABI, made when first asked for: the checks made
/// beforehand, the handler and the journal all want the same bytes.
#[derive(Debug, Clone)]
pub struct Given {
    event: Event,
    header: OnceLock<Vec<u8>>,
}

impl Given {
    /// Everything but the body, as [`event_to_bytes`] has it.
    ///
    /// # Errors
    /// As there.
    pub fn header(&self) -> Result<&[u8], Fault> {
        if let Some(header) = self.header.get() {
            return Ok(header);
        }
        let (header, _) = event_to_bytes(&self.event)?;
        Ok(self.header.get_or_init(|| header))
    }

    /// The body of its message or command; of others none.
    pub fn body(&self) -> &[u8] {
        match &self.event {
            Event::Message(message) => &message.body,
            Event::Command(command) => &command.body,
            _ => &[],
        }
    }
}

impl From<Event> for Given {
    fn from(event: Event) -> Self {
        Given { event, header: OnceLock::new() }
    }
}

impl Deref for Given {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallyho_plugin::Command;
    use tallyho_plugin::abi_adapt::event_from_bytes;

    #[test]
    fn header_and_body_are_the_event_again() {
        let command = Command { name: "do".to_owned(), caller: Some("echo".to_owned()), body: vec![0xa0] };
        let event = Event::Command(command);
        let given = Given::from(event.clone());
        let made = given.header().unwrap().as_ptr();
        assert_eq!(event_from_bytes(given.header().unwrap(), given.body()), Ok(event));
        assert_eq!(given.header().unwrap().as_ptr(), made, "it is made once");
    }
}
