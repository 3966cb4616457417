//! Suspects: which accounts a source has tried of late, far beyond the window of a jail. A member of a botnet tries once a day.
//!
//! Tries on one account within [`SPACING`] are one: who mistypes does so twice in a row. Of each source [`TRIES_MAX`] are kept.
//! Where there are more, the oldest goes that is not the last on its account, else the oldest: who tries one account again
//! and again cannot hide the others behind it. An attacker who has more sources than are kept has those forgotten that have failed
//! longest ago; none of them makes more than its own record.

use std::{borrow::Cow, time::Duration};

use ipnet::IpNet;

use super::{
    account::AccountTag,
    recent::{Aged, Recent},
    seconds::LogSeconds,
};
use crate::clock::LogTime;

/// The tries of one source that are kept: the most that `accounts.maxretry` and `spraying.accounts` can ask for.
pub const TRIES_MAX: usize = 6;

/// Within so long, tries on one account are one.
const SPACING: Duration = Duration::from_secs(10 * 60);

/// A report about a source is not repeated for so long.
const TOLD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A wrong password for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Whose.
    pub account: AccountTag,
    /// When.
    pub at: LogSeconds,
}

/// What is known of one source. 60 bytes; 8 where that is one try (its brief form), as it nearly always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspect {
    tries: [Option<Try>; TRIES_MAX],
    /// By the place of each: its account was under attack then.
    attacked: u8,
    /// Until when it was last banned for trying accounts under attack; 0 for never.
    banned_until: LogSeconds,
    /// When something about it was told that stands in the way of banning it; 0 for never.
    told: LogSeconds,
}

impl Suspect {
    /// What was saved. At most [`TRIES_MAX`] tries; each says whether its account was under attack.
    #[must_use]
    pub fn restored(tries: &[(Try, bool)], banned_until: LogSeconds) -> Self {
        let mut suspect = Self { banned_until, ..Self::default() };
        for (place, (new, attacked)) in tries.iter().enumerate().take(TRIES_MAX) {
            suspect.put(place, *new, *attacked);
        }
        suspect
    }

    /// Its tries, in no order, and of each whether its account was under attack then.
    pub fn tries(&self) -> impl Iterator<Item = (Try, bool)> {
        let tries = self.tries.iter().enumerate();
        tries.filter_map(|(place, tried)| tried.map(|tried| (tried, self.attacked & bit(place) != 0)))
    }

    /// Until when it was last banned for trying accounts under attack, where it was.
    #[must_use]
    pub fn banned_until(&self) -> Option<LogSeconds> {
        (self.banned_until > LogSeconds(0)).then_some(self.banned_until)
    }

    fn note(&mut self, new: Try, attacked: bool) {
        let same = |old: &Try| old.account == new.account && old.at.0.abs_diff(new.at.0) < seconds(SPACING);
        if let Some(place) = self.tries.iter().position(|old| old.as_ref().is_some_and(same)) {
            self.attacked |= if attacked { bit(place) } else { 0 };
            return;
        }
        let places = self.tries.iter().enumerate().map(|(place, old)| (self.worth(*old), place));
        if let Some((_, place)) = places.min() {
            self.put(place, new, attacked);
        }
    }

    /// What is worth least goes first.
    fn worth(&self, old: Option<Try>) -> Option<(bool, LogSeconds)> {
        old.map(|old| {
            let is_later = |other: &Try| other.account == old.account && other.at > old.at;
            (!self.tries.iter().flatten().any(is_later), old.at)
        })
    }

    fn put(&mut self, place: usize, new: Try, attacked: bool) {
        if let Some(slot) = self.tries.get_mut(place) {
            *slot = Some(new);
            self.attacked = if attacked { self.attacked | bit(place) } else { self.attacked & !bit(place) };
        }
    }

    /// How many different accounts it has tried since `start`, of those that `counts`.
    pub(super) fn accounts(&self, start: LogSeconds, counts: impl Fn(AccountTag) -> bool) -> usize {
        let since = || self.tries.iter().flatten().filter(|tried| tried.at >= start);
        let is_last = |tried: &&Try| {
            let same = |other: &Try| other.account == tried.account && other.at > tried.at;
            !since().any(same)
        };
        since().filter(is_last).filter(|tried| counts(tried.account)).count()
    }

    /// How often it has tried since `start`, where all of that was on accounts that were under attack then or are now; else 0.
    pub(super) fn tries_under_attack(&self, start: LogSeconds, is_now: impl Fn(AccountTag) -> bool) -> usize {
        let mut number = 0_usize;
        for (tried, attacked) in self.tries().filter(|(tried, _)| tried.at >= start) {
            if !attacked && !is_now(tried.account) {
                return 0;
            }
            number = number.saturating_add(1);
        }
        number
    }
}

impl Aged for Suspect {
    type Brief = Try;

    fn newest(&self) -> Option<LogTime> {
        let tries = self.tries.iter().flatten().map(|tried| tried.at);
        tries.chain(self.banned_until()).max().map(LogSeconds::as_log_time)
    }

    fn shift(&mut self, step: i64) {
        self.tries.iter_mut().flatten().for_each(|tried| tried.at = tried.at.shifted(step));
        for at in [&mut self.banned_until, &mut self.told] {
            *at = if at.0 == 0 { *at } else { at.shifted(step) };
        }
    }

    fn brief(&self) -> Option<(Try, bool)> {
        let [Some(first), None, None, None, None, None] = self.tries else { return None };
        let is_all = self.banned_until == LogSeconds(0) && self.told == LogSeconds(0);
        is_all.then_some((first, self.attacked != 0))
    }

    fn from_brief(first: Try, attacked: bool) -> Self {
        Self { tries: [Some(first), None, None, None, None, None], attacked: u8::from(attacked), ..Self::default() }
    }

    /// A ban ends later than anybody tries now.
    fn is_in_step(&self) -> bool {
        self.banned_until == LogSeconds(0)
    }
}

/// All suspects.
#[derive(Debug)]
pub(super) struct Suspects {
    sources: Recent<Suspect>,
}

impl Suspects {
    pub(super) fn new() -> Self {
        Self { sources: Recent::new() }
    }

    /// Remembers from now on what changes.
    pub(super) fn watch(&mut self) {
        self.sources = Recent::watched();
    }

    /// A source has tried an account; `attacked` is told what was known of the source, and tells whether that is under attack. What
    /// is known of the source then. At most `limit` are kept.
    pub(super) fn note(
        &mut self,
        source: IpNet,
        new: Try,
        limit: usize,
        attacked: impl FnOnce(&Suspect) -> bool,
    ) -> Suspect {
        let suspect = self.sources.update(source, |suspect| {
            let attacked = attacked(suspect);
            suspect.note(new, attacked);
            *suspect
        });
        self.bound(limit);
        suspect
    }

    pub(super) fn get(&self, source: IpNet) -> Option<Cow<'_, Suspect>> {
        self.sources.get(source)
    }

    /// A source was banned for trying accounts under attack.
    pub(super) fn banned(&mut self, source: IpNet, until: LogSeconds) {
        self.sources.update(source, |suspect| suspect.banned_until = suspect.banned_until.max(until));
    }

    /// Whether to tell that a source is not banned: once a day.
    pub(super) fn tell(&mut self, source: IpNet, at: LogSeconds) -> bool {
        self.sources.update(source, |suspect| {
            let due = suspect.told == LogSeconds(0) || suspect.told.0.abs_diff(at.0) >= seconds(TOLD_FOR);
            if due {
                suspect.told = at;
            }
            due
        })
    }

    /// Forgets what was last heard of before `start`, at most so many.
    pub(super) fn tidy(&mut self, start: LogTime, at_most: usize) {
        for _ in 0..at_most {
            if self.sources.oldest().is_none_or(|oldest| oldest >= start) {
                break;
            }
            self.sources.forget_oldest();
        }
    }

    /// Takes in what was saved, where nothing else is known by now. Whether it did.
    pub(super) fn restore(&mut self, source: IpNet, suspect: Suspect) -> bool {
        let is_known = self.sources.has_changed(source) || suspect.newest().is_none();
        if !is_known {
            self.sources.restore(source, suspect);
        }
        !is_known
    }

    pub(super) fn bound(&mut self, limit: usize) {
        while self.sources.len() > limit {
            self.sources.forget_oldest();
        }
    }

    /// The record behind it, for what is saved and what is forgotten by hand.
    pub(super) fn sources(&self) -> &Recent<Suspect> {
        &self.sources
    }

    pub(super) fn sources_mut(&mut self) -> &mut Recent<Suspect> {
        &mut self.sources
    }
}

fn bit(place: usize) -> u8 {
    u32::try_from(place).ok().and_then(|place| 1_u8.checked_shl(place)).unwrap_or_default()
}

fn seconds(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
