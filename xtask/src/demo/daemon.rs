//! banner as an operator runs it: the daemon on the mail host, and the command line beside it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use banner_tests::namespace::Namespace;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::{Deserialize, de::DeserializeOwned};
use tempfile::TempDir;

use super::hosts::{Hosts, INTERFACE};
use crate::process;

/// banner's files, below a temporary folder: configuration, log, state, socket, and a bpffs of its own, whose pins are gone
/// when it is unmounted.
pub(super) struct Files {
    folder: TempDir,
}

impl Files {
    /// Makes them. The bpffs is mounted for this process and its children alone, and is gone with the last of them.
    pub(super) fn new(bantime: Duration) -> Result<Self> {
        let files = Self { folder: tempfile::tempdir().context("cannot make a temporary folder")? };
        fs::create_dir(files.bpffs()).context("cannot make the folder of bpffs")?;
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .context("cannot keep mounts to this process")?;
        mount(Some("bpf"), &files.bpffs(), Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("cannot mount bpffs (does this kernel have CONFIG_BPF_SYSCALL?)")?;
        let path = |path: PathBuf| toml::Value::from(path.to_string_lossy().into_owned());
        let configuration = format!(
            "interface = \"{INTERFACE}\"\nattach = \"auto\"\nsocket = {}\nstate_dir = {}\nbpffs = {}\n\n\
             [jail.mail]\nsource = [{}]\nmaxretry = 3\nfindtime = \"10m\"\nbantime = \"{}s\"\n",
            path(files.path("banner.sock")),
            path(files.path("state")),
            path(files.bpffs()),
            path(files.log()),
            bantime.as_secs(),
        );
        fs::write(files.path("banner.toml"), configuration).context("cannot write the configuration")?;
        File::create(files.log()).context("cannot make the log")?;
        Ok(files)
    }

    /// The log that the mail server writes and banner reads.
    pub(super) fn log(&self) -> PathBuf {
        self.path("mail.log")
    }

    /// What the daemon said.
    pub(super) fn daemon_output(&self) -> String {
        fs::read_to_string(self.path("daemon.out")).unwrap_or_default()
    }

    fn bpffs(&self) -> PathBuf {
        self.path("bpf")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Also where it was never mounted.
        let _ = umount2(&self.bpffs(), MntFlags::MNT_DETACH);
    }
}

/// The daemon and its command line.
pub(super) struct Banner<'a> {
    binary: &'a Path,
    files: &'a Files,
    mail: &'a Namespace,
    daemon: Option<Child>,
}

/// What the demonstration reads of `banner status --json`.
#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) interfaces: Vec<Interface>,
    pub(super) jails: Vec<Jail>,
}

#[derive(Deserialize)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) mode: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Jail {
    pub(super) total_failed: u64,
}

/// What the demonstration reads of a line of `banner bans --json`.
#[derive(Deserialize)]
pub(super) struct Ban {
    pub(super) prefix: String,
    pub(super) packets: u64,
}

impl<'a> Banner<'a> {
    /// Starts the daemon.
    pub(super) fn start(binary: &'a Path, files: &'a Files, hosts: &'a Hosts) -> Result<Self> {
        let mut banner = Self { binary, files, mail: &hosts.mail, daemon: None };
        let output = File::create(files.path("daemon.out")).context("cannot make the daemon's output")?;
        let errors = output.try_clone().context("cannot make the daemon's output")?;
        let mut command = banner.command(&["run"]);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let inside = banner.mail.enter()?;
        let daemon = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        drop(inside);
        banner.daemon = Some(daemon);
        Ok(banner)
    }

    /// Whether the daemon has ended by itself.
    ///
    /// # Errors
    /// It has; the error is its exit status.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        if let Some(daemon) = &mut self.daemon
            && let Some(status) = daemon.try_wait().context("cannot look after the daemon")?
        {
            anyhow::bail!("the daemon ended by itself ({status})");
        }
        Ok(())
    }

    /// SIGKILL: it gets no chance to tidy anything up.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().context("cannot kill the daemon")?;
            daemon.wait().context("cannot wait for the daemon's end")?;
        }
        Ok(())
    }

    pub(super) fn status(&self) -> Result<Status> {
        parse(&self.cli(&["status", "--json"])?)
    }

    pub(super) fn bans(&self) -> Result<Vec<Ban>> {
        self.cli(&["bans", "--json"])?.lines().map(parse).collect()
    }

    /// Runs a command of banner's on the mail host and returns what it prints.
    pub(super) fn cli(&self, arguments: &[&str]) -> Result<String> {
        // The child is of the namespace that this thread is in when it starts.
        let _inside = self.mail.enter()?;
        process::output(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command.arg("--config").arg(self.files.path("banner.toml")).args(arguments);
        command
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).with_context(|| format!("cannot read banner's JSON: {text}"))
}

impl Drop for Banner<'_> {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Whether an XDP program is attached to the mail host's interface.
///
/// # Errors
/// `ip` cannot be run, or does not know the interface.
pub(super) fn is_filtered(hosts: &Hosts) -> Result<bool> {
    let _inside = hosts.mail.enter()?;
    let shown = process::output(Command::new("ip").args(["link", "show", "dev", INTERFACE]))?;
    ensure!(shown.contains(INTERFACE), "ip printed: {shown}");
    Ok(shown.contains("prog/xdp"))
}
