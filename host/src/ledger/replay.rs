//! A journal given to a candidate again, event by event, on the tables as they were then.
//!
//! The tables follow what was recorded, not what the candidate does: one difference does not bring others about.

use super::buffer::Buffer;
use super::difference::{Made, Occasion, differences, unclaimed};
use super::host::Host;
use super::journal::{Entry, Journal};
use super::limits::HANDLER_DEADLINE;
use super::recording::{Recorded, play};
use super::remembered;
use super::services::{EventServices, Rehearsal};
use super::shadow::Progress;
use super::signed::Signed;
use super::table::PluginTable;
use super::verify::Checked;
use super::watch::Watch;
use crate::plugin::Given;
use crate::site::endpoint::Endpoint;
use crate::store::{Shelf, Store, StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use tallyho_plugin::record::AgentId;
use tallyho_plugin::{Event, Fault};

const TABLE: &str = "host.snapshot";
const SITE: &[u8] = b"site";

/// What a replay has to know of the site that the events happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its agent.
    pub agent: AgentId,
    /// Where others dial.
    pub endpoint: Endpoint,
}

/// Writes it down, for the copy that is about to be made.
///
/// # Errors
/// The store's.
pub fn note(site: &Site, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(site, &mut bytes).map_err(|error| StoreError::Engine(error.to_string()))?;
    transaction.put(TABLE, SITE, &bytes)
}

/// What was written down in a snapshot; `None`: it is another kind of copy.
///
/// # Errors
/// The store's.
pub fn noted(transaction: &mut dyn Transaction) -> Result<Option<Site>, StoreError> {
    let bytes = transaction.get(TABLE, SITE)?;
    Ok(bytes.and_then(|bytes| ciborium::from_reader(bytes.as_slice()).ok()))
}

/// The events of a journal that happened after a snapshot, in order.
///
/// # Errors
/// The store's; in words for a person, why they cannot be replayed.
pub fn events(
    snapshot: &mut dyn Transaction,
    journal: &mut dyn Transaction,
) -> Result<Result<Vec<Entry>, Fault>, StoreError> {
    let first = Journal::open(snapshot)?.next();
    let mut entries = Journal::entries(journal)?;
    let newest = entries.last().map(|entry| entry.number);
    entries.retain(|entry| entry.number >= first);
    let fix = "take another snapshot, and the journal before as many events have come as it holds";
    Ok(match (entries.first(), newest) {
        (Some(entry), _) if entry.number == first => Ok(entries),
        (Some(entry), _) => Err(Fault::refused(format!(
            "the journal goes back to event {} only, and the snapshot was taken before event {first}",
            entry.number
        ))
        .code("overwritten")
        .fix(fix)),
        (None, Some(newest)) if newest + 1 == first => Ok(Vec::new()),
        (None, newest) => {
            let end = newest.map_or_else(|| "is empty".to_owned(), |newest| format!("ends with event {newest}"));
            Err(Fault::refused(format!("the journal {end}, and the snapshot was taken before event {first}"))
                .code("older")
                .fix("give the journal of the same site, of a later time"))
        }
    })
}

/// Who is asked for keys and the host's commands in one event.
pub type HostOf<'h> = &'h dyn Fn(Signed) -> Arc<dyn Host>;

/// What came of a replay.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Events whose effects were played back.
    pub events: u64,
    /// Those that the candidate was given.
    pub progress: Progress,
    /// Why it ended before the journal did.
    pub ended: Option<String>,
}

/// Gives the events to the candidate of this name and compares. `store` is left as it was.
///
/// # Errors
/// The store's; a candidate that cannot work on these tables.
pub fn replay(
    store: Box<dyn Store>,
    entries: Vec<Entry>,
    table: &Arc<PluginTable>,
    name: &str,
    host: HostOf<'_>,
) -> Result<Result<Replayed, Fault>, StoreError> {
    let Some(candidate) = table.named(name).cloned() else {
        return Ok(Err(Fault::not_found(format!("no plugin {name} is loaded"))));
    };
    let manifest = candidate.manifest();
    let mut transaction = Shelf::new(store).begin()?;
    let found = remembered::of(&mut Buffer::new(&mut transaction), manifest)?.state;
    if found != manifest.state_version && !manifest.reads_state.contains(&found) {
        let own = manifest.state_version;
        let text = format!("the tables of {name} have state version {found} there, the candidate has {own}");
        return Ok(Err(Fault::refused(text).code("state").fix("replay with a build of that state version")));
    }
    let (mut watch, mut replayed) = (Watch::new(HANDLER_DEADLINE), Replayed::default());
    for mut entry in entries {
        let Some(recorded) = entry.recorded.take() else {
            let number = entry.number;
            replayed.ended = Some(format!("the effects of event {number} were not recorded: its site was restarted"));
            break;
        };
        play(&recorded.before, &mut transaction)?;
        if !matches!(entry.event, Event::Life(_)) && table.named(&entry.plugin).is_some() {
            let event = Arc::new(Given::from(entry.event.clone()));
            let run = Run {
                own: entry.plugin == name,
                generation: candidate.generation(),
                table: Arc::clone(table),
                host: host(recorded.signed.clone()),
                signed: recorded.signed.clone(),
                event: Arc::clone(&event),
                entry,
            };
            let candidate = Arc::clone(&candidate);
            let occasion = Occasion { number: replayed.progress.seen + 1, at: run.entry.at, event: &event };
            let (ran, back) = watch.run_with(transaction, move |lent| run.go(lent, candidate.manifest()));
            transaction = back;
            match ran {
                Ok(made) => {
                    if let Some(made) = made? {
                        replayed.progress.add(differences(&occasion, &recorded.made(), &made));
                    }
                }
                Err(_) => {
                    let found = json!(format!("it was not done within {HANDLER_DEADLINE:?}"));
                    replayed.progress.add(vec![occasion.difference("time", json!("done"), found)]);
                    replayed.ended = Some("the candidate does not come to an end".to_owned());
                    break;
                }
            }
        }
        played(&recorded, &mut transaction)?;
        replayed.events += 1;
    }
    Ok(Ok(replayed))
}

fn played(recorded: &Recorded, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    play(&recorded.writes, transaction)
}

/// One event as the candidate is given it.
struct Run {
    own: bool,
    generation: u64,
    table: Arc<PluginTable>,
    host: Arc<dyn Host>,
    signed: Signed,
    event: Arc<Given>,
    entry: Entry,
}

impl Run {
    /// What the candidate makes of it; `None`: it was not called.
    fn go(
        &self,
        transaction: &mut dyn Transaction,
        manifest: &tallyho_plugin::Manifest,
    ) -> Result<Option<Made>, StoreError> {
        let Run { own, generation, table, host, signed, event, entry } = self;
        if let Some(why) = own.then(|| unclaimed(event, manifest)).flatten() {
            let result = Err(Fault::not_found(why).code("unclaimed"));
            return Ok(Some(Made { writes: Default::default(), notices: Vec::new(), result }));
        }
        let seed = entry.seed.as_slice().try_into().unwrap_or([0; 32]);
        let checked = Checked::new();
        let mut services = EventServices::new(Buffer::new(transaction), table, &**host, &checked, entry.at, seed);
        services.signed = Some(signed.clone());
        services.rehearsal = Some(Rehearsal { generation: *generation, at_work: false });
        let result = services.run(&entry.plugin, event);
        let EventServices { buffer, released, broken, rehearsal, .. } = services;
        match broken {
            Some(error) => Err(error),
            None if !rehearsal.is_some_and(|rehearsal| rehearsal.at_work) => Ok(None),
            None => Ok(Some(Made { writes: buffer.into_writes(), notices: released.notices, result })),
        }
    }
}
