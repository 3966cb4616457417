//! One line is judged.

use std::{cmp::Reverse, net::IpAddr, time::Duration};

use ipnet::IpNet;
use smallvec::SmallVec;

use super::{
    Judge, account::AccountId, customers::Customers, effect::Effect, evidence::Failure, fuse::Customer, input::Line,
    jail::JailState, ledger::Record, report::Report, scope, sentence::Sentence,
};
use crate::{
    clock::{LogTime, Now},
    event::{Attempt, Event, Outage, Weight},
};

/// For so long after a ban began, its source's lines were on their way: no sign that it does not work, and none that it would
/// have prevented.
pub(crate) const ON_THE_WAY: Duration = Duration::from_secs(2);

/// Places of jails that hear an event. Few have more than one.
pub(super) type Hearing = SmallVec<[usize; 4]>;

/// A failure, with what was found out about it.
pub(super) struct Found<'a> {
    pub(super) attempt: &'a Attempt,
    /// The client's address, [`scope::canonical`].
    pub(super) address: IpAddr,
    /// The source that it belongs to, as far as all jails agree.
    pub(super) source: IpNet,
    /// Whose password was tried, where the line has it.
    pub(super) account: Option<AccountId>,
    /// When it counts.
    pub(super) at: LogTime,
    pub(super) live: bool,
    /// There are bans that cover its source, over or not.
    pub(super) is_covered: bool,
    /// What follows from its account.
    pub(super) sentence: Option<Sentence>,
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
                Event::Success(attempt) => self.success(attempt, &jails, line, now, effects),
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

    fn failure(&mut self, attempt: &Attempt, jails: Hearing, line: &Line<'_>, now: Now, effects: &mut Vec<Effect>) {
        let at = self.time(attempt.at, line, now, effects);
        let address = scope::canonical(attempt.source);
        let mut attempt = attempt.clone();
        if self.excuses.excuse(&attempt.filter, address, at, line.position) {
            attempt.weight = Weight::ZERO;
        }
        let account = attempt.user.as_ref().map(AccountId::of);
        let source = self.source(address);
        let is_covered = self.ledger.covering(address.into()).next().is_some();
        let mut found =
            Found { attempt: &attempt, address, source, account, at, live: line.live, is_covered, sentence: None };
        if attempt.weight > Weight::ZERO {
            if is_covered {
                self.note_late(&found, &jails, now, effects);
            }
            let counting = self.counting(jails, &found, now);
            if !self.is_spared(&found, now, effects) && !counting.is_empty() {
                found.sentence = self.sentence(&found, now, effects);
                for jail in &counting {
                    self.count(*jail, &found, now, effects);
                }
                self.judge_neighbours(&found, &counting, now, effects);
            }
            self.bound_sources(now, effects);
        }
        let failure = Failure { attempt, at, position: line.position };
        self.archive.keep(source, failure, line.bytes, self.policy.limits.evidence);
    }

    fn success(&mut self, attempt: &Attempt, jails: &[usize], line: &Line<'_>, now: Now, effects: &mut Vec<Effect>) {
        let Some(policy) = &self.policy.customers else { return };
        let (limit, clear) = (self.policy.limits.customers, policy.clear);
        let start = Customers::start(now.wall.as_log_time(), policy.remember);
        let at = self.time(attempt.at, line, now, effects);
        let source = self.source(scope::canonical(attempt.source));
        if at >= start {
            let account = attempt.user.as_ref().map(AccountId::of);
            self.customers.note(source, account, at, limit);
            let customer = Customer { source, account: account.map(AccountId::tag) };
            self.note_got_in(&attempt.filter, customer, effects);
            self.logged_in(attempt, source, now, effects);
        }
        if clear {
            for jail in jails {
                if let Some(jail) = self.jails.get_mut(*jail) {
                    jail.forgive(source, |failure| failure.at <= at);
                }
            }
        }
    }

    /// The jails to which a line says this.
    fn hearing(&self, event: &Event, line: &Line<'_>) -> Hearing {
        let hears = |jail: &JailState| jail.hears(line).is_some_and(|heard| std::ptr::eq(heard, event));
        let jails = self.jails.iter().enumerate();
        jails.filter(|(_, jail)| hears(jail)).map(|(index, _)| index).collect()
    }

    fn time(&mut self, claimed: LogTime, line: &Line<'_>, now: Now, effects: &mut Vec<Effect>) -> LogTime {
        let (at, stale) = self.stamps.judge(claimed, line.position.file, line.live, now);
        self.customers.heard(at);
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

    /// Forgets the sources that failed longest ago where there are too many, over all jails.
    pub(super) fn bound_sources(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let limit = self.policy.limits.sources;
        let mut tracked: usize = self.jails.iter().map(|jail| jail.tracked.len()).sum();
        while tracked > limit {
            let tracking = self.jails.iter_mut().filter(|jail| jail.tracked.len() > 0);
            // Of jails whose oldest are as old, the one with the most: or one with a single newcomer would lose that.
            let age = |jail: &&mut JailState| (jail.tracked.oldest(), Reverse(jail.tracked.len()));
            let Some(jail) = tracking.min_by_key(age) else { break };
            jail.tracked.forget_oldest();
            tracked = tracked.saturating_sub(1);
            self.evicted = self.evicted.saturating_add(1);
            if self.evicted_told.due(now.boot) {
                effects.push(Effect::Report(Report::SourcesEvicted { limit, total: self.evicted }));
            }
        }
    }
}
