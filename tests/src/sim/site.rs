//! One site: a core on a disk, and what its process would hold in memory.

use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use tallyho::ledger::core::{Core, Parts};
use tallyho::ledger::input::{Input, Outcome, Released};
use tallyho::ledger::limits::CONFLICTS;
use tallyho::ledger::line::Line;
use tallyho::ledger::table::PluginTable;
use tallyho::ledger::verify::Checked;
use tallyho::net::courier::Courier;
use tallyho::node::host::SiteHost;
use tallyho::plugin::Plugin;
use tallyho::site::endpoint::Endpoint;
use tallyho::site::keys::KeyRing;
use tallyho::site::relations::RelationRegistry;
use tallyho::store::{Faults, FaultyStore, Store, StoreError};
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::record::signing::{AgentKey, UserKey};
use tallyho_plugin::record::{AgentId, Chad, Timestamp, base64v};
use tallyho_plugin::{Fault, FaultKind};

use super::dice::Dice;
use super::disk::Disk;

/// Makes a handler linked into the test.
pub type MakePlugin = fn() -> Arc<dyn Plugin>;

/// What a world is made of.
#[derive(Clone)]
pub struct Plan {
    /// Decides on keys and everything random.
    pub seed: u64,
    /// The users of each site.
    pub users: Vec<Vec<&'static str>>,
    /// The handlers of each site.
    pub plugins: Vec<MakePlugin>,
    /// Sites acknowledge each other's messages (PROTOCOL A.4); otherwise they speak JSON alone.
    pub receipts: bool,
    /// Stores are SQLite files rather than memory.
    pub files: bool,
    /// Users have elliptic keys (P-521), whose signatures over the same text differ each time, though the
    /// story does not, rather than Ed25519 keys.
    pub elliptic: bool,
}

/// Something for the ledger of a site to do.
// One job exists at a time, so the size of the largest costs nothing.
#[allow(clippy::large_enum_variant)]
pub enum Job {
    /// An input, and the call that waits for what comes of it.
    Input(Input, Option<usize>),
    /// Rows of the outbox are to be read.
    Refill(Line, u64),
}

/// What the process of a running site holds.
pub struct Running {
    /// The ledger.
    pub core: Core,
    /// Makes its store fail.
    pub faults: Faults,
    /// Who may talk to whom.
    pub relations: Arc<RelationRegistry>,
    /// Who serves what.
    pub table: Arc<PluginTable>,
    /// The outbox's schedule. Whoever changes it says so by [`Running::changed`].
    pub courier: Courier,
    /// When the schedule next has something to do, where that has been looked at since it changed.
    pub next_row: Option<Option<Timestamp>>,
    /// Jobs that the site itself has caused.
    pub urgent: VecDeque<Job>,
    /// Jobs that came from outside.
    pub waiting: VecDeque<Job>,
    /// Inputs of a batch that the store refused.
    pub kept: Vec<(Input, Option<usize>)>,
    /// Until when the store is left alone.
    pub refused: Option<Timestamp>,
    /// Committed, and not let out yet.
    pub pending: Option<Pending>,
}

/// What a commit lets out, and what calls wait for.
pub struct Pending {
    /// Effects.
    pub released: Released,
    /// Just sent, rather than found at start.
    pub fresh: bool,
    /// Outcomes for calls.
    pub told: Vec<(usize, Outcome)>,
}

/// One site; see the module.
pub struct SimSite {
    /// Its address.
    pub own: Chad,
    /// Its users.
    pub users: Vec<&'static str>,
    /// `None` while it is down.
    pub running: Option<Running>,
    /// Events it has run.
    pub events: u64,
    /// Milliseconds by which its clock is ahead.
    pub skew: i64,
    /// What outlives its process.
    pub disk: Disk,
    host: Arc<SiteHost>,
    plugins: Vec<MakePlugin>,
    seeds: Dice,
}

impl SimSite {
    /// A site with its users, running.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(plan: &Plan, place: usize, now: Timestamp) -> Self {
        let mut seeds = Dice::new(plan.seed.wrapping_mul(31).wrapping_add(place as u64));
        let keys = KeyRing::new(AgentKey::from_seed(&bytes(&mut seeds)).expect("any seed makes a key"));
        let users: Vec<(&str, UserKey)> =
            plan.users[place].iter().map(|user| (*user, user_key(&mut seeds, plan.elliptic))).collect();
        let endpoint = Endpoint { host: format!("site{place}.example"), port: 7 };
        let own = Chad::agent(keys.agent_id().clone()).at(endpoint.host.as_str(), endpoint.port);
        let disk = Disk::new(plan.files);
        let public: Vec<_> = users.iter().map(|(user, key)| (*user, key.public_jwk())).collect();
        for (user, key) in users {
            keys.add(user, key);
        }
        let host = Arc::new(SiteHost { keys: Arc::new(keys), endpoint, relations: Arc::default() });
        let users = plan.users[place].clone();
        let mut site =
            SimSite { own, users, running: None, events: 0, skew: 0, disk, host, plugins: plan.plugins.clone(), seeds };
        site.start(now, None).expect("a new store works");
        for (user, public) in public {
            site.running.as_mut().expect("it runs").pending = None;
            let argument = to_cbor(&json!({ "cuid": user, "name": "", "public": public, "custody": "site" }));
            site.command("host", "user.put", argument.expect("JSON can be CBOR"), now).expect("a new user is added");
        }
        site
    }

    /// The same site in another world: with its keys and a copy of its disk, other chances, and a clock that is
    /// so many milliseconds ahead of the world's `now`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn fork(&self, seed: u64, now: Timestamp, skew: i64) -> Self {
        let mut site = SimSite {
            own: self.own.clone(),
            users: self.users.clone(),
            running: None,
            events: 0,
            skew,
            disk: self.disk.copy(),
            host: Arc::clone(&self.host),
            plugins: self.plugins.clone(),
            seeds: Dice::new(seed),
        };
        site.start(now.plus(skew), None).expect("a store that worked works");
        site
    }

    /// A user's signature, base64v, by the user's own key.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn sign(&self, user: &str, text: &str) -> String {
        base64v::encode(self.host.keys.sign_user(user, text.as_bytes()).expect("the user has a key"))
    }

    /// The site's signature, base64v.
    pub fn sign_agent(&self, text: &str) -> String {
        base64v::encode(self.host.keys.sign_agent(text.as_bytes()))
    }

    /// Its agent.
    pub fn agent(&self) -> &AgentId {
        &self.own.agent
    }

    /// Starts the process; what waited in the store is then pending. `fail`: the store's n-th operation
    /// fails meanwhile.
    ///
    /// # Errors
    /// The store's; the site stays down.
    pub fn start(&mut self, now: Timestamp, fail: Option<u64>) -> Result<(), StoreError> {
        let (mut store, faults) = FaultyStore::new(self.disk.open()?);
        if let Some(nth) = fail {
            let error = StoreError::Engine("as told".to_owned());
            faults.fail(tallyho::store::Operation::Any, nth, error);
        }
        let mut transaction = store.begin()?;
        let relations = RelationRegistry::load(&mut transaction)?;
        drop(transaction);
        let relations = Arc::new(relations);
        let table = self.plugins.iter().fold(PluginTable::default(), |table, make| {
            table.with(make()).unwrap_or_else(|clash| panic!("the plan's plugins do not go together: {clash}"))
        });
        let mut dice = Dice::new(self.seeds.number());
        let mut core = Core::open(Parts {
            store: Box::new(store),
            table: Arc::new(arc_swap::ArcSwap::from_pointee(table.clone())),
            host: Arc::clone(&self.host) as _,
            relations: Arc::clone(&relations),
            seeds: Box::new(move || bytes(&mut dice)),
        })?;
        let released = core.start(now)?;
        self.running = Some(Running {
            core,
            faults,
            relations,
            table: Arc::new(table),
            courier: Courier::new(self.seeds.number()),
            next_row: None,
            urgent: VecDeque::new(),
            waiting: VecDeque::new(),
            kept: Vec::new(),
            refused: None,
            pending: Some(Pending { released, fresh: false, told: Vec::new() }),
        });
        Ok(())
    }

    /// All rows of a table, as they are on the disk: no step of the site's, and nothing can fail it.
    ///
    /// # Panics
    /// When the disk cannot be read.
    pub fn look<T: DeserializeOwned>(&self, table: &str) -> Vec<T> {
        self.disk.rows(table).into_iter().map(|(_, row)| row).collect()
    }

    /// Runs a command as the ledger's thread does; its effects are then pending.
    ///
    /// # Errors
    /// The command's fault; of kind `Host` where the site is down or busy.
    ///
    /// # Panics
    /// When something is pending already.
    pub fn command(&mut self, plugin: &str, name: &str, argument: Vec<u8>, now: Timestamp) -> Result<Vec<u8>, Fault> {
        let Some(running) = &mut self.running else { return Err(Fault::host("the site is down")) };
        if running.refused.is_some() || !running.kept.is_empty() {
            return Err(Fault::host("the store refuses"));
        }
        assert!(running.pending.is_none(), "something is pending");
        let input = Input::Command { plugin: plugin.to_owned(), name: name.to_owned(), argument };
        self.events += 1;
        match running.apply(&[(input, Checked::new())], now) {
            Ok((released, mut outcomes)) => {
                running.pending = Some(Pending { released, fresh: true, told: Vec::new() });
                match outcomes.remove(0) {
                    Outcome::Done(answer) => Ok(answer),
                    Outcome::Fault(fault) => Err(fault),
                }
            }
            Err(error) => Err(Fault::host(error.to_string()).code("store")),
        }
    }

    /// Runs up to so many waiting inputs, and the timers that are due, as one batch. Rows read from
    /// the outbox are given back.
    ///
    /// # Panics
    /// When the site is down, or something is pending.
    pub fn turn(&mut self, most: usize, now: Timestamp) -> Vec<tallyho::net::courier::Order> {
        let running = self.running.as_mut().expect("it runs");
        assert!(running.pending.is_none(), "something is pending");
        let mut orders = Vec::new();
        for _ in 0..most {
            match running.urgent.pop_front().or_else(|| running.waiting.pop_front()) {
                Some(Job::Input(input, call)) => running.kept.push((input, call)),
                Some(Job::Refill(line, after)) => {
                    if let Ok(posts) = running.core.refill(&line, after) {
                        orders.extend(running.changed().refill(&line, posts, now));
                    }
                }
                None => break,
            }
        }
        let Ok(due) = running.core.due(now) else {
            running.refused = Some(now.plus(100));
            return orders;
        };
        let calls: Vec<Option<usize>> = running.kept.iter().map(|(_, call)| *call).collect();
        let mut inputs: Vec<(Input, Checked)> =
            running.kept.drain(..).map(|(input, _)| (input, Checked::new())).collect();
        inputs.extend(due.into_iter().map(|timer| (timer, Checked::new())));
        if inputs.is_empty() {
            running.refused = None;
            return orders;
        }
        match running.apply(&inputs, now) {
            Ok((released, outcomes)) => {
                self.events += inputs.len() as u64;
                running.refused = None;
                let told =
                    calls.into_iter().zip(outcomes).filter_map(|(call, outcome)| Some((call?, outcome))).collect();
                running.pending = Some(Pending { released, fresh: true, told });
            }
            Err(_) => {
                // Timers are found again; whoever waits for an answer is told; the rest is kept, in order.
                let refusal = || Outcome::Fault(Fault::host("the store refuses").code("store"));
                let mut told = Vec::new();
                for ((input, _), call) in inputs.into_iter().zip(calls) {
                    match call {
                        Some(call) => told.push((call, refusal())),
                        None => running.kept.push((input, None)),
                    }
                }
                running.refused = Some(now.plus(100));
                if !told.is_empty() {
                    running.pending = Some(Pending { released: Released::default(), fresh: true, told });
                }
            }
        }
        orders
    }
}

impl Running {
    fn apply(&mut self, inputs: &[(Input, Checked)], now: Timestamp) -> Result<(Released, Vec<Outcome>), StoreError> {
        let mut result = self.core.apply(inputs, now);
        for _ in 0..CONFLICTS {
            if !matches!(result, Err(StoreError::Conflict)) {
                break;
            }
            result = self.core.apply(inputs, now);
        }
        let done = result?;
        for outcome in &done.outcomes {
            if let Outcome::Fault(fault) = outcome {
                assert!(fault.kind != FaultKind::Failed, "a handler failed: {fault}");
            }
        }
        Ok((done.released, done.outcomes))
    }

    /// The outbox's schedule, to be changed.
    pub fn changed(&mut self) -> &mut Courier {
        self.next_row = None;
        &mut self.courier
    }

    /// When the outbox's schedule next has something to do.
    pub fn next_row(&mut self) -> Option<Timestamp> {
        let courier = &self.courier;
        *self.next_row.get_or_insert_with(|| courier.next())
    }

    /// Whether the ledger has something to do now.
    pub fn is_busy(&self, now: Timestamp) -> bool {
        let jobs = !(self.kept.is_empty() && self.urgent.is_empty() && self.waiting.is_empty());
        let due = self.core.next_timer().is_some_and(|next| next <= now);
        self.pending.is_none() && self.refused.map_or(jobs || due, |until| until <= now)
    }

    /// When there will be something to do.
    pub fn next_due(&mut self) -> Option<Timestamp> {
        [self.refused.or(self.core.next_timer()), self.next_row()].into_iter().flatten().min()
    }
}

fn bytes(dice: &mut Dice) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&dice.number().to_be_bytes()));
    bytes
}

/// An Ed25519 key that is the same for the same seed, or some elliptic one.
fn user_key(dice: &mut Dice, elliptic: bool) -> UserKey {
    let seed = bytes(dice);
    if elliptic {
        return UserKey::generate(KeyKind::P521).expect("a key can be made");
    }
    let public = AgentKey::from_seed(&seed).expect("any seed makes a key");
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": public.id().0, "d": base64v::encode(seed) });
    UserKey::from_private_jwk(&jwk.to_string()).expect("both parts are of one key")
}
