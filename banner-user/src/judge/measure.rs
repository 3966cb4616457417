//! How a source stands in one jail after a failure: against which limit, and for how long it would be banned.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{
    Judge,
    account::AccountTag,
    accounts::Network,
    failure::Found,
    policy::{BanTime, Customers as CustomersPolicy},
    reason::Reason,
    report::Because,
    sentence::Sentence,
    window::{Quarters, Window},
};
use crate::{clock::LogTime, service::ServiceMask};

/// How a source stands in a jail.
#[derive(Debug)]
pub(super) struct Measure {
    /// What its failures within the window weigh.
    pub(super) failures: Quarters,
    /// What bans.
    pub(super) limit: Quarters,
    /// Its newest failure.
    pub(super) newest: LogTime,
    /// It was already told that it is never banned.
    pub(super) told: bool,
    /// For how long it would be banned.
    pub(super) bantime: BanTime,
    /// From what.
    pub(super) services: ServiceMask,
    /// What was taken into account for that.
    pub(super) reasons: Vec<Reason>,
    /// It is banned whatever its failures weigh.
    pub(super) sentenced: bool,
}

impl Judge {
    /// How a source stands in a jail; `None` where it has no failure there.
    pub(super) fn measure(&self, index: usize, source: IpNet) -> Option<Measure> {
        let jail = self.jails.get(index)?;
        let tracked = jail.tracked.get(source)?;
        let mut measure = Measure {
            failures: tracked.sum(),
            limit: jail.limit(),
            newest: tracked.window.newest()?,
            told: tracked.told,
            bantime: jail.jail.bantime,
            services: jail.jail.services,
            reasons: Vec::new(),
            sentenced: false,
        };
        if let Some(policy) = &self.policy.customers
            && self.customers.is_customer(source)
        {
            self.grant(policy, source, jail.jail.observe, &tracked.window, &mut measure);
        }
        if self.policy.spraying.is_some() {
            self.weigh_accounts(source, &tracked.window, &mut measure);
        }
        Some(measure)
    }

    /// What is granted to a customer: failures on accounts that logged in from there weigh half, since whoever knows a password
    /// does not guess it; and the first ban is short. At a shared source no account by itself comes to more than half of the
    /// limit: one telephone with an old password does not lock out an office.
    fn grant(&self, policy: &CustomersPolicy, source: IpNet, observe: bool, window: &Window, measure: &mut Measure) {
        if policy.raise {
            let is_shared = self.is_shared(source);
            let most = if is_shared { measure.limit / 2 } else { Quarters::MAX };
            let is_known = |account: &AccountTag| {
                self.customers.knows(source, *account) || is_shared && self.is_known_beside(source, *account)
            };
            let mut known = BTreeMap::<AccountTag, Quarters>::new();
            let mut rest: Quarters = 0;
            for failure in window.failures() {
                let weight = Quarters::from(failure.weight.0);
                match failure.account.filter(is_known) {
                    Some(account) => {
                        let sum = known.entry(account).or_default();
                        *sum = sum.saturating_add(weight.div_ceil(2)).min(most);
                    }
                    None => rest = rest.saturating_add(weight),
                }
            }
            measure.failures = known.values().fold(rest, |sum, weight| sum.saturating_add(*weight));
            if !known.is_empty() {
                measure.reasons.push(Reason::KnownAccounts);
            }
        }
        let short = BanTime::For(policy.bantime);
        let why = if self.is_shared(source) {
            Some(Reason::SharedSource)
        } else {
            (self.history.former(source, observe, measure.newest) == 0).then_some(Reason::Customer)
        };
        if let Some(why) = why.filter(|_| short < measure.bantime) {
            measure.bantime = short;
            measure.reasons.push(why);
        }
    }

    /// Whether many have logged in from a source: a webmail server, an office, a carrier's gateway.
    pub(super) fn is_shared(&self, source: IpNet) -> bool {
        let Some(policy) = &self.policy.customers else { return false };
        let most = usize::from(policy.shared);
        self.customers.accounts(source, most) >= most
    }

    /// Whether an account is known at another shared source of the same network: a gateway has many addresses, and gives its users
    /// now one, now another. Whoever made it known there has its password.
    fn is_known_beside(&self, source: IpNet, account: AccountTag) -> bool {
        let network = Network::of(source.addr());
        let mut others = self.customers.sources(account).filter(|other| Network::of(other.addr()) == network);
        others.any(|other| self.is_shared(other))
    }

    /// Failures on a third account and further ones weigh double: who mistypes does so on one. Not on those that logged in from
    /// there, and not where many did.
    fn weigh_accounts(&self, source: IpNet, window: &Window, measure: &mut Measure) {
        let (mut first, mut second) = (None, None);
        let mut further: Quarters = 0;
        for failure in window.failures() {
            let Some(account) = failure.account else { continue };
            if first == Some(account) || second == Some(account) || self.customers.knows(source, account) {
            } else if first.is_none() {
                first = Some(account);
            } else if second.is_none() {
                second = Some(account);
            } else {
                further = further.saturating_add(failure.weight.0.into());
            }
        }
        if further > 0 && !self.is_shared(source) {
            measure.failures = measure.failures.saturating_add(further);
            measure.reasons.push(Reason::ManyAccounts);
        }
    }
}

impl Measure {
    /// Whether it is banned.
    pub(super) fn is_over(&self) -> bool {
        self.sentenced || self.failures >= self.limit
    }

    /// It is banned, and for no shorter time than this and the jail's. A customer gets nothing for what nobody does who mistypes.
    pub(super) fn sentence(&mut self, sentence: &Sentence, jail: BanTime) {
        self.sentenced = true;
        self.bantime = jail.max(BanTime::For(sentence.bantime));
        self.reasons.retain(|reason| !matches!(reason, Reason::Customer | Reason::SharedSource));
        self.reasons.push(sentence.reason.clone());
    }

    /// What to tell of it.
    pub(super) fn because(self, found: &Found<'_>) -> Because {
        let Self { failures, limit, reasons, .. } = self;
        Because { failures, limit, filter: found.attempt.filter.clone(), reasons }
    }
}
