//! Debian's fail2ban, at work beside banner.

use std::{collections::BTreeMap, fs, net::IpAddr};

use anyhow::Context as _;
use banner_tests::{lab::Lab, patience::until};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// The files of `tests/lab/files` that configure it.
pub(crate) const LAYER: &str = "fail2ban";

/// Whom each of its jails has banned, and when.
pub(crate) type Bans = BTreeMap<(String, IpAddr), Timestamp>;

/// Starts it, and waits until it watches.
///
/// # Errors
/// It does not.
pub(crate) fn start(lab: &Lab) -> anyhow::Result<()> {
    lab.server.run("systemctl start fail2ban")?;
    until("fail2ban's jails are up", || {
        let answer = lab.server.answer("fail2ban-client status")?;
        Ok((answer.code == Some(0) && answer.stdout.contains("sieve")).then_some(()))
    })
}

/// What its log says.
///
/// # Errors
/// The log cannot be read.
pub(crate) fn bans(lab: &Lab) -> anyhow::Result<Bans> {
    let log = fs::read_to_string(lab.server.path("/var/log/fail2ban.log")).context("fail2ban's log")?;
    log.lines().filter(|line| line.contains(" Ban ")).map(ban).collect()
}

/// `2026-11-22 22:11:12,123 fail2ban.actions        [123]: NOTICE  [postfix-sasl] Ban 192.0.2.1`, in the time zone of the host.
fn ban(line: &str) -> anyhow::Result<((String, IpAddr), Timestamp)> {
    let parsed = (|| {
        let at: DateTime = line.get(..23)?.replace(',', ".").parse().ok()?;
        let (head, address) = line.split_once("] Ban ")?;
        let jail = head.rsplit_once('[')?.1.to_owned();
        let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some(((jail, address.trim().parse().ok()?), at))
    })();
    parsed.with_context(|| format!("no ban of fail2ban's: {line}"))
}
