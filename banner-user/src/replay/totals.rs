//! What a replay has counted.

use std::collections::{BTreeMap, HashSet};

use ipnet::IpNet;

use super::{ban::Ban, is_failure};
use crate::{clock::WallTime, event::Event};

/// What a replay has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The time of the first line that told anything.
    pub first: Option<WallTime>,
    /// The time of the last one.
    pub last: Option<WallTime>,
    /// Lines that told of a failure.
    pub failures: u64,
    /// Of these, the ones that a ban would have prevented.
    pub prevented: u64,
    /// Lines that told of a login.
    pub successes: u64,
    /// Lines that told of an outage of the authentication backend, and count against nobody.
    pub outages: u64,
    /// Bans, those that only observe included.
    pub bans: u64,
    /// Bans that only observe.
    pub observed: u64,
    /// Bans without an end.
    pub permanent: u64,
    /// Sources that were banned at least once; those after the first million are not told apart, and not counted.
    pub sources: u64,
    /// Bans by what was taken into account beside failures ([`Reason::name`](crate::judge::reason::Reason::name)).
    pub reasons: BTreeMap<&'static str, u64>,
    /// Prefixes that were not banned for their sources, since something in them is protected, or somebody logged in from there.
    pub spared_prefixes: u64,
    /// Times that the fuse was tripped.
    pub fuse_tripped: u64,
    /// Failures that it spared, as far as it was reset.
    pub spared: u64,
    /// Accounts under attack that were told of.
    pub attacks: u64,
    /// Times that a source was over the limit and was not banned, since it is protected.
    pub ignored: u64,
    /// Bans that are likely false positives.
    pub false_positives: u64,
    /// Bans that gave way before their time, because the kernel's map was full.
    pub yielded: u64,
    /// Sources whose failures were forgotten because too many failed at the same time.
    pub evicted: u64,
    /// Bans that were not watched to a day after their end, because there were too many; what came later is not in them.
    pub cut_short: u64,
}

impl Totals {
    pub(super) fn count(&mut self, events: &[Event], at: WallTime) {
        self.first.get_or_insert(at);
        self.last = Some(at);
        let is = |of: fn(&Event) -> bool| u64::from(events.iter().any(of));
        self.failures = self.failures.saturating_add(is(is_failure));
        self.successes = self.successes.saturating_add(is(|event| matches!(event, Event::Success(_))));
        self.outages = self.outages.saturating_add(is(|event| matches!(event, Event::Outage(_))));
    }

    pub(super) fn ban(&mut self, ban: &Ban) {
        self.bans = self.bans.saturating_add(1);
        self.observed = self.observed.saturating_add(ban.observe.into());
        self.permanent = self.permanent.saturating_add(ban.until.is_none().into());
        for reason in &ban.reasons {
            let bans = self.reasons.entry(reason.name()).or_default();
            *bans = bans.saturating_add(1);
        }
    }
}

/// Sources that are told apart.
const SOURCES_MAX: usize = 1_000_000;

/// Sources that were banned, each once.
#[derive(Debug, Default)]
pub(super) struct Sources(HashSet<IpNet>);

impl Sources {
    /// Adds one; how many there are now.
    pub(super) fn add(&mut self, source: IpNet) -> u64 {
        if self.0.len() < SOURCES_MAX {
            self.0.insert(source);
        }
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }
}
