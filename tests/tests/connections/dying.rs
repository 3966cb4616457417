//! Who tries passwords over an open connection loses it at the ban; nobody else loses any.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::{cyrus, postfix},
    network::{MAIL_PORTS, Network, WEB_PORT},
};

const ATTACKER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const ATTACKER_V6: IpAddr = v6(0x66);
const NEIGHBOUR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));
const NEIGHBOUR_V6: IpAddr = v6(0x67);
const PROTECTED: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));

/// The server reads an error within so long after the line that is one too many. On a quiet machine it takes a fortieth of it.
const DEATH: Duration = Duration::from_secs(1);

/// A host in the /64 with this number.
const fn v6(network: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, network, 0, 0, 0, 0x66))
}

#[test]
fn who_tries_passwords_over_an_open_connection_loses_it_at_the_ban() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    for (attacker, neighbour, ban) in
        [(ATTACKER_V4, NEIGHBOUR_V4, "198.51.100.66"), (ATTACKER_V6, NEIGHBOUR_V6, "2001:db8:a:66::/64")]
    {
        let trying = network.connect(attacker, 25)?;
        let others = MAIL_PORTS.map(|port| network.connect(attacker, port));
        let web = network.connect(attacker, WEB_PORT)?;
        let delivery = network.deliver(attacker)?;
        let innocents = MAIL_PORTS.map(|port| network.connect(neighbour, port));

        for line in [postfix(attacker, "alice"), cyrus(attacker, "bob")] {
            installation.log.append(&line)?;
        }
        installation.await_log_read()?;
        trying.exchange().context("after two failures")?;

        installation.log.append(&postfix(attacker, "carol"))?;
        let third = Instant::now();
        let died = trying.await_destruction(DEATH)?.with_context(|| format!("{attacker} is still connected"))?;
        let latency = died.saturating_duration_since(third);
        ensure!(latency < DEATH, "{attacker} lost its connection {latency:?} after the third line");
        ensure!(installation.ban(ban)?.is_some(), "{ban} is not banned, and lost its connection");
        for other in others {
            other?.await_destruction(DEATH)?.context("a mail service's connection is still open")?;
        }
        web.exchange().context("the attacker's connection to what is not guarded")?;
        delivery.exchange().context("our mail to the attacker's own server")?;
        for innocent in innocents {
            innocent?.exchange().context("a neighbour's connection")?;
        }
    }
    Ok(())
}

#[test]
fn a_network_banned_by_hand_loses_its_connections_but_for_protected_addresses() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let configuration = Configuration { ignoreip: format!("[\"{PROTECTED}\"]"), ..Configuration::default() };
    let installation = Installation::new(&network, &configuration)?;
    let _daemon = installation.start()?;
    let inside: Vec<_> = [1, 9, 11, 254]
        .into_iter()
        .map(|host| network.connect(Ipv4Addr::new(203, 0, 113, host).into(), 143))
        .collect::<anyhow::Result<_>>()?;
    let protected = network.connect(PROTECTED, 143)?;
    let outside = network.connect(NEIGHBOUR_V4, 143)?;
    installation.banner("ban 203.0.113.0/24")?.expect(0)?;
    for connection in inside {
        connection.await_destruction(DEATH)?.context("a banned network's connection is still open")?;
    }
    protected.exchange().context("the protected address")?;
    outside.exchange().context("another network")?;
    Ok(())
}
