//! What a commit of the ledger lets out goes to the network.

use super::channel::{Channel, Out};
use super::courier::ChannelId;
use super::limits::AT_ONCE;
use super::{Net, locked};
use crate::ledger::Outside;
use crate::ledger::input::{Answer, Post, Refused, Released};
use crate::ledger::line::Line;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Channels that have been given something to send, and are to be told of it once all is there.
#[derive(Default)]
pub(super) struct Given(BTreeMap<ChannelId, Arc<Channel>>);

impl Given {
    /// Gives this to a channel.
    pub(super) fn put(&mut self, channel: &Arc<Channel>, out: Out) {
        channel.put(out);
        self.0.entry(channel.id).or_insert_with(|| Arc::clone(channel));
    }

    /// Has the channels' tasks send it.
    pub(super) fn wake(self) {
        self.0.values().for_each(|channel| channel.wake());
    }

    /// Sends it where it is little, and has the channels' tasks do it where it is much. The courier must not be at
    /// work.
    pub(super) fn write(self, net: &Net) {
        if self.0.values().map(|channel| channel.queued()).sum::<usize>() > AT_ONCE {
            return self.wake();
        }
        self.0.values().for_each(|channel| channel.write_at_once(net));
    }
}

/// Gives the ledger's commits to the network.
pub struct ToNet(pub Weak<Net>, AtomicBool);

impl ToNet {
    /// For this network.
    pub fn new(net: &Arc<Net>) -> Self {
        ToNet(Arc::downgrade(net), AtomicBool::new(false))
    }
}

impl Outside for ToNet {
    fn released(&self, released: Released) {
        let Some(net) = self.0.upgrade() else { return };
        // What is released first was found in the store: it may have been sent before a crash.
        let fresh = self.1.swap(true, Ordering::Relaxed);
        for (agent, known) in released.places {
            net.addresses().put(agent, known);
        }
        let mut given = Given::default();
        net.post(released.withdrawn, released.posts, fresh, &mut given);
        for Answer { origin, row } in released.answers {
            if let Some(channel) = net.channels.get(origin.channel) {
                given.put(&channel, Out::Answer(row));
            }
        }
        for Refused { origin, strike, close } in released.refused {
            if strike {
                net.strike(origin.address, "refused");
            }
            if let Some(channel) = net.channels.get(origin.channel).filter(|_| close) {
                channel.close("what a stranger asked was refused");
            }
        }
        for (agent, receipt) in released.receipts {
            // On each channel: one of them may be dead without anybody knowing yet.
            for channel in net.channels.with(&agent) {
                if channel.extensions.receipt {
                    given.put(&channel, Out::Receipt(receipt.clone()));
                }
            }
        }
        given.write(&net);
        // After what peers wait for.
        for notice in &released.notices {
            locked(&net.notices).iter().for_each(|hear| hear(notice));
        }
    }
}

impl Net {
    fn post(&self, withdrawn: Vec<(Line, u64)>, posts: Vec<Post>, fresh: bool, given: &mut Given) {
        let mut by_line: HashMap<Line, Vec<u64>> = HashMap::new();
        for (line, mid) in withdrawn {
            by_line.entry(line).or_default().push(mid);
        }
        for (line, mids) in by_line {
            self.deliver_to(given, |courier, now| {
                self.channels.with(&line).iter().for_each(|channel| channel.withdraw(&mids));
                courier.remove(&line, &mids, now)
            });
        }
        if !posts.is_empty() {
            self.deliver_to(given, |courier, now| courier.post(posts, fresh, now));
        }
    }
}
