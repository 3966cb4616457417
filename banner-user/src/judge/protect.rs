//! What is never banned, and why.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Bound::{Excluded, Included},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    list::{ListName, Prefixes},
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
    /// In the list of this name.
    IgnoreList(ListName),
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
            Self::JailIgnoreIp | Self::IgnoreList(_) | Self::IgnoreIp | Self::Resolver | Self::Gateway => true,
            Self::Own | Self::Unspecified | Self::Loopback | Self::LinkLocal | Self::Multicast => false,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Shown(self.prefix);
        match self.kind {
            ProtectionKind::JailIgnoreIp => write!(f, "{prefix} is in this jail's ignoreip"),
            ProtectionKind::IgnoreList(list) => write!(f, "{prefix} is in the ignore list {list}"),
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
    /// First bytes of addresses, of IPv4 and of IPv6, of which any is in an entry: most failures are from nowhere near one.
    near: [[bool; 256]; 2],
    /// Hundreds of thousands: kept as the lists are, and never copied.
    lists: Vec<(ListName, Prefixes)>,
}

impl Protections {
    /// What is protected in every jail.
    pub(super) fn for_all(
        ignoreip: &[IpNet],
        ignoreself: bool,
        host: &HostAddresses,
        lists: &[(ListName, Prefixes)],
    ) -> Self {
        let addresses = |list: &[IpAddr], kind| -> Vec<_> {
            list.iter().map(|address| (IpNet::from(canonical(*address)), kind)).collect()
        };
        let own = if ignoreself { addresses(&host.own, ProtectionKind::Own) } else { Vec::new() };
        let all = Self::new(
            ignoreip
                .iter()
                .map(|prefix| (*prefix, ProtectionKind::IgnoreIp))
                .chain(ALWAYS)
                .chain(own)
                .chain(addresses(&host.gateways, ProtectionKind::Gateway))
                .chain(addresses(&host.resolvers, ProtectionKind::Resolver)),
        );
        Self { lists: lists.to_vec(), ..all }
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
        let mut near = [[false; 256]; 2];
        for prefix in kinds.keys() {
            lengths.add(*prefix);
            let (family, first, last) = first_bytes(*prefix);
            let bytes = near.get_mut(family).and_then(|near| near.get_mut(usize::from(first)..=usize::from(last)));
            bytes.into_iter().for_each(|bytes| bytes.fill(true));
        }
        Self { kinds, lengths, near, lists: Vec::new() }
    }

    /// The entries that cover a prefix, the narrowest first.
    pub(super) fn covering(&self, prefix: IpNet) -> impl Iterator<Item = Protection> {
        let kinds = self
            .lengths
            .covering(prefix)
            .filter_map(|prefix| self.kinds.get(&prefix).map(|kind| Protection { prefix, kind: *kind }));
        let mut listed: Vec<Protection> = self
            .lists
            .iter()
            .filter_map(|(list, prefixes)| prefixes.covering(prefix).map(|prefix| listed(prefix, *list)))
            .filter(|protection| !self.kinds.contains_key(&protection.prefix))
            .collect();
        listed.sort_by_key(|protection| Reverse(protection.prefix.prefix_len()));
        let (mut kinds, mut listed) = (kinds.peekable(), listed.into_iter().peekable());
        std::iter::from_fn(move || {
            let length = |protection: &Protection| protection.prefix.prefix_len();
            if kinds.peek().map(length) >= listed.peek().map(length) { kinds.next() } else { listed.next() }
        })
    }

    /// The entry that forbids a ban of a prefix; with `force`, only one that no force overrides.
    pub(super) fn forbids(&self, prefix: IpNet, force: bool) -> Option<Protection> {
        if self.is_far(prefix) {
            return None;
        }
        self.covering(prefix).find(|protection| !force || !protection.kind.yields_to_force())
    }

    /// The entries inside a prefix that are narrower than it.
    pub(super) fn inside(&self, prefix: IpNet) -> impl Iterator<Item = Protection> {
        let kinds = self.kinds.range(range(prefix)).map(|(prefix, kind)| Protection { prefix: *prefix, kind: *kind });
        let listed = self
            .lists
            .iter()
            .flat_map(move |(list, prefixes)| prefixes.within(prefix).map(|prefix| listed(prefix, *list)));
        let listed = listed.filter(|protection| !self.kinds.contains_key(&protection.prefix));
        kinds.chain(listed).filter(move |inner| inner.prefix != prefix)
    }

    /// Whether an entry lies inside a prefix and is narrower than it.
    pub(super) fn any_inside(&self, prefix: IpNet) -> bool {
        !self.is_far(prefix) && self.inside(prefix).next().is_some()
    }

    /// Whether no entry has anything to do with a prefix, as far as that is told at a glance.
    fn is_far(&self, prefix: IpNet) -> bool {
        let (family, first, last) = first_bytes(prefix);
        let is_near = || self.near.get(family)?.get(usize::from(first)).copied();
        self.lists.is_empty() && first == last && is_near() == Some(false)
    }

    /// Whether exactly this prefix is an entry.
    pub(super) fn has(&self, prefix: IpNet) -> bool {
        self.kinds.contains_key(&prefix) || self.lists.iter().any(|(_, prefixes)| prefixes.has(prefix))
    }

    /// The next prefix after one, up to another.
    pub(super) fn next_after(&self, after: IpNet, last: IpNet) -> Option<IpNet> {
        let kind = self.kinds.range((Excluded(after), Included(last))).next().map(|(prefix, _)| *prefix);
        let listed = self.lists.iter().filter_map(|(_, prefixes)| {
            prefixes.from(after).find(|prefix| *prefix != after).filter(|prefix| *prefix <= last)
        });
        kind.into_iter().chain(listed).min()
    }

    /// All entries, of one prefix sometimes more than one.
    pub(super) fn iter(&self) -> impl Iterator<Item = Protection> {
        self.kinds_alone()
            .chain(self.lists.iter().flat_map(|(list, prefixes)| prefixes.iter().map(|prefix| listed(prefix, *list))))
    }

    fn kinds_alone(&self) -> impl Iterator<Item = Protection> {
        self.kinds.iter().map(|(prefix, kind)| Protection { prefix: *prefix, kind: *kind })
    }

    /// The entries that are not so in `other`: missing there, or there for another reason. A list that is the same piece of
    /// memory in both is passed over.
    pub(super) fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Protection> + 'a {
        let kinds =
            self.kinds_alone().filter(|protection| other.kinds.get(&protection.prefix) != Some(&protection.kind));
        let listed = self.lists.iter().flat_map(|(list, prefixes)| {
            let same = other.lists.iter().find(|(known, _)| known == list).map(|(_, prefixes)| prefixes);
            let is_new = same.is_none_or(|same| !same.is_same(prefixes));
            let new = is_new.then(|| prefixes.iter().filter(move |prefix| !same.is_some_and(|same| same.has(*prefix))));
            new.into_iter().flatten().map(|prefix| listed(prefix, *list))
        });
        kinds.chain(listed)
    }
}

/// The place of its family, and the first bytes of its first and last address.
fn first_bytes(prefix: IpNet) -> (usize, u8, u8) {
    match prefix {
        IpNet::V4(net) => (0, net.network().octets()[0], net.broadcast().octets()[0]),
        IpNet::V6(net) => (1, net.network().octets()[0], net.broadcast().octets()[0]),
    }
}

fn listed(prefix: IpNet, list: ListName) -> Protection {
    Protection { prefix, kind: ProtectionKind::IgnoreList(list) }
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
        Protections::for_all(&ignoreip.map(|net| net.parse().unwrap()), ignoreself, &host, &[])
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
