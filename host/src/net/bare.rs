//! A network for tests of one connection: no listener, no ledger, nobody known.

use super::channels::Bounds;
use super::{Net, NetParts};
use crate::node::SystemClock;
use crate::wire::keys::Identity;
use std::sync::Arc;
use tallyho_plugin::record::Chad;

/// The network of the agent whose seed is all ones.
pub(super) fn net() -> Arc<Net> {
    let identity = Identity::from_seed(&[1; 32]);
    let own = Chad::agent(identity.agent().clone());
    let parts = NetParts {
        identity,
        own,
        relations: Arc::default(),
        addresses: Arc::default(),
        users: Arc::default(),
        clock: Arc::new(SystemClock),
        online: true,
        bounds: Bounds::default(),
    };
    Net::new(parts, 1)
}
