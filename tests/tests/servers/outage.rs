//! The authentication backend is down: right passwords fail too, and that counts against nobody.

use std::time::Duration;

use anyhow::ensure;
use banner_tests::{
    command_line::CommandLine as _,
    lab::{
        Lab,
        client::{Outcome, Service, sasl::base64},
        root::Kind,
    },
    patience::until,
};
use serde_json::Value;

use crate::{
    injecting::attack::{Attack, NOTHING},
    scene::{QUICK, RIGHT, Source, WRONG, await_reading, filters, guarded},
};

/// How a backend goes down, and what it takes to have it back: lines of sh(1).
struct Breakdown {
    kind: Kind,
    variants: &'static [&'static str],
    breaks: &'static str,
    mends: &'static str,
    /// Filters whose servers say that it is down.
    told: &'static [&'static str],
    /// Some do not answer at all; then clients give up after so long.
    patience: Duration,
}

/// Longer than servers take to refuse.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn while_saslauthd_is_stopped_nobody_is_banned_and_status_says_so() -> anyhow::Result<()> {
    nobody_is_banned(&Breakdown {
        kind: Kind::Cyrus,
        variants: &["quick"],
        breaks: "systemctl stop saslauthd",
        mends: "systemctl start saslauthd",
        told: &["postfix-sasl", "cyrus"],
        patience: LONG,
    })
}

#[test]
fn while_sasldb_cannot_be_read_nobody_is_banned_and_status_says_so() -> anyhow::Result<()> {
    nobody_is_banned(&Breakdown {
        kind: Kind::Cyrus,
        variants: &["quick", "sasldb"],
        breaks: "chmod 0 /etc/sasldb2",
        mends: "chmod 640 /etc/sasldb2",
        told: &["postfix-sasl", "cyrus"],
        patience: LONG,
    })
}

#[test]
fn while_dovecots_own_backend_fails_nobody_is_banned_and_status_says_so() -> anyhow::Result<()> {
    nobody_is_banned(&Breakdown {
        kind: Kind::Dovecot,
        variants: &["quick"],
        // As where LDAP or SQL does not answer. A program that asks something says it by the code 111.
        breaks: "printf '#!/bin/sh\\ncat > /dev/null <&3\\nexit 111\\n' > /etc/dovecot/check; chmod 755 /etc/dovecot/check
            sed -i -e 's/driver = passwd-file/driver = checkpassword/' -e 's/args = scheme.*/args = \\/etc\\/dovecot\\/check/' \\
                /etc/dovecot/dovecot.conf
            systemctl restart dovecot",
        mends: "sed -i -e 's/driver = checkpassword/driver = passwd-file/' \\
                -e 's/args = .*check/args = scheme=PLAIN username_format=%n \\/etc\\/dovecot\\/users/' /etc/dovecot/dovecot.conf
            systemctl restart dovecot",
        // Postfix takes it for a wrong password.
        told: &["dovecot"],
        patience: LONG,
    })
}

#[test]
fn while_dovecots_auth_process_hangs_nobody_is_banned_and_status_says_so() -> anyhow::Result<()> {
    nobody_is_banned(&Breakdown {
        kind: Kind::Dovecot,
        variants: &["quick"],
        breaks: "pkill -STOP -x auth",
        // Postfix waits a minute before it starts another smtpd where one found no mechanisms.
        mends: "pkill -CONT -x auth; systemctl restart postfix@-",
        told: &["postfix-sasl", "dovecot"],
        // Both say after ten seconds that it does not answer.
        patience: Duration::from_secs(15),
    })
}

const SERVICES: [Service; 3] = [Service::Smtp, Service::Imap, Service::Pop3];

fn nobody_is_banned(breakdown: &Breakdown) -> anyhow::Result<()> {
    let configuration = format!("{QUICK}{}", filters(breakdown.kind));
    let Some(lab) = guarded(breakdown.kind, breakdown.variants, &configuration)? else { return Ok(()) };
    let users = ["198.51.100.10", "198.51.100.11", "2001:db8:600d::10"];
    let users = users.map(|address| Source::new(&lab, address)).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let (known, new) = (Source::new(&lab, "198.51.100.66")?, Source::new(&lab, "198.51.100.67")?);
    known.tries(Service::Smtp, WRONG, &Outcome::Refused)?;
    known.tries(Service::Imap, WRONG, &Outcome::Refused)?;
    known.await_tally(2.0)?;
    warns_of(&lab, breakdown.told, false)?;

    lab.server.script(breakdown.breaks)?;
    let from = |sources: &[Source<'_>], password: &str| -> Vec<_> {
        let each = sources.iter().flat_map(|source| SERVICES.map(|service| source.login(service, password)));
        each.collect()
    };
    let mut logins = from(&users, RIGHT);
    logins.extend(from(&[known, new], WRONG));
    let clients = lab.clients().with_patience(breakdown.patience);
    // Everybody tries again and again.
    let logins: Vec<_> = logins.iter().cycle().take(3 * logins.len()).cloned().collect();
    for (login, attempt) in logins.iter().zip(clients.swarm(&logins, 60)?) {
        ensure!(attempt.outcome != Outcome::Accepted, "{login:?}: {attempt:?}");
    }
    warns_of(&lab, breakdown.told, true)?;

    lab.server.script(breakdown.mends)?;
    for user in &users {
        for service in SERVICES {
            until(&format!("{} is let in at {service:?} again", user.address), || {
                Ok(user.tries(service, RIGHT, &Outcome::Accepted).ok())
            })?;
        }
    }
    await_reading(&lab)?;
    let bans = lab.bans()?;
    ensure!(bans.is_empty(), "{bans:?}");
    for (source, tally) in users.iter().chain([&new]).map(|source| (source, 0.0)).chain([(&known, 2.0)]) {
        let found = source.tally()?;
        ensure!((found - tally).abs() < 0.01, "{tally} was expected: {}", source.known()?);
    }

    // What was counted before still counts, and what is wrong now does.
    known.tries(Service::Pop3, WRONG, &Outcome::Refused)?;
    known.await_ban()?;
    known.reaches_none()?;
    new.tries(Service::Smtp, WRONG, &Outcome::Refused)?;
    new.tries(Service::Imap, WRONG, &Outcome::Refused)?;
    new.await_tally(2.0)?;
    new.reaches_all()?;
    new.tries(Service::Pop3, WRONG, &Outcome::Refused)?;
    new.await_ban()?;
    new.reaches_none()
}

/// Waits until `status` tells of the outage, by the words of these filters' servers, or sees that it does not.
fn warns_of(lab: &Lab, filters: &[&str], expected: bool) -> anyhow::Result<()> {
    until(&format!("status tells of an outage: {expected}"), || {
        let text = lab.banner("status")?.expect(0)?.stdout;
        let json = lab.json("status --json")?;
        let warnings = json.get("warnings").and_then(Value::as_array).cloned().unwrap_or_default();
        let in_json = |filter: &str| warnings.iter().filter_map(Value::as_str).any(|text| tells(text, filter));
        let in_text = |filter: &str| text.lines().any(|line| line.starts_with("warning: ") && tells(line, filter));
        let are_told = filters.iter().all(|filter| in_json(filter) == expected && in_text(filter) == expected);
        Ok(are_told.then_some(()))
    })
}

fn tells(warning: &str, filter: &str) -> bool {
    ["the authentication backend does not answer", &format!("(filter {filter})"), "count against nobody"]
        .iter()
        .all(|part| warning.contains(part))
}

/// Only SASL PLAIN can tell whom a user acts for, and then servers know no name yet when the backend fails.
#[test]
fn while_saslauthd_is_stopped_who_acts_for_another_is_not_counted() -> anyhow::Result<()> {
    let configuration = format!("{QUICK}{}", filters(Kind::Cyrus));
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], &configuration)? else { return Ok(()) };
    let user = Source::new(&lab, "198.51.100.10")?;
    let response = base64(b"alice@mail.example.org\0alice\0secret");
    let plain = format!("AUTH PLAIN {response}\r\n").into_bytes();
    let attempts = [
        Attack::new("SMTP", 25, NOTHING, vec![b"EHLO x\r\n".to_vec(), plain]),
        Attack::new("POP3", 110, NOTHING, vec![b"AUTH PLAIN\r\n".to_vec(), format!("{response}\r\n").into_bytes()]),
    ];
    lab.server.script("systemctl stop saslauthd")?;
    for attempt in attempts.iter().cycle().take(14) {
        attempt.send(&lab.network, user.address)?;
    }
    lab.server.script("systemctl start saslauthd")?;
    await_reading(&lab)?;
    ensure!(user.tally()? == 0.0, "{}", user.known()?);
    user.reaches_all()
}

/// Nobody logs anything while saslauthd hangs: libsasl waits for it without end.
#[test]
fn while_saslauthd_hangs_who_has_given_up_is_not_counted_when_it_goes_on() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], QUICK)? else { return Ok(()) };
    let user = Source::new(&lab, "198.51.100.10")?;
    lab.server.script("pkill -STOP -x saslauthd")?;
    let logins: Vec<_> = SERVICES.iter().cycle().take(9).map(|service| user.login(*service, RIGHT)).collect();
    for attempt in lab.clients().with_patience(Duration::from_secs(3)).swarm(&logins, 9)? {
        ensure!(attempt.outcome != Outcome::Accepted, "{attempt:?}");
    }
    lab.server.script("pkill -CONT -x saslauthd")?;
    until("the servers have done with all of them", || {
        Ok(lab.server.run("ss --tcp --no-header dst 198.51.100.10")?.is_empty().then_some(()))
    })?;
    await_reading(&lab)?;
    ensure!(user.tally()? == 0.0, "{}", user.known()?);
    user.reaches_all()?;
    for service in SERVICES {
        user.tries(service, RIGHT, &Outcome::Accepted)?;
    }
    // Its servers count again.
    user.earns_a_ban()?;
    user.reaches_none()
}
