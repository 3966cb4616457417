//! Addresses as servers write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Parses an address: dotted IPv4, or IPv6 in any of RFC 4291's forms, with `IPv6:` before it (RFC 5321, section 4.1.3) or a
/// `%zone` after it (RFC 4007, section 11), which are cut off. `::ffff:a.b.c.d`, as a dual-stack socket reports an IPv4 client,
/// is its IPv4 address. Nothing else: no port, no brackets, no leading zeros, no names.
pub(super) fn parse(text: &[u8]) -> Option<IpAddr> {
    if let Some(address) = dotted(text) {
        return Some(address.into());
    }
    let text = str::from_utf8(text).ok()?;
    let address = without_zone(text.strip_prefix("IPv6:").unwrap_or(text))?;
    Some(address.parse::<Ipv6Addr>().ok()?.to_canonical())
}

/// Four numbers without leading zeros. A third of the time that the standard library takes: nearly every failure has one.
fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut number, mut digits) = (0_u32, 0_u32, 0_u8);
    let mut dots = 0_u8;
    for byte in text {
        match byte {
            b'0'..=b'9' if digits == 0 || number > 0 => {
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && dots < 3 => {
                octets = octets << 8 | number;
                (number, digits, dots) = (0, 0, dots + 1);
            }
            _ => return None,
        }
        if number > 255 {
            return None;
        }
    }
    (digits > 0 && dots == 3).then(|| Ipv4Addr::from_bits(octets << 8 | number))
}

fn without_zone(text: &str) -> Option<&str> {
    match text.split_once('%') {
        Some((_, "")) => None,
        Some((address, _)) => Some(address),
        None => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_servers_write_them() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("IPv6:2001:db8::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
            ("IPv6:::ffff:192.0.2.1", "192.0.2.1"),
            // Deprecated IPv4-compatible, not mapped: an IPv6 address.
            ("::192.0.2.1", "::192.0.2.1"),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_not_exactly_an_address_is_none() {
        for text in [
            "",
            "192.0.2",
            "192.0.2.1.",
            "192.0.2.256",
            "192.0.02.1",
            "0xc0.0.2.1",
            "192.0.2.1:25",
            "192.0.2.1%eth0",
            "IPv6:192.0.2.1",
            "ipv6:2001:db8::1",
            "[2001:db8::1]",
            "2001:db8::1%",
            "2001:db8::1::2",
            "2001:db8::1 ",
            "localhost",
            "\u{ff11}92.0.2.1",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"192.0.2.1\xff"), None);
    }
}
