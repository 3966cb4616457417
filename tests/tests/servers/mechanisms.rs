//! Every way to log in that the servers offer: each port, with and without TLS, each mechanism, over IPv4 and IPv6. Each try comes from
//! a source of its own, and counts for that one what it must: one for a wrong password or an unknown user, nothing for a right
//! password.
//!
//! The jails count without ever banning, so that nobody is shut out before his books are looked at.

mod books;
mod door;
mod guest;
mod table;

use std::net::IpAddr;

use anyhow::ensure;
use banner_tests::lab::{
    client::{Outcome, Service, reply::Protocol},
    root::Kind,
};
use books::{Books, Entry};
use door::{Try, all_at_once, in_parallel};
use guest::Guest;
use table::{CYRUS, DOVECOT, Row, SASLDB};

use crate::{
    injecting::attack::sender,
    scene::{RIGHT, WRONG, guarded},
};

/// What the jails read: the same lines twice, on their way through syslog and from journald, which says who wrote them.
const FILE_AND_JOURNAL: &[(&str, &str)] = &[("file", "[\"/var/log/mail.log\"]"), ("journal", "\"journal\"")];
/// The log that Postfix writes by itself.
const POSTLOGD: &[(&str, &str)] = &[("own", "[\"/var/log/postfix.log\"]")];

const USER: &str = "alice";
/// Nobody has this name.
const STRANGER: &str = "mallory";

#[test]
fn each_mechanism_of_postfix_and_cyrus_with_saslauthd_counts_what_it_must() -> anyhow::Result<()> {
    matrix(Kind::Cyrus, &["quick"], FILE_AND_JOURNAL, CYRUS)
}

#[test]
fn each_mechanism_of_postfix_and_cyrus_with_sasldb_counts_what_it_must() -> anyhow::Result<()> {
    matrix(Kind::Cyrus, &["quick", "sasldb"], FILE_AND_JOURNAL, SASLDB)
}

#[test]
fn each_mechanism_of_postfix_and_dovecot_counts_what_it_must() -> anyhow::Result<()> {
    matrix(Kind::Dovecot, &["quick"], FILE_AND_JOURNAL, DOVECOT)
}

#[test]
fn each_mechanism_counts_what_it_must_in_a_log_by_postfix_itself() -> anyhow::Result<()> {
    let is_smtp = |row: &&Row| row.doors().any(|door| door.protocol() == Some(Protocol::Smtp));
    let rows: Vec<_> = SASLDB.iter().filter(is_smtp).copied().collect();
    matrix(Kind::Cyrus, &["quick", "sasldb", "postlogd"], POSTLOGD, &rows)
}

/// Tries each row at each of its doors, over both families, with a wrong password, a name that nobody has, and a right password.
fn matrix(kind: Kind, variants: &[&str], jails: &[(&str, &str)], rows: &[Row]) -> anyhow::Result<()> {
    let books = Books { jails, kind };
    let Some(lab) = guarded(kind, variants, &books.configuration())? else { return Ok(()) };
    let mut sources = (0..).map(sender);
    let mut tries = Vec::new();
    let mut entries = Vec::new();
    for row in rows {
        for door in row.doors() {
            for (user, password) in [(USER, WRONG), (STRANGER, WRONG), (USER, RIGHT)] {
                if password == RIGHT && !door.can_be_entered() {
                    continue;
                }
                // One of each family.
                for source in sources.by_ref().take(2) {
                    tries.push(Try { source, door, user, password });
                    entries.push(Entry::of(row, source, user, password == RIGHT));
                }
            }
        }
    }
    let outcomes = all_at_once(&lab, &tries)?;
    let faults: Vec<_> = tries
        .iter()
        .zip(&outcomes)
        .filter_map(|(tried, outcome)| {
            let expected = if tried.password == RIGHT { Outcome::Accepted } else { Outcome::Refused };
            (*outcome != expected).then(|| format!("{tried:?}: {outcome:?}"))
        })
        .collect();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    books.audit(&lab, &entries, |source| describe(&tries, source))
}

fn describe(tries: &[Try], source: IpAddr) -> String {
    tries.iter().find(|tried| tried.source == source).map(|tried| format!("{tried:?}")).unwrap_or_default()
}

#[test]
fn three_wrong_passwords_in_one_connection_count_three_with_postfix_and_cyrus() -> anyhow::Result<()> {
    persistent(Kind::Cyrus)
}

#[test]
fn three_wrong_passwords_in_one_connection_count_three_with_postfix_and_dovecot() -> anyhow::Result<()> {
    persistent(Kind::Dovecot)
}

/// Who tries again and again in one connection, at each port; he may leave in order, or hang up.
fn persistent(kind: Kind) -> anyhow::Result<()> {
    let books = Books { jails: FILE_AND_JOURNAL, kind };
    let Some(lab) = guarded(kind, &["quick"], &books.configuration())? else { return Ok(()) };
    let mut sources = (0..).map(sender);
    let mut guests = Vec::new();
    for service in table::SERVICES {
        for transport in table::transports(service) {
            for leaves_in_order in [true, false] {
                for source in sources.by_ref().take(2) {
                    guests.push(Guest { source, service, transport: *transport, leaves_in_order });
                }
            }
        }
    }
    in_parallel(&guests, |guest| guest.guesses(&lab, USER, WRONG, 3))?;
    let entries: Vec<_> = guests
        .iter()
        .map(|guest| {
            // timsieved does not say who failed.
            let is_named = (kind, guest.service) != (Kind::Cyrus, Service::Sieve);
            Entry { source: guest.source, failures: 3.0, name: is_named.then(|| USER.to_owned()), success: None }
        })
        .collect();
    books.audit(&lab, &entries, |source| format!("{:?}", guests.iter().find(|guest| guest.source == source)))
}

#[test]
fn a_message_of_an_authenticated_client_is_known_as_a_success() -> anyhow::Result<()> {
    let books = Books { jails: FILE_AND_JOURNAL, kind: Kind::Cyrus };
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], &books.configuration())? else { return Ok(()) };
    let mut sources = (0..).map(sender);
    let mut guests = Vec::new();
    for service in table::SERVICES.into_iter().filter(|service| service.protocol() == Protocol::Smtp) {
        for transport in table::transports(service) {
            for source in sources.by_ref().take(2) {
                guests.push(Guest { source, service, transport: *transport, leaves_in_order: true });
            }
        }
    }
    in_parallel(&guests, |guest| guest.submits(&lab, USER, RIGHT))?;
    let entry =
        |guest: &Guest| Entry { source: guest.source, failures: 0.0, name: None, success: Some(USER.to_owned()) };
    let entries: Vec<_> = guests.iter().map(entry).collect();
    books.audit(&lab, &entries, |source| format!("{:?}", guests.iter().find(|guest| guest.source == source)))
}
