//! Both watch while all do what they do; then the table is compared with whom they banned.

use std::{
    fs,
    io::Write as _,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::Context as _;
use banner_tests::{
    installation::binary,
    lab::{Lab, Setup, root::Kind},
    patience::until,
};
use jiff::{SignedDuration, Timestamp};

use super::{
    fail2ban,
    row::{Row, When},
    verdict::{self, IMPORTED, JAILS},
};

/// What both read.
pub(crate) const LOG: &str = "/var/log/mail.log";

/// How many do something at the same time.
const AT_ONCE: usize = 8;

/// Runs it.
///
/// # Errors
/// Somebody is banned or not otherwise than the table has it, or the lab's.
pub(crate) fn hold(kind: Kind, rows: &[Row]) -> anyhow::Result<()> {
    let setup = Setup {
        variants: ["quick", fail2ban::LAYER].map(str::to_owned).into(),
        configuration: configuration(kind),
        ..Setup::new(kind, binary()?)
    };
    let Some(lab) = Lab::up(&setup)? else { return Ok(()) };
    let oldest = date_back(&lab, rows)?;
    lab.start_banner()?;
    fail2ban::start(&lab)?;
    let (breaks, mends) = backend(kind);
    perform(&lab, rows, When::Usual)?;
    lab.server.script(breaks)?;
    perform(&lab, rows, When::Outage)?;
    lab.server.script(mends)?;
    until("the first failures are ten minutes old", || {
        Ok(oldest.is_none_or(|at| Timestamp::now() > at + SignedDuration::from_secs(601)).then_some(()))
    })?;
    perform(&lab, rows, When::Late)?;
    // A server logs the last that it has to say of a connection before it closes it.
    until("the servers have closed all connections", || {
        let open = lab.server.run("ss --no-header --tcp --numeric state established state close-wait")?;
        Ok(open.trim().is_empty().then_some(()))
    })?;
    // Each reads the log in its order: who has banned these has seen all lines before.
    perform(&lab, rows, When::Closing)?;
    verdict::compare(&lab, rows)
}

/// banner's.
fn configuration(kind: Kind) -> String {
    let own = match kind {
        Kind::Cyrus => r#"filter = ["postfix-sasl", "cyrus"]"#,
        Kind::Dovecot => r#"filter = ["postfix-sasl", "dovecot"]"#,
    };
    let rest = format!("source = [\"{LOG}\"]\nobserve = true\n");
    let mut text = format!("ignoreip = [\"198.51.100.200\"]\n[jail.mail]\n{own}\n{rest}");
    text += &format!("[jail.abuse]\nfilter = [\"postfix-abuse\", \"postscreen\", \"postfix-reject\"]\n{rest}");
    for (jail, filter) in JAILS {
        text += &format!("[jail.{IMPORTED}{jail}]\nfilter = [\"fail2ban:/etc/fail2ban/filter.d/{filter}\"]\n{rest}");
    }
    text
}

/// How what checks passwords is taken away, and brought back.
fn backend(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Cyrus => ("systemctl stop saslauthd", "systemctl start saslauthd"),
        // Dovecot asks a database that is not there.
        Kind::Dovecot => (
            r"cp /etc/dovecot/dovecot.conf /etc/dovecot/usual.conf
            sed -i '/driver = passwd-file/{s/passwd-file/checkpassword/;n;s/=.*/= \/etc\/dovecot\/away/}' /etc/dovecot/dovecot.conf
            systemctl restart dovecot
            until doveadm auth test carol secret 2>&1 | grep -q temp; do sleep 0.1; done",
            r"mv /etc/dovecot/usual.conf /etc/dovecot/dovecot.conf
            systemctl restart dovecot
            until doveadm auth test carol secret; do sleep 0.1; done",
        ),
    }
}

/// Has what was done before done, and leaves a log with nothing but the servers' lines of it, at the times when it should have
/// happened. The first of these; None where nobody has done anything before.
fn date_back(lab: &Lab, rows: &[Row]) -> anyhow::Result<Option<Timestamp>> {
    let mut lines = Vec::new();
    for row in rows.iter().filter(|row| !row.before.is_empty()) {
        let (from, deed) = row.from.first().zip(row.deeds.first()).context("who has done something is somebody")?;
        deed.perform(lab, *from)?;
        let client = format!("[{from}]");
        let written: Vec<String> = until("the log has it", || {
            let log = fs::read_to_string(lab.server.path(LOG))?;
            let lines = log.lines().filter(|line| line.contains(&client));
            // What the servers say of a failure, and not what Postfix says of its connections.
            let lines: Vec<_> = lines.filter(|line| line.contains(": SASL ") || line.contains("badlogin:")).collect();
            Ok((!lines.is_empty()).then(|| lines.into_iter().map(str::to_owned).collect()))
        })?;
        for (seconds, line) in row.before.iter().flat_map(|seconds| written.iter().map(move |line| (*seconds, line))) {
            let (_, rest) = line.split_once(' ').context("a line begins with its stamp")?;
            let at = Timestamp::now() - SignedDuration::from_secs(i64::try_from(seconds)?);
            lines.push((at, format!("{at:.6} {rest}\n")));
        }
    }
    lines.sort();
    let mut log = fs::File::create(lab.server.path(LOG)).context("the log")?;
    for (_, line) in &lines {
        log.write_all(line.as_bytes())?;
    }
    Ok(lines.first().map(|(at, _)| *at))
}

/// All do what they do then, several at the same time.
fn perform(lab: &Lab, rows: &[Row], when: When) -> anyhow::Result<()> {
    let rows: Vec<_> = rows.iter().filter(|row| row.when == when).collect();
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<()> {
        while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            for (deed, from) in row.deeds.iter().zip(row.from.iter().cycle()) {
                deed.perform(lab, *from).with_context(|| format!("{from} {}", row.does))?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
