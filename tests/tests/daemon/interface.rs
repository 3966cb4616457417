//! Interfaces come and go while the daemon runs.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::{INTERFACE, MAIL_PORTS, Network},
    patience::until,
};
use serde_json::Value;

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));

#[test]
fn an_interface_that_returns_is_guarded_again() -> anyhow::Result<()> {
    for interface in [format!("\"{INTERFACE}\""), "\"auto\"".to_owned()] {
        let case = format!("interface = {interface}");
        returns(interface).context(case)?;
    }
    Ok(())
}

fn returns(interface: String) -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration { interface, ..Configuration::default() })?;
    let _daemon = installation.start()?;
    ensure!(is_in_state(&installation, "attached")?, "not guarded from the start");
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;

    network.remove_cable()?;
    until("`status` says that the interface is missing", || Ok(is_in_state(&installation, "missing")?.then_some(())))?;
    // A ban can be made meanwhile.
    installation.log.append(&postfix(SECOND, "alice").repeat(3))?;
    installation.await_ban("203.0.113.66")?;

    network.replace_cable()?;
    until("the interface is guarded again", || Ok(is_in_state(&installation, "attached")?.then_some(())))?;
    for attacker in [ATTACKER, SECOND] {
        let reached = network.reached(attacker, &MAIL_PORTS, INNOCENT)?;
        ensure!(reached.is_empty(), "{attacker} is banned and reaches ports {reached:?}");
    }
    Ok(())
}

fn is_in_state(installation: &Installation<'_>, state: &str) -> anyhow::Result<bool> {
    let status = installation.json("status --json")?;
    let interfaces = status["interfaces"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_it = |interface: &&Value| interface["name"] == INTERFACE;
    let interface = interfaces.iter().find(is_it).with_context(|| format!("no {INTERFACE} in {status}"))?;
    Ok(interface["state"] == state)
}
