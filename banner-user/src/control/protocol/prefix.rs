//! Addresses and prefixes as people write them.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize, de};

use super::Text;
use crate::config::address;

/// An address or a prefix without host bits. An address is the prefix of its full length, and is shown without it. What lies in
/// `::ffff:0:0/96` is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

impl Prefix {
    /// The prefix, as the rest of the program computes with it.
    #[must_use]
    pub fn net(self) -> IpNet {
        self.0
    }
}

/// Why something is not an address or a prefix that can be banned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is a name.
    #[error(
        "`{0}` is a host name: what it resolves to changes, and is not this host's to decide; give the address itself"
    )]
    HostName(Text),
    /// It is nothing of the kind.
    #[error("`{0}`: {1}; write 192.0.2.1, 2001:db8::1, or a prefix as 192.0.2.0/24")]
    Malformed(Text, address::AddressError),
    /// Bits are set beyond the length: either the address or the length is not what was meant.
    #[error("`{text}` has bits set beyond its length; write {network}, or the address alone")]
    HostBits {
        /// As it was written.
        text: Text,
        /// The prefix that it lies in.
        network: Prefix,
    },
    /// It is a prefix where one address is asked for.
    #[error("`{0}` is a prefix; ask for one address")]
    NotOneAddress(Text),
}

/// Reads one address; one in `::ffff:0:0/96` becomes its IPv4 address.
///
/// # Errors
/// Why it is not one.
pub fn parse_address(text: &str) -> Result<IpAddr, AddressError> {
    if text.contains('/') {
        return Err(AddressError::NotOneAddress(Text::escape(text.as_bytes())));
    }
    text.parse().map(|Prefix(net)| net.addr())
}

impl FromStr for Prefix {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let shown = || Text::escape(text.as_bytes());
        let net = address::parse(text).map_err(|error| match error {
            address::AddressError::HostName => AddressError::HostName(shown()),
            address::AddressError::Zone
            | address::AddressError::NetworkMask
            | address::AddressError::PrefixLength
            | address::AddressError::Several
            | address::AddressError::Unreadable => AddressError::Malformed(shown(), error),
        })?;
        if net.trunc() == net {
            Ok(Self(net))
        } else {
            Err(AddressError::HostBits { text: shown(), network: Self(net.trunc()) })
        }
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }
}

impl From<IpNet> for Prefix {
    /// Host bits are cut off.
    fn from(net: IpNet) -> Self {
        let mapped = match net {
            IpNet::V6(net) => net.prefix_len().checked_sub(96).zip(net.network().to_ipv4_mapped()),
            IpNet::V4(_) => None,
        };
        let net = mapped.and_then(|(length, address)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4);
        Self(net.trunc())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            f.pad(&self.0.addr().to_string())
        } else {
            f.pad(&self.0.to_string())
        }
    }
}

impl Serialize for Prefix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes_are_read_and_shown_in_one_form() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:c000:201/128", "192.0.2.1"),
        ] {
            assert_eq!(text.parse::<Prefix>().map(|prefix| prefix.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("mail.example.com", "is a host name"),
            ("localhost", "is a host name"),
            ("mail.example.com/24", "is a host name"),
            ("192.0.2", "not an address"),
            ("192.0.2.256", "not an address"),
            ("192.0.2.01", "not an address"),
            ("", "not an address"),
            ("2001:db8::1::", "not an address"),
            ("192.0.2.0/", "not an address"),
            ("192.0.2.0/+8", "not an address"),
            ("a\u{1b}[31m", "`a\\u{1b}[31m`: not an address"),
            ("fe80::1%eth0", "no zone"),
            ("192.0.2.1,192.0.2.2", "more than one"),
            ("192.0.2.0/33", "longer than the address"),
            ("192.0.2.0/255.255.255.0", "not a prefix length"),
            ("2001:db8::/129", "longer than the address"),
            ("192.0.2.1/24", "write 192.0.2.0/24, or the address alone"),
            ("2001:db8::1/64", "write 2001:db8::/64, or the address alone"),
        ] {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert_eq!(parse_address("192.0.2.0/24"), Err(AddressError::NotOneAddress("192.0.2.0/24".into())));
        assert_eq!(parse_address("::ffff:192.0.2.1"), Ok(IpAddr::from([192, 0, 2, 1])));
    }
}
