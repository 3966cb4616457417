//! How a source stands in one jail after a failure: against which limit, and for how long it would be banned.

use ipnet::IpNet;

use super::{
    Judge,
    failure::Found,
    policy::BanTime,
    report::{Because, Reason},
    window::Quarters,
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
}

impl Judge {
    /// How a source stands in a jail; `None` where it has no failure there.
    pub(super) fn measure(&self, index: usize, source: IpNet) -> Option<Measure> {
        let jail = self.jails.get(index)?;
        let tracked = jail.tracked.get(source)?;
        Some(Measure {
            failures: tracked.sum(),
            limit: jail.limit(),
            newest: tracked.window.newest()?,
            told: tracked.told,
            bantime: jail.jail.bantime,
            services: jail.jail.services,
            reasons: Vec::new(),
        })
    }
}

impl Measure {
    /// Whether it is banned.
    pub(super) fn is_over(&self) -> bool {
        self.failures >= self.limit
    }

    /// What to tell of it.
    pub(super) fn because(self, found: &Found<'_>) -> Because {
        let Self { failures, limit, reasons, .. } = self;
        Because { failures, limit, filter: found.attempt.filter.clone(), reasons }
    }
}
