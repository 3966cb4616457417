//! What an operator hears from a daemon that starts or ends, and from a second one.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Daemon, Installation},
    network::Network,
    patience::until,
    pinned::PinnedBans,
};
use nix::sys::signal::Signal;

use crate::{
    hanging::{BOUND, all_are_told},
    held::Held,
    http::request,
};

/// A daemon that does not get on with its start.
fn starting(installation: &Installation<'_>) -> anyhow::Result<(Daemon, Held)> {
    let daemon = installation.spawn()?;
    // A dead one's socket is there until the new one has the lock.
    let first = until("the daemon answers", || Ok(request(installation, "GET /v1/status", "").ok()))?;
    let held = Held::main_thread(&daemon)?;
    for (code, error) in [first, request(installation, "GET /v1/status", "")?] {
        ensure!(code == 503 && error["kind"] == "starting" && error["error"] == "the daemon is starting", "{error}");
    }
    Ok((daemon, held))
}

#[test]
fn a_starting_daemon_says_so_until_it_serves() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.banner("ban 198.51.100.66")?.expect(0)?;
    daemon.kill()?;

    let (daemon, held) = starting(&installation)?;
    all_are_told(&installation, "error: the daemon is starting\n  cause: it takes over what is in force")?;
    let second = installation.banner("run")?.expect(1)?;
    ensure!(second.stderr.contains("already serves"), "{second:?}");
    drop(held);
    until("it serves", || Ok((installation.banner("status")?.code == Some(0)).then_some(())))
        .with_context(|| daemon.output())?;
    ensure!(installation.ban("198.51.100.66")?.is_some() && installation.bans()?.len() == 1);
    Ok(())
}

#[test]
fn a_daemon_that_is_told_to_end_while_it_starts_ends_in_order() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.banner("ban 198.51.100.66")?.expect(0)?;
    daemon.kill()?;

    let (mut daemon, held) = starting(&installation)?;
    daemon.signal(Signal::SIGTERM)?;
    drop(held);
    let status = until("the daemon ends", || {
        // Whatever it says, it says it at once.
        let before = Instant::now();
        if let Ok((code, error)) = request(&installation, "GET /v1/status", "") {
            ensure!(code == 200 || error["kind"] == "starting" || error["kind"] == "unavailable", "{code} {error}");
        }
        ensure!(before.elapsed() < BOUND, "{:?}", before.elapsed());
        daemon.has_ended()
    })?;
    ensure!(status.success(), "{status}");
    ensure!(!installation.socket().exists(), "the socket is left");
    let answer = installation.banner("why 198.51.100.66")?.expect(3)?;
    ensure!(answer.stderr.starts_with("error: the daemon is not running\n"), "{answer:?}");
    ensure!(PinnedBans::open(installation.bpffs())?.v4([198, 51, 100, 66])?.is_some(), "the ban is gone");
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
        ensure!(before.elapsed() < BOUND, "{:?}", before.elapsed());
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
