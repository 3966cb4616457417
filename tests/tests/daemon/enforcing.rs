//! What a ban keeps away, from whom, and for how long.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::{cyrus, postfix},
    network::{MAIL_PORTS, Network, WEB_PORT},
    patience::until,
};

const ATTACKER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const ATTACKER_V6: IpAddr = v6(0x66, 0x66);
const INNOCENT_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));
const INNOCENT_V6: IpAddr = v6(0x67, 0x66);

/// A host in the /64 with this number.
const fn v6(network: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, network, 0, 0, 0, host))
}

type Line = fn(IpAddr, &str) -> String;

/// Who fails, how, what is banned for it, who else is banned with it, and who is near and is not.
struct Row {
    case: &'static str,
    attacker: IpAddr,
    lines: [Line; 3],
    ban: &'static str,
    with_it: &'static [IpAddr],
    innocents: &'static [IpAddr],
}

const ROWS: [Row; 4] = [
    Row {
        case: "SMTP",
        attacker: ATTACKER_V4,
        lines: [postfix, postfix, postfix],
        ban: "198.51.100.66",
        with_it: &[],
        innocents: &[INNOCENT_V4, INNOCENT_V6],
    },
    Row {
        case: "IMAP",
        attacker: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)),
        lines: [cyrus, cyrus, cyrus],
        ban: "203.0.113.66",
        with_it: &[],
        innocents: &[INNOCENT_V4, INNOCENT_V6],
    },
    Row {
        case: "SMTP and IMAP together",
        attacker: IpAddr::V4(Ipv4Addr::new(198, 18, 66, 66)),
        lines: [postfix, cyrus, postfix],
        ban: "198.18.66.66",
        with_it: &[],
        innocents: &[INNOCENT_V4, INNOCENT_V6],
    },
    Row {
        case: "IPv6",
        attacker: ATTACKER_V6,
        lines: [cyrus, postfix, cyrus],
        ban: "2001:db8:a:66::/64",
        with_it: &[v6(0x66, 0xbeef)],
        innocents: &[v6(0x65, 0x66), INNOCENT_V6, INNOCENT_V4],
    },
];

#[test]
fn the_third_failure_shuts_a_source_out_of_every_mail_service_and_nobody_else() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    for row in &ROWS {
        shuts_out(row, &network, &installation).context(row.case)?;
    }
    Ok(())
}

fn shuts_out(row: &Row, network: &Network, installation: &Installation<'_>) -> anyhow::Result<()> {
    let Row { attacker, innocents, .. } = *row;
    let witness = *innocents.first().context("a row has an innocent host")?;
    let open = network.connect(attacker, 143)?;
    let innocent_open = network.connect(witness, 143)?;

    let [first, second, third] = row.lines;
    installation.log.append(&(first(attacker, "alice") + &second(attacker, "bob")))?;
    installation.await_log_read()?;
    ensure!(installation.ban(row.ban)?.is_none(), "banned after two failures");
    for port in MAIL_PORTS {
        network.connect(attacker, port).context("after two failures")?;
    }

    installation.log.append(&third(attacker, "carol"))?;
    let ban = installation.await_ban(row.ban)?;
    ensure!(ban["origin"] == "jail" && ban["jail"] == "mail" && ban["packets"] == 0, "{ban}");
    for source in row.with_it.iter().chain([&attacker]) {
        let reached = network.reached(*source, &MAIL_PORTS, witness)?;
        ensure!(reached.is_empty(), "{source} is banned and reaches ports {reached:?}");
        network.connect(*source, WEB_PORT).context("a banned source reaches what is not guarded")?;
    }
    ensure!(!open.is_heard_before(&innocent_open)?, "the connection that was open before the ban is still heard");

    for innocent in innocents {
        for port in MAIL_PORTS {
            network.connect(*innocent, port).context("an innocent host")?;
        }
    }
    // One SYN for each port and source.
    let packets = (1 + row.with_it.len()) * MAIL_PORTS.len();
    let ban = installation.ban(row.ban)?.context("the ban holds")?;
    ensure!(ban["packets"].as_u64() >= Some(packets as u64), "{packets} were dropped: {ban}");
    ensure!(ban["bytes"].as_u64() >= Some(54 * packets as u64), "{packets} were dropped: {ban}");
    ensure!(ban["last_seen"].is_string(), "{ban}");
    Ok(())
}

#[test]
fn a_ban_ends_by_itself_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation =
        Installation::new(&network, &Configuration { bantime: "4s".to_owned(), ..Configuration::default() })?;
    let _daemon = installation.start()?;
    for attacker in [ATTACKER_V4, ATTACKER_V6] {
        installation.log.append(&postfix(attacker, "alice").repeat(3))?;
    }
    installation.await_ban("198.51.100.66")?;
    installation.await_ban("2001:db8:a:66::/64")?;
    for (attacker, innocent) in [(ATTACKER_V4, INNOCENT_V4), (ATTACKER_V6, INNOCENT_V6)] {
        let reached = network.reached(attacker, &[25], innocent)?;
        ensure!(reached.is_empty(), "{attacker} is banned and gets through");
    }
    until("no ban is left", || Ok(installation.bans()?.is_empty().then_some(())))?;
    for attacker in [ATTACKER_V4, ATTACKER_V6] {
        network.connect(attacker, 25).context("after the ban")?;
    }
    until("no entry is left in the kernel", || {
        let limits = &installation.json("status --json")?["limits"];
        Ok((limits["bans_v4"]["used"] == 0 && limits["bans_v6"]["used"] == 0).then_some(()))
    })
}
