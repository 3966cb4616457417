//! Packets that are really sent: over a cable between two hosts that the test makes, with the program attached natively to the
//! server's end.
//!
//! Each shape is sent while its source has no ban, while it has one, and after the ban was lifted. What the ban keeps away must
//! reach the server's TCP before and after: so it is a shape that Linux hands to TCP, and the test can fail.

mod hosts;

use std::net::Ipv4Addr;

use anyhow::ensure;
use banner_common::{Ban, PERMANENT};
use banner_tests::{
    frame::{Extension, Frame, Ipv4, Ipv6, ethertype, icmp, protocol, tcp, udp},
    object::{self, Entry},
};

use hosts::{DATAGRAM_PORT, Delivered, GUARDED_PORT, Hosts, OTHER_PORT, SERVER_V4, SERVER_V6, SMTP};

const SOURCE_V4: [u8; 4] = [198, 51, 100, 66];
const SOURCE_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x66];
const BANS: [Entry; 2] = [Entry::HostV4(SOURCE_V4), Entry::HostV6([0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 1])];

/// What reaches the server without a ban, and with one.
struct Outcome {
    clean: Delivered,
    banned: Delivered,
}

const NOTHING: Delivered = Delivered { segments: 0, answered: false, datagrams: 0, echoed: false };
const SEGMENT: Delivered = Delivered { segments: 1, answered: true, ..NOTHING };
const DATAGRAM: Delivered = Delivered { datagrams: 1, ..NOTHING };
const ECHO: Delivered = Delivered { echoed: true, ..NOTHING };

const KEPT_AWAY: Outcome = Outcome { clean: SEGMENT, banned: NOTHING };
/// Linux takes the connection request, and then has no way back to a mapped address.
const KEPT_AWAY_UNANSWERED: Outcome = Outcome { clean: Delivered { answered: false, ..SEGMENT }, banned: NOTHING };
const OTHER_TCP: Outcome = Outcome { clean: SEGMENT, banned: SEGMENT };
const OTHER_UDP: Outcome = Outcome { clean: DATAGRAM, banned: DATAGRAM };
const OTHER_ICMP: Outcome = Outcome { clean: ECHO, banned: ECHO };

/// A row: its name, what comes of it, and its frames.
type Row = (&'static str, Outcome, fn(&Sender) -> Vec<Frame>);

#[rustfmt::skip]
const SHAPES: &[Row] = &[
    ("IPv4",                                     KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT)]),
    ("IPv4, options, 4 bytes",                   KEPT_AWAY,  |s| vec![s.v4().no_operations(4).tcp(GUARDED_PORT)]),
    ("IPv4, options, 40 bytes",                  KEPT_AWAY,  |s| vec![s.v4().no_operations(40).tcp(GUARDED_PORT)]),
    ("IPv4, options that look like port 80",     KEPT_AWAY,  |s| vec![s.v4().options(&[0x94, 4, 0, 80]).tcp(GUARDED_PORT)]),
    ("IPv4, fragments of 8 bytes",               KEPT_AWAY,  |s| s.v4().fragments(protocol::TCP, &s.segment_v4(), 8)),
    ("IPv4, fragments, the last one first",      KEPT_AWAY,  |s| backwards(s.v4().fragments(protocol::TCP, &s.segment_v4(), 8))),
    ("IPv4, fragments behind options",           KEPT_AWAY,  |s| s.v4().no_operations(8).fragments(protocol::TCP, &s.segment_v4(), 16)),
    ("IPv4, 802.1Q, priority only",              KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT).tagged(ethertype::VLAN, 0)]),
    ("IPv4, 802.1Q, priority 7",                 KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT).tagged(ethertype::VLAN, 0xe000)]),
    ("IPv4, 802.1ad, priority only",             KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT).tagged(ethertype::SERVICE_VLAN, 0)]),
    ("IPv4, 802.1Q × 2",                         KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT).tagged_times(2, ethertype::VLAN, 0)]),
    ("IPv4, 802.1Q × 8",                         KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT).tagged_times(8, ethertype::VLAN, 0)]),
    ("IPv4, 802.1ad × 8",                        KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT).tagged_times(8, ethertype::SERVICE_VLAN, 0)]),
    ("IPv4, 802.1Q × 32",                        KEPT_AWAY,  |s| vec![s.v4().tcp(GUARDED_PORT).tagged_times(32, ethertype::VLAN, 0)]),
    ("IPv4, tags, options and fragments",        KEPT_AWAY,  |s| s.v4().no_operations(4).fragments(protocol::TCP, &s.segment_v4(), 8).into_iter().map(|frame| frame.tagged(ethertype::VLAN, 0)).collect()),

    ("IPv6",                                     KEPT_AWAY,  |s| vec![s.v6().tcp(GUARDED_PORT)]),
    ("IPv6, hop-by-hop options",                 KEPT_AWAY,  |s| vec![s.v6().then(Extension::hop_by_hop()).tcp(GUARDED_PORT)]),
    ("IPv6, destination options",                KEPT_AWAY,  |s| vec![s.v6().then(Extension::destination_options()).tcp(GUARDED_PORT)]),
    ("IPv6, destination options × 10",           KEPT_AWAY,  |s| vec![s.v6().then_times(10, &Extension::destination_options()).tcp(GUARDED_PORT)]),
    ("IPv6, destination options × 150",          KEPT_AWAY,  |s| vec![s.v6().then_times(150, &Extension::destination_options()).tcp(GUARDED_PORT)]),
    ("IPv6, destination options of 1024 bytes",  KEPT_AWAY,  |s| vec![s.v6().then(Extension::long_destination_options(1024)).tcp(GUARDED_PORT)]),
    ("IPv6, routing, arrived",                   KEPT_AWAY,  |s| vec![s.v6().then(Extension::routing(0)).tcp(GUARDED_PORT)]),
    ("IPv6, routing × 20",                       KEPT_AWAY,  |s| vec![s.v6().then_times(20, &Extension::routing(0)).tcp(GUARDED_PORT)]),
    ("IPv6, atomic fragment",                    KEPT_AWAY,  |s| vec![s.v6().then(Extension::fragment(0, 0, false, s.identification())).tcp(GUARDED_PORT)]),
    ("IPv6, atomic fragment, reserved byte set", KEPT_AWAY,  |s| vec![s.v6().then(Extension::fragment(0xff, 0, false, s.identification())).tcp(GUARDED_PORT)]),
    ("IPv6, all kinds of headers",               KEPT_AWAY,  |s| vec![s.v6().then(Extension::hop_by_hop()).then(Extension::destination_options()).then(Extension::routing(0)).then(Extension::fragment(0xff, 0, false, s.identification())).then(Extension::destination_options()).tcp(GUARDED_PORT)]),
    ("IPv6, fragments",                          KEPT_AWAY,  |s| s.v6().fragments(protocol::TCP, &s.segment_v6(), 24, s.identification())),
    ("IPv6, fragments, the last one first",      KEPT_AWAY,  |s| backwards(s.v6().fragments(protocol::TCP, &s.segment_v6(), 24, s.identification()))),
    ("IPv6, fragments behind options",           KEPT_AWAY,  |s| s.v6().then(Extension::destination_options()).fragments(protocol::TCP, &s.segment_v6(), 24, s.identification())),
    ("IPv6, 802.1Q, priority only",              KEPT_AWAY,  |s| vec![s.v6().tcp(GUARDED_PORT).tagged(ethertype::VLAN, 0)]),
    ("IPv6, 802.1ad × 8",                        KEPT_AWAY,  |s| vec![s.v6().tcp(GUARDED_PORT).tagged_times(8, ethertype::SERVICE_VLAN, 0)]),
    ("IPv6, tags and options",                   KEPT_AWAY,  |s| vec![s.v6().then(Extension::destination_options()).tcp(GUARDED_PORT).tagged_times(3, ethertype::VLAN, 0)]),
    ("IPv6, a later fragment that lies",         KEPT_AWAY,  |s| vec![s.fragment(0, true).carry(protocol::TCP, s.segment_v6().get(..24).unwrap_or_default()), s.fragment(3, false).carry(protocol::UDP, s.segment_v6().get(24..).unwrap_or_default())]),
    ("IPv6 from a mapped IPv4 address",          KEPT_AWAY_UNANSWERED, |s| vec![s.mapped().tcp(GUARDED_PORT)]),
    ("mapped, destination options",              KEPT_AWAY_UNANSWERED, |s| vec![s.mapped().then(Extension::destination_options()).tcp(GUARDED_PORT)]),
    ("IPv6 from behind NAT64",                   KEPT_AWAY,  |s| vec![s.translated().tcp(GUARDED_PORT)]),
    ("NAT64, destination options",               KEPT_AWAY,  |s| vec![s.translated().then(Extension::destination_options()).tcp(GUARDED_PORT)]),

    ("IPv4, other port",                         OTHER_TCP,  |s| vec![s.v4().tcp(OTHER_PORT)]),
    ("IPv4, other port behind options",          OTHER_TCP,  |s| vec![s.v4().options(&[0x94, 4, 0, 25]).tcp(OTHER_PORT)]),
    ("IPv4, other port behind tags",             OTHER_TCP,  |s| vec![s.v4().tcp(OTHER_PORT).tagged_times(8, ethertype::VLAN, 0)]),
    ("IPv4, UDP",                                OTHER_UDP,  |s| vec![s.v4().udp(DATAGRAM_PORT)]),
    ("IPv4, UDP behind options",                 OTHER_UDP,  |s| vec![s.v4().no_operations(8).udp(DATAGRAM_PORT)]),
    ("IPv4, UDP in fragments",                   OTHER_UDP,  |s| s.v4().fragments(protocol::UDP, &udp(s.v4().addresses(), s.port, DATAGRAM_PORT, &[b'x'; 64]), 24)),
    ("IPv4, UDP in fragments behind a tag",      OTHER_UDP,  |s| s.v4().fragments(protocol::UDP, &udp(s.v4().addresses(), s.port, DATAGRAM_PORT, &[b'x'; 64]), 24).into_iter().map(|frame| frame.tagged(ethertype::VLAN, 0)).collect()),
    ("IPv4, echo",                               OTHER_ICMP, |s| vec![s.v4().echo()]),
    ("IPv4, echo in fragments",                  OTHER_ICMP, |s| s.v4().fragments(protocol::ICMP, &icmp(s.v4().addresses(), s.port, &[b'x'; 64]), 24)),

    ("IPv6, other port",                         OTHER_TCP,  |s| vec![s.v6().tcp(OTHER_PORT)]),
    ("IPv6, other port behind options",          OTHER_TCP,  |s| vec![s.v6().then(Extension::destination_options()).tcp(OTHER_PORT)]),
    ("IPv6, UDP",                                OTHER_UDP,  |s| vec![s.v6().udp(DATAGRAM_PORT)]),
    ("IPv6, UDP behind hop-by-hop options",      OTHER_UDP,  |s| vec![s.v6().then(Extension::hop_by_hop()).udp(DATAGRAM_PORT)]),
    ("IPv6, UDP in fragments",                   OTHER_UDP,  |s| s.v6().fragments(protocol::UDP, &udp(s.v6().addresses(), s.port, DATAGRAM_PORT, &[b'x'; 64]), 24, s.identification())),
    ("IPv6, echo",                               OTHER_ICMP, |s| vec![s.v6().echo()]),
    ("IPv6, echo in fragments",                  OTHER_ICMP, |s| s.v6().fragments(protocol::ICMPV6, &icmp(s.v6().addresses(), s.port, &[b'x'; 64]), 24, s.identification())),
];

#[test]
fn no_shape_of_a_banned_source_reaches_tcp_and_everything_else_arrives() -> anyhow::Result<()> {
    for object in object::under_test("packets over a cable between two hosts")? {
        let mut hosts = Hosts::new(&object)?;
        let mut failures = Vec::new();
        let mut port = 10_000;
        for (name, outcome, frames) in SHAPES {
            let steps: [(&str, Step, Delivered); 3] = [
                ("before the ban", |_| Ok(()), outcome.clean),
                ("banned", ban, outcome.banned),
                ("after the ban", unban, outcome.clean),
            ];
            for (when, step, expected) in steps {
                step(&mut hosts)?;
                port += 1;
                let delivered = hosts.deliver(&frames(&Sender { port }), port, expected)?;
                if delivered != expected {
                    failures.push(format!("{name}, {when}: {delivered:?} instead of {expected:?}"));
                }
            }
        }
        ensure!(failures.is_empty(), "{}:\n{}", object.display(), failures.join("\n"));
    }
    Ok(())
}

/// What happens to the bans before the frames are sent.
type Step = fn(&mut Hosts) -> anyhow::Result<()>;

fn ban(hosts: &mut Hosts) -> anyhow::Result<()> {
    let ban = Ban { deadline: PERMANENT, services: SMTP, ..Ban::default() };
    BANS.into_iter().try_for_each(|entry| hosts.program.ban(entry, ban))
}

fn unban(hosts: &mut Hosts) -> anyhow::Result<()> {
    BANS.into_iter().try_for_each(|entry| hosts.program.unban(entry))
}

/// Who sends: always the same address, each time from a port and with an identification of its own, so that no connection and
/// no fragment is taken for an earlier one's.
struct Sender {
    port: u16,
}

impl Sender {
    fn v4(&self) -> Ipv4 {
        Ipv4::new(SOURCE_V4, SERVER_V4).source_port(self.port).identification(self.port)
    }

    fn v6(&self) -> Ipv6 {
        Ipv6::new(SOURCE_V6, SERVER_V6).source_port(self.port)
    }

    /// `::ffff:198.51.100.66` (RFC 4291).
    fn mapped(&self) -> Ipv6 {
        Ipv6::new(Ipv4Addr::from(SOURCE_V4).to_ipv6_mapped().octets(), SERVER_V6).source_port(self.port)
    }

    /// `64:ff9b::198.51.100.66` (RFC 6052).
    fn translated(&self) -> Ipv6 {
        let [a, b, c, d] = SOURCE_V4;
        Ipv6::new([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d], SERVER_V6).source_port(self.port)
    }

    /// A fragment at an offset in units of eight bytes.
    fn fragment(&self, offset: u16, more: bool) -> Ipv6 {
        self.v6().then(Extension::fragment(0, offset, more, self.identification()))
    }

    fn identification(&self) -> u32 {
        u32::from(self.port)
    }

    /// A connection request that is long enough to be cut into pieces.
    fn segment_v4(&self) -> Vec<u8> {
        tcp(self.v4().addresses(), self.port, GUARDED_PORT, &[b'x'; 12])
    }

    fn segment_v6(&self) -> Vec<u8> {
        tcp(self.v6().addresses(), self.port, GUARDED_PORT, &[b'x'; 12])
    }
}

fn backwards(mut frames: Vec<Frame>) -> Vec<Frame> {
    frames.reverse();
    frames
}
