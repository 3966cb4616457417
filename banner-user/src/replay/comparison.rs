//! Two policies on one log: which sources fare differently.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use ipnet::IpNet;

use super::ban::{Ban, Login};
use crate::clock::WallTime;

/// Sources that are compared; bans of others are only counted.
const SOURCES_MAX: usize = 500_000;

/// One of the two policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was asked about.
    This,
    /// The one that it is held against.
    Other,
}

/// How a source fared under one policy, in all jails together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// When it was first banned.
    pub first: WallTime,
    /// How often it was banned.
    pub bans: u64,
    /// For how long in all, bans of several jails added up; `None` for ever.
    pub banned: Option<Duration>,
    /// Every one of the bans only observed.
    pub observed: bool,
    /// Failures that the bans would have prevented.
    pub prevented: u64,
    /// The login that makes the first such ban a likely false positive.
    pub login: Option<Login>,
}

/// A source that fared differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Who.
    pub source: IpNet,
    /// Under this policy; `None` where it was never banned.
    pub this: Option<Stand>,
    /// Under the other.
    pub other: Option<Stand>,
}

/// How the other policy deviates from this one, for one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// Only this one bans it.
    OnlyThis,
    /// Only the other one bans it.
    OnlyOther,
    /// The other bans it earlier.
    Earlier,
    /// The other bans it later.
    Later,
    /// The other bans it for longer in all.
    Longer,
    /// The other bans it for a shorter time in all.
    Shorter,
    /// The other one only observes.
    OtherObserves,
    /// Only the other one does more than observe.
    OtherEnforces,
}

/// Bans of both policies, by source.
#[derive(Debug, Default)]
pub struct Comparison {
    sources: BTreeMap<IpNet, (Option<Stand>, Option<Stand>)>,
    not_compared: u64,
}

impl Comparison {
    /// Takes a ban of one of the policies, in the order in which they began.
    pub fn add(&mut self, side: Side, ban: Ban) {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&ban.source) {
            self.not_compared = self.not_compared.saturating_add(1);
            return;
        }
        let (this, other) = self.sources.entry(ban.source).or_default();
        let stand = match side {
            Side::This => this,
            Side::Other => other,
        };
        match stand {
            Some(stand) => stand.add(ban),
            None => *stand = Some(Stand::of(ban)),
        }
    }

    /// Bans of sources for which there was no room.
    #[must_use]
    pub fn not_compared(&self) -> u64 {
        self.not_compared
    }

    /// The sources that fared differently, in the order in which they were first banned.
    #[must_use]
    pub fn differences(self) -> Vec<Difference> {
        let sources = self.sources.into_iter();
        let all = sources.map(|(source, (this, other))| Difference { source, this, other });
        let mut differences: Vec<Difference> = all.filter(|difference| !difference.deviations().is_empty()).collect();
        let first = |stand: &Option<Stand>| stand.as_ref().map_or(i64::MAX, |stand| stand.first.0);
        differences
            .sort_by_key(|difference| (first(&difference.this).min(first(&difference.other)), difference.source));
        differences
    }
}

impl Stand {
    fn of(ban: Ban) -> Self {
        let Ban { at, until, observe, prevented, login, .. } = ban;
        Self { first: at, bans: 1, banned: length(at, until), observed: observe, prevented, login }
    }

    fn add(&mut self, ban: Ban) {
        let more = Self::of(ban);
        self.bans = self.bans.saturating_add(1);
        self.banned = self.banned.zip(more.banned).map(|(banned, more)| banned.saturating_add(more));
        self.observed &= more.observed;
        self.prevented = self.prevented.saturating_add(more.prevented);
        self.login = self.login.take().or(more.login);
    }
}

impl Difference {
    /// How the other policy deviates, in words that can be combined. Empty where it does not.
    #[must_use]
    pub fn deviations(&self) -> Vec<Deviation> {
        let (this, other) = match (&self.this, &self.other) {
            (Some(this), Some(other)) => (this, other),
            (Some(_), None) => return vec![Deviation::OnlyThis],
            (None, Some(_)) => return vec![Deviation::OnlyOther],
            (None, None) => return Vec::new(),
        };
        let time = match other.first.cmp(&this.first) {
            Ordering::Less => Some(Deviation::Earlier),
            Ordering::Equal => None,
            Ordering::Greater => Some(Deviation::Later),
        };
        let for_ever = |stand: &Stand| stand.banned.unwrap_or(Duration::MAX);
        let length = match for_ever(other).cmp(&for_ever(this)) {
            Ordering::Less => Some(Deviation::Shorter),
            Ordering::Equal => None,
            Ordering::Greater => Some(Deviation::Longer),
        };
        let enforcement = match (this.observed, other.observed) {
            (false, true) => Some(Deviation::OtherObserves),
            (true, false) => Some(Deviation::OtherEnforces),
            (true, true) | (false, false) => None,
        };
        [time, length, enforcement].into_iter().flatten().collect()
    }
}

fn length(at: WallTime, until: Option<WallTime>) -> Option<Duration> {
    until.map(|until| until.as_log_time().distance(at.as_log_time()))
}
