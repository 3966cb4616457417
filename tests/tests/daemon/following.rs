//! Logs come and go while the daemon runs.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::ensure;
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::{MailLog, postfix},
    network::Network,
    patience::until,
};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));

#[test]
fn a_log_that_vanishes_is_reported_and_followed_again_when_it_comes_back() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice"))?;
    installation.await_log_read()?;
    fs::remove_file(installation.log.path())?;
    until("`status` says that the log is missing", || Ok((installation.file()?["state"] == "missing").then_some(())))?;
    let path = installation.log.path().to_string_lossy();
    let status = installation.banner("status")?.expect(0)?.stdout;
    ensure!(status.contains(&*path) && status.contains("missing"), "{status}");
    // Not at once: every rotation has a moment without the file.
    until("the daemon says that the log is gone", || {
        Ok(daemon.output().contains(&format!("{path} does not exist")).then_some(()))
    })?;

    // What was counted before still counts.
    installation.log.append(&postfix(ATTACKER, "alice").repeat(2))?;
    installation.await_ban("198.51.100.66")?;
    ensure!(installation.file()?["state"] == "following", "{}", installation.file()?);
    Ok(())
}

#[test]
fn a_log_is_followed_through_rotations_of_both_kinds() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice"))?;
    let rotated = installation.path("mail.log.1");
    fs::rename(installation.log.path(), &rotated)?;
    // The writer has not been told yet, and goes on with the old file.
    let mut old = fs::File::options().append(true).open(&rotated)?;
    std::io::Write::write_all(&mut old, postfix(ATTACKER, "bob").as_bytes())?;
    installation.log.append(&postfix(ATTACKER, "carol"))?;
    installation.await_ban("198.51.100.66")?;

    installation.await_log_read()?;
    fs::copy(installation.log.path(), installation.path("mail.log.2"))?;
    fs::File::options().write(true).open(installation.log.path())?.set_len(0)?;
    let other = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));
    installation.log.append(&postfix(other, "alice").repeat(3))?;
    installation.await_ban("203.0.113.66")?;
    ensure!(installation.bans()?.len() == 2, "{:?}", installation.bans()?);
    Ok(())
}

#[test]
fn a_source_that_takes_the_place_of_another_counts_nothing_again() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(2))?;
    installation.await_log_read()?;
    // It has what the first has, as rsyslog's files often do.
    let second = installation.path("second.log");
    fs::copy(installation.log.path(), &second)?;
    installation.configure(&Configuration { source: Some(format!("{second:?}")), ..Configuration::default() })?;
    installation.banner("reload")?.expect(0)?;
    let second = MailLog::create(&second)?;
    let other = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));
    second.append(&postfix(other, "alice").repeat(3))?;
    installation.await_ban("203.0.113.66")?;
    ensure!(installation.ban("198.51.100.66")?.is_none(), "two failures were counted twice");
    second.append(&postfix(ATTACKER, "alice"))?;
    installation.await_ban("198.51.100.66")?;
    Ok(())
}
