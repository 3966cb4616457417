//! The binary and the test executables, built by one command, and what a test executable says.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{WORKSPACE, cargo, summary::Counts};
use crate::{process, terminal::Terminal};

/// What the build made.
pub(super) struct Executables {
    /// The daemon and command line.
    pub(super) banner: PathBuf,
    /// In the order of their packages and names.
    pub(super) tests: Vec<TestExecutable>,
}

/// One test executable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TestExecutable {
    pub(super) package: String,
    /// Of the target: the library's or binary's name, or the test's file.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// The folder of its package, where tests expect to run.
    folder: PathBuf,
}

/// What is read of cargo's messages (`cargo build --message-format=json`).
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Executables {
    /// Builds them all with one set of features.
    ///
    /// # Errors
    /// The build fails, or makes no binary `banner`.
    pub(super) fn build() -> Result<Self> {
        let mut command = cargo(&["build", "--bins", "--tests", "--message-format=json-render-diagnostics"]);
        let output = command.args(WORKSPACE).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot start {}", process::shown(&command)))?;
        if !output.status.success() {
            bail!("{} failed ({})", process::shown(&command), output.status);
        }
        Self::from_messages(&String::from_utf8_lossy(&output.stdout))
    }

    fn from_messages(messages: &str) -> Result<Self> {
        let mut banner = None;
        let mut tests = Vec::new();
        for line in messages.lines() {
            let message: Message = serde_json::from_str(line).context("cannot read cargo's messages")?;
            let Message {
                manifest_path: Some(manifest),
                target: Some(target),
                profile: Some(profile),
                executable: Some(path),
                reason,
            } = message
            else {
                continue;
            };
            if reason != "compiler-artifact" {
                continue;
            }
            let folder = manifest.parent().unwrap_or(Path::new("/")).to_owned();
            if profile.test {
                tests.push(TestExecutable { package: package(&manifest)?, name: target.name, path, folder });
            } else if target.name == "banner" {
                banner = Some(path);
            }
        }
        tests.sort();
        Ok(Self { banner: banner.context("cargo built no binary `banner`")?, tests })
    }
}

impl TestExecutable {
    /// Runs it, through a command that ends with its path.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn run(&self, command: &mut Command, terminal: &Terminal) -> Result<Counts> {
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        if terminal.has_colour() {
            command.arg("--color=always");
        }
        run_counted(command, &format!("{} {}", self.package, self.name), terminal)
    }
}

/// Runs a command that says what it tested as libtest does, shows what it says, and counts.
///
/// # Errors
/// It cannot be started.
pub(super) fn run_counted(command: &mut Command, name: &str, terminal: &Terminal) -> Result<Counts> {
    terminal.line(format_args!("-- {name}"));
    let shown = process::shown(command);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {shown}"))?;
    let mut counts = Counts::default();
    let stdout = child.stdout.take().context("the child has no output")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        counts += Counts::from_line(&line);
        terminal.line(line);
    }
    let status = child.wait().with_context(|| format!("cannot wait for {shown}"))?;
    if !status.success() && counts.failed == 0 {
        // Killed, or no libtest: it still did not pass.
        terminal.bad(format_args!("{name}: {status}"));
        counts += Counts::FAILED;
    }
    Ok(counts)
}

/// The name of a package, of its folder's manifest.
fn package(manifest: &Path) -> Result<String> {
    let text = std::fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let table: toml::Table = text.parse().with_context(|| format!("cannot parse {}", manifest.display()))?;
    let name = table.get("package").and_then(|package| package.get("name")?.as_str());
    Ok(name.with_context(|| format!("{} names no package", manifest.display()))?.to_owned())
}
