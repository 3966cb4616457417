//! What banner knows of everybody, and what it should.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, ensure};
use banner_tests::{
    command_line::CommandLine as _,
    lab::{
        Lab,
        client::{Outcome, Service},
        root::Kind,
    },
    patience::until,
};
use serde_json::Value;

use super::table::{Called, Row};
use crate::scene::{Source, WRONG};

/// Jails, by name and source, which all count the same failures.
pub(super) struct Books<'jails> {
    pub(super) jails: &'jails [(&'jails str, &'jails str)],
    pub(super) kind: Kind,
}

/// What is due to a source.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) source: IpAddr,
    /// Their weight.
    pub(super) failures: f64,
    /// Which name they are for.
    pub(super) name: Option<String>,
    /// The user of the login that is logged.
    pub(super) success: Option<String>,
}

impl Entry {
    /// What one login must leave.
    pub(super) fn of(row: &Row, source: IpAddr, user: &str, is_right: bool) -> Self {
        if is_right {
            return Self { source, failures: 0.0, name: None, success: row.success.then(|| user.to_owned()) };
        }
        let called = if user == super::STRANGER { row.unknown } else { row.wrong };
        let name = match called {
            Called::AsSaid => Some(user.to_owned()),
            Called::WithRealm => Some(format!("{user}@mail.example.org")),
            Called::Nothing => None,
        };
        Self { source, failures: 1.0, name, success: None }
    }
}

/// Fails last, with both servers.
const WITNESS: &str = "203.0.113.199";

impl Books<'_> {
    pub(super) fn configuration(&self) -> String {
        let jail = |(name, source): &(&str, &str)| {
            format!(
                "[jail.{name}]\nsource = {source}\nmaxretry = 1000\nfindtime = \"1h\"\nfilter = [{}]\n",
                self.filters()
            )
        };
        format!("[jail.mail]\nenabled = false\n{}", self.jails.iter().map(jail).collect::<String>())
    }

    fn filters(&self) -> String {
        format!("\"postfix-sasl\", \"{}\"", self.kind.name())
    }

    /// Sees that each source has what is due to it, in every jail, and that nobody else has anything.
    pub(super) fn audit(&self, lab: &Lab, entries: &[Entry], who: impl Fn(IpAddr) -> String) -> anyhow::Result<()> {
        let failing = entries.iter().filter(|entry| entry.failures > 0.0).count();
        // Some servers log a moment after their client has gone.
        let arrived = until(&format!("{failing} sources are known to have failed"), || {
            let known = self.failing(lab)?;
            Ok(known.iter().all(|known| *known >= failing).then_some(()))
        });
        let witness = Source::new(lab, WITNESS)?;
        witness.tries(Service::Smtp, WRONG, &Outcome::Refused)?;
        until("the witness is known to have failed", || {
            Ok((self.tallies(&witness.known()?) == vec![1.0; self.jails.len()]).then_some(()))
        })?;
        let mut faults = Vec::new();
        let entered = entries.iter().filter(|entry| entry.success.is_some()).count();
        let mut successes = BTreeMap::new();
        let logged = until(&format!("{entered} logins are logged"), || {
            successes = self.successes(lab)?;
            Ok((successes.len() >= entered).then_some(()))
        });
        for entry in entries {
            let known = Source { lab, address: entry.source }.known()?;
            let success = successes.get(&entry.source);
            let names = names(&known);
            let is_as_due = self.tallies(&known) == vec![entry.failures; self.jails.len()]
                && names.is_empty() == (entry.failures == 0.0)
                && names.iter().all(|name| *name == entry.name.as_deref())
                && success == entry.success.as_ref();
            if !is_as_due {
                faults.push(format!("{}: {entry:?}: {success:?}, {known}", who(entry.source)));
            }
        }
        ensure!(faults.is_empty(), "{} of {} are wrong:\n{}", faults.len(), entries.len(), faults.join("\n"));
        arrived?;
        logged?;
        let known = self.failing(lab)?;
        ensure!(known.iter().all(|known| *known == failing + 1), "{failing} and a witness have failed, not {known:?}");
        let unexpected = successes.keys().find(|source| !entries.iter().any(|entry| entry.source == **source));
        ensure!(unexpected.is_none(), "{unexpected:?} has logged in");
        let status = lab.json("status --json")?;
        let warnings = status.get("warnings").map(Value::to_string).unwrap_or_default();
        ensure!(!warnings.contains("backend does not answer"), "none is down: {warnings}");
        Ok(())
    }

    /// How many sources have failed, for each jail.
    fn failing(&self, lab: &Lab) -> anyhow::Result<Vec<usize>> {
        let status = lab.json("status --json")?;
        let jails = status.get("jails").and_then(Value::as_array).context("no jails")?;
        let failed = |jail: &Value| {
            Ok(usize::try_from(jail.get("currently_failed").and_then(Value::as_u64).context("no number")?)?)
        };
        jails.iter().map(failed).collect()
    }

    /// What a source's failures weigh, for each jail.
    fn tallies(&self, known: &Value) -> Vec<f64> {
        let tally = known.get("tally").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let in_jail = |(name, _): &(&str, &str)| {
            let jail = tally.iter().find(|jail| jail.get("jail") == Some(&(*name).into()));
            jail.and_then(|jail| jail.get("failures")?.as_f64()).unwrap_or_default()
        };
        self.jails.iter().map(in_jail).collect()
    }

    /// Who has logged in, as which user: no jail counts that, so `banner match` is to say what the filters make of the lines.
    fn successes(&self, lab: &Lab) -> anyhow::Result<BTreeMap<IpAddr, String>> {
        let filters = self.filters().replace('"', "").replace(", ", " --filter ");
        let told = lab.server.script(&format!(
            "cat /var/log/mail.log | banner match --filter {filters} --json - > /run/matched || test $? = 1; cat /run/matched"
        ))?;
        let mut successes = BTreeMap::new();
        for line in told.lines() {
            let found: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if found.get("kind") != Some(&"success".into()) {
                continue;
            }
            let text = |key: &str| found.get(key).and_then(Value::as_str).with_context(|| format!("{key} of {line}"));
            let before = successes.insert(text("addr")?.parse()?, text("user")?.to_owned());
            ensure!(before.is_none(), "twice: {line}");
        }
        Ok(successes)
    }
}

/// Whom the failures of a source are for.
fn names(known: &Value) -> Vec<Option<&str>> {
    let failures = known.get("failures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    failures.iter().map(|failure| failure.get("user").and_then(Value::as_str)).collect()
}
