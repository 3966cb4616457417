//! Lists of banned and ignored prefixes, with real packets.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::Network,
    patience::until,
};

const LISTED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const PARTNER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));

/// As those who publish lists should: written beside it, and renamed.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}

/// Never on any list.
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));

fn passes(network: &Network, source: IpAddr) -> bool {
    network.reached(source, &[25], INNOCENT).is_ok_and(|ports| !ports.is_empty())
}

#[test]
fn what_is_listed_is_dropped_what_is_ignored_inside_passes_and_a_broken_file_changes_nothing() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let configuration = Configuration::default();
    let installation = Installation::new(&network, &configuration)?;
    let (drop, partners) = (installation.path("drop.json"), installation.path("partners.txt"));
    replace(&drop, "{\"cidr\":\"198.51.100.0/24\",\"sblid\":\"SBL1\"}\n{\"type\":\"metadata\",\"records\":1}\n")?;
    replace(&partners, "# ours\n198.51.100.67\n")?;
    let text = fs::read_to_string(installation.path("banner.toml"))?;
    installation.write_configuration(&format!(
        "{text}[list.drop]\nfile = {drop:?}\naction = \"ban\"\n[list.partners]\nfile = {partners:?}\naction = \"ignore\"\n"
    ))?;
    let daemon = installation.start()?;
    ensure!(!passes(&network, LISTED) && passes(&network, PARTNER) && passes(&network, OTHER), "at the start");
    let why = installation.banner("why 198.51.100.66")?.expect(0)?.stdout;
    ensure!(why.contains("list drop") && why.contains("198.51.100.0/24"), "{why}");
    let why = installation.banner("why 198.51.100.67")?.expect(1)?.stdout;
    ensure!(why.contains("198.51.100.67 is in the ignore list partners"), "{why}");
    ensure!(installation.bans()?.is_empty(), "bans of lists are not among the others");
    let listed = installation.banner("bans --list drop")?.expect(0)?.stdout;
    ensure!(listed.contains("198.51.100.0/24") && listed.contains("list drop"), "{listed}");
    installation.banner("unban 198.51.100.0/24")?.expect(1)?;
    let list = |index: usize| -> anyhow::Result<serde_json::Value> {
        Ok(installation.json("status --json")?["lists"][index].clone())
    };
    until("the packets are counted", || Ok((list(0)?["packets"].as_u64() >= Some(1)).then_some(())))?;

    // Whoever is ignored fails as often as he likes.
    installation.log.append(&postfix(PARTNER, "alice").repeat(5))?;
    installation.await_log_read()?;
    ensure!(passes(&network, PARTNER), "ignored, and banned by a jail");

    replace(&drop, "{\"cidr\":\"203.0.113.0/24\"}\n{\"cidr\":\"198.51.")?;
    until("the daemon tells of the broken file", || Ok(list(0)?["trouble"].is_string().then_some(())))?;
    ensure!(!passes(&network, LISTED) && passes(&network, OTHER), "a broken file changes nothing");
    installation.banner("check")?.expect(2)?;

    replace(&drop, "203.0.113.0/24 ; SBL2\n")?;
    until("the new list is in force", || {
        let list = list(0)?;
        Ok((list["trouble"].is_null() && list["follows"] == true).then_some(()))
    })
    .with_context(|| daemon.output())?;
    ensure!(passes(&network, LISTED) && !passes(&network, OTHER) && list(0)?["banned"] == 1, "{}", list(0)?);

    // The kernel goes on without the daemon, and the next one writes nothing anew; what has left the list meanwhile passes.
    daemon.kill()?;
    ensure!(!passes(&network, OTHER), "with the daemon dead");
    let daemon = installation.start()?;
    ensure!(!passes(&network, OTHER), "after a restart");
    daemon.kill()?;
    replace(&drop, "192.0.2.0/24\n")?;
    let _daemon = installation.start()?;
    ensure!(passes(&network, OTHER), "not listed any more, and banned for ever");
    ensure!(installation.bans()?.is_empty(), "adopted: {:?}", installation.bans()?);
    Ok(())
}
