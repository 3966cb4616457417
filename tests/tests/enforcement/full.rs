//! Maps that are too small for what they should hold.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::{MAIL_PORTS, Network},
    pinned::PinnedBans,
};

const FIRST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 61);
const SECOND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 62);
const THIRD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 63);
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));

fn two() -> Configuration {
    Configuration { bans_v4: 2, ..Configuration::default() }
}

/// Which of the three stand in the kernel.
fn in_kernel(installation: &Installation<'_>) -> anyhow::Result<Vec<Ipv4Addr>> {
    let bans = PinnedBans::open(installation.bpffs())?;
    let mut found = Vec::new();
    for address in [FIRST, SECOND, THIRD] {
        found.extend(bans.v4(address.octets())?.map(|_| address));
    }
    Ok(found)
}

#[test]
fn the_ban_nearest_its_end_yields_and_that_is_said() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &two())?;
    let daemon = installation.start()?;
    for attacker in [FIRST, SECOND, THIRD] {
        installation.log.append(&postfix(attacker.into(), "alice").repeat(3))?;
        installation.await_log_read()?;
    }
    installation.await_ban(&THIRD.to_string())?;
    ensure!(in_kernel(&installation)? == [SECOND, THIRD], "{:?}", in_kernel(&installation)?);
    ensure!(network.reached(THIRD.into(), &MAIL_PORTS, INNOCENT)?.is_empty(), "the newest is not enforced");
    let limits = &installation.json("status --json")?["limits"]["bans_v4"];
    ensure!(limits["used"] == 2 && limits["limit"] == 2 && limits["overflowed"] == 1, "{limits}");
    ensure!(daemon.output().matches("the map BANS_V4 is full").count() >= 1, "{}", daemon.output());
    Ok(())
}

#[test]
fn what_may_not_yield_makes_the_next_wait_and_the_operator_is_told_at_once() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &two())?;
    let daemon = installation.start()?;
    for address in [FIRST, SECOND] {
        let banned = installation.json(&format!("ban {address} --for permanent --json"))?;
        ensure!(banned["waits"] == false, "{banned}");
    }
    let banned = installation.json(&format!("ban {THIRD} --json"))?;
    ensure!(banned["waits"] == true, "{banned}");
    ensure!(in_kernel(&installation)? == [FIRST, SECOND], "{:?}", in_kernel(&installation)?);
    network.connect(THIRD.into(), 25).context("what waits is not enforced")?;
    ensure!(installation.ban(&THIRD.to_string())?.context("it is known")?["waits"] == true);

    // Manual bans hold in maps of the same size over a restart, and the one that waits is not lost to one that does not.
    daemon.kill()?;
    let _daemon = installation.start()?;
    ensure!(in_kernel(&installation)? == [FIRST, SECOND], "{:?}", in_kernel(&installation)?);

    installation.banner(&format!("ban {THIRD} --for 1h"))?.expect(0)?;
    installation.banner(&format!("unban {FIRST}"))?.expect(0)?;
    ensure!(in_kernel(&installation)? == [SECOND, THIRD], "room was made: {:?}", in_kernel(&installation)?);
    ensure!(network.reached(THIRD.into(), &MAIL_PORTS, INNOCENT)?.is_empty(), "there is room, and it is not enforced");
    network.connect(FIRST.into(), 25)?;
    Ok(())
}
