//! A second reader of frames: slow, simple, written from the standards and from what Linux takes, without a look at how the
//! program reads. It sees the whole frame and has no bounds to keep.

use banner_tests::frame::ethertype;

/// A source, as bans know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Also where it is mapped (RFC 4291) or translated (RFC 6052) into IPv6.
    V4([u8; 4]),
    V6([u8; 16]),
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// TCP to a port, behind so many extension headers.
    Tcp { port: u16, headers: usize },
    /// A later fragment of what may be TCP.
    TcpWithoutPort,
    /// Another protocol, behind so many extension headers.
    Other { headers: usize },
    /// The headers contradict each other or are cut off: no host takes it as TCP.
    Nonsense,
}

/// Who sent a frame, and what is in it. None where it has no source address.
pub(crate) fn read(frame: &[u8]) -> Option<(Address, Carries)> {
    let (ethertype, packet) = behind_tags(frame.get(12..)?)?;
    match (ethertype, packet.first()? >> 4) {
        (ethertype::IPV4, 4) => ipv4(packet),
        (ethertype::IPV6, 6) => ipv6(packet),
        _ => None,
    }
}

fn behind_tags(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (ethertype, rest) = word(bytes)?;
    match ethertype {
        ethertype::VLAN | ethertype::SERVICE_VLAN => behind_tags(rest.get(2..)?),
        _ => Some((ethertype, rest)),
    }
}

/// RFC 791, 3.1.
fn ipv4(packet: &[u8]) -> Option<(Address, Carries)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let [
        first,
        _,
        length_high,
        length_low,
        _,
        _,
        fragment_high,
        fragment_low,
        _,
        number,
        _,
        _,
        source @ ..,
        _,
        _,
        _,
        _,
    ] = *header;
    let header_length = usize::from(first & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let offset = u16::from_be_bytes([fragment_high, fragment_low]) & 0x1fff;
    let payload = packet.get(header_length..total_length).filter(|_| header_length >= 20);
    let carries = match (number, payload) {
        (6, None) => Carries::Nonsense,
        (6, Some(_)) if offset != 0 => Carries::TcpWithoutPort,
        (6, Some(payload)) => tcp(payload, 0),
        _ => Carries::Other { headers: 0 },
    };
    Some((Address::V4(source), carries))
}

/// RFC 8200, 3.
fn ipv6(packet: &[u8]) -> Option<(Address, Carries)> {
    let (header, rest): (&[u8; 40], _) = packet.split_first_chunk()?;
    let [_, _, _, _, length_high, length_low, next, _, addresses @ ..] = header;
    let source = match addresses {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d, ..]
        | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, ..] => Address::V4([*a, *b, *c, *d]),
        _ => Address::V6(*addresses.first_chunk()?),
    };
    let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    Some((source, rest.get(..length).map_or(Carries::Nonsense, |payload| behind_extensions(*next, payload, 0))))
}

/// The extension headers of RFC 7045, 4.
fn behind_extensions(number: u8, bytes: &[u8], headers: usize) -> Carries {
    let leads_on = |number| matches!(number, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140);
    if number == 6 {
        return tcp(bytes, headers);
    }
    if !leads_on(number) {
        return Carries::Other { headers };
    }
    let [next, length, high, low, ..] = *bytes else { return Carries::Nonsense };
    let length = match number {
        44 => 8,
        51 => (usize::from(length) + 2) * 4,
        _ => (usize::from(length) + 1) * 8,
    };
    if number == 44 && u16::from_be_bytes([high, low]) >> 3 != 0 {
        return if next == 6 || leads_on(next) { Carries::TcpWithoutPort } else { Carries::Other { headers } };
    }
    bytes.get(length..).map_or(Carries::Nonsense, |rest| behind_extensions(next, rest, headers + 1))
}

fn tcp(segment: &[u8], headers: usize) -> Carries {
    match *segment {
        [_, _, high, low, ..] => Carries::Tcp { port: u16::from_be_bytes([high, low]), headers },
        _ => Carries::Nonsense,
    }
}

fn word(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use banner_tests::frame::{Extension, Ipv4, Ipv6, fragment_field};

    use super::*;

    const V4: [u8; 4] = [198, 51, 100, 66];
    const V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66];

    #[test]
    fn the_reference_reads_what_the_builder_wrote() {
        let v4 = || Ipv4::new(V4, [192, 0, 2, 1]);
        let v6 = || Ipv6::new(V6, V6);
        let table = [
            (v4().tcp(25), Address::V4(V4), Carries::Tcp { port: 25, headers: 0 }),
            (
                v4().no_operations(40).tcp(25).tagged_times(9, ethertype::VLAN, 1),
                Address::V4(V4),
                Carries::Tcp { port: 25, headers: 0 },
            ),
            (v4().fragment(fragment_field(1, false)).tcp(25), Address::V4(V4), Carries::TcpWithoutPort),
            (v4().version_and_length(0x44).tcp(25), Address::V4(V4), Carries::Nonsense),
            (v4().total_length(22).tcp(25), Address::V4(V4), Carries::Nonsense),
            (v4().udp(25), Address::V4(V4), Carries::Other { headers: 0 }),
            (
                v6().then_times(150, &Extension::destination_options()).tcp(25),
                Address::V6(V6),
                Carries::Tcp { port: 25, headers: 150 },
            ),
            (v6().then(Extension::authentication()).tcp(25), Address::V6(V6), Carries::Tcp { port: 25, headers: 1 }),
            (v6().then(Extension::fragment(9, 1, true, 1)).tcp(25), Address::V6(V6), Carries::TcpWithoutPort),
            (v6().then(Extension::fragment(9, 1, true, 1)).udp(25), Address::V6(V6), Carries::Other { headers: 0 }),
            (
                Ipv6::new([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 66], V6).tcp(25),
                Address::V4(V4),
                Carries::Tcp { port: 25, headers: 0 },
            ),
        ];
        for (frame, address, carries) in table {
            assert_eq!(read(&frame.0), Some((address, carries)), "{frame:02x?}");
        }
        assert_eq!(read(&v4().tcp(25).typed(ethertype::IPV6).0), None);
    }
}
