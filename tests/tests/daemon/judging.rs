//! What is judged beside the number of failures: accounts, former bans, customers and the fuse.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::ensure;
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Installation},
    mail_log::{line, line_at, postfix, postfix_at},
    network::Network,
    patience::until,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));
const INNOCENT: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 68));

/// A right password (`src/smtpd/smtpd.c`, `mail_open_stream`).
fn login(source: IpAddr, user: &str) -> String {
    line("postfix/smtpd", &login_message(source, user))
}

fn login_message(source: IpAddr, user: &str) -> String {
    format!("4F2Kq1: client=unknown[{source}], sasl_method=PLAIN, sasl_username={user}")
}

fn ago(seconds: i64) -> anyhow::Result<Timestamp> {
    Ok(Timestamp::now().checked_sub(SignedDuration::from_secs(seconds))?)
}

fn why(installation: &Installation<'_>, address: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&installation.banner(&format!("why {address} --json"))?.stdout)?)
}

#[test]
fn the_first_try_on_a_trap_bans_and_why_says_so() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let more = "[accounts]\ntraps = [\"ghost\"]".to_owned();
    let installation = Installation::new(&network, &Configuration { more, ..Configuration::default() })?;
    let _daemon = installation.start()?;
    installation.log.append(&(postfix(INNOCENT, "alice") + &postfix(ATTACKER, "Ghost")))?;
    installation.await_ban("198.51.100.66")?;
    ensure!(network.reached(ATTACKER, &[25, 143], INNOCENT)?.is_empty(), "a packet of it came through");
    ensure!(installation.bans()?.len() == 1, "{:?}", installation.bans()?);

    let told = until("the disk knows why", || {
        let told = why(&installation, "198.51.100.66")?;
        Ok((!told["causes"][0].is_null()).then_some(told))
    })?;
    let cause = &told["causes"][0];
    ensure!(cause["jail"] == "mail" && cause["failures"] == 1 && cause["limit"] == 3, "{cause}");
    ensure!(cause["reasons"][0]["reason"] == "trap", "{cause}");
    let text = installation.banner("why 198.51.100.66")?.expect(0)?.stdout;
    for said in
        ["1 of 3 failures, the last by filter postfix-sasl; it tried ghost, a trap\n", "  banner unban 198.51.100.66;"]
    {
        ensure!(text.contains(said), "no {said:?} in {text}");
    }
    Ok(())
}

#[test]
fn who_tries_one_account_after_the_other_is_banned_however_slowly() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    // Read back that far, so that logins have been heard of for an hour.
    let findtime = |findtime: &str| Configuration { findtime: findtime.to_owned(), ..Configuration::default() };
    let installation = Installation::new(&network, &findtime("2h"))?;
    installation.log.append(&line_at("postfix/smtpd", &login_message(INNOCENT, "alice"), ago(4000)?))?;
    let _daemon = installation.start()?;
    installation.await_log_read()?;
    // The jail alone forgets each failure before the next.
    installation.configure(&findtime("1s"))?;
    installation.banner("reload")?.expect(0)?;
    for (number, seconds) in [(1, 40), (2, 30), (3, 20), (4, 10), (5, 0)] {
        ensure!(installation.bans()?.is_empty(), "banned for {} accounts", number - 1);
        let at = ago(seconds)?;
        let guess = postfix_at(ATTACKER, &format!("user{number}"), at) + &postfix_at(INNOCENT, "alice", at);
        installation.log.append(&guess)?;
        installation.await_log_read()?;
    }
    installation.await_ban("198.51.100.66")?;
    ensure!(network.reached(ATTACKER, &[25, 143], INNOCENT)?.is_empty(), "a packet of it came through");
    ensure!(installation.bans()?.len() == 1, "{:?}", installation.bans()?);
    let text = installation.banner("why 198.51.100.66")?.expect(0)?.stdout;
    ensure!(text.contains("5 accounts"), "{text}");
    Ok(())
}

#[test]
fn a_network_whose_hosts_fail_in_turn_is_banned_but_not_where_somebody_logged_in() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let configuration = Configuration {
        // Read back that far, so that logins have been heard of for long enough to know who belongs where.
        findtime: "3d".to_owned(),
        more: "[prefixes]\nmembers = 3".to_owned(),
        ..Configuration::default()
    };
    let installation = Installation::new(&network, &configuration)?;
    let customer = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    let login = line_at("postfix/smtpd", &login_message(customer, "alice"), ago(2 * 86_400)?);
    installation.log.append(&login)?;
    let daemon = installation.start()?;
    installation.await_log_read()?;
    for host in 1..=3 {
        for source in [Ipv4Addr::new(203, 0, 113, host), Ipv4Addr::new(198, 51, 100, host)] {
            installation.log.append(&postfix(source.into(), &format!("user{host}")))?;
        }
    }
    installation.await_ban("198.51.100.0/24")?;
    ensure!(installation.bans()?.len() == 1, "{:?}", installation.bans()?);
    let beside = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));
    ensure!(network.reached(ATTACKER, &[25, 143], beside)?.is_empty(), "a packet of the banned network came through");

    until("the disk knows why", || Ok((!why(&installation, "198.51.100.2")?["causes"][0].is_null()).then_some(())))?;
    // It outlives the daemon, with its members, and who is let out of it passes.
    daemon.kill()?;
    let _daemon = installation.start()?;
    ensure!(network.reached(ATTACKER, &[25, 143], beside)?.is_empty(), "it came through after a restart");
    installation.banner("unban 198.51.100.2")?.expect(0)?;
    let bans = installation.bans()?;
    let left: Vec<_> = bans.iter().map(|ban| ban["prefix"].as_str().unwrap_or_default()).collect();
    ensure!(left == ["198.51.100.1", "198.51.100.3"], "{left:?}");
    Ok(())
}

#[test]
fn who_was_banned_before_a_restart_is_banned_for_twice_as_long_after_it() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    // With logins to wait for, no ban grows on the first day.
    let more = "[customers]\nenabled = false\n[increment]\nwithout_logins = true".to_owned();
    let bantime = "2s".to_owned();
    let installation = Installation::new(&network, &Configuration { more, bantime, ..Configuration::default() })?;
    let daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    until("the ban is over", || Ok(installation.bans()?.is_empty().then_some(())))?;
    until("the disk knows that", || Ok((!why(&installation, "198.51.100.66")?["history"][0].is_null()).then_some(())))?;
    daemon.kill()?;
    let _daemon = installation.start()?;
    installation.log.append(&postfix(ATTACKER, "alice").repeat(3))?;
    let ban = installation.await_ban("198.51.100.66")?;
    let time = |key: &str| -> anyhow::Result<Timestamp> { Ok(ban[key].as_str().unwrap_or_default().parse()?) };
    let lasts = time("until")?.duration_since(time("since")?).as_millis();
    ensure!((3_900..=4_100).contains(&lasts), "it lasts {lasts} ms: {ban}");
    Ok(())
}

#[test]
fn customers_who_fail_one_after_the_other_trip_the_fuse_and_a_stranger_is_banned_all_the_same() -> anyhow::Result<()> {
    let Some(network) = Network::new()? else { return Ok(()) };
    let installation = Installation::new(&network, &Configuration::default())?;
    let _daemon = installation.start()?;
    let customers = (1..=6).map(|host| (IpAddr::V4(Ipv4Addr::new(203, 0, 113, host)), format!("user{host}")));
    let customers: Vec<_> = customers.collect();
    for (source, user) in &customers {
        installation.log.append(&login(*source, user))?;
    }
    installation.await_log_read()?;
    installation.banner("health")?.expect(0)?;
    // Six wrong passwords would ban a customer.
    for _ in 0..6 {
        for (source, user) in &customers {
            installation.log.append(&postfix(*source, user))?;
        }
    }
    installation.log.append(&postfix(ATTACKER, "user1").repeat(3))?;
    installation.await_ban("198.51.100.66")?;
    ensure!(installation.bans()?.len() == 1, "a customer is banned: {:?}", installation.bans()?);
    installation.banner("health")?.expect(1)?;
    let status = installation.json("status --json")?;
    ensure!(status["fuse"][0]["filter"] == "postfix-sasl", "{}", status["fuse"]);
    ensure!(status["warnings"].to_string().contains("the fuse is tripped"), "{}", status["warnings"]);
    let told = why(&installation, "203.0.113.1")?;
    ensure!(told["standing"]["customer"] == true && told["standing"]["spared"] == true, "{told}");

    for (source, user) in &customers {
        installation.log.append(&login(*source, user))?;
    }
    installation.await_log_read()?;
    installation.banner("health")?.expect(0)?;

    installation.banner("fuse trip")?.expect(0)?;
    installation.banner("health")?.expect(1)?;
    installation.banner("fuse reset")?.expect(0)?;
    installation.banner("health")?.expect(0)?;
    Ok(())
}
