//! fail2ban beside banner, on the same mail server: with Debian's configuration, and everything that it writes in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::{command_line::Answer, network::Network, patience::until, process::Killed};

/// Where Debian has its filters and actions.
const CONFIGURATION: &str = "/etc/fail2ban";

/// A server of fail2ban. Dropping it kills it; what its actions made in the kernel goes with the network.
#[derive(Debug)]
pub struct Fail2ban<'n> {
    network: &'n Network,
    folder: TempDir,
    server: Option<Killed>,
}

impl<'n> Fail2ban<'n> {
    /// With these jails, as `jail.local` has them; nothing runs yet.
    ///
    /// # Errors
    /// Debian's configuration cannot be copied.
    pub fn new(network: &'n Network, jails: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        let this = Self { network, folder, server: None };
        let configuration = this.path("etc");
        fs::create_dir(&configuration)?;
        for part in ["fail2ban.conf", "jail.conf", "paths-common.conf", "paths-debian.conf"] {
            fs::copy(Path::new(CONFIGURATION).join(part), configuration.join(part))
                .with_context(|| format!("copying {CONFIGURATION}/{part}"))?;
        }
        // Includes are looked for beside the file that names them.
        for part in ["filter.d", "action.d"] {
            std::os::unix::fs::symlink(Path::new(CONFIGURATION).join(part), configuration.join(part))?;
        }
        fs::write(
            configuration.join("fail2ban.local"),
            format!("[Definition]\nlogtarget = {:?}\ndbfile = {:?}\n", this.path("log"), this.path("bans.sqlite3"))
                .replace('"', ""),
        )?;
        // Nobody answers on this network, and fail2ban would ask for its own name and wait.
        fs::create_dir(configuration.join("jail.d"))?;
        fs::write(configuration.join("jail.d/network.local"), "[DEFAULT]\nignoreself = false\nusedns = no\n")?;
        this.configure(jails)?;
        Ok(this)
    }

    /// Other jails, from the next start on.
    ///
    /// # Errors
    /// The system's.
    pub fn configure(&self, jails: &str) -> anyhow::Result<()> {
        fs::write(self.path("etc/jail.local"), jails).context("writing jail.local")
    }

    /// A file in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it on the mail server, and waits until it answers. The number of its process.
    ///
    /// # Errors
    /// It ends by itself; the error has what it said.
    pub fn start(&mut self) -> anyhow::Result<u32> {
        let said = fs::File::create(self.path("said"))?;
        let mut command = self.command("fail2ban-server");
        command.args(["-f", "-x", "start"]).stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let inside = self.network.server.enter()?;
        let child = command.spawn();
        drop(inside);
        let server = self.server.insert(Killed(child.context("starting fail2ban-server")?));
        let pid = server.0.id();
        until("fail2ban answers", || {
            let ended = self.server.as_mut().map(|server| server.0.try_wait()).transpose()?.flatten();
            ensure!(ended.is_none(), "fail2ban ended by itself: {ended:?}");
            Ok((self.client(&["ping"])?.code == Some(0)).then_some(()))
        })
        .with_context(|| self.said())?;
        Ok(pid)
    }

    /// Ends it as an operator does.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.client(&["stop"])?.expect(0)?;
        if let Some(mut server) = self.server.take() {
            until("fail2ban ends", || Ok(server.0.try_wait()?))?;
        }
        Ok(())
    }

    /// What an operator asks it.
    ///
    /// # Errors
    /// The command does not end.
    pub fn client(&self, arguments: &[&str]) -> anyhow::Result<Answer> {
        Answer::of(self.command("fail2ban-client").args(arguments))
    }

    /// A number in `fail2ban-client status JAIL`: "Total failed", "Currently banned".
    ///
    /// # Errors
    /// It does not tell.
    pub fn count(&self, jail: &str, what: &str) -> anyhow::Result<u64> {
        let answer = self.client(&["status", jail])?.expect(0)?;
        let value = answer.stdout.lines().find_map(|line| line.split_once(what)?.1.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).with_context(|| format!("no {what:?}: {answer:?}"))
    }

    /// What it wrote, to its output and its log.
    #[must_use]
    pub fn said(&self) -> String {
        ["said", "log"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).concat()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.path("etc")).arg("-s").arg(self.path("socket")).arg("-p").arg(self.path("pid"));
        command
    }
}
