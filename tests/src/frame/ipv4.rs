//! IPv4 packets (RFC 791).

use super::{
    Frame, ethertype, protocol,
    transport::{self, Addresses, checksum, length},
};

/// A header to be filled: from, to, and what is odd about it.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    source: [u8; 4],
    destination: [u8; 4],
    source_port: u16,
    options: Vec<u8>,
    version_and_length: Option<u8>,
    total_length: Option<u16>,
    fragment: u16,
    identification: u16,
}

/// The third word's lower half: two flags and the offset in units of eight bytes.
#[must_use]
pub fn fragment_field(offset: u16, more: bool) -> u16 {
    offset | if more { 0x2000 } else { 0 }
}

impl Ipv4 {
    /// A header without options, not a fragment.
    #[must_use]
    pub fn new(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self {
            source,
            destination,
            source_port: 40_000,
            options: Vec::new(),
            version_and_length: None,
            total_length: None,
            fragment: 0,
            identification: 1,
        }
    }

    /// The port that TCP and UDP come from, and ICMP's identifier.
    #[must_use]
    pub fn source_port(mut self, port: u16) -> Self {
        self.source_port = port;
        self
    }

    /// The option bytes: a multiple of 4, at most 40.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// So many bytes of "no operation".
    #[must_use]
    pub fn no_operations(self, bytes: usize) -> Self {
        self.options(&vec![1; bytes])
    }

    /// A first byte that does not fit the rest.
    #[must_use]
    pub fn version_and_length(mut self, byte: u8) -> Self {
        self.version_and_length = Some(byte);
        self
    }

    /// A total length that does not fit the rest.
    #[must_use]
    pub fn total_length(mut self, bytes: u16) -> Self {
        self.total_length = Some(bytes);
        self
    }

    /// Flags and offset, see [`fragment_field`].
    #[must_use]
    pub fn fragment(mut self, field: u16) -> Self {
        self.fragment = field;
        self
    }

    /// What the fragments of one packet have in common.
    #[must_use]
    pub fn identification(mut self, identification: u16) -> Self {
        self.identification = identification;
        self
    }

    /// The two ends.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Addresses::V4(self.source, self.destination)
    }

    payloads!(protocol::ICMP);

    /// Any payload, as any protocol.
    #[must_use]
    pub fn carry(&self, protocol: u8, payload: &[u8]) -> Frame {
        let header_length = 20 + self.options.len();
        let words = u8::try_from(header_length / 4).unwrap_or(u8::MAX) & 0x0f;
        let total = self.total_length.map_or(length(header_length + payload.len()), u16::to_be_bytes);
        let mut header = vec![self.version_and_length.unwrap_or(0x40 | words), 0];
        header.extend(total);
        header.extend(self.identification.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([64, protocol, 0, 0]);
        header.extend(self.source);
        header.extend(self.destination);
        header.extend(&self.options);
        let sum = checksum(&header);
        header.splice(10..12, sum);
        header.extend(payload);
        Frame::new(ethertype::IPV4, &header)
    }

    /// The payload in pieces of so many bytes, a multiple of 8.
    #[must_use]
    pub fn fragments(&self, protocol: u8, payload: &[u8], piece: usize) -> Vec<Frame> {
        let pieces = payload.chunks(piece).enumerate();
        let last = payload.len().div_ceil(piece) - 1;
        pieces
            .map(|(index, bytes)| {
                let offset = u16::try_from(index * piece / 8).unwrap_or(u16::MAX);
                self.clone().fragment(fragment_field(offset, index < last)).carry(protocol, bytes)
            })
            .collect()
    }
}
