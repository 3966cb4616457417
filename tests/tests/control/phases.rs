//! What an operator hears from a daemon that starts or ends, and from a second one.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_common::{Ban, PERMANENT};
use banner_tests::{
    installation::{Configuration, Installation},
    network::Network,
    patience::until,
    pinned::PinnedBans,
};
use nix::sys::signal::Signal;

use crate::http::request;

/// Bans in the kernel, so many that a start takes them over for a while.
const BANS: u32 = 100_000;

/// An installation whose daemon has gone and left these bans.
fn with_many_bans(network: &Network) -> anyhow::Result<Installation<'_>> {
    let installation = Installation::new(network, &Configuration { bans_v4: 1 << 17, ..Configuration::default() })?;
    let daemon = installation.start()?;
    daemon.kill()?;
    let mut bans = PinnedBans::open(installation.bpffs())?;
    let entry = Ban { deadline: PERMANENT, services: 1, ..Ban::default() };
    for host in 0..BANS {
        bans.set_v4(Ipv4Addr::from(0xc612_0000 + host).octets(), Some(entry))?;
    }
    Ok(installation)
}

#[test]
fn a_starting_daemon_says_so_until_it_serves() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = with_many_bans(&network)?;
    let daemon = installation.spawn()?;
    // The dead one's socket is there until the new one has the lock.
    let first = until("the daemon answers", || Ok(request(&installation, "GET /v1/status", "").ok()))?;
    ensure!(first.0 == 503 && first.1["kind"] == "starting", "{first:?}");
    ensure!(first.1["error"] == "the daemon is starting", "{first:?}");
    let answer = installation.banner("ban 203.0.113.1")?.expect(3)?;
    ensure!(answer.stderr.starts_with("error: the daemon is starting\n  cause: it takes over"), "{answer:?}");
    let second = installation.banner("run")?.expect(1)?;
    ensure!(second.stderr.contains("already serves"), "{second:?}");
    until("it serves", || {
        let before = Instant::now();
        let answer = installation.banner("status mail")?;
        ensure!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
        ensure!(answer.code == Some(0) || answer.stderr.starts_with("error: the daemon is starting\n"), "{answer:?}");
        Ok((answer.code == Some(0)).then_some(()))
    })
    .with_context(|| daemon.output())?;
    ensure!(installation.bans()?.len() == BANS as usize);
    Ok(())
}

#[test]
fn a_daemon_that_is_told_to_end_while_it_starts_ends_in_order() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = with_many_bans(&network)?;
    let mut daemon = installation.spawn()?;
    until("the daemon answers", || Ok(request(&installation, "GET /v1/status", "").ok()))?;
    daemon.signal(Signal::SIGTERM)?;
    let mut answers = 0;
    let status = until("the daemon ends", || {
        // Whatever it says, it says it at once.
        let before = Instant::now();
        if let Ok((code, error)) = request(&installation, "GET /v1/status", "") {
            ensure!(code == 200 || error["kind"] == "starting" || error["kind"] == "unavailable", "{code} {error}");
            answers += 1;
        }
        ensure!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
        Ok(daemon.has_ended()?)
    })?;
    ensure!(status.success() && answers > 0, "{status}, {answers} answers");
    ensure!(!installation.socket().exists(), "the socket is left");
    let answer = installation.banner("why 198.18.0.1")?.expect(3)?;
    ensure!(answer.stderr.starts_with("error: the daemon is not running\n"), "{answer:?}");
    ensure!(PinnedBans::open(installation.bpffs())?.v4([198, 18, 0, 1])?.is_some(), "a ban is gone");
    Ok(())
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let first = installation.start()?;
    installation.banner("ban 198.51.100.66")?.expect(0)?;
    let refused = || -> anyhow::Result<()> {
        let before = Instant::now();
        let second = installation.banner("run")?.expect(1)?;
        let said = format!("error: another banner (process {}) already serves ", first.pid());
        ensure!(second.stderr.starts_with(&said), "{second:?}");
        ensure!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
        Ok(())
    };
    refused()?;
    // Also where the first one cannot answer.
    first.signal(Signal::SIGSTOP)?;
    refused()?;
    first.signal(Signal::SIGCONT)?;
    let status = installation.json("status --json")?;
    ensure!(status["daemon"]["pid"] == first.pid(), "{status}");
    ensure!(installation.bans()?.len() == 1, "{:?}", installation.bans()?);
    ensure!(network.reached([198, 51, 100, 66].into(), &[25], [203, 0, 113, 67].into())?.is_empty(), "it gets through");
    Ok(())
}
