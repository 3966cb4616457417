//! Who has logged in lately, from where: what tells people who mistype from those who guess.
//!
//! A login makes its source a customer's, and the account known there. It is remembered for `remember`, to the hour: a relay has a
//! thousand logins a second, and what is known already is not written again. What is granted for it is up to others; here stands
//! what an attacker can make of it:
//!
//! - He has stolen a password, and logs in from everywhere. One account makes [`SOURCES_MAX`] sources known at a time, those that
//!   it was first seen at: the owner's own are not pushed out, and a botnet gains nothing. Further sources have logged in, so that
//!   nobody bans their whole prefix, but are no customers; the last [`FURTHER_MAX`] of them are remembered, so that a network with
//!   a billion addresses pushes out nobody else's logins.
//! - He makes up names: nobody logs in with those.
//! - He has so many stolen passwords that there is no room for all: the login that is longest ago is forgotten first, and counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    account::{AccountId, AccountTag},
    prefix::range,
    window::earlier,
};
use crate::clock::LogTime;

/// The most sources that one account makes known.
pub const SOURCES_MAX: usize = 8;

/// The most further ones that are remembered of one account; beyond, the one that it was seen at longest ago is forgotten.
const FURTHER_MAX: usize = 56;

/// How much later a login has to be to be worth remembering.
const WORTH: Duration = Duration::from_secs(60 * 60);

/// A source, and an account that logged in from there; without one where the line had no name. Sorted by source, so that
/// everything inside a prefix is one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Login {
    /// From where.
    pub source: IpNet,
    /// By whom.
    pub account: Option<AccountId>,
}

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The last time, to the hour.
    pub at: LogTime,
    /// Its source is a customer's, and its account known there: it is one of its account's [`SOURCES_MAX`].
    pub counts: bool,
}

/// Logins of late.
#[derive(Debug, Default)]
pub(super) struct Customers {
    logins: BTreeMap<Login, Seen>,
    by_age: BTreeSet<(LogTime, Login)>,
    /// All with a name, by it.
    by_account: BTreeSet<(AccountId, IpNet)>,
    /// When the first login ever was heard of.
    since: Option<LogTime>,
    evicted: u64,
    changed: Option<BTreeSet<Login>>,
}

impl Customers {
    /// Remembers from now on what changes.
    pub(super) fn watch(&mut self) {
        self.changed = Some(BTreeSet::new());
    }

    /// Somebody logged in. At most `limit` logins are remembered.
    pub(super) fn note(&mut self, source: IpNet, account: Option<AccountId>, at: LogTime, limit: usize) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
        let login = Login { source, account };
        let former = self.logins.get(&login).copied();
        if former.is_some_and(|seen| at <= seen.at || at.distance(seen.at) < WORTH) {
            return;
        }
        let counts = former.is_some_and(|seen| seen.counts)
            || account.is_none_or(|account| self.of(account).filter(|(_, seen)| seen.counts).count() < SOURCES_MAX);
        self.insert(login, Seen { at, counts });
        self.note_changed(login);
        if let Some(account) = account.filter(|_| former.is_none() && !counts) {
            self.bound_further(account);
        }
        while self.logins.len() > limit {
            self.forget_oldest();
            self.evicted = self.evicted.saturating_add(1);
        }
    }

    /// Takes in what was saved: that is no change.
    pub(super) fn restore(&mut self, login: Login, seen: Seen) {
        let is_older = self.logins.get(&login).is_some_and(|known| known.at >= seen.at);
        if !is_older {
            self.since = Some(self.since.map_or(seen.at, |since| since.min(seen.at)));
            self.insert(login, seen);
        }
    }

    /// Whether somebody has logged in from there of late, and that counts.
    pub(super) fn is_customer(&self, source: IpNet) -> bool {
        self.at(source).any(|(_, seen)| seen.counts)
    }

    /// Whether this account has.
    pub(super) fn knows(&self, source: IpNet, account: AccountTag) -> bool {
        let (first, last) = account.range();
        let login = |account| Login { source, account: Some(account) };
        self.logins.range(login(first)..=login(last)).any(|(_, seen)| seen.counts)
    }

    /// How many accounts have, counted up to `most`.
    pub(super) fn accounts(&self, source: IpNet, most: usize) -> usize {
        self.at(source).filter(|(login, seen)| seen.counts && login.account.is_some()).take(most).count()
    }

    /// Whether anybody has logged in from inside a prefix, whether or not that counts.
    pub(super) fn any_within(&self, prefix: IpNet) -> bool {
        let (first, last) = range(prefix).into_inner();
        let first = Login { source: first, account: None };
        let last = Login { source: last, account: Some(AccountId(u64::MAX)) };
        self.logins.range(first..=last).next().is_some()
    }

    /// One of the accounts that have, always the same while those that have do not change.
    pub(super) fn first_account(&self, source: IpNet) -> Option<AccountTag> {
        self.at(source).filter(|(_, seen)| seen.counts).find_map(|(login, _)| login.account).map(AccountId::tag)
    }

    /// Whether this account has logged in from anywhere.
    pub(super) fn has_logged_in(&self, account: AccountId) -> bool {
        self.of(account).next().is_some()
    }

    /// Since when logins are known; `None` where there never was one.
    pub(super) fn since(&self) -> Option<LogTime> {
        self.since
    }

    /// Forgets logins that were too long ago, at most so many.
    pub(super) fn forget_before(&mut self, start: LogTime, at_most: usize) {
        for _ in 0..at_most {
            if self.by_age.first().is_none_or(|(at, _)| *at >= start) {
                break;
            }
            self.forget_oldest();
        }
    }

    /// How long ago what is remembered may be.
    pub(super) fn start(now: LogTime, remember: Duration) -> LogTime {
        // A login is noted up to an hour after it is first worth it.
        earlier(now, remember.saturating_add(WORTH))
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.by_age.clear();
        for (login, seen) in &mut self.logins {
            seen.at = seen.at.shifted(step);
            self.by_age.insert((seen.at, *login));
            if let Some(changed) = &mut self.changed {
                changed.insert(*login);
            }
        }
        self.since = self.since.map(|since| since.shifted(step));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Login, Seen)> {
        self.logins.iter().map(|(login, seen)| (*login, *seen))
    }

    pub(super) fn get(&self, login: Login) -> Option<Seen> {
        self.logins.get(&login).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.logins.len()
    }

    /// How many were forgotten for want of room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What has changed since this was last asked for.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Login> {
        self.changed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// This is to be told again. Not more than the logins that there are, and those that are gone since this was last asked.
    pub(super) fn note_changed(&mut self, login: Login) {
        if let Some(changed) = &mut self.changed {
            changed.insert(login);
        }
    }

    fn at(&self, source: IpNet) -> impl Iterator<Item = (&Login, &Seen)> {
        let login = |account| Login { source, account };
        self.logins.range(login(None)..=login(Some(AccountId(u64::MAX))))
    }

    /// What is known of an account: at most [`SOURCES_MAX`] that count, and [`FURTHER_MAX`] others.
    fn of(&self, account: AccountId) -> impl Iterator<Item = (Login, Seen)> {
        let first = (account, IpNet::V4(ipnet::Ipv4Net::default()));
        let sources = self.by_account.range(first..).take_while(move |(other, _)| *other == account);
        sources.filter_map(move |(_, source)| {
            let login = Login { source: *source, account: Some(account) };
            self.get(login).map(|seen| (login, seen))
        })
    }

    fn bound_further(&mut self, account: AccountId) {
        let further = self.of(account).filter(|(_, seen)| !seen.counts);
        if further.count() > FURTHER_MAX
            && let Some((login, seen)) =
                self.of(account).filter(|(_, seen)| !seen.counts).min_by_key(|(_, seen)| seen.at)
        {
            self.forget(login, seen.at);
        }
    }

    fn insert(&mut self, login: Login, seen: Seen) {
        if let Some(former) = self.logins.insert(login, seen) {
            self.by_age.remove(&(former.at, login));
        }
        self.by_age.insert((seen.at, login));
        if let Some(account) = login.account {
            self.by_account.insert((account, login.source));
        }
    }

    fn forget_oldest(&mut self) {
        let Some((at, login)) = self.by_age.first().copied() else { return };
        self.forget(login, at);
    }

    fn forget(&mut self, login: Login, at: LogTime) {
        self.by_age.remove(&(at, login));
        self.logins.remove(&login);
        if let Some(account) = login.account {
            self.by_account.remove(&(account, login.source));
        }
        self.note_changed(login);
    }
}
