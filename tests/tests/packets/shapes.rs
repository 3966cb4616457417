//! Every shape of a packet × banned or not × guarded port or another × where the source address can stand.

use std::net::{Ipv4Addr, Ipv6Addr};

use banner_common::{Ban, PERMANENT, Reason};
use banner_tests::{
    frame::{Extension, Frame, Ipv4, Ipv6, ethertype, fragment_field, protocol},
    object::{Entry, Program},
};

use super::{Expected, Failures, GUARDED_PORT, OTHER_PORT, SERVER_V4, SERVER_V6, SMTP, observe};

/// What a shape comes to: banned source to a guarded port, banned to another port, clean source to a guarded port, clean to
/// another port.
type Outcome = [Expected; 4];

/// The common shape: the port decides first.
const COMMON: Outcome = [Some(Reason::DroppedBan), None, Some(Reason::PassedClean), None];
/// Odd, and its port can be read: the source decides first.
const ODD: Outcome =
    [Some(Reason::DroppedOdd), Some(Reason::PassedUnguarded), Some(Reason::PassedOdd), Some(Reason::PassedOdd)];
/// Odd, may carry TCP, and its port cannot be read.
const UNREADABLE: Outcome = [
    Some(Reason::DroppedUnreadable),
    Some(Reason::DroppedUnreadable),
    Some(Reason::PassedOdd),
    Some(Reason::PassedOdd),
];
/// Odd, and known not to carry TCP to a guarded port.
const UNGUARDED: Outcome =
    [Some(Reason::PassedUnguarded), Some(Reason::PassedUnguarded), Some(Reason::PassedOdd), Some(Reason::PassedOdd)];
/// Not a packet that TCP would take, seen at once.
const IGNORED: Outcome = [None; 4];

/// A row: its name, what it comes to, and the packet that a source sends to a port.
type Row<Ip> = (&'static str, Outcome, fn(Ip, u16) -> Frame);

/// A row: its name, what it comes to, and what is done to a connection request.
type Around = (&'static str, Outcome, fn(Frame) -> Frame);

/// Shapes of IPv4 packets.
#[rustfmt::skip]
const IPV4: &[Row<Ipv4>] = &[
    ("SYN",                                       COMMON,     |ip, port| ip.tcp(port)),
    ("SYN, padded by the card",                   COMMON,     |ip, port| ip.tcp(port).padded(60)),
    ("full-sized segment",                        COMMON,     |ip, port| ip.tcp_with(port, &[b'x'; 1460])),
    ("jumbo segment, in several buffers",         COMMON,     |ip, port| ip.tcp_with(port, &[b'x'; 8960])),
    ("don't fragment",                            COMMON,     |ip, port| ip.fragment(0x4000).tcp(port)),
    ("reserved flag",                             COMMON,     |ip, port| ip.fragment(0x8000).tcp(port)),
    ("options, 4 bytes",                          ODD,        |ip, port| ip.no_operations(4).tcp(port)),
    ("options, 8 bytes",                          ODD,        |ip, port| ip.no_operations(8).tcp(port)),
    ("options, 12 bytes",                         ODD,        |ip, port| ip.no_operations(12).tcp(port)),
    ("options, 20 bytes",                         ODD,        |ip, port| ip.no_operations(20).tcp(port)),
    ("options, 36 bytes",                         ODD,        |ip, port| ip.no_operations(36).tcp(port)),
    ("options, 40 bytes",                         ODD,        |ip, port| ip.no_operations(40).tcp(port)),
    ("options that look like port 80",            ODD,        |ip, port| ip.options(&[0, 80, 0, 80]).tcp(port)),
    ("options that look like port 25",            ODD,        |ip, port| ip.options(&[0, 25, 0, 25]).tcp(port)),
    ("source route",                              ODD,        |ip, port| ip.options(&[131, 7, 4, 192, 0, 2, 9, 0]).tcp(port)),
    ("options in several buffers",                ODD,        |ip, port| ip.no_operations(40).tcp_with(port, &[b'x'; 8900])),
    ("first fragment, 8 bytes",                   COMMON,     |ip, port| ip.fragment(fragment_field(0, true)).tcp_start(port, 8)),
    ("first fragment, whole header",              COMMON,     |ip, port| ip.fragment(fragment_field(0, true)).tcp(port)),
    ("first fragment behind options",             ODD,        |ip, port| ip.no_operations(8).fragment(fragment_field(0, true)).tcp_start(port, 8)),
    ("second fragment",                           UNREADABLE, |ip, port| ip.fragment(fragment_field(1, true)).tcp(port)),
    ("last fragment",                             UNREADABLE, |ip, port| ip.fragment(fragment_field(1, false)).tcp(port)),
    ("fragment at the greatest offset",           UNREADABLE, |ip, port| ip.fragment(fragment_field(0x1fff, false)).tcp(port)),
    ("last fragment behind options",              UNREADABLE, |ip, port| ip.no_operations(4).fragment(fragment_field(1, false)).tcp(port)),
    ("last fragment, don't fragment",             UNREADABLE, |ip, port| ip.fragment(0x4001).tcp(port)),
    ("two bytes of TCP",                          UNREADABLE, |ip, port| ip.tcp_start(port, 2)),
    ("options and two bytes of TCP",              UNREADABLE, |ip, port| ip.no_operations(8).tcp_start(port, 2)),
    ("no TCP behind the IP header",               UNREADABLE, |ip, _| ip.carry(protocol::TCP, &[])),
    ("options that are cut off",                  UNREADABLE, |ip, port| ip.no_operations(40).tcp(port).cut(14 + 24)),
    ("UDP",                                       IGNORED,    |ip, port| ip.udp(port)),
    ("UDP behind options",                        IGNORED,    |ip, port| ip.no_operations(8).udp(port)),
    ("UDP, last fragment",                        IGNORED,    |ip, port| ip.fragment(fragment_field(1, false)).udp(port)),
    ("UDP, too short for ports",                  UNGUARDED,  |ip, _| ip.carry(protocol::UDP, &[0, 25])),
    ("ICMP echo",                                 IGNORED,    |ip, _| ip.echo()),
    ("ICMP with the bytes of TCP",                IGNORED,    |ip, port| ip.tcp_as(protocol::ICMP, port)),
    ("ESP",                                       IGNORED,    |ip, port| ip.tcp_as(protocol::ESP, port)),
    ("authentication header",                     IGNORED,    |ip, port| ip.tcp_as(protocol::AUTHENTICATION, port)),
    ("GRE",                                       IGNORED,    |ip, port| ip.tcp_as(47, port)),
    ("SCTP to the same port",                     IGNORED,    |ip, port| ip.tcp_as(132, port)),
    ("IPv4 in IPv4, TCP inside",                  IGNORED,    |ip, port| ip.carry(4, ip.tcp(port).packet())),
    ("version 5",                                 IGNORED,    |ip, port| ip.version_and_length(0x55).tcp(port)),
    ("version 6 under IPv4's ethertype",          IGNORED,    |ip, port| ip.version_and_length(0x65).tcp(port)),
    ("version 0",                                 IGNORED,    |ip, port| ip.version_and_length(0x05).tcp(port)),
    ("under IPv6's ethertype",                    IGNORED,    |ip, port| ip.tcp_with(port, &[0; 40]).typed(ethertype::IPV6)),
];

/// Shapes of IPv6 packets.
#[rustfmt::skip]
const IPV6: &[Row<Ipv6>] = &[
    ("SYN",                                       COMMON,     |ip, port| ip.tcp(port)),
    ("full-sized segment",                        COMMON,     |ip, port| ip.tcp_with(port, &[b'x'; 1440])),
    ("jumbo segment, in several buffers",         COMMON,     |ip, port| ip.tcp_with(port, &[b'x'; 8940])),
    ("hop-by-hop options",                        ODD,        |ip, port| ip.then(Extension::hop_by_hop()).tcp(port)),
    ("destination options",                       ODD,        |ip, port| ip.then(Extension::destination_options()).tcp(port)),
    ("destination options × 10",                  ODD,        |ip, port| ip.then_times(10, &Extension::destination_options()).tcp(port)),
    ("destination options × 15",                  ODD,        |ip, port| ip.then_times(15, &Extension::destination_options()).tcp(port)),
    ("destination options × 16, more than walked", UNREADABLE, |ip, port| ip.then_times(16, &Extension::destination_options()).tcp(port)),
    ("destination options × 150",                 UNREADABLE, |ip, port| ip.then_times(150, &Extension::destination_options()).tcp(port)),
    ("destination options of 64 bytes",           ODD,        |ip, port| ip.then(Extension::long_destination_options(64)).tcp(port)),
    ("destination options of 2048 bytes",         ODD,        |ip, port| ip.then(Extension::long_destination_options(2048)).tcp(port)),
    ("2048 bytes × 4, in several buffers",        ODD,        |ip, port| ip.then_times(4, &Extension::long_destination_options(2048)).tcp(port)),
    ("hop-by-hop, destination options, routing",  ODD,        |ip, port| ip.then(Extension::hop_by_hop()).then(Extension::destination_options()).then(Extension::routing(0)).tcp(port)),
    ("routing, arrived",                          ODD,        |ip, port| ip.then(Extension::routing(0)).tcp(port)),
    ("routing, on the way",                       ODD,        |ip, port| ip.then(Extension::routing(1)).tcp(port)),
    ("routing × 20",                              UNREADABLE, |ip, port| ip.then_times(20, &Extension::routing(0)).tcp(port)),
    ("atomic fragment",                           ODD,        |ip, port| ip.then(Extension::fragment(0, 0, false, 7)).tcp(port)),
    ("atomic fragment, reserved byte set",        ODD,        |ip, port| ip.then(Extension::fragment(0xff, 0, false, 7)).tcp(port)),
    ("atomic fragment, then options",             ODD,        |ip, port| ip.then(Extension::fragment(0, 0, false, 7)).then(Extension::destination_options()).tcp(port)),
    ("options, then atomic fragment",             ODD,        |ip, port| ip.then(Extension::destination_options()).then(Extension::fragment(0xff, 0, false, 7)).tcp(port)),
    ("first fragment",                            ODD,        |ip, port| ip.then(Extension::fragment(0, 0, true, 7)).tcp(port)),
    ("first fragment, reserved byte set",         ODD,        |ip, port| ip.then(Extension::fragment(0xff, 0, true, 7)).tcp(port)),
    ("first fragment without its TCP header",     UNREADABLE, |ip, _| ip.then(Extension::fragment(0, 0, true, 7)).carry(protocol::TCP, &[])),
    ("second fragment",                           UNREADABLE, |ip, port| ip.then(Extension::fragment(0, 1, true, 7)).tcp(port)),
    ("last fragment",                             UNREADABLE, |ip, port| ip.then(Extension::fragment(0, 1, false, 7)).tcp(port)),
    ("fragment at the greatest offset",           UNREADABLE, |ip, port| ip.then(Extension::fragment(0, 0x1fff, false, 7)).tcp(port)),
    ("last fragment behind options",              UNREADABLE, |ip, port| ip.then(Extension::destination_options()).then(Extension::fragment(0, 1, false, 7)).tcp(port)),
    ("last fragment that begins with options",    UNREADABLE, |ip, port| ip.then(Extension::fragment(0, 1, false, 7)).then(Extension::destination_options()).tcp(port)),
    ("last fragment of UDP",                      UNGUARDED,  |ip, port| ip.then(Extension::fragment(0, 1, false, 7)).udp(port)),
    ("first fragment of UDP",                     UNGUARDED,  |ip, port| ip.then(Extension::fragment(0, 0, true, 7)).udp(port)),
    ("last fragment of ICMPv6",                   UNGUARDED,  |ip, _| ip.then(Extension::fragment(0, 1, false, 7)).echo()),
    ("last fragment of ESP",                      UNGUARDED,  |ip, port| ip.then(Extension::fragment(0, 1, false, 7)).tcp_as(protocol::ESP, port)),
    ("authentication header",                     ODD,        |ip, port| ip.then(Extension::authentication()).tcp(port)),
    ("authentication header, then options",       ODD,        |ip, port| ip.then(Extension::authentication()).then(Extension::destination_options()).tcp(port)),
    ("last fragment of an authenticated packet",  UNREADABLE, |ip, port| ip.then(Extension::fragment(0, 1, false, 7)).then(Extension::authentication()).tcp(port)),
    ("ESP",                                       IGNORED,    |ip, port| ip.tcp_as(protocol::ESP, port)),
    ("mobility",                                  ODD,        |ip, port| ip.then(Extension::eight_bytes(135)).tcp(port)),
    ("mobility, nothing follows",                 UNGUARDED,  |ip, _| ip.then(Extension::eight_bytes(135)).carry(protocol::NO_NEXT_HEADER, &[])),
    ("host identity",                             ODD,        |ip, port| ip.then(Extension::eight_bytes(139)).tcp(port)),
    ("shim6",                                     ODD,        |ip, port| ip.then(Extension::eight_bytes(140)).tcp(port)),
    ("no next header, TCP's bytes",               IGNORED,    |ip, port| ip.tcp_as(protocol::NO_NEXT_HEADER, port)),
    ("experimental header",                       IGNORED,    |ip, port| ip.tcp_as(253, port)),
    ("options that are cut off",                  UNREADABLE, |ip, port| ip.then(Extension::long_destination_options(64)).tcp(port).cut(14 + 40 + 32)),
    ("options cut after one byte",                UNREADABLE, |ip, port| ip.then(Extension::destination_options()).tcp(port).cut(14 + 40 + 1)),
    ("fragment header that is cut off",           UNREADABLE, |ip, port| ip.then(Extension::fragment(0, 0, false, 7)).tcp(port).cut(14 + 40 + 3)),
    ("two bytes of TCP",                          UNREADABLE, |ip, port| ip.tcp(port).cut(14 + 40 + 2)),
    ("no TCP behind the IP header",               UNREADABLE, |ip, _| ip.carry(protocol::TCP, &[])),
    ("UDP",                                       IGNORED,    |ip, port| ip.udp(port)),
    ("UDP behind hop-by-hop options",             UNGUARDED,  |ip, port| ip.then(Extension::hop_by_hop()).udp(port)),
    ("ICMPv6 echo",                               IGNORED,    |ip, _| ip.echo()),
    ("IPv6 in IPv6, TCP inside",                  IGNORED,    |ip, port| ip.carry(41, ip.tcp(port).packet())),
    ("IPv4 in IPv6, TCP inside",                  IGNORED,    |ip, port| ip.carry(4, Ipv4::new([198, 51, 100, 66], SERVER_V4).tcp(port).packet())),
    ("UDP, too short for ports",                  UNGUARDED,  |ip, _| ip.carry(protocol::UDP, &[0, 25])),
    ("version 4 under IPv6's ethertype",          IGNORED,    |ip, port| ip.version(4).tcp(port)),
    ("version 7",                                 IGNORED,    |ip, port| ip.version(7).tcp(port)),
    ("version 0",                                 IGNORED,    |ip, port| ip.version(0).tcp(port)),
    ("under IPv4's ethertype",                    IGNORED,    |ip, port| ip.tcp(port).typed(ethertype::IPV4)),
];

/// What can be around a packet of either family.
#[rustfmt::skip]
const AROUND: &[Around] = &[
    ("802.1Q, priority only",                     COMMON,     |frame| frame.tagged(ethertype::VLAN, 0)),
    ("802.1Q, priority 7",                        COMMON,     |frame| frame.tagged(ethertype::VLAN, 0xe000)),
    ("802.1Q, VLAN 100",                          COMMON,     |frame| frame.tagged(ethertype::VLAN, 100)),
    ("802.1Q, VLAN 4095",                         COMMON,     |frame| frame.tagged(ethertype::VLAN, 0xffff)),
    ("802.1ad, priority only",                    COMMON,     |frame| frame.tagged(ethertype::SERVICE_VLAN, 0)),
    ("802.1ad, VLAN 100",                         COMMON,     |frame| frame.tagged(ethertype::SERVICE_VLAN, 100)),
    ("802.1Q × 2",                                ODD,        |frame| frame.tagged_times(2, ethertype::VLAN, 0)),
    ("802.1Q in 802.1ad",                         ODD,        |frame| frame.tagged(ethertype::VLAN, 0).tagged(ethertype::SERVICE_VLAN, 100)),
    ("802.1ad in 802.1Q",                         ODD,        |frame| frame.tagged(ethertype::SERVICE_VLAN, 0).tagged(ethertype::VLAN, 0)),
    ("802.1Q × 8",                                ODD,        |frame| frame.tagged_times(8, ethertype::VLAN, 0)),
    ("802.1ad × 8",                               ODD,        |frame| frame.tagged_times(8, ethertype::SERVICE_VLAN, 0)),
    ("802.1Q × 300",                              ODD,        |frame| frame.tagged_times(300, ethertype::VLAN, 0)),
    ("802.1Q, cut after the tag",                 IGNORED,    |frame| frame.tagged(ethertype::VLAN, 0).cut(18)),
    ("802.1Q, cut in the tag",                    IGNORED,    |frame| frame.tagged(ethertype::VLAN, 0).cut(16)),
    ("802.1Q, cut in the IP header",              IGNORED,    |frame| frame.tagged(ethertype::VLAN, 0).cut(30)),
    ("802.1Q, an LLC frame inside",               IGNORED,    |frame| frame.typed(0x0026).tagged(ethertype::VLAN, 0)),
    ("an old service tag, 0x9100",                IGNORED,    |frame| frame.tagged(0x9100, 0)),
    ("LLC (a length for an ethertype)",           IGNORED,    |frame| frame.typed(0x0026)),
    ("ARP",                                       IGNORED,    |frame| frame.typed(0x0806)),
    ("LLDP",                                      IGNORED,    |frame| frame.typed(0x88cc)),
    ("MPLS",                                      IGNORED,    |frame| frame.typed(0x8847)),
    ("PPPoE session",                             IGNORED,    |frame| frame.typed(0x8864)),
    ("ethertype 0",                               IGNORED,    |frame| frame.typed(0)),
    ("ethertype with swapped bytes",              IGNORED,    |frame| frame.typed(0x0008)),
    ("a trailer that looks like a guarded port",  COMMON,     |frame| frame.trailed(&[0, 25, 0, 25, 0, 25])),
];

const BANNED_V4: [u8; 4] = [198, 51, 100, 66];
const CLEAN_V4: [u8; 4] = [198, 51, 100, 67];
const BANNED_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 1, 0, 0, 0, 0x66);
const CLEAN_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 2, 0, 0, 0, 0x66);

/// Where an IPv6 header's source address can lead: the name, the banned address, a clean one beside it, and its ban.
fn sources_v6() -> [(&'static str, Ipv6Addr, Ipv6Addr, Entry); 3] {
    let [banned, clean] = [BANNED_V4, CLEAN_V4].map(Ipv4Addr::from);
    let translated = |address: Ipv4Addr| {
        let [a, b, c, d] = address.octets();
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    };
    [
        ("", BANNED_V6, CLEAN_V6, Entry::HostV6([0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 1])),
        (" from a mapped IPv4 address", banned.to_ipv6_mapped(), clean.to_ipv6_mapped(), Entry::HostV4(BANNED_V4)),
        (" from behind NAT64", translated(banned), translated(clean), Entry::HostV4(BANNED_V4)),
    ]
}

/// Runs the whole table.
pub(crate) fn check(program: &mut Program) -> anyhow::Result<(usize, Failures)> {
    let mut table = Table { program, packets: 0, failures: Vec::new() };
    for (name, outcome, build) in IPV4 {
        table.row_v4(name, *outcome, build)?;
    }
    for (name, outcome, build) in IPV6 {
        table.row_v6(name, *outcome, build)?;
    }
    for (name, outcome, around) in AROUND {
        table.row_v4(name, *outcome, &|ip, port| around(ip.tcp(port)))?;
        table.row_v6(name, *outcome, &|ip, port| around(ip.tcp(port)))?;
    }
    // Runts: every length from the shortest that the kernel lets in to the first that holds a whole IP header and two ports.
    for length in 14..=38 {
        let outcome = if length < 34 {
            IGNORED
        } else if length < 38 {
            UNREADABLE
        } else {
            COMMON
        };
        table.row_v4(&format!("cut to {length} bytes"), outcome, &|ip, port| ip.tcp(port).cut(length))?;
    }
    for length in 14..=58 {
        let outcome = if length < 54 {
            IGNORED
        } else if length < 58 {
            UNREADABLE
        } else {
            COMMON
        };
        table.row_v6(&format!("cut to {length} bytes"), outcome, &|ip, port| ip.tcp(port).cut(length))?;
    }
    for words in 0..5 {
        // A header that claims to be shorter than it can be: nothing of it reaches TCP (`ip_rcv_core`), so what is read as its
        // port does not matter, as long as an innocent passes.
        table.row_v4(&format!("header of {words} words"), UNGUARDED, &|ip, port| {
            ip.version_and_length(0x40 | words).tcp(port)
        })?;
    }
    Ok((table.packets, table.failures))
}

struct Table<'a> {
    program: &'a mut Program,
    packets: usize,
    failures: Failures,
}

impl Table<'_> {
    fn row_v4(&mut self, name: &str, outcome: Outcome, build: &dyn Fn(Ipv4, u16) -> Frame) -> anyhow::Result<()> {
        let from = |source| move |port| build(Ipv4::new(source, SERVER_V4), port);
        self.row(&format!("IPv4, {name}"), outcome, Entry::HostV4(BANNED_V4), &from(BANNED_V4), &from(CLEAN_V4))
    }

    fn row_v6(&mut self, name: &str, outcome: Outcome, build: &dyn Fn(Ipv6, u16) -> Frame) -> anyhow::Result<()> {
        for (origin, banned, clean, ban) in sources_v6() {
            let from = |source: Ipv6Addr| move |port| build(Ipv6::new(source.octets(), SERVER_V6), port);
            self.row(&format!("IPv6{origin}, {name}"), outcome, ban, &from(banned), &from(clean))?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        name: &str,
        outcome: Outcome,
        entry: Entry,
        banned: &dyn Fn(u16) -> Frame,
        clean: &dyn Fn(u16) -> Frame,
    ) -> anyhow::Result<()> {
        let packets = [
            ("banned, guarded port", banned(GUARDED_PORT), true),
            ("banned, other port", banned(OTHER_PORT), true),
            ("clean, guarded port", clean(GUARDED_PORT), false),
            ("clean, other port", clean(OTHER_PORT), false),
        ];
        for ((case, frame, from_banned), expected) in packets.into_iter().zip(outcome) {
            // Written anew, so that its counters start from zero.
            self.program.ban(entry, Ban { deadline: PERMANENT, services: SMTP, ..Ban::default() })?;
            let dropped = matches!(
                expected,
                Some(Reason::DroppedBan | Reason::DroppedOdd | Reason::DroppedUnreadable | Reason::Observed)
            );
            let (charged, uncharged) = if from_banned && dropped { (Some(entry), None) } else { (None, Some(entry)) };
            let wrong = observe(self.program, &frame, expected, charged, uncharged.as_slice())?;
            self.packets += 1;
            self.failures.extend(wrong.map(|wrong| format!("{name}; {case}:{wrong}")));
        }
        self.program.unban(entry)
    }
}
