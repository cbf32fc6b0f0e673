use super::{Envelope, Site};
use crate::Fault;
use crate::record::signing::AgentKey;
use crate::record::{LiftCore, Timestamp, base64v};
use serde_json::{Value, json};

/// A lift on which a referee is asked to rule, as its originator's site asks: by `lift/commit`, signed by the originator
/// and sent by somebody who has no relation with the referee's site (PROTOCOL 9.3, 10.2). For tests of referees.
///
/// ```
/// use tallyho_plugin::prelude::*;
/// use tallyho_plugin::record::signing::AgentKey;
/// use tallyho_plugin::testkit::{CommitRequest, Site};
///
/// /// Rules on nothing.
/// struct Idle;
///
/// impl Handler for Idle {
///     fn manifest() -> Manifest {
///         Manifest::new("idle", "0.1.0").target(Target::new("lift", &["commit"]).unrelated(&["commit"]).restricted(&["commit"]))
///     }
///
///     fn create() -> Result<Self, Fault> {
///         Ok(Idle)
///     }
///
///     fn message(&self, _: &Message, _: &mut Context<'_>) -> Result<(), Fault> {
///         Ok(())
///     }
/// }
///
/// let mut site = Site::new(1).with::<Idle>();
/// let originator = AgentKey::from_seed(&[7; 32]).expect("a key");
/// assert_eq!(CommitRequest::by(&originator).life(60_000).ask(&mut site)?, None);
/// # Ok::<(), Fault>(())
/// ```
#[derive(Debug)]
pub struct CommitRequest<'k> {
    originator: &'k AgentKey,
    date: Option<Timestamp>,
    life: i64,
    units: i64,
}

/// Names the lift; every referee in a test is asked about one.
const LIFT: &str = "5e2d9a54-8f1b-4c0e-a1d2-6b7c8d9e0f10";

/// Where the lift goes: nobody there is asked anything.
const DESTINATION: &str = "rfqhPl-TxQJ084VSssaPvQwnHjupzGwoE0-YDoVy4TM";

impl<'k> CommitRequest<'k> {
    /// About a lift of this originator: of 4,000 milli-CHIPs, dated when it is asked about, for two minutes.
    pub fn by(originator: &'k AgentKey) -> Self {
        CommitRequest { originator, date: None, life: 120_000, units: 4_000 }
    }

    /// The lift's date.
    #[must_use]
    pub fn dated(mut self, date: Timestamp) -> Self {
        self.date = Some(date);
        self
    }

    /// How long it may take, in milliseconds, of which a lift has whole seconds from 1 to 3,600.
    #[must_use]
    pub fn life(mut self, milliseconds: i64) -> Self {
        self.life = milliseconds;
        self
    }

    /// What it moves, in milli-CHIPs, from 1 on.
    #[must_use]
    pub fn units(mut self, units: i64) -> Self {
        self.units = units;
        self
    }

    /// Asks the referee of this site; the object of its answer, where it gives one at once.
    ///
    /// # Errors
    /// The handler's fault; `Usage` where there cannot be such a lift.
    ///
    /// # Panics
    /// When messages of the site wait already: see [`Site::take_sent`].
    pub fn ask(&self, site: &mut Site) -> Result<Option<Value>, Fault> {
        assert!(site.sent().is_empty(), "the answer would not be known from what waits already");
        let wrong = |why: &dyn std::fmt::Display| Fault::usage(format!("there is no such lift: {why}"));
        let address = |agent: &str| json!({ "agent": agent, "host": "localhost", "port": 65430 });
        let lift = json!({
            "lift": LIFT, "date": self.date.unwrap_or(site.now()).text(), "life": self.life / 1_000, "units": self.units,
            "find": { "cuid": "dora", "agent": DESTINATION },
            "org": address(self.originator.id().as_str()), "ref": address(site.agent().as_str()),
        });
        let core = LiftCore::parse(lift).map_err(|error| wrong(&error))?;
        let text = core.valid_text(true).map_err(|error| wrong(&error))?;
        let mut object = core.with_valid(true);
        object["signed"] = base64v::encode(self.originator.sign(text.as_bytes())).into();
        // A site that nobody here has ever heard of, nor this one itself.
        let mut stranger = Site::new(99).address();
        if stranger.agent == site.agent() {
            stranger = Site::new(98).address();
        }
        site.deliver(&Envelope::new(&stranger, &site.address(), "lift/commit", &object))?;
        Ok(site.take_sent().first().map(|sent| sent.object()))
    }
}
