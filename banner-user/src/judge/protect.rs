//! What is never banned, and why.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeBounds,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    prefix::{Lengths, range},
    scope::{canonical, canonical_prefix},
};

/// A prefix that is not banned, and the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// What is protected.
    pub prefix: IpNet,
    /// Why.
    pub kind: ProtectionKind,
}

/// Why a prefix is protected. Where one prefix is protected for several reasons, the last of this order is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtectionKind {
    /// In a jail's `ignoreip`.
    JailIgnoreIp,
    /// In the `ignoreip` for all jails.
    IgnoreIp,
    /// A DNS resolver of this host.
    Resolver,
    /// A gateway of this host.
    Gateway,
    /// An address of this host.
    Own,
    /// Addresses that mean "this host" before it has one (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2).
    Unspecified,
    /// The loopback network.
    Loopback,
    /// Neighbours on the link; among them gateways and this host.
    LinkLocal,
    /// Groups; never the source of a connection.
    Multicast,
}

impl ProtectionKind {
    /// Whether an operator's `--force` may ban it all the same.
    #[must_use]
    pub fn yields_to_force(self) -> bool {
        match self {
            Self::JailIgnoreIp | Self::IgnoreIp | Self::Resolver | Self::Gateway => true,
            Self::Own | Self::Unspecified | Self::Loopback | Self::LinkLocal | Self::Multicast => false,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Shown(self.prefix);
        match self.kind {
            ProtectionKind::JailIgnoreIp => write!(f, "{prefix} is in this jail's ignoreip"),
            ProtectionKind::IgnoreIp => write!(f, "{prefix} is in ignoreip"),
            ProtectionKind::Resolver => write!(f, "{prefix} is a DNS resolver of this host"),
            ProtectionKind::Gateway => write!(f, "{prefix} is a gateway of this host"),
            ProtectionKind::Own => write!(f, "{prefix} is an address of this host"),
            ProtectionKind::Unspecified => write!(f, "{prefix} is the unspecified network"),
            ProtectionKind::Loopback => write!(f, "{prefix} is loopback"),
            ProtectionKind::LinkLocal => write!(f, "{prefix} is link-local"),
            ProtectionKind::Multicast => write!(f, "{prefix} is multicast"),
        }
    }
}

/// Shows a prefix as people write it: an address alone without its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown(pub(super) IpNet);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// Addresses of the host's network that must stay reachable. They change while the daemon runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddresses {
    /// Of every interface.
    pub own: Vec<IpAddr>,
    /// Next hops of the default routes.
    pub gateways: Vec<IpAddr>,
    /// DNS resolvers.
    pub resolvers: Vec<IpAddr>,
}

/// What is protected in every configuration.
const ALWAYS: [(IpNet, ProtectionKind); 8] = [
    (v4(Ipv4Addr::UNSPECIFIED, 8), ProtectionKind::Unspecified),
    (v4(Ipv4Addr::new(127, 0, 0, 0), 8), ProtectionKind::Loopback),
    (v4(Ipv4Addr::new(169, 254, 0, 0), 16), ProtectionKind::LinkLocal),
    (v4(Ipv4Addr::new(224, 0, 0, 0), 4), ProtectionKind::Multicast),
    (v6(Ipv6Addr::UNSPECIFIED, 128), ProtectionKind::Unspecified),
    (v6(Ipv6Addr::LOCALHOST, 128), ProtectionKind::Loopback),
    (v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), ProtectionKind::LinkLocal),
    (v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), ProtectionKind::Multicast),
];

const fn v4(address: Ipv4Addr, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(address, length))
}

const fn v6(address: Ipv6Addr, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(address, length))
}

/// A set of protected prefixes.
#[derive(Clone, Debug)]
pub(super) struct Protections {
    kinds: BTreeMap<IpNet, ProtectionKind>,
    lengths: Lengths,
}

impl Protections {
    /// What is protected in every jail.
    pub(super) fn for_all(ignoreip: &[IpNet], ignoreself: bool, host: &HostAddresses) -> Self {
        let addresses = |list: &[IpAddr], kind| -> Vec<_> {
            list.iter().map(|address| (IpNet::from(canonical(*address)), kind)).collect()
        };
        let own = if ignoreself { addresses(&host.own, ProtectionKind::Own) } else { Vec::new() };
        Self::new(
            ignoreip
                .iter()
                .map(|prefix| (*prefix, ProtectionKind::IgnoreIp))
                .chain(ALWAYS)
                .chain(own)
                .chain(addresses(&host.gateways, ProtectionKind::Gateway))
                .chain(addresses(&host.resolvers, ProtectionKind::Resolver)),
        )
    }

    /// What is protected in one jail beside that.
    pub(super) fn for_jail(ignoreip: &[IpNet]) -> Self {
        Self::new(ignoreip.iter().map(|prefix| (*prefix, ProtectionKind::JailIgnoreIp)))
    }

    fn new(entries: impl Iterator<Item = (IpNet, ProtectionKind)>) -> Self {
        let mut kinds = BTreeMap::<IpNet, ProtectionKind>::new();
        for (prefix, kind) in entries {
            let known = kinds.entry(canonical_prefix(prefix)).or_insert(kind);
            *known = kind.max(*known);
        }
        let mut lengths = Lengths::new();
        kinds.keys().for_each(|prefix| lengths.add(*prefix));
        Self { kinds, lengths }
    }

    /// The entries that cover a prefix, the narrowest first.
    pub(super) fn covering(&self, prefix: IpNet) -> impl Iterator<Item = Protection> {
        self.lengths
            .covering(prefix)
            .filter_map(|prefix| self.kinds.get(&prefix).map(|kind| Protection { prefix, kind: *kind }))
    }

    /// The entry that forbids a ban of a prefix; with `force`, only one that no force overrides.
    pub(super) fn forbids(&self, prefix: IpNet, force: bool) -> Option<Protection> {
        self.covering(prefix).find(|protection| !force || !protection.kind.yields_to_force())
    }

    /// The entries inside a prefix that are narrower than it.
    pub(super) fn inside(&self, prefix: IpNet) -> impl Iterator<Item = Protection> {
        self.kinds
            .range(range(prefix))
            .filter(move |(inner, _)| **inner != prefix)
            .map(|(prefix, kind)| Protection { prefix: *prefix, kind: *kind })
    }

    /// Whether an entry lies inside a prefix and is narrower than it.
    pub(super) fn any_inside(&self, prefix: IpNet) -> bool {
        self.inside(prefix).next().is_some()
    }

    /// Whether exactly this prefix is an entry.
    pub(super) fn has(&self, prefix: IpNet) -> bool {
        self.kinds.contains_key(&prefix)
    }

    /// The first prefix of a range.
    pub(super) fn next_in(&self, range: impl RangeBounds<IpNet>) -> Option<IpNet> {
        self.kinds.range(range).next().map(|(prefix, _)| *prefix)
    }

    /// All entries, in the order of their prefixes.
    pub(super) fn iter(&self) -> impl Iterator<Item = Protection> {
        self.kinds.iter().map(|(prefix, kind)| Protection { prefix: *prefix, kind: *kind })
    }

    /// The entries that are not so in `other`: missing there, or there for another reason.
    pub(super) fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Protection> + 'a {
        self.iter().filter(|protection| other.kinds.get(&protection.prefix) != Some(&protection.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protections(ignoreself: bool) -> Protections {
        let host = HostAddresses {
            own: vec!["192.0.2.10".parse().unwrap(), "2001:db8::10".parse().unwrap()],
            gateways: vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            resolvers: vec!["198.51.100.53".parse().unwrap(), "::ffff:203.0.113.53".parse().unwrap()],
        };
        let ignoreip = ["10.0.0.0/8", "2001:db8:1::/48", "::ffff:198.18.0.0/112", "192.0.2.10/32"];
        Protections::for_all(&ignoreip.map(|net| net.parse().unwrap()), ignoreself, &host)
    }

    #[test]
    fn each_protected_address_is_named_with_its_reason() {
        let table = [
            ("10.1.2.3/32", "10.0.0.0/8 is in ignoreip", true),
            ("2001:db8:1:2::/64", "2001:db8:1::/48 is in ignoreip", true),
            ("198.18.4.4/32", "198.18.0.0/16 is in ignoreip", true),
            ("192.0.2.10/32", "192.0.2.10 is an address of this host", false),
            ("2001:db8::10/128", "2001:db8::10 is an address of this host", false),
            ("192.0.2.1/32", "192.0.2.1 is a gateway of this host", true),
            ("fe80::1/128", "fe80::1 is a gateway of this host", false),
            ("198.51.100.53/32", "198.51.100.53 is a DNS resolver of this host", true),
            ("203.0.113.53/32", "203.0.113.53 is a DNS resolver of this host", true),
            ("127.8.8.8/32", "127.0.0.0/8 is loopback", false),
            ("::1/128", "::1 is loopback", false),
            ("0.0.0.0/32", "0.0.0.0/8 is the unspecified network", false),
            ("::/128", ":: is the unspecified network", false),
            ("169.254.3.4/32", "169.254.0.0/16 is link-local", false),
            ("fe80:1::/64", "fe80::/10 is link-local", false),
            ("239.1.1.1/32", "224.0.0.0/4 is multicast", false),
            ("ff02::1/128", "ff00::/8 is multicast", false),
        ];
        let protections = protections(true);
        for (prefix, reason, force) in table {
            let prefix = prefix.parse().unwrap();
            assert_eq!(protections.forbids(prefix, false).unwrap().to_string(), reason);
            assert_eq!(protections.forbids(prefix, true).is_none(), force, "force for {prefix}");
        }
        for free in ["192.0.2.2/32", "192.0.2.0/24", "2001:db8::/64", "2001:db8::11/128", "::/0", "0.0.0.0/0"] {
            assert_eq!(protections.forbids(free.parse().unwrap(), false), None, "{free}");
        }
    }

    #[test]
    fn without_ignoreself_own_addresses_are_free_and_gateways_and_resolvers_are_not() {
        let protections = protections(false);
        assert_eq!(protections.forbids("2001:db8::10/128".parse().unwrap(), false), None);
        assert!(protections.forbids("192.0.2.1/32".parse().unwrap(), false).is_some());
        assert!(protections.forbids("198.51.100.53/32".parse().unwrap(), false).is_some());
    }

    #[test]
    fn what_lies_inside_a_prefix_is_narrower_than_it() {
        let inside = |prefix: &str| {
            protections(true).inside(prefix.parse().unwrap()).map(|p| p.prefix.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(inside("192.0.2.0/24"), ["192.0.2.1/32", "192.0.2.10/32"]);
        assert_eq!(inside("10.0.0.0/8"), [""; 0]);
        assert_eq!(inside("2001:db8::/64"), ["2001:db8::10/128"]);
    }
}
