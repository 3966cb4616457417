//! What the judge wants done: the entries of the kernel's maps, and what an operator should be told.

use std::fmt;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{clock::BootTime, service::ServiceMask};

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
    /// A protected address inside a banned prefix.
    pub protected: bool,
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(at) => write!(f, "{} s after boot", at.0 / 1_000_000_000),
            Self::Permanent => f.write_str("for ever"),
        }
    }
}
