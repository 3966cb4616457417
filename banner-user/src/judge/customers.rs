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

mod address;
mod sieve;

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;

use self::{
    address::{Address, six},
    sieve::Sieve,
};
use super::{
    account::{AccountId, AccountTag},
    window::earlier,
};
use crate::clock::LogTime;

/// The most logins whose change is remembered, for a state that cannot be written for long; then all are told.
const CHANGED_MAX: usize = 1_000_000;

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
///
/// Each has a slot, with indices of small numbers. Every failure looks up its source here; most are of strangers, whom the sieve
/// tells without them.
#[derive(Debug, Default)]
pub(super) struct Customers {
    sieve: Sieve,
    slots: Vec<Option<Slot>>,
    /// Slots that are empty.
    free: Vec<u32>,
    by_source: BTreeSet<(Address, u32, u32)>,
    by_age: BTreeSet<(u32, u32)>,
    /// All with a name.
    by_account: BTreeSet<(u64, u32)>,
    /// When the first login ever was heard of.
    since: Option<LogTime>,
    /// When the first line ever was, be it of a login or of a failure.
    heard_since: Option<LogTime>,
    evicted: u64,
    changed: Option<BTreeSet<Login>>,
}

/// One login, in 32 bytes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    address: Address,
    /// 0 for none.
    account: u64,
    /// In seconds since 1970.
    at: u32,
    length: u8,
    counts: bool,
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
        let former = self.get(login);
        if former.is_some_and(|seen| at <= seen.at || at.distance(seen.at) < WORTH) {
            return;
        }
        let counts = former.is_some_and(|seen| seen.counts)
            || account.is_none_or(|account| self.of(account).filter(|(_, slot)| slot.counts).count() < SOURCES_MAX);
        self.insert(login, Seen { at, counts });
        self.note_changed(login);
        if let Some(account) = account.filter(|_| former.is_none() && !counts) {
            self.bound_further(account);
        }
        while self.len() > limit {
            self.forget_oldest();
            self.evicted = self.evicted.saturating_add(1);
        }
    }

    /// Takes in what was saved: that is no change.
    pub(super) fn restore(&mut self, login: Login, seen: Seen) {
        let is_older = self.get(login).is_some_and(|known| known.at >= seen.at);
        if !is_older {
            self.since = Some(self.since.map_or(seen.at, |since| since.min(seen.at)));
            self.heard(seen.at);
            self.insert(login, seen);
        }
    }

    /// Whether somebody has logged in from there of late, and that counts.
    pub(super) fn is_customer(&self, source: IpNet) -> bool {
        self.at(source, 0, u32::MAX).any(|slot| slot.counts)
    }

    /// Whether this account has.
    pub(super) fn knows(&self, source: IpNet, account: AccountTag) -> bool {
        self.at(source, account.0.get(), account.0.get()).any(|slot| slot.counts)
    }

    /// How many accounts have, counted up to `most`.
    pub(super) fn accounts(&self, source: IpNet, most: usize) -> usize {
        self.at(source, 1, u32::MAX).filter(|slot| slot.counts).take(most).count()
    }

    /// Whether anybody has logged in from inside a prefix, whether or not that counts.
    pub(super) fn any_within(&self, prefix: IpNet) -> bool {
        let prefix = six(prefix);
        let (first, last) = (Address::of(prefix.network()), Address::of(prefix.broadcast()));
        self.by_source
            .range((first, 0, 0)..=(last, u32::MAX, u32::MAX))
            .any(|(_, _, index)| self.slot(*index).is_some_and(|slot| slot.length >= prefix.prefix_len()))
    }

    /// One of the accounts that have, always the same while those that have do not change.
    pub(super) fn first_account(&self, source: IpNet) -> Option<AccountTag> {
        self.at(source, 1, u32::MAX).find(|slot| slot.counts).map(|slot| AccountId(slot.account).tag())
    }

    /// Whether this account has logged in from anywhere.
    pub(super) fn has_logged_in(&self, account: AccountId) -> bool {
        self.of(account).next().is_some()
    }

    /// Since when logins are known; `None` where there never was one.
    pub(super) fn since(&self) -> Option<LogTime> {
        self.since
    }

    /// Since when lines are heard of that could tell of logins.
    pub(super) fn heard_since(&self) -> Option<LogTime> {
        self.heard_since
    }

    /// A line was heard of.
    pub(super) fn heard(&mut self, at: LogTime) {
        self.heard_since = Some(self.heard_since.map_or(at, |since| since.min(at)));
    }

    /// The sources at which an account is known.
    pub(super) fn sources(&self, account: AccountTag) -> impl Iterator<Item = IpNet> {
        let (first, last) = (u64::from(account.0.get()) << 32, u64::from(account.0.get()) << 32 | u64::from(u32::MAX));
        let indices = self.by_account.range((first, 0)..=(last, u32::MAX));
        indices.filter_map(|(_, index)| self.slot(*index)).filter(|slot| slot.counts).map(|slot| slot.login().source)
    }

    /// Forgets logins that were too long ago, at most so many.
    pub(super) fn forget_before(&mut self, start: LogTime, at_most: usize) {
        for _ in 0..at_most {
            if self.by_age.first().is_none_or(|(at, _)| time(*at) >= start) {
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
        for (index, slot) in (0..).zip(&mut self.slots) {
            let Some(slot) = slot else { continue };
            slot.at = seconds(time(slot.at).shifted(step));
            self.by_age.insert((slot.at, index));
            if let Some(changed) = &mut self.changed {
                changed.insert(slot.login());
            }
        }
        self.since = self.since.map(|since| since.shifted(step));
        self.heard_since = self.heard_since.map(|since| since.shifted(step));
    }

    /// In the order of their sources.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Login, Seen)> {
        let slots = self.by_source.iter().filter_map(|(_, _, index)| self.slot(*index));
        slots.map(|slot| (slot.login(), slot.seen()))
    }

    pub(super) fn get(&self, login: Login) -> Option<Seen> {
        self.index(login).and_then(|index| self.slot(index)).map(|slot| slot.seen())
    }

    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// How many were forgotten for want of room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What has changed since this was last asked for; none where that is not known any more, because it was too much.
    pub(super) fn take_changed(&mut self) -> Option<BTreeSet<Login>> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        (changed.len() < CHANGED_MAX).then_some(changed)
    }

    /// This is to be told again.
    pub(super) fn note_changed(&mut self, login: Login) {
        if let Some(changed) = self.changed.as_mut().filter(|changed| changed.len() < CHANGED_MAX) {
            changed.insert(login);
        }
    }

    /// Lines were judged at this time already, by an earlier run.
    pub(super) fn known_since(&mut self, at: LogTime) {
        self.since = self.since.map(|since| since.min(at));
        self.heard(at);
    }

    /// What is known of a source, of accounts with tags within these; 0 is that of none.
    fn at(&self, source: IpNet, first: u32, last: u32) -> impl Iterator<Item = &Slot> {
        let (address, length) = Address::of_source(source);
        let indices =
            self.sieve.may_have(address).then(|| self.by_source.range((address, first, 0)..=(address, last, u32::MAX)));
        let indices = indices.into_iter().flatten();
        // Inside a source whose addresses are judged one by one, the first one begins as the whole does.
        indices.filter_map(|(_, _, index)| self.slot(*index)).filter(move |slot| slot.length == length)
    }

    /// What is known of an account: at most [`SOURCES_MAX`] that count, and [`FURTHER_MAX`] others.
    fn of(&self, account: AccountId) -> impl Iterator<Item = (u32, &Slot)> {
        let indices = self.by_account.range((account.0, 0)..=(account.0, u32::MAX));
        indices.filter_map(|(_, index)| Some((*index, self.slot(*index)?)))
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)?.as_ref()
    }

    fn index(&self, login: Login) -> Option<u32> {
        let wanted = Slot::new(login, 0, false);
        let (address, tag) = (wanted.address, wanted.tag());
        let mut indices =
            self.by_source.range((address, tag, 0)..=(address, tag, u32::MAX)).map(|(_, _, index)| *index);
        indices.find(|index| {
            self.slot(*index).is_some_and(|slot| slot.account == wanted.account && slot.length == wanted.length)
        })
    }

    fn insert(&mut self, login: Login, seen: Seen) {
        if let Some(index) = self.index(login) {
            self.empty(index);
        }
        let slot = Slot::new(login, seconds(seen.at), seen.counts);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let Ok(index) = u32::try_from(self.slots.len()) else { return };
                self.slots.push(None);
                index
            }
        };
        if let Some(place) = self.slots.get_mut(index as usize) {
            *place = Some(slot);
        }
        self.by_age.insert((slot.at, index));
        self.by_source.insert((slot.address, slot.tag(), index));
        self.sieve.add(slot.address);
        if slot.account != 0 {
            self.by_account.insert((slot.account, index));
        }
    }

    fn empty(&mut self, index: u32) -> Option<Login> {
        let slot = self.slots.get_mut(index as usize)?.take()?;
        self.by_age.remove(&(slot.at, index));
        self.by_source.remove(&(slot.address, slot.tag(), index));
        self.sieve.remove(slot.address);
        self.by_account.remove(&(slot.account, index));
        self.free.push(index);
        Some(slot.login())
    }

    fn bound_further(&mut self, account: AccountId) {
        let further = || self.of(account).filter(|(_, slot)| !slot.counts);
        if further().count() > FURTHER_MAX
            && let Some((index, _)) = further().min_by_key(|(_, slot)| slot.at)
        {
            self.forget(index);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, index)) = self.by_age.first().copied() {
            self.forget(index);
        }
    }

    fn forget(&mut self, index: u32) {
        if let Some(login) = self.empty(index) {
            self.note_changed(login);
        }
    }
}

impl Slot {
    fn new(Login { source, account }: Login, at: u32, counts: bool) -> Self {
        let (address, length) = Address::of_source(source);
        let account = account.map_or(0, |account| account.0);
        Self { address, account, at, length, counts }
    }

    fn login(&self) -> Login {
        let account = (self.account != 0).then_some(AccountId(self.account));
        Login { source: self.address.source(self.length), account }
    }

    fn seen(&self) -> Seen {
        Seen { at: time(self.at), counts: self.counts }
    }

    fn tag(&self) -> u32 {
        if self.account == 0 { 0 } else { AccountId(self.account).tag().0.get() }
    }
}

fn time(seconds: u32) -> LogTime {
    LogTime(i64::from(seconds) * 1_000_000)
}

/// A time before 1970 or after 2105 is that.
fn seconds(at: LogTime) -> u32 {
    u32::try_from(at.0.div_euclid(1_000_000).max(0)).unwrap_or(u32::MAX)
}
