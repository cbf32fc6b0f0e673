//! Services for handlers that are run without a host.

use serde_json::Value;
use std::collections::BTreeMap;
use tallyho_plugin::Fault;
use tallyho_plugin::record::{AgentId, Timestamp};
use tallyho_plugin::services::{Check, LogLevel, Outgoing, Range, Relation, Row, Services};

/// Takes everything, keeps nothing, has nothing.
pub struct NoServices;

/// Keeps rows and messages; for all else as [`NoServices`].
#[derive(Default)]
pub struct SmallServices {
    /// Rows by table and key.
    pub rows: BTreeMap<(String, Vec<u8>), Vec<u8>>,
    /// Messages sent.
    pub sent: Vec<Outgoing>,
}

/// The services that neither keeps.
macro_rules! other_services_keep_nothing {
    () => {
        fn scan(&mut self, _: &str, _: &Range) -> Result<Vec<Row>, Fault> {
            Ok(Vec::new())
        }
        fn delete(&mut self, _: &str, _: &[u8]) -> Result<(), Fault> {
            Ok(())
        }
        fn withdraw(&mut self, _: &AgentId, _: &str) -> Result<bool, Fault> {
            Ok(false)
        }
        fn notice(&mut self, _: &str, _: &Value) -> Result<(), Fault> {
            Ok(())
        }
        fn set_timer(&mut self, _: &str, _: Timestamp) -> Result<(), Fault> {
            Ok(())
        }
        fn cancel_timer(&mut self, _: &str) -> Result<(), Fault> {
            Ok(())
        }
        fn invoke(&mut self, plugin: &str, command: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
            Err(Fault::not_found(format!("{plugin} {command} is not here")))
        }
        fn verify(&mut self, _: &Check) -> bool {
            false
        }
        fn sign_agent(&mut self, _: &[u8]) -> Result<Vec<u8>, Fault> {
            Err(Fault::not_found("no keys here"))
        }
        fn sign_user(&mut self, _: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
            Err(Fault::not_found("no keys here"))
        }
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn random(&mut self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
        fn log(&mut self, _: LogLevel, _: &str) {}
        fn metric(&mut self, _: &str, _: i64) {}
        fn relate(&mut self, _: &Relation) -> Result<(), Fault> {
            Ok(())
        }
        fn unrelate(&mut self, _: &str, _: &str, _: &AgentId) -> Result<(), Fault> {
            Ok(())
        }
    };
}

impl Services for SmallServices {
    fn get(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.rows.get(&(table.to_owned(), key.to_owned())).cloned())
    }
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.rows.insert((table.to_owned(), key.to_owned()), value.to_owned());
        Ok(())
    }
    fn send(&mut self, message: &Outgoing) -> Result<(), Fault> {
        self.sent.push(message.clone());
        Ok(())
    }
    other_services_keep_nothing!();
}

impl Services for NoServices {
    fn get(&mut self, _: &str, _: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
    fn put(&mut self, _: &str, _: &[u8], _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
    fn send(&mut self, _: &Outgoing) -> Result<(), Fault> {
        Ok(())
    }
    other_services_keep_nothing!();
}
