//! Logins by curl(1): one process for all of them, told what to do by a configuration on its standard input.
//!
//! How it went comes back in two ways. A line for each transfer on standard error (`--write-out`) has curl's exit code, whether the
//! host was reached, and how long it took. But curl says "Login denied" (67) of a wrong password, of a backend that is down and of a
//! mechanism that is not offered; so each transfer also leaves in a file of its own what the server said (`--dump-header` holds the
//! replies of all these protocols), and the last line there decides.

mod config;

use std::{
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use config::MOUNT_POINT;

use super::{
    Attempt, Clients, Login, Outcome,
    reply::{Answer, Protocol, last_line, shown},
};

/// The most that curl does at once.
const MOST_AT_ONCE: u16 = 300;

/// Curl in the root, in a mount namespace of its own, where a folder of ours is the one place that it writes to.
/// `--disable` keeps it from a configuration file in the root.
const SCRIPT: &str = r#"mount --bind "$1" "$2$3" && exec chroot "$2" curl --disable --silent --no-progress-meter \
    --parallel --parallel-immediate --parallel-max "$4" --config -"#;

/// Tries all these logins; the attempts come in the same order.
pub(super) fn logins(clients: &Clients<'_>, logins: &[Login], at_once: u16) -> anyhow::Result<Vec<Attempt>> {
    ensure!((1..=MOST_AT_ONCE).contains(&at_once), "curl does 1 to {MOST_AT_ONCE} at once, not {at_once}");
    if logins.is_empty() {
        return Ok(Vec::new());
    }
    let config = config::all(logins, clients.patience)?;
    let heard = tempfile::tempdir()?;
    let curl = start(clients, heard.path(), at_once)?;
    let (mut attempts, complaints) = attend(curl, &config, logins, heard.path())?;
    ensure!(
        attempts.iter().all(Option::is_some),
        "curl tried {} of {} logins: {}",
        attempts.iter().flatten().count(),
        logins.len(),
        complaints.trim()
    );
    Ok(attempts.drain(..).flatten().collect())
}

fn start(clients: &Clients<'_>, heard: &Path, at_once: u16) -> anyhow::Result<Child> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]).arg(heard).arg(clients.root).arg(MOUNT_POINT);
    command.arg(at_once.to_string()).current_dir("/");
    // Proxies and the like are of the developer's machine.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let _inside = clients.internet.enter()?;
    command.spawn().context("running `unshare`; install the package util-linux")
}

/// Hands curl its configuration and takes the results as they come; also what else it says.
fn attend(
    mut curl: Child,
    config: &[u8],
    logins: &[Login],
    heard: &Path,
) -> anyhow::Result<(Vec<Option<Attempt>>, String)> {
    let mut input = curl.stdin.take().context("it has a standard input")?;
    // It reads all of it before it begins, so it says nothing meanwhile.
    match input.write_all(config) {
        // It did not begin; what it says tells why.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.context("telling curl what to do")?,
    }
    drop(input);
    let mut attempts: Vec<_> = logins.iter().map(|_| None).collect();
    let mut complaints = String::new();
    let lines = BufReader::new(curl.stderr.take().context("it has a standard error")?.take(LONGEST_REPORT));
    for line in lines.split(b'\n') {
        let line = line?;
        let finished = Instant::now();
        let Some(result) = Result::parse(&line) else {
            complaints.push_str(&shown(&line));
            complaints.push('\n');
            continue;
        };
        let slot = attempts.get_mut(result.index).with_context(|| format!("curl reports login {}", result.index))?;
        let protocol = logins.get(result.index).context("as many logins as attempts")?.service.protocol();
        *slot = Some(result.attempt(protocol, &heard.join(result.index.to_string()), finished)?);
    }
    curl.wait()?;
    Ok((attempts, complaints))
}

/// What curl may say in all, in bytes.
const LONGEST_REPORT: u64 = 64 << 20;

/// What curl says of a transfer.
#[derive(Debug, PartialEq)]
struct Result {
    /// Of the login.
    index: usize,
    exit_code: u16,
    /// Whether the host answered.
    is_connected: bool,
    lasted: Duration,
    /// What went wrong, in curl's words.
    message: String,
}

impl Result {
    /// From a line as [`config::WRITE_OUT`] makes it.
    fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let mut words = line.strip_prefix(config::RESULT)?.splitn(5, ' ');
        Some(Self {
            index: words.next()?.parse().ok()?,
            exit_code: words.next()?.parse().ok()?,
            is_connected: words.next()?.parse::<f64>().ok()? > 0.0,
            lasted: Duration::try_from_secs_f64(words.next()?.parse().ok()?).ok()?,
            message: words.next()?.to_owned(),
        })
    }

    fn attempt(&self, protocol: Protocol, heard: &Path, finished: Instant) -> anyhow::Result<Attempt> {
        let heard = match fs::read(heard) {
            // Nothing was heard.
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            heard => heard.context("reading what curl heard")?,
        };
        let outcome = self.outcome(protocol, &heard)?;
        Ok(Attempt { outcome, said: shown(last_line(&heard)), lasted: self.lasted, finished })
    }

    /// By curl's exit code (`curl/curl.h`, CURLcode) and what the server said.
    fn outcome(&self, protocol: Protocol, heard: &[u8]) -> anyhow::Result<Outcome> {
        let broken = || {
            let said = shown(last_line(heard));
            Outcome::Broken(format!("curl ({}): {}; the server's last line: \"{said}\"", self.exit_code, self.message))
        };
        Ok(match (self.exit_code, protocol.answer(last_line(heard))) {
            // Where SMTP offers no AUTH, curl goes on without (`smtp_perform_authentication`, lib/smtp.c).
            (OK, _) if protocol == Protocol::Smtp && !has_line(heard, SMTP_AUTHENTICATED) => {
                Outcome::Broken("the server has not asked who it is".to_owned())
            }
            (OK, _) => Outcome::Accepted,
            (OPERATION_TIMEDOUT, _) if !self.is_connected => Outcome::NoAnswer,
            // The server agrees, in words of a refusal.
            (LOGIN_DENIED, _) if self.message == CANCELLED => broken(),
            (LOGIN_DENIED, Answer::Refused) => Outcome::Refused,
            // Also of a greeting, which is no denied login.
            (LOGIN_DENIED | WEIRD_SERVER_REPLY, Answer::Unavailable) => Outcome::Unavailable,
            (code, _) if OWN_FAILURES.contains(&code) => bail!("curl itself failed ({code}): {}", self.message),
            _ => broken(),
        })
    }
}

fn has_line(heard: &[u8], start: &[u8]) -> bool {
    heard.split(|byte| *byte == b'\n').any(|line| line.starts_with(start))
}

/// What curl says where it does not understand the server's challenge (lib/curl_sasl.c).
const CANCELLED: &str = "Authentication cancelled";

/// RFC 4954, section 6.
const SMTP_AUTHENTICATED: &[u8] = b"235 ";
const OK: u16 = 0;
const WEIRD_SERVER_REPLY: u16 = 8;
const OPERATION_TIMEDOUT: u16 = 28;
const LOGIN_DENIED: u16 = 67;
/// Failed initialisation, malformed URL, not built in, writing, memory, a wrong argument, the client's own address, an unknown option.
const OWN_FAILURES: [u16; 8] = [2, 3, 4, 23, 27, 43, 45, 48];

#[cfg(test)]
mod tests;
