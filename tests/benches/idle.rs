//! What a daemon costs that has nothing to do: processor time and wake-ups over a minute, memory before any ban, the size of the
//! binary, and how long a start takes.
//!
//!     cargo build --release -p banner-user
//!     BANNER_BIN=$PWD/target/release/banner cargo bench -p banner-tests --bench idle
//!
//! The daemon has maps for 65,536 bans, as it makes them without configuration, and a log to which nothing is written. A wake-up is a
//! thread that had gone to sleep by itself (`voluntary_ctxt_switches`). A start is timed from fork(2) to READY=1.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    installation::{Configuration, Daemon, Installation},
    measure::{Bench, Better, Bound, Quantity, Running, Spread, pause},
    network::Network,
};

const PROCESSOR: Quantity = quantity("processor", "Processor time of an idle daemon", "% of one processor");
const WAKE_UPS: Quantity = quantity("wake_ups", "Wake-ups of an idle daemon", "a second");
const MEMORY: Quantity = quantity("memory", "Memory of a daemon before any ban", "MB");
const PRIVATE: Quantity = quantity("private_memory", "The same without mapped files (RssAnon)", "MB");
const BINARY: Quantity = quantity("binary", "Size of the binary", "MB");
const START: Quantity = quantity("start", "From fork to READY=1", "ms");

/// After a start the daemon still looks around.
const SETTLE: Duration = Duration::from_secs(3);

const fn quantity(name: &'static str, title: &'static str, unit: &'static str) -> Quantity {
    Quantity { name, title, unit, size: None, better: Better::Less }
}

fn main() -> anyhow::Result<ExitCode> {
    let mut bench = Bench::start("idle", &[])?;
    let Some(network) = Network::new()? else { return Ok(ExitCode::SUCCESS) };
    let length = bench.sized(Duration::from_mins(1), Duration::from_secs(2));
    let settle = bench.sized(SETTLE, Duration::from_millis(500));
    for _ in 0..bench.rounds(3) {
        let installation = Installation::new(&network, &Configuration { bans_v4: 65_536, ..Configuration::default() })?;
        let manager = UnixDatagram::bind(installation.path("notify"))?;
        let (daemon, start) = start(&installation, &manager)?;
        bench.sample(&START, "banner", None, start.as_secs_f64() * 1e3);
        pause(settle);
        let running = Running::new(daemon.pid())?;
        let (processor, sleeps, begin) = (running.processor_time()?, running.sleeps()?, Instant::now());
        pause(length);
        let (took, sleeps) = (begin.elapsed().as_secs_f64(), running.sleeps()?.saturating_sub(sleeps));
        let processor = running.processor_time()?.saturating_sub(processor).as_secs_f64();
        bench.sample(&PROCESSOR, "banner", None, processor / took * 100.0);
        bench.sample(&WAKE_UPS, "banner", None, f64::from(u32::try_from(sleeps)?) / took);
        bench.sample(&MEMORY, "banner", None, megabytes(running.memory("VmRSS")?)?);
        bench.sample(&PRIVATE, "banner", None, megabytes(running.memory("RssAnon")?)?);
        bench.sample(&BINARY, "banner", None, megabytes(fs::metadata(installation.binary())?.len())?);
        daemon.kill()?;
    }
    for (what, quantity, bound) in [
        ("wake-ups a second", &WAKE_UPS, 6.0),
        ("% of a processor", &PROCESSOR, 0.1),
        ("MB of memory before any ban", &MEMORY, 15.0),
        ("MB of binary", &BINARY, 12.0),
    ] {
        let values: Option<Spread> = bench.values(quantity, None, "banner");
        bench.target(what, values, Bound::AtMost(bound));
    }
    bench.finish()
}

/// Starts a daemon, and waits until it says that it is ready.
fn start(installation: &Installation<'_>, manager: &UnixDatagram) -> anyhow::Result<(Daemon, Duration)> {
    manager.set_read_timeout(Some(banner_tests::patience::PATIENCE))?;
    let mut command = installation.command(&["run"]);
    command.env("NOTIFY_SOCKET", installation.path("notify"));
    let begin = Instant::now();
    let daemon = installation.spawn_confined(&mut command, || Ok(()))?;
    let mut message = [0; 512];
    let length = manager.recv(&mut message).with_context(|| daemon.output())?;
    ensure!(message.get(..length).unwrap_or_default().starts_with(b"READY=1"), "first it is ready");
    Ok((daemon, begin.elapsed()))
}

fn megabytes(bytes: u64) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(bytes / 1_000)?) / 1e3)
}
