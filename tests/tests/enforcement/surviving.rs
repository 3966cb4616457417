//! What must not end the daemon.

use std::net::{IpAddr, Ipv4Addr};

use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::Network,
    patience::until,
};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));

#[test]
fn nobody_reading_what_the_daemon_says_does_not_end_it() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    // It says something when it starts, when it bans, and when it has read its configuration again.
    let _daemon = installation.spawn_into(writer)?;
    until("the daemon answers", || Ok((installation.banner("status")?.code == Some(0)).then_some(())))?;
    installation.await_log_read()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    installation.banner("reload")?.expect(0)?;
    installation.banner("status")?.expect(0)?;
    Ok(())
}
