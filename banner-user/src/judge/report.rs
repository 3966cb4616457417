//! What an operator is told.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{
    effect::Map,
    fuse::Tripped,
    list::ListName,
    origin::Origin,
    outage::OutageState,
    protect::{Protection, Shown},
    reason::Reason,
    stamps::StaleStamps,
    window::Quarters,
};
use crate::{
    clock::WallTime,
    event::{Escaped, FilterName, User},
};

/// One thing that an operator is told, as often as each variant says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A prefix was banned, or its ban was changed by hand.
    Banned {
        /// By whom.
        origin: Origin,
        /// Whose packets.
        prefix: IpNet,
        /// Until when, as the clock stands now; `None` for ever.
        until: Option<WallTime>,
        /// Counted, not dropped.
        observe: bool,
        /// What was counted, and the filter of the last failure; not for a ban by hand.
        because: Option<Because>,
    },
    /// A ban ended.
    Unbanned {
        /// Who had made it.
        origin: Origin,
        /// Whose packets.
        prefix: IpNet,
        /// Why.
        why: Ended,
    },
    /// Enough sources of a prefix fail to ban it, but it is not banned. Once, until none of them has failed for
    /// `prefixes.findtime`.
    PrefixSpared {
        /// Whose limit.
        jail: Arc<str>,
        /// Which prefix.
        prefix: IpNet,
        /// How many of its sources fail.
        sources: u16,
        /// What keeps it from being banned.
        why: Spared,
    },
    /// A source over the limit that is never banned. Once, until it has been quiet for the jail's `findtime`.
    Ignored {
        /// Whose limit.
        jail: Arc<str>,
        /// Who.
        source: IpNet,
        /// What keeps it from being banned.
        protection: Protection,
        /// What was counted.
        because: Because,
    },
    /// A file's stamps are not believed. Once, until they have been good for ten minutes. Only the source knows the file's
    /// path.
    StaleStamps(StaleStamps),
    /// A banned source still fails to authenticate where it should not get through. Once a ban.
    LateFailure {
        /// Who made the ban.
        origin: Origin,
        /// The banned prefix.
        prefix: IpNet,
        /// The address that still comes.
        address: IpAddr,
        /// How long after the ban.
        after: Duration,
    },
    /// More sources fail than are tracked. At most once an hour.
    SourcesEvicted {
        /// The bound.
        limit: usize,
        /// How many were forgotten before their window was over, since the start.
        total: u64,
    },
    /// A map has no room. At most once an hour for each map.
    MapFull {
        /// Which.
        map: Map,
        /// Bans that yielded to newer ones, since the start.
        yielded: u64,
        /// Entries that could not be written and wait for room.
        waiting: usize,
    },
    /// What an earlier run had saved.
    Restored {
        /// Bans that go on.
        bans: usize,
        /// Bans whose time had come meanwhile.
        ended: usize,
        /// Sources whose failures are remembered.
        tallies: usize,
    },
    /// Bans by a list follow its new content.
    ListFollowed {
        /// Which.
        list: ListName,
        /// Its prefixes now.
        entries: usize,
        /// Those that are new in it.
        added: usize,
        /// Those that are not in it any more.
        removed: usize,
    },
    /// The bans that were found in the kernel at start, and nothing had told of.
    Adopted {
        /// How many go on.
        bans: usize,
    },
    /// Customers fail one after the other, and nobody gets in: their failures count against nobody. Or somebody has said so.
    FuseTripped(Tripped),
    /// That is over.
    FuseReset(Tripped),
    /// More bans within a minute than is usual. At most once an hour; nothing follows from it.
    ManyBans {
        /// Bans within the minute.
        bans: u32,
    },
    /// Many networks from which nobody logs in fail on one account. Once, until nobody has for the window; at most 20 an hour.
    AccountUnderAttack {
        /// Its name. Attacker text.
        account: User,
        /// So many networks, at least.
        networks: u16,
        /// Other accounts of which this was not told, since the last one that was.
        untold: u64,
    },
    /// A source is not banned though it guesses, since many people log in from there. Once a day.
    Shared {
        /// Who.
        source: IpNet,
        /// What it did.
        reason: Reason,
    },
    /// A trap is an account that somebody logs in to: it bans nobody. At most once an hour.
    TrapLogsIn {
        /// As it is configured.
        trap: Arc<str>,
    },
    /// The authentication backend does not answer.
    OutageBegan(OutageState),
    /// Nothing was heard of the outage for a minute.
    OutageEnded(OutageState),
}

/// What a source was judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// The weight of its failures within the window, in quarters.
    pub failures: Quarters,
    /// The weight that bans, in quarters.
    pub limit: Quarters,
    /// The filter that found the last one.
    pub filter: FilterName,
    /// What else was taken into account, in the order in which it was.
    pub reasons: Vec<Reason>,
}

/// What keeps a prefix from being banned for its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spared {
    /// Something in it, or all of it, is never banned.
    Protected(Protection),
    /// Somebody has logged in from there lately.
    Customer,
    /// Logins are known for less than a day, or not at all: nobody can tell who belongs there.
    Learning,
}

/// Why a ban ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its time was over.
    Expired,
    /// An operator lifted it.
    ByHand,
    /// What it covers is protected now.
    Protected(Protection),
    /// A protected address inside it has no room in this map, so that the ban would have covered it.
    CannotProtect(Map),
    /// It was nearest its end when this map was full, or found no place even to wait.
    Yielded(Map),
    /// The list that made it has it no more.
    Unlisted,
    /// An operator has taken everything out of the kernel.
    Detached,
    /// The failures that led to it turned out to be an outage.
    Outage,
    /// It was found in the kernel, and the lines that its jail had banned for were read again: it is that jail's now.
    Recognised,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Banned { origin, prefix, until, observe, because } => {
                let verb = if *observe { "would ban" } else { "banned" };
                write!(f, "{verb} {} {origin}", Shown(*prefix))?;
                match until {
                    Some(until) => write!(f, " until {until}")?,
                    None => f.write_str(" for ever")?,
                }
                because.as_ref().map_or(Ok(()), |because| write!(f, ": {because}"))
            }
            Self::Unbanned { origin, prefix, why } => {
                write!(f, "unbanned {} (banned {origin}): {why}", Shown(*prefix))
            }
            Self::PrefixSpared { jail, prefix, sources, why } => {
                write!(f, "not banned: {sources} sources of {prefix} fail (jail {jail}), but {why}")
            }
            Self::Ignored { jail, source, protection, because } => {
                write!(
                    f,
                    "not banned: {} is over the limit of jail {jail} ({because}), but {protection}",
                    Shown(*source)
                )
            }
            Self::StaleStamps(stale) => write!(f, "log file {}: {stale}", stale.file.0),
            Self::LateFailure { origin, prefix, address, after } => write!(
                f,
                "{address} is banned ({}, {origin}), still arriving {} s later: proxy, other interface or namespace?",
                Shown(*prefix),
                after.as_secs(),
            ),
            Self::SourcesEvicted { limit, total } => write!(
                f,
                "more than {limit} sources fail at the same time; {total} that failed longest ago were forgotten. Raise \
                 limits.sources, or shorten findtime"
            ),
            Self::MapFull { map, yielded, waiting } => write!(
                f,
                "the map {map} is full: {yielded} bans have yielded to newer ones, {waiting} entries wait \
                 for room. Raise its size under [limits], or shorten bantime"
            ),
            Self::Restored { bans, ended, tallies } => write!(
                f,
                "of the run before, {bans} bans go on, {ended} have ended, and the failures of {tallies} sources are remembered"
            ),
            Self::ListFollowed { list, entries, added, removed } => {
                write!(
                    f,
                    "list {list} has {entries} entries now: {added} new ones are in force, {removed} no longer are"
                )
            }
            Self::Adopted { bans } => {
                write!(f, "{bans} bans that nothing had told of were found in the kernel, and go on")
            }
            Self::FuseTripped(tripped) => write!(f, "the fuse is tripped: {tripped}"),
            Self::FuseReset(Tripped { spared, .. }) => {
                write!(f, "the fuse is reset, and every failure counts again; {spared} were spared")
            }
            Self::ManyBans { bans } => {
                write!(f, "{bans} bans within a minute: an attack, or something that makes everybody fail?")
            }
            Self::AccountUnderAttack { account, networks, untold } => {
                write!(
                    f,
                    "account \"{account}\" is under attack: failures from {networks} networks where nobody has logged in lately"
                )?;
                match untold {
                    0 => Ok(()),
                    untold => write!(f, " ({untold} others were not told: `banner status` has them)"),
                }
            }
            Self::Shared { source, reason } => write!(
                f,
                "not banned: {}: {reason}, but many people log in from there. A webmail server, an office? Then look for the \
                 culprit there, and put it into ignoreip if its failures are not to count at all",
                Shown(*source)
            ),
            Self::TrapLogsIn { trap } => write!(
                f,
                "somebody logs in as {}, which accounts.traps has as an account that does not exist: tries on it ban nobody. \
                 Remove the trap, or see who has got hold of the account",
                Escaped(trap.as_bytes())
            ),
            Self::OutageBegan(state) => write!(
                f,
                "the authentication backend does not answer (filter {}, since {}): such failures count against nobody",
                state.filter, state.since
            ),
            Self::OutageEnded(state) => write!(
                f,
                "the authentication backend was last missed at {} (filter {}, {} lines since {})",
                state.last, state.filter, state.lines, state.since
            ),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.failures == 4 { "failure" } else { "failures" };
        write!(f, "{} {plural}, the last by filter {}", f64::from(self.failures) / 4.0, self.filter)?;
        self.reasons.iter().try_for_each(|reason| write!(f, "; {reason}"))
    }
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected(protection) => write!(f, "{protection}"),
            Self::Customer => f.write_str("somebody has logged in from there lately"),
            Self::Learning => {
                f.write_str("logins have been heard of for less than a day, so that nobody knows who belongs there")
            }
        }
    }
}

impl fmt::Display for Tripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.filter {
            Some(filter) => write!(
                f,
                "since {} customers who got in until then fail one after the other (filter {filter}); their failures count \
                 against nobody until customers get in again. Is what checks passwords broken?",
                self.since
            ),
            None => write!(f, "by hand at {}; failures of customers count against nobody", self.since),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("its time is over"),
            Self::ByHand => f.write_str("lifted by hand"),
            Self::Protected(protection) => write!(f, "{protection}"),
            Self::CannotProtect(map) => write!(f, "a protected address inside it has no room in the map {map}"),
            Self::Yielded(map) => write!(f, "the map {map} is full"),
            Self::Unlisted => f.write_str("its list has it no more"),
            Self::Detached => f.write_str("everything was detached by hand"),
            Self::Outage => f.write_str("its failures turned out to be an outage"),
            Self::Recognised => f.write_str("its lines were read again, and the ban is their jail's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::protect::ProtectionKind;

    #[test]
    fn reports_read_as_sentences_that_say_what_and_why() {
        let mail = || Origin::Jail("mail".into());
        let prefix: IpNet = "192.0.2.1/32".parse().unwrap();
        let because = |failures| Because { failures, limit: 12, filter: "cyrus".into(), reasons: Vec::new() };
        let until = Some(WallTime(1_700_000_600_000_000));
        let protection = Protection { prefix: "192.0.2.0/24".parse().unwrap(), kind: ProtectionKind::IgnoreIp };
        let table = [
            (
                Report::Banned { origin: mail(), prefix, until, observe: false, because: Some(because(13)) },
                "banned 192.0.2.1 by jail mail until 2023-11-14T22:23:20Z: 3.25 failures, the last by filter cyrus",
            ),
            (
                Report::Banned { origin: Origin::Hand, prefix, until: None, observe: false, because: None },
                "banned 192.0.2.1 by hand for ever",
            ),
            (
                Report::Banned { origin: mail(), prefix, until, observe: true, because: Some(because(4)) },
                "would ban 192.0.2.1 by jail mail until 2023-11-14T22:23:20Z: 1 failure, the last by filter cyrus",
            ),
            (
                Report::Unbanned { origin: mail(), prefix, why: Ended::Protected(protection) },
                "unbanned 192.0.2.1 (banned by jail mail): 192.0.2.0/24 is in ignoreip",
            ),
            (
                Report::Ignored { jail: "mail".into(), source: prefix, protection, because: because(12) },
                "not banned: 192.0.2.1 is over the limit of jail mail (3 failures, the last by filter cyrus), but \
                 192.0.2.0/24 is in ignoreip",
            ),
            (
                Report::LateFailure {
                    origin: mail(),
                    prefix: "2001:db8::/64".parse().unwrap(),
                    address: "2001:db8::1".parse().unwrap(),
                    after: Duration::from_secs(5),
                },
                "2001:db8::1 is banned (2001:db8::/64, by jail mail), still arriving 5 s later: proxy, other interface or \
                 namespace?",
            ),
            (
                Report::MapFull { map: Map::BansV4, yielded: 7, waiting: 2 },
                "the map BANS_V4 is full: 7 bans have yielded to newer ones, 2 entries wait for room. Raise its size under \
                 [limits], or shorten bantime",
            ),
        ];
        for (report, expected) in table {
            assert_eq!(report.to_string(), expected);
        }
    }
}
