//! Everybody who reads the log, each in its own way.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use banner_tests::{
    fail2ban::Fail2ban,
    installation::{Configuration, Installation, binary},
    mail_log::MailLog,
    measure::{Finished, Running, pause},
    network::Network,
    patience::PATIENCE,
};
use serde_json::Value;

use crate::log::Log;

/// Where Debian has it.
pub(crate) const SSHG_PARSER: &str = "/usr/libexec/sshguard/sshg-parser";

/// Between two looks at whether a daemon has read everything, none of which should cost it much.
const LOOK: Duration = Duration::from_millis(20);
const LOOK_SLOW: Duration = Duration::from_millis(500);

/// Until fail2ban has looked at its empty log.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// fail2ban-rs's own two filters, with the programs that submission and Cyrus log as; no more than the failures that all others count.
const FAIL2BAN_RS: &str = r"[global]

[jail.postfix]
log_path = '{log}'
date_format = 'iso8601'
max_retry = 3
find_time = '1d'
filter = ['postfix(?:/\w+)?/smtpd\[\d+\]: warning: .*\[<HOST>\]: SASL .* authentication failed']

[jail.cyrus-imap]
log_path = '{log}'
date_format = 'iso8601'
max_retry = 3
find_time = '1d'
filter = ['badlogin:.*\[<HOST>\].*SASL\(-13\)']
";

const FAIL2BAN: &str = "[DEFAULT]
bantime = 1d
findtime = 1d
maxretry = 3
backend = auto
banaction = noaction
action =
[postfix-sasl]
enabled = true
filter = postfix[mode=auth]
logpath = {log}
[cyrus-imap]
enabled = true
filter = cyrus-imap
logpath = {log}
";

/// What reading a log has cost.
pub(crate) struct Outcome {
    pub(crate) wall: Duration,
    pub(crate) processor: Duration,
    /// In bytes.
    pub(crate) peak: u64,
    pub(crate) peak_file: u64,
    /// As it tells itself.
    pub(crate) failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Match,
    Daemon,
    Fail2banRegex,
    Fail2banServer,
    SshgParser,
    Fail2banRs,
}

impl Contestant {
    pub(crate) const ALL: [Self; 6] =
        [Self::Match, Self::Daemon, Self::SshgParser, Self::Fail2banRs, Self::Fail2banRegex, Self::Fail2banServer];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Match => "banner match",
            Self::Daemon => "banner daemon",
            Self::Fail2banRegex => "fail2ban-regex",
            Self::Fail2banServer => "fail2ban-server",
            Self::SshgParser => "sshg-parser",
            Self::Fail2banRs => "fail2ban-rs",
        }
    }

    pub(crate) fn is_banner(self) -> bool {
        matches!(self, Self::Match | Self::Daemon)
    }

    /// Whether the whole log would take minutes.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::Fail2banRegex | Self::Fail2banServer)
    }

    pub(crate) fn read(self, log: &Log, network: &Network) -> anyhow::Result<Outcome> {
        match self {
            Self::Match => banner_match(log),
            Self::Daemon => banner_daemon(log, network),
            Self::Fail2banRegex => fail2ban_regex(log),
            Self::Fail2banServer => fail2ban_server(log, network),
            Self::SshgParser => sshg_parser(log),
            Self::Fail2banRs => fail2ban_rs(log),
        }
        .with_context(|| self.name().to_owned())
    }
}

impl Outcome {
    fn of(finished: &Finished, failures: u64) -> Self {
        let Finished { wall, processor, peak, peak_file, .. } = *finished;
        Self { wall, processor, peak, peak_file, failures }
    }
}

fn banner_match(log: &Log) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let (path, configuration) = (folder.path().join("mail.log"), folder.path().join("banner.toml"));
    log.write(&path)?;
    fs::write(&configuration, "")?;
    let mut command = Command::new(binary()?);
    command.args(["match", "--count", "--json", "--filter", "postfix-sasl", "--filter", "cyrus", "--config"]);
    let finished = Finished::of(command.arg(configuration).arg(path))?;
    let told: Value = serde_json::from_str(&finished.output)?;
    let filters = told.get("filters").and_then(Value::as_array).context("no filters")?;
    let failures = filters.iter().filter_map(|filter| filter.get("failures")?.as_u64()).sum();
    Ok(Outcome::of(&finished, failures))
}

fn banner_daemon(log: &Log, network: &Network) -> anyhow::Result<Outcome> {
    let installation = Installation::new(network, &Configuration { bans_v4: 65_536, ..Configuration::default() })?;
    let daemon = installation.start()?;
    let running = Running::new(daemon.pid())?;
    let (before, begin) = (running.processor_time()?, Instant::now());
    installation.log.append(&log.text)?;
    let length = installation.log.length()?;
    loop {
        pause(LOOK);
        let status = installation.status()?;
        let offset = status.pointer("/files/0/offset").and_then(Value::as_u64);
        if offset.is_some_and(|offset| offset >= length) {
            break;
        }
        if begin.elapsed() > PATIENCE {
            bail!("it has not read its log: {status}");
        }
    }
    let wall = begin.elapsed();
    // What it still does after the last line belongs to it: bans are written to disk within a second or two.
    pause(Duration::from_secs(2));
    let processor = running.processor_time()?.saturating_sub(before);
    let (peak, peak_file) = (running.memory("VmHWM")?, running.memory("RssFile")?);
    let status = installation.status()?;
    let jails = status.get("jails").and_then(Value::as_array).context("no jails")?;
    let failures = jails.iter().filter_map(|jail| jail.get("total_failed")?.as_u64()).sum();
    daemon.kill()?;
    Ok(Outcome { wall, processor, peak, peak_file, failures })
}

fn sshg_parser(log: &Log) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("mail.log");
    log.write(&path)?;
    let finished = Finished::reading(&mut Command::new(SSHG_PARSER), &path)?;
    // One line an attack: its service, the address and how it is written, how dangerous it is.
    let failures = u64::try_from(finished.output.lines().count())?;
    Ok(Outcome::of(&finished, failures))
}

fn fail2ban_rs(log: &Log) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let (path, configuration) = (folder.path().join("mail.log"), folder.path().join("config.toml"));
    log.write(&path)?;
    fs::write(&configuration, FAIL2BAN_RS.replace("{log}", &path.to_string_lossy()))?;
    let program =
        if fs::exists("/root/.cargo/bin/fail2ban-rs")? { "/root/.cargo/bin/fail2ban-rs" } else { "fail2ban-rs" };
    let finished = Finished::of(Command::new(program).args(["dry-run", "--config"]).arg(configuration).arg(path))?;
    // "    192.0.2.1: 7 failures  (...)", a line an address.
    let of = |line: &str| line.split_once(" failures")?.0.rsplit_once(' ')?.1.parse::<u64>().ok();
    let failures = finished.output.lines().filter_map(of).sum();
    Ok(Outcome::of(&finished, failures))
}

fn fail2ban_regex(log: &Log) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("mail.log");
    log.write(&path)?;
    let mut sum: Option<Outcome> = None;
    for filter in ["postfix[mode=auth]", "cyrus-imap"] {
        let finished = Finished::of(Command::new("fail2ban-regex").arg(&path).arg(filter))?;
        // "Lines: 20000 lines, 0 ignored, 2000 matched, 18000 missed"
        let matched = finished.output.lines().find_map(|line| line.strip_prefix("Lines: ")?.split(", ").nth(2));
        let matched = matched.and_then(|text| text.strip_suffix(" matched")).context("it tells of no lines")?;
        let one = Outcome::of(&finished, matched.parse()?);
        sum = Some(match sum {
            None => one,
            Some(other) => Outcome {
                wall: one.wall + other.wall,
                processor: one.processor + other.processor,
                peak: one.peak.max(other.peak),
                peak_file: one.peak_file.max(other.peak_file),
                failures: one.failures + other.failures,
            },
        });
    }
    sum.context("there are two filters")
}

fn fail2ban_server(log: &Log, network: &Network) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let file = MailLog::create(&folder.path().join("mail.log"))?;
    let mut fail2ban = Fail2ban::new(network, &FAIL2BAN.replace("{log}", &file.path().to_string_lossy()))?;
    let running = Running::new(fail2ban.start()?)?;
    // Its first look at a log seeks what is not too old; only what comes after that is read as lines that have just been written.
    pause(FIRST_LOOK);
    let (before, begin) = (running.processor_time()?, Instant::now());
    file.append(&log.text)?;
    let (mut failures, mut since) = (0, Instant::now());
    // Until it has found everything, or nothing more for a while.
    let wall = loop {
        pause(LOOK_SLOW);
        let found = fail2ban.count("postfix-sasl", "Total failed")? + fail2ban.count("cyrus-imap", "Total failed")?;
        if found > failures {
            (failures, since) = (found, Instant::now());
        }
        if failures >= log.failures() || since.elapsed() > Duration::from_secs(10) {
            break since.duration_since(begin);
        }
    };
    let processor = running.processor_time()?.saturating_sub(before);
    Ok(Outcome { wall, processor, peak: running.memory("VmHWM")?, peak_file: running.memory("RssFile")?, failures })
}
