//! Lines per second through `Detector::handle` on one core: a mixed log with the built-in filters, with ten of an operator's own
//! beside them, each kind of line by itself, and lines that are as long as they get.
//!
//! `cargo bench -p banner-user --bench detection`. The log has 200,000 lines, the same ones every time: 10 % Postfix SASL
//! failures, 5 % Cyrus badlogin, 85 % of what else Postfix and Cyrus write on a relay, shuffled, with RFC 3164's prefix. A log of
//! lines can be named instead: `... --bench detection -- /var/log/mail.log`.

use std::{hint::black_box, io, time::Duration};

use banner_user::{
    clock::WallTime,
    detect::{Detector, Filter},
};
use jiff::{Timestamp, tz::TimeZone};
use nix::time::{ClockId, clock_gettime};

const LINES: u64 = 200_000;
/// 2026-10-01 00:00:00 UTC; the log spans a day from here.
const START: i64 = 1_790_812_800;
const DAY: u64 = 86_400;
/// Filters as an operator writes them.
const OWN: &str = include_str!("own_filters.toml");
/// Each figure is the fastest of this many passes: others only ever slow it down.
const PASSES: usize = 15;

fn main() -> io::Result<()> {
    // `cargo test --all-targets` runs benchmarks too, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let built_in = Filter::built_in_names().count();
    if let Some(path) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        let text = std::fs::read(path)?;
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        heading(&mut out)?;
        report(&mut out, &format!("{built_in} built-in"), &lines, detector(false)?)?;
        return report(&mut out, "+ ten own filters", &lines, detector(true)?);
    }
    let mut random = Random(20_260_101);
    let mut log = Vec::new();
    for index in 0..LINES {
        let kind = random.kind();
        let second = START + i64::try_from(DAY * index / LINES).unwrap_or_default();
        log.push((kind, format!("{} mail01 {}", stamp(second), message(kind, &mut random)).into_bytes()));
    }
    heading(&mut out)?;
    let all: Vec<&[u8]> = log.iter().map(|(_, line)| line.as_slice()).collect();
    report(&mut out, &format!("{built_in} built-in"), &all, detector(false)?)?;
    report(&mut out, "+ ten own filters", &all, detector(true)?)?;
    for kind in Kind::ALL {
        let lines: Vec<&[u8]> = log.iter().filter(|(of, _)| *of == kind).map(|(_, line)| line.as_slice()).collect();
        report(&mut out, &format!("{kind:?}"), &lines, detector(false)?)?;
    }
    for (name, lines) in longest(&mut random) {
        report(&mut out, &name, &[lines.as_slice()], detector(false)?)?;
    }
    Ok(())
}

/// With all filters that are built in, and with those of an operator.
fn detector(with_own: bool) -> io::Result<Detector> {
    let mut filters =
        Filter::built_in_names().map(Filter::built_in).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let own: toml::Table = toml::from_str(OWN).map_err(io::Error::other)?;
    for (name, filter) in own.iter().filter(|_| with_own) {
        let text = toml::to_string(filter).map_err(io::Error::other)?;
        filters.push(Filter::parse(name, &text).map_err(io::Error::other)?);
    }
    Ok(Detector::new(filters, TimeZone::UTC))
}

/// Lines of 16 KiB, the longest that a followed file has, and of a quarter of that: the time for a byte is the same.
fn longest(random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let noise: Vec<u8> = (0..1 << 14).map(|_| b' ' + u8::try_from(random.below(95)).unwrap_or_default()).collect();
    let mut lines = Vec::new();
    for (length, size) in [(1 << 12, "4 KiB"), (1 << 14, "16 KiB")] {
        for (name, before) in [
            ("nothing", "postfix/smtpd[1]: "),
            ("badlogin", "cyrus/imap[1]: badlogin: [192.0.2.1] PLAIN ("),
            ("SASL", "postfix/smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: "),
        ] {
            for shown in ["a", "[", "(", ", ", "[SASL(-1): ", ", sasl_username=", "noise"] {
                let filler = if shown == "noise" { noise.as_slice() } else { shown.as_bytes() };
                let mut line = format!("Oct  1 00:00:00 mail01 {before}").into_bytes();
                line.extend(filler.iter().cycle().take(length - line.len()));
                lines.push((format!("{size} {name} {shown}"), line));
            }
        }
    }
    lines
}

fn heading(out: &mut impl io::Write) -> io::Result<()> {
    writeln!(
        out,
        "{:36} {:>8} {:>7} {:>10} {:>9} {:>12} {:>8}",
        "lines", "number", "bytes", "ns a line", "ns a byte", "M lines/s", "events"
    )
}

fn report(out: &mut impl io::Write, name: &str, lines: &[&[u8]], mut detector: Detector) -> io::Result<()> {
    // One after the other in memory, as a reader's buffer holds them.
    let buffer = lines.concat();
    let mut rest = buffer.as_slice();
    let lines: Vec<&[u8]> = lines
        .iter()
        .filter_map(|line| {
            let (line, after) = rest.split_at_checked(line.len())?;
            rest = after;
            Some(line)
        })
        .collect();
    let near = WallTime((START + 43_200) * 1_000_000);
    let mut events = 0;
    let nanos = (0..PASSES)
        .map(|_| {
            let start = processor_time();
            events = lines.iter().filter(|line| !black_box(detector.handle(black_box(line), near)).is_empty()).count();
            processor_time().saturating_sub(start).as_nanos()
        })
        .min()
        .unwrap_or_default();
    let number = lines.len().max(1);
    let nanos_a_line = nanos / number as u128;
    let bytes = buffer.len() / number;
    let hundredths = |value: u128| format!("{}.{:02}", value / 100, value % 100);
    let a_byte = hundredths(100 * nanos / buffer.len().max(1) as u128);
    let per_second = hundredths(number as u128 * 100_000 / nanos.max(1));
    writeln!(out, "{name:36} {number:>8} {bytes:>7} {nanos_a_line:>10} {a_byte:>9} {per_second:>12} {events:>8}")
}

/// What this thread has used of a processor: what others use does not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn stamp(second: i64) -> String {
    Timestamp::from_second(second).map(|time| time.strftime("%b %e %H:%M:%S").to_string()).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PostfixSasl,
    CyrusBadlogin,
    Connect,
    Disconnect,
    Client,
    Cleanup,
    QueueManager,
    Delivery,
    Removed,
    Tls,
    Reject,
    CyrusLogin,
    CyrusStarttls,
    CyrusOther,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::PostfixSasl,
        Self::CyrusBadlogin,
        Self::Connect,
        Self::Disconnect,
        Self::Client,
        Self::Cleanup,
        Self::QueueManager,
        Self::Delivery,
        Self::Removed,
        Self::Tls,
        Self::Reject,
        Self::CyrusLogin,
        Self::CyrusStarttls,
        Self::CyrusOther,
    ];
}

/// A message with its tag.
fn message(kind: Kind, random: &mut Random) -> String {
    let smtpd = random.one_of(&["postfix/smtpd", "postfix/submission/smtpd", "postfix/smtps/smtpd"]);
    let cyrus = random.one_of(&["cyrus/imap", "cyrus/imaps", "cyrus/imaps", "cyrus/pop3", "cyrus/pop3s"]);
    let pid = 300 + random.below(4_000_000);
    let user = random.user();
    let queue_id = random.queue_id();
    let good = format!("203.0.113.{}", 1 + random.below(254));
    let client = format!("{}[{good}]", random.host(&good));
    match kind {
        Kind::PostfixSasl => {
            let source = random.attacker();
            let host = random.host(&source);
            let mechanism = random.one_of(&["LOGIN", "LOGIN", "LOGIN", "PLAIN", "CRAM-MD5"]);
            let reason =
                random.one_of(&["authentication failure", "UGFzc3dvcmQ6", "VXNlcm5hbWU6", "(reason unavailable)"]);
            let user = if random.below(2) == 0 { format!(", sasl_username={user}") } else { String::new() };
            format!("{smtpd}[{pid}]: warning: {host}[{source}]: SASL {mechanism} authentication failed: {reason}{user}")
        }
        Kind::CyrusBadlogin => {
            let source = random.attacker();
            let host = match random.host(&source) {
                unknown if unknown == "unknown" => String::new(),
                known => known + " ",
            };
            let mechanism = random.one_of(&["PLAIN", "LOGIN"]);
            let rest = match random.below(20) {
                0..9 => format!("plaintext ({user}) [SASL(-13): authentication failure: checkpass failed]"),
                9..12 => format!("plaintext {user} SASL(-13): authentication failure: checkpass failed"),
                12..16 => {
                    format!("{mechanism} ({user}) [SASL(-13): authentication failure: Password verification failed]")
                }
                16..18 => format!("{mechanism} [SASL(-13): authentication failure: Password verification failed]"),
                _ => format!("plaintext ({user}) [SASL(-13): user not found: checkpass failed]"),
            };
            format!("{cyrus}[{pid}]: badlogin: {host}[{source}] {rest}")
        }
        Kind::Connect => format!("{smtpd}[{pid}]: connect from {client}"),
        Kind::Disconnect => format!(
            "{smtpd}[{pid}]: disconnect from {client} ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"
        ),
        Kind::Client => format!("{smtpd}[{pid}]: {queue_id}: client={client}, sasl_method=PLAIN, sasl_username={user}"),
        Kind::Cleanup => format!("postfix/cleanup[{pid}]: {queue_id}: message-id=<{pid:08x}.{pid}@example.net>"),
        Kind::QueueManager => {
            format!("postfix/qmgr[{pid}]: {queue_id}: from=<{user}>, size={pid}, nrcpt=1 (queue active)")
        }
        Kind::Delivery => format!(
            "postfix/lmtp[{pid}]: {queue_id}: to=<{user}>, relay=mail01[/var/run/cyrus/socket/lmtp], delay=1.25, delays=0.1/0.01/0/0.03, dsn=2.1.5, status=sent (250 2.1.5 Ok SESSIONID=<mail01-{pid}-1790812800-1-{pid}>)"
        ),
        Kind::Removed => format!("postfix/qmgr[{pid}]: {queue_id}: removed"),
        Kind::Tls => format!(
            "{smtpd}[{pid}]: Anonymous TLS connection established from {client}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256"
        ),
        Kind::Reject => format!(
            "{smtpd}[{pid}]: NOQUEUE: reject: RCPT from {client}: 450 4.2.0 <{user}>: Recipient address rejected: Greylisted; from=<{user}> to=<{user}> proto=ESMTP helo=<mx.example.net>"
        ),
        Kind::CyrusLogin => format!(
            "{cyrus}[{pid}]: login: [{good}] {user} plaintext+TLS User logged in SESSIONID=<mail01-{pid}-1790812800-1-{pid}>"
        ),
        Kind::CyrusStarttls => format!(
            "{cyrus}[{pid}]: starttls: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits new) no authentication"
        ),
        Kind::CyrusOther => match random.below(10) {
            0..5 => format!("{cyrus}[{pid}]: USAGE {user} user: 0.018363 sys: 0.020700"),
            5..8 => {
                format!("cyrus/lmtpunix[{pid}]: Delivered: <{pid:08x}@example.org> to mailbox: example.org!user.{user}")
            }
            8 => format!("{cyrus}[{pid}]: Expunged {} messages from user.{user}", random.below(40)),
            _ => format!("cyrus/master[{pid}]: about to exec /usr/lib/cyrus/bin/imapd"),
        },
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same log every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// In the shares of a relay's log.
    fn kind(&mut self) -> Kind {
        match self.below(100) {
            0..10 => return Kind::PostfixSasl,
            10..15 => return Kind::CyrusBadlogin,
            _ => {}
        }
        match self.below(101) {
            0..14 => Kind::Connect,
            14..29 => Kind::Disconnect,
            29..35 => Kind::Client,
            35..42 => Kind::Cleanup,
            42..49 => Kind::QueueManager,
            49..59 => Kind::Delivery,
            59..66 => Kind::Removed,
            66..74 => Kind::Tls,
            74..76 => Kind::Reject,
            76..86 => Kind::CyrusLogin,
            86..91 => Kind::CyrusStarttls,
            _ => Kind::CyrusOther,
        }
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len() as u64);
        usize::try_from(index).ok().and_then(|index| choices.get(index)).copied().unwrap_or_default()
    }

    fn user(&mut self) -> String {
        let name = self.one_of(&["info", "admin", "sales", "support", "john.doe", "anna", "scan", "postmaster"]);
        let domain = self.one_of(&["example.com", "example.org", "example.net", "lists.example.org"]);
        format!("{name}{}@{domain}", self.below(99))
    }

    fn queue_id(&mut self) -> String {
        if self.below(2) == 0 {
            format!("{:010X}", self.below(1 << 40))
        } else {
            format!("4f{:09}z", self.below(1 << 29))
        }
    }

    /// One of 2,000, one in twenty of them by IPv6.
    fn attacker(&mut self) -> String {
        let number = 1 + self.below(2_000);
        if number.is_multiple_of(20) {
            format!("2001:db8:{number:x}:{:x}::{:x}", number * 31 % 65_536, number * 7 % 65_536)
        } else {
            format!("198.18.{}.{}", number / 256, number % 256)
        }
    }

    fn host(&mut self, address: &str) -> String {
        if self.below(10) < 6 {
            "unknown".to_owned()
        } else {
            format!("host-{}.dyn.example.net", address.replace(['.', ':'], "-"))
        }
    }
}
