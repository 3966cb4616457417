//! Bans of prefixes from which many sources fail, and what is left of such a ban when one of them is unbanned.
//!
//! ```text
//!  failure ──> a stranger, not ignored? ──> neighbours: enough of them? ──> nobody there to spare? ──> ban of the prefix
//!              jail hears logins                                            learnt for a day           (members on record)
//! ```
//!
//! It takes as many sources as `members` says, each of which really tried a password: nobody has his neighbours banned alone. A
//! prefix in which anything is ignored or protected, or from which anybody has logged in lately, is never banned; and for the first
//! day in which logins are heard of none is at all, since nobody knows yet who belongs where.

use std::time::Duration;

use ipnet::IpNet;

use super::{
    Judge,
    effect::Effect,
    failure::Found,
    history::Offence,
    ledger::{Key, Record},
    measure::Measure,
    neighbours::Neighbour,
    policy::BanTime,
    reason::Reason,
    report::{Because, Ended, Report, Spared},
    scope,
    status::Ban,
    window::{Quarters, earlier},
};
use crate::{
    clock::{LogTime, Now},
    event::{FilterName, Weight},
};

/// For so long logins have to be heard of before a prefix is banned, or a ban grows: once around the clock, for who logs in daily.
pub(super) const LEARNING: Duration = Duration::from_secs(24 * 60 * 60);

/// The members that a prefix was banned for, and the filter of the last one's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raid {
    pub(super) members: Box<[IpNet]>,
    pub(super) filter: FilterName,
}

impl Judge {
    /// Takes a failure into account for the prefix around its source, in the first of these jails that can: one that enforces,
    /// where there is one.
    pub(super) fn judge_neighbours(&mut self, found: &Found<'_>, jails: &[usize], now: Now, effects: &mut Vec<Effect>) {
        let Some(policy) = self.policy.prefixes else { return };
        let heard = jails.iter().copied().filter_map(|index| self.jails.get(index).map(|jail| (index, jail)));
        let Some((index, jail)) =
            heard.filter(|(_, jail)| jail.jail.hears_logins).min_by_key(|(_, jail)| jail.jail.observe)
        else {
            return;
        };
        let source = found.source;
        let prefix = scope::neighbourhood(source, policy.ipv4, policy.ipv6);
        let Some(neighbour) = prefix.and_then(|prefix| Neighbour::of(source, prefix)) else { return };
        let prefix = neighbour.prefix;
        let observe = jail.jail.observe;
        let in_force = |record: &Record| record.in_force(now.boot) && (observe || !record.observe);
        let start = earlier(now.wall.as_log_time(), policy.findtime);
        let is_late = !found.live && (found.at < start || jail.was_banned_at(prefix, found.at));
        if found.attempt.weight < Weight::ONE
            || is_late
            || self.ledger.at(prefix).any(|(_, record)| in_force(record))
            || self.protection(index, source).is_some()
            || self.customers.is_customer(source)
        {
            return;
        }
        let within = u32::try_from(policy.findtime.as_secs()).unwrap_or(u32::MAX);
        let sources = self.neighbourhoods.note(neighbour, found.at, within, policy.members);
        if sources < policy.members {
            return;
        }
        match self.spared(index, prefix, now.wall.as_log_time()) {
            Some(why) => {
                if self.neighbourhoods.tell(prefix) {
                    let jail = self.jails.get(index).map(|jail| jail.jail.name.clone()).unwrap_or_default();
                    effects.push(Effect::Report(Report::PrefixSpared { jail, prefix, sources, why }));
                }
            }
            None => self.ban_prefix(index, prefix, sources, found, now, effects),
        }
    }

    /// What keeps a prefix from being banned by a jail.
    fn spared(&self, index: usize, prefix: IpNet, now: LogTime) -> Option<Spared> {
        let of_jail = self.jails.get(index).map(|jail| &jail.protections);
        let protections = [Some(self.ledger.protections()), of_jail].into_iter().flatten();
        let touching = |protections: &super::Protections| {
            let covering = protections.covering(prefix).next();
            covering.or_else(|| protections.inside(prefix).next())
        };
        if let Some(protection) = protections.filter_map(touching).next() {
            return Some(Spared::Protected(protection));
        }
        if self.customers.any_within(prefix) {
            return Some(Spared::Customer);
        }
        let learnt = self.customers.since().is_some_and(|since| since <= earlier(now, LEARNING));
        (!learnt).then_some(Spared::Learning)
    }

    fn ban_prefix(
        &mut self,
        index: usize,
        prefix: IpNet,
        sources: u16,
        found: &Found<'_>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(policy), Some(jail)) = (self.policy.prefixes, self.jails.get(index)) else { return };
        let full = |sources: u16| Quarters::from(sources).saturating_mul(Quarters::from(Weight::ONE.0));
        let (key, observe, bantime) =
            (Key { prefix, origin: jail.id }, jail.jail.observe, BanTime::For(policy.bantime));
        let members = self.neighbourhoods.members(prefix, self.policy.ipv6_prefix);
        let mut measure = Measure {
            failures: full(sources),
            limit: full(policy.members),
            newest: members.last().map_or(found.at, |(_, at)| found.at.max(*at)),
            told: false,
            bantime,
            services: jail.jail.services,
            reasons: vec![Reason::Members { sources }],
            sentenced: false,
        };
        self.neighbourhoods.remove(prefix);
        let at = if found.live { now.wall.as_log_time() } else { measure.newest };
        self.escalate(bantime, prefix, observe, at, &mut measure);
        let members = members.into_iter().map(|(source, _)| source).collect();
        self.put_on_record(key, Raid { members, filter: found.attempt.filter.clone() });
        self.impose(index, prefix, measure, found, now, effects);
        if self.ledger.get(key).is_none() {
            self.off_the_record(key);
        }
    }

    /// Lifts the ban of a prefix that covers something that is unbanned: the members that it was made for, but for what is
    /// unbanned, are banned one by one for the rest of the time, before the prefix is let go.
    pub(super) fn split(&mut self, key: Key, unbanned: IpNet, now: Now, effects: &mut Vec<Effect>) -> Vec<Ban> {
        let Some((raid, record)) = self.raids.get(&key).cloned().zip(self.ledger.get(key).copied()) else {
            return Vec::new();
        };
        let mut instead = Vec::new();
        for member in &raid.members {
            let own = Key { prefix: *member, origin: key.origin };
            let protections = self.ledger.protections();
            let is_spared = member.contains(&unbanned)
                || protections.forbids(*member, false).is_some()
                || protections.any_inside(*member);
            // One that has a ban of its own keeps that.
            if is_spared || self.ledger.get(own).is_some() {
                continue;
            }
            let alone = Record::new(now.boot, record.until(), record.services, record.observe);
            let one = Quarters::from(Weight::ONE.0);
            let reasons = vec![Reason::MemberOf(key.prefix)];
            let because = Because { failures: one, limit: one, filter: raid.filter.clone(), reasons };
            let offence = Offence::new(now.wall.as_log_time(), now.wall_at(record.deadline()).as_log_time());
            self.history.note(*member, record.observe, offence);
            self.put(own, alone, Some(&because), effects);
            effects.push(self.banned(own, alone, Some(because), now));
            instead.push(self.view(own, &alone));
        }
        self.lift(key, Ended::ByHand, effects);
        instead
    }

    /// The bans of prefixes around something that were made for their members.
    pub(super) fn raids_around(&self, prefix: IpNet) -> Vec<Key> {
        let wider = self.ledger.wider(prefix).map(|(key, _)| key);
        wider.filter(|key| self.raids.contains_key(key)).collect()
    }

    pub(super) fn put_on_record(&mut self, key: Key, raid: Raid) {
        self.raids.insert(key, raid);
        self.note_raid(key);
    }

    pub(super) fn off_the_record(&mut self, key: Key) {
        if self.raids.remove(&key).is_some() {
            self.note_raid(key);
        }
    }
}
