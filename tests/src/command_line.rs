//! banner's command line, as an operator types it and reads its answers.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{patience::until, process::Killed};

/// How a command ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Its output.
    pub stdout: String,
    /// Its notes and errors.
    pub stderr: String,
}

impl Answer {
    /// Runs a command, with nothing to read, and waits for its end.
    ///
    /// # Errors
    /// It does not end in time; it is killed then.
    pub fn of(command: &mut Command) -> anyhow::Result<Self> {
        let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let child = command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).spawn();
        let mut child = Killed(child.with_context(|| format!("starting {command:?}"))?);
        let waited = until("the command ends", || Ok(child.0.try_wait()?));
        let read = |file: &mut File| -> anyhow::Result<String> {
            let mut text = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let (stdout, stderr) = (read(&mut stdout)?, read(&mut stderr)?);
        let status = waited.with_context(|| format!("{command:?}: {stdout}{stderr}"))?;
        Ok(Self { code: status.code(), stdout, stderr })
    }

    /// Sees that it ended so.
    ///
    /// # Errors
    /// It did not.
    pub fn expect(self, code: i32) -> anyhow::Result<Self> {
        ensure!(self.code == Some(code), "the exit code should be {code}: {self:?}");
        Ok(self)
    }
}

/// A host with banner on it.
pub trait CommandLine {
    /// Runs `banner` there, with arguments separated by spaces.
    ///
    /// # Errors
    /// It does not end.
    fn banner(&self, arguments: &str) -> anyhow::Result<Answer>;

    /// What a command says that must be done: its output as one JSON value.
    ///
    /// # Errors
    /// Its exit code is not 0, or the output no JSON.
    fn json(&self, arguments: &str) -> anyhow::Result<Value> {
        let answer = self.banner(arguments)?.expect(0)?;
        serde_json::from_str(&answer.stdout).with_context(|| format!("banner {arguments}: {answer:?}"))
    }

    /// `banner bans --json`: a value a line.
    ///
    /// # Errors
    /// Its exit code is not 0, or a line no JSON.
    fn bans(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.banner("bans --json")?.expect(0)?;
        answer.stdout.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// The ban of exactly this prefix, as [`CommandLine::bans`] has it.
    ///
    /// # Errors
    /// As there.
    fn ban(&self, prefix: &str) -> anyhow::Result<Option<Value>> {
        Ok(self.bans()?.into_iter().find(|ban| ban.get("prefix") == Some(&prefix.into())))
    }

    /// Waits until exactly this prefix is banned.
    ///
    /// # Errors
    /// It is not.
    fn await_ban(&self, prefix: &str) -> anyhow::Result<Value> {
        until(&format!("{prefix} is banned"), || self.ban(prefix))
    }
}
