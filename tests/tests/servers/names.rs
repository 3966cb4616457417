//! Reverse DNS: what the owners of addresses say that they are called, who would like to be somebody else in the log.
//!
//! `tests/lab/files/all/etc/nsd/root.zone` says which address has which name.

use std::net::IpAddr;

use anyhow::ensure;
use banner_tests::lab::{Lab, client::sasl::plain, root::Kind};

use crate::{
    injecting::{Logs, at_once, attack::Attack, await_read, banned, ensure_nobody_else},
    scene::guarded,
};

/// Those whose address leads to a name of the zone, the last part of which is that far. 40 has none.
const HOSTS: std::ops::RangeInclusive<u8> = 1..=45;
/// An IPv6 host whose name is an IPv4 address, which it even leads back from.
const IN_IPV6: &str = "2001:db8:bad::8";
/// Whom the names would have banned.
const VICTIMS: [&str; 2] = ["198.51.100.66", "2001:db8::66"];

#[test]
fn whatever_a_host_is_called_its_failures_are_its_own_at_postfix_and_cyrus() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], &Logs::System.configuration(Kind::Cyrus))? else { return Ok(()) };
    judge(&lab)
}

#[test]
fn whatever_a_host_is_called_its_failures_are_its_own_at_postfix_and_dovecot() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Dovecot, &["quick"], &Logs::System.configuration(Kind::Dovecot))? else {
        return Ok(());
    };
    judge(&lab)
}

/// Has each fail twice, and once more.
fn judge(lab: &Lab) -> anyhow::Result<()> {
    let mut hosts: Vec<IpAddr> = HOSTS.map(|number| IpAddr::from([203, 0, 113, number])).collect();
    hosts.push(IN_IPV6.parse()?);
    let wrong = plain(b"alice", b"wrong");
    let smtp = |port, name| {
        Attack::new(name, port, 1.0, vec![b"EHLO x\r\n".to_vec(), format!("AUTH PLAIN {wrong}\r\n").into()])
    };
    let imap = Attack::new("IMAP", 143, 1.0, vec![b"a LOGIN alice wrong\r\n".to_vec()]);
    let pop = Attack::new("POP3", 110, 1.0, vec![b"USER alice\r\n".to_vec(), b"PASS wrong\r\n".to_vec()]);
    let sieve =
        Attack::new("ManageSieve", 4190, 1.0, vec![format!("AUTHENTICATE \"PLAIN\" \"{wrong}\"\r\n").into_bytes()]);
    let (smtp, out) = (smtp(25, "SMTP"), smtp(2526, "SMTP of another instance"));

    for attack in [&smtp, &imap] {
        at_once(lab, &hosts.iter().map(|host| (*host, attack)).collect::<Vec<_>>())?;
    }
    await_read(lab, Logs::System)?;
    for host in &hosts {
        let counted = Logs::System.counted(lab, &host.to_string())?;
        ensure!(counted.iter().all(|failures| *failures == 2.0), "{host}: {counted:?}");
    }
    ensure_nobody_else(lab, &VICTIMS, hosts.len())?;
    ensure!(banned(lab)?.is_empty(), "somebody is banned already: {:?}", banned(lab)?);

    let third = [&out, &pop, &sieve];
    at_once(
        lab,
        &hosts.iter().zip(third.into_iter().cycle()).map(|(host, attack)| (*host, attack)).collect::<Vec<_>>(),
    )?;
    crate::injecting::await_bans(lab, hosts.into_iter())
}
