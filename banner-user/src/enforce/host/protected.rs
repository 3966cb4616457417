//! Addresses that must never be banned, because the host would cut itself off.

use std::{fmt, net::IpAddr};

use super::Snapshot;
use crate::event::Escaped;

/// An address that must never be banned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protected {
    /// The address; `::ffff:a.b.c.d` is already its IPv4 address.
    pub address: IpAddr,
    /// Why it is protected.
    pub role: Role,
}

/// What an address is to the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// One of the host's own.
    Own {
        /// The interface that has it.
        interface: String,
    },
    /// A router that a default route leads to.
    Gateway {
        /// The interface that it is reached through.
        interface: String,
    },
    /// A name server that the host asks.
    Resolver,
}

/// Everything on this host that must never be banned, sorted, each address with each of its roles once.
#[must_use]
pub fn protected(snapshot: &Snapshot) -> Vec<Protected> {
    // A link may have gone between the dumps; its address is protected all the same.
    let interface = |index| snapshot.link(index).map_or_else(|| format!("interface {index}"), |link| link.name.clone());
    let own = snapshot.addresses.iter().map(|address| (address.ip, Role::Own { interface: interface(address.link) }));
    let gateways = snapshot
        .default_routes
        .iter()
        .filter_map(|route| Some((route.gateway?, Role::Gateway { interface: interface(route.link) })));
    let resolvers = snapshot.resolvers.iter().map(|resolver| (*resolver, Role::Resolver));
    let mut protected: Vec<_> = own
        .chain(gateways)
        .chain(resolvers)
        // As a next hop "unspecified" means none, as a name server this host.
        .filter(|(address, _)| !address.is_unspecified())
        .map(|(address, role)| Protected { address: address.to_canonical(), role })
        .collect();
    protected.sort();
    protected.dedup();
    protected
}

impl fmt::Display for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is this host's ", self.address)?;
        match &self.role {
            Role::Own { interface } => write!(f, "own address, on {}", Escaped(interface.as_bytes())),
            Role::Gateway { interface } => write!(f, "default gateway, through {}", Escaped(interface.as_bytes())),
            Role::Resolver => f.write_str("DNS resolver"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::host::{
        Address, DefaultRoute,
        tests::{link, snapshot},
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn own_addresses_gateways_and_resolvers_are_protected_and_say_why() {
        let host = Snapshot {
            addresses: vec![
                Address { ip: ip("198.51.100.10"), prefix_len: 24, link: 2 },
                Address { ip: ip("2001:db8::10"), prefix_len: 24, link: 2 },
                Address { ip: ip("198.51.100.10"), prefix_len: 24, link: 2 },
                Address { ip: ip("192.0.2.1"), prefix_len: 24, link: 9 },
            ],
            default_routes: vec![
                DefaultRoute { gateway: Some(ip("198.51.100.1")), link: 2 },
                DefaultRoute { gateway: Some(ip("fe80::1")), link: 2 },
                DefaultRoute { gateway: Some(ip("0.0.0.0")), link: 2 },
                DefaultRoute { gateway: None, link: 2 },
            ],
            resolvers: vec![ip("198.51.100.1"), ip("::ffff:203.0.113.53"), ip("0.0.0.0")],
            ..snapshot([link(2, "eth\u{1b}0")])
        };
        let shown: Vec<String> = protected(&host).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "192.0.2.1 is this host's own address, on interface 9",
                "198.51.100.1 is this host's default gateway, through eth\\u{1b}0",
                "198.51.100.1 is this host's DNS resolver",
                "198.51.100.10 is this host's own address, on eth\\u{1b}0",
                "203.0.113.53 is this host's DNS resolver",
                "2001:db8::10 is this host's own address, on eth\\u{1b}0",
                "fe80::1 is this host's default gateway, through eth\\u{1b}0",
            ]
        );
    }
}
