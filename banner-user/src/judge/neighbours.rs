//! Sources of one prefix that fail: what tells a rented network, or one full of machines that were taken over, from a bad apple.
//!
//! Of each prefix the distinct sources that failed lately are known, at most as many as ban it: the newest. Only what failed in full
//! is in here (a password was tried, over a connection whose address cannot be forged), and nothing that is ignored or from which
//! somebody logged in.
//!
//! An attacker who fails from everywhere can have the prefixes forgotten that failed longest ago; those that go on failing stay.

use std::{borrow::Cow, net::Ipv4Addr, num::NonZeroU32};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    prefix::range,
    recent::{Aged, Recent},
};
use crate::clock::LogTime;

/// The most sources that `prefixes.members` can ask for.
pub const MEMBERS_MAX: u16 = 64;

/// One source of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Member {
    /// Its place in the prefix: the bits of its address behind the prefix; for IPv6 those of its /64.
    number: u32,
    /// When it last failed; seconds since the Unix epoch.
    at: u32,
}

/// The sources of one prefix that failed lately. Nearly all prefixes have one, which takes no memory of its own: 32 bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Neighbours {
    newest: Option<Member>,
    /// The others, oldest first.
    others: Box<[Member]>,
    /// They were enough, something kept the prefix from being banned, and that was told.
    told: bool,
}

impl Neighbours {
    /// How many there are, once this one is among them. None of them failed longer than `within` seconds before the newest; beyond
    /// `most` the oldest are forgotten.
    fn add(&mut self, new: Member, within: u32, most: usize) -> usize {
        if self.others.is_empty() && self.newest.is_none_or(|newest| newest.number == new.number) {
            let at = self.newest.map_or(new.at, |newest| newest.at.max(new.at));
            self.newest = Some(Member { at, ..new });
            return 1;
        }
        let known = self.members().find(|member| member.number == new.number);
        let at = known.map_or(new.at, |known| known.at.max(new.at));
        let mut members: Vec<_> = self.members().filter(|member| member.number != new.number).collect();
        // Of equal times by number: the order of the lines does not matter.
        members.push(Member { at, ..new });
        members.sort_unstable_by_key(|member| (member.at, member.number));
        let start = members.last().map_or(0, |newest| newest.at.saturating_sub(within));
        members.retain(|member| member.at >= start);
        members.drain(..members.len().saturating_sub(most));
        self.replace(members)
    }

    fn replace(&mut self, mut members: Vec<Member>) -> usize {
        let number = members.len();
        self.newest = members.pop();
        self.others = members.into();
        number
    }

    fn members(&self) -> impl Iterator<Item = Member> {
        self.others.iter().copied().chain(self.newest)
    }
}

/// A prefix's only source that failed lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Only {
    number: u32,
    at: NonZeroU32,
}

impl Aged for Neighbours {
    type Brief = Only;

    fn newest(&self) -> Option<LogTime> {
        self.newest.map(|member| LogTime(i64::from(member.at).saturating_mul(SECOND)))
    }

    fn shift(&mut self, step: i64) {
        for member in self.others.iter_mut().chain(&mut self.newest) {
            member.at = seconds(LogTime(i64::from(member.at).saturating_mul(SECOND)).shifted(step));
        }
    }

    fn brief(&self) -> Option<(Only, bool)> {
        let Member { number, at } = self.newest.filter(|_| self.others.is_empty())?;
        Some((Only { number, at: NonZeroU32::new(at)? }, self.told))
    }

    fn from_brief(Only { number, at }: Only, told: bool) -> Self {
        Self { newest: Some(Member { number, at: at.get() }), others: Box::default(), told }
    }
}

const SECOND: i64 = 1_000_000;

fn seconds(at: LogTime) -> u32 {
    u32::try_from(at.0.div_euclid(SECOND)).unwrap_or(if at.0 < 0 { 0 } else { u32::MAX })
}

/// A source that failed, as one of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) prefix: IpNet,
    number: u32,
}

impl Neighbour {
    /// A source in the prefix around it; `None` where that is no wider than the source.
    pub(super) fn of(source: IpNet, prefix: IpNet) -> Option<Self> {
        if !prefix.contains(&source) || prefix == source {
            return None;
        }
        let number = match (source, prefix) {
            (IpNet::V4(source), IpNet::V4(prefix)) => u32::from(source.network()) & u32::from(prefix.hostmask()),
            (IpNet::V6(source), IpNet::V6(prefix)) => {
                let behind = u128::from(source.network()) & u128::from(prefix.hostmask());
                u32::try_from(behind >> 64).ok()?
            }
            _ => return None,
        };
        Some(Self { prefix, number })
    }

    /// The source: an address, or of IPv6 what is `length` bits long, up to a /64.
    fn source(self, length: u8) -> IpNet {
        match self.prefix {
            IpNet::V4(prefix) => IpNet::V4(Ipv4Net::from(Ipv4Addr::from(u32::from(prefix.network()) | self.number))),
            IpNet::V6(prefix) => {
                let address = u128::from(prefix.network()) | (u128::from(self.number) << 64);
                let source = Ipv6Net::new(address.into(), length.min(64)).unwrap_or(prefix);
                IpNet::V6(source.trunc())
            }
        }
    }
}

/// The prefixes from which anybody failed lately, a bounded number; beyond, the one that failed longest ago is forgotten.
#[derive(Debug)]
pub(super) struct Neighbourhoods {
    prefixes: Recent<Neighbours>,
}

impl Neighbourhoods {
    pub(super) fn new() -> Self {
        Self { prefixes: Recent::new() }
    }

    /// A source failed. How many of its prefix have, within so many seconds.
    pub(super) fn note(&mut self, neighbour: Neighbour, at: LogTime, within: u32, most: u16) -> u16 {
        let member = Member { number: neighbour.number, at: seconds(at) };
        let known = self.prefixes.update(neighbour.prefix, |known| known.add(member, within, most.into()));
        u16::try_from(known).unwrap_or(u16::MAX)
    }

    /// The sources of a prefix that failed lately, the one that failed longest ago first, and when each did last. `length` is how
    /// long a source of IPv6 is.
    pub(super) fn members(&self, prefix: IpNet, length: u8) -> Vec<(IpNet, LogTime)> {
        let neighbours = self.prefixes.get(prefix).map(Cow::into_owned).unwrap_or_default();
        let source = |member: Member| Neighbour { prefix, number: member.number }.source(length);
        neighbours
            .members()
            .map(|member| (source(member), LogTime(i64::from(member.at).saturating_mul(SECOND))))
            .collect()
    }

    /// Whether what keeps a prefix from being banned is still to be told.
    pub(super) fn tell(&mut self, prefix: IpNet) -> bool {
        self.prefixes.update(prefix, |neighbours| !std::mem::replace(&mut neighbours.told, true))
    }

    /// Forgets a prefix.
    pub(super) fn remove(&mut self, prefix: IpNet) {
        self.prefixes.remove(prefix);
    }

    /// Forgets one source.
    pub(super) fn remove_member(&mut self, neighbour: Neighbour) {
        let known = |known: Cow<'_, Neighbours>| known.members().any(|member| member.number == neighbour.number);
        if !self.prefixes.get(neighbour.prefix).is_some_and(known) {
            return;
        }
        let left = self.prefixes.update(neighbour.prefix, |known| {
            let members = known.members().filter(|member| member.number != neighbour.number).collect();
            known.replace(members)
        });
        if left == 0 {
            self.prefixes.remove(neighbour.prefix);
        }
    }

    /// Forgets every source inside a prefix, which may lie inside one that is known.
    pub(super) fn remove_within(&mut self, prefix: IpNet, around: Option<IpNet>) {
        self.prefixes.remove_within(prefix);
        let Some(around) = around else { return };
        let (first, last) = range(prefix).into_inner();
        for (source, _) in self.members(around, 64) {
            if (first..=last).contains(&source)
                && let Some(neighbour) = Neighbour::of(source, around)
            {
                self.remove_member(neighbour);
            }
        }
    }

    /// Forgets at most so many that failed before `start`.
    pub(super) fn tidy(&mut self, start: LogTime, at_most: usize) {
        for _ in 0..at_most {
            if self.prefixes.oldest().is_none_or(|oldest| oldest >= start) {
                break;
            }
            self.prefixes.forget_oldest();
        }
    }

    /// Forgets the oldest where they are more than `limit`.
    pub(super) fn bound(&mut self, limit: usize) {
        while self.prefixes.len() > limit {
            self.prefixes.forget_oldest();
        }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.prefixes.shift(step);
    }
}
