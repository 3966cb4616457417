//! Reading the configuration again, while it is broken and after.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::{INTERFACE, MAIL_PORTS, Network},
    patience::until,
};
use nix::sys::signal::Signal;

use crate::expect_error;

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 67));

#[test]
fn a_broken_configuration_leaves_the_old_one_in_force() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(2))?;
    installation.await_log_read()?;

    // It also has what would change something.
    let broken = Configuration {
        ignoreip: "[\"198.51.100.0/24\"]".to_owned(),
        more: "intreface = \"mail9\"".to_owned(),
        ..Configuration::default()
    };
    installation.configure(&broken)?;
    // The command reads the configuration too, to find the socket: an operator may be asked through it directly.
    expect_error(&installation.banner("reload")?, 2, &["unknown key `intreface`", "did you mean `interface`?"])?;
    daemon.signal(Signal::SIGHUP)?;
    until("the daemon tells that the old one stays", || {
        Ok(daemon.output().contains("the old configuration stays in force").then_some(()))
    })?;
    let output = daemon.output();
    ensure!(output.contains("intreface") && output.contains("did you mean `interface`?"), "{output}");

    installation.configure(&Configuration::default())?;
    installation.log.append(&postfix(ATTACKER, "alice"))?;
    installation.await_ban("198.51.100.66").context("with the old configuration and the failures before")?;
    Ok(())
}

#[test]
fn a_configuration_that_would_leave_nothing_guarded_changes_nothing() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    installation.await_ban(&ATTACKER.to_string())?;

    // It also has what would lift the ban.
    let slip = |interface: &str| Configuration {
        interface: interface.to_owned(),
        ignoreip: "[\"198.51.100.0/24\"]".to_owned(),
        ..Configuration::default()
    };
    let mistyped = format!("{INTERFACE}9");
    installation.configure(&slip(&format!("{mistyped:?}")))?;
    let said =
        format!("none of the configured interfaces exists ({mistyped}); did you mean {INTERFACE}? {INTERFACE} stays");
    expect_error(&installation.banner("reload")?, 2, &["the old one stays in force", &said])?;
    daemon.signal(Signal::SIGHUP)?;
    until("the daemon tells, too", || Ok(daemon.output().contains(&said).then_some(())))?;
    ensure!(installation.bans()?.len() == 1, "the ban was lifted: {:?}", installation.bans()?);
    let reached = network.reached(ATTACKER, &MAIL_PORTS, INNOCENT)?;
    ensure!(reached.is_empty(), "{ATTACKER} is banned, and reaches {reached:?}");

    // One that exists beside it is reason enough to trust the other name, and one that is left is told of.
    installation
        .configure(&Configuration { interface: format!("[{mistyped:?}, \"lo\"]"), ..Configuration::default() })?;
    installation.banner("reload")?.expect(0)?;
    let output = daemon.output();
    ensure!(output.contains(&format!("interface {INTERFACE} is no longer guarded")), "{output}");
    ensure!(output.contains("interface lo (generic) is guarded"), "{output}");
    Ok(())
}

#[test]
fn a_new_ignoreip_lifts_bans_at_once() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    let second = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 66));
    for attacker in [ATTACKER, second] {
        installation.log.append(&postfix(attacker, "alice").repeat(3))?;
        installation.await_ban(&attacker.to_string())?;
        let reached = network.reached(attacker, &MAIL_PORTS, INNOCENT)?;
        ensure!(reached.is_empty(), "{attacker} is banned, and reaches {reached:?}");
    }

    let ignoring = |list: &str| Configuration { ignoreip: list.to_owned(), ..Configuration::default() };
    installation.configure(&ignoring("[\"198.51.100.0/24\"]"))?;
    let reloaded = installation.json("reload --json")?;
    ensure!(reloaded["lifted"] == 1, "{reloaded}");
    network.connect(ATTACKER, 25)?;
    ensure!(network.reached(second, &MAIL_PORTS, INNOCENT)?.is_empty(), "the other ban was lifted too");

    installation.configure(&ignoring("[\"198.51.100.0/24\", \"198.18.0.66\"]"))?;
    daemon.signal(Signal::SIGHUP)?;
    until("the other ban is lifted", || Ok(installation.bans()?.is_empty().then_some(())))?;
    network.connect(second, 25)?;

    // Ignored sources are not banned again.
    for attacker in [ATTACKER, second] {
        installation.log.append(&postfix(attacker, "alice").repeat(5))?;
    }
    installation.await_log_read()?;
    ensure!(installation.bans()?.is_empty(), "{:?}", installation.bans()?);
    installation.banner(&format!("why {ATTACKER}"))?.expect(1)?;
    Ok(())
}

#[test]
fn logs_that_are_new_are_looked_at_before_the_reload_is_answered() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let [there, missing] = ["there.log", "missing.log"].map(|name| installation.path(name));
    std::fs::write(&there, "")?;
    let source = Some(format!("[{:?}, {there:?}, {missing:?}]", installation.log.path()));
    installation.configure(&Configuration { source, ..Configuration::default() })?;
    let reloaded = installation.json("reload --json")?;
    let status = installation.json("status --json")?;
    let warnings = reloaded["warnings"].to_string();
    ensure!(warnings.contains(&*missing.to_string_lossy()), "the reload does not warn of it: {reloaded}");
    ensure!(!warnings.contains(&*there.to_string_lossy()), "the reload warns of a log that is there: {reloaded}");
    for (path, state) in [(&there, "following"), (&missing, "missing")] {
        let files = status["files"].as_array().context("a list of files")?;
        let file = files.iter().find(|file| file["path"] == *path.to_string_lossy());
        ensure!(file.is_some_and(|file| file["state"] == state), "{} is not {state}: {status}", path.display());
    }
    Ok(())
}

#[test]
fn what_needs_a_restart_is_said() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    installation.configure(&Configuration { bans_v4: 2048, ..Configuration::default() })?;
    let reloaded = installation.json("reload --json")?;
    ensure!(reloaded["warnings"].to_string().contains("`limits` has changed"), "{reloaded}");
    let status = installation.json("status --json")?;
    ensure!(status["limits"]["bans_v4"]["limit"] == 1024, "{status}");
    ensure!(status["warnings"].to_string().contains("next start"), "{status}");
    Ok(())
}
