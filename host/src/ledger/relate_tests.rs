//! What granting a relation does beside: its bound, and the address it hints at.
#![allow(clippy::unwrap_used)]

use super::buffer::Buffer;
use super::host::{Host, HostCall};
use super::services::EventServices;
use super::table::PluginTable;
use super::verify::Checked;
use crate::site::addresses::{self, Source};
use crate::store::{MemoryStore, Store};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use tallyho_plugin::record::{AgentId, Chad, Timestamp};
use tallyho_plugin::services::{Relation, Services};
use tallyho_plugin::{Fault, FaultKind};

struct Site {
    agent: AgentId,
    room: AtomicBool,
}

impl Host for Site {
    fn agent(&self) -> &AgentId {
        &self.agent
    }
    fn sign_agent(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn sign_user(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::refused("nobody signs here"))
    }
    fn has_room(&self) -> bool {
        self.room.load(Ordering::Relaxed)
    }
    fn command(&self, _: &mut HostCall<'_, '_>, name: &str, _: &[u8]) -> Result<Vec<u8>, Fault> {
        Err(Fault::not_found(name.to_owned()))
    }
}

#[test]
fn a_full_site_takes_no_new_relation_but_renews_and_ends_those_it_has() {
    let site = Site { agent: AgentId::from_bytes(&[1; 32]), room: true.into() };
    let (table, checked) = (PluginTable::default(), Checked::new());
    let mut store = MemoryStore::new();
    let mut transaction = store.begin().unwrap();
    let buffer = Buffer::new(&mut *transaction);
    let mut services = EventServices::new(buffer, &table, &site, &checked, Timestamp(0), [0; 32]);
    let asked = Cell::new(0);
    let relation = |subject: &str| {
        asked.set(asked.get() + 1);
        Relation {
            user: "alice".to_owned(),
            subject: subject.to_owned(),
            partner: "bob".to_owned(),
            agent: AgentId::from_bytes(&[2; 32]),
            host: None,
            port: None,
            until: Some(Timestamp(asked.get())),
        }
    };
    services.relate(&relation("old")).unwrap();
    site.room.store(false, Ordering::Relaxed);
    let fault = services.relate(&relation("new")).unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Host, "full"));
    services.relate(&relation("old")).unwrap();
    services.unrelate("alice", "old", &AgentId::from_bytes(&[2; 32])).unwrap();
    assert_eq!(services.relate(&relation("old")).unwrap_err().code, "full");
}

#[test]
fn the_address_in_an_old_certificate_does_not_replace_a_newer_one() {
    let site = Site { agent: AgentId::from_bytes(&[1; 32]), room: true.into() };
    let (table, checked) = (PluginTable::default(), Checked::new());
    let mut store = MemoryStore::new();
    let mut transaction = store.begin().unwrap();
    let agent = AgentId::from_bytes(&[2; 32]);
    let buffer = Buffer::new(&mut *transaction);
    let mut services = EventServices::new(buffer, &table, &site, &checked, Timestamp(9_000), [0; 32]);
    let relation = |until| Relation {
        user: "alice".to_owned(),
        subject: "t".to_owned(),
        partner: "bob".to_owned(),
        agent: agent.clone(),
        host: Some("old.example".to_owned()),
        port: Some(1),
        until,
    };
    let dialled = |services: &mut EventServices<'_>| {
        let known = addresses::get(&mut services.buffer, &agent).unwrap();
        known.and_then(|known| known.endpoint().map(|endpoint| endpoint.host.clone()))
    };
    // Where nothing else is known it is better than nothing.
    services.relate(&relation(None)).unwrap();
    assert_eq!(dialled(&mut services).as_deref(), Some("old.example"));
    let moved = Chad::user("bob", agent.clone()).at("new.example", 2);
    addresses::news(&mut services.buffer, &moved, Source::Message, Timestamp(9_000)).unwrap();
    // The tally goes void: its certificate is no newer for that.
    services.relate(&relation(Some(Timestamp(10_000)))).unwrap();
    assert_eq!(dialled(&mut services).as_deref(), Some("new.example"));
}
