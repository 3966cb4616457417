//! What IP carries: TCP, UDP and ICMP, with checksums.

use super::protocol;

/// The two ends, for the checksum's pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1).
#[derive(Clone, Copy, Debug)]
pub enum Addresses {
    /// Source and destination.
    V4([u8; 4], [u8; 4]),
    /// Source and destination.
    V6([u8; 16], [u8; 16]),
}

/// ICMP's type of an echo request (RFC 792).
pub const ICMP_ECHO: u8 = 8;
/// And of the reply.
pub const ICMP_ECHO_REPLY: u8 = 0;
/// ICMPv6's type of an echo request (RFC 4443).
pub const ICMPV6_ECHO: u8 = 128;
/// And of the reply.
pub const ICMPV6_ECHO_REPLY: u8 = 129;

/// A connection request with a payload (none, usually).
#[must_use]
pub fn tcp(addresses: Addresses, source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut segment = [source_port.to_be_bytes(), port.to_be_bytes()].concat();
    segment.extend(0x0102_0304_u32.to_be_bytes());
    segment.extend(0_u32.to_be_bytes());
    // Five words of header; SYN; a window.
    segment.extend([0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    with_checksum(segment, 16, addresses, protocol::TCP)
}

/// A datagram.
#[must_use]
pub fn udp(addresses: Addresses, source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = [source_port.to_be_bytes(), port.to_be_bytes(), length(payload.len() + 8), [0, 0]].concat();
    datagram.extend(payload);
    with_checksum(datagram, 6, addresses, protocol::UDP)
}

/// An echo request of the family of the addresses.
#[must_use]
pub fn icmp(addresses: Addresses, identifier: u16, payload: &[u8]) -> Vec<u8> {
    let (kind, number) = match addresses {
        Addresses::V4(..) => (ICMP_ECHO, protocol::ICMP),
        Addresses::V6(..) => (ICMPV6_ECHO, protocol::ICMPV6),
    };
    let mut message = vec![kind, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend(1_u16.to_be_bytes());
    message.extend(payload);
    with_checksum(message, 2, addresses, number)
}

/// A length of 16 bits in network order; a frame never holds more.
pub(super) fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

/// The Internet checksum (RFC 1071).
pub(super) fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [high] => u64::from(high) << 8,
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let [.., high, low] = (!sum).to_be_bytes();
    [high, low]
}

fn with_checksum(mut segment: Vec<u8>, at: usize, addresses: Addresses, number: u8) -> Vec<u8> {
    let mut summed = match addresses {
        // ICMP for IPv4 has no pseudo-header.
        Addresses::V4(..) if number == protocol::ICMP => Vec::new(),
        Addresses::V4(source, destination) => [&source[..], &destination, &[0, number]].concat(),
        Addresses::V6(source, destination) => [&source[..], &destination, &[0, 0, 0, number]].concat(),
    };
    if !summed.is_empty() {
        summed.extend(length(segment.len()));
    }
    summed.extend(&segment);
    segment.splice(at..at + 2, checksum(&summed));
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_the_one_of_the_standard() {
        // The example of RFC 1071, section 3, and its odd-length form.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), [0x22, 0x0d]);
        assert_eq!(checksum(&[0x00, 0x01, 0xf2]), checksum(&[0x00, 0x01, 0xf2, 0x00]));
    }
}
