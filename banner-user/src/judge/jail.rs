//! One jail at work: the sources that it tracks, and how each stands against its limit.

use std::convert::Infallible;

use ipnet::IpNet;

use super::{
    input::Line,
    origin::OriginId,
    policy::Jail,
    protect::Protections,
    recent::{Aged, Recent},
    window::{Counted, Lone, Quarters, Window, earlier},
};
use crate::{
    clock::LogTime,
    event::{Event, Weight},
};

/// What a jail knows of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracked {
    pub(super) window: Window,
    /// It was over the limit, is never banned, and that was told. Forgotten with it when it has been quiet.
    pub(super) told: bool,
}

impl Tracked {
    pub(super) fn sum(&self) -> Quarters {
        self.window.sum()
    }
}

impl Aged for Tracked {
    type Brief = Lone;

    fn newest(&self) -> Option<LogTime> {
        self.window.newest()
    }

    fn shift(&mut self, step: i64) {
        self.window.shift(step);
    }

    fn brief(&self) -> Option<(Lone, bool)> {
        self.window.lone().map(|failure| (failure, self.told))
    }

    fn from_brief(failure: Lone, told: bool) -> Self {
        Self { window: failure.into(), told }
    }
}

/// The most bans that are remembered after their end; beyond, the one that ended first is forgotten.
const OVER_MAX: usize = 100_000;

/// When a ban ended, for lines that are read after that.
#[derive(Clone, Debug, Default)]
pub(super) struct WasBanned {
    until: Option<LogTime>,
}

impl Aged for WasBanned {
    type Brief = Infallible;

    fn newest(&self) -> Option<LogTime> {
        self.until
    }

    fn shift(&mut self, step: i64) {
        self.until = self.until.map(|until| until.shifted(step));
    }

    fn brief(&self) -> Option<(Infallible, bool)> {
        None
    }

    fn from_brief(brief: Infallible, _: bool) -> Self {
        match brief {}
    }

    fn is_in_step(&self) -> bool {
        false
    }
}

/// A jail and its tallies.
#[derive(Debug)]
pub(super) struct JailState {
    pub(super) jail: Jail,
    pub(super) id: OriginId,
    /// Its sources, by their place in [`Policy::sources`](super::policy::Policy::sources).
    sources: Vec<usize>,
    /// Its own `ignoreip`.
    pub(super) protections: Protections,
    pub(super) tracked: Recent<Tracked>,
    /// Bans that were over before all lines from their time were read.
    over: Recent<WasBanned>,
    pub(super) total_failed: u64,
}

impl JailState {
    /// `all` are the sources of all jails; `is_saved` says whether what changes is asked for.
    pub(super) fn new(jail: Jail, id: OriginId, all: &[String], is_saved: bool) -> Self {
        let sources = all.iter().enumerate().filter(|(_, source)| jail.source.contains(source));
        Self {
            sources: sources.map(|(index, _)| index).collect(),
            protections: Protections::for_jail(&jail.ignoreip),
            tracked: if is_saved { Recent::watched() } else { Recent::new() },
            over: Recent::new(),
            total_failed: 0,
            id,
            jail,
        }
    }

    /// Goes on where the jail of the same name stood under another configuration.
    pub(super) fn continuing(self, former: Self) -> Self {
        Self { tracked: former.tracked, over: former.over, total_failed: former.total_failed, ..self }
    }

    pub(super) fn limit(&self) -> Quarters {
        Quarters::from(self.jail.maxretry.max(1)).saturating_mul(Quarters::from(Weight::ONE.0))
    }

    /// What a line says to this jail: what the first of its filters that knows the line has found.
    pub(super) fn hears<'a>(&self, line: &Line<'a>) -> Option<&'a Event> {
        if !line.sources.iter().any(|source| self.sources.contains(source)) {
            return None;
        }
        self.jail.filters.iter().find_map(|filter| line.events.iter().find(|event| event.filter() == filter))
    }

    /// Counts a failure. Where many log in (`is_shared`), those on one account may come to half of the limit alone, and more of
    /// them than make that would push out what others have failed.
    pub(super) fn count(&mut self, source: IpNet, failure: Counted, is_shared: bool, now: LogTime) {
        // Twice what bans: failures may weigh as little as half.
        let (limit, findtime) = (self.limit(), self.jail.findtime);
        self.tracked.update(source, |tracked| {
            tracked.window.add(failure, findtime, now);
            if is_shared && failure.account.is_some() {
                tracked.window.trim(limit, |other| other.account == failure.account);
            }
            tracked.window.trim(limit.saturating_mul(2), |_| true);
        });
    }

    /// Forgets these failures of a source.
    pub(super) fn forgive(&mut self, source: IpNet, which: impl Fn(&Counted) -> bool) {
        let Some(tracked) = self.tracked.get(source) else { return };
        if tracked.window.failures().iter().all(&which) {
            self.tracked.remove(source);
        } else if tracked.window.failures().iter().any(&which) {
            self.tracked.update(source, |tracked| tracked.window.forget(which));
        }
    }

    /// Remembers a ban whose end has come before the lines from its time were read.
    pub(super) fn was_banned(&mut self, source: IpNet, until: LogTime) {
        self.over.update(source, |over| over.until = over.until.max(Some(until)));
        while self.over.len() > OVER_MAX {
            self.over.forget_oldest();
        }
    }

    /// Whether a failure that was read late is from the time of such a ban: nobody would have counted it then.
    pub(super) fn was_banned_at(&self, source: IpNet, at: LogTime) -> bool {
        self.over.get(source).is_some_and(|over| over.until > Some(at))
    }

    /// Moves the times of all sources by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.tracked.shift(step);
        self.over.shift(step);
    }

    /// Remembers that a source over the limit was told of.
    pub(super) fn told(&mut self, source: IpNet) {
        self.tracked.update(source, |tracked| tracked.told = true);
    }

    /// Forgets sources whose windows are over, at most so many.
    pub(super) fn forget_quiet(&mut self, now: LogTime, at_most: usize) {
        let start = earlier(now, self.jail.findtime);
        for _ in 0..at_most {
            if self.over.oldest().is_none_or(|oldest| oldest >= start) {
                break;
            }
            self.over.forget_oldest();
        }
        for _ in 0..at_most {
            if self.tracked.oldest().is_none_or(|oldest| oldest >= start) {
                break;
            }
            self.tracked.forget_oldest();
        }
    }

    /// Whether a failure that was read late is from before the window that ends now.
    pub(super) fn window_over(&self, at: LogTime, now: LogTime) -> bool {
        at < earlier(now, self.jail.findtime)
    }
}
