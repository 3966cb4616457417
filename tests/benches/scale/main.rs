//! What many bans cost: to load after a reboot, to go on with after a kill, to list, to lift, and in memory.
//!
//!     cargo build --release -p banner-user
//!     BANNER_BIN=$PWD/target/release/banner cargo bench -p banner-tests --bench scale
//!
//! A first daemon bans so many sources from a log, one failure each, seven of ten by IPv4 address and the others by IPv6 /64, and is
//! killed when all of them are on disk. Then daemons are started and killed, in each round
//!
//! 1. after a kill: the kernel has all entries, and packets of two banned sources are sent all the time, each of which has to be
//!    counted by its ban: those that reach TCP are the gap;
//! 2. after a reboot: nothing is pinned, and the interface is a new one. It is asked to list all of its bans, and to lift one.
//!
//! Starts are timed from fork(2) to READY=1. Five million bans are tried in full runs only, where the machine has memory for them.

mod fail2ban;
mod scene;
mod stream;

use std::{fs, process::ExitCode};

use anyhow::Context as _;
use banner_tests::{
    measure::{Bench, Better, Bound, Peer, Quantity},
    network::Network,
};

use crate::{scene::Scene, stream::Stream};

const LOAD: Quantity = quantity("load", "A start after a reboot, until it is ready", "s");
const RESTART: Quantity = quantity("restart", "A start after a kill, until it is ready", "s");
const GAP: Quantity = quantity("gap", "Packets of banned sources let through by a restart", "packets");
const LIST: Quantity = quantity("list", "`bans --json`, all of it", "s");
const LIST_MEMORY: Quantity = quantity("list_memory", "Memory that the daemon's most grows by while it lists", "MB");
const UNBAN: Quantity = quantity("unban", "`unban` of one", "ms");
const DAEMON: Quantity = quantity("daemon_memory", "The daemon's memory after a start", "bytes a ban");
const KERNEL: Quantity =
    quantity("kernel_memory", "The kernel's memory for the two maps, sized for so many", "bytes a ban");

const BANNER: &str = "banner";
const FAIL2BAN: &str = "fail2ban";
const PEERS: [Peer; 1] =
    [Peer { name: FAIL2BAN, program: Some("fail2ban-server"), install: "apt-get install fail2ban nftables" }];

/// What five million bans take beside the daemon and the maps: two logs, the page cache, the list.
const MEMORY_FOR_5M: u64 = 8_000_000;

const FAIL2BAN_BANS: u64 = 5_000;

const fn quantity(name: &'static str, title: &'static str, unit: &'static str) -> Quantity {
    Quantity { name, title, unit, size: Some("bans"), better: Better::Less }
}

fn main() -> anyhow::Result<ExitCode> {
    let mut bench = Bench::start("scale", &PEERS)?;
    let Some(network) = Network::new()? else { return Ok(ExitCode::SUCCESS) };
    let mut sizes: Vec<u32> = bench.sized(vec![10_000, 100_000, 1_000_000], vec![1_000]);
    if !bench.is_smoke() {
        if available()? >= MEMORY_FOR_5M {
            sizes.push(5_000_000);
        } else {
            bench.note("five million bans were left out: fewer than 8 GB of memory are available");
        }
    }
    for bans in sizes {
        let scene = Scene::new(&network, bans)?;
        let took = scene.ban_all()?;
        bench.note(format!("{bans} bans from a log, and on disk, in {:.1} s", took.as_secs_f64()));
        for _ in 0..bench.rounds(3) {
            round(&mut bench, &network, &scene, bans)?;
        }
    }
    // Its time grows with the bans; a smoke run has none for it.
    if bench.is_against(FAIL2BAN) && !bench.is_smoke() {
        let took = fail2ban::restore(&network, FAIL2BAN_BANS)?;
        bench.sample(&LOAD, FAIL2BAN, Some(FAIL2BAN_BANS), took.as_secs_f64());
    }
    let million = Some(1_000_000);
    for (what, quantity, most) in [
        ("1M bans: load, s", &LOAD, 2.0),
        ("1M bans: packets let through by a restart", &GAP, 0.0),
        ("1M bans: list, s", &LIST, 2.0),
        ("1M bans: growth of memory while listing, MB", &LIST_MEMORY, 20.0),
    ] {
        let values = bench.values(quantity, million, BANNER);
        bench.target(what, values, Bound::AtMost(most));
    }
    bench.note("no command lifts every ban: `unban` takes one address or prefix at a time");
    bench.finish()
}

fn round(bench: &mut Bench, network: &Network, scene: &Scene<'_>, bans: u32) -> anyhow::Result<()> {
    let size = Some(u64::from(bans));
    let mut sample = |quantity: &Quantity, value: f64| bench.sample(quantity, BANNER, size, value);

    let stream = Stream::start(network, &scene.installation)?;
    let (daemon, ready) = scene.start()?;
    let passed = stream.finish()?;
    sample(&RESTART, ready.as_secs_f64());
    sample(&GAP, f64::from(u32::try_from(passed)?));
    daemon.kill()?;

    scene.reboot()?;
    let (daemon, ready) = scene.start()?;
    sample(&LOAD, ready.as_secs_f64());
    let [memory, kernel] = [scene.memory(&daemon)?, scene.kernel_memory()?];
    sample(&DAEMON, per(memory, bans)?);
    sample(&KERNEL, per(kernel, bans)?);
    let (took, growth) = scene.list(&daemon)?;
    sample(&LIST, took.as_secs_f64());
    sample(&LIST_MEMORY, f64::from(u32::try_from(growth / 1_000)?) / 1e3);
    sample(&UNBAN, scene.unban_one()?.as_secs_f64() * 1e3);
    daemon.kill()
}

fn per(bytes: u64, bans: u32) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(bytes / 1_024)?) * 1_024.0 / f64::from(bans))
}

/// What programs can still have of memory, in kilobytes.
fn available() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let value = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    Ok(value.context("no MemAvailable")?.trim().trim_end_matches(" kB").parse()?)
}
