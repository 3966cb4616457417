//! Frames by chance: random bytes, and well-formed packets of a source in any shape, damaged.

use banner_tests::frame::{Extension, Frame, Ipv4, Ipv6, ethertype, protocol};
use proptest::{prelude::*, sample::Index};

use super::{DESTINATION_V4, DESTINATION_V6, GUARDED_PORTS, INNER_V4, INNER_V6, reference::Address};

/// A frame, most of them from this source.
pub(crate) fn frames(source: Address) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => random(),
        4 => (well_formed(source), prop::collection::vec(damage(), 0..5)).prop_map(|(frame, damage)| {
            damage.into_iter().fold(frame.0, |bytes, damage| damage.done_to(bytes))
        }),
    ]
}

/// Any bytes behind the addresses, under an ethertype that gets them read.
fn random() -> impl Strategy<Value = Vec<u8>> {
    let ethertype = prop_oneof![
        4 => Just(ethertype::IPV4),
        4 => Just(ethertype::IPV6),
        1 => Just(ethertype::VLAN),
        1 => any::<u16>(),
    ];
    (ethertype, prop::option::of(any::<u8>()), prop::collection::vec(any::<u8>(), 0..160)).prop_map(
        |(ethertype, version, mut bytes)| {
            // Half of them say the right version, and get further.
            if let (Some(low), Some(first)) = (version, bytes.first_mut()) {
                *first = if ethertype == ethertype::IPV4 { 0x40 } else { 0x60 } | low & 0x0f;
            }
            Frame::new(ethertype, &bytes).0
        },
    )
}

fn well_formed(source: Address) -> impl Strategy<Value = Frame> {
    let tags = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec((prop_oneof![Just(ethertype::VLAN), Just(ethertype::SERVICE_VLAN)], any::<u16>()), 1..10),
    ];
    (packet(source), tags).prop_map(|(frame, tags)| {
        tags.into_iter().fold(frame, |frame, (ethertype, control)| frame.tagged(ethertype, control))
    })
}

/// An IPv4 source stands in an IPv4 header, or mapped or translated in an IPv6 one.
fn packet(source: Address) -> BoxedStrategy<Frame> {
    match source {
        Address::V4(source) => {
            let [a, b, c, d] = source;
            let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
            let translated = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d];
            prop_oneof![4 => ipv4(source), 1 => ipv6(mapped), 1 => ipv6(translated)].boxed()
        }
        Address::V6(source) => ipv6(source).boxed(),
    }
}

fn ipv4(source: [u8; 4]) -> impl Strategy<Value = Frame> {
    let options = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(any::<[u8; 4]>(), 1..=10).prop_map(|words| words.concat()),
    ];
    let fragment = prop_oneof![4 => Just(0), 1 => Just(0x2000), 1 => any::<u16>()];
    (options, fragment, payload(), port()).prop_map(move |(options, fragment, payload, port)| {
        let ip = Ipv4::new(source, DESTINATION_V4).options(&options).fragment(fragment);
        match payload {
            Payload::Tcp => ip.tcp(port),
            Payload::Udp => ip.udp(port),
            Payload::Icmp => ip.echo(),
            Payload::TunnelV4 => ip.carry(4, Ipv4::new(INNER_V4, DESTINATION_V4).tcp(port).packet()),
            Payload::TunnelV6 => ip.carry(41, Ipv6::new(INNER_V6, DESTINATION_V6).tcp(port).packet()),
            Payload::As(number) => ip.tcp_as(number, port),
        }
    })
}

fn ipv6(source: [u8; 16]) -> impl Strategy<Value = Frame> {
    let chain = prop_oneof![2 => Just(Vec::new()), 2 => prop::collection::vec(extension(), 1..20)];
    (chain, payload(), port()).prop_map(move |(chain, payload, port)| {
        let ip = chain.into_iter().fold(Ipv6::new(source, DESTINATION_V6), Ipv6::then);
        match payload {
            Payload::Tcp => ip.tcp(port),
            Payload::Udp => ip.udp(port),
            Payload::Icmp => ip.echo(),
            Payload::TunnelV4 => ip.carry(4, Ipv4::new(INNER_V4, DESTINATION_V4).tcp(port).packet()),
            Payload::TunnelV6 => ip.carry(41, Ipv6::new(INNER_V6, DESTINATION_V6).tcp(port).packet()),
            Payload::As(number) => ip.tcp_as(number, port),
        }
    })
}

fn extension() -> impl Strategy<Value = Extension> {
    prop_oneof![
        2 => Just(Extension::hop_by_hop()),
        4 => Just(Extension::destination_options()),
        1 => (1..=32_usize).prop_map(|units| Extension::long_destination_options(units * 8)),
        2 => any::<u8>().prop_map(Extension::routing),
        2 => any::<u8>().prop_map(|reserved| Extension::fragment(reserved, 0, false, 1)),
        1 => (any::<u8>(), 0..0x2000_u16, any::<bool>()).prop_map(|(reserved, offset, more)| Extension::fragment(reserved, offset, more, 1)),
        1 => Just(Extension::authentication()),
        1 => prop_oneof![Just(135), Just(139), Just(140)].prop_map(Extension::eight_bytes),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Payload {
    Tcp,
    Udp,
    Icmp,
    TunnelV4,
    TunnelV6,
    /// TCP's bytes under another number.
    As(u8),
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        8 => Just(Payload::Tcp),
        1 => Just(Payload::Udp),
        1 => Just(Payload::Icmp),
        1 => Just(Payload::TunnelV4),
        1 => Just(Payload::TunnelV6),
        1 => prop_oneof![Just(protocol::ESP), Just(protocol::NO_NEXT_HEADER), any::<u8>()].prop_map(Payload::As),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    let [first, second] = GUARDED_PORTS;
    prop_oneof![4 => Just(first), 2 => Just(second), 1 => Just(80), 1 => any::<u16>()]
}

/// One change to the bytes behind the hardware addresses.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u32),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Append(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        4 => (any::<Index>(), 0..8_u32).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => any::<Index>().prop_map(Damage::Remove),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..64).prop_map(Damage::Append),
    ]
}

/// The ethertype may be damaged too; the hardware addresses tell the program nothing.
const ADDRESSES: usize = 12;
/// The shortest frame that the kernel lets in.
const SHORTEST: usize = 14;

impl Damage {
    fn done_to(self, mut bytes: Vec<u8>) -> Vec<u8> {
        let place = |at: Index| ADDRESSES + at.index(bytes.len() - ADDRESSES);
        match self {
            Self::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..=at, [byte]);
            }
            Self::Flip(at, bit) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Insert(at, byte) => {
                let at = place(at);
                bytes.insert(at, byte);
            }
            Self::Remove(at) if bytes.len() > SHORTEST => {
                let at = place(at);
                bytes.remove(at);
            }
            Self::Remove(_) => {}
            Self::Cut(at) => {
                let length = place(at).max(SHORTEST);
                bytes.truncate(length);
            }
            Self::Append(more) => bytes.extend(more),
        }
        bytes
    }
}
