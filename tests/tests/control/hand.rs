//! Bans and unbans by hand.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    frame::{Frame, Ipv4},
    installation::{Configuration, Installation},
    mail_log::postfix,
    network::{GATEWAY_V4, MAIL_PORTS, Network, SERVER_V4, SERVER_V6},
    patience::until,
};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 67));
const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10));
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 67));

/// One address of a network is on `ignoreip`.
fn office() -> Configuration {
    Configuration { ignoreip: "[\"198.51.100.10\"]".to_owned(), ..Configuration::default() }
}

#[test]
fn a_ban_by_hand_holds_from_what_it_says_until_it_is_lifted() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    installation.banner("ban 198.51.100.66 --for 1h --services imap,imaps")?.expect(0)?;
    let reached = network.reached(ATTACKER, &MAIL_PORTS, INNOCENT)?;
    ensure!(!reached.contains(&143) && !reached.contains(&993) && reached.len() == 6, "it reaches {reached:?}");

    installation.banner("ban 198.51.100.66 --for permanent")?.expect(0)?;
    ensure!(network.reached(ATTACKER, &MAIL_PORTS, INNOCENT)?.is_empty(), "the second ban replaces the first");
    let ban = installation.ban("198.51.100.66")?.context("the ban")?;
    ensure!(ban["until"].is_null() && ban["origin"] == "hand" && installation.bans()?.len() == 1, "{ban}");
    installation.banner("why 198.51.100.66")?.expect(0)?;

    installation.banner("unban 198.51.100.66")?.expect(0)?;
    network.connect(ATTACKER, 143)?;
    let again = installation.banner("unban 198.51.100.66")?.expect(1)?;
    ensure!(again.stderr.contains("198.51.100.66 is not banned"), "{again:?}");
    installation.banner("why 198.51.100.66")?.expect(1)?;
    Ok(())
}

#[test]
fn an_unban_forgets_the_failures_too() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    installation.banner("unban 198.51.100.66")?.expect(0)?;
    network.connect(ATTACKER, 25)?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(2))?;
    installation.await_log_read()?;
    ensure!(installation.bans()?.is_empty(), "failures from before the unban still count");
    installation.log.append(&postfix(ATTACKER, "alice"))?;
    installation.await_ban("198.51.100.66")?;
    Ok(())
}

#[test]
fn an_ipv6_address_is_banned_and_unbanned_with_its_64() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let (attacker, neighbour) = ("2001:db8:a:66::66".parse()?, "2001:db8:a:66:dead:beef:0:1".parse()?);
    let innocent = "2001:db8:a:67::66".parse()?;
    installation.banner("ban 2001:db8:a:66::66")?.expect(0)?;
    for source in [attacker, neighbour] {
        ensure!(network.reached(source, &MAIL_PORTS, innocent)?.is_empty(), "{source} gets through");
    }
    installation.banner("unban 2001:db8:a:66::1")?.expect(0)?;
    network.connect(neighbour, 25)?;
    Ok(())
}

#[test]
fn what_must_not_be_banned_is_refused_with_the_reason() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &office())?;
    let _daemon = installation.start()?;
    let (v4, v6, gateway) = (SERVER_V4.to_string(), SERVER_V6.to_string(), GATEWAY_V4.to_string());
    let own_net = "fd00:25::/64".to_owned();
    #[rustfmt::skip]
    let rows: [(String, i32, &str); 13] = [
        (v4.clone(),                      1, "is an address of this host"),
        (format!("{v4} --force"),         1, "is an address of this host"),
        (format!("{v4}/32 --force"),      1, "is an address of this host"),
        (format!("{v6} --force"),         1, "is an address of this host"),
        ("127.8.8.8 --force".to_owned(),  1, "127.0.0.0/8 is loopback"),
        ("::1".to_owned(),                1, "::1 is loopback"),
        ("fe80::1".to_owned(),            1, "is link-local"),
        (gateway,                         1, "is a gateway of this host; --force"),
        ("198.51.100.10".to_owned(),      1, "198.51.100.10 is in ignoreip; --force"),
        ("128.0.0.0/7".to_owned(),        1, "is wider than a /8; --force"),
        ("2000::/18".to_owned(),          1, "is wider than a /19; --force"),
        ("mail.example.com".to_owned(),   2, "is a host name"),
        ("198.51.100.1/24".to_owned(),    2, "write 198.51.100.0/24"),
    ];
    for (arguments, code, said) in rows {
        let answer = installation.banner(&format!("ban {arguments}"))?;
        ensure!(
            answer.code == Some(code) && answer.stderr.contains(said),
            "ban {arguments}: no {said:?} in {answer:?}"
        );
    }
    for arguments in ["198.51.100.66 --services impas", "198.51.100.66 --jail mial", "198.51.100.66 --for 10apples"] {
        installation.banner(&format!("ban {arguments}"))?.expect(2).with_context(|| arguments.to_owned())?;
    }
    ensure!(installation.bans()?.is_empty(), "{:?}", installation.bans()?);

    // What force overrides is named.
    let forced = installation.banner("ban 198.51.100.10 --force")?.expect(0)?;
    ensure!(forced.stdout.contains("overrides 198.51.100.10 is in ignoreip"), "{forced:?}");
    ensure!(network.reached(OFFICE, &MAIL_PORTS, INNOCENT)?.is_empty(), "banned by force, and gets through");
    let answer = installation.banner(&format!("ban {own_net}"))?.expect(0)?;
    ensure!(answer.stdout.contains("except the protected"), "{answer:?}");
    Ok(())
}

#[test]
fn a_ban_of_a_prefix_leaves_out_what_is_protected_inside_it() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &office())?;
    let _daemon = installation.start()?;
    let banned = installation.json("ban 198.51.100.0/24 --json")?;
    ensure!(banned["except"] == serde_json::json!(["198.51.100.10"]), "{banned}");
    for source in [ATTACKER, NEIGHBOUR] {
        ensure!(network.reached(source, &MAIL_PORTS, INNOCENT)?.is_empty(), "{source} gets through");
    }
    for port in MAIL_PORTS {
        network.connect(OFFICE, port).context("protected inside a banned prefix")?;
    }

    // The server's own network, with its own address, which comes back from a switch that loops, and its gateway.
    let banned = installation.json("ban 192.0.2.0/24 --json")?;
    ensure!(banned["except"] == serde_json::json!([SERVER_V4, GATEWAY_V4]), "{banned}");
    let wire = network.wire()?;
    for (source, counter) in
        [(SERVER_V4, "passed_ban"), (GATEWAY_V4, "passed_ban"), (Ipv4Addr::new(192, 0, 2, 66), "dropped_ban")]
    {
        let before = packets(&installation, counter)?;
        wire.send(&syn(source))?;
        until(&format!("a packet of {source} is counted as {counter}"), || {
            Ok((packets(&installation, counter)? == before + 1).then_some(()))
        })?;
    }

    // Lifting the prefix lifts its exceptions with it.
    installation.banner("unban 192.0.2.0/24")?.expect(0)?;
    installation.banner("unban 198.51.100.0/24")?.expect(0)?;
    let limits = &installation.json("status --json")?["limits"];
    ensure!(limits["prefixes_v4"]["used"] == 0 && limits["bans_v4"]["used"] == 0, "{limits}");
    network.connect(ATTACKER, 25)?;
    Ok(())
}

fn syn(source: Ipv4Addr) -> Frame {
    Ipv4::new(source.octets(), SERVER_V4.octets()).tcp(25)
}

fn packets(installation: &Installation<'_>, counter: &str) -> anyhow::Result<u64> {
    let status = installation.json("status --json")?;
    status["packets"][counter].as_u64().with_context(|| format!("no {counter} in {status}"))
}

#[test]
fn a_narrower_ban_outlives_the_wider_one_around_it() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    installation.banner("ban 198.51.100.0/24 --services smtp")?.expect(0)?;
    installation.banner("ban 198.51.100.66 --services imap")?.expect(0)?;
    let reached = network.reached(ATTACKER, &[25, 143], INNOCENT)?;
    ensure!(reached.is_empty(), "both bans hold, and it reaches {reached:?}");
    ensure!(network.reached(NEIGHBOUR, &[25, 143], INNOCENT)? == [143], "the neighbour is banned from SMTP alone");
    let unbanned = installation.json("unban 198.51.100.66 --json")?;
    ensure!(unbanned["still_banned_by"] == serde_json::json!(["198.51.100.0/24"]), "{unbanned}");
    ensure!(network.reached(ATTACKER, &[25, 143], INNOCENT)? == [143], "the wider ban still holds it");
    installation.banner("ban 198.51.100.66 --services imap")?.expect(0)?;
    installation.banner("unban 198.51.100.0/24")?.expect(0)?;
    ensure!(
        network.reached(ATTACKER, &[25, 143], INNOCENT)? == [25],
        "the narrower ban was lifted too, or the wider not"
    );
    Ok(())
}
