//! Where answers go when nobody takes them.

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    network::Network,
};

#[test]
fn a_broken_pipe_is_quiet() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration { bans_v4: 4096, ..Configuration::default() })?;
    let _daemon = installation.start()?;
    // More than one page, and more than a pipe holds.
    for host in 1..=8 {
        installation.banner(&format!("ban 203.0.113.{host}"))?.expect(0)?;
    }
    for arguments in [&["bans"][..], &["bans", "--json"], &["status"], &["--help"]] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let errors = installation.path("errors");
        let inside = network.server.enter()?;
        let status = installation.command(arguments).stdout(writer).stderr(std::fs::File::create(&errors)?).status();
        drop(inside);
        let errors = std::fs::read_to_string(&errors)?;
        let status = status.context("running banner")?;
        ensure!(status.code() == Some(0) && errors.is_empty(), "banner {arguments:?}: {status}, {errors}");
    }
    Ok(())
}

#[test]
fn a_full_disk_is_told() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let full = std::fs::File::options().write(true).open("/dev/full")?;
    let errors = installation.path("errors");
    let mut command = installation.command(&["status"]);
    let status = command.stdout(full).stderr(std::fs::File::create(&errors)?).status()?;
    let errors = std::fs::read_to_string(&errors)?;
    ensure!(status.code() == Some(2) && errors.contains("cannot write the output"), "{status}, {errors}");
    Ok(())
}

#[test]
fn bans_of_several_pages_are_each_listed_once() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration { bans_v4: 4096, ..Configuration::default() })?;
    let _daemon = installation.start()?;
    let mut lines = String::new();
    let sources: Vec<_> = (0..2500_u32).map(|host| std::net::Ipv4Addr::from(0xc612_0000 + host)).collect();
    for source in &sources {
        lines.push_str(&banner_tests::mail_log::postfix((*source).into(), "alice").repeat(3));
    }
    installation.log.append(&lines)?;
    installation.await_log_read()?;
    let bans = installation.bans()?;
    let listed: Vec<std::net::Ipv4Addr> = bans.iter().filter_map(|ban| ban["prefix"].as_str()?.parse().ok()).collect();
    ensure!(listed == sources, "{} of {} bans are listed", listed.len(), sources.len());
    Ok(())
}
