//! Bans of which more may be learned: what they would have prevented, and who logs in.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{
    AROUND,
    ban::{Ban, Login, Moment},
};
use crate::clock::WallTime;

/// Bans under watch. Beyond, the one that began first is handed out as it is: one without an end, mostly, which otherwise
/// stays to the end of the log and holds up all that began after it.
const WATCHED_MAX: usize = 200_000;

/// A ban that is not watched any more.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) ban: Ban,
    /// There was no room to watch it longer.
    pub(super) cut_short: bool,
}

#[derive(Debug, Default)]
pub(super) struct Watch {
    /// In the order of their beginnings.
    bans: VecDeque<Ban>,
    /// How many were handed out: the number of the first in `bans`, where each has its number by its beginning.
    gone: u64,
    /// The numbers of the bans of each source, in their order.
    by_source: BTreeMap<IpNet, VecDeque<u64>>,
    /// The lengths of all sources that were banned, by family (IPv4: true): a handful.
    lengths: BTreeSet<(bool, u8)>,
}

impl Watch {
    pub(super) fn begin(&mut self, ban: Ban) {
        let number = self.gone.saturating_add(u64::try_from(self.bans.len()).unwrap_or(u64::MAX));
        self.lengths.insert((ban.source.addr().is_ipv4(), ban.source.prefix_len()));
        self.by_source.entry(ban.source).or_default().push_back(number);
        self.bans.push_back(ban);
    }

    /// A failure did not get through.
    pub(super) fn prevented(&mut self, source: IpNet, jail: &str) {
        if let Some(ban) = self.last(source, jail) {
            ban.prevented = ban.prevented.saturating_add(1);
        }
    }

    /// A ban gave way.
    pub(super) fn yielded(&mut self, source: IpNet, jail: &str, now: WallTime) {
        if let Some(ban) = self.last(source, jail) {
            (ban.until, ban.yielded) = (Some(now), true);
        }
    }

    /// Somebody logged in: evidence for the bans of the address that have none from after their beginning.
    pub(super) fn login(&mut self, login: &Login) {
        for source in self.sources(login.address) {
            for number in self.by_source.get(&source).into_iter().flatten() {
                let Some(ban) = ban_mut(&mut self.bans, self.gone, *number) else { continue };
                let known = ban.login.as_ref().is_some_and(|login| login.moment != Moment::Before);
                if !known && !is_over(ban, login.at) {
                    let during = ban.until.is_none_or(|until| login.at < until);
                    let moment = if during { Moment::During } else { Moment::After };
                    ban.login = Some(Login { moment, ..login.clone() });
                }
            }
        }
    }

    /// The ban that began first, where it is over for more than a day, or there are too many.
    pub(super) fn settled(&mut self, now: WallTime) -> Option<Settled> {
        let over = self.bans.front().is_some_and(|ban| is_over(ban, now));
        if !over && self.bans.len() <= WATCHED_MAX {
            return None;
        }
        Some(Settled { ban: self.first()?, cut_short: !over })
    }

    /// The ban that began first.
    pub(super) fn first(&mut self) -> Option<Ban> {
        let ban = self.bans.pop_front()?;
        self.gone = self.gone.saturating_add(1);
        if let Some(numbers) = self.by_source.get_mut(&ban.source) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_source.remove(&ban.source);
            }
        }
        Some(ban)
    }

    fn last(&mut self, source: IpNet, jail: &str) -> Option<&mut Ban> {
        let is_its = |number: &&u64| ban_mut(&mut self.bans, self.gone, **number).is_some_and(|ban| &*ban.jail == jail);
        let number = *self.by_source.get(&source)?.iter().rev().find(is_its)?;
        ban_mut(&mut self.bans, self.gone, number)
    }

    /// The prefixes of an address that may have been banned.
    fn sources(&self, address: IpAddr) -> Vec<IpNet> {
        let lengths = self.lengths.iter().filter(|(is_ipv4, _)| *is_ipv4 == address.is_ipv4());
        lengths.filter_map(|(_, length)| Some(IpNet::new(address, *length).ok()?.trunc())).collect()
    }
}

fn ban_mut(bans: &mut VecDeque<Ban>, gone: u64, number: u64) -> Option<&mut Ban> {
    bans.get_mut(usize::try_from(number.checked_sub(gone)?).ok()?)
}

/// Whether a ban ended more than a day ago.
fn is_over(ban: &Ban, now: WallTime) -> bool {
    ban.until.is_some_and(|until| now > until && now.as_log_time().distance(until.as_log_time()) > AROUND)
}
