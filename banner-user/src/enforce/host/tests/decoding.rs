//! What the decoders make of the kernel's messages, of odd ones, and of garbage.

use std::net::{Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{DefaultNla, Emitable};
use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressMessage},
    link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, Prop, XdpAttached},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteType, RouteVia},
};
use proptest::prelude::*;

use super::{super::*, link};

fn bytes(message: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn decode_link(attributes: Vec<LinkAttribute>) -> Link {
    let mut message = LinkMessage::default();
    message.header.index = 2;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = LinkFlags::Up;
    message.attributes = attributes;
    let mut links = Vec::new();
    link::decode(&bytes(&message), &mut links).unwrap();
    assert_eq!(links.len(), 1);
    links.remove(0)
}

#[test]
fn a_link_is_what_its_attributes_say() {
    let decoded = decode_link(vec![
        LinkAttribute::IfName("eth0".to_owned()),
        LinkAttribute::Mtu(1500),
        LinkAttribute::Controller(7),
        LinkAttribute::PropList(vec![Prop::AltIfName("enp3s0".to_owned()), Prop::AltIfName("mail".to_owned())]),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan)]),
    ]);
    let expected = Link {
        alternative_names: vec!["enp3s0".to_owned(), "mail".to_owned()],
        kind: Some("vlan".to_owned()),
        master: Some(7),
        ..link(2, "eth0")
    };
    assert_eq!(decoded, expected);
}

#[test]
fn every_mode_of_an_attached_program_is_seen() {
    let at = |mode, program| AttachedXdp { mode, program };
    let table: [(Vec<LinkXdp>, Vec<AttachedXdp>); 5] = [
        (vec![LinkXdp::Attached(XdpAttached::None)], vec![]),
        (
            vec![LinkXdp::Attached(XdpAttached::Driver), LinkXdp::ProgId(7), LinkXdp::DrvProgId(7)],
            vec![at(XdpMode::Native, 7)],
        ),
        (
            vec![LinkXdp::SkbProgId(8), LinkXdp::Attached(XdpAttached::SocketBuffer), LinkXdp::ProgId(8)],
            vec![at(XdpMode::Generic, 8)],
        ),
        (
            vec![LinkXdp::Attached(XdpAttached::Multiple), LinkXdp::DrvProgId(7), LinkXdp::HwProgId(9)],
            vec![at(XdpMode::Native, 7), at(XdpMode::Offload, 9)],
        ),
        (vec![LinkXdp::DrvProgId(0)], vec![]),
    ];
    for (attributes, expected) in table {
        assert_eq!(decode_link(vec![LinkAttribute::Xdp(attributes)]).xdp, expected);
    }
}

#[test]
fn what_is_not_understood_of_a_link_does_not_matter() {
    let garbage = |kind| LinkAttribute::Other(DefaultNla::new(kind, vec![0xff; 3]));
    let named = |name: &[u8]| LinkAttribute::Other(DefaultNla::new(libc::IFLA_IFNAME, name.to_vec()));
    let decoded = decode_link(vec![
        garbage(libc::IFLA_STATS64),
        garbage(libc::IFLA_AF_SPEC),
        garbage(9999),
        LinkAttribute::Mtu(1500),
        named(b"e\xffth\x1b\0tail"),
    ]);
    assert_eq!(decoded, link(2, "e\u{fffd}th\u{1b}"));
}

#[test]
fn an_own_address_is_the_local_one() {
    let (own, peer) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
    let six = IpAddr::from(Ipv6Addr::LOCALHOST);
    let table: [(Vec<AddressAttribute>, Option<IpAddr>); 4] = [
        (vec![AddressAttribute::Address(peer), AddressAttribute::Local(own)], Some(own)),
        (vec![AddressAttribute::Local(own), AddressAttribute::Address(peer)], Some(own)),
        (vec![AddressAttribute::Address(six)], Some(six)),
        (vec![AddressAttribute::Broadcast(Ipv4Addr::BROADCAST)], None),
    ];
    for (attributes, expected) in table {
        let mut message = AddressMessage::default();
        message.header.index = 2;
        message.header.prefix_len = 24;
        message.attributes = attributes;
        let mut addresses = Vec::new();
        address::decode(&bytes(&message), &mut addresses).unwrap();
        assert_eq!(addresses, expected.map(|ip| Address { ip, prefix_len: 24, link: 2 }).as_slice());
    }
}

fn default_route(attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.kind = RouteType::Unicast;
    message.attributes = attributes;
    message
}

fn decode_route(message: &RouteMessage) -> Vec<DefaultRoute> {
    let mut routes = Vec::new();
    route::decode(&bytes(message), AddressFamily::Inet, &mut routes).unwrap();
    routes
}

#[test]
fn a_default_route_is_all_its_next_hops() {
    let four = Ipv4Addr::new(198, 51, 100, 1);
    let six = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let gateway = || RouteAttribute::Gateway(RouteAddress::Inet(four));
    let via = || RouteAttribute::Via(RouteVia::Inet6(six));
    let hop = |link, attributes| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = link;
        hop.attributes = attributes;
        hop
    };
    let to = |gateway: Option<IpAddr>, link| DefaultRoute { gateway, link };
    let table: [(Vec<RouteAttribute>, Vec<DefaultRoute>); 6] = [
        (vec![gateway(), RouteAttribute::Oif(2)], vec![to(Some(four.into()), 2)]),
        (vec![RouteAttribute::Table(1_234_567_890), RouteAttribute::Oif(3), via()], vec![to(Some(six.into()), 3)]),
        (vec![RouteAttribute::Oif(4)], vec![to(None, 4)]),
        (
            vec![RouteAttribute::MultiPath(vec![hop(2, vec![gateway()]), hop(3, vec![via()]), hop(4, vec![])])],
            vec![to(Some(four.into()), 2), to(Some(six.into()), 3), to(None, 4)],
        ),
        (vec![RouteAttribute::NhId(7)], vec![]),
        (vec![], vec![]),
    ];
    for (attributes, expected) in table {
        assert_eq!(decode_route(&default_route(attributes)), expected);
    }
}

#[test]
fn other_routes_and_other_families_are_passed_by() {
    let changes: [fn(&mut RouteMessage); 4] = [
        |route| route.header.destination_prefix_length = 1,
        |route| route.header.address_family = AddressFamily::Inet6,
        |route| route.header.kind = RouteType::Local,
        |route| route.header.kind = RouteType::BlackHole,
    ];
    for change in changes {
        let mut route = default_route(vec![RouteAttribute::Oif(2)]);
        assert_eq!(decode_route(&route).len(), 1);
        change(&mut route);
        assert_eq!(decode_route(&route), []);
    }
}

#[test]
fn a_message_that_is_cut_off_is_an_error() {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::Mtu(1500)];
    let whole = bytes(&message);
    for length in [0, 15, whole.len() - 1] {
        assert!(link::decode(&whole[..length], &mut Vec::new()).is_err(), "{length}");
    }
    let mut rest = &bytes(&default_route(vec![]))[..];
    assert!(netlink::next_message(&mut rest).is_err(), "no netlink header");
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = link::decode(&bytes, &mut Vec::new());
        let _ = address::decode(&bytes, &mut Vec::new());
        let _ = route::decode(&bytes, AddressFamily::Inet, &mut Vec::new());
        let mut rest = &bytes[..];
        while let Ok(Some(_)) = netlink::next_message(&mut rest) {}
    }

    /// The same behind headers and attribute headers that lead further in.
    #[test]
    fn no_attribute_makes_a_decoder_panic(
        kind in 0_u16..64,
        value in proptest::collection::vec(any::<u8>(), 0..64),
        cut in 0_usize..80,
    ) {
        let nla = DefaultNla::new(kind, value);
        let link = { let mut m = LinkMessage::default(); m.attributes = vec![LinkAttribute::Other(nla.clone())]; bytes(&m) };
        let route = bytes(&default_route(vec![RouteAttribute::Other(nla.clone())]));
        let address = { let mut m = AddressMessage::default(); m.attributes = vec![AddressAttribute::Other(nla)]; bytes(&m) };
        let _ = link::decode(&link[..cut.min(link.len())], &mut Vec::new());
        let _ = link::decode(&link, &mut Vec::new());
        let _ = route::decode(&route, AddressFamily::Inet, &mut Vec::new());
        let _ = address::decode(&address, &mut Vec::new());
    }
}
