//! What the judge wants done: the entries of the kernel's maps, and what an operator should be told.

use std::{fmt, time::Duration};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::report::Report;
use crate::{clock::BootTime, service::ServiceMask};

/// One thing to do, by [`Judge::carry_out`](super::Judge::carry_out). Effects are carried out in the order in which they
/// come: what protects an address is written before the prefix around it, and what replaces an entry before that entry is
/// removed, so that no moment between two of them drops the wrong packet or passes a banned one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write an entry, replacing what stands at its key but for the counters.
    Write(Entry),
    /// Remove an entry. It may be gone, or may never have been written.
    Remove(Slot),
    /// Tell the operator.
    Report(Report),
}

/// The kernel's maps of bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Map {
    /// `BANS_V4`.
    BansV4,
    /// `BANS_V6`.
    BansV6,
    /// `NETS_V4`.
    NetsV4,
    /// `NETS_V6`.
    NetsV6,
}

impl Map {
    /// All of them, in the order of their entries' [`Slot`]s.
    pub const ALL: [Self; 4] = [Self::BansV4, Self::BansV6, Self::NetsV4, Self::NetsV6];
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BansV4 => "BANS_V4",
            Self::BansV6 => "BANS_V6",
            Self::NetsV4 => "NETS_V4",
            Self::NetsV6 => "NETS_V6",
        })
    }
}

/// The key of one kernel entry. Which map it lives in follows from what the XDP program looks at first: a hash for the shapes
/// that nearly all bans have, a trie for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// `BANS_V4`: one IPv4 address.
    V4([u8; 4]),
    /// `BANS_V6`: an IPv6 /64 without a protected address in it (the hash is asked before the trie).
    V6([u8; 8]),
    /// `NETS_V4`: any other IPv4 prefix.
    NetV4(Ipv4Net),
    /// `NETS_V6`: any other IPv6 prefix.
    NetV6(Ipv6Net),
}

impl Slot {
    /// The map that it is a key of.
    #[must_use]
    pub fn map(self) -> Map {
        match self {
            Self::V4(_) => Map::BansV4,
            Self::V6(_) => Map::BansV6,
            Self::NetV4(_) => Map::NetsV4,
            Self::NetV6(_) => Map::NetsV6,
        }
    }

    /// The key of a prefix in a trie.
    #[must_use]
    pub fn net(prefix: IpNet) -> Self {
        match prefix {
            IpNet::V4(net) => Self::NetV4(net),
            IpNet::V6(net) => Self::NetV6(net),
        }
    }

    /// The key of a prefix in a hash, where it has the shape of one.
    #[must_use]
    pub fn exact(prefix: IpNet) -> Option<Self> {
        match prefix {
            IpNet::V4(net) if net.prefix_len() == 32 => Some(Self::V4(net.addr().octets())),
            IpNet::V6(net) if net.prefix_len() == 64 => {
                let [a, b, c, d, e, f, g, h, ..] = net.network().octets();
                Some(Self::V6([a, b, c, d, e, f, g, h]))
            }
            IpNet::V4(_) | IpNet::V6(_) => None,
        }
    }

    /// The prefix that it stands for.
    #[must_use]
    pub fn prefix(self) -> IpNet {
        match self {
            Self::V4(octets) => IpNet::V4(Ipv4Net::from(std::net::Ipv4Addr::from(octets))),
            Self::V6(upper) => {
                let address = std::net::Ipv6Addr::from(u128::from(u64::from_be_bytes(upper)) << 64);
                IpNet::V6(Ipv6Net::new_assert(address, 64))
            }
            Self::NetV4(net) => IpNet::V4(net),
            Self::NetV6(net) => IpNet::V6(net),
        }
    }
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// At this time since boot.
    Boot(BootTime),
    /// Not by itself. Later than every time.
    Permanent,
}

/// What one kernel entry says: the union of everything that covers its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose packets.
    pub slot: Slot,
    /// To which services; none for a protected address inside a banned prefix.
    pub services: ServiceMask,
    /// Until when.
    pub until: Until,
    /// Count, but pass.
    pub observe: bool,
    /// Made by hand, at least in part: never gives way to another when a map is full.
    pub manual: bool,
    /// A list has a part in it: its end is the list's, which a new daemon reads again, and not a permanent ban's.
    pub listed: bool,
    /// A protected address inside a banned prefix.
    pub protected: bool,
}

/// A deadline in the kernel is counted in ticks, of 10 ms at most (`kernel/Kconfig.hz`): from one start to the next it is read as up
/// to two of them later or earlier than it was meant.
const ROUNDING: Duration = Duration::from_millis(20);

impl Entry {
    /// Whether this, read back from the kernel, is what `desired` is written as. Not equal in its end: what the state has kept
    /// is exact, and the million entries of a restart are not to be written anew for that.
    #[must_use]
    pub fn is_written_as(&self, desired: &Self) -> bool {
        let same_end = match (self.until, desired.until) {
            (Until::Boot(found), Until::Boot(meant)) => (found - meant).max(meant - found) <= ROUNDING,
            (found, meant) => found == meant,
        };
        same_end && Self { until: desired.until, ..*self } == *desired
    }
}

impl Entry {
    /// Whether this drops less than another one of the same key: for a shorter time, from fewer services, or nothing.
    #[must_use]
    pub(super) fn is_narrower_than(&self, other: &Self) -> bool {
        !other.observe && (self.observe || !self.services.contains(other.services) || self.until < other.until)
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(at) => write!(f, "{} s after boot", at.0 / 1_000_000_000),
            Self::Permanent => f.write_str("for ever"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_an_earlier_run_is_known_by_all_but_the_rounding_of_its_end() {
        let entry = |until| Entry {
            slot: Slot::V4([192, 0, 2, 1]),
            services: ServiceMask(1),
            until,
            observe: false,
            manual: false,
            listed: false,
            protected: false,
        };
        let meant = entry(Until::Boot(BootTime(1_000_000_000)));
        for (nanos, same) in [(980_000_000, true), (979_999_999, false), (1_020_000_000, true), (1_020_000_001, false)]
        {
            assert_eq!(entry(Until::Boot(BootTime(nanos))).is_written_as(&meant), same, "{nanos}");
        }
        assert!(!entry(Until::Permanent).is_written_as(&meant));
        assert!(entry(Until::Permanent).is_written_as(&entry(Until::Permanent)));
        assert!(!Entry { manual: true, ..meant }.is_written_as(&meant));
        assert!(!Entry { services: ServiceMask(3), ..meant }.is_written_as(&meant));
    }
}
