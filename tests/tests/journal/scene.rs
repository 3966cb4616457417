//! A mail server whose Postfix logs to a journal.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use banner_tests::{
    command_line::CommandLine as _,
    installation::{Configuration, Daemon, Installation},
    journal::{Journal, entries},
    mail_log::postfix_at,
    network::Network,
    patience::until,
};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const NOW: Duration = Duration::ZERO;

/// The source of this number.
pub(crate) fn source(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, number))
}

/// The server, and banner on it.
pub(crate) struct Scene<'n> {
    pub(crate) installation: Installation<'n>,
    pub(crate) journal: Journal,
}

impl<'n> Scene<'n> {
    /// None where this machine has no journal to test with. `sources` are the jail's, as TOML.
    pub(crate) fn new(network: &'n Network, sources: &str) -> anyhow::Result<Option<Self>> {
        let Some(journal) = Journal::new()? else { return Ok(None) };
        let installation = Installation::new(network, &Configuration::default())?;
        let scene = Self { installation, journal };
        scene.configure(sources)?;
        Ok(Some(scene))
    }

    pub(crate) fn configure(&self, sources: &str) -> anyhow::Result<()> {
        self.installation.configure(&Configuration { source: Some(sources.to_owned()), ..Configuration::default() })
    }

    /// Starts the daemon, and waits until it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<Daemon> {
        let mut daemon = self.journal.within(|| self.installation.spawn())?;
        until("the daemon answers", || {
            if let Some(status) = daemon.has_ended()? {
                bail!("the daemon ended by itself: {status}");
            }
            Ok((self.installation.banner("status --json")?.code == Some(0)).then_some(()))
        })
        .with_context(|| daemon.output())?;
        Ok(daemon)
    }

    /// Has sources fail in the journal, once for each time that they are named: so long ago.
    pub(crate) fn fail(&self, failures: &[(u8, Duration)]) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let lines = failures.iter().map(|(number, ago)| postfix_at(source(*number), "alice", now - *ago));
        self.journal.append(&entries(&lines.collect::<String>())?)
    }

    /// Waits until everything that was written before has been read: this source fails thereafter, until it is banned.
    pub(crate) fn read_up_to(&self, sentinel: u8) -> anyhow::Result<()> {
        self.fail(&[(sentinel, NOW); 3])?;
        self.installation.await_ban(&source(sentinel).to_string())?;
        Ok(())
    }

    /// The last parts of the addresses that are banned.
    pub(crate) fn banned(&self) -> anyhow::Result<BTreeSet<u8>> {
        let number = |ban: &Value| ban["prefix"].as_str()?.strip_prefix("198.51.100.")?.parse().ok();
        let bans = self.installation.bans()?;
        bans.iter().map(|ban| number(ban).with_context(|| format!("an unexpected ban: {ban}"))).collect()
    }

    /// How many failures of a source count now.
    pub(crate) fn failures(&self, number: u8) -> anyhow::Result<f64> {
        let answer = self.installation.banner(&format!("why {} --json", source(number)))?;
        let why: Value = serde_json::from_str(&answer.stdout).with_context(|| format!("{answer:?}"))?;
        let tally = why["tally"].as_array().with_context(|| why.to_string())?;
        tally.iter().map(|jail| jail["failures"].as_f64().with_context(|| why.to_string())).sum()
    }

    /// What `status` says of the journal; none where it is no source.
    pub(crate) fn status(&self) -> anyhow::Result<Option<Value>> {
        let status = self.installation.json("status --json")?;
        let mut files = status["files"].as_array().into_iter().flatten();
        Ok(files.find(|file| file["path"] == "journal").cloned())
    }
}
