//! Where a login came from, in 16 bytes.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The first address of a source, of an IPv4 one as the IPv6 address that stands for it: sorted as addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(pub(super) u64, pub(super) u64);

impl Address {
    /// With the length that it has as one of IPv6.
    pub(super) fn of_source(source: IpNet) -> (Self, u8) {
        match source {
            IpNet::V4(net) => {
                (Self(0, 0xffff_0000_0000 | u64::from(net.network().to_bits())), net.prefix_len().saturating_add(96))
            }
            IpNet::V6(net) => (Self::of(net.network()), net.prefix_len()),
        }
    }

    pub(super) fn of(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = address.octets();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(rest))
    }

    pub(super) fn source(self, length: u8) -> IpNet {
        let address = Ipv6Addr::from(u128::from(self.0) << 64 | u128::from(self.1));
        match (address.to_ipv4_mapped(), length.checked_sub(96)) {
            (Some(four), Some(length)) => Ipv4Net::new(four, length).map_or_else(|_| IpNet::V4(four.into()), IpNet::V4),
            _ => Ipv6Net::new(address, length).map_or_else(|_| IpNet::V6(address.into()), IpNet::V6),
        }
    }
}

/// As a prefix of IPv6: no source is an IPv4 one written in IPv6.
pub(super) fn six(prefix: IpNet) -> Ipv6Net {
    match prefix {
        IpNet::V4(net) => {
            let address = net.addr().to_ipv6_mapped();
            Ipv6Net::new(address, net.prefix_len() + 96).unwrap_or_else(|_| address.into())
        }
        IpNet::V6(net) => net,
    }
}
