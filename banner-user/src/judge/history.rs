//! Who was banned before, by whatever jail: what makes the next ban longer.
//!
//! Every ban that a jail makes is an offence of the prefix that it bans, be it a source or a prefix of many sources. It counts
//! from its end on: what bans in two jails at once was not banned before. It is forgotten when the last ban of the prefix has
//! been over for long enough, and taken back with a ban that should not have been: one that is lifted by hand, or because what it
//! covers is protected. Bans by hand and of lists are no offences.
//!
//! Observing bans have a history of their own. An observing ban is as long as it would be if all jails enforced; an enforcing one
//! never grows by what was only observed.
//!
//! An attacker who has more sources than are kept can have the history of those forgotten whose bans ended longest ago: they
//! begin anew with short bans.

use std::{borrow::Cow, convert::Infallible, time::Duration};

use ipnet::IpNet;

use super::{
    recent::{Aged, Recent},
    window::earlier,
};
use crate::clock::LogTime;

/// The bans of one prefix that are kept with their times: the most that `recidive.maxretry` can ask for. A new ban and one less of
/// these are that many, so that where the last one is taken back enough are left.
pub const LATEST_MAX: usize = 5;

/// One ban, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offence {
    /// When it began; never 0.
    pub began: u32,
    /// When it ends or has ended; [`u32::MAX`] for ever.
    pub until: u32,
}

/// The bans that one prefix has had and that are not forgotten. 44 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offences {
    bans: u16,
    /// The latest of them, by their beginnings; the places before the first are empty.
    latest: [Offence; LATEST_MAX],
}

impl Offence {
    pub(super) fn new(began: LogTime, until: LogTime) -> Self {
        let began = seconds(began).max(1);
        Self { began, until: seconds(until).max(began) }
    }
}

impl Offences {
    /// What was saved: so many bans, the latest of them with their times. `None` where that is not what [`Self::bans`] and
    /// [`Self::latest`] have told.
    #[must_use]
    pub fn restored(bans: u16, latest: &[Offence]) -> Option<Self> {
        let makes_sense = latest.len() <= usize::from(bans)
            && !latest.is_empty()
            && latest.is_sorted_by_key(|offence| offence.began)
            && latest.iter().all(|offence| 0 < offence.began && offence.began <= offence.until);
        let mut offences = Self { bans, ..Self::default() };
        let places = LATEST_MAX.checked_sub(latest.len()).and_then(|first| offences.latest.get_mut(first..))?;
        places.copy_from_slice(latest);
        makes_sense.then_some(offences)
    }

    /// How many there were.
    #[must_use]
    pub fn bans(&self) -> u16 {
        self.bans
    }

    /// The latest, the oldest of them first; at most [`LATEST_MAX`].
    pub fn latest(&self) -> impl Iterator<Item = Offence> + use<> {
        self.latest.into_iter().filter(|offence| offence.began > 0)
    }

    fn add(&mut self, offence: Offence) {
        self.bans = self.bans.saturating_add(1);
        let [oldest, ..] = &mut self.latest;
        if oldest.began <= offence.began {
            *oldest = offence;
            self.sort();
        }
    }

    /// The one that ends or has ended at this time, give or take the rounding of clocks.
    fn ending(&mut self, until: u32) -> Option<&mut Offence> {
        let kept = self.latest.iter_mut().filter(|offence| offence.began > 0);
        kept.min_by_key(|offence| offence.until.abs_diff(until))
    }

    fn sort(&mut self) {
        self.latest.sort_unstable_by_key(|offence| (offence.began, offence.until));
    }

    /// How many are over at this time.
    fn over(&self, at: u32) -> u16 {
        let in_force = self.latest().filter(|offence| offence.until > at).count();
        self.bans.saturating_sub(u16::try_from(in_force).unwrap_or(u16::MAX))
    }
}

impl Aged for Offences {
    type Brief = Infallible;

    /// When the last one ends.
    fn newest(&self) -> Option<LogTime> {
        let last = self.latest().map(|offence| offence.until).max()?;
        Some(LogTime(i64::from(last).saturating_mul(SECOND)))
    }

    fn shift(&mut self, step: i64) {
        let shifted = |at: u32| seconds(LogTime(i64::from(at).saturating_mul(SECOND)).shifted(step)).max(1);
        for offence in self.latest.iter_mut().filter(|offence| offence.began > 0) {
            offence.began = shifted(offence.began);
            offence.until = if offence.until == u32::MAX { u32::MAX } else { shifted(offence.until) };
        }
    }

    fn brief(&self) -> Option<(Infallible, bool)> {
        None
    }

    fn from_brief(brief: Infallible, _: bool) -> Self {
        match brief {}
    }

    /// It is as old as the end of a ban, which may be long.
    fn is_in_step(&self) -> bool {
        false
    }
}

const SECOND: i64 = 1_000_000;

fn seconds(at: LogTime) -> u32 {
    u32::try_from(at.0.div_euclid(SECOND)).unwrap_or(if at.0 < 0 { 0 } else { u32::MAX })
}

/// The offences of a bounded number of prefixes; beyond, the one whose last ban ends first is forgotten, and counted.
#[derive(Debug)]
pub(super) struct History {
    enforced: Recent<Offences>,
    observed: Recent<Offences>,
    /// A prefix is a new one when so much time has passed since its last ban ended.
    forget: Duration,
    evicted: u64,
}

impl History {
    pub(super) fn new(forget: Duration) -> Self {
        Self { enforced: Recent::new(), observed: Recent::new(), forget, evicted: 0 }
    }

    /// Remembers from now on what changes.
    pub(super) fn watch(&mut self) {
        (self.enforced, self.observed) = (Recent::watched(), Recent::watched());
    }

    pub(super) fn forget_after(&mut self, forget: Duration) {
        self.forget = forget;
    }

    pub(super) fn of(&self, observe: bool) -> &Recent<Offences> {
        if observe { &self.observed } else { &self.enforced }
    }

    pub(super) fn of_mut(&mut self, observe: bool) -> &mut Recent<Offences> {
        if observe { &mut self.observed } else { &mut self.enforced }
    }

    /// How many bans of a prefix were over at this time; with the observing ones, for what only observes.
    pub(super) fn former(&self, prefix: IpNet, observe: bool, at: LogTime) -> u16 {
        self.heeded(prefix, observe, at).fold(0, |sum, offences| sum.saturating_add(offences.over(seconds(at))))
    }

    /// How many of them began within so much time before, of those that are kept with their times.
    pub(super) fn lately(&self, prefix: IpNet, observe: bool, at: LogTime, within: Duration) -> u16 {
        let (from, to) = (seconds(earlier(at, within)), seconds(at));
        let offences = self.heeded(prefix, observe, at).flat_map(|offences| offences.latest());
        let lately = offences.filter(|offence| offence.began >= from && offence.until <= to).count();
        u16::try_from(lately).unwrap_or(u16::MAX)
    }

    /// What is not forgotten at this time.
    fn heeded(&self, prefix: IpNet, observe: bool, at: LogTime) -> impl Iterator<Item = Cow<'_, Offences>> {
        let observed = observe.then(|| self.observed.get(prefix)).flatten();
        let start = earlier(at, self.forget);
        self.enforced.get(prefix).into_iter().chain(observed).filter(move |offences| offences.newest() >= Some(start))
    }

    /// A prefix was banned.
    pub(super) fn note(&mut self, prefix: IpNet, observe: bool, offence: Offence) {
        let start = earlier(LogTime(i64::from(offence.began).saturating_mul(SECOND)), self.forget);
        self.of_mut(observe).update(prefix, |offences| {
            // Not swept yet.
            if offences.newest() < Some(start) {
                *offences = Offences::default();
            }
            offences.add(offence);
        });
    }

    /// A ban should not have been.
    pub(super) fn take_back(&mut self, prefix: IpNet, observe: bool, until: LogTime) {
        let history = self.of_mut(observe);
        let Some(offences) = history.get(prefix) else { return };
        if offences.bans <= 1 {
            history.remove(prefix);
            return;
        }
        history.update(prefix, |offences| {
            offences.bans = offences.bans.saturating_sub(1);
            if let Some(offence) = offences.ending(seconds(until)) {
                *offence = Offence::default();
            }
            offences.sort();
        });
    }

    /// A ban ended before its time.
    pub(super) fn ended(&mut self, prefix: IpNet, observe: bool, until: LogTime, now: LogTime) {
        let history = self.of_mut(observe);
        if history.get(prefix).is_none() {
            return;
        }
        history.update(prefix, |offences| {
            if let Some(offence) = offences.ending(seconds(until)) {
                offence.until = offence.until.min(seconds(now)).max(offence.began);
            }
        });
    }

    /// Forgets, in each history at most so many, those whose bans have been over for long enough.
    pub(super) fn tidy(&mut self, now: LogTime, at_most: usize) {
        let start = earlier(now, self.forget);
        for history in [&mut self.enforced, &mut self.observed] {
            for _ in 0..at_most {
                if history.oldest().is_none_or(|oldest| oldest >= start) {
                    break;
                }
                history.forget_oldest();
            }
        }
    }

    /// Forgets the oldest where all together are more than `limit`.
    pub(super) fn bound(&mut self, limit: usize) {
        while self.len() > limit {
            let histories = [&mut self.observed, &mut self.enforced].into_iter().filter(|history| history.len() > 0);
            let Some(oldest) = histories.min_by_key(|history| history.oldest()) else { break };
            oldest.forget_oldest();
            self.evicted = self.evicted.saturating_add(1);
        }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.enforced.shift(step);
        self.observed.shift(step);
    }

    pub(super) fn len(&self) -> usize {
        self.enforced.len().saturating_add(self.observed.len())
    }

    /// How many were forgotten for want of room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }
}
