//! Who is banned, from what, and for how long.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    lab::{
        client::{Outcome, Service},
        root::Kind,
    },
    patience::until,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::scene::{QUICK, RIGHT, Source, WRONG, await_reading, filters, guarded};

#[test]
fn banner_runs_on_a_real_mail_host_as_its_readme_says() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &[], QUICK)? else { return Ok(()) };
    let status = lab.json("status --json")?;
    ensure!(status.pointer("/interfaces/0/name") == Some(&"mail0".into()), "{status}");
    Ok(())
}

#[test]
fn three_wrong_passwords_over_three_protocols_of_postfix_and_cyrus_ban_until_the_ban_ends() -> anyhow::Result<()> {
    three_wrong_passwords(Kind::Cyrus)
}

#[test]
fn three_wrong_passwords_over_three_protocols_of_postfix_and_dovecot_ban_until_the_ban_ends() -> anyhow::Result<()> {
    three_wrong_passwords(Kind::Dovecot)
}

fn three_wrong_passwords(kind: Kind) -> anyhow::Result<()> {
    let configuration = format!("{QUICK}{}", filters(kind));
    let Some(lab) = guarded(kind, &["quick"], &configuration)? else { return Ok(()) };
    let attacker = Source::new(&lab, "198.51.100.7")?;
    attacker.tries(Service::Smtp, WRONG, &Outcome::Refused)?;
    attacker.await_tally(1.0)?;
    attacker.reaches_all()?;
    attacker.tries(Service::Imap, WRONG, &Outcome::Refused)?;
    attacker.await_tally(2.0)?;
    attacker.reaches_all()?;

    // A right password works, and does not make the wrong ones undone.
    for service in [Service::Submission, Service::Imap, Service::Pop3] {
        attacker.tries(service, RIGHT, &Outcome::Accepted)?;
    }
    await_reading(&lab)?;
    attacker.await_tally(2.0)?;
    attacker.reaches_all()?;

    attacker.tries(Service::Pop3, WRONG, &Outcome::Refused)?;
    let ban = attacker.await_ban()?;
    attacker.reaches_none()?;
    for (key, expected) in [("prefix", "198.51.100.7"), ("origin", "jail"), ("jail", "mail")] {
        ensure!(ban.get(key) == Some(&expected.into()), "{key} of {ban}");
    }
    Source::new(&lab, "198.51.100.8")?.reaches_all()?;

    let (since, until) = (time(&ban, "since")?, time(&ban, "until")?);
    // Each is rounded to a microsecond.
    let length = until.duration_since(since).unsigned_abs();
    ensure!(length.abs_diff(Duration::from_secs(15)) <= Duration::from_micros(1), "{ban}");
    ends_on_time(attacker, until)?;
    attacker.await_end()?;
    for service in [Service::Submission, Service::Imap, Service::Pop3] {
        attacker.tries(service, RIGHT, &Outcome::Accepted)?;
    }
    // Nothing is left of what it was banned for.
    attacker.tries(Service::Imap, WRONG, &Outcome::Refused)?;
    attacker.await_tally(1.0)?;
    attacker.reaches_all()
}

#[test]
fn who_logged_in_from_there_may_mistype_twice_as_often() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], "")? else { return Ok(()) };
    let customer = Source::new(&lab, "198.51.100.7")?;
    customer.tries(Service::Imap, RIGHT, &Outcome::Accepted)?;
    await_reading(&lab)?;
    for _ in 0..5 {
        customer.tries(Service::Imap, WRONG, &Outcome::Refused)?;
    }
    await_reading(&lab)?;
    customer.reaches_all()?;
    customer.tries(Service::Imap, WRONG, &Outcome::Refused)?;
    let ban = customer.await_ban()?;
    let (since, until) = (time(&ban, "since")?, time(&ban, "until")?);
    let length = until.duration_since(since).unsigned_abs();
    // The first one, of two minutes instead of ten.
    ensure!(length.abs_diff(Duration::from_secs(120)) <= Duration::from_micros(1), "{ban}");
    Ok(())
}

/// Ticks of the kernel are up to 10 ms long; a ban is whole ones.
const TICKS: Duration = Duration::from_millis(30);

/// Knocks until a connection is answered: none before the end, the first after it.
fn ends_on_time(source: Source<'_>, end: Timestamp) -> anyhow::Result<()> {
    until("the ban ends", || {
        let began = Timestamp::now();
        let is_open = !source.reached(&[25])?.is_empty();
        let ended = Timestamp::now();
        if is_open {
            ensure!(ended + TICKS >= end, "{} was let in at {ended}, before {end}", source.address);
        } else {
            ensure!(began <= end + TICKS, "{} was not let in at {began}, after {end}", source.address);
        }
        Ok(is_open.then_some(()))
    })
}

fn time(ban: &Value, key: &str) -> anyhow::Result<Timestamp> {
    let time = ban.get(key).and_then(Value::as_str).with_context(|| format!("{key} of {ban}"))?;
    Ok(time.parse()?)
}

#[test]
fn an_ipv6_source_is_banned_with_its_64_and_its_neighbours_are_not() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], "")? else { return Ok(()) };
    // One customer's network, three of its addresses.
    let hosts = ["2001:db8:1:2::7", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"];
    for (address, service) in hosts.iter().zip([Service::Smtp, Service::Imap, Service::Pop3]) {
        let host = Source::new(&lab, address)?;
        host.reaches_all()?;
        host.tries(service, WRONG, &Outcome::Refused)?;
    }
    lab.await_ban("2001:db8:1:2::/64")?;
    for address in [hosts[0], hosts[1], "2001:db8:1:2:1::"] {
        Source::new(&lab, address)?.reaches_none()?;
    }
    for address in ["2001:db8:1:3::7", "2001:db8:1:1:ffff:ffff:ffff:ffff"] {
        let neighbour = Source::new(&lab, address)?;
        neighbour.reaches_all()?;
        neighbour.tries(Service::Imap, RIGHT, &Outcome::Accepted)?;
    }
    ensure!(lab.bans()?.len() == 1, "{:?}", lab.bans()?);
    Ok(())
}

#[test]
fn a_source_on_ignoreip_is_never_banned_whatever_it_does() -> anyhow::Result<()> {
    let ignoring = "ignoreip = [\"198.51.100.64/26\", \"2001:db8:1::/48\"]\n";
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], ignoring)? else { return Ok(()) };
    for address in ["198.51.100.64", "198.51.100.127", "2001:db8:1:2::7"] {
        let office = Source::new(&lab, address)?;
        let wrong: Vec<_> = [Service::Smtp, Service::Imap, Service::Pop3, Service::Submission]
            .iter()
            .cycle()
            .take(12)
            .map(|service| office.login(*service, WRONG))
            .collect();
        for attempt in lab.clients().swarm(&wrong, 4)? {
            ensure!(attempt.outcome == Outcome::Refused, "{attempt:?}");
        }
        until(&format!("{address} is known for what it did"), || Ok((office.tally()? >= 3.0).then_some(())))?;
        await_reading(&lab)?;
        office.reaches_all()?;
        office.tries(Service::Imap, RIGHT, &Outcome::Accepted)?;
        let known = office.known()?;
        ensure!(known.get("protected").is_some_and(Value::is_string), "{known}");
        let told = lab.server.run("journalctl --unit banner --output cat BANNER_EVENT=ignored")?;
        ensure!(told.contains(address) || told.contains("2001:db8:1:2::/64"), "{told}");
        let by_hand = lab.banner(&format!("ban {address}"))?.expect(1)?;
        ensure!(by_hand.stderr.contains("ignoreip"), "{by_hand:?}");
    }
    ensure!(lab.bans()?.is_empty(), "{:?}", lab.bans()?);

    // Nor with the network that it is in.
    lab.banner("ban 198.51.100.0/24 --for 1h")?.expect(0)?;
    Source::new(&lab, "198.51.100.63")?.reaches_none()?;
    for address in ["198.51.100.64", "198.51.100.127"] {
        Source::new(&lab, address)?.reaches_all()?;
    }
    Source::new(&lab, "198.51.100.128")?.reaches_none()
}

#[test]
fn an_attacker_that_goes_on_after_an_unban_begins_at_nothing_and_is_banned_again() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], "")? else { return Ok(()) };
    let attacker = Source::new(&lab, "198.51.100.7")?;
    let first = attacker.earns_a_ban()?;
    // It does not stop while it is banned: nothing of that arrives.
    let patient = lab.clients().with_patience(Duration::from_secs(1));
    let attempt = patient.login(&attacker.login(Service::Imap, WRONG))?;
    ensure!(attempt.outcome == Outcome::NoAnswer, "{attempt:?}");

    lab.banner("unban 198.51.100.7")?.expect(0)?;
    attacker.reaches_all()?;
    ensure!(attacker.tally()? == 0.0, "{}", attacker.known()?);
    for (service, tally) in [(Service::Imap, 1.0), (Service::Smtp, 2.0)] {
        attacker.tries(service, WRONG, &Outcome::Refused)?;
        attacker.await_tally(tally)?;
        attacker.reaches_all()?;
    }
    attacker.tries(Service::Pop3, WRONG, &Outcome::Refused)?;
    let second = attacker.await_ban()?;
    ensure!(time(&second, "since")? > time(&first, "since")?, "{second} after {first}");
    attacker.reaches_none()?;
    let known = attacker.known()?;
    let history = known.get("history").and_then(Value::as_array).map(Vec::len);
    ensure!(history == Some(1), "{known}");
    Ok(())
}
