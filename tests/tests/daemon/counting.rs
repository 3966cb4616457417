//! What counts as a failure and against whom; and that `why` can show it.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::ensure;
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::{cyrus, cyrus_outage, line, postfix, postfix_outage},
    network::Network,
    patience::until,
};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const LAST: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 68));

#[test]
fn an_outage_of_the_password_backend_bans_nobody() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    for host in 1..=20 {
        let user = IpAddr::V4(Ipv4Addr::new(203, 0, 113, host));
        installation.log.append(&(postfix_outage(user).repeat(5) + &cyrus_outage(user).repeat(5)))?;
    }
    installation.log.append(&postfix(LAST, "alice").repeat(3))?;
    installation.await_ban("198.51.100.68")?;
    ensure!(installation.bans()?.len() == 1, "more than the one that guessed is banned: {:?}", installation.bans()?);
    let status = installation.json("status --json")?;
    ensure!(status["warnings"].to_string().contains("authentication backend"), "{status}");
    Ok(())
}

#[test]
fn a_failure_of_low_weight_counts_a_quarter() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let aborted = line("postfix/smtpd", &format!("warning: unknown[{ATTACKER}]: SASL LOGIN authentication aborted"));
    installation.log.append(&aborted.repeat(11))?;
    installation.await_log_read()?;
    ensure!(installation.bans()?.is_empty(), "banned after 11 quarters of a failure, of 3");
    installation.log.append(&aborted)?;
    installation.await_ban("198.51.100.66")?;
    Ok(())
}

#[test]
fn a_line_that_a_client_forges_bans_the_client_and_nobody_else() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/logs/forged");
    for log in ["postfix.log", "cyrus.log"] {
        let forged = std::fs::read(format!("{folder}/{log}"))?;
        // As it is, with its invalid UTF-8.
        let mut file = std::fs::File::options().append(true).open(installation.log.path())?;
        for _ in 0..3 {
            std::io::Write::write_all(&mut file, &forged)?;
        }
    }
    installation.log.append(&postfix(LAST, "alice").repeat(3))?;
    installation.await_ban("198.51.100.68")?;
    let bans = installation.bans()?;
    for prefix in ["198.51.100.7", "2001:db8::/64"] {
        ensure!(bans.iter().any(|ban| ban["prefix"] == prefix), "{prefix} sent the forged lines: {bans:?}");
    }
    ensure!(bans.len() == 3, "somebody else is banned: {bans:?}");
    let why = installation.banner("why 203.0.113.9 --json")?.expect(1)?;
    let why: serde_json::Value = serde_json::from_str(&why.stdout)?;
    ensure!(why["failures"].as_array().is_some_and(Vec::is_empty), "{why}");
    Ok(())
}

#[test]
fn why_shows_each_failure_with_its_place_in_the_log() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let answer = installation.banner(&format!("why {ATTACKER}"))?.expect(1)?;
    ensure!(answer.stdout.contains("198.51.100.66"), "{answer:?}");

    let lines = [
        line("postfix/qmgr", "removed"),
        postfix(ATTACKER, "alice"),
        cyrus(ATTACKER, "bob"),
        line("sshd", "a line of something else"),
        postfix(ATTACKER, "carol\u{1b}[31m"),
    ];
    installation.log.append(&lines.concat())?;
    installation.await_ban("198.51.100.66")?;
    network.reached(ATTACKER, &[25, 143], LAST)?;

    let why = installation.json(&format!("why {ATTACKER} --json"))?;
    let offset = |line: usize| lines.iter().take(line).map(String::len).sum::<usize>();
    let path = installation.log.path().to_string_lossy();
    let expected = [("postfix-sasl", "alice", 1), ("cyrus", "bob", 2), ("postfix-sasl", "carol\\u{1b}[31m", 4)];
    let failures = why["failures"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(failures.len() == expected.len(), "{why}");
    for (failure, (filter, user, line)) in failures.iter().zip(expected) {
        ensure!(failure["filter"] == filter && failure["user"] == user && failure["weight"] == 1.0, "{failure}");
        ensure!(failure["file"] == *path && failure["offset"] == offset(line), "line {line} of {path}: {failure}");
    }
    ensure!(why["newest_line"].as_str().is_some_and(|line| line.contains("carol\\u{1b}[31m")), "{why}");
    ensure!(why["bans"][0]["packets"].as_u64() >= Some(2), "{why}");

    let shown = installation.banner(&format!("why {ATTACKER}"))?.expect(0)?.stdout;
    ensure!(!shown.contains('\u{1b}'), "a control byte of a log reaches the terminal: {shown:?}");
    for text in ["alice", "bob", "postfix-sasl", &format!("{path}"), "mail"] {
        ensure!(shown.contains(text), "no {text} in {shown}");
    }
    Ok(())
}

#[test]
fn failures_while_banned_are_told() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    until("failures that are logged long after the ban are told", || {
        installation.log.append(&postfix(ATTACKER, "alice"))?;
        let why = installation.json(&format!("why {ATTACKER} --json"))?;
        Ok((why["failures_while_banned"].as_u64() > Some(1)).then_some(()))
    })?;
    let told = daemon.output().lines().filter(|line| line.contains("still arriving")).count();
    ensure!(told == 1, "told {told} times instead of once");
    Ok(())
}
