//! One line is judged.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{
    Judge,
    effect::{Effect, Until},
    evidence::Failure,
    input::Line,
    jail::JailState,
    ledger::{Key, Record},
    origin::OriginId,
    policy::BanTime,
    report::{Because, Ended, Report},
    scope,
};
use crate::{
    clock::{LogTime, Now, WallTime},
    event::{Attempt, Event, Outage, Weight},
};

/// For so long after a ban began, its source's lines were on their way: no sign that it does not work, and none that it would
/// have prevented.
pub(crate) const ON_THE_WAY: Duration = Duration::from_secs(2);

/// A failure, with what was found out about it.
struct Found<'a> {
    attempt: &'a Attempt,
    /// The client's address, [`scope::canonical`].
    address: IpAddr,
    /// When it counts.
    at: LogTime,
    live: bool,
}

impl Judge {
    pub(super) fn line(&mut self, line: &Line<'_>, now: Now, effects: &mut Vec<Effect>) {
        for event in line.events {
            let jails = self.hearing(event, line);
            if jails.is_empty() {
                continue;
            }
            match event {
                Event::Failure(attempt) => self.failure(attempt, jails, line, now, effects),
                Event::Outage(outage) => self.outage(outage, line, now, effects),
                // Nothing is judged by successes.
                Event::Success(_) => {}
            }
        }
    }

    fn outage(&mut self, outage: &Outage, line: &Line<'_>, now: Now, effects: &mut Vec<Effect>) {
        let at = self.time(outage.at, line, now, effects);
        if let Some(source) = outage.source {
            self.excuses.note(outage, scope::canonical(source), at);
        }
        let begun = self.outages.note(&outage.filter, at, now);
        effects.extend(begun.map(|state| Effect::Report(Report::OutageBegan(state))));
    }

    fn failure(&mut self, attempt: &Attempt, jails: Vec<usize>, line: &Line<'_>, now: Now, effects: &mut Vec<Effect>) {
        let at = self.time(attempt.at, line, now, effects);
        let address = scope::canonical(attempt.source);
        let mut attempt = attempt.clone();
        if self.excuses.excuse(&attempt.filter, address, at, line.position) {
            attempt.weight = Weight::ZERO;
        }
        let found = Found { attempt: &attempt, address, at, live: line.live };
        if attempt.weight > Weight::ZERO {
            self.note_late(&found, &jails, now, effects);
            for jail in jails {
                self.count(jail, &found, now, effects);
            }
            self.bound_sources(now, effects);
        }
        let failure = Failure { attempt, at, position: line.position };
        self.archive.keep(self.source(address), failure, line.bytes, self.policy.limits.evidence);
    }

    /// The jails to which a line says this.
    fn hearing(&self, event: &Event, line: &Line<'_>) -> Vec<usize> {
        let hears = |jail: &JailState| jail.hears(line).is_some_and(|heard| std::ptr::eq(heard, event));
        let jails = self.jails.iter().enumerate();
        jails.filter(|(_, jail)| hears(jail)).map(|(index, _)| index).collect()
    }

    fn time(&mut self, claimed: LogTime, line: &Line<'_>, now: Now, effects: &mut Vec<Effect>) -> LogTime {
        let (at, stale) = self.stamps.judge(claimed, line.position.file, line.live, now);
        effects.extend(stale.map(|stale| Effect::Report(Report::StaleStamps(stale))));
        at
    }

    /// The source that an address belongs to, as far as all jails agree.
    pub(super) fn source(&self, address: IpAddr) -> IpNet {
        scope::source(address, self.policy.ipv6_prefix, |prefix| self.ledger.protections().any_inside(prefix))
    }

    /// Notes that the source is banned from all that one of these jails guards, and comes through all the same.
    fn note_late(&mut self, found: &Found<'_>, jails: &[usize], now: Now, effects: &mut Vec<Effect>) {
        let guarded = |record: &Record| {
            jails
                .iter()
                .filter_map(|jail| self.jails.get(*jail))
                .any(|jail| record.services.contains(jail.jail.services))
        };
        let after = |record: &Record| {
            let since = now.wall_at(record.since).as_log_time();
            if found.at > since { found.at.distance(since) } else { Duration::ZERO }
        };
        let late = self.ledger.covering(found.address.into()).find(|(key, record)| {
            let enforced =
                !record.observe && record.in_force(now.boot) && !self.capacity.waits(self.ledger.slot(key.prefix));
            enforced && guarded(record) && after(record) > ON_THE_WAY
        });
        let Some((key, after)) = late.map(|(key, record)| (key, after(record))) else { return };
        if self.ledger.note_late(key) {
            let origin = self.origins.origin(key.origin);
            let address = found.address;
            effects.push(Effect::Report(Report::LateFailure { origin, prefix: key.prefix, address, after }));
        }
    }

    /// Counts a failure in one jail, and bans the source where that reaches the limit.
    ///
    /// What comes in while the jail's own ban is in force does not count: it was on its way, or only observed, or gets
    /// past the ban (and is told as that).
    fn count(&mut self, index: usize, found: &Found<'_>, now: Now, effects: &mut Vec<Effect>) {
        let Some(jail) = self.jails.get_mut(index) else { return };
        let (ledger, arrival) = (&self.ledger, now.wall.as_log_time());
        jail.total_failed = jail.total_failed.saturating_add(1);
        let banned = |(key, record): (Key, &Record)| key.origin == jail.id && record.in_force(now.boot);
        if ledger.covering(found.address.into()).any(banned) || (!found.live && jail.window_over(found.at, arrival)) {
            return;
        }
        let source = scope::source(found.address, self.policy.ipv6_prefix, |prefix| {
            ledger.protections().any_inside(prefix) || jail.protections.any_inside(prefix)
        });
        if !found.live && jail.was_banned_at(source, found.at) {
            return;
        }
        let Some(over) = jail.count(source, found.at, found.attempt.weight, arrival) else { return };
        let because = Because { failures: over.failures, filter: found.attempt.filter.clone() };
        let protection =
            ledger.protections().forbids(source, false).or_else(|| jail.protections.forbids(source, false));
        match protection {
            Some(_) if over.told => {}
            Some(protection) => {
                jail.told(source);
                let jail = jail.jail.name.clone();
                effects.push(Effect::Report(Report::Ignored { jail, source, protection, because }));
            }
            None => {
                jail.tracked.remove(source);
                let mut record = Record::new(
                    now.boot,
                    until(jail.jail.bantime, found.live, over.newest, now),
                    jail.jail.services,
                    jail.jail.observe,
                );
                let key = Key { prefix: source, origin: jail.id };
                // A run that died before it could save this ban had written it into the kernel, and knew its end exactly.
                let written = Key { prefix: source, origin: OriginId::ADOPTED };
                let same = |before: &&Record| !found.live && before.services == record.services;
                let recognised = ledger.get(written).filter(same).copied();
                record = recognised.unwrap_or(record);
                if record.in_force(now.boot) {
                    self.put(key, record, Some(&because), effects);
                    effects.push(self.banned(key, record, Some(because), now));
                } else {
                    jail.was_banned(source, now.wall_at(record.deadline()).as_log_time());
                }
                if recognised.is_some() {
                    self.lift(written, Ended::Recognised, effects);
                }
            }
        }
    }

    /// What to tell of a ban.
    pub(super) fn banned(&self, key: Key, record: Record, because: Option<Because>, now: Now) -> Effect {
        let until = match record.until() {
            Until::Boot(at) => Some(now.wall_at(at)),
            Until::Permanent => None,
        };
        let (origin, prefix) = (self.origins.origin(key.origin), key.prefix);
        Effect::Report(Report::Banned { origin, prefix, until, observe: record.observe, because })
    }

    /// Forgets the sources that failed longest ago where there are too many, over all jails.
    pub(super) fn bound_sources(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let limit = self.policy.limits.sources;
        let mut tracked: usize = self.jails.iter().map(|jail| jail.tracked.len()).sum();
        while tracked > limit {
            let tracking = self.jails.iter_mut().filter(|jail| jail.tracked.len() > 0);
            let Some(jail) = tracking.min_by_key(|jail| jail.tracked.oldest()) else { break };
            jail.tracked.forget_oldest();
            tracked = tracked.saturating_sub(1);
            self.evicted = self.evicted.saturating_add(1);
            if self.evicted_told.due(now.boot) {
                effects.push(Effect::Report(Report::SourcesEvicted { limit, total: self.evicted }));
            }
        }
    }
}

/// When a ban ends. One for a line that was read as it was written lasts its full length from now on. One for a line that was
/// read late ends when it would have, had somebody been there to read it.
fn until(bantime: BanTime, live: bool, newest: LogTime, now: Now) -> Until {
    match bantime {
        BanTime::Permanent => Until::Permanent,
        BanTime::For(length) if live => Until::Boot(now.boot + length),
        BanTime::For(length) => Until::Boot(now.boot_at(WallTime(newest.0)) + length),
    }
}
