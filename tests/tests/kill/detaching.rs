//! `banner detach` is the one way to take enforcement off, and it takes everything off.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::{INTERFACE, MAIL_PORTS, Network},
};

use crate::restarting::{ATTACKER_V4, ban_both};

const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));

#[test]
fn detach_takes_everything_off_with_and_without_a_daemon() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    for with_daemon in [true, false] {
        let installation = Installation::new(&network, &Configuration::default())?;
        let mut daemon = installation.start()?;
        ban_both(&installation)?;
        let reached = network.reached(IpAddr::V4(ATTACKER_V4), &MAIL_PORTS, INNOCENT)?;
        ensure!(reached.is_empty(), "banned, and reaches {reached:?}");
        if !with_daemon {
            daemon.signal(nix::sys::signal::Signal::SIGKILL)?;
            daemon.await_end()?;
        }

        let detached = installation.json("detach --json")?;
        ensure!(detached["interfaces"][0] == INTERFACE && detached["entries"] == 2, "{detached}");
        if with_daemon {
            let status = daemon.await_end()?;
            ensure!(status.code() == Some(0), "the daemon ended with {status}");
        }
        for port in MAIL_PORTS {
            network.connect(IpAddr::V4(ATTACKER_V4), port).context("after detach")?;
        }
        ensure!(!installation.bpffs().exists(), "{} is left", installation.bpffs().display());
        let link = network.server.enter()?;
        let shown = std::process::Command::new("ip").args(["link", "show", "dev", INTERFACE]).output()?;
        drop(link);
        let shown = String::from_utf8_lossy(&shown.stdout);
        ensure!(shown.contains(INTERFACE) && !shown.contains("xdp"), "a program is left: {shown}");

        // Once more is not wrong, and says so; nothing is left to be shown.
        let again = installation.banner("detach")?.expect(0)?;
        ensure!(again.stdout.contains("nothing was attached"), "{again:?}");
        installation.banner("bans")?.expect(3)?;
    }
    Ok(())
}

#[test]
fn after_detach_the_next_start_begins_without_bans() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let mut first = installation.start()?;
    ban_both(&installation)?;
    installation.banner("detach")?.expect(0)?;
    first.await_end()?;
    let _second = installation.start()?;
    ensure!(installation.bans()?.is_empty(), "{:?}", installation.bans()?);
    network.connect(IpAddr::V4(ATTACKER_V4), 25)?;
    Ok(())
}
