//! The reader of the journal dies while the daemon lives.

use anyhow::{Context as _, ensure};
use banner_tests::{installation::Daemon, network::Network, patience::until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::scene::{NOW, Scene};

/// Sources that fail twice, and those that fail three times, each in as many entries of the journal as the reader lives.
const TWICE: std::ops::Range<u8> = 10..60;
const THRICE: std::ops::Range<u8> = 60..110;

#[test]
fn a_killed_reader_is_started_again_and_nothing_is_lost_or_doubled() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let Some(scene) = Scene::new(&network, "\"journal\"")? else { return Ok(()) };
    let daemon = scene.start()?;
    let failures = |sources: std::ops::Range<u8>| sources.map(|source| (source, NOW)).collect::<Vec<_>>();
    for round in 0..3 {
        let reader = until("journalctl runs", || reader(&daemon))?;
        scene.fail(&failures(THRICE))?;
        if round < 2 {
            scene.fail(&failures(TWICE))?;
        }
        // It has read all, some or none of it.
        kill(reader, Signal::SIGKILL)?;
        until("another one runs", || Ok(self::reader(&daemon)?.filter(|now| *now != reader)))?;
    }
    scene.read_up_to(1)?;
    ensure!(scene.banned()? == THRICE.chain([1]).collect(), "{:?}", scene.banned()?);
    for source in TWICE {
        ensure!(scene.failures(source)? == 2.0, "{source}: {} instead of 2", scene.failures(source)?);
    }
    ensure!(daemon.output().contains("signal: 9 (SIGKILL)"), "that it ended is not told");
    Ok(())
}

/// The journalctl that the daemon has started; none while it has none.
fn reader(daemon: &Daemon) -> anyhow::Result<Option<Pid>> {
    let children = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let children = std::fs::read_to_string(children).context("listing the daemon's children")?;
    children.split_whitespace().next().map(|child| Ok(Pid::from_raw(child.parse()?))).transpose()
}
