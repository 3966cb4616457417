//! How a source stands in one jail after a failure: against which limit, and for how long it would be banned.

use ipnet::IpNet;

use super::{
    Judge,
    failure::Found,
    policy::BanTime,
    report::{Because, Reason},
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
        if self.policy.spraying.is_some() {
            self.weigh_accounts(source, &tracked.window, &mut measure);
        }
        Some(measure)
    }

    /// Failures on a third account and further ones weigh double: who mistypes does so on one. Not on those that logged in from
    /// there, and not where many did.
    fn weigh_accounts(&self, source: IpNet, window: &Window, measure: &mut Measure) {
        let (mut first, mut second) = (None, None);
        let mut further: Quarters = 0;
        for failure in window.failures() {
            let Some(account) = failure.account else { continue };
            if first == Some(account) || second == Some(account) || self.knows(source, account) {
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

    /// It is banned, and for no shorter time than this.
    pub(super) fn sentence(&mut self, sentence: &Sentence) {
        self.sentenced = true;
        self.bantime = match self.bantime {
            BanTime::For(length) => BanTime::For(length.max(sentence.bantime)),
            BanTime::Permanent => BanTime::Permanent,
        };
        self.reasons.push(sentence.reason.clone());
    }

    /// What to tell of it.
    pub(super) fn because(self, found: &Found<'_>) -> Because {
        let Self { failures, limit, reasons, .. } = self;
        Because { failures, limit, filter: found.attempt.filter.clone(), reasons }
    }
}
