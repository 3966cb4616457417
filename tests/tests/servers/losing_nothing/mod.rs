//! Whatever is rotated, reloaded and started again under load: every failure that the servers logged is counted once.

mod attack;
mod books;

use anyhow::ensure;
use banner_tests::{
    installation::binary,
    lab::{Lab, Setup, root::Kind},
    patience::until,
};

use self::{
    attack::Attack,
    books::{balance, logged, matched},
};

#[test]
fn logrotate_loses_no_failure() -> anyhow::Result<()> {
    SYSLOG.under_attack(|lab, attack| {
        for change in ["", "s/delaycompress//", "s/delaycompress/dateext/"] {
            lab.server.script(&rotation(change))?;
            attack.go_on()?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Nobody looks at the log between two of them.
#[test]
fn three_rotations_in_a_row_lose_no_failure() -> anyhow::Result<()> {
    SYSLOG.under_attack(|lab, attack| {
        for _ in 0..3 {
            let rotation = rotation("");
            lab.server.script(&format!("{rotation}; {rotation}; {rotation}"))?;
            attack.go_on()?;
        }
        Ok(())
    })?;
    Ok(())
}

/// What is written between its copy and its truncation is in no file any more; all else is counted.
#[test]
fn copytruncate_loses_nothing_that_it_leaves() -> anyhow::Result<()> {
    COPIED.under_attack(|lab, attack| {
        for _ in 0..3 {
            lab.server.script(&rotation("s/sharedscripts/copytruncate/; /postrotate/,/endscript/d"))?;
            attack.go_on()?;
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn every_prefix_says_the_same() -> anyhow::Result<()> {
    let Some(lab) = SYSLOG.through(&[])? else { return Ok(()) };
    let expected = logged(&lab.server.script(SYSLOG.written)?)?;
    for reading in [
        "cat /var/log/mail.log",
        "cat /var/log/mail-3164.log",
        "cat /var/log/mail-5424.log",
        "journalctl --facility=mail --output=short",
        "journalctl --facility=mail --output=short-iso",
        "journalctl --facility=mail --output=short-iso-precise",
        "journalctl --facility=mail --output=short-precise",
    ] {
        let found = matched(&lab, reading)?;
        ensure!(found == expected, "{reading}: {found:?}\nand not {expected:?}");
    }
    Ok(())
}

#[test]
fn postfix_that_is_reloaded_and_restarted_loses_no_failure() -> anyhow::Result<()> {
    SYSLOG.through(&["postfix reload", "systemctl restart postfix", "postfix reload"])?;
    Ok(())
}

#[test]
fn cyrus_and_saslauthd_that_are_restarted_lose_no_failure() -> anyhow::Result<()> {
    SYSLOG.through(&[
        "systemctl restart cyrus-imapd",
        "systemctl restart saslauthd",
        "systemctl restart cyrus-imapd",
    ])?;
    Ok(())
}

/// While rsyslog is stopped for a moment, its socket keeps what journald passes on: systemd holds it.
#[test]
fn rsyslog_that_is_restarted_loses_no_failure() -> anyhow::Result<()> {
    SYSLOG.through(&["systemctl restart rsyslog", "systemctl stop rsyslog", "systemctl start rsyslog"])?;
    Ok(())
}

/// journald tells those who follow it of new entries four times a second (`POST_CHANGE_TIMER_INTERVAL_USEC` in systemd's
/// `journal-file.c`): what is removed sooner than that nobody has read, and there is no way to.
#[test]
fn journald_that_is_restarted_rotated_and_vacuumed_loses_no_failure() -> anyhow::Result<()> {
    SYSLOG.through(&[
        "systemctl restart systemd-journald",
        "journalctl --rotate",
        "journalctl --rotate",
        "sleep 2",
        "journalctl --vacuum-files=1",
        "systemctl restart systemd-journald",
    ])?;
    Ok(())
}

#[test]
fn banner_that_is_restarted_killed_and_reloaded_loses_no_failure() -> anyhow::Result<()> {
    SYSLOG.through(&[
        "systemctl restart banner",
        "systemctl kill --signal=KILL banner",
        "systemctl reload-or-restart banner",
        "systemctl reload-or-restart banner",
        "systemctl kill --signal=KILL banner",
    ])?;
    Ok(())
}

#[test]
fn whatever_happens_while_banner_is_stopped_loses_no_failure() -> anyhow::Result<()> {
    SYSLOG.under_attack(|lab, attack| {
        let rotation = rotation("");
        for script in [
            &rotation,
            &format!("{rotation}; {rotation}; {rotation}"),
            "systemctl restart postfix cyrus-imapd rsyslog systemd-journald; journalctl --rotate",
        ] {
            lab.server.run("systemctl stop banner")?;
            attack.go_on()?;
            lab.server.script(script)?;
            attack.go_on()?;
            lab.server.run("systemctl start banner")?;
            attack.go_on()?;
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_log_that_postfix_writes_and_rotates_itself_loses_no_failure() -> anyhow::Result<()> {
    POSTLOGD.through(&[
        // It names its rotated files by the second.
        "postfix logrotate",
        "systemctl restart banner",
        "postfix reload",
        "postfix logrotate",
    ])?;
    Ok(())
}

/// How the servers log, and where banner reads it.
struct Logging {
    variants: &'static [&'static str],
    /// A jail for each reading of it; the sources, as TOML. All but the first count without end.
    jails: &'static [(&'static str, &'static str)],
    /// Prints all that was logged.
    written: &'static str,
    /// Prints what a rotation has left of it.
    left: &'static str,
}

/// All prefixes that rsyslog and the journal give a line; Debian's own is that of `mail.log`.
const SYSLOG: Logging = Logging {
    variants: &["quick"],
    jails: &[
        ("mail", r#"["/var/log/mail.log"]"#),
        ("iso", r#"["/var/log/mail.log"]"#),
        ("rfc3164", r#"["/var/log/mail-3164.log"]"#),
        ("rfc5424", r#"["/var/log/mail-5424.log"]"#),
        ("journal", r#"["journal"]"#),
    ],
    written: "cat /var/log/mail-kept.log",
    left: "cat /var/log/mail-kept.log",
};

/// The file that is emptied under its writer.
const COPIED: Logging = Logging {
    jails: &[("mail", r#"["/var/log/mail.log"]"#), ("copied", r#"["/var/log/mail.log"]"#)],
    left: "zcat -f /var/log/mail.log*",
    ..SYSLOG
};

/// Postfix keeps a log of its own.
const POSTLOGD: Logging = Logging {
    variants: &["quick", "postlogd"],
    jails: &[
        ("mail", r#"["/var/log/mail.log", "/var/log/postfix.log"]"#),
        ("both", r#"["/var/log/mail.log", "/var/log/postfix.log"]"#),
    ],
    written: "cat /var/log/mail-kept.log; zcat -f /var/log/postfix.log*",
    left: "cat /var/log/mail-kept.log; zcat -f /var/log/postfix.log*",
};

impl Logging {
    /// Attacks a host while each of these commands is run, some time after the other, and sees that nothing was lost.
    fn through(&self, commands: &[&str]) -> anyhow::Result<Option<Lab>> {
        self.under_attack(|lab, attack| {
            for command in commands {
                // One that follows a kill may come too early.
                until(command, || Ok((lab.server.answer(command)?.code == Some(0)).then_some(())))?;
                attack.go_on()?;
            }
            Ok(())
        })
    }

    /// Attacks a host while `events` lasts, and sees that nothing was lost. None where there is no host.
    fn under_attack(
        &self,
        events: impl FnOnce(&Lab, &Attack<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Lab>> {
        let variants = self.variants.iter().map(|name| (*name).to_owned()).collect();
        let setup = Setup { variants, configuration: self.configuration(), ..Setup::new(Kind::Cyrus, binary()?) };
        let Some(lab) = Lab::up(&setup)? else { return Ok(None) };
        lab.server.script(PREPARE)?;
        lab.start_banner()?;
        let answered = Attack::during(&lab, |attack| events(&lab, attack))?;
        let jails: Vec<_> = self.jails.iter().skip(1).map(|(name, _)| *name).collect();
        balance(&lab, &answered, self.written, self.left, &jails)?;
        Ok(Some(lab))
    }

    fn configuration(&self) -> String {
        let jails = self.jails.iter().enumerate().map(|(index, (name, source))| {
            let maxretry = if index == 0 { attack::MAXRETRY } else { 1000 };
            format!(
                "[jail.{name}]\nfilter = [\"postfix-sasl\", \"cyrus\"]\nsource = {source}\nmaxretry = {maxretry}\n\
                 findtime = \"1h\"\nbantime = \"1h\"\n"
            )
        });
        jails.collect()
    }
}

/// All of the mail facility once more, in a file that nobody rotates. And Cyrus's master, which spins while a connection waits
/// that it no longer takes (Debian 12's 3.6, under load), is killed after two seconds and not after systemd's 90.
const PREPARE: &str = "
    echo 'mail.* -/var/log/mail-kept.log' > /etc/rsyslog.d/kept.conf
    mkdir -p /etc/systemd/system/cyrus-imapd.service.d
    printf '[Service]\\nTimeoutStopSec=2\\n' > /etc/systemd/system/cyrus-imapd.service.d/stop.conf
    systemctl daemon-reload
    systemctl restart rsyslog
";

/// Runs Debian's logrotate with Debian's configuration for rsyslog, changed by a command of sed(1).
fn rotation(change: &str) -> String {
    format!("sed '{change}' /etc/logrotate.d/rsyslog > /run/rotation; logrotate --force /run/rotation")
}
