//! One half at work during one event: what was read, what is to be written.

use crate::entry::{Entry, Link};
use crate::half::{Half, Phase};
use crate::party::Party;
use crate::store::{CHITS, HALVES, LINKS, PARTIES, key, numbered};
use crate::{chain, closing};
use tallyho_plugin::record::Side;
use tallyho_plugin::{Context, Fault};

/// A half, its account, and the event's context. Changes of `half` are kept by [`Desk::close`]; everything
/// else is written at once.
pub struct Desk<'a, 'c> {
    /// The event's context.
    pub context: &'a mut Context<'c>,
    /// What never changes.
    pub party: Party,
    /// The account.
    pub half: Half,
    /// The half's key in all tables.
    pub key: Vec<u8>,
    /// The tally handler waits for our answer and must not be called: it reads there what it has to know.
    pub quiet: bool,
    /// The phase in which the event found the half.
    from: Phase,
    found: Option<Half>,
}

impl<'a, 'c> Desk<'a, 'c> {
    /// Opens the half of this holder; `None` where there is no such tally that is or was open.
    ///
    /// A half stands on rows of its own only once it is confirmed: until then the tally handler's is read
    /// each time, for a tally that is not confirmed may still become void (PROTOCOL 4.5, T27).
    ///
    /// # Errors
    /// The host's faults.
    pub fn open(context: &'a mut Context<'c>, holder: &str, tally: &str) -> Result<Option<Self>, Fault> {
        let key = key(&[tally, holder]);
        let found: Option<Half> = context.get(HALVES, &key)?;
        if let Some(half) = found.clone().filter(|half| half.conf.is_some()) {
            let party: Option<Party> = context.get(PARTIES, &key)?;
            let party = party.ok_or_else(|| Fault::failed(format!("tally {holder}/{tally} has lost its parties")))?;
            let from = half.phase;
            return Ok(Some(Desk { context, party, half, key, quiet: false, from, found }));
        }
        let Some((party, now)) = Party::read(context, holder, tally)? else { return Ok(None) };
        let half = match found.clone() {
            Some(half) => Half { conf: now.conf, ..half },
            None => Half { phase: now.phase, ..Half::new(&party.hash, now.conf) },
        };
        let from = half.phase;
        Ok(Some(Desk { context, party, half, key, quiet: false, from, found }))
    }

    /// Settles a half that is closing, and writes what has changed of the account.
    ///
    /// # Errors
    /// The host's faults.
    pub fn close(mut self) -> Result<(), Fault> {
        let found = self.found.take();
        chain::keep(&mut self, found.as_ref())?;
        closing::settle(&mut self.half, found.as_ref());
        if found.as_ref() == Some(&self.half) {
            return Ok(());
        }
        if found.as_ref().is_none_or(|found| found.conf.is_none()) {
            self.context.put(PARTIES, &self.key, &self.party)?;
        }
        self.context.put(HALVES, &self.key, &self.half)?;
        if self.quiet {
            return Ok(());
        }
        let from = self.from;
        closing::tell(&mut self, from)
    }

    /// The holder's side.
    pub fn side(&self) -> Side {
        self.party.side
    }

    /// A chit of this half. Its index is there only if it has a link.
    ///
    /// # Errors
    /// The host's faults.
    pub fn entry(&mut self, chit: &str) -> Result<Option<Entry>, Fault> {
        let entry: Option<Entry> = self.context.get(CHITS, self.chit_key(chit))?;
        Ok(entry.map(|entry| Entry { index: self.half.place(&entry), ..entry }))
    }

    /// Writes a chit's row.
    ///
    /// # Errors
    /// The host's faults.
    pub fn put_entry(&mut self, chit: &str, entry: &Entry) -> Result<(), Fault> {
        self.context.put(CHITS, self.chit_key(chit), entry)
    }

    /// The row of links at this index, from 1. Above the end stand displaced ones
    /// ([`Queue`](crate::chain::Queue)).
    ///
    /// # Errors
    /// The host's faults.
    pub fn link(&mut self, index: u64) -> Result<Option<Link>, Fault> {
        self.context.get(LINKS, numbered(&self.key, index))
    }

    /// base64v hash at this index, from 0; `None` beyond the end.
    ///
    /// # Errors
    /// The host's faults.
    pub fn hash(&mut self, index: u64) -> Result<Option<String>, Fault> {
        match index {
            0 => Ok(Some(self.party.hash.clone())),
            _ if index == self.half.end => Ok(Some(self.half.tip.clone())),
            _ if index > self.half.end => Ok(None),
            _ => Ok(self.link(index)?.map(|link| link.hash)),
        }
    }

    /// `HOLDER/TALLY/UUID`: a chit among all of the site.
    pub fn chit_name(&self, chit: &str) -> String {
        format!("{}/{chit}", self.party.name())
    }

    /// Closes the half here and now if it is closing and settled, as [`Desk::close`] does at the end.
    pub fn settle(&mut self) {
        closing::settle(&mut self.half, self.found.as_ref());
    }

    /// The key of a chit's row.
    pub fn chit_key(&self, chit: &str) -> Vec<u8> {
        [&self.key, b"\0".as_slice(), chit.as_bytes()].concat()
    }
}
