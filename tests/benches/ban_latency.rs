//! How long after the line that is one too many the first packet of its source is dropped, and how long until the source's open
//! connection is destroyed.
//!
//!     cargo build --release -p banner-user
//!     BANNER_BIN=$PWD/target/release/banner cargo bench -p banner-tests --bench ban_latency
//!
//! Each source has failed twice when its turn comes. Then, in one thread:
//!
//! 1. the clock is read, and the third line appended to the log by one write(2);
//! 2. a SYN of the source is sent to port 25 through a veth pair, its entry is looked up in the pinned map of bans, and both are
//!    done again after 100 µs until the entry has counted a packet;
//! 3. the clock is read again: the frame that was just sent is the first that was dropped.
//!
//! So a figure holds everything on the way (inotify, reading, matching, judging, writing to the map, the packet), and what the
//! measurement adds: up to one round, whose own length is printed beside it.
//!
//! Then the same with other sources, which have a connection open each: from the third line until the server reads ECONNABORTED.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use banner_tests::{
    frame::Ipv4,
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::{Network, SERVER_V4},
    patience::PATIENCE,
    pinned::PinnedBans,
    wire::Wire,
};

/// Bans that are timed.
const BANS: u16 = 500;

/// Connections that are timed.
const CONNECTIONS: u16 = 100;

/// Between two frames of a source.
const PACE: Duration = Duration::from_micros(100);

fn main() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let pinned = PinnedBans::open(installation.bpffs())?;
    let wire = network.wire()?;
    let sources: Vec<Ipv4Addr> = (0..BANS).map(|number| Ipv4Addr::from_bits(0xc612_0000 + u32::from(number))).collect();
    for source in &sources {
        installation.log.append(&postfix((*source).into(), "alice").repeat(2))?;
    }
    installation.await_log_read()?;

    let mut latencies = Vec::new();
    let mut rounds = Vec::new();
    for (source, number) in sources.iter().zip(0..) {
        // No rhythm that the daemon's own could fall in with.
        pause(Duration::from_micros(3_000 + number * 7_919 % 20_000));
        let line = postfix((*source).into(), "alice");
        let before = Instant::now();
        installation.log.append(&line)?;
        rounds.extend(until_dropped(&wire, &pinned, *source)?);
        latencies.push(before.elapsed());
    }
    report("third line to first dropped packet", latencies)?;
    report("one round of the measurement", rounds)?;
    report("third line to the death of an open connection", deaths(&network, &installation)?)
}

/// How long connections outlive the third line of their sources.
fn deaths(network: &Network, installation: &Installation<'_>) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for number in 0..CONNECTIONS {
        let source = Ipv4Addr::from_bits(0xc613_0000 + u32::from(number)).into();
        let connection = network.connect(source, 25)?;
        installation.log.append(&postfix(source, "alice").repeat(2))?;
        installation.await_log_read()?;
        let line = postfix(source, "alice");
        let before = Instant::now();
        installation.log.append(&line)?;
        let died = connection.await_destruction(PATIENCE)?.with_context(|| format!("{source} is still connected"))?;
        latencies.push(died.saturating_duration_since(before));
    }
    Ok(latencies)
}

/// Sends frames until one is dropped. Returns how long each round took.
fn until_dropped(wire: &Wire, pinned: &PinnedBans, source: Ipv4Addr) -> anyhow::Result<Vec<Duration>> {
    let syn = Ipv4::new(source.octets(), SERVER_V4.octets()).tcp(25);
    let begin = Instant::now();
    let mut rounds = Vec::new();
    while begin.elapsed() < PATIENCE {
        let round = Instant::now();
        wire.send(&syn)?;
        if pinned.v4(source.octets())?.is_some_and(|ban| ban.packets > 0) {
            return Ok(rounds);
        }
        pause(PACE);
        rounds.push(round.elapsed());
    }
    bail!("no packet of {source} was dropped within {PATIENCE:?}")
}

fn pause(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a measurement keeps its pace; it waits for no condition")]
    std::thread::sleep(length);
}

/// The shape of a distribution, in microseconds.
fn report(what: &str, mut times: Vec<Duration>) -> anyhow::Result<()> {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let micros = |percent| Ok::<_, anyhow::Error>(at(percent).context("nothing was measured")?.as_micros());
    #[expect(clippy::print_stdout, reason = "the report of a benchmark")]
    {
        println!(
            "{what}: {} times; median {} µs, 90th percentile {} µs, 99th {} µs, longest {} µs",
            times.len(),
            micros(50)?,
            micros(90)?,
            micros(99)?,
            micros(100)?
        );
    }
    Ok(())
}
