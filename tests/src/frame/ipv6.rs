//! IPv6 packets with any chain of extension headers (RFC 8200, section 4).

use super::{
    Frame, ethertype, protocol,
    transport::{self, Addresses, length},
};

/// An extension header: its number, and its bytes, whose first is the next header's number.
#[derive(Clone, Debug)]
pub struct Extension {
    number: u8,
    bytes: Vec<u8>,
}

impl Extension {
    /// Eight bytes of options for every router on the way.
    #[must_use]
    pub fn hop_by_hop() -> Self {
        Self::options(0, 8)
    }

    /// Eight bytes of options for the destination.
    #[must_use]
    pub fn destination_options() -> Self {
        Self::options(protocol::DESTINATION_OPTIONS, 8)
    }

    /// Options for the destination of this length, a multiple of 8 up to 2048.
    #[must_use]
    pub fn long_destination_options(bytes: usize) -> Self {
        Self::options(protocol::DESTINATION_OPTIONS, bytes)
    }

    /// A route with so many hops left. Type 0, which hosts no longer follow (RFC 5095), and step over once none is left.
    #[must_use]
    pub fn routing(segments_left: u8) -> Self {
        Self { number: 43, bytes: vec![0, 0, 0, segments_left, 0, 0, 0, 0] }
    }

    /// A fragment header: the byte that is reserved, the offset in units of eight bytes, whether more follow.
    #[must_use]
    pub fn fragment(reserved: u8, offset: u16, more: bool, identification: u32) -> Self {
        let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
        let [a, b, c, d] = identification.to_be_bytes();
        Self { number: 44, bytes: vec![0, reserved, high, low, a, b, c, d] }
    }

    /// An authentication header (RFC 4302) of 24 bytes: its length counts words, and not the first two.
    #[must_use]
    pub fn authentication() -> Self {
        let mut bytes = vec![0; 24];
        bytes.splice(1..2, [4]);
        Self { number: protocol::AUTHENTICATION, bytes }
    }

    /// A mobility header (RFC 6275), a host identity (RFC 7401) or shim6 (RFC 5533) one: eight bytes under any number.
    #[must_use]
    pub fn eight_bytes(number: u8) -> Self {
        Self { number, bytes: vec![0; 8] }
    }

    /// Options of a type that a host which does not know it skips (0x1e, RFC 4727). Linux takes 8 options in a header, and
    /// no more than 7 bytes of padding between two (`ip6_parse_tlv`), so long headers are not made of padding.
    fn options(number: u8, length: usize) -> Self {
        let mut bytes = vec![0, u8::try_from(length / 8 - 1).unwrap_or(u8::MAX)];
        let mut left = length - 2;
        while left > 1 {
            let option = left.min(257);
            bytes.extend([0x1e, u8::try_from(option - 2).unwrap_or(u8::MAX)]);
            bytes.extend(std::iter::repeat_n(0, option - 2));
            left -= option;
        }
        // A single byte left is padding of one byte, a zero.
        bytes.resize(length, 0);
        Self { number, bytes }
    }
}

/// A header to be filled: from, to, and what stands between it and what it carries.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    source: [u8; 16],
    destination: [u8; 16],
    source_port: u16,
    version: u8,
    payload_length: Option<u16>,
    chain: Vec<Extension>,
}

impl Ipv6 {
    /// A header without extensions.
    #[must_use]
    pub fn new(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self { source, destination, source_port: 40_000, version: 6, payload_length: None, chain: Vec::new() }
    }

    /// The port that TCP and UDP come from, and ICMP's identifier.
    #[must_use]
    pub fn source_port(mut self, port: u16) -> Self {
        self.source_port = port;
        self
    }

    /// Another version than 6.
    #[must_use]
    pub fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// A payload length that does not fit the rest.
    #[must_use]
    pub fn payload_length(mut self, bytes: u16) -> Self {
        self.payload_length = Some(bytes);
        self
    }

    /// One more extension header.
    #[must_use]
    pub fn then(mut self, extension: Extension) -> Self {
        self.chain.push(extension);
        self
    }

    /// The same extension header so many times.
    #[must_use]
    pub fn then_times(mut self, count: usize, extension: &Extension) -> Self {
        self.chain.extend(std::iter::repeat_n(extension.clone(), count));
        self
    }

    /// The two ends.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Addresses::V6(self.source, self.destination)
    }

    payloads!(protocol::ICMPV6);

    /// Any payload, under any number.
    #[must_use]
    pub fn carry(&self, number: u8, payload: &[u8]) -> Frame {
        let mut body = Vec::new();
        let followers = self.chain.iter().skip(1).map(|extension| extension.number).chain([number]);
        for (extension, next) in self.chain.iter().zip(followers) {
            body.push(next);
            body.extend(extension.bytes.iter().skip(1));
        }
        body.extend(payload);
        let first = self.chain.first().map_or(number, |extension| extension.number);
        let mut packet = vec![self.version << 4, 0, 0, 0];
        packet.extend(self.payload_length.map_or(length(body.len()), u16::to_be_bytes));
        packet.extend([first, 64]);
        packet.extend(self.source);
        packet.extend(self.destination);
        packet.extend(body);
        Frame::new(ethertype::IPV6, &packet)
    }

    /// The payload in pieces of so many bytes, a multiple of 8, each behind the headers so far and a fragment header.
    #[must_use]
    pub fn fragments(&self, number: u8, payload: &[u8], piece: usize, identification: u32) -> Vec<Frame> {
        let last = payload.len().div_ceil(piece) - 1;
        payload
            .chunks(piece)
            .enumerate()
            .map(|(index, bytes)| {
                let offset = u16::try_from(index * piece / 8).unwrap_or(u16::MAX);
                self.clone().then(Extension::fragment(0, offset, index < last, identification)).carry(number, bytes)
            })
            .collect()
    }
}
