//! Text that attackers write into the log, by real servers: it bans nobody else, and it keeps nobody from being counted.
//!
//! The victims are never heard of by any server. Each attack has a sender of his own, so that what counts for him is his doing.

pub(crate) mod attack;
mod indirect;
mod protocol;
mod user_names;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
    thread,
};

use anyhow::{Context as _, anyhow, ensure};
use attack::{Attack, NOTHING, ONE, sender};
use banner_tests::{
    command_line::CommandLine as _,
    lab::{Lab, root::Kind},
    patience::until,
};
use serde_json::{Value, json};

use crate::scene::guarded;

/// Whom the attackers want to be banned.
const VICTIMS: [&str; 2] = ["203.0.113.9", "2001:db8:9::9"];

/// Whose failures come last.
const WITNESS: &str = "203.0.113.200";

/// Attackers at once.
const AT_ONCE: usize = 32;

#[test]
fn a_user_name_counts_for_its_sender_alone_at_postfix_and_cyrus() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], &Logs::System.configuration(Kind::Cyrus))? else { return Ok(()) };
    let attacks = [user_names::attacks(Kind::Cyrus), user_names::nameless(Kind::Cyrus)].concat();
    judge(&lab, Logs::System, &attacks)
}

#[test]
fn a_user_name_counts_for_its_sender_alone_at_postfix_and_dovecot() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Dovecot, &["quick"], &Logs::System.configuration(Kind::Dovecot))? else {
        return Ok(());
    };
    let attacks = [user_names::attacks(Kind::Dovecot), user_names::nameless(Kind::Dovecot)].concat();
    judge(&lab, Logs::System, &attacks)
}

#[test]
fn what_else_a_client_says_counts_for_it_alone_at_postfix_and_cyrus() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Cyrus, &["quick"], &Logs::System.configuration(Kind::Cyrus))? else { return Ok(()) };
    let attacks = [protocol::smtp(Kind::Cyrus), protocol::cyrus()].concat();
    judge(&lab, Logs::System, &attacks)
}

#[test]
fn a_response_to_a_challenge_counts_for_its_sender_alone() -> anyhow::Result<()> {
    let configuration = Logs::System.configuration(Kind::Cyrus);
    let Some(lab) = guarded(Kind::Cyrus, &["quick", "sasldb"], &configuration)? else { return Ok(()) };
    judge(&lab, Logs::System, &protocol::challenged())
}

#[test]
fn what_else_a_client_says_counts_for_it_alone_at_dovecot() -> anyhow::Result<()> {
    let Some(lab) = guarded(Kind::Dovecot, &["quick"], &Logs::System.configuration(Kind::Dovecot))? else {
        return Ok(());
    };
    judge(&lab, Logs::System, &[protocol::smtp(Kind::Dovecot), protocol::dovecot()].concat())
}

#[test]
fn what_a_client_says_counts_for_it_alone_in_a_log_by_postfix_itself() -> anyhow::Result<()> {
    let configuration = Logs::Postlogd.configuration(Kind::Cyrus);
    let Some(lab) = guarded(Kind::Cyrus, &["quick", "postlogd"], &configuration)? else { return Ok(()) };
    judge(&lab, Logs::Postlogd, &protocol::smtp(Kind::Cyrus))
}

/// The forms of a log that jails read.
#[derive(Clone, Copy)]
pub(crate) enum Logs {
    /// What goes to syslog and journald, in each of the forms that it comes in.
    System,
    /// The journal alone.
    Journal,
    /// Postfix's own file, and what the others log to syslog.
    Postlogd,
}

impl Logs {
    /// Jails by their names, and what they read.
    fn jails(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::System => &[
                ("iso", "[\"/var/log/mail-iso.log\"]"),
                ("traditional", "[\"/var/log/mail-3164.log\"]"),
                ("protocol", "[\"/var/log/mail-5424.log\"]"),
                ("journal", "\"journal\""),
            ],
            Self::Journal => &[("journal", "\"journal\"")],
            Self::Postlogd => &[("files", "[\"/var/log/postfix.log\", \"/var/log/mail.log\"]")],
        }
    }

    /// Has a jail for each, with every filter that there is for these servers.
    pub(crate) fn configuration(self, kind: Kind) -> String {
        let jail = |(name, source): &(&str, &str)| {
            format!(
                "[jail.{name}]\nsource = {source}\nmaxretry = 3\nbantime = \"1h\"\n\
                 filter = [\"postfix-sasl\", \"{}\", \"postfix-abuse\", \"postfix-reject\", \"postscreen\"]\n",
                kind.name()
            )
        };
        format!("[jail.mail]\nenabled = false\n{}", self.jails().iter().map(jail).collect::<String>())
    }

    /// How many failures each jail counts of a source.
    pub(crate) fn counted(self, lab: &Lab, source: &str) -> anyhow::Result<Vec<f64>> {
        let why = why(lab, source)?;
        let tally = why.get("tally").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let in_jail = |(name, _): &(&str, &str)| {
            let jail = tally.iter().find(|jail| jail.get("jail") == Some(&(*name).into()));
            jail.and_then(|jail| jail.get("failures")?.as_f64()).unwrap_or_default()
        };
        Ok(self.jails().iter().map(in_jail).collect())
    }
}

fn why(lab: &Lab, source: &str) -> anyhow::Result<Value> {
    let answer = lab.banner(&format!("why {source} --json"))?;
    serde_json::from_str(&answer.stdout).with_context(|| format!("{answer:?}"))
}

/// Has all of them attack once, and sees what that counts for whom; then twice more, and sees who is banned.
fn judge(lab: &Lab, logs: Logs, attacks: &[Attack]) -> anyhow::Result<()> {
    let all: Vec<_> = (0..).map(sender).zip(attacks).collect();
    at_once(lab, &all)?;
    await_read(lab, logs)?;
    let mut faults = Vec::new();
    for (from, attack) in &all {
        let counted = logs.counted(lab, &from.to_string())?;
        if counted.iter().any(|failures| *failures != attack.counts) {
            let log = lab.server.answer(&format!("grep --text --fixed-strings {from} /var/log/mail.log"))?.stdout;
            faults.push(format!("{} (of {from}) must count {}: {counted:?}\n{log}", attack.name, attack.counts));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    let counting = attacks.iter().filter(|attack| attack.counts > NOTHING).count();
    ensure_nobody_else(lab, &VICTIMS, counting)?;

    let deserving: Vec<_> = all.into_iter().filter(|(_, attack)| attack.counts >= ONE).collect();
    at_once(lab, &deserving)?;
    // Some have done enough.
    let not_yet: Vec<_> = deserving.iter().filter(|(_, attack)| 2.0 * attack.counts < 3.0).copied().collect();
    at_once(lab, &not_yet)?;
    await_bans(lab, deserving.iter().map(|(from, _)| *from))?;
    ensure_printable(lab, &deserving)
}

/// Waits until these sources are banned, and sees that nobody else is.
pub(crate) fn await_bans(lab: &Lab, sources: impl Iterator<Item = IpAddr>) -> anyhow::Result<()> {
    let expected: BTreeSet<_> = sources.map(prefix).collect();
    until("all who deserve it are banned", || Ok((banned(lab)?.len() >= expected.len()).then_some(())))?;
    let banned = banned(lab)?;
    ensure!(banned == expected, "{:?} are banned as well", banned.difference(&expected).collect::<Vec<_>>());
    Ok(())
}

/// So many attacks at a time.
pub(crate) fn at_once(lab: &Lab, attacks: &[(IpAddr, &Attack)]) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|worker| {
                scope.spawn(move || {
                    let mut own = attacks.iter().skip(worker).step_by(AT_ONCE);
                    own.try_for_each(|(from, attack)| attack.send(&lab.network, *from))
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}

/// Waits until all that was logged before has been read: an honest user fails after it, with every server.
pub(crate) fn await_read(lab: &Lab, logs: Logs) -> anyhow::Result<()> {
    let before = logs.counted(lab, WITNESS)?;
    let witness = WITNESS.parse()?;
    let tries = user_names::honest();
    for attack in &tries {
        attack.send(&lab.network, witness)?;
    }
    let expected = f64::from(u8::try_from(tries.len())?);
    until("the log is read", || {
        let counted = logs.counted(lab, WITNESS)?;
        Ok(counted.iter().zip(&before).all(|(now, before)| now - before >= expected).then_some(()))
    })
}

/// That so many sources have failures, and the witness, and none of the victims.
pub(crate) fn ensure_nobody_else(lab: &Lab, victims: &[&str], counting: usize) -> anyhow::Result<()> {
    for victim in victims {
        let why = why(lab, victim)?;
        for key in ["tally", "failures", "bans"] {
            ensure!(why.get(key) == Some(&json!([])), "{why}");
        }

        lab.banner(&format!("why {victim}"))?.expect(1)?;
    }
    let status = lab.json("status --json")?;
    for jail in status.get("jails").and_then(Value::as_array).into_iter().flatten() {
        ensure!(
            jail.get("currently_failed") == Some(&(counting + 1).into()),
            "{counting} senders and a witness: {jail}"
        );
    }
    let warnings = status.get("warnings").map(Value::to_string).unwrap_or_default();
    ensure!(!warnings.contains("backend does not answer"), "none is down: {warnings}");
    Ok(())
}

/// That nothing which an attacker wrote reaches a terminal or a log but as harmless text.
fn ensure_printable(lab: &Lab, attacks: &[(IpAddr, &Attack)]) -> anyhow::Result<()> {
    let mut texts = vec![lab.banner("status")?, lab.banner("bans")?];
    for (from, _) in attacks {
        texts.push(lab.banner(&format!("why {from}"))?);
    }
    texts.push(lab.server.answer("journalctl --no-pager --output cat --all --unit banner")?);
    for text in texts {
        let harmful = text.stdout.chars().find(|letter| is_harmful(*letter));
        ensure!(harmful.is_none(), "{harmful:?} in {:?}", text.stdout);
    }
    Ok(())
}

/// Control characters; line ends and directions of Unicode; what was no UTF-8.
fn is_harmful(letter: char) -> bool {
    letter != '\n' && letter.is_control()
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | char::REPLACEMENT_CHARACTER)
}

pub(crate) fn banned(lab: &Lab) -> anyhow::Result<BTreeSet<String>> {
    let prefix =
        |ban: &Value| ban.get("prefix").and_then(Value::as_str).map(str::to_owned).with_context(|| ban.to_string());
    lab.bans()?.iter().map(prefix).collect()
}

/// As banner calls a source: IPv6 is judged by /64.
fn prefix(source: IpAddr) -> String {
    match source {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
