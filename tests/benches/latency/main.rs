//! How long after the log line that is one too many the first packet of its source is dropped.
//!
//!     cargo build --release -p banner-user
//!     BANNER_BIN=$PWD/target/release/banner cargo bench -p banner-tests --bench latency
//!
//! Each source has failed twice when its turn comes. Then, in one thread:
//!
//! 1. the clock is read, and the third line appended to the log by one write(2);
//! 2. a SYN of the source is sent to port 25 through a veth pair, and it is looked whether it was dropped; both are done again after
//!    a pause until it was;
//! 3. the clock is read again: the frame that was sent last is the first that was dropped.
//!
//! So a figure holds everything on the way (inotify, reading, matching, judging, writing to the map, the packet), and one round of the
//! measurement. Once the log is at rest, and once a writer appends 100,000 other lines a second to the same log ([`writer`]).
//! Last, how long it takes until an open connection of a source is destroyed: until its server reads ECONNABORTED.
//!
//! fail2ban does the same with Debian's filter and its action nftables, with fewer sources ([`fail2ban`]).

mod fail2ban;
mod writer;

use std::{
    net::Ipv4Addr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use banner_tests::{
    frame::Ipv4,
    installation::{Configuration, Installation},
    mail_log::postfix,
    measure::{Bench, Better, Bound, Peer, Quantity, pause},
    network::{Network, SERVER_V4},
    patience::PATIENCE,
    pinned::PinnedBans,
    wire::Wire,
};

use crate::writer::Writer;

const LATENCY: Quantity = quantity("latency", "From the third line to the first dropped packet");
const LATE: Quantity = quantity("latency_99", "The 99th percentile of it");
const LONGEST: Quantity = quantity("latency_longest", "The longest");
const DEATH: Quantity = quantity("connection", "From the third line to the end of an open connection");

const IDLE: &str = "banner";
const BUSY: &str = "banner, 100k lines/s";
const FAIL2BAN: &str = "fail2ban";

const PEERS: [Peer; 1] =
    [Peer { name: FAIL2BAN, program: Some("fail2ban-server"), install: "apt-get install fail2ban nftables" }];

/// Between two frames of a source.
const PACE: Duration = Duration::from_micros(100);

const fn quantity(name: &'static str, title: &'static str) -> Quantity {
    Quantity { name, title, unit: "ms", size: None, better: Better::Less }
}

fn main() -> anyhow::Result<ExitCode> {
    let mut bench = Bench::start("latency", &PEERS)?;
    let Some(network) = Network::new()? else { return Ok(ExitCode::SUCCESS) };
    banner(&mut bench, &network)?;
    if bench.is_against(FAIL2BAN) {
        let latencies = fail2ban::latencies(&network, bench.sized(50, 2))?;
        report(&mut bench, FAIL2BAN, latencies)?;
        bench.note(
            "fail2ban: Debian's filter postfix[mode=auth], action nftables, the backend that it chooses; 50 bans",
        );
    }
    for (what, quantity, who, most) in [
        ("idle: median, ms", &LATENCY, IDLE, 1.0),
        ("idle: 99th percentile, ms", &LATE, IDLE, 5.0),
        ("100k lines/s: median, ms", &LATENCY, BUSY, 5.0),
    ] {
        let values = bench.values(quantity, None, who);
        bench.target(what, values, Bound::AtMost(most));
    }
    bench.finish()
}

fn banner(bench: &mut Bench, network: &Network) -> anyhow::Result<()> {
    let bans = bench.sized(1_000, 20);
    let installation = Installation::new(network, &Configuration { bans_v4: 65_536, ..Configuration::default() })?;
    let _daemon = installation.start()?;
    let latencies = latencies(network, &installation, sources(0, bans))?;
    report(bench, IDLE, latencies)?;

    let writer = Writer::start(&installation.log)?;
    let latencies = self::latencies(network, &installation, sources(bans, bans))?;
    let kept = writer.finish()?;
    report(bench, BUSY, latencies)?;
    bench.note(format!("the writer of other lines kept {kept:.0} lines a second"));

    for (index, source) in sources(2 * bans, bench.sized(100, 5)).enumerate() {
        let connection = network.connect(source.into(), 25)?;
        let line = postfix(source.into(), &format!("user{source}"));
        installation.log.append(&line.repeat(2))?;
        installation.await_log_read()?;
        pause(stray(index));
        let before = Instant::now();
        installation.log.append(&line)?;
        let died = connection.await_destruction(PATIENCE)?.with_context(|| format!("{source} is still connected"))?;
        bench.sample(&DEATH, IDLE, None, milliseconds(died.saturating_duration_since(before)));
    }
    Ok(())
}

/// Of each source, how long it went on reaching the server.
fn latencies(
    network: &Network,
    installation: &Installation<'_>,
    sources: impl Iterator<Item = Ipv4Addr> + Clone,
) -> anyhow::Result<Vec<Duration>> {
    let (wire, pinned) = (network.wire()?, PinnedBans::open(installation.bpffs())?);
    let line = |source: Ipv4Addr| postfix(source.into(), &format!("user{source}"));
    for source in sources.clone() {
        installation.log.append(&line(source).repeat(2))?;
    }
    installation.await_log_read()?;
    let mut latencies = Vec::new();
    for (index, source) in sources.enumerate() {
        pause(stray(index));
        let line = line(source);
        let before = Instant::now();
        installation.log.append(&line)?;
        until_dropped(&wire, &pinned, source)?;
        latencies.push(before.elapsed());
    }
    Ok(latencies)
}

/// Sends frames until one is dropped.
fn until_dropped(wire: &Wire, pinned: &PinnedBans, source: Ipv4Addr) -> anyhow::Result<()> {
    let syn = Ipv4::new(source.octets(), SERVER_V4.octets()).tcp(25);
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        wire.send(&syn)?;
        if pinned.v4(source.octets())?.is_some_and(|ban| ban.packets > 0) {
            return Ok(());
        }
        pause(PACE);
    }
    bail!("no packet of {source} was dropped within {PATIENCE:?}")
}

/// Sources all over 198.18.0.0/15, so that hardly two are of one network.
fn sources(from: u32, count: u32) -> impl Iterator<Item = Ipv4Addr> + Clone {
    (from..from + count).map(|number| Ipv4Addr::from_bits(0xc612_0000 | (number.wrapping_mul(0x9e37) & 0x1_ffff)))
}

/// No rhythm that anybody's own could fall in with.
fn stray(index: usize) -> Duration {
    Duration::from_micros(3_000 + u64::try_from(index).unwrap_or_default() * 7_919 % 20_000)
}

fn report(bench: &mut Bench, who: &str, mut latencies: Vec<Duration>) -> anyhow::Result<()> {
    for latency in &latencies {
        bench.sample(&LATENCY, who, None, milliseconds(*latency));
    }
    latencies.sort_unstable();
    // Of a hundred, the second longest.
    let late = latencies.len() * 99 / 100;
    let late = latencies.get(late.min(latencies.len().saturating_sub(1))).context("nothing was measured")?;
    bench.sample(&LATE, who, None, milliseconds(*late));
    bench.sample(&LONGEST, who, None, milliseconds(*latencies.last().context("nothing was measured")?));
    Ok(())
}

fn milliseconds(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}
