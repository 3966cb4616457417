//! Others write to the maps too.

use std::net::Ipv4Addr;

use anyhow::{Context as _, ensure};
use banner_common::{Ban, PERMANENT};
use banner_tests::{
    installation::{Configuration, Installation},
    network::Network,
    patience::until,
    pinned::PinnedBans,
};

const BANNED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
const STRANGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 67);

#[test]
fn an_entry_that_is_taken_out_or_changed_comes_back() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.banner(&format!("ban {BANNED} --for 1h"))?.expect(0)?;
    let mut bans = PinnedBans::open(installation.bpffs())?;
    let written = bans.v4(BANNED.octets())?.context("it is banned")?;
    for meddled in [None, Some(Ban { services: 1, ..written }), Some(Ban { deadline: 1, ..written })] {
        bans.set_v4(BANNED.octets(), meddled)?;
        until("the entry is as it was", || {
            Ok(bans
                .v4(BANNED.octets())?
                .filter(|entry| Ban { packets: 0, bytes: 0, last_seen: 0, ..*entry } == written))
        })?;
    }
    let limits = installation.json("status --json")?["limits"].clone();
    ensure!(limits["bans_v4"]["used"] == 1, "{limits}");
    ensure!(daemon.output().contains("written again"), "{}", daemon.output());
    Ok(())
}

#[test]
fn a_reload_takes_out_what_nobody_banned() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    installation.banner(&format!("ban {BANNED} --for permanent"))?.expect(0)?;
    let mut bans = PinnedBans::open(installation.bpffs())?;
    let entry = Ban { deadline: PERMANENT, services: 0xff, ..Ban::default() };
    bans.set_v4(STRANGER.octets(), Some(entry))?;
    installation.banner("reload")?.expect(0)?;
    ensure!(bans.v4(STRANGER.octets())?.is_none(), "it is left");
    ensure!(bans.v4(BANNED.octets())?.is_some(), "a ban is gone with it");
    Ok(())
}
