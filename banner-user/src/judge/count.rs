//! One failure is counted in one jail, and its source banned where that is too much.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Judge, Protection,
    effect::{Effect, Until},
    failure::{Found, Hearing},
    history::Offence,
    jail::JailState,
    ledger::{Key, Record},
    measure::Measure,
    origin::OriginId,
    policy::BanTime,
    report::{Because, Ended, Report},
    scope,
    window::Counted,
};
use crate::clock::{LogTime, Now, WallTime};

impl Judge {
    /// The jails that count a failure, of those that hear of it.
    ///
    /// What comes in while a jail's own ban is in force does not count: it was on its way, or only observed, or gets
    /// past the ban (and is told as that).
    pub(super) fn counting(&mut self, mut jails: Hearing, found: &Found<'_>, now: Now) -> Hearing {
        jails.retain(|index| {
            let Some(jail) = self.jails.get_mut(*index) else { return false };
            jail.total_failed = jail.total_failed.saturating_add(1);
            // One that only observes is no reason not to ban where the jail enforces by now.
            let heeded = |record: &Record| record.in_force(now.boot) && (jail.jail.observe || !record.observe);
            let banned = |(key, record): (Key, &Record)| key.origin == jail.id && heeded(record);
            if found.is_covered && self.ledger.covering(found.address.into()).any(banned) {
                return false;
            }
            found.live
                || self
                    .source_in(*index, found.address)
                    .is_some_and(|(jail, source)| !jail.was_banned_at(source, found.at))
        });
        jails
    }

    /// Counts a failure in one jail, and bans the source where that reaches the limit, or is enough by itself.
    pub(super) fn count(&mut self, index: usize, found: &Found<'_>, now: Now, effects: &mut Vec<Effect>) {
        let Some((jail, source)) = self.source_in(index, found.address) else { return };
        let arrival = now.wall.as_log_time();
        if !found.live && found.sentence.is_none() && jail.window_over(found.at, arrival) {
            return;
        }
        let account = found.account.map(|account| account.tag());
        let failure = Counted { at: found.at, weight: found.attempt.weight, account };
        let is_shared = self.is_shared(source);
        let Some(jail) = self.jails.get_mut(index) else { return };
        jail.count(source, failure, is_shared, arrival);
        let bantime = jail.jail.bantime;
        let Some(mut measure) = self.measure(index, source) else { return };
        if let Some(sentence) = &found.sentence {
            measure.sentence(sentence, bantime);
        }
        if !measure.is_over() {
            return;
        }
        match self.protection(index, source) {
            Some(_) if measure.told => {}
            Some(protection) => self.spare(index, source, protection, measure, found, effects),
            None => self.ban_source(index, source, measure, found, now, effects),
        }
    }

    /// A jail, and the source that an address belongs to there.
    fn source_in(&self, index: usize, address: IpAddr) -> Option<(&JailState, IpNet)> {
        let jail = self.jails.get(index)?;
        let source = scope::source(address, self.policy.ipv6_prefix, |prefix| {
            self.ledger.protections().any_inside(prefix) || jail.protections.any_inside(prefix)
        });
        Some((jail, source))
    }

    /// What keeps a jail from banning a source.
    pub(super) fn protection(&self, index: usize, source: IpNet) -> Option<Protection> {
        let jail = self.jails.get(index)?;
        self.ledger.protections().forbids(source, false).or_else(|| jail.protections.forbids(source, false))
    }

    /// Tells of a source over the limit that is never banned.
    fn spare(
        &mut self,
        index: usize,
        source: IpNet,
        protection: Protection,
        measure: Measure,
        found: &Found<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(jail) = self.jails.get_mut(index) else { return };
        jail.told(source);
        let jail = jail.jail.name.clone();
        let because = measure.because(found);
        effects.push(Effect::Report(Report::Ignored { jail, source, protection, because }));
    }

    fn ban_source(
        &mut self,
        index: usize,
        source: IpNet,
        mut measure: Measure,
        found: &Found<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(jail) = self.jails.get_mut(index) else { return };
        jail.tracked.remove(source);
        let (first, observe) = (jail.jail.bantime, jail.jail.observe);
        let at = began(found.live, measure.newest, now);
        self.escalate(first, source, observe, at, &mut measure);
        self.impose(index, source, measure, found, now, effects);
    }

    /// Makes the ban that a measure comes to.
    pub(super) fn impose(
        &mut self,
        index: usize,
        prefix: IpNet,
        measure: Measure,
        found: &Found<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(jail) = self.jails.get_mut(index) else { return };
        let until = until(measure.bantime, found.live, measure.newest, now);
        let mut record = Record::new(now.boot, until, measure.services, jail.jail.observe);
        let key = Key { prefix, origin: jail.id };
        // A run that died before it could save this ban had written it into the kernel, and knew its end exactly.
        let written = Key { prefix, origin: OriginId::ADOPTED };
        let same = |before: &&Record| !found.live && before.services == record.services;
        let recognised = self.ledger.get(written).filter(same).copied();
        record = recognised.unwrap_or(record);
        let ends = now.wall_at(record.deadline()).as_log_time();
        let offence = Offence::new(began(found.live, measure.newest, now), ends);
        self.history.note(prefix, record.observe, offence);
        if record.in_force(now.boot) {
            let because = measure.because(found);
            self.put(key, record, Some(&because), effects);
            effects.push(self.banned(key, record, Some(because), now));
            let limit = self.policy.fuse.as_ref().map_or(u32::MAX, |fuse| fuse.bans);
            let alarm = self.alarm.banned(limit, now.boot);
            effects.extend(alarm.map(|bans| Effect::Report(Report::ManyBans { bans })));
        } else {
            jail.was_banned(prefix, ends);
        }
        if recognised.is_some() {
            self.lift(written, Ended::Recognised, effects);
        }
        // The ban of a prefix is not for what its last member tried.
        if let Some(sentence) = found.sentence.as_ref().filter(|_| prefix == found.source)
            && !record.observe
        {
            let until = now.wall_at(record.deadline()).as_log_time();
            self.sentenced(found.source, &sentence.reason, until.into());
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
}

/// When a ban begins: as the line is read, or for one that was read late, as it would have been.
fn began(live: bool, newest: LogTime, now: Now) -> LogTime {
    if live { now.wall.as_log_time() } else { newest }
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
