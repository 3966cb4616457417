//! A daemon that dies between the ban and the end of the connection.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, bail};
use banner_tests::{
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::Network,
    patience::until,
    pinned::PinnedBans,
};

/// The bans that the daemon is killed at, until it dies in time.
const ATTEMPTS: u8 = 50;

#[test]
fn a_connection_that_outlives_the_daemon_at_its_ban_dies_at_the_next_start() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let innocent = network.connect(Ipv4Addr::new(198, 51, 100, 67).into(), 143)?;
    for attempt in 1..=ATTEMPTS {
        let attacker = Ipv4Addr::new(203, 0, 113, attempt);
        let connection = network.connect(attacker.into(), 25)?;
        let daemon = installation.start()?;
        let pinned = PinnedBans::open(installation.bpffs())?;
        installation.log.append(&postfix(attacker.into(), "alice").repeat(3))?;
        until("the ban is in the kernel", || pinned.v4(attacker.octets()))?;
        daemon.kill()?;
        if connection.await_destruction(Duration::from_millis(100))?.is_some() {
            // Too late.
            continue;
        }
        let _daemon = installation.start()?;
        connection.await_destruction(Duration::from_secs(10))?.context("the connection is still open")?;
        innocent.exchange().context("the innocent host")?;
        return Ok(());
    }
    bail!("the daemon was always faster than its killer")
}
