//! What the rules about accounts ask of who has logged in: the one place to ask.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::{
    Judge,
    account::{AccountId, AccountTag},
};
use crate::clock::LogTime;

/// The most logins that are kept; beyond, the one that is longest ago is forgotten.
const LOGINS_MAX: usize = 200_000;

/// Logins of late, by source and account; the account is `None` where the line had no name.
#[derive(Debug, Default)]
pub(super) struct Logins {
    at: BTreeMap<(IpNet, Option<AccountTag>), LogTime>,
    by_age: BTreeSet<(LogTime, IpNet, Option<AccountTag>)>,
    by_account: BTreeSet<(AccountTag, IpNet)>,
    /// When the first login ever was heard of.
    since: Option<LogTime>,
}

impl Logins {
    pub(super) fn note(&mut self, source: IpNet, account: Option<AccountTag>, at: LogTime) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
        if let Some(former) = self.at.insert((source, account), at) {
            self.by_age.remove(&(former, source, account));
        }
        self.by_age.insert((at, source, account));
        self.by_account.extend(account.map(|account| (account, source)));
        if self.at.len() > LOGINS_MAX {
            self.forget_oldest();
        }
    }

    /// Forgets logins before `start`, at most so many.
    pub(super) fn tidy(&mut self, start: LogTime, at_most: usize) {
        for _ in 0..at_most {
            if self.by_age.first().is_none_or(|(at, ..)| *at >= start) {
                break;
            }
            self.forget_oldest();
        }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.at.values_mut().for_each(|at| *at = at.shifted(step));
        self.since = self.since.map(|since| since.shifted(step));
        self.by_age = self.at.iter().map(|((source, account), at)| (*at, *source, *account)).collect();
    }

    fn forget_oldest(&mut self) {
        let Some((_, source, account)) = self.by_age.pop_first() else { return };
        self.at.remove(&(source, account));
        if let Some(account) = account {
            self.by_account.remove(&(account, source));
        }
    }

    /// Since when logins are known; `None` where there never was one.
    pub(super) fn since(&self) -> Option<LogTime> {
        self.since
    }

    fn of(&self, source: IpNet) -> impl Iterator<Item = Option<AccountTag>> {
        let last = Some(AccountTag::MAX);
        self.at.range((source, None)..=(source, last)).map(|((_, account), _)| *account)
    }
}

impl Judge {
    /// Whether somebody has logged in from a source of late.
    pub(super) fn is_customer(&self, source: IpNet) -> bool {
        self.logins.of(source).next().is_some()
    }

    /// Whether this account has logged in from a source of late.
    pub(super) fn knows(&self, source: IpNet, account: AccountTag) -> bool {
        self.logins.at.contains_key(&(source, Some(account)))
    }

    /// Whether this account has logged in from anywhere of late.
    pub(super) fn has_logged_in(&self, account: AccountId) -> bool {
        let first = (account.tag(), IpNet::V4(ipnet::Ipv4Net::default()));
        self.logins.by_account.range(first..).next().is_some_and(|(tag, _)| *tag == account.tag())
    }

    /// Whether many have logged in from a source: a webmail server, an office, a carrier's gateway.
    pub(super) fn is_shared(&self, source: IpNet) -> bool {
        let Some(policy) = &self.policy.customers else { return false };
        let most = usize::from(policy.shared);
        self.logins.of(source).flatten().take(most).count() >= most
    }
}
