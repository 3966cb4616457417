//! The log of a mail server, as rsyslog writes it (RSYSLOG_FileFormat) when Postfix and Cyrus speak to it.

use std::{
    fs::{self, File},
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use jiff::Timestamp;

/// A log file that is appended to.
#[derive(Clone, Debug)]
pub struct MailLog(PathBuf);

impl MailLog {
    /// Makes it, empty, where it does not exist.
    ///
    /// # Errors
    /// The system's.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let log = Self(path.to_owned());
        log.append("")?;
        Ok(log)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Appends in one write, so that no reader sees half of it. Makes the file where it is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&self, text: &str) -> anyhow::Result<()> {
        let file = File::options().create(true).append(true).open(&self.0);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("writing {}", self.0.display()))
    }

    /// How long it is, in bytes: where the next line will begin.
    ///
    /// # Errors
    /// The system's.
    pub fn length(&self) -> anyhow::Result<u64> {
        Ok(fs::metadata(&self.0)?.len())
    }
}

/// A wrong password at SMTP (`src/smtpd/smtpd_sasl_glue.c`, `smtpd_sasl_auth_chunk`).
#[must_use]
pub fn postfix(source: IpAddr, user: &str) -> String {
    postfix_because(source, &format!("authentication failure, sasl_username={user}"))
}

/// The same, logged at another time.
#[must_use]
pub fn postfix_at(source: IpAddr, user: &str, at: Timestamp) -> String {
    line_at("postfix/smtpd", &postfix_message(source, &format!("authentication failure, sasl_username={user}")), at)
}

/// The backend that knows the passwords does not answer; right ones fail too.
#[must_use]
pub fn postfix_outage(source: IpAddr) -> String {
    postfix_because(source, "generic failure")
}

fn postfix_because(source: IpAddr, reason: &str) -> String {
    line("postfix/smtpd", &postfix_message(source, reason))
}

fn postfix_message(source: IpAddr, reason: &str) -> String {
    format!("warning: unknown[{source}]: SASL PLAIN authentication failed: {reason}")
}

/// A wrong password at IMAP (`imap/imapd.c`, `cmd_login`).
#[must_use]
pub fn cyrus(source: IpAddr, user: &str) -> String {
    cyrus_because(source, user, "SASL(-13): authentication failure: checkpass failed")
}

/// As [`postfix_outage`], of Cyrus.
#[must_use]
pub fn cyrus_outage(source: IpAddr) -> String {
    cyrus_because(source, "alice", "SASL(-1): generic failure: checkpass failed")
}

fn cyrus_because(source: IpAddr, user: &str, reason: &str) -> String {
    line("cyrus/imap", &format!("badlogin: [{source}] plaintext ({user}) [{reason}]"))
}

/// A message of a program, logged now, with its line end.
#[must_use]
pub fn line(program: &str, message: &str) -> String {
    line_at(program, message, Timestamp::now())
}

/// The same, logged at another time.
#[must_use]
pub fn line_at(program: &str, message: &str, at: Timestamp) -> String {
    let stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string();
    format!("{stamp} mail {program}[4711]: {message}\n")
}
