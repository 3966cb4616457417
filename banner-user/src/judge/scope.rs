//! What one source is: how much of an address is held responsible for a failure.
//!
//! An IPv4 address is one source. An IPv6 customer has at least a /64 and can send from any address in it (RFC 6177), so the
//! configured prefix is one source. Where an address only wraps another, the wrapped one counts:
//!
//! | addresses | one source is | because |
//! | --- | --- | --- |
//! | `::ffff:0:0/96` mapped | the IPv4 address | a dual-stack socket writes IPv4 peers so (RFC 4291, 2.5.5.2) |
//! | `64:ff9b::/96` NAT64 | the IPv4 address | the last 32 bits are the client's (RFC 6052, 2.1) |
//! | `64:ff9b:1::/48` local NAT64 | the full address | one /64 holds a whole network of clients (RFC 8215) |
//! | `2001::/32` Teredo | the full address | the upper half names the relay server, not the client (RFC 4380, 4) |
//! | `2002::/16` 6to4 | a /48 | it is one IPv4 address's (RFC 3056, 2) |
//! | a prefix that holds a protected address | the next narrower of: configured, /64, full address | the others in it are still judged |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::prefix::shortened;

const TEREDO: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32);
const SIX_TO_FOUR: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);
pub(crate) const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
const LOCAL_NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48);
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

/// The address that an address stands for: the IPv4 address inside a mapped or NAT64 one, else itself.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if MAPPED.contains(&v6) || NAT64.contains(&v6) => IpAddr::V4(embedded(v6)),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

/// The prefix that a prefix stands for, truncated: the IPv4 prefix inside a mapped or NAT64 one, else itself.
pub(super) fn canonical_prefix(prefix: IpNet) -> IpNet {
    if let IpNet::V6(v6) = prefix
        && (MAPPED.contains(&v6) || NAT64.contains(&v6))
        && let Ok(v4) = Ipv4Net::new(embedded(v6.addr()), v6.prefix_len().saturating_sub(96))
    {
        return IpNet::V4(v4.trunc());
    }
    prefix.trunc()
}

/// What may be the source of an address that is [`canonical`]: prefixes of it, the widest first, the last one the address alone.
pub(super) fn candidates(address: IpAddr, ipv6_prefix: u8) -> impl Iterator<Item = IpNet> {
    let lengths: [Option<u8>; 2] = match address {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(v6) if TEREDO.contains(&v6) || LOCAL_NAT64.contains(&v6) => [None, None],
        IpAddr::V6(v6) if SIX_TO_FOUR.contains(&v6) => [Some(48), Some(64)],
        IpAddr::V6(_) => [Some(ipv6_prefix), (ipv6_prefix < 64).then_some(64)],
    };
    let full = IpNet::from(address);
    let wider = lengths.into_iter().flatten().filter(|length| *length < 128);
    wider.filter_map(move |length| IpNet::new(address, length).ok().map(|net| net.trunc())).chain([full])
}

/// The source that an address which is [`canonical`] belongs to: the widest candidate that holds nothing protected.
pub(super) fn source(address: IpAddr, ipv6_prefix: u8, holds_protected: impl Fn(IpNet) -> bool) -> IpNet {
    if address.is_ipv4() {
        return address.into(); // Nothing is wider, and nothing narrower.
    }
    candidates(address, ipv6_prefix).find(|candidate| !holds_protected(*candidate)).unwrap_or_else(|| address.into())
}

/// The prefix of neighbours that a source belongs to; `None` where it is no narrower than that, and where what its address is
/// beside others says nothing: Teredo's, 6to4's and local NAT64's are neighbours by the addresses of others.
pub(super) fn neighbourhood(source: IpNet, ipv4: u8, ipv6: u8) -> Option<IpNet> {
    let length = match source {
        IpNet::V4(_) => ipv4,
        IpNet::V6(v6) if [TEREDO, SIX_TO_FOUR, LOCAL_NAT64].iter().any(|net| net.contains(&v6)) => return None,
        IpNet::V6(_) => ipv6,
    };
    shortened(source, length).filter(|prefix| *prefix != source)
}

fn embedded(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source_of(address: &str, ipv6_prefix: u8, protected: &str) -> String {
        let protected: Option<IpNet> = protected.parse().ok();
        let holds = |candidate: IpNet| protected.is_some_and(|p| candidate != p && candidate.contains(&p));
        source(canonical(address.parse().unwrap()), ipv6_prefix, holds).to_string()
    }

    #[test]
    fn each_kind_of_address_is_one_source() {
        let table = [
            // address, configured IPv6 prefix, protected, source
            ("192.0.2.1", 64, "", "192.0.2.1/32"),
            ("192.0.2.1", 64, "192.0.2.2/32", "192.0.2.1/32"),
            ("::ffff:192.0.2.1", 64, "", "192.0.2.1/32"),
            ("::fffe:192.0.2.1", 64, "", "::/64"),
            ("64:ff9b::192.0.2.1", 64, "", "192.0.2.1/32"),
            ("64:ff9b::1:192.0.2.1", 64, "", "64:ff9b::/64"),
            ("64:ff9b:1:2:3::192.0.2.1", 64, "", "64:ff9b:1:2:3:0:c000:201/128"),
            ("64:ff9b:2::1", 64, "", "64:ff9b:2::/64"),
            ("2001:0:c000:201::1", 64, "", "2001:0:c000:201::1/128"),
            ("2001:1::1", 64, "", "2001:1::/64"),
            ("2002:c000:201:7::1", 64, "", "2002:c000:201::/48"),
            ("2002:c000:201:7::1", 64, "2002:c000:201:8::1/128", "2002:c000:201:7::/64"),
            ("2002:c000:201:7::1", 64, "2002:c000:201:7::2/128", "2002:c000:201:7::1/128"),
            ("2001:db8:1:2:3::4", 64, "", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::1/128", "2001:db8:1:2:3::4/128"),
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:2:ffff::/80", "2001:db8:1:2:3::4/128"),
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:3::1/128", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:3::4", 48, "", "2001:db8:1::/48"),
            ("2001:db8:1:2:3::4", 48, "2001:db8:1:3::1/128", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:3::4", 48, "2001:db8:1:2::1/128", "2001:db8:1:2:3::4/128"),
            ("2001:db8:1:2:3::4", 56, "", "2001:db8:1::/56"),
            ("2001:db8:1:2:3::4", 96, "", "2001:db8:1:2:3::/96"),
            ("2001:db8:1:2:3::4", 128, "", "2001:db8:1:2:3::4/128"),
        ];
        for (address, ipv6_prefix, protected, expected) in table {
            assert_eq!(
                source_of(address, ipv6_prefix, protected),
                expected,
                "{address} by /{ipv6_prefix}, {protected}"
            );
        }
    }

    #[test]
    fn a_prefix_that_wraps_ipv4_is_the_ipv4_prefix() {
        let table = [
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("64:ff9b::c000:201/128", "192.0.2.1/32"),
            ("64:ff9b::/96", "0.0.0.0/0"),
            ("64:ff9b::/95", "64:ff9b::/95"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("192.0.2.77/24", "192.0.2.0/24"),
        ];
        for (written, expected) in table {
            assert_eq!(canonical_prefix(written.parse().unwrap()).to_string(), expected, "{written}");
        }
    }
}
