//! From where somebody has logged in lately.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{account::AccountId, prefix::range};
use crate::clock::LogTime;

/// Sources with their last logins; beyond the limit, the one that is longest ago is forgotten.
#[derive(Debug, Default)]
pub(super) struct Customers {
    logins: BTreeMap<IpNet, LogTime>,
    since: Option<LogTime>,
}

impl Customers {
    pub(super) fn note(&mut self, source: IpNet, _: Option<AccountId>, at: LogTime, limit: usize) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
        let last = self.logins.entry(source).or_insert(at);
        *last = at.max(*last);
        while self.logins.len() > limit {
            let oldest = self.logins.iter().min_by_key(|(_, at)| **at).map(|(source, _)| *source);
            oldest.and_then(|oldest| self.logins.remove(&oldest));
        }
    }

    pub(super) fn is_customer(&self, source: IpNet) -> bool {
        self.logins.contains_key(&source)
    }

    pub(super) fn any_within(&self, prefix: IpNet) -> bool {
        self.logins.range(range(prefix)).next().is_some()
    }

    pub(super) fn since(&self) -> Option<LogTime> {
        self.since
    }

    pub(super) fn shift(&mut self, step: i64) {
        self.since = self.since.map(|since| since.shifted(step));
        self.logins.values_mut().for_each(|at| *at = at.shifted(step));
    }
}
