//! The daemon is killed, ended, replaced.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Daemon, Installation},
    mail_log::postfix,
    network::{INTERFACE, Network},
    pinned::PinnedBans,
};
use nix::sys::signal::Signal;

use crate::stream::Stream;

pub(crate) const ATTACKER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
pub(crate) const ATTACKER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0x66, 0, 0, 0, 0x66);
pub(crate) const BANNED: (Ipv4Addr, Ipv6Addr) = (ATTACKER_V4, ATTACKER_V6);
pub(crate) const PREFIXES: [&str; 2] = ["198.51.100.66", "2001:db8:a:66::/64"];
/// The key of the IPv6 attacker in the kernel.
const ATTACKER_NET: [u8; 8] = [0x20, 0x01, 0x0d, 0xb8, 0x00, 0x0a, 0x00, 0x66];

/// Three failures of each attacker, and their bans.
pub(crate) fn ban_both(installation: &Installation<'_>) -> anyhow::Result<()> {
    for attacker in [IpAddr::V4(ATTACKER_V4), IpAddr::V6(ATTACKER_V6)] {
        installation.log.append(&postfix(attacker, "alice").repeat(3))?;
    }
    for prefix in PREFIXES {
        installation.await_ban(prefix)?;
    }
    Ok(())
}

/// Deadlines and packets of both bans.
fn in_kernel(installation: &Installation<'_>) -> anyhow::Result<[(u64, u64); 2]> {
    let pinned = PinnedBans::open(installation.bpffs())?;
    let entries = [pinned.v4(ATTACKER_V4.octets())?, pinned.v6(ATTACKER_NET)?];
    let [Some(v4), Some(v6)] = entries else { anyhow::bail!("a ban is not in the kernel: {entries:?}") };
    Ok([(v4.deadline, v4.packets), (v6.deadline, v6.packets)])
}

#[test]
fn kill_and_restart_open_no_gap_and_lose_no_ban() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let mut daemon = installation.start()?;
    ban_both(&installation)?;
    let before = in_kernel(&installation)?;
    let stream = Stream::start(&network, BANNED)?;
    for _ in 0..3 {
        daemon.kill()?;
        // What the kernel does without the daemon, seen by the command line.
        let answer = installation.banner("bans --json")?.expect(0)?;
        ensure!(PREFIXES.iter().all(|prefix| answer.stdout.contains(prefix)), "{answer:?}");
        daemon = installation.start()?;
    }
    let delivered = stream.finish()?;
    let after = in_kernel(&installation)?;
    for ((deadline, packets), (deadline_after, packets_after)) in before.into_iter().zip(after) {
        ensure!(deadline_after.abs_diff(deadline) <= 1, "the deadline moved from {deadline} to {deadline_after}");
        let dropped = packets_after - packets;
        ensure!(dropped == delivered.rounds, "{dropped} packets were counted, {} were sent", delivered.rounds);
    }
    for prefix in PREFIXES {
        installation.ban(prefix)?.with_context(|| format!("the new daemon does not know the ban of {prefix}"))?;
    }
    let status = installation.json("status --json")?;
    ensure!(status["interfaces"][0]["state"] == "attached", "{status}");
    Ok(())
}

#[test]
fn kill_at_any_moment_of_the_start_opens_no_gap_and_loses_no_ban() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    ban_both(&installation)?;
    daemon.kill()?;
    let stream = Stream::start(&network, BANNED)?;
    // A start takes some hundred milliseconds; every other one of these is with maps of another size, which are migrated.
    for step in 0..24 {
        let bans_v4 = if step % 2 == 0 { 2048 } else { 1024 };
        installation.configure(&Configuration { bans_v4, ..Configuration::default() })?;
        let daemon = installation.spawn()?;
        #[expect(clippy::disallowed_methods, reason = "the moment of the kill is what varies; nothing is waited for")]
        std::thread::sleep(Duration::from_millis(20 * step));
        daemon.kill()?;
        in_kernel(&installation).with_context(|| format!("killed {} ms after the start", 20 * step))?;
    }
    let _daemon = installation.start()?;
    stream.finish()?;
    for prefix in PREFIXES {
        installation.ban(prefix)?.with_context(|| format!("the last daemon does not know the ban of {prefix}"))?;
    }
    Ok(())
}

#[test]
fn maps_of_another_size_take_every_ban_along_without_a_gap() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let mut daemon = installation.start()?;
    ban_both(&installation)?;
    installation.banner("ban 203.0.113.0/24 --for permanent")?.expect(0)?;
    installation.banner("ban 203.0.113.7 --services imap")?.expect(0)?;
    let (known, before) = (summary(&installation)?, in_kernel(&installation)?);
    let stream = Stream::start(&network, BANNED)?;
    for bans_v4 in [4096, 16] {
        daemon = replace(daemon, &installation, &Configuration { bans_v4, ..Configuration::default() })?;
        let limits = &installation.json("status --json")?["limits"];
        ensure!(limits["bans_v4"]["limit"] == bans_v4 && limits["bans_v4"]["used"] == 2, "{limits}");
        ensure!(summary(&installation)? == known, "{:?} instead of {known:?}", summary(&installation)?);
    }
    stream.finish()?;
    for ((deadline, _), (after, _)) in before.into_iter().zip(in_kernel(&installation)?) {
        ensure!(after.abs_diff(deadline) <= 2, "the deadline moved from {deadline} to {after}");
    }
    Ok(())
}

fn replace<'n>(
    mut daemon: Daemon,
    installation: &Installation<'n>,
    configuration: &Configuration,
) -> anyhow::Result<Daemon> {
    daemon.signal(Signal::SIGTERM)?;
    daemon.await_end()?;
    installation.configure(configuration)?;
    installation.start()
}

/// Every ban with what it keeps away, without what a restart forgets.
fn summary(installation: &Installation<'_>) -> anyhow::Result<Vec<String>> {
    let bans = installation.bans()?;
    let shown = |ban: &serde_json::Value| {
        format!("{} {} {}", ban["prefix"], ban["services"], if ban["until"].is_null() { "for ever" } else { "until" })
    };
    Ok(bans.iter().map(shown).collect())
}

#[test]
fn sigterm_ends_the_daemon_cleanly_and_leaves_enforcement_on() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = installation.start()?;
        if signal == Signal::SIGTERM {
            ban_both(&installation)?;
        }
        let stream = Stream::start(&network, BANNED)?;
        daemon.signal(signal)?;
        let status = daemon.await_end()?;
        ensure!(status.code() == Some(0), "{signal} ended it with {status}");
        ensure!(!installation.socket().exists(), "the socket is left behind");
        for prefix in PREFIXES {
            installation.ban(prefix)?.with_context(|| format!("{prefix} is no longer banned after {signal}"))?;
        }
        let answer = installation.banner("status --json")?.expect(3)?;
        let status: serde_json::Value = serde_json::from_str(&answer.stdout)?;
        ensure!(status["daemon"].is_null(), "{status}");
        let interface = &status["interfaces"][0];
        ensure!(interface["name"] == INTERFACE && interface["state"] == "attached", "{status}");
        stream.finish()?;
    }
    Ok(())
}

#[test]
fn a_ban_that_ends_while_the_daemon_is_dead_is_swept_by_the_next() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation =
        Installation::new(&network, &Configuration { bantime: "1s".to_owned(), ..Configuration::default() })?;
    let daemon = installation.start()?;
    installation.log.append(&postfix(IpAddr::V4(ATTACKER_V4), "alice").repeat(3))?;
    // The ban may be over before a command could show it; the daemon says that it was made.
    banner_tests::patience::until("the ban", || Ok(daemon.output().contains("banned 198.51.100.66").then_some(())))?;
    let entry = PinnedBans::open(installation.bpffs())?.v4(ATTACKER_V4.octets())?;
    daemon.kill()?;
    if entry.is_some() {
        banner_tests::patience::until("the ban is over", || {
            Ok(installation.banner("bans --json")?.expect(0)?.stdout.is_empty().then_some(()))
        })?;
    }
    let _daemon = installation.start()?;
    ensure!(installation.bans()?.is_empty(), "{:?}", installation.bans()?);
    let left = PinnedBans::open(installation.bpffs())?.v4(ATTACKER_V4.octets())?;
    ensure!(left.is_none(), "the entry is left behind: {left:?}");
    Ok(())
}
