//! Ordering of prefixes. [`IpNet`] orders IPv4 before IPv6, then by address, then by length, so that everything inside a
//! prefix is one range of a sorted map, with the prefix itself first.

use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The prefix of `length` bits that `net` begins with; `None` where `net` is wider than that.
pub(super) fn shortened(net: IpNet, length: u8) -> Option<IpNet> {
    if length > net.prefix_len() {
        return None;
    }
    IpNet::new(net.network(), length).ok().map(|wider| wider.trunc())
}

/// Where everything inside `net` stands in a sorted map, itself included. `net` is truncated.
pub(super) fn range(net: IpNet) -> RangeInclusive<IpNet> {
    let last = match net {
        IpNet::V4(net) => IpNet::V4(Ipv4Net::from(net.broadcast())),
        IpNet::V6(net) => IpNet::V6(Ipv6Net::from(net.broadcast())),
    };
    net..=last
}

/// How many prefixes of each length a map holds: what covers an address is then found by one lookup for each length in use.
#[derive(Clone, Debug)]
pub(super) struct Lengths {
    v4: [u32; 33],
    v6: [u32; 129],
    /// A bit for each length in use; of IPv6 by 64 of them.
    used_v4: u64,
    used_v6: [u64; 3],
}

impl Lengths {
    pub(super) fn new() -> Self {
        Self { v4: [0; 33], v6: [0; 129], used_v4: 0, used_v6: [0; 3] }
    }

    pub(super) fn add(&mut self, net: IpNet) {
        if let Some(count) = self.count_mut(net) {
            *count = count.saturating_add(1);
        }
        self.mark(net);
    }

    pub(super) fn remove(&mut self, net: IpNet) {
        if let Some(count) = self.count_mut(net) {
            *count = count.saturating_sub(1);
        }
        self.mark(net);
    }

    /// The prefixes of a length in use that cover `net`, the longest first, itself included.
    pub(super) fn covering(&self, net: IpNet) -> impl Iterator<Item = IpNet> {
        let longest = net.prefix_len();
        let used = match net {
            IpNet::V4(_) => [self.used_v4, 0, 0],
            IpNet::V6(_) => self.used_v6,
        };
        let words = [(128, used[2]), (64, used[1]), (0, used[0])].into_iter().filter(|(_, word)| *word > 0);
        let lengths = words.flat_map(|(first, word)| Bits(word).map(move |bit| first + bit));
        lengths.filter(move |length| *length <= longest).filter_map(move |length| shortened(net, length))
    }

    /// Has the bit of a length say whether that is in use.
    fn mark(&mut self, net: IpNet) {
        let is_used = self.count_mut(net).is_some_and(|count| *count > 0);
        let length = net.prefix_len();
        let word = match net {
            IpNet::V4(_) => Some(&mut self.used_v4),
            IpNet::V6(_) => self.used_v6.get_mut(usize::from(length / 64)),
        };
        if let Some(word) = word {
            let bit = 1 << (length % 64);
            *word = if is_used { *word | bit } else { *word & !bit };
        }
    }

    fn count_mut(&mut self, net: IpNet) -> Option<&mut u32> {
        match net {
            IpNet::V4(net) => self.v4.get_mut(usize::from(net.prefix_len())),
            IpNet::V6(net) => self.v6.get_mut(usize::from(net.prefix_len())),
        }
    }
}

/// The bits of a word that are set, the highest first.
struct Bits(u64);

impl Iterator for Bits {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let bit = self.0.checked_ilog2()?;
        self.0 &= !(1 << bit);
        u8::try_from(bit).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_range_holds_exactly_what_is_inside() {
        let nets: BTreeSet<IpNet> = [
            "0.0.0.0/0",
            "192.0.2.0/23",
            "192.0.2.0/24",
            "192.0.2.0/25",
            "192.0.2.255/32",
            "192.0.3.0/24",
            "::/0",
            "2001:db8::/32",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128",
        ]
        .iter()
        .map(|net| net.parse().unwrap())
        .collect();
        for outer in &nets {
            let ranged: Vec<&IpNet> = nets.range(range(*outer)).collect();
            let contained: Vec<&IpNet> = nets.iter().filter(|inner| outer.contains(*inner)).collect();
            assert_eq!(ranged, contained, "inside {outer}");
        }
    }

    #[test]
    fn covering_prefixes_come_longest_first_and_only_at_lengths_in_use() {
        let mut lengths = Lengths::new();
        for net in ["10.0.0.0/8", "10.0.0.0/16", "192.0.2.0/24", "2001:db8::/32"] {
            lengths.add(net.parse().unwrap());
        }
        lengths.remove("192.0.2.0/24".parse().unwrap());
        let covering: Vec<String> =
            lengths.covering("198.51.100.7/32".parse().unwrap()).map(|net| net.to_string()).collect();
        assert_eq!(covering, ["198.51.0.0/16", "198.0.0.0/8"]);
    }
}
