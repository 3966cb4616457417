//! What the maps say about one source: bans that overlap and nest, expire, observe, are for other services; protected addresses
//! inside banned prefixes; and addresses that are near a banned one without being it.
//!
//! A trie returns the longest prefix alone, so that the daemon writes into each entry what everything around it says too; these
//! rows hold the program to the longest one.

use std::net::IpAddr;

use anyhow::Context as _;
use banner_common::{
    Ban, FLAG_MANUAL, FLAG_OBSERVE, FLAG_PROTECTED, PERMANENT,
    Reason::{self, *},
};
use banner_tests::{
    frame::{Extension, Frame, Ipv4, Ipv6},
    object::{Entry, Program},
};

use super::{Expected, Failures, GUARDED_PORT, IMAP, SERVER_V4, SERVER_V6, SMTP, observe};

/// When a ban ends.
#[derive(Clone, Copy)]
enum Ends {
    /// An hour of ticks from now, at least.
    Later,
    Never,
    /// A tick ago.
    Past,
    /// In the tick of the packet: a ban holds while the clock is below its deadline.
    Now,
}

/// What an entry says.
#[derive(Clone, Copy)]
struct State(Ends, u16, u32);

const LIVE: State = State(Ends::Later, SMTP, 0);
const PERMANENTLY: State = State(Ends::Never, SMTP, 0);
const BY_HAND: State = State(Ends::Never, SMTP, FLAG_MANUAL);
const EXPIRED: State = State(Ends::Past, SMTP, 0);
const ENDING: State = State(Ends::Now, SMTP, 0);
const OTHER_SERVICE: State = State(Ends::Later, IMAP, 0);
const BOTH_SERVICES: State = State(Ends::Later, SMTP | IMAP, 0);
const OBSERVING: State = State(Ends::Later, SMTP, FLAG_OBSERVE);
const PROTECTED: State = State(Ends::Never, 0, FLAG_PROTECTED);

/// A row: its name; who sends to port 25; the entries (an address or /64 without more is an exact one); which of them counts
/// the packet; what the common shape comes to, and what an odd one does.
type Row = (&'static str, &'static str, &'static [(&'static str, State)], Option<usize>, Reason, Reason);

const V4: &str = "198.51.100.66";
const V6: &str = "2001:db8:bad:1::66";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("no ban",                                    V4, &[], None, PassedClean, PassedOdd),
    ("live",                                      V4, &[(V4, LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("permanent",                                 V4, &[(V4, PERMANENTLY)], Some(0), DroppedBan, DroppedOdd),
    ("by hand",                                   V4, &[(V4, BY_HAND)], Some(0), DroppedBan, DroppedOdd),
    ("expired",                                   V4, &[(V4, EXPIRED)], None, PassedBan, PassedOdd),
    ("ends in this tick",                         V4, &[(V4, ENDING)], None, PassedBan, PassedOdd),
    ("for another service",                       V4, &[(V4, OTHER_SERVICE)], None, PassedBan, PassedBan),
    ("for two services",                          V4, &[(V4, BOTH_SERVICES)], Some(0), DroppedBan, DroppedOdd),
    ("for no service",                            V4, &[(V4, PROTECTED)], None, PassedBan, PassedOdd),
    ("observing",                                 V4, &[(V4, OBSERVING)], Some(0), Observed, Observed),
    ("the destination's",                         V4, &[("192.0.2.1", LIVE)], None, PassedClean, PassedOdd),
    ("the destination's prefix",                  V4, &[("192.0.2.0/24", LIVE)], None, PassedClean, PassedOdd),
    ("one bit beside, last",                      V4, &[("198.51.100.67", LIVE)], None, PassedClean, PassedOdd),
    ("one bit beside, first",                     V4, &[("70.51.100.66", LIVE)], None, PassedClean, PassedOdd),
    ("the same bytes backwards",                  V4, &[("66.100.51.198", LIVE)], None, PassedClean, PassedOdd),
    ("the same bytes in IPv6",                    V4, &[("c633:6442::/64", LIVE), ("c633:6442::/32", LIVE)], None, PassedClean, PassedOdd),

    ("prefix",                                    V4, &[("198.51.100.0/24", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("prefix /32",                                V4, &[("198.51.100.66/32", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("prefix /31",                                V4, &[("198.51.100.66/31", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("prefix /1",                                 V4, &[("128.0.0.0/1", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("prefix /0",                                 V4, &[("0.0.0.0/0", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("prefix, expired",                           V4, &[("198.51.100.0/24", EXPIRED)], None, PassedBan, PassedOdd),
    ("prefix, ends in this tick",                 V4, &[("198.51.100.0/24", ENDING)], None, PassedBan, PassedOdd),
    ("prefix, for another service",               V4, &[("198.51.100.0/24", OTHER_SERVICE)], None, PassedBan, PassedBan),
    ("prefix, observing",                         V4, &[("198.51.100.0/24", OBSERVING)], Some(0), Observed, Observed),
    ("prefix, the other half",                    V4, &[("198.51.100.128/25", LIVE)], None, PassedClean, PassedOdd),
    ("prefix /32 beside",                         V4, &[("198.51.100.67/32", LIVE)], None, PassedClean, PassedOdd),

    ("expired in a live prefix",                  V4, &[(V4, EXPIRED), ("198.51.100.0/24", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("for another service in a live prefix",      V4, &[(V4, OTHER_SERVICE), ("198.51.100.0/24", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("live in a live prefix",                     V4, &[(V4, LIVE), ("198.51.100.0/24", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("live in an expired prefix",                 V4, &[(V4, LIVE), ("198.51.100.0/24", EXPIRED)], Some(0), DroppedBan, DroppedOdd),
    ("live in a prefix for another service",      V4, &[(V4, LIVE), ("198.51.100.0/24", OTHER_SERVICE)], Some(0), DroppedBan, DroppedOdd),
    ("observing in a live prefix",                V4, &[(V4, OBSERVING), ("198.51.100.0/24", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("live in an observing prefix",               V4, &[(V4, LIVE), ("198.51.100.0/24", OBSERVING)], Some(0), DroppedBan, DroppedOdd),
    ("observing in an observing prefix",          V4, &[(V4, OBSERVING), ("198.51.100.0/24", OBSERVING)], Some(0), Observed, Observed),
    ("observing in an expired prefix",            V4, &[(V4, OBSERVING), ("198.51.100.0/24", EXPIRED)], Some(0), Observed, Observed),
    ("observing in a prefix for another service", V4, &[(V4, OBSERVING), ("198.51.100.0/24", OTHER_SERVICE)], Some(0), Observed, Observed),
    ("expired in an observing prefix",            V4, &[(V4, EXPIRED), ("198.51.100.0/24", OBSERVING)], Some(1), Observed, Observed),
    ("expired in an expired prefix",              V4, &[(V4, EXPIRED), ("198.51.100.0/24", EXPIRED)], None, PassedBan, PassedOdd),
    ("another service in the same one's prefix",  V4, &[(V4, OTHER_SERVICE), ("198.51.100.0/24", OTHER_SERVICE)], None, PassedBan, PassedBan),

    ("prefix in a prefix: the longer",            V4, &[("198.51.0.0/16", LIVE), ("198.51.100.0/24", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("longer prefix that expired",                V4, &[("198.51.0.0/16", LIVE), ("198.51.100.0/24", EXPIRED)], None, PassedBan, PassedOdd),
    ("longer prefix for another service",         V4, &[("198.51.0.0/16", LIVE), ("198.51.100.0/24", OTHER_SERVICE)], None, PassedBan, PassedBan),
    ("longer prefix beside",                      V4, &[("198.51.0.0/16", LIVE), ("198.51.101.0/24", PROTECTED)], Some(0), DroppedBan, DroppedOdd),
    ("protected in a banned prefix",              V4, &[("198.51.100.0/24", LIVE), ("198.51.100.66/32", PROTECTED)], None, PassedBan, PassedOdd),
    ("protected prefix in a banned one",          V4, &[("0.0.0.0/0", PERMANENTLY), ("198.51.100.64/26", PROTECTED)], None, PassedBan, PassedOdd),
    ("a neighbour protected",                     V4, &[("198.51.100.0/24", LIVE), ("198.51.100.67/32", PROTECTED)], Some(0), DroppedBan, DroppedOdd),
    ("protected, with an expired ban of its own", V4, &[(V4, EXPIRED), ("198.51.100.0/24", LIVE), ("198.51.100.66/32", PROTECTED)], None, PassedBan, PassedOdd),
    ("banned in a protected prefix in a ban",     V4, &[("198.51.0.0/16", LIVE), ("198.51.100.0/24", PROTECTED), ("198.51.100.66/32", LIVE)], Some(2), DroppedBan, DroppedOdd),

    ("no ban, IPv6",                              V6, &[], None, PassedClean, PassedOdd),
    ("/64",                                       V6, &[("2001:db8:bad:1::/64", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("/64, another host of it",                   "2001:db8:bad:1:ffff:ffff:ffff:ffff", &[("2001:db8:bad:1::/64", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("/64, permanent",                            V6, &[("2001:db8:bad:1::/64", PERMANENTLY)], Some(0), DroppedBan, DroppedOdd),
    ("/64, expired",                              V6, &[("2001:db8:bad:1::/64", EXPIRED)], None, PassedBan, PassedOdd),
    ("/64, ends in this tick",                    V6, &[("2001:db8:bad:1::/64", ENDING)], None, PassedBan, PassedOdd),
    ("/64, for another service",                  V6, &[("2001:db8:bad:1::/64", OTHER_SERVICE)], None, PassedBan, PassedBan),
    ("/64, observing",                            V6, &[("2001:db8:bad:1::/64", OBSERVING)], Some(0), Observed, Observed),
    ("/64 beside, last bit",                      V6, &[("2001:db8:bad::/64", LIVE)], None, PassedClean, PassedOdd),
    ("/64 beside, first bit",                     V6, &[("a001:db8:bad:1::/64", LIVE)], None, PassedClean, PassedOdd),
    ("the destination's /64",                     V6, &[("2001:db8:1::/64", LIVE)], None, PassedClean, PassedOdd),
    ("the same bytes in IPv4",                    V6, &[("32.1.13.184", LIVE), ("32.1.13.184/32", LIVE), ("0.0.0.102", LIVE)], None, PassedClean, PassedOdd),
    ("/48",                                       V6, &[("2001:db8:bad::/48", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("/63",                                       V6, &[("2001:db8:bad::/63", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("/65",                                       V6, &[("2001:db8:bad:1::/65", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("/128",                                      V6, &[("2001:db8:bad:1::66/128", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("/0",                                        V6, &[("::/0", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("/0 of IPv4",                                V6, &[("0.0.0.0/0", LIVE)], None, PassedClean, PassedOdd),
    ("/128 beside",                               V6, &[("2001:db8:bad:1::67/128", LIVE)], None, PassedClean, PassedOdd),
    ("/65, the other half",                       V6, &[("2001:db8:bad:1:8000::/65", LIVE)], None, PassedClean, PassedOdd),
    ("/64 expired in a live /48",                 V6, &[("2001:db8:bad:1::/64", EXPIRED), ("2001:db8:bad::/48", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("/64 for another service in a live /48",     V6, &[("2001:db8:bad:1::/64", OTHER_SERVICE), ("2001:db8:bad::/48", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("/64 observing in a live /48",               V6, &[("2001:db8:bad:1::/64", OBSERVING), ("2001:db8:bad::/48", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("/64 live in an observing /48",              V6, &[("2001:db8:bad:1::/64", LIVE), ("2001:db8:bad::/48", OBSERVING)], Some(0), DroppedBan, DroppedOdd),
    ("/64 expired, a /128 in it live",            V6, &[("2001:db8:bad:1::/64", EXPIRED), ("2001:db8:bad:1::66/128", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("/128 in a /48: the longer",                 V6, &[("2001:db8:bad::/48", LIVE), ("2001:db8:bad:1::66/128", LIVE)], Some(1), DroppedBan, DroppedOdd),
    ("protected /128 in a banned /48",            V6, &[("2001:db8:bad::/48", LIVE), ("2001:db8:bad:1::66/128", PROTECTED)], None, PassedBan, PassedOdd),
    ("protected /65 in a banned /48",            V6, &[("2001:db8:bad::/48", LIVE), ("2001:db8:bad:1::/65", PROTECTED)], None, PassedBan, PassedOdd),
    ("a neighbour protected, IPv6",               V6, &[("2001:db8:bad::/48", LIVE), ("2001:db8:bad:1::67/128", PROTECTED)], Some(0), DroppedBan, DroppedOdd),

    ("mapped, IPv4's ban",                        "::ffff:198.51.100.66", &[(V4, LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("mapped, IPv4's prefix",                     "::ffff:198.51.100.66", &[("198.51.100.0/24", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("mapped, protected as IPv4",                 "::ffff:198.51.100.66", &[("198.51.100.0/24", LIVE), ("198.51.100.66/32", PROTECTED)], None, PassedBan, PassedOdd),
    ("mapped, a ban on all of them as IPv6",      "::ffff:198.51.100.66", &[("::/64", LIVE), ("::ffff:0:0/96", LIVE)], None, PassedClean, PassedOdd),
    ("NAT64, IPv4's ban",                         "64:ff9b::198.51.100.66", &[(V4, LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("NAT64, IPv4's prefix",                      "64:ff9b::198.51.100.66", &[("198.51.100.0/24", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("NAT64, a ban on all of them as IPv6",       "64:ff9b::198.51.100.66", &[("64:ff9b::/64", LIVE), ("64:ff9b::/96", LIVE)], None, PassedClean, PassedOdd),
    ("a NAT64 of its own is IPv6",                "64:ff9b:1::198.51.100.66", &[(V4, LIVE)], None, PassedClean, PassedOdd),
    ("a NAT64 of its own, by /48",                "64:ff9b:1::198.51.100.66", &[("64:ff9b:1::/48", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("beside NAT64: 64:ff9b:0:0:1::",             "64:ff9b::1:0:198.51.100.66", &[(V4, LIVE)], None, PassedClean, PassedOdd),
    ("IPv4-compatible is IPv6",                   "::198.51.100.66", &[(V4, LIVE)], None, PassedClean, PassedOdd),
    ("beside mapped: ::fffe:",                    "::fffe:198.51.100.66", &[(V4, LIVE)], None, PassedClean, PassedOdd),
    ("beside mapped: a bit before it",            "0:0:1::ffff:198.51.100.66", &[(V4, LIVE)], None, PassedClean, PassedOdd),
    ("translated (::ffff:0:) is IPv6",            "::ffff:0:198.51.100.66", &[(V4, LIVE)], None, PassedClean, PassedOdd),
    ("6to4 is IPv6",                              "2002:c633:6442::1", &[(V4, LIVE)], None, PassedClean, PassedOdd),
    ("6to4, by /48",                              "2002:c633:6442::1", &[("2002:c633:6442::/48", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("Teredo, by full address",                   "2001::1", &[("2001::1/128", LIVE)], Some(0), DroppedBan, DroppedOdd),
    ("Teredo, the server's other clients",        "2001::2", &[("2001::1/128", LIVE)], None, PassedClean, PassedOdd),
];

/// Runs the whole table, each row in the common shape and in an odd one.
pub(crate) fn check(program: &mut Program) -> anyhow::Result<(usize, Failures)> {
    let (mut packets, mut failures) = (0, Vec::new());
    for (name, source, states, charged, common, odd) in ROWS {
        let states: Vec<(Entry, State)> =
            states.iter().map(|(entry, state)| Ok((entry.parse()?, *state))).collect::<anyhow::Result<_>>()?;
        let (plain, optioned) = packets_of(source.parse()?);
        for (shape, frame, expected) in [("common shape", plain, *common), ("odd shape", optioned, *odd)] {
            let now = program.ticks()?;
            for (entry, state) in &states {
                program.ban(*entry, state.at(now))?;
            }
            let (charged, uncharged): (Vec<_>, Vec<_>) =
                states.iter().enumerate().partition(|(index, _)| Some(*index) == *charged);
            let charged = charged.first().map(|(_, (entry, _))| *entry);
            let uncharged: Vec<_> = uncharged.into_iter().map(|(_, (entry, _))| *entry).collect();
            let wrong = observe(program, &frame, Expected::Some(expected), charged, &uncharged)
                .with_context(|| format!("{name}; {shape}"))?;
            packets += 1;
            failures.extend(wrong.map(|wrong| format!("{name}; {shape}:{wrong}")));
            for (entry, _) in &states {
                program.unban(*entry)?;
            }
        }
    }
    Ok((packets, failures))
}

impl State {
    fn at(self, now: u64) -> Ban {
        let Self(ends, services, flags) = self;
        let deadline = match ends {
            // 1000 ticks a second at most.
            Ends::Later => now + 3_600_000,
            Ends::Never => PERMANENT,
            Ends::Past => now - 1,
            Ends::Now => now,
        };
        Ban { deadline, services, flags, ..Ban::default() }
    }
}

/// A connection request in the common shape and in an odd one.
fn packets_of(source: IpAddr) -> (Frame, Frame) {
    match source {
        IpAddr::V4(source) => {
            let packet = Ipv4::new(source.octets(), SERVER_V4);
            (packet.tcp(GUARDED_PORT), packet.no_operations(4).tcp(GUARDED_PORT))
        }
        IpAddr::V6(source) => {
            let packet = Ipv6::new(source.octets(), SERVER_V6);
            (packet.tcp(GUARDED_PORT), packet.then(Extension::destination_options()).tcp(GUARDED_PORT))
        }
    }
}
