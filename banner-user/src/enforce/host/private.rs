//! The host's own private networks: colleagues, other servers and containers are there, and no strangers.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Snapshot;

/// What is nobody else's: RFC 1918, 3, and RFC 4193, 3.1.
const PRIVATE: [IpNet; 4] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7)),
];

/// The private prefixes that are on the host's links and are not, as a whole, in `ignoreip`; sorted, each once.
#[must_use]
pub fn unignored_networks(snapshot: &Snapshot, ignoreip: &[IpNet]) -> Vec<IpNet> {
    let networks = snapshot.addresses.iter().filter_map(|address| IpNet::new(address.ip, address.prefix_len).ok());
    let mut networks: Vec<IpNet> = networks
        .map(|network| network.trunc())
        .filter(|network| network.prefix_len() < network.max_prefix_len())
        .filter(|network| PRIVATE.iter().any(|private| private.contains(network)))
        .filter(|network| !ignoreip.iter().any(|ignored| ignored.contains(network)))
        .collect();
    networks.sort_unstable();
    networks.dedup();
    networks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::host::Address;

    #[test]
    fn private_networks_on_a_link_are_named_unless_they_are_ignored() {
        let address = |text: &str| {
            let net: IpNet = text.parse().unwrap();
            Address { ip: net.addr(), prefix_len: net.prefix_len(), link: 2 }
        };
        let addresses = [
            "10.1.2.3/24",
            "10.1.2.4/24",
            "192.168.7.1/32",
            "172.16.0.1/12",
            "192.0.2.1/24",
            "fd00:1::1/64",
            "fd00:2::1/64",
            "2001:db8::1/64",
            "fe80::1/64",
            "127.0.0.1/8",
        ];
        let snapshot = Snapshot { addresses: addresses.map(address).to_vec(), ..Snapshot::default() };
        let named = |ignoreip: &[&str]| {
            let ignoreip: Vec<IpNet> = ignoreip.iter().map(|net| net.parse().unwrap()).collect();
            let networks = unignored_networks(&snapshot, &ignoreip);
            networks.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(named(&[]), ["10.1.2.0/24", "172.16.0.0/12", "fd00:1::/64", "fd00:2::/64"]);
        assert_eq!(named(&["10.0.0.0/8", "172.16.0.0/13", "fd00:1::/64"]), ["172.16.0.0/12", "fd00:2::/64"]);
    }
}
