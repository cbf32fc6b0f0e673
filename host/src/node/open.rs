//! Opening a site, serving it, stopping it.

use super::founding::found;
use super::host::SiteHost;
use super::loading::load_plugins;
use super::notices::Watchers;
use super::plugins::Plugins;
use super::sweeping::{PAUSE, sweep};
use super::{SystemClock, views};
use crate::control::Operator;
use crate::control::server::Server;
use crate::crash::crash_point;
use crate::ledger::Ledger;
use crate::ledger::buffer::Buffer;
use crate::ledger::core::{Parts, StateError};
use crate::ledger::seeds::Seeds;
use crate::ledger::table::Clash;
use crate::ledger::thread::LedgerError;
use crate::net::channels::Bounds;
use crate::net::limits::{STRANGERS_PER_ADDRESS, STRANGERS_SHARE};
use crate::net::{self, Net, NetParts, ToNet};
use crate::plugin::LoadError;
use crate::site::addresses::Known;
use crate::site::backup;
use crate::site::books::{AddressBook, UserBook};
use crate::site::config::{Config, ConfigError};
use crate::site::endpoint::Endpoint;
use crate::site::home::{Home, HomeError, HomeLock};
use crate::site::keys::{KeyFolder, KeyRing, KeysError};
use crate::site::relations::RelationRegistry;
use crate::site::{addresses, users};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::wire::keys::Identity;
use arc_swap::ArcSwap;
use async_std::net::TcpListener;
use async_std::task;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tallyho_plugin::record::{AgentId, Chad};

/// The handlers a site runs unless told otherwise.
pub const STANDARD: [&str; 5] = ["tally", "chit", "route", "lift", "referee"];

/// How a site is run.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// Where others are let in, instead of what the configuration says.
    pub listen: Option<Endpoint>,
    /// A folder of plugins to be looked into first.
    pub plugins: Option<PathBuf>,
    /// Names or paths of the plugins to run; empty: the standard ones.
    pub plugin: Vec<String>,
    /// Without network: for a single command while no site runs.
    pub offline: bool,
}

/// Why a site cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The home folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A backup was being put back.
    #[error(
        "a backup was being put back into {path} and has not got to its store; make it again: `tallyho restore FILE --home {path}`"
    )]
    RestoreCut {
        /// The home.
        path: String,
    },
    /// There is a key and no store.
    #[error(
        "{path} is missing, and this site has run before; put a backup back with `tallyho restore FILE`, or begin with an empty store by `tallyho init` (partners may then give back the tallies they share with you)"
    )]
    StoreLost {
        /// Where it should be.
        path: String,
    },
    /// There is a store and no key.
    #[error(
        "{key} is missing, and {path} is a site's store; restore the key with `tallyho keys import FILE`, or move the store away to begin as another site"
    )]
    KeyLost {
        /// Where the key should be.
        key: String,
        /// The store.
        path: String,
    },
    /// A plugin.
    #[error(transparent)]
    Plugin(#[from] LoadError),
    /// A plugin's tables.
    #[error(transparent)]
    State(#[from] StateError),
    /// Two plugins that do not go together.
    #[error(transparent)]
    Clash(#[from] Clash),
    /// The address to listen on.
    #[error("{address} cannot be listened on: {why}; choose another with --listen HOST:PORT, or stop who has it")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        why: std::io::Error,
    },
    /// The control socket.
    #[error("{path}: the control socket cannot be made: {why}")]
    Control {
        /// The socket.
        path: String,
        /// What went wrong.
        why: String,
    },
}

impl From<LedgerError> for NodeError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => error.into(),
            LedgerError::State(error) => error.into(),
        }
    }
}

/// A site at work.
pub struct Node {
    pub(super) home: Home,
    pub(super) own: Chad,
    pub(super) endpoint: Endpoint,
    pub(super) listen: Option<String>,
    pub(super) keys: Arc<KeyRing>,
    pub(super) key_folder: KeyFolder,
    pub(super) net: Arc<Net>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) plugins: Plugins,
    pub(super) since: Instant,
    control: Mutex<Option<Server>>,
    _lock: HomeLock,
}

impl Node {
    /// Opens the site in this home, making what is missing, and begins to serve.
    ///
    /// # Errors
    /// [`NodeError`]; nothing runs then.
    pub fn open(home: Home, options: &NodeOptions) -> Result<Arc<Self>, NodeError> {
        net::runtime::start();
        let lock = home.lock()?;
        let config = Config::load(&home.config())?;
        crash_point("starting");
        let key_folder = KeyFolder::of(&home);
        let mut store = found(&home, false)?;
        backup::sweep(&home);
        crash_point("starting");
        let keys = Arc::new(key_folder.load()?);
        crash_point("starting");
        let (table, plugins) = load_plugins(&home, &config, options, &mut store)?;

        let (relations, users, addresses) = books(&mut store, &config)?;
        let (listener, bound) = listen(&config, options)?;
        let place = config.advertised(bound.as_ref().map_or(config.listen.port, |bound| bound.port()));
        let agent = keys.agent_id().clone();
        let own = Chad::agent(agent).at(place.host.as_str(), place.port);

        crash_point("starting");
        let clock = Arc::new(SystemClock);
        let net = Net::new(
            NetParts {
                identity: Identity::from_seed(keys.agent().seed()),
                own: own.clone(),
                relations: Arc::clone(&relations),
                addresses: Arc::clone(&addresses),
                users: Arc::clone(&users),
                clock: clock.clone(),
                bounds: Bounds {
                    connections: bound_of(config.limits.connections),
                    per_address: bound_of(config.limits.connections_per_address),
                    half_open: bound_of(config.limits.half_open),
                    idle_ms: i64::try_from(config.limits.idle_seconds).unwrap_or(i64::MAX / 4_000) * 1_000,
                    handshake_ms: config.limits.handshake_seconds.saturating_mul(1_000),
                    strangers: (bound_of(config.limits.connections) / STRANGERS_SHARE).max(1),
                    strangers_per_address: STRANGERS_PER_ADDRESS,
                    public_per_minute: u32::try_from(config.limits.strangers_per_minute).unwrap_or(u32::MAX),
                    openings: bound_of(config.limits.openings_remembered),
                },
                online: !options.offline,
            },
            u64::from_le_bytes(random()),
        );
        let endpoint = place.clone();
        let host = SiteHost { keys: Arc::clone(&keys) as _, endpoint: place, relations: Arc::clone(&relations) };
        let mut seeds = Seeds::new();
        let parts = Parts {
            store: Box::new(store),
            table: Arc::new(ArcSwap::from_pointee(table)),
            host: Arc::new(host),
            relations,
            seeds: Box::new(move || seeds.draw()),
        };
        let watchers = Arc::new(Watchers::default());
        let heard = Arc::clone(&watchers);
        net.on_notice(move |notice| heard.tell(notice));
        let deadline = Duration::from_secs(config.limits.handler_seconds);
        let ledger = Ledger::start_with(parts, clock.clone(), Arc::new(ToNet::new(&net)), deadline)?;
        crash_point("starting");
        task::spawn(sweep(Arc::downgrade(&ledger), clock, PAUSE));
        net.serve(Arc::clone(&ledger), listener);
        let node = Arc::new(Node {
            home,
            own,
            endpoint,
            listen: bound.map(|bound| bound.to_string()),
            keys,
            key_folder,
            net,
            ledger,
            watchers,
            plugins,
            since: Instant::now(),
            control: Mutex::new(None),
            _lock: lock,
        });
        let site = Arc::downgrade(&node);
        node.plugins
            .rested
            .tell(move |name, generation| site.upgrade().is_some_and(|node| node.risen(name, generation)));
        Ok(node)
    }

    /// Lets programs of this machine in through the control socket.
    ///
    /// # Errors
    /// [`NodeError::Control`].
    pub fn serve_control(self: &Arc<Self>) -> Result<(), NodeError> {
        let path = self.home.socket();
        let operator: Arc<dyn Operator> = Arc::clone(self) as _;
        let server = Server::start(&path, &self.own.agent.0, operator)
            .map_err(|why| NodeError::Control { path: path.display().to_string(), why: why.to_string() })?;
        crash_point("starting");
        *self.control.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(server);
        Ok(())
    }

    /// Where the site listens.
    pub fn listens(&self) -> Option<&str> {
        self.listen.as_deref()
    }

    /// The site's agent.
    pub fn agent(&self) -> &str {
        &self.own.agent.0
    }

    /// Takes nothing more, finishes what has begun, commits.
    pub fn stop(&self) {
        drop(self.control.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        self.net.stop();
        self.ledger.stop();
        log::info!("stopped: {}", views::uptime(self));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.net.stop();
        self.ledger.stop();
    }
}

/// Random bytes from the system.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

fn bound_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

type Books = (Arc<RelationRegistry>, Arc<UserBook>, Arc<AddressBook>);

fn books(store: &mut SqliteStore, config: &Config) -> Result<Books, StoreError> {
    let mut transaction = store.begin()?;
    let mut rows = Buffer::new(&mut *transaction);
    let relations = RelationRegistry::load(&mut rows)?;
    let (known, places) = (UserBook::default(), AddressBook::default());
    for user in users::list(&mut rows)? {
        known.add(user.cuid);
    }
    let mut known_places: HashMap<AgentId, Known> = addresses::list(&mut rows)?.into_iter().collect();
    for (agent, compat) in &config.compat {
        known_places.entry(agent.clone()).or_default().compat_set = Some(*compat);
    }
    known_places.into_iter().for_each(|(agent, known)| places.put(agent, known));
    Ok((Arc::new(relations), Arc::new(known), Arc::new(places)))
}

fn listen(
    config: &Config,
    options: &NodeOptions,
) -> Result<(Option<TcpListener>, Option<std::net::SocketAddr>), NodeError> {
    if options.offline {
        return Ok((None, None));
    }
    let place = options.listen.as_ref().unwrap_or(&config.listen);
    let failed = |why| NodeError::Listen { address: place.to_string(), why };
    let listener = task::block_on(TcpListener::bind((place.host.as_str(), place.port))).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((Some(listener), Some(bound)))
}
