//! One entry of `ignoreip`: an address or a prefix, never a name.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// Why a text is neither an address nor a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A name that DNS would have to resolve.
    #[error("a host name cannot be ignored")]
    HostName,
    /// `fe80::1%eth0`.
    #[error("an address here has no zone")]
    Zone,
    /// `10.0.0.0/255.0.0.0`.
    #[error("a network mask is not a prefix length")]
    NetworkMask,
    /// Longer than the address.
    #[error("the prefix is longer than the address")]
    PrefixLength,
    /// Several in one string, as fail2ban writes them.
    #[error("more than one entry in a string")]
    Several,
    /// Anything else.
    #[error("not an address or a prefix")]
    Unreadable,
}

impl AddressError {
    /// Why not, or what to write instead.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::HostName => "write its addresses: whoever controls a name decides what it means",
            Self::Zone => "leave out `%` and what follows",
            Self::NetworkMask => "write its length: `10.0.0.0/8`",
            Self::PrefixLength => "at most `/32` in IPv4 and `/128` in IPv6",
            Self::Several => "write a list: [\"10.0.0.0/8\", \"2001:db8::/32\"]",
            Self::Unreadable => "write `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`",
        }
    }
}

/// Reads an address or prefix as it was written: bits after the prefix are kept, so that the caller can speak of them.
/// `::ffff:a.b.c.d` is the IPv4 address, with a prefix of 96 and more too: packets and logs show it as IPv4.
///
/// # Errors
/// Where the text is neither.
pub(crate) fn parse(text: &str) -> Result<IpNet, AddressError> {
    if text.split([' ', ',', '\t', '\n']).filter(|part| !part.is_empty()).count() > 1 {
        return Err(AddressError::Several);
    }
    let (address, length) = match text.split_once('/') {
        None => (text, None),
        Some((address, length)) => (address, Some(length)),
    };
    let address: IpAddr = address.parse().map_err(|_| why_no_address(address))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Ok(longest), |length| parse_length(length, longest))?;
    Ok(match (address, mapped(address)) {
        (_, Some(v4)) if length >= 96 => IpNet::V4(Ipv4Net::new_assert(v4, length - 96)),
        _ => IpNet::new_assert(address, length),
    })
}

/// The IPv4 address in `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
fn mapped(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
    }
}

fn parse_length(text: &str, longest: u8) -> Result<u8, AddressError> {
    if text.parse::<IpAddr>().is_ok() {
        return Err(AddressError::NetworkMask);
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Unreadable);
    }
    text.parse().ok().filter(|length| *length <= longest).ok_or(AddressError::PrefixLength)
}

fn why_no_address(address: &str) -> AddressError {
    if address.split_once('%').is_some_and(|(before, _)| before.parse::<IpAddr>().is_ok()) {
        AddressError::Zone
    } else if looks_like_a_name(address) {
        AddressError::HostName
    } else {
        AddressError::Unreadable
    }
}

/// Letters, digits, dots and dashes (RFC 1123), with a letter that no IPv4 address has.
fn looks_like_a_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_is_an_address_or_a_prefix() {
        let net = |text: &str| Ok(text.parse::<IpNet>().unwrap());
        for (text, expected) in [
            ("192.0.2.7", net("192.0.2.7/32")),
            ("10.0.0.0/8", net("10.0.0.0/8")),
            ("10.1.2.3/8", net("10.1.2.3/8")),
            ("0.0.0.0/0", net("0.0.0.0/0")),
            ("2001:db8::1", net("2001:db8::1/128")),
            ("2001:DB8:1::/48", net("2001:db8:1::/48")),
            ("::ffff:192.0.2.7", net("192.0.2.7/32")),
            ("::ffff:192.0.2.0/120", net("192.0.2.0/24")),
            ("::ffff:0:0/96", net("0.0.0.0/0")),
            ("192.0.2.7/32", net("192.0.2.7/32")),
            ("2001:db8::1/128", net("2001:db8::1/128")),
            ("::ffff:192.0.2.0/95", net("::ffff:192.0.2.0/95")),
            ("", Err(AddressError::Unreadable)),
            ("192.0.2", Err(AddressError::Unreadable)),
            ("192.0.2.07", Err(AddressError::Unreadable)),
            ("192.0.2.0/", Err(AddressError::Unreadable)),
            ("192.0.2.0/+8", Err(AddressError::Unreadable)),
            ("192.0.2.0/8/8", Err(AddressError::Unreadable)),
            ("2001:db8::g", Err(AddressError::Unreadable)),
            ("192.0.2.7 2001:db8::1", Err(AddressError::Several)),
            ("127.0.0.0/8 ::1", Err(AddressError::Several)),
            ("10.0.0.0/8,localhost", Err(AddressError::Several)),
            ("192.0.2.7,", Err(AddressError::Unreadable)),
            ("192.0.2.0/33", Err(AddressError::PrefixLength)),
            ("2001:db8::/129", Err(AddressError::PrefixLength)),
            ("192.0.2.0/999", Err(AddressError::PrefixLength)),
            ("10.0.0.0/255.0.0.0", Err(AddressError::NetworkMask)),
            ("fe80::1%eth0", Err(AddressError::Zone)),
            ("localhost", Err(AddressError::HostName)),
            ("mail.example.com", Err(AddressError::HostName)),
            ("example.com/24", Err(AddressError::HostName)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-f:./% ]{0,50}|\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
